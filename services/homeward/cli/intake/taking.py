"""Uploading what was found, and telling a file's fault from a passing one and from the caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from homeward.api.ingestion.v1 import footage_service_pb2
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.cli import upload
from homeward.cli.errors import CliError, ExitCode, local_problem
from homeward.cli.files import written_name
from homeward.cli.intake.changes import ChangedError
from homeward.cli.intake.facts import Facts
from homeward.cli.upload import UploadResult

NOT_YET = frozenset({"FOOTAGE_TOO_RECENT", "UPLOAD_SIZE_MISMATCH", "UPLOAD_DIGEST_MISMATCH"})
"""Reasons for which a file is tried again later: it was not finished."""

_CALLERS = (
    "TOKEN_",
    "ROLE_MISSING",
    "PURPOSE_REQUIRED",
    "CASE_NOT_ASSIGNED",
    "RETENTION_UNSAFE",
    "RPC_UNKNOWN",
)
"""Reasons, or their beginnings, that say nothing about a file: any other would get the same."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a file is refused."""

    problem: CliError

    def lines(self) -> list[str]:
        """Return what is wrong, the API's reason, and what to do, a line each."""
        problem = self.problem
        told = [f"error: {problem.message}"]
        told += [f"reason: {problem.reason}"] if problem.reason else []
        return told + ([f"advice: {problem.advice}"] if problem.advice else [])


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes recordings in.

    Args:
        stub: The service.
        via_url: Put files straight into the object store.
    """

    stub: FootageServiceStub
    via_url: bool = False

    def take(
        self, path: Path, facts: Callable[[], Facts], is_as_seen: Callable[[], bool]
    ) -> UploadResult | Fault:
        """Take a file in; the same bytes again are the same footage.

        Args:
            path: The file.
            facts: Returns camera and start, or raises what is wrong with them.
            is_as_seen: Returns whether the file is still as it was.

        Raises:
            ChangedError: The file is not finished.
            CliError: The service does not answer, or refuses the caller.
        """
        try:
            known = facts()
            header = upload.describe(path, known.camera_id, known.start, transport=self._transport)
            if not is_as_seen():
                raise ChangedError
            send = upload.by_url if self.via_url else upload.stream
            uploaded = send(self.stub, path, header)
        except FileNotFoundError as error:
            raise ChangedError from error
        except OSError as error:
            return Fault(local_problem(error))
        except CliError as error:
            if error.reason in NOT_YET:
                raise ChangedError from error
            if error.passing or error.reason.startswith(_CALLERS):
                raise
            return Fault(error)
        if not is_as_seen():
            self._take_back(uploaded)
            raise ChangedError
        return uploaded

    def too_large(self, name: str, length: int) -> Fault | None:
        """Return why a file of a size is not taken in; None if it may be."""
        try:
            upload.require_size(name, length, transport=self._transport)
        except CliError as error:
            return Fault(error)
        return None

    @property
    def _transport(self) -> str:
        return "url" if self.via_url else "stream"

    def _take_back(self, uploaded: UploadResult) -> None:
        """Remove a recording of a file that went on growing."""
        if not uploaded.already_held:
            request = footage_service_pb2.DeleteFootageRequest(
                footage_id=uploaded.footage.footage_id
            )
            self.stub.DeleteFootage(request)


def summary(name: str, why: Fault) -> CliError:
    """Return the error about a file, to print."""
    shown = written_name(name)
    message = why.problem.message.removeprefix(f"{shown.rpartition('/')[2]}: ")
    return CliError(
        f"{shown}: {message}",
        exit_code=ExitCode(why.problem.exit_code),
        reason=why.problem.reason,
        advice=why.problem.advice,
    )
