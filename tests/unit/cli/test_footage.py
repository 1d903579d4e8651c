"""Short ids of recordings: only the cameras and the day that an id begins with are listed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from homeward.api.ingestion.v1 import camera_pb2, camera_service_pb2, footage_pb2
from homeward.api.ingestion.v1 import footage_service_pb2 as service
from homeward.cli import ids
from homeward.cli.errors import CliError

ID = "cam-1-20261120t100000000000z-0123456789abcdef"
OTHER = "cam-10-20261121t100000000000z-0123456789abcdef"


class Server:
    """Answers with two recordings, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def ListCameras(self, request: Any) -> Any:  # noqa: N802 - as gRPC names it
        del request
        names = ("cam-1", "cam-10", "gate")
        return camera_service_pb2.ListCamerasResponse(
            cameras=[camera_pb2.Camera(camera_id=name) for name in names]
        )

    def ListFootage(self, request: Any) -> Any:  # noqa: N802 - as gRPC names it
        self.asked.append(request)
        held = [footage_pb2.Footage(footage_id=one) for one in (ID, OTHER)]
        return service.ListFootageResponse(footage=held)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(ids, "FootageServiceStub", lambda _: server)
    monkeypatch.setattr(ids, "CameraServiceStub", lambda _: server)
    return server


@pytest.fixture
def session() -> Any:
    return SimpleNamespace(connections=SimpleNamespace(channel=lambda _: None))


def test_a_whole_id_is_not_looked_up(server: Server, session: Any) -> None:
    assert ids.full_footage_id(session, ID) == ID
    assert server.asked == []


@pytest.mark.parametrize(
    ("given", "cameras"),
    [
        (ID[:-1], ["cam-1"]),
        ("cam-1-2026", ["cam-1"]),
        ("cam-10-2026", ["cam-10"]),
        ("cam-1-20261120t", ["cam-1"]),
    ],
)
def test_only_recordings_of_the_camera_are_looked_through(
    server: Server, session: Any, given: str, cameras: list[str]
) -> None:
    assert ids.full_footage_id(session, given) in (ID, OTHER)
    assert [list(one.camera_ids) for one in server.asked] == [cameras]


def test_only_the_day_of_an_id_is_looked_through(server: Server, session: Any) -> None:
    ids.full_footage_id(session, "cam-1-20261120t10")

    (asked,) = server.asked
    assert asked.interval.start_time.ToJsonString() == "2026-11-20T00:00:00Z"
    assert asked.interval.end_time.ToJsonString() == "2026-11-21T00:00:00Z"


def test_what_names_no_whole_day_is_looked_for_on_all(server: Server, session: Any) -> None:
    ids.full_footage_id(session, "cam-1-2026112")

    assert not server.asked[0].HasField("interval")


@pytest.mark.usefixtures("server")
def test_what_names_a_day_that_there_is_not_is_found_nowhere(session: Any) -> None:
    with pytest.raises(CliError, match="begins with cam-1-20261320t"):
        ids.full_footage_id(session, "cam-1-20261320t")


def test_the_id_of_no_camera_is_told_without_looking(server: Server, session: Any) -> None:
    with pytest.raises(CliError, match="begins with door-1-2026"):
        ids.full_footage_id(session, "door-1-2026")

    assert server.asked == []
