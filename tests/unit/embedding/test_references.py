from __future__ import annotations

import numpy as np

from homeward.embedding.references import CLEAR_WEIGHT, reference
from homeward.vision.degrading import FACE_WIDTHS_PX, as_cameras_see


class Told:
    """A recogniser whose template of the first face is one direction, and of all others another."""

    def embed(self, faces: np.ndarray) -> np.ndarray:
        self.faces = faces
        return np.array([[1, 0]] + [[0, 1]] * (len(faces) - 1), np.float32)


def test_a_reference_is_the_photograph_and_what_cameras_make_of_it() -> None:
    face = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    recogniser = Told()

    template = reference(recogniser, face)

    expected = np.array([CLEAR_WEIGHT, len(FACE_WIDTHS_PX)])
    np.testing.assert_allclose(template, expected / np.linalg.norm(expected), rtol=1e-6)
    np.testing.assert_array_equal(recogniser.faces[0], face)
    np.testing.assert_array_equal(recogniser.faces[1:], as_cameras_see(face))
