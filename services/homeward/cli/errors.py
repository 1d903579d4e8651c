"""Exit codes, and errors as they are printed: what is wrong, why, and what to do."""

from __future__ import annotations

import io
import os
import traceback
from collections.abc import Mapping
from enum import IntEnum

import click

from homeward.cli import terminal


class ExitCode(IntEnum):
    """Documented in `docs/cli.md` and in `homeward --help`."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    OVERDUE = 3
    INVALID = 4
    NOT_FOUND = 5
    CONFLICT = 6
    PRECONDITION = 7
    UNAVAILABLE = 8
    LIMIT = 9
    PARTIAL = 10
    INTERRUPTED = 130


EXIT_CODE_HELP: Mapping[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.INTERNAL: "a fault in Homeward",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.OVERDUE: (
        "something is past its deadline, or the object store would keep what is deleted"
        " (`retention`), or the audit trail or a package does not hold (`audit verify`,"
        " `export verify`), or more candidates were wrong than promised (`report`)"
    ),
    ExitCode.INVALID: "invalid input, or a problem with a local file",
    ExitCode.NOT_FOUND: "what was named does not exist",
    ExitCode.CONFLICT: "it exists already, or somebody else changed it first",
    ExitCode.PRECONDITION: "the present state does not allow it",
    ExitCode.UNAVAILABLE: "a service does not answer, or not in time",
    ExitCode.LIMIT: "a limit is reached",
    ExitCode.PARTIAL: "some of several were done, the others refused",
    ExitCode.INTERRUPTED: "interrupted, or not confirmed",
}

_BY_STATUS: Mapping[str, ExitCode] = {
    "INVALID_ARGUMENT": ExitCode.INVALID,
    "OUT_OF_RANGE": ExitCode.INVALID,
    "NOT_FOUND": ExitCode.NOT_FOUND,
    "ALREADY_EXISTS": ExitCode.CONFLICT,
    "ABORTED": ExitCode.CONFLICT,
    "FAILED_PRECONDITION": ExitCode.PRECONDITION,
    "PERMISSION_DENIED": ExitCode.PRECONDITION,
    "UNAUTHENTICATED": ExitCode.PRECONDITION,
    "UNAVAILABLE": ExitCode.UNAVAILABLE,
    "CANCELLED": ExitCode.UNAVAILABLE,  # by a service that stops; nothing here cancels a call
    "DEADLINE_EXCEEDED": ExitCode.UNAVAILABLE,
    "RESOURCE_EXHAUSTED": ExitCode.LIMIT,
}

_NO_POLICY = (
    "`homeward policy list` shows the policies; `homeward policy add FILE.json` adds one that was"
    " measured with the model in use"
)
"""Where no policy can be approved: none was measured with the model in use."""


def confirm_first(sighting_id: str) -> str:
    """Return the advice about a sighting that nobody has confirmed."""
    return (
        f"look at it; if it shows the person, first `homeward sighting review {sighting_id}"
        " --confirm`"
    )


_ADVICE: Mapping[str, str] = {
    "PAGE_TOKEN_INVALID": "run the command again",
    "ETAG_MISMATCH": "look at it again, then repeat the change if it is still right",
    "REQUEST_ID_REUSED": "run the command again",
    "COMPONENT_UNAVAILABLE": (
        "try again in a few minutes; if it lasts, tell the operator which part is away. `homeward"
        " status` shows what answers"
    ),
    "QUEUE_FULL": "try again in a while",
    "INTERNAL": "tell the operator the request id; the service's log has the details",
    "RPC_UNKNOWN": "check the address: it is that of another service or of another version",
    "QUOTA_EXCEEDED": (
        "try again in a while; run fewer commands at a time, or ask the operator for a higher quota"
    ),
    "MESSAGE_UNDECODABLE": "use the version of Homeward that the service has",
    "MESSAGE_TOO_LARGE": "send less at once; a photograph has at most 32 MiB",
    "DEADLINE_EXCEEDED": "try again; `homeward status` shows whether something is slow",
    "CAMERA_NOT_FOUND": "`homeward camera list` shows the cameras, `homeward camera add` adds one",
    "CAMERA_EXISTS": "`homeward camera update CAM` changes it",
    "CAMERA_HAS_FOOTAGE": (
        "`homeward footage list --camera {camera_id}` shows the recordings, `homeward footage rm"
        " ID` removes one; an upload that broke off is forgotten after a day"
    ),
    "FOOTAGE_NOT_FOUND": "`homeward footage list` shows what is held",
    "FOOTAGE_DAMAGED": (
        "`homeward footage rm ID` removes it; then add the file again, and tell whoever runs the"
        " object store"
    ),
    "FOOTAGE_EXPIRED": "footage is kept for at most 31 days; ask the owner of the camera for it",
    "CLIP_TOO_LONG": "give fewer --seconds, or --around-still",
    "FOOTAGE_EXISTS_ELSEWHERE": (
        "if the camera or the start given before was wrong, remove that footage with "
        "`homeward footage rm ID` and add the file again"
    ),
    "FOOTAGE_UNREADABLE": (
        "export it again, or convert it with the recorder's own program or with"
        " `ffmpeg -i FILE -map 0:v -c copy OUT.mkv`, and add that"
    ),
    "FOOTAGE_TOO_RECENT": "Homeward searches finished recordings, not live video; add it later",
    "UPLOAD_SIZE_MISMATCH": "run the same command again: it goes on where the upload stopped",
    "UPLOAD_DIGEST_MISMATCH": "the file changed while it was read; run the same command again",
    "UPLOAD_OFFSET_MISMATCH": "is another upload of this file running? Otherwise run this again",
    "UPLOAD_NOT_FOUND": "run the same command again",
    "SCAN_NOT_FOUND": "`homeward scan list` shows the scans",
    "SCAN_SCOPE_EMPTY": "`homeward footage list` shows what is held",
    "SCAN_ENDED": "`homeward scan watch ID` shows what it found",
    "SCAN_LIMIT": "`homeward scan list` shows what runs, `homeward scan cancel ID` ends one",
    "SCAN_NOT_TARGETED": (
        "name --subject, and --footage or --camera and --from; if that would not do,"
        " --everything --reason TEXT"
    ),
    "SCAN_DECIDED": "`homeward scan show ID` shows who has decided",
    "OWN_SCAN": "ask somebody else who may authorise scans",
    "RETENTION_UNSAFE": "tell the operator: the object store must forget what is deleted",
    "SUBJECT_NOT_FOUND": "`homeward subject list --all` shows the subjects",
    "SUBJECT_CLOSED": "enrol the person again with `homeward subject add`",
    "PHOTO_NOT_FOUND": "`homeward subject show ID` shows which photographs there are",
    "PHOTO_LIMIT": "the subject has as many photographs as help a search",
    "NO_OPEN_SUBJECTS": "enrol somebody with `homeward subject add`",
    "SIGHTING_NOT_FOUND": "`homeward sighting list` shows the sightings",
    "SIGHTING_NOT_CONFIRMED": confirm_first("ID"),
    "SIGHTING_REVIEWED": "`homeward sighting show ID` shows the decision",
    "POLICY_NOT_FOUND": "`homeward policy list` shows the policies",
    "POLICY_EXISTS": "give the policy another version, and add it again",
    "POLICY_NOT_APPROVED": (
        "`homeward policy show {policy_id}` shows what was measured; a named person approves it,"
        " by `homeward policy approve {policy_id} --by NAME --until DATE --activate`;"
        " once it is approved, `homeward policy activate {policy_id}` has it used"
    ),
    "POLICY_EXPIRED": (
        "`homeward policy show {policy_id}` shows what was measured; if that still holds, a named"
        " person approves it again, by `homeward policy approve {policy_id} --by NAME"
        " --until DATE`"
    ),
    "POLICY_MODEL_MISMATCH": (
        "`homeward status` shows the model in use, `homeward policy list` the policies;"
        " `homeward policy activate ID` has one used that was measured with that model"
    ),
    "SUBJECTS_LOST": (
        "`homeward subject add-photo` adds photographs; with --accept-lost the same command goes on"
        " without these subjects"
    ),
    "GALLERY_INCOMPLETE": (
        "`homeward subject rebuild` makes the templates now and shows how far it is; the next sweep"
        " does so too"
    ),
    "REVIEWER_DECIDED_BEFORE": (
        "have a colleague decide; `homeward sighting show {sighting_id}` shows who is awaited"
    ),
    "REVIEWER_IS_REQUESTER": (
        "have a colleague decide who did not ask for the search; `homeward sighting show"
        " {sighting_id}` shows who is awaited"
    ),
    "SIGHTING_LEASED": (
        "leave it to them; `homeward review` shows you candidates that nobody else has"
    ),
    "REVIEW_STANDS": (
        "have a colleague decide as well; if a confirmed one is wrong, tell the investigator"
    ),
    "RESUME_TOKEN_EXPIRED": (
        "`homeward sighting list` shows what there is now; then watch again without the token"
    ),
    "EMBEDDING_MODEL_MISMATCH": (
        "tell the operator: nobody can be searched for until everybody is enrolled with the model"
        " pack that the embedding service runs; `homeward subject reenrol --model NAME` does that,"
        " see docs/models.md"
    ),
    "MODEL_NOT_SERVED": (
        "HOMEWARD_MODEL_PACK={model} has the embedding service run it; `homeward subject reenrol"
        " --model {served}` moves everybody to the one that it runs"
    ),
    "TOKEN_MISSING": (
        "`homeward login`, or name the file of your access token in HOMEWARD_TOKEN_FILE, or have"
        " your program send one; for a service, have its certificate's name listed, see"
        " docs/security.md"
    ),
    "TOKEN_INVALID": (
        "get a new access token of the issuer that this installation trusts, for Homeward"
        " (`homeward login`); if that is refused too, tell the operator: the service's log says why"
    ),
    "TOKEN_EXPIRED": "get a new access token (`homeward login`), then repeat the command",
    "TOKEN_NOT_YET_VALID": "compare the clocks of this machine, the service and the issuer",
    "ROLE_MISSING": (
        "ask whoever assigns roles in your force for one that may; `homeward whoami` shows yours"
    ),
    "CASE_NOT_ASSIGNED": (
        "ask whoever assigns cases in your force, or name subjects of your cases with --subject"
    ),
    "PURPOSE_REQUIRED": "say what it is for, in HOMEWARD_PURPOSE and HOMEWARD_CASE or the profile",
    "AUDIT_KEY_MISSING": (
        "tell the operator: matching has no key to sign with; docs/audit.md says how it gets one"
    ),
    "IMAGE_UNREADABLE": "JPEG, PNG, WebP, BMP, TIFF, HEIC and AVIF are read",
}

FIELD_OPTIONS: Mapping[str, str] = {
    "approver": "--by",
    "authoriser": "--by",
    "camera.camera_id": "CAM",
    "camera.clock_offset": "--clock-offset",
    "camera.latitude": "--lat",
    "camera.longitude": "--lon",
    "header.start_time": "--start",
    "justification.everything_reason": "--reason",
    "justification.less_intrusive_means": "--tried",
    "justification.necessity": "--necessity",
    "scope.interval.end_time": "--to",
    "resume_token": "--after",
    "subject.authorised_by": "--authorised-by",
    "subject.case_reference": "--case",
    "subject.legal_basis": "--basis",
    "subject.review_time": "--review-by",
    "valid_until_time": "--until",
}
"""Options and arguments of the command line for fields of requests that have another name."""

PHOTO_ADVICE: Mapping[str, str] = {
    "NO_FACE": "use a photograph that shows the face",
    "SEVERAL_FACES": "cut the photograph to the one person",
    "TOO_SMALL": "use a larger original or a closer photograph",
    "BLURRED": "use a sharper photograph",
    "TURNED_AWAY": "use a photograph that looks towards the camera",
    "NOT_UPRIGHT": "turn the photograph upright",
}
"""What to do about each of `PHOTO_PROBLEMS`."""

PACK_ADVICE = (
    "`homeward model list` shows the packs that are installed; `homeward model install` installs"
    " one from a folder, a zip file or a URL, with --force again; --family says how its recogniser"
    " takes pictures"
)
"""Advice for a model pack that is refused."""


class CliError(Exception):
    """An error that a command ends with."""

    def __init__(
        self,
        message: str,
        *,
        exit_code: ExitCode = ExitCode.INVALID,
        reason: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.reason = reason
        self.advice = advice

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later; the error then says nothing about its input."""
        return self.exit_code in (ExitCode.UNAVAILABLE, ExitCode.LIMIT, ExitCode.INTERNAL)


