from __future__ import annotations

import numpy as np
import pytest

from homeward.core.vision.changes import CELL_PX, CHANGE, MARGIN_CELLS, Searched, cell_means
from homeward.core.vision.regions import ALIGNMENT_PX, Region, disjoint

HEIGHT, WIDTH = 272, 480
WHOLE = [Region(0, 0, WIDTH, HEIGHT)]


def street(level: int = 100) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), level, np.uint8)


def with_patch(left: int, top: int, side: int = 16, *, by: int = 60) -> np.ndarray:
    picture = street()
    picture[top : top + side, left : left + side] += np.uint8(by)
    return picture


def test_the_first_picture_is_searched_as_a_whole() -> None:
    assert Searched().changed(street(), []) == WHOLE


def test_a_picture_that_has_not_changed_is_not_searched() -> None:
    searched = Searched()
    searched.changed(street(), [])

    assert searched.changed(street(), []) == []


def test_sensor_noise_is_no_change() -> None:
    rng, searched = np.random.default_rng(1), Searched()
    noisy = [
        np.clip(100 + rng.normal(0, 2.5, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
        for _ in range(9)
    ]

    assert [searched.changed(picture, []) for picture in noisy][1:] == [[]] * 8


def test_what_has_changed_is_searched_with_its_surroundings() -> None:
    searched = Searched()
    searched.changed(street(), [])

    (region,) = searched.changed(with_patch(200, 104), [])

    margin = MARGIN_CELLS * CELL_PX
    assert region.left <= 200 - margin
    assert region.top <= 104 - margin
    assert region.right >= 216 + margin
    assert region.bottom >= 120 + margin
    assert region.area < WIDTH * HEIGHT / 4


def test_regions_lie_on_the_detectors_grid_or_at_the_edge() -> None:
    searched = Searched()
    searched.changed(street(), [])

    (region,) = searched.changed(with_patch(460, 250), [])

    assert (region.left % ALIGNMENT_PX, region.top % ALIGNMENT_PX) == (0, 0)
    assert (region.right, region.bottom) == (WIDTH, HEIGHT)


def test_who_has_gone_is_searched_for_where_they_were_and_where_they_are() -> None:
    searched = Searched()
    searched.changed(with_patch(40, 40), [])

    left, right = sorted(searched.changed(with_patch(400, 200), []), key=lambda region: region.left)

    assert left.holds(48, 48)
    assert right.holds(408, 208)


def test_slow_changes_add_up() -> None:
    searched = Searched()
    searched.changed(street(100), [])

    seen = [searched.changed(street(level), []) for level in (101, 102, 103)]

    assert seen == [[], [], WHOLE]
    assert CHANGE == 3


def test_a_change_of_the_light_is_searched_as_a_whole() -> None:
    searched = Searched()
    searched.changed(street(100), [])

    assert searched.changed(street(150), []) == WHOLE


def test_a_face_that_has_changed_in_part_is_searched_as_a_whole() -> None:
    face = Region(192, 96, 384, 256)
    searched = Searched()
    searched.changed(street(), [])

    (region,) = searched.changed(with_patch(200, 104), [face])

    assert region.joined(face) == region


def test_a_face_apart_from_the_change_is_left_out() -> None:
    searched = Searched()
    searched.changed(street(), [])

    (region,) = searched.changed(with_patch(32, 32), [Region(384, 192, 448, 256)])

    assert region.right < 384


def test_a_picture_of_another_size_is_searched_anew() -> None:
    searched = Searched()
    searched.changed(street(), [])

    other = np.full((136, 240), 100, np.uint8)
    assert searched.changed(other, []) == [Region(0, 0, 240, 136)]


@pytest.mark.parametrize("shape", [(272, 480), (270, 478), (16, 16)])
def test_a_cell_is_the_mean_of_its_pixels(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)

    means = cell_means(picture)

    assert means.shape == (-(-shape[0] // CELL_PX), -(-shape[1] // CELL_PX))
    assert means[0, 0] == pytest.approx(picture[:CELL_PX, :CELL_PX].mean(), abs=0.51)


def test_regions_that_overlap_become_one() -> None:
    chain = [Region(0, 0, 10, 10), Region(20, 0, 30, 10), Region(8, 0, 22, 10)]

    assert disjoint([*chain, Region(50, 0, 60, 10)]) == [
        Region(0, 0, 30, 10),
        Region(50, 0, 60, 10),
    ]
