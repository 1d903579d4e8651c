"""A recogniser whose templates are measured from where a mean face of their size is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homeward.embedding.ports import FaceRecogniser


@dataclass(frozen=True, slots=True, eq=False)
class Centres:
    """Means of the unit-length templates of many people's faces."""

    photograph: NDArray[np.float32]
    """Of the faces of photographs and of such as cameras see, shape (d,)."""
    camera: Mapping[float, NDArray[np.float32]]
    """Of faces in footage by their widths, pixels, as much of each as is taken off; of the widest
    and all that are wider the last one. Each of shape (d,)."""

    def at(self, widths_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the means for widths, shape (n,), linear in their logarithms, shape (n, d)."""
        known = sorted(self.camera)
        means = np.stack([self.camera[width] for width in known])
        at = np.interp(np.log(widths_px), np.log(known), np.arange(len(known)))
        below = np.minimum(at.astype(int), len(known) - 2)
        part = (at - below)[:, None]
        return np.asarray((1 - part) * means[below] + part * means[below + 1], np.float32)


class CentredRecogniser:
    """Subtracts what the templates of all faces of a size have in common.

    Some recognisers give all faces a common direction, and to small and blurred ones another than
    to clear ones. Two strangers in poor pictures are the more alike for it, and somebody is the
    less alike to a clear photograph of themselves. Without it one threshold fits all sizes.

    Args:
        inner: The recogniser.
        centres: Of its templates.
    """

    def __init__(self, inner: FaceRecogniser, centres: Centres) -> None:
        self._inner = inner
        self._centres = centres

    def embed(
        self, faces: NDArray[np.uint8], widths_px: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return unit-length vectors; see `FaceRecogniser.embed`."""
        centres = self._centres.photograph if widths_px is None else self._centres.at(widths_px)
        vectors = self._inner.embed(faces) - centres
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
