from __future__ import annotations

import numpy as np

from homeward.core.vision.scaling import shrink


def test_shrink_bounds_the_longest_side_and_tells_the_scale() -> None:
    copy, scale = shrink(np.zeros((1000, 2000, 3), np.uint8), 500)

    assert (copy.shape, scale) == ((250, 500, 3), 0.25)


def test_shrink_leaves_a_small_picture_as_it_is() -> None:
    picture = np.zeros((10, 20, 3), np.uint8)

    copy, scale = shrink(picture, 500)

    assert copy is picture
    assert scale == 1


def test_shrink_keeps_at_least_one_pixel() -> None:
    copy, _ = shrink(np.zeros((1, 2000, 3), np.uint8), 100)

    assert copy.shape == (1, 100, 3)
