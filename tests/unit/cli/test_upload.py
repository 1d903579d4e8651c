# ruff: noqa: N802 - gRPC names the methods

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homeward.api.ingestion.v1 import footage_pb2, footage_service_pb2
from homeward.cli import patience, upload
from homeward.cli.errors import CallError

FULL = CallError(
    "2 recordings are being uploaded here, as many as are taken at once; try again in 7 s",
    status="RESOURCE_EXHAUSTED",
    reason="QUEUE_FULL",
    retry_seconds=7.0,
)
TOO_MANY_PHOTOS = CallError("enough", status="RESOURCE_EXHAUSTED", reason="PHOTO_LIMIT")


class Service:
    """Takes recordings after it has refused some calls."""

    def __init__(self, *refusals: CallError) -> None:
        self.refusals = list(refusals)
        self.taken = b""

    def GetUpload(self, _: Any) -> Any:
        return footage_service_pb2.GetUploadResponse()

    def UploadFootage(self, messages: Iterator[Any]) -> Any:
        self._refuse()
        self.taken = b"".join(each.chunk for each in messages)
        return footage_service_pb2.UploadFootageResponse(footage=footage_pb2.Footage())

    def CreateUploadUrl(self, _: Any) -> Any:
        return footage_service_pb2.CreateUploadUrlResponse(url="http://store.example/key")

    def CompleteUpload(self, _: Any) -> Any:
        self._refuse()
        return footage_service_pb2.CompleteUploadResponse(footage=footage_pb2.Footage())

    def _refuse(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it would have waited."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gate.mp4"
    path.write_bytes(b"video")
    return path


def send(service: Any, path: Path) -> upload.UploadResult:
    return upload.stream(service, path, footage_service_pb2.UploadHeader(request_id="up-1"))


def test_an_upload_waits_for_its_turn_as_long_as_the_service_says(
    path: Path, pauses: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(FULL, FULL)

    send(service, path)

    assert service.taken == b"video"
    assert pauses == [7.0, 7.0]
    assert capsys.readouterr().err.count("2 recordings are being uploaded here") == 1


def test_an_upload_over_the_quota_waits_as_long_as_the_service_says(
    path: Path, pauses: list[float]
) -> None:
    over = CallError(
        "too many calls", status="RESOURCE_EXHAUSTED", reason="QUOTA_EXCEEDED", retry_seconds=3.0
    )

    send(Service(over), path)

    assert pauses == [3.0]


def test_an_upload_by_url_waits_for_its_turn_to_be_checked(
    path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Any = Service(FULL)
    monkeypatch.setattr(upload, "_put", lambda *_: None)

    upload.by_url(service, path, footage_service_pb2.UploadHeader(request_id="up-1"))

    assert pauses == [7.0]


def test_an_upload_does_not_wait_for_ever(path: Path, pauses: list[float]) -> None:
    most = int(patience.LONGEST_TURN_SECONDS // 7)

    with pytest.raises(CallError, match="as many as are taken"):
        send(Service(*[FULL] * (most + 1)), path)

    assert len(pauses) == most


def test_an_upload_waits_until_the_last_second_that_it_may(path: Path, pauses: list[float]) -> None:
    most = int(patience.LONGEST_TURN_SECONDS // 7)

    send(Service(*[FULL] * most), path)

    assert len(pauses) == most


def test_another_limit_is_not_waited_for(path: Path, pauses: list[float]) -> None:
    with pytest.raises(CallError, match="enough"):
        send(Service(TOO_MANY_PHOTOS), path)

    assert pauses == []
