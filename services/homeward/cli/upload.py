"""Uploading recordings; an upload survives broken connections and a restart of the command."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path

from homeward.api.ingestion.v1 import footage_pb2, footage_service_pb2
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.cli import patience, progress, times
from homeward.cli.errors import CallError, CliError, ExitCode
from homeward.cli.files import written_name
from homeward.cli.render import size
from homeward.core.recordings import MAX_FOOTAGE_BYTES, MAX_URL_BYTES

_CHUNK_BYTES = 256 * 1024
_READ_BYTES = 1024 * 1024
_ATTEMPTS = 6
"""Attempts in a row without a byte stored; the waits between them add up to half a minute."""
_PUT_TIMEOUT_SECONDS = 60.0
"""Longest time without a byte moving."""
_AGAIN = "run the same command again: it goes on where it stopped"


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The footage, and whether it was held before."""

    footage: footage_pb2.Footage
    already_held: bool


def require_size(name: str, length: int, *, transport: str) -> None:
    """Refuse a file that the service would refuse for its size, before it is read.

    Raises:
        CliError: It is too large.
    """
    most = MAX_URL_BYTES if transport == "url" else MAX_FOOTAGE_BYTES
    if length > most:
        without = length <= MAX_FOOTAGE_BYTES
        raise CliError(
            f"{name}: has {size(length)}; at most {size(most)} are taken in",
            advice="leave --via-url out" if without else "export it in shorter parts",
        )


def describe(
    path: Path, camera_id: str, start: datetime, *, transport: str
) -> footage_service_pb2.UploadHeader:
    """Return the header of a file's upload.

    The request id follows from what is uploaded, and under which name, so that the same command
    finds its upload again. The same bytes under another name are another upload.

    Raises:
        CliError: It is too large.
    """
    name = written_name(path.name)
    length = path.stat().st_size
    require_size(name, length, transport=transport)
    digest = hashlib.sha256()
    pace = progress.Pace()
    with path.open("rb") as file, progress.shown(f"Reading {path.name}") as show:
        while block := file.read(_READ_BYTES):
            digest.update(block)
            _show(show, pace, file.tell(), length)
    identity = f"{transport} {camera_id} {start.isoformat()} {digest.hexdigest()} {name}"
    return footage_service_pb2.UploadHeader(
        request_id=hashlib.sha256(identity.encode()).hexdigest(),
        camera_id=camera_id,
        file_name=name,
        start_time=times.to_timestamp(start),
        size_bytes=length,
        sha256=digest.hexdigest(),
    )


def stream(
    stub: FootageServiceStub,
    path: Path,
    header: footage_service_pb2.UploadHeader,
) -> UploadResult:
    """Upload over gRPC, from where an earlier attempt stopped.

    Raises:
        CallError: The service refuses, or does not come back.
    """
    failures, stored, turn = 0, -1, patience.Turn()
    pace = progress.Pace()
    with progress.shown(f"Uploading {path.name}") as show:
        while True:
            try:
                header.offset_bytes = _stored(stub, header.request_id)
                if header.offset_bytes > stored:
                    failures, stored = 0, header.offset_bytes
                response = stub.UploadFootage(
                    _messages(path, header, lambda done: _show(show, pace, done, header.size_bytes))
                )
                return UploadResult(response.footage, response.already_held)
            except CallError as error:
                if not _worth_resuming(error):
                    turn.wait(error)
                    continue
                failures += 1
                if failures >= _ATTEMPTS:
                    raise CallError(
                        f"the upload broke off: {error.message}",
                        status=error.status,
                        reason=error.reason,
                        advice=f"when it is back, {_AGAIN}",
                    ) from None
                patience.pause(failures, error.message)


def by_url(
    stub: FootageServiceStub, path: Path, header: footage_service_pb2.UploadHeader
) -> UploadResult:
    """Upload straight into the object store.

    Raises:
        CallError: The service refuses.
        CliError: The store does not take the file.
    """
    place = stub.CreateUploadUrl(footage_service_pb2.CreateUploadUrlRequest(header=header))
    if place.HasField("existing_footage"):
        return UploadResult(place.existing_footage, already_held=True)
    _put(path, place.url)
    turn = patience.Turn()
    while True:
        try:
            completed = stub.CompleteUpload(
                footage_service_pb2.CompleteUploadRequest(request_id=header.request_id)
            )
        except CallError as error:
            turn.wait(error)
        else:
            return UploadResult(completed.footage, already_held=False)


def _stored(stub: FootageServiceStub, request_id: str) -> int:
    try:
        return stub.GetUpload(
            footage_service_pb2.GetUploadRequest(request_id=request_id)
        ).committed_size_bytes
    except CallError as error:
        if error.reason != "UPLOAD_NOT_FOUND":
            raise
        return 0


def _worth_resuming(error: CallError) -> bool:
    return error.exit_code is ExitCode.UNAVAILABLE or error.reason == "UPLOAD_OFFSET_MISMATCH"


def _messages(
    path: Path,
    header: footage_service_pb2.UploadHeader,
    show: Callable[[int], None],
) -> Iterator[footage_service_pb2.UploadFootageRequest]:
    yield footage_service_pb2.UploadFootageRequest(header=header)
    # Opened here: gRPC's thread may ask for one more chunk after the call has failed.
    with path.open("rb") as file:
        file.seek(header.offset_bytes)
        while chunk := file.read(_CHUNK_BYTES):
            yield footage_service_pb2.UploadFootageRequest(chunk=chunk)
            show(file.tell())


def _put(path: Path, url: str) -> None:
    length = path.stat().st_size
    pace = progress.Pace()
    # The store is inside; a proxy for the web is not the way to it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with path.open("rb") as file, progress.shown(f"Uploading {path.name}") as show:
        request = urllib.request.Request(  # noqa: S310 - the service's own URL
            url,
            data=_WatchedFile(file, lambda done: _show(show, pace, done, length)),
            headers={"Content-Length": str(length), "Content-Type": "application/octet-stream"},
            method="PUT",
        )
        try:
            opener.open(request, timeout=_PUT_TIMEOUT_SECONDS).close()
        except urllib.error.HTTPError as error:
            error.close()
            raise CliError(
                f"the object store refused the file: HTTP {error.code} {error.reason}",
                exit_code=ExitCode.UNAVAILABLE,
                advice="run the same command again, or leave --via-url out",
            ) from error
        except OSError as error:  # URLError too
            host = urllib.request.Request(url).host  # noqa: S310 - as above
            raise CliError(
                f"the object store at {host} does not take the file: {error}",
                exit_code=ExitCode.UNAVAILABLE,
                advice="run the same command again, or leave --via-url out",
            ) from error


@dataclass(frozen=True, slots=True)
class _WatchedFile:
    """A file that reports how far it is read."""

    file: BufferedReader
    show: Callable[[int], None]

    def read(self, count: int = -1) -> bytes:
        block = self.file.read(count)
        self.show(self.file.tell())
        return block


def _show(show: progress.Show, pace: progress.Pace, done: int, total: int) -> None:
    left = pace.left(done, total)
    show(done, total, f"{size(done)} of {size(total)}{f', {left}' if left else ''}")