class StoppedError(CliError):
    """The end of a command that runs until it is stopped, which is no error.

    Args:
        message: How to go on.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=ExitCode.INTERRUPTED)


class CallError(CliError):
    """A call that failed.

    Args:
        message: The message of the service, or the client's own when it did not answer.
        status: Name of the canonical code, such as `NOT_FOUND`.
        reason: `ErrorReason` without its prefix; empty when the service gave none.
        metadata: Metadata of the reason.
        advice: Replaces the advice for the reason.
        retry_seconds: Time after which the same call may succeed, where the service states it.
    """

    def __init__(
        self,
        message: str,
        *,
        status: str,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        advice: str = "",
        retry_seconds: float | None = None,
    ) -> None:
        field, colon, what = message.partition(":")
        option = FIELD_OPTIONS.get(field, "") if reason == "FIELD_INVALID" else ""
        super().__init__(
            f"{option}{colon}{what}" if option else message,
            exit_code=exit_code(status),
            reason=reason,
            advice=advice or (f"correct {option}" if option else advise(reason, metadata or {})),
        )
        self.status = status
        self.retry_seconds = retry_seconds
        self.metadata = dict(metadata or {})


def advise(reason: str, metadata: Mapping[str, str]) -> str:
    """Return what to do about a refusal; empty where its message says all.

    Args:
        reason: `ErrorReason` without its prefix.
        metadata: Metadata of the refusal.
    """
    if reason == "PHOTO_REFUSED":
        problems = metadata.get("verdict", "").replace("PHOTO_PROBLEM_", "").split(",")
        return "; ".join(PHOTO_ADVICE.get(name.strip(), name.strip()) for name in problems)
    if reason == "POLICY_NOT_APPROVED" and not metadata.get("policy_id"):
        return _NO_POLICY
    placeholders = {
        "camera_id": "CAM",
        "policy_id": "ID",
        "sighting_id": "ID",
        "model": "NAME",
        "served": "NAME",
    }
    return _ADVICE.get(reason, "").format_map(placeholders | dict(metadata))


def exit_code(status: str) -> ExitCode:
    """Return the exit code for a canonical code."""
    return _BY_STATUS.get(status, ExitCode.INTERNAL)


def report(error: Exception) -> int:
    """Print an error on stderr and return the exit code."""
    if isinstance(error, click.Abort):
        error = CliError("interrupted", exit_code=ExitCode.INTERRUPTED)
    elif isinstance(error, OSError):
        error = local_problem(error)
    elif isinstance(error, UnicodeEncodeError):
        error = CliError(
            f"{error.object!r} is not text in UTF-8",
            advice="write it anew, or rename the file",
        )
    if isinstance(error, StoppedError):
        terminal.tell(error.message, err=True)
        return int(error.exit_code)
    if isinstance(error, CliError):
        tell(error)
        return int(error.exit_code)
    if isinstance(error, click.ClickException):
        _tell_usage(error)
        return error.exit_code
    if os.environ.get("HOMEWARD_DEBUG"):
        traceback.print_exception(error)
    unexpected = CliError(
        f"unexpected: {type(error).__name__}: {error}",
        advice="this is a fault in Homeward; HOMEWARD_DEBUG=1 shows where",
    )
    tell(unexpected)
    return int(ExitCode.INTERNAL)


def _tell_usage(error: click.ClickException) -> None:
    shown = io.StringIO()
    error.show(shown)
    message = error.format_message()  # has what was typed, which may be the name of a file
    text = shown.getvalue().replace(message, terminal.clean(message))
    for line in text.splitlines():
        terminal.tell(line, err=True)


def local_problem(error: OSError) -> CliError:
    """Return the error for a problem with a local file."""
    where = f"{error.filename}: " if error.filename else ""
    missing = isinstance(error, FileNotFoundError)
    return CliError(
        f"{where}{error.strerror or error}",
        advice="check the name and the folder" if missing else "",
    )


def tell(error: CliError, *, about: str = "") -> None:
    """Print an error, its reason and the advice on stderr."""
    terminal.tell(f"error: {about}{': ' if about else ''}{error.message}", err=True)
    if error.reason:
        terminal.tell(f"reason: {error.reason}", err=True)
    if error.advice:
        terminal.tell(f"advice: {error.advice}", err=True)
