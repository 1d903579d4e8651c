"""A recogniser whose templates are measured from where a mean face is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeward.embedding.ports import FaceRecogniser


class Centred:
    """Subtracts what the templates of all faces have in common.

    Some recognisers give all faces, and the more so small and blurred ones, a common direction:
    strangers then are the more alike the worse their pictures are, and a threshold that fits poor
    pictures is too high for good ones. Without that direction they are nearer to being alike by
    chance alone.

    Args:
        inner: The recogniser.
        centre: Mean of the unit-length templates of many people's faces, shape (d,).
    """

    def __init__(self, inner: FaceRecogniser, centre: NDArray[np.float32]) -> None:
        self._inner = inner
        self._centre = centre

    def embed(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit-length vectors, shape (n, d), of aligned faces, BGR, shape (n, s, s, 3)."""
        vectors = self._inner.embed(faces) - self._centre
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
