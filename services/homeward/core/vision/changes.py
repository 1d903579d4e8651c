"""Which parts of a picture look different from when they were last searched.

A camera that stands still shows the same picture again and again; whoever walks through it changes
a small part. A part that looks as it did when it was searched holds the faces that were found then.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.regions import Region, disjoint

CELL_PX = 8
"""Side of the squares whose mean brightness is compared: a face of 12 pixels, the least that is
looked for, covers one."""

CHANGE = 3.0
"""Grey levels by which a cell's mean has changed. Sensor noise of 5 levels moves the mean of 64
pixels, each of them the mean of four, by 0.3."""

MARGIN_CELLS = 4
"""Searched around what has changed: a detector needs a face's surroundings."""

MOST_REGIONS_AREA = 0.6
"""From this part of the picture on it is searched as a whole."""


class Searched:
    """How each part of a camera's picture looked when it was last searched."""

    def __init__(self) -> None:
        self._means: NDArray[np.float32] | None = None

    def changed(self, grey: NDArray[np.uint8], keep_whole: Sequence[Region]) -> list[Region]:
        """Return the regions to search in the next picture, and take them as searched.

        Args:
            grey: Brightness, shape (height, width), the same for all pictures.
            keep_whole: Faces known so far; none is searched in part.
        """
        height, width = grey.shape
        whole = [Region(0, 0, width, height)]
        means = cell_means(grey)
        before = self._means
        if before is None or before.shape != means.shape:
            self._means = means
            return whole
        regions = _around(np.abs(means - before) >= CHANGE, width, height)
        for face in keep_whole:
            regions = [
                region.joined(face).aligned(width, height) if region.overlaps(face) else region
                for region in regions
            ]
        regions = disjoint(regions)
        if sum(region.area for region in regions) > MOST_REGIONS_AREA * width * height:
            self._means = means
            return whole
        for region in regions:
            cells = np.s_[
                region.top // CELL_PX : -(-region.bottom // CELL_PX),
                region.left // CELL_PX : -(-region.right // CELL_PX),
            ]
            before[cells] = means[cells]
        return regions


def cell_means(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean brightness of each cell, shape (height / CELL_PX, width / CELL_PX), up."""
    height, width = grey.shape
    padded = cv2.copyMakeBorder(
        grey, 0, -height % CELL_PX, 0, -width % CELL_PX, cv2.BORDER_REPLICATE
    )
    size = (padded.shape[1] // CELL_PX, padded.shape[0] // CELL_PX)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.float32)


def _around(changed: NDArray[np.bool_], width: int, height: int) -> list[Region]:
    side = 2 * MARGIN_CELLS + 1
    mask = cv2.dilate(changed.astype(np.uint8), np.ones((side, side), np.uint8))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(mask)
    return [
        Region(x * CELL_PX, y * CELL_PX, (x + across) * CELL_PX, (y + down) * CELL_PX).aligned(
            width, height
        )
        for x, y, across, down, _ in boxes[1:].tolist()  # the first is what has not changed
    ]
