"""Follow faces through the pictures of a recording, so that a person is one appearance.

The pictures are a fifth of a second apart, and a passer-by moves by more than a face's width in
that time, so rectangles need not overlap. Of two people who walk one behind the other, the second
is then nearer to where the first one was than that one is. So a face continues the track that it is
nearest to in place and in looks: each has a patch, a few grey levels of head and shoulders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.scan.faces import Box, Face

LOST_AFTER = timedelta(seconds=0.7)
"""A track not seen for this long has ended. Somebody who is hidden for longer becomes a second
appearance, which their sighting takes in; somebody else who takes their place must not become the
same one."""

TAIL = timedelta(seconds=15)
"""How far a segment follows people who are in view at its end, so that they are one appearance."""

MAX_LENGTH = timedelta(seconds=12)
"""A longer track is cut. When it has jumped between people, each of them still has pictures."""

MAX_JUMP = 1.2
"""Farthest that a face may be from its predicted place, as a multiple of its size, whatever its
looks."""

MAX_ALIKE_JUMP = 3.0
"""Farthest that one may be which looks as before."""

ALIKE = 14.0
"""Mean difference of two patches, grey levels, up to which they look the same. Of one person in
successive pictures 95 % differ by less than 13, of two people 5 % by less than 11 and half by less
than 23 (groups of two to eight who cross, six recordings of `bench/street.py`, 2026-11-28)."""

LEVELS_PER_SIZE = 10.0
"""A difference of so many grey levels weighs as much as a face's size of distance. On these six
recordings, 108 people, tracks change between people 406 times by place alone and 36 times by both;
people come to 580 and 50 tracks more than one each."""

MAX_SCALE = 1.8
"""Most that a face may grow or shrink from one sight to the next."""

CUT_CORRELATION = 0.3
"""Thumbnails of successive pictures less correlated than this show different scenes: up to 0.20 at
the cuts of a film, 0.36 and more where a hand-held camera moves, 0.67 and more on fixed cameras."""

MIN_CONTRAST = 4.0
"""Least standard deviation, in grey levels, of a thumbnail that can be told from another one."""

T = TypeVar("T")

Patch = NDArray[np.float32]
"""Grey levels, 0 to 255, of somebody's head and shoulders; the same small shape for everybody."""


@dataclass(slots=True)
class Track(Generic[T]):
    """A face followed so far.

    Attributes:
        start: When it was first seen.
        end: When it was last seen.
        box: Where it was last seen.
        patch: What it looked like lately.
        kept: What the caller keeps of it.
    """

    start: timedelta
    end: timedelta
    box: Box
    patch: Patch
    kept: T
    velocity: tuple[float, float] = (0.0, 0.0)
    sights: int = 1

    def predicted(self, at: timedelta) -> tuple[float, float]:
        """Return where its middle should be, if it goes on as it did."""
        seconds = (at - self.end).total_seconds()
        x, y = self.box.centre
        return x + self.velocity[0] * seconds, y + self.velocity[1] * seconds

    def follow(self, at: timedelta, box: Box, patch: Patch) -> None:
        """Take a new sight in."""
        seconds = (at - self.end).total_seconds()
        (x0, y0), (x1, y1) = self.box.centre, box.centre
        if seconds > 0:
            measured = ((x1 - x0) / seconds, (y1 - y0) / seconds)
            weight = 1.0 if self.sights == 1 else 0.5  # smooth, but believe the first step
            self.velocity = (
                self.velocity[0] + weight * (measured[0] - self.velocity[0]),
                self.velocity[1] + weight * (measured[1] - self.velocity[1]),
            )
        self.end, self.box = at, box
        self.patch = (self.patch + patch) / np.float32(2)
        self.sights += 1


@dataclass(slots=True)
class Tracker(Generic[T]):
    """Assigns the faces of one picture after the other to tracks."""

    open: list[Track[T]] = field(default_factory=list)

    def assign(
        self, at: timedelta, faces: Sequence[Face], patches: Sequence[Patch]
    ) -> list[Track[T] | None]:
        """Continue tracks with the faces of the next picture.

        The nearest pairs are joined first, so that the result does not depend on any order.

        Args:
            at: When the picture was taken; later than the one before.
            faces: The faces in it.
            patches: Of each.

        Returns:
            For each face the track that it continues, or None when it begins a new one (`begin`).
        """
        pairs = sorted(
            (cost, track_number, face_number)
            for track_number, track in enumerate(self.open)
            for face_number, (face, patch) in enumerate(zip(faces, patches, strict=True))
            if (cost := _cost(track, at, face.box, patch)) < math.inf
        )
        assigned: list[Track[T] | None] = [None] * len(faces)
        taken: set[int] = set()
        for _, track_number, face_number in pairs:
            if track_number not in taken and assigned[face_number] is None:
                taken.add(track_number)
                assigned[face_number] = self.open[track_number]
                self.open[track_number].follow(at, faces[face_number].box, patches[face_number])
        return assigned

    def begin(self, at: timedelta, box: Box, patch: Patch, kept: T) -> Track[T]:
        """Begin a track."""
        track = Track(start=at, end=at, box=box, patch=patch, kept=kept)
        self.open.append(track)
        return track

    def ended(self, at: timedelta) -> list[Track[T]]:
        """Return the tracks that have ended by now, or are cut, and let go of them."""
        held, self.open = self.open, []
        gone: list[Track[T]] = []
        for track in held:
            over = at - track.end > LOST_AFTER or at - track.start > MAX_LENGTH
            (gone if over else self.open).append(track)
        return gone

    def finish(self) -> list[Track[T]]:
        """Return all tracks that are still open, and let go of them."""
        gone, self.open = self.open, []
        return gone


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Tell whether two successive pictures show different scenes, so that no track goes on.

    Args:
        before: Thumbnail of the first, grey levels 0 to 255, shape (height, width).
        after: Thumbnail of the second, of the same shape.
    """
    first, second = before - before.mean(), after - after.mean()
    spread = float(first.std()), float(second.std())
    if min(spread) < MIN_CONTRAST:
        return False
    return float((first * second).mean()) < CUT_CORRELATION * spread[0] * spread[1]


def _cost(track: Track[T], at: timedelta, box: Box, patch: Patch) -> float:
    """Return how little a face goes with a track, in sizes of a face; infinite if it cannot be."""
    size, last = math.hypot(box.width, box.height), math.hypot(track.box.width, track.box.height)
    if max(size, last) > MAX_SCALE * min(size, last):
        return math.inf
    scale = (size + last) / 2
    x, y = box.centre
    # A track of one sight has no direction yet: it may also have moved from where it was.
    places = [track.predicted(at), track.box.centre]
    apart = min(math.hypot(x - px, y - py) for px, py in places) / scale
    if apart > MAX_ALIKE_JUMP:  # most pairs of a crowd, and patches take longest to compare
        return math.inf
    difference = float(np.abs(track.patch - patch).mean())
    if apart > MAX_JUMP and difference > ALIKE:
        return math.inf
    return apart + difference / LEVELS_PER_SIZE
