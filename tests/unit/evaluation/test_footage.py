from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from homeward.evaluation.dataset import Appearance, Clip
from homeward.evaluation.footage import Comparison, Search, searches
from homeward.evaluation.metrics import NOTHING, Bootstrap
from homeward.evaluation.results import footage_report


def clip(*appearances: Appearance) -> Clip:
    return Clip(Path("a.mp4"), appearances, {})


def scored(identity: str, start: float, end: float, score: float) -> Comparison:
    return Comparison(identity, start, end, 40.0, score, score - 0.05, score - 0.1)


def told(found: Sequence[Search]) -> list[tuple[str, float]]:
    return [(one.identity, one.score) for one in found]


def test_the_most_alike_appearance_in_their_time_counts_for_somebody_enrolled() -> None:
    anna = Appearance("anna", 10, 15, (30, 50))
    rows = [scored("anna", 9, 12, 0.4), scored("anna", 12, 15, 0.6), scored("anna", 30, 35, 0.9)]

    (search, stranger) = searches(clip(anna), rows, ["anna"])

    assert (search.identity, search.score, search.fused) == ("anna", 0.6, pytest.approx(0.55))
    assert search.head_px == 40
    assert (stranger.identity, stranger.score) == ("", 0.9)


def test_somebody_enrolled_whom_nobody_followed_is_a_miss() -> None:
    anna = Appearance("anna", 10, 15, (30, 50))

    assert told(searches(clip(anna), [], ["anna"])) == [("anna", NOTHING)]


def test_an_appearance_beside_somebody_enrolled_is_no_strangers() -> None:
    anna = Appearance("anna", 10, 15, (30, 50))
    rows = [scored("berta", 14, 20, 0.7), scored("anna", 14, 20, 0.2)]

    assert told(searches(clip(anna), rows, ["anna", "berta"])) == [("anna", 0.2)]


def test_a_stranger_counts_by_whoever_enrolled_is_most_alike() -> None:
    carla = Appearance("carla", 10, 15, (30, 50))  # not enrolled
    rows = [scored("anna", 10, 15, 0.2), scored("berta", 10, 15, 0.3)]

    assert told(searches(clip(carla), rows, ["anna", "berta"])) == [("", 0.3)]


def test_the_threshold_is_the_least_that_keeps_the_rate() -> None:
    rng = np.random.default_rng(2)
    found = [
        Search("a", "" if number % 2 else f"p{number}", 20.0 + number % 60, *scores)
        for number in range(400)
        for scores in [np.repeat(rng.normal(0.2 if number % 2 else 0.6, 0.1), 3).tolist()]
    ]

    report = footage_report(
        found, recordings=1, gallery_size=9, fpir=0.05, threshold=None, how=Bootstrap(100, 1)
    )

    assert (report.enrolled_appearances, report.strangers_appearances) == (200, 200)
    first = report.curves[0]
    assert first.fpir_there.value <= 0.05
    assert first.fpir.value[first.fpir.at.index(first.threshold) - 1] > 0.05
    assert report.fpir_at_threshold == first.fpir_there
    assert sum(band.fnir[0][1].trials for band in report.bands) == sum(
        one.head_px >= 24 for one in found if one.identity
    )
