"""Pictures as video decoders leave them: planes Y, U and V, the latter two of half the size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.regions import Region


def plane_sizes(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Return the shapes of the planes of a picture of even size."""
    half = (height // 2, width // 2)
    return (height, width), half, half


def stack(planes: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return planes of a picture of even size as one array, I420: shape (height * 3 / 2, width)."""
    height, width = planes[0].shape
    return np.concatenate([plane.reshape(-1) for plane in planes]).reshape(height * 3 // 2, width)


def unstack(stacked: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the planes that `stack` was given, as views."""
    height, width = stacked.shape[0] * 2 // 3, stacked.shape[1]
    flat, luma = stacked.reshape(-1), height * width
    half = (height // 2, width // 2)
    colours = flat[luma:].reshape(2, *half)
    return [flat[:luma].reshape(height, width), colours[0], colours[1]]


def within(planes: Sequence[NDArray[np.uint8]], region: Region) -> list[NDArray[np.uint8]]:
    """Return a part of a picture, of even borders, as views."""
    luma, *colours = planes
    half = np.s_[region.top // 2 : region.bottom // 2, region.left // 2 : region.right // 2]
    return [
        luma[region.top : region.bottom, region.left : region.right],
        *(colour[half] for colour in colours),
    ]
