"""Bring a face into the position that the recogniser was trained on."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

ALIGNED_SIDE = 112
"""Side of an aligned face, pixels."""

ALIGNMENT_VERSION = "arcface-5pt-similarity-112/1"
"""Change it whenever `align` gives other pixels for a face."""

_TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where ArcFace (Deng et al., CVPR 2019) puts eyes, nose and mouth corners in 112 x 112 pixels."""


def similarity_transform(
    source: NDArray[np.floating], target: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the rotation, uniform scale and shift that best take `source` to `target`.

    Least squares: with centred points as complex numbers, the factor z that minimises
    `sum |z * p - q|^2` is `sum conj(p) * q / sum |p|^2`. Never mirrors. In the plane, that is the
    solution of Umeyama (IEEE PAMI 13(4), 1991) without its singular value decomposition.

    Args:
        source: Points, shape (n, 2), n at least 2, not all the same.
        target: Their counterparts, shape (n, 2).

    Returns:
        Matrix of shape (2, 3), as `cv2.warpAffine` takes it.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centred = (source - source_mean) @ (1, 1j)
    target_centred = (target - target_mean) @ (1, 1j)
    factor = np.vdot(source_centred, target_centred) / np.vdot(source_centred, source_centred).real
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def align(
    image: NDArray[np.uint8], landmarks: NDArray[np.floating], side: int = ALIGNED_SIDE
) -> NDArray[np.uint8]:
    """Cut a face out of a picture, upright and at the recogniser's scale.

    What lies outside of the picture comes out black. A face more than twice the size of the result
    is first shrunk by pixel area, because sampling it bilinearly would alias.

    Args:
        image: Picture, shape (height, width, 3).
        landmarks: Eye, eye, nose tip, mouth corner, mouth corner, each pair from left to right;
            pixels of `image`, shape (5, 2).
        side: Side of the result, pixels.

    Returns:
        Aligned face, shape (side, side, 3), channels as in `image`.
    """
    target = _TEMPLATE * (side / ALIGNED_SIDE)
    points = np.asarray(landmarks, np.float64)
    matrix = similarity_transform(points, target)
    # A face of exactly ten times the size is shrunk by ten, whichever way its scale was rounded.
    shrink = int(1 / max(math.hypot(matrix[0, 0], matrix[1, 0]), 1e-6) + 1e-6)
    if shrink >= 2:  # noqa: PLR2004 - "twice", above
        image, origin = _surroundings(image, matrix, side)
        image = np.asarray(_shrunk(image, shrink), np.uint8)
        matrix = similarity_transform((points - origin + 0.5) / shrink - 0.5, target)
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR), np.uint8)


def _surroundings(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the part of the picture that the result shows, and its top left corner (x, y)."""
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float64)
    outline = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    height, width = image.shape[:2]
    left, top = np.clip(outline.min(axis=0).astype(int) - 1, 0, [width - 1, height - 1])
    right, bottom = np.clip(
        outline.max(axis=0).astype(int) + 2, [left + 1, top + 1], [width, height]
    )
    return image[top:bottom, left:right], np.array([left, top], np.float64)


def _shrunk(image: NDArray[np.uint8], factor: int) -> cv2.typing.MatLike:
    height, width = (-(-length // factor) for length in image.shape[:2])
    # Padded to whole blocks, so that each output pixel is the mean of factor x factor input pixels.
    padded = cv2.copyMakeBorder(
        image,
        0,
        height * factor - image.shape[0],
        0,
        width * factor - image.shape[1],
        cv2.BORDER_REPLICATE,
    )
    return cv2.resize(padded, (width, height), interpolation=cv2.INTER_AREA)
