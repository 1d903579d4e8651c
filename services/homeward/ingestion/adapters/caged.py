"""The service's side of a cage of ingestion: sends blocks of a file, receives pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.planes import plane_sizes, unstack
from homeward.ingestion.adapters.http_file import BLOCK_BYTES, HttpBlocks
from homeward.ingestion.adapters.pictures import VideoPicture
from homeward.ingestion.adapters.shared_pictures import SHARED_BYTES, SharedPictures
from homeward.ingestion.cage.examining import STAMPS
from homeward.ingestion.cage.messages import (
    Alive,
    Block,
    Decode,
    Done,
    Examination,
    Examine,
    FromCage,
    Go,
    Need,
    Open,
    Picture,
    Room,
    Stop,
)
from homeward.ingestion.footage.limits import COPY_SIDE_PX, MAX_PICTURES, MAX_SIDE_PX, MAX_TRACKS
from homeward.ingestion.scan.faces import Frame
from homeward.servicekit import errors
from homeward.servicekit.cage import (
    Cage,
    CageBrokenError,
    CageLimits,
    CageNotStartedError,
    cage_server,
)
from homeward.servicekit.fork_server import ForkServer
from homeward.servicekit.protections import log_protections

EXAMINING = CageLimits(
    memory_bytes=3 * 1024**3,
    cpu_seconds=600,  # a day of recording takes 20
    silence_seconds=60.0,
    message_bytes=8 * MAX_PICTURES,
)
DECODING = CageLimits(
    memory_bytes=3 * 1024**3,  # a picture of the most pixels, and 16 that others build on
    cpu_seconds=240,  # for each `BUDGET_PICTURES`: a minute of 4K takes 150
    silence_seconds=60.0,
)

BUDGET_PICTURES = 1500
"""Pictures for which a decoder gets its processor time: a minute at 25 a second. A piece without a
key picture may have many more; it is decoded at once, with as many times the time."""

_TICK = timedelta(microseconds=1)
_MODULE = "homeward.ingestion.cage"


def media_cage_server() -> ForkServer:
    """Return what starts `MediaCage`s."""
    return cage_server(_MODULE)


class MediaCage:
    """A cage that reads one file; one thread at a time may use it.

    Each of its calls raises `UnavailableError` if no cage can be started, which no file causes.
    """

    def __init__(self, server: ForkServer, limits: CageLimits) -> None:
        with _startable():
            self._cage = Cage(server, limits, shared_bytes=SHARED_BYTES)
        self._pictures = SharedPictures()

    def log_protections(self) -> None:
        """Log the protections of the process, once it has started."""
        with _startable():
            log_protections(self._cage, "recordings are read")

    def _send(self, task: Examine | Open | Decode, *, times: int = 1) -> None:
        with _startable():
            self._cage.ready()
        self._cage.send_task(task, times=times)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._cage.alive

    def close(self) -> None:
        """End the process."""
        self._cage.close()

    def examine(self, blocks: HttpBlocks) -> tuple[Examination, dict[str, NDArray[np.int64]]]:
        """Examine a file; return the result and the stamps of its pictures.

        Raises:
            CageBrokenError: Reading it broke the cage.
            UnavailableError: The file cannot be reached.
        """
        self._send(Examine(blocks.size))
        while not isinstance(message := self._cage.receive(FromCage), Examination):
            self._answer(message, blocks, stop=False)
        if message.problem:
            return message, {}
        if not _is_sound(message):
            raise self._nonsense()
        arrays = {name: np.frombuffer(self._cage.receive_bytes(), np.int64) for name in STAMPS}
        if any(len(array) != message.count for array in arrays.values()):
            raise self._nonsense()
        return message, arrays

    def open(self, blocks: HttpBlocks, task: Open) -> str:
        """Open a file for decoding; return why that is impossible, or nothing; raises as above."""
        self._send(task)
        while not isinstance(message := self._cage.receive(FromCage), Done):
            self._answer(message, blocks, stop=False)
        return message.problem

    def decode(
        self,
        blocks: HttpBlocks,
        task: Decode,
        arrays: tuple[NDArray[np.int64], ...],
        stopped: Callable[[], bool],
    ) -> Iterator[Frame | Done]:
        """Yield the pictures of a piece of the open file, and at last the end; raises as above."""
        self._send(task, times=math.ceil(len(arrays[0]) / BUDGET_PICTURES))
        for array in arrays:
            self._cage.send_bytes(array.astype(np.int64).tobytes())
        reached = task.start - 1
        while not isinstance(message := self._cage.receive(FromCage), Done):
            if isinstance(message, Picture):
                if not reached < message.time < task.end:  # each picture comes once
                    raise self._nonsense()
                reached = message.time
                if not stopped():
                    yield self._taken(message, small=task.small)
            self._answer(message, blocks, stop=stopped())
        yield message

    def _answer(self, message: FromCage, blocks: HttpBlocks, *, stop: bool) -> None:
        if stop:
            self._cage.send(Stop())
        elif isinstance(message, Need):
            if not 0 <= message.number * BLOCK_BYTES < max(blocks.size, 1):
                raise self._nonsense()
            data = blocks.block(message.number)
            self._cage.send(Block())
            self._cage.send_bytes(data)
        elif isinstance(message, Alive):
            self._cage.send(Go())
        elif isinstance(message, Room) and not 0 < message.size <= SHARED_BYTES // 2:
            raise self._nonsense()
        elif isinstance(message, Room):
            self._cage.send(self._pictures.room(message.size))
        elif isinstance(message, Picture):
            self._cage.send(self._pictures.room())
        else:
            raise self._nonsense()

    def _taken(self, message: Picture, *, small: bool) -> Frame:
        """Return a picture, where it is in the shared memory if there is room for others."""
        sides = (message.width, message.height, message.copy_width, message.copy_height)
        if any(not 2 <= side <= MAX_SIDE_PX or side % 2 for side in sides):  # noqa: PLR2004
            raise self._nonsense()
        most = max(COPY_SIDE_PX, message.width // 2, message.height // 2)
        if max(message.copy_width, message.copy_height) > most:
            raise self._nonsense()
        sizes = [] if small else plane_sizes(message.height, message.width)
        whole = sum(height * width for height, width in sizes)
        part = message.copy_height * message.copy_width * 3 // 2
        data = self._pictures.take(self._cage.shared, whole + part)
        if data is None:
            raise self._nonsense()
        planes, place = [], 0
        for height, width in sizes:
            planes.append(data[place : place + height * width].reshape(height, width))
            place += height * width
        copy = data[place:].reshape(message.copy_height * 3 // 2, message.copy_width)
        return Frame(
            offset=message.time * _TICK,
            picture=VideoPicture(planes or unstack(copy), message.colorspace),
            copy=copy,
            scale=1.0 if small else message.copy_width / message.width,
        )

    def _nonsense(self) -> CageBrokenError:
        return self._cage.refused()


@contextmanager
def _startable() -> Iterator[None]:
    """Raise `UnavailableError` for a cage that does not start."""
    try:
        yield
    except CageNotStartedError as error:
        raise errors.unavailable(
            "decoder", "a process of its own", "see the log of this service"
        ) from error


def _is_sound(facts: Examination) -> bool:
    """Return whether a description is possible: a file may have taken over the cage."""
    sizes = [side for one in facts.tracks for side in (one.width, one.height)]
    numbers = (
        facts.tick,
        facts.rate,
        facts.anchor_share,
        facts.reference_share,
        facts.declared_seconds,
    )
    return (
        1 <= facts.count <= MAX_PICTURES
        and 0 <= facts.first_decoded < facts.count
        and 1 <= len(facts.tracks) <= MAX_TRACKS
        and facts.track in [one.index for one in facts.tracks]
        and all(0 <= side <= MOST_SIDE_PX for side in sizes)
        and all(math.isfinite(number) and number >= 0 for number in numbers)
        and facts.tick > 0
        and 0 <= facts.rest <= facts.size
        and 0 <= facts.damaged <= facts.count
        and all(one.codec.isprintable() for one in facts.tracks)
    )


MOST_SIDE_PX = 1 << 16
"""No codec has more in either direction."""
