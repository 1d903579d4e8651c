"""Reference faces as a camera sees them: small, moving, noisy and compressed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FACE_WIDTHS_PX = (20.0, 28.0, 40.0)
"""Widths of the face in the three pictures."""

NOISE = 5.0
"""Standard deviation of the sensor's noise, grey levels."""

JPEG_QUALITY = 60

ALIGNED_FACE_WIDTHS = 1.4
"""Width of an aligned face, in widths of the face as a detector bounds it."""

_MOTION = np.array([[0.25, 0.5, 0.25]], np.float32)
"""How a point is smeared that moves by two pixels to the side while a frame is exposed."""

_SEED = 0


def as_cameras_see(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an aligned face as it would come out if a camera had seen it from farther away.

    Always the same for the same face.

    Args:
        face: Aligned, shape (side, side, 3).

    Returns:
        One for each of `FACE_WIDTHS_PX`, each of the size of `face`, shape (3, side, side, 3).
    """
    random = np.random.default_rng(_SEED)
    return np.stack([_seen(face, width, random) for width in FACE_WIDTHS_PX])


def _seen(
    face: NDArray[np.uint8], width_px: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    side = round(width_px * ALIGNED_FACE_WIDTHS)
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    moved = cv2.filter2D(small, -1, _MOTION, borderType=cv2.BORDER_REPLICATE)
    noise = random.normal(0, NOISE, (side, side, 1))
    noisy = np.clip(moved.astype(np.float32) + noise, 0, 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done, "a picture with pixels encodes"
    stored = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(
        cv2.resize(stored, face.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8
    )
