from __future__ import annotations

import cv2
import numpy as np
import pytest
from degrading import FACE_WIDTHS_PX, NOISE, as_cameras_see


def face(seed: int = 1) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    return cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC)


def test_a_face_is_seen_at_several_sizes() -> None:
    seen = as_cameras_see(face())

    assert (seen.shape, seen.dtype) == ((len(FACE_WIDTHS_PX), 112, 112, 3), np.uint8)


def test_the_same_face_is_always_seen_alike() -> None:
    np.testing.assert_array_equal(as_cameras_see(face()), as_cameras_see(face()))


def test_the_smaller_a_face_is_seen_the_less_of_it_is_left() -> None:
    given = face().astype(float)

    lost = [np.abs(one - given).mean() for one in as_cameras_see(face()).astype(float)]

    assert lost == sorted(lost, reverse=True)
    assert lost[-1] > 5


def test_edges_are_smeared_to_the_side_as_of_somebody_who_walks() -> None:
    across, down = np.zeros((112, 112, 3), np.uint8), np.zeros((112, 112, 3), np.uint8)
    across[:, 56:] = down[56:] = 200

    smeared, sharp = (
        int(np.abs(np.diff(seen[-1].astype(float).mean(axis=2), axis=axis)).max())
        for seen, axis in ((as_cameras_see(across), 1), (as_cameras_see(down), 0))
    )

    assert smeared < 0.8 * sharp


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_plain_face_is_noisy_and_no_brighter(grey: int) -> None:
    seen = as_cameras_see(np.full((112, 112, 3), grey, np.uint8)).astype(float)

    assert np.abs(seen.mean() - grey) < NOISE
    assert seen.std() > (0.5 if grey == 128 else 0.1)
