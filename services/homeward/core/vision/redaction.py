"""Making faces unrecognisable, in stills and in moving pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.regions import Region

BLUR_MARGIN = 0.35
"""How far beyond a face it is blurred, in parts of its size: hair and ears identify too."""

STILL_CELLS = 6
"""A face blurred in a still is this many cells across: no recogniser finds anything in it."""

MOVING_CELLS = 4
"""As `STILL_CELLS`, of moving pictures: from many pictures of a face that moves against its cells,
finer ones can be worked out."""

PICTURE_CELLS = (16, 9)
"""Cells across and down of a picture that is blurred as a whole."""


def blurred(image: NDArray[np.uint8], cells: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture of which only so many cells across and down are left.

    Args:
        image: BGR, shape (height, width, 3), with at least one pixel.
        cells: Across and down.
    """
    height, width = image.shape[:2]
    few = cv2.resize(image, cells, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def blur(image: NDArray[np.uint8], region: Region, *, cells: int) -> None:
    """Blur a part of a picture in place.

    Args:
        image: BGR, shape (height, width, 3).
        region: May reach beyond it.
        cells: Across and down.
    """
    height, width = image.shape[:2]
    rows = slice(max(0, region.top), max(0, min(height, region.bottom)))
    columns = slice(max(0, region.left), max(0, min(width, region.right)))
    part = image[rows, columns]
    if part.size:
        image[rows, columns] = blurred(part, (cells, cells))
