"""Pictures and the faces in them, in memory alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.regions import Region


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle, pixels of the picture that it is in."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle, as x and y."""
        return self.x + self.width / 2, self.y + self.height / 2

    def moved(self, right: float, down: float) -> Box:
        """Return the rectangle so much further on."""
        return Box(self.x + right, self.y + down, self.width, self.height)

    def scaled(self, factor: float) -> Box:
        """Return the rectangle in a picture that is `factor` times as large."""
        return Box(self.x * factor, self.y * factor, self.width * factor, self.height * factor)


class Picture(Protocol):
    """The pixels of a decoded picture, as recorded; its size is even."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    def cut(self, region: Region) -> NDArray[np.uint8]:
        """Return a part of it, BGR, shape (height, width, 3)."""

    def part(self, region: Region) -> Picture:
        """Return a part of it, of even borders, which does not hold on to the rest."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture of a recording."""

    offset: timedelta
    """From the recording's first picture, by its presentation time stamp."""
    picture: Picture
    copy: NDArray[np.uint8]
    """A copy of bounded size to look for faces on: planes Y, U, V below each other (I420), shape
    (height * 3 / 2, width), both even."""
    scale: float
    """Pixels of the copy per pixel of the picture, in (0, 1]."""

    @property
    def grey(self) -> NDArray[np.uint8]:
        """Brightness of the copy, shape (height, width)."""
        return self.copy[: self.copy.shape[0] * 2 // 3]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a picture, in pixels of the picture as recorded."""

    box: Box
    landmarks: NDArray[np.float32]
    """Eyes, nose tip, mouth corners; pairs from left to right in the picture; shape (5, 2)."""
    detector_score: float
    """In [0, 1]; higher is surer."""


def nearest(box: Box, faces: Iterable[Face]) -> Face | None:
    """Return the face whose middle is nearest to a box's, if it is within half of its width."""
    x, y = box.centre

    def distance(face: Face) -> float:
        return math.hypot(face.box.centre[0] - x, face.box.centre[1] - y)

    found = min(faces, key=distance, default=None)
    return found if found is not None and distance(found) <= box.width / 2 else None


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A person's surroundings in a picture, to make a still of when it comes to that."""

    picture: Picture
    face: Box
    """Of the person, pixels of `picture`."""
    others: tuple[Box, ...]
    """Of all other faces; they may lie outside of it."""
    behind: tuple[Box, ...] = ()
    """Where others may be who are not found in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A face as a vector, shape (d,), unit length."""

    values: NDArray[np.float32]
    model_digest: str
