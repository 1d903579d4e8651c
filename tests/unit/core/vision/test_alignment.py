from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from homeward.core.vision.alignment import ALIGNED_SIDE, align, similarity_transform

TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


def smooth_picture(side: int) -> np.ndarray:
    noise = np.random.default_rng(7).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def test_similarity_transform_recovers_rotation_scale_and_shift() -> None:
    angle, scale, shift = 0.4, 2.5, np.array([30.0, -7.0])
    linear = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )

    matrix = similarity_transform(TEMPLATE, TEMPLATE @ linear.T + shift)

    np.testing.assert_allclose(matrix, np.column_stack([linear, shift]), atol=1e-9)


def test_similarity_transform_never_mirrors() -> None:
    mirrored = TEMPLATE * [-1.0, 1.0]

    matrix = similarity_transform(TEMPLATE, mirrored)

    assert np.linalg.det(matrix[:, :2]) > 0


def test_align_leaves_a_face_in_the_template_position_as_it_is() -> None:
    picture = smooth_picture(ALIGNED_SIDE)

    aligned = align(picture, TEMPLATE)

    np.testing.assert_array_equal(aligned, picture)


def test_align_gives_the_side_that_is_asked_for() -> None:
    aligned = align(smooth_picture(200), TEMPLATE, side=96)

    assert aligned.shape == (96, 96, 3)


def test_align_paints_what_lies_outside_of_the_picture_black() -> None:
    aligned = align(np.full((112, 112, 3), 255, np.uint8), TEMPLATE - [112.0, 0.0])

    assert aligned[:, :110].max() == 0


@pytest.mark.parametrize("factor", [1, 2, 3, 8])
def test_align_shows_the_same_part_at_every_resolution(factor: int) -> None:
    picture = smooth_picture(150)
    enlarged = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)

    aligned = align(enlarged, (TEMPLATE + 20.5) * factor - 0.5)

    expected = align(picture, TEMPLATE + 20)
    assert np.abs(aligned.astype(int) - expected).mean() < 2


def test_align_does_not_alias_a_face_much_larger_than_the_result() -> None:
    stripes = np.zeros((1120, 1120, 3), np.uint8)
    stripes[:, ::2] = 255

    aligned = align(stripes, TEMPLATE * 10)

    assert aligned[5:-5, 5:-5].std() < 3
