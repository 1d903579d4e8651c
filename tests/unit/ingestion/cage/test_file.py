from __future__ import annotations

import io
from typing import Any

import pytest

from homeward.ingestion.adapters.http_file import BLOCK_BYTES
from homeward.ingestion.cage.file import KEPT_BLOCKS, CagedFile, Service, StoppedError
from homeward.ingestion.cage.messages import Alive, Block, Go, Need, Picture, Room, Stop

CONTENT = bytes(range(256)) * (5 * BLOCK_BYTES // 2 // 256) + b"the end"


class FakeDoor:
    """The service's end: gives the blocks of a file, and answers as it is told to."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self._content = content
        self.said: list[Any] = []
        self.answers: list[Any] = []
        """What is answered before a block is given."""
        self.shared = bytearray(16)

    def send(self, message: object) -> None:
        self.said.append(message)

    def receive(self, _: object) -> Any:
        return self.answers.pop(0) if self.answers else Block()

    def receive_bytes(self) -> bytes:
        start = self.asked_for[-1] * BLOCK_BYTES
        return self._content[start : start + BLOCK_BYTES]

    @property
    def asked_for(self) -> list[int]:
        return [one.number for one in self.said if isinstance(one, Need)]


@pytest.fixture
def door() -> Any:
    return FakeDoor()


@pytest.fixture
def file(door: Any) -> CagedFile:
    return CagedFile(Service(door), len(CONTENT))


def test_a_file_is_read_as_it_is(file: CagedFile) -> None:
    assert file.readall() == CONTENT


def test_reading_goes_on_where_it_stopped(file: CagedFile) -> None:
    assert (file.read(3), file.read(3), file.tell()) == (CONTENT[:3], CONTENT[3:6], 6)


@pytest.mark.parametrize(
    ("offset", "whence", "position"),
    [
        (10, io.SEEK_SET, 10),
        (-7, io.SEEK_END, len(CONTENT) - 7),
        (2, io.SEEK_CUR, 6),
        (-100, io.SEEK_CUR, 0),
    ],
)
def test_seeking_moves(file: CagedFile, offset: int, whence: int, position: int) -> None:
    file.read(4)

    assert file.seek(offset, whence) == position
    assert file.read(5) == CONTENT[position : position + 5]


def test_reading_beyond_the_end_gives_nothing(file: CagedFile) -> None:
    file.seek(10, io.SEEK_END)

    assert file.read(5) == b""


def test_what_was_read_lately_is_not_asked_for_again(file: CagedFile, door: Any) -> None:
    file.readall()
    file.seek(0)
    file.readall()

    assert door.asked_for == [0, 1, 2]
    assert KEPT_BLOCKS >= 3


def test_an_empty_file_is_read_as_empty(door: Any) -> None:
    assert CagedFile(Service(door), 0).read(10) == b""
    assert door.said == []


PICTURE = Picture(0, 2, 2, 2, 2, 0)


def test_room_for_the_first_picture_is_asked_for(door: Any) -> None:
    door.answers = [Go(place=4, room=6)]

    room = Service(door).room(6)

    assert door.said == [Room(6)]
    room[:] = b"pixels"
    assert bytes(door.shared) == bytes(4) + b"pixels" + bytes(6)


def test_the_next_picture_goes_to_the_room_that_the_service_gives(door: Any) -> None:
    service = Service(door)
    door.answers = [Go(0, 6), Go(8, 6)]
    service.room(6)
    service.give(PICTURE)

    service.room(6)[:] = b"pixels"

    assert door.said == [Room(6), PICTURE]
    assert bytes(door.shared[8:14]) == b"pixels"


def test_more_room_is_asked_for_where_a_picture_is_larger(door: Any) -> None:
    service = Service(door)
    door.answers = [Go(0, 4), Go(4, 4), Go(8, 8)]
    service.room(4)
    service.give(PICTURE)

    assert len(service.room(8)) == 8
    assert door.said == [Room(4), PICTURE, Room(8)]


def test_room_may_be_given_while_a_block_is_waited_for(door: Any) -> None:
    service = Service(door)
    door.answers = [Go(0, 4), Go(4, 4), Block()]
    service.room(4)
    service.give(PICTURE)

    assert service.block(1) == CONTENT[BLOCK_BYTES : 2 * BLOCK_BYTES]
    assert len(service.room(4)) == 4
    assert door.said == [Room(4), PICTURE, Need(1)]


def test_a_stop_ends_whatever_is_waited_for(door: Any) -> None:
    door.answers = [Stop()]

    with pytest.raises(StoppedError):
        Service(door).block(0)


def test_the_service_hears_now_and_then_of_a_task_without_pictures(
    door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 1.9, 2.1, 2.1])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    service = Service(door)
    door.answers = [Go()]

    service.still_at_it()
    before = list(door.said)
    service.still_at_it()

    assert (before, door.said) == ([], [Alive()])
