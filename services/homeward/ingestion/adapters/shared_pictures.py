"""Pictures in the memory that a cage and its service share."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.cage.messages import Go

SHARED_BYTES = 320 * 1024**2
"""Half of it is for pictures that are looked at where they are: 41 at 1080p. The other half has
room for one of the most pixels with its copy. Pages are taken as they are used."""

COPIED_FROM = SHARED_BYTES // 2
"""Where a picture is written for which there is no room in the first half: it is copied."""


class SharedPictures:
    """The parts of a shared memory that hold pictures in use.

    A picture is used where the cage wrote it, and its room is free once nothing refers to it. A
    cage that was taken over can change the picture meanwhile; it could as well have written it so.
    """

    def __init__(self) -> None:
        self._given = Go()
        self._held: dict[int, int] = {}
        """Where each begins and ends, in order."""
        self._freed: deque[int] = deque()
        """Where those began that nobody has any more: told of by any thread, at any time."""

    def room(self, size: int = 0) -> Go:
        """Return room for the next picture.

        Args:
            size: Bytes; 0 for as many as were asked for last.
        """
        size = size or self._given.room
        while self._freed:
            del self._held[self._freed.popleft()]
        place = 0
        for start, end in self._held.items():
            if start - place >= size:
                break
            place = end
        fits = place + size <= COPIED_FROM
        self._given = Go(place if fits else COPIED_FROM, size)
        return self._given

    def take(self, shared: Any, size: int) -> NDArray[np.uint8] | None:  # noqa: ANN401 - any buffer
        """Return the bytes that were written to the given room.

        None if the room is smaller, or was used already, which only a cage that was taken over
        does.
        """
        place, room = self._given.place, self._given.room
        if size > room or place in self._held:
            return None
        data = np.frombuffer(shared, np.uint8, size, place)
        if place == COPIED_FROM:
            return data.copy()
        self._held = dict(sorted((self._held | {place: place + size}).items()))
        weakref.finalize(data, self._freed.append, place).atexit = False
        return data
