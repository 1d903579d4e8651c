from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from homeward.ingestion.adapters.memory import InMemoryPicture
from homeward.ingestion.scan.faces import Box, Portrait, Template
from homeward.ingestion.scan.shots import (
    FIRST_WINDOW,
    MAX_SHOTS,
    SAME_PERSON,
    Shot,
    Shots,
    appearances,
    fuse,
)

PIXELS = np.zeros((112, 112, 3), np.uint8)
PORTRAIT = Portrait(InMemoryPicture(PIXELS), Box(0, 0, 40, 50), ())


def shot(at: float, quality: float = 0.5) -> Shot:
    return Shot(timedelta(seconds=at), quality, Box(0, 0, 40, 50), PORTRAIT, ())


def offer(shots: Shots, taken: Sequence[Shot]) -> Shots:
    for one in taken:
        if shots.wants(one.offset, one.quality):
            shots.add(one)
    return shots


def times(shots: Shots) -> list[float]:
    return sorted(one.offset.total_seconds() for one in shots.best)


def unit(*values: float) -> Template:
    vector = np.array(values, np.float32)
    return Template(vector / np.linalg.norm(vector), "model-1")


def at_cosine(cosine: float) -> Template:
    """A template with this similarity to `unit(1, 0)`."""
    return unit(cosine, float(np.sqrt(1 - cosine**2)))


def test_the_best_picture_of_a_window_wins() -> None:
    shots = offer(Shots(), [shot(0.0, 0.5), shot(0.2, 0.9), shot(0.4, 0.7)])

    assert [(one.offset.total_seconds(), one.quality) for one in shots.best] == [(0.2, 0.9)]


def test_of_equal_pictures_of_a_window_the_first_stays() -> None:
    shots = offer(Shots(), [shot(0.1, 0.5), shot(0.3, 0.5)])

    assert times(shots) == [0.1]


def test_pictures_come_best_first_and_earlier_first_where_equal() -> None:
    shots = offer(Shots(), [shot(0, 0.5), shot(1, 0.9), shot(2, 0.9)])

    assert [one.offset.total_seconds() for one in shots.best] == [1, 2, 0]


def test_pictures_of_different_windows_are_all_kept_up_to_the_most() -> None:
    shots = offer(Shots(), [shot(0.5 * number) for number in range(MAX_SHOTS)])

    assert len(shots.best) == MAX_SHOTS
    assert shots.window == FIRST_WINDOW


def test_windows_double_when_there_are_more_than_the_most() -> None:
    shots = offer(Shots(), [shot(0.5 * number) for number in range(MAX_SHOTS + 1)])

    assert shots.window == 2 * FIRST_WINDOW
    assert times(shots) == [0, 1, 2, 3]


def test_where_windows_become_one_the_better_picture_stays() -> None:
    shots = offer(Shots(), [shot(0.5 * number, 0.1 * number) for number in range(MAX_SHOTS + 1)])

    assert times(shots) == [0.5, 1.5, 2.5, 3.0]


def test_pictures_stay_spread_over_a_long_appearance() -> None:
    shots = offer(Shots(), [shot(0.2 * number, 1 - number / 1000) for number in range(500)])

    quarters = {int(at // 25) for at in times(shots)}
    assert quarters == {0, 1, 2, 3}
    assert len(shots.best) <= MAX_SHOTS


def test_a_worse_picture_is_not_wanted() -> None:
    shots = offer(Shots(), [shot(0.0, 0.5)])

    assert not shots.wants(timedelta(seconds=0.3), 0.4)
    assert shots.wants(timedelta(seconds=0.3), 0.6)
    assert shots.wants(timedelta(seconds=0.5), 0.1)


def test_fusing_one_template_leaves_it() -> None:
    fused = fuse([unit(3, 4)], [0.7])

    np.testing.assert_allclose(fused.values, [0.6, 0.8], atol=1e-6)
    assert fused.model_digest == "model-1"


def test_fusing_weighs_by_quality() -> None:
    fused = fuse([unit(1, 0), unit(0, 1)], [0.9, 0.3])

    assert fused.values[0] / fused.values[1] == pytest.approx(3, rel=1e-5)
    assert np.linalg.norm(fused.values) == pytest.approx(1, abs=1e-6)


def test_fusing_pictures_without_any_quality_weighs_them_alike() -> None:
    fused = fuse([unit(1, 0), unit(0, 1)], [0.0, 0.0])

    np.testing.assert_allclose(fused.values, [np.sqrt(0.5)] * 2, atol=1e-6)


def appearances_of(shots: Sequence[Shot], templates: Sequence[Template]) -> list[Any]:
    return appearances(timedelta(seconds=1), timedelta(seconds=9), shots, templates)


def test_a_track_of_one_person_is_one_appearance_as_long_as_the_track() -> None:
    shots = [shot(2, 0.9), shot(3, 0.8)]

    (only,) = appearances_of(shots, [unit(1, 0), at_cosine(0.7)])

    assert (only.start, only.end) == (timedelta(seconds=1), timedelta(seconds=9))
    assert only.shots == tuple(shots)


def test_a_track_that_jumped_is_split_into_its_people() -> None:
    shots = [shot(2, 0.9), shot(6, 0.8), shot(4, 0.7), shot(8, 0.6)]
    first, second = unit(1, 0, 0), unit(0, 1, 0)

    split = appearances_of(shots, [first, second, first, second])

    spans = [(one.start.total_seconds(), one.end.total_seconds()) for one in split]
    # Half-way between two pictures, of which nobody knows where it jumped; else as the track.
    assert spans == [(1, 5), (5, 9)]
    np.testing.assert_allclose(split[1].fused.values, second.values, atol=1e-6)


@pytest.mark.parametrize(("cosine", "people"), [(SAME_PERSON + 0.01, 1), (SAME_PERSON - 0.01, 2)])
def test_pictures_are_of_one_person_down_to_a_similarity(cosine: float, people: int) -> None:
    split = appearances_of([shot(2), shot(3)], [unit(1, 0), at_cosine(cosine)])

    assert len(split) == people


def test_a_picture_is_compared_with_what_its_person_looks_like_by_then() -> None:
    templates = [unit(1, 0), at_cosine(0.5), at_cosine(-0.2)]

    split = appearances_of([shot(2), shot(3), shot(4)], templates)

    assert [len(one.shots) for one in split] == [3]


def test_a_track_without_pictures_is_no_appearance() -> None:
    assert appearances_of([], []) == []
