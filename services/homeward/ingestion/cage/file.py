"""The file, as a cage reads it: block by block from the service."""

from __future__ import annotations

import io
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import av.error

from homeward.ingestion.adapters.http_file import BLOCK_BYTES
from homeward.ingestion.cage.messages import Alive, Block, Go, Need, Picture, Room, Stop, ToCage
from homeward.servicekit.cage import CageDoor

KEPT_BLOCKS = 3
"""A demuxer goes back and forth between the index and the pictures."""

ALIVE_SECONDS = 2.0


class StoppedError(Exception):
    """The service has ended the task."""


@contextmanager
def damage_ignored() -> Iterator[None]:
    """Go on after what FFmpeg cannot read; a lack of memory is no damage of the file."""
    try:
        yield
    except MemoryError:  # FFmpeg's own is one of its errors as well
        raise
    except av.error.FFmpegError:
        pass


class Service:
    """The service, from inside of a cage: gives blocks, takes pictures.

    Args:
        door: To the service.
    """

    def __init__(self, door: CageDoor) -> None:
        self.door = door
        self._room = Go()
        """Where the next picture may be written."""
        self._unanswered = 0
        """Pictures, requests for room and signs of life."""
        self._heard = time.monotonic()

    def block(self, number: int) -> bytes:
        """Return a block of the file."""
        self.door.send(Need(number))
        while not isinstance(self._answer(), Block):
            pass
        return self.door.receive_bytes()

    def room(self, size: int) -> memoryview:
        """Wait for so many bytes of the shared memory."""
        while self._unanswered:
            self._answer()
        if self._room.room < size:
            self._ask(Room(size))
        assert self.door.shared is not None, "whoever decodes has memory to share"
        place, self._room = self._room.place, Go()
        return memoryview(self.door.shared)[place : place + size]

    def give(self, picture: Picture) -> None:
        """Say that a picture is in its room."""
        self.door.send(picture)
        self._unanswered += 1
        self._heard = time.monotonic()

    def still_at_it(self) -> None:
        """Send a sign of life from time to time, and stop when the service says so."""
        if time.monotonic() - self._heard >= ALIVE_SECONDS:
            self._ask(Alive())

    def _ask(self, message: Room | Alive) -> None:
        self.door.send(message)
        self._unanswered += 1
        while self._unanswered:
            self._answer()

    def _answer(self) -> ToCage:
        answer: ToCage = self.door.receive(ToCage)
        self._heard = time.monotonic()
        if isinstance(answer, Stop):
            raise StoppedError
        if isinstance(answer, Go):
            self._unanswered -= 1
            if answer.room:
                self._room = answer
        return answer


class CagedFile(io.RawIOBase):
    """A seekable, read-only file that the service holds.

    Args:
        service: Gives its blocks.
        size: Bytes.
    """

    def __init__(self, service: Service, size: int) -> None:
        super().__init__()
        self.service = service
        self._size = size
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, fewer at the end of a block; all that are left if negative."""
        if size is None or size < 0:
            return self.readall()
        number, start = divmod(self._position, BLOCK_BYTES)
        if self._position >= self._size or size == 0:
            return b""
        data = self._block(number)[start : start + size]
        self._position += len(data)
        return data

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self.service.block(number)
        self._blocks.move_to_end(number)
        while len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return self._blocks[number]
