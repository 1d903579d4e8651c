from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from homeward.core.policy import fpir_at
from homeward.evaluation import metrics
from homeward.evaluation.metrics import NOTHING, THRESHOLDS, Bootstrap, Photographs

HOW = Bootstrap(draws=200, seed=1)


def tail(threshold: float, mean: float, deviation: float) -> float:
    """Probability that a normal variate is above a threshold."""
    return 0.5 * math.erfc((threshold - mean) / deviation / math.sqrt(2))


def at(threshold: float) -> int:
    return int(np.argmin(np.abs(THRESHOLDS - threshold)))


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_enrolled_and_a_stranger(drawn: Callable[..., Photographs], *, seed: int) -> None:
    photos = drawn(30, 3)

    one = metrics.draw(photos, gallery_size=12, rng=np.random.default_rng(seed))

    enrolled = set(one.mated_person.tolist())
    strangers = set(one.other_person.tolist())
    assert len(enrolled) == 12
    assert len(strangers) == 18
    assert not enrolled & strangers


def test_an_enrolled_photograph_is_no_search(drawn: Callable[..., Photographs]) -> None:
    one = metrics.draw(drawn(30, 3), gallery_size=12, rng=np.random.default_rng(1))

    assert len(one.mated_score) == 12 * 2
    assert len(one.other_score) == 18 * 3


def test_what_cannot_be_enrolled_is_searched_for_only(drawn: Callable[..., Photographs]) -> None:
    photos = drawn(30, 3)
    photos = replace(photos, enrollable=photos.identity >= 10)

    for seed in range(10):
        one = metrics.draw(photos, gallery_size=12, rng=np.random.default_rng(seed))
        assert one.mated_person.min() >= 10


def test_with_everybody_enrolled_there_is_nobody_to_be_falsely_found(
    drawn: Callable[..., Photographs],
) -> None:
    with pytest.raises(ValueError, match="nobody left"):
        metrics.draw(drawn(30, 3), gallery_size=30, rng=np.random.default_rng(1))


def test_rates_are_those_that_the_scores_were_drawn_with(drawn: Callable[..., Photographs]) -> None:
    found = metrics.open_set(drawn(200, 3), HOW, gallery_size=50)

    # Of 50 comparisons with others none may be above; of the own one it must be.
    false = 1 - (1 - tail(0.4, 0.1, 0.1)) ** 50
    assert found.fpir.value[at(0.4)] == pytest.approx(false, abs=0.02)
    assert found.fnir.value[at(0.6)] == pytest.approx(1 - tail(0.6, 0.7, 0.1), abs=0.03)
    for curve in (found.fpir, found.fnir):
        assert (curve.low <= curve.value).all()
        assert (curve.value <= curve.high).all()


def test_a_larger_gallery_makes_more_false_positives_as_foretold(
    drawn: Callable[..., Photographs],
) -> None:
    photos = drawn(200, 2)
    small = metrics.open_set(photos, HOW, gallery_size=25)
    large = metrics.open_set(photos, HOW, gallery_size=100)

    foretold = fpir_at(float(small.fpir.value[at(0.4)]), gallery_size=25, now=100)
    assert large.fpir.value[at(0.4)] == pytest.approx(foretold, rel=0.15)


def test_intervals_hold_what_another_data_set_shows(drawn: Callable[..., Photographs]) -> None:
    found = metrics.open_set(drawn(100, 3), HOW, gallery_size=40)
    truth = 1 - tail(0.6, 0.7, 0.1)

    assert found.fnir.low[at(0.6)] < truth < found.fnir.high[at(0.6)]


def test_the_same_seed_gives_the_same_figures(drawn: Callable[..., Photographs]) -> None:
    photos = drawn(40, 2)
    one, two = (metrics.open_set(photos, HOW, gallery_size=15) for _ in range(2))

    assert (one.fpir.low == two.fpir.low).all()
    assert (one.fnir.high == two.fnir.high).all()


def test_no_error_is_not_taken_for_certainty(drawn: Callable[..., Photographs]) -> None:
    found = metrics.open_set(drawn(60, 2, genuine=0.95, impostor=-0.1), HOW, gallery_size=20)

    index = at(0.5)
    assert found.fpir.value[index] == 0
    # 40 strangers, none falsely found: the rule of three.
    assert found.fpir.high[index] == pytest.approx(1 - 0.05 ** (1 / 40))


def test_whoever_has_no_face_is_a_miss_and_no_false_positive(
    drawn: Callable[..., Photographs],
) -> None:
    photos = drawn(30, 3)
    blind = np.arange(90) % 3 == 2
    scores = photos.similarity.copy()
    scores[blind, :] = scores[:, blind] = NOTHING
    photos = Photographs(photos.identity, scores, ~blind)

    one = metrics.draw(photos, gallery_size=12, rng=np.random.default_rng(1))

    assert (one.mated_score == NOTHING).sum() == 12
    assert (one.other_score == NOTHING).sum() == 18


def test_the_operating_point_is_the_least_threshold_that_keeps_the_rate(
    drawn: Callable[..., Photographs],
) -> None:
    found = metrics.open_set(drawn(100, 2), HOW, gallery_size=40)
    index = metrics.operating_point(found, 0.05)

    assert found.fpir.value[index] <= 0.05 < found.fpir.value[index - 1]


def test_a_threshold_has_the_false_match_rate_that_was_asked_for() -> None:
    scores = np.arange(1000) / 1000

    threshold = metrics.threshold_at_fmr(scores, 0.01)

    assert (scores >= threshold).mean() == 0.01


def test_verification_compares_each_two_photographs_once(
    drawn: Callable[..., Photographs],
) -> None:
    found = metrics.verification(drawn(10, 3))

    assert len(found.genuine) == 10 * 3
    assert len(found.genuine) + len(found.impostor) == 30 * 29 // 2


def test_the_share_above_a_threshold_counts_what_is_at_it() -> None:
    scores = np.array([0.1, 0.5, 0.5, 0.9])

    shares = metrics.share_above(scores, np.array([0.0, 0.5, 0.6, 1.0]), np.ones(4))

    assert shares.tolist() == [1.0, 0.75, 0.25, 0.0]
