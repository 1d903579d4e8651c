from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from homeward.ingestion.scan.faces import Box, Face, Frame, Portrait

RATE = 25


class PlainImages:
    """`FaceImages` that sees the same scene and the same looks, unless it is told otherwise."""

    def __init__(self) -> None:
        self.scenes: dict[int, NDArray[np.float32]] = {}
        """Of pictures, by their numbers."""
        rng = np.random.default_rng(1)
        self.scene = rng.uniform(0, 255, (18, 32)).astype(np.float32)

    def thumbnail(self, frame: Frame) -> NDArray[np.float32]:
        return self.scenes.get(round(frame.offset.total_seconds() * RATE), self.scene)

    def patch(self, frame: Frame, face: Box) -> NDArray[np.float32]:
        del frame, face
        return np.zeros((8, 6), np.float32)

    def selection_quality(self, frame: Frame, face: Face, *, sharpness: bool) -> float:
        del frame, face, sharpness
        return 0.5

    def portrait(self, frame: Frame, face: Box, others: Sequence[Box]) -> Portrait:
        return Portrait(frame.picture, face, tuple(others))


@pytest.fixture
def images() -> Any:
    return PlainImages()


@pytest.fixture
def picture_at() -> Any:
    """Make the picture with a number."""

    def made(number: int) -> Frame:
        offset = timedelta(seconds=number / RATE)
        return Frame(offset, _Large(), np.zeros((540, 640), np.uint8), 1.0)

    return made


class _Large:
    """A picture of which the size counts."""

    width, height = 640, 360

    def cut(self, region: Any) -> NDArray[np.uint8]:
        return np.zeros((region.bottom - region.top, region.right - region.left, 3), np.uint8)

    def part(self, region: Any) -> _Large:
        del region
        return self
