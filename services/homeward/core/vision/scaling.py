"""Smaller copies of pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def shrink(image: NDArray[np.uint8], longest_side: int) -> tuple[NDArray[np.uint8], float]:
    """Return a picture whose sides are at most `longest_side` pixels, and its scale.

    Multiply pixels of `image` by the scale, in (0, 1], to get pixels of the result. A picture that
    is small enough comes back as it is.
    """
    height, width = image.shape[:2]
    scale = min(1.0, longest_side / max(height, width))
    if scale == 1.0:
        return image, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale
