from __future__ import annotations

import random

import pytest

from homeward.core.promise import Comparison, Interval, Outcomes, Verdict, compare, wilson

PROMISED = Interval(0.001, 0.0005, 0.002)


@pytest.mark.parametrize(
    ("count", "trials", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_those_that_were_published(
    count: int, trials: int, low: float, high: float
) -> None:
    made = wilson(count, trials)

    assert (round(made.low, 4), round(made.high, 4)) == (low, high)


def test_the_interval_holds_the_true_rate_nearly_as_often_as_it_says() -> None:
    rng = random.Random(7)
    rates = [wilson(sum(rng.random() < 0.02 for _ in range(400)), 400) for _ in range(1000)]

    assert 0.92 < sum(one.low <= 0.02 <= one.high for one in rates) / 1000 < 0.985


@pytest.mark.parametrize(
    ("wrong", "not_judged", "verdict"),
    [
        (2, 0, Verdict.KEPT),
        (2, 30, Verdict.NOT_BROKEN),
        (20, 0, Verdict.NOT_BROKEN),
        (28, 0, Verdict.NOT_BROKEN),
        (29, 0, Verdict.BROKEN),
        (31, 900, Verdict.BROKEN),
    ],
)
def test_a_promise_is_broken_when_chance_does_not_explain_it(
    wrong: int, not_judged: int, verdict: Verdict
) -> None:
    assert Comparison(10_000, wrong, not_judged, PROMISED).verdict is verdict


def test_without_comparisons_or_a_promise_nothing_is_said() -> None:
    assert Comparison(0, 0, 0, PROMISED).verdict is Verdict.UNKNOWN
    assert Comparison(100, 50, 0, None).verdict is Verdict.UNKNOWN


def test_more_candidates_than_appearances_are_a_rate_of_one() -> None:
    observed = Comparison(3, 5, 0, PROMISED).observed

    assert observed is not None
    assert observed.value == 1


def test_what_was_promised_is_the_mean_over_the_candidates() -> None:
    made = compare(
        1000,
        [
            Outcomes(wrong=2, open=1, promised=Interval(0.01, 0.005, 0.02), promised_count=3),
            Outcomes(wrong=1, open=4, promised=Interval(0.03, 0.025, 0.04), promised_count=1),
            Outcomes(wrong=5, open=0),
        ],
        in_force=PROMISED,
    )

    assert (made.compared, made.wrong, made.open) == (1000, 8, 5)
    assert made.promised is not None
    bounds = (made.promised.value, made.promised.low, made.promised.high)
    assert bounds == pytest.approx((0.015, 0.01, 0.025))


STRICT, LOOSE = Interval(0.001, 0.0005, 0.002), Interval(0.2, 0.1, 0.3)


def of(policy_id: str, wrong: int, *, right: int = 0, promised: Interval = STRICT) -> Outcomes:
    return Outcomes(wrong, 0, promised, wrong + right, policy_id=policy_id)


def test_a_policy_that_lists_many_hides_no_broken_promise_of_another() -> None:
    loose = of("loose", 0, right=200, promised=LOOSE)

    assert compare(1000, [of("strict", 20), loose], in_force=None).verdict is Verdict.BROKEN
    # What one policy listed on several days is one.
    days = [of("strict", 2) for _ in range(10)]
    assert compare(1000, [*days, loose], in_force=None).verdict is Verdict.BROKEN


def test_a_promise_is_kept_if_that_of_each_policy_is() -> None:
    loose = of("loose", 8, right=200, promised=LOOSE)
    strict = of("strict", 0, right=1)

    # How many of the 1,000 were compared by which policy is not known.
    assert compare(1000, [strict, loose], in_force=None).verdict is Verdict.NOT_BROKEN
    assert compare(100_000, [strict, loose], in_force=None).verdict is Verdict.KEPT


@pytest.mark.parametrize("in_force", [PROMISED, None])
def test_without_candidates_the_promise_is_that_of_the_policy_in_force(
    in_force: Interval | None,
) -> None:
    assert compare(1000, [], in_force=in_force).promised == in_force
