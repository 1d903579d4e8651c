"""Eleven seconds of the demo's street, as pictures to make recordings of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.embedded import demo_footage

Pixels = NDArray[np.uint8]

WIDTH, HEIGHT, RATE = 800, 448, 25
"""Faces are 51 pixels high: the demo's 83, made as much smaller as the picture."""

CUT = (0.5, 11.5)
"""Seconds of the demo's street: somebody walks by, nobody is in view, somebody else walks by."""

SECONDS = CUT[1] - CUT[0]
EMPTY = 6.0
"""Nobody is in view here: where recordings are cut and joined, nobody is."""

PEOPLE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Pictures of a street with two walkers, and a portrait of each."""

    pictures: Pixels
    """Planes Y, U and V below each other, shape (pictures, HEIGHT * 3 / 2, WIDTH)."""
    portraits: Sequence[Path]

    def picture(self, second: float) -> Pixels:
        """Return what is to be seen at a second, shape (HEIGHT * 3 / 2, WIDTH)."""
        number = min(round(second * RATE), len(self.pictures) - 1)
        return np.asarray(self.pictures[number], np.uint8)


def write_scene(folder: Path, photo: bytes, boxes: Sequence[demo_footage.FaceBox]) -> Scene:
    """Make the scene of two faces in a photograph.

    Args:
        folder: For the portraits and the footage that the pictures are cut from.
        photo: A picture file.
        boxes: Two faces in it, in the order in which they walk by.
    """
    street = demo_footage.write_street(folder, photo, boxes)
    return Scene(_pictures(street.footage), street.portraits)


def drawn_scene(seconds: float = SECONDS) -> Scene:
    """Return a scene without people: a pattern that moves, for tests that look for nobody."""
    row, column = np.mgrid[0 : HEIGHT * 3 // 2, 0:WIDTH]
    pattern = (row * 2 + column).astype(np.uint8)
    moved = [np.roll(pattern, 4 * number, axis=1) for number in range(round(seconds * RATE))]
    return Scene(np.stack(moved), [])


def _pictures(footage: Path) -> Pixels:
    first, beyond = (round(second * demo_footage.RATE) for second in CUT)
    with av.open(str(footage)) as container:
        frames = [
            frame.to_ndarray(format="bgr24")
            for number, frame in enumerate(container.decode(video=0))
            if first <= number < beyond
        ]
    # The street is 16:9 and the scene a little wider: codecs of blocks of 16 need no crop so.
    scaled = [
        cv2.resize(frame, (WIDTH, WIDTH * 9 // 16), interpolation=cv2.INTER_AREA)[:HEIGHT]
        for frame in frames
    ]
    return np.stack(
        [np.asarray(cv2.cvtColor(one, cv2.COLOR_BGR2YUV_I420), np.uint8) for one in scaled]
    )
