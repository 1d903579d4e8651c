from __future__ import annotations

import pytest

from homeward.api.common.v1.policy_pb2 import ErrorRate, PolicyFigures
from homeward.api.ingestion.v1.scan_pb2 import ScanCandidate
from homeward.api.matching.v1.sighting_pb2 import Sighting
from homeward.cli import policy_figures


def worth(*, approved: bool = True, enrolled: int = 12) -> PolicyFigures:
    return PolicyFigures(
        approved=approved,
        gallery_size=enrolled,
        expected_fpir=ErrorRate(value=0.01, low=0.005, high=0.02),
        fnir=ErrorRate(value=0.042, low=0.028, high=0.063),
        measured_gallery_size=500,
    )


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        (0.01, "1 in 100"),
        (0.00024, "1 in 4200"),
        (1e-6, "1 in 1000000"),
        (0.3, "1 in 3.3"),
        (0.5, "1 in 2"),
        (1.0, "1 in 1"),
        (0.0, "none"),
    ],
)
def test_a_small_rate_is_told_as_one_in_so_many(rate: float, told: str) -> None:
    assert policy_figures.one_in(ErrorRate(value=rate)) == told


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        ((0.042, 0.028, 0.063), "4.2 % (2.8 to 6.3)"),
        ((0.00021, 0.0, 0.01), "0.021 % (0.0 to 1.0)"),
        ((1.0, 0.995, 1.0), "100.0 % (99.5 to 100.0)"),
    ],
)
def test_a_rate_is_told_with_its_interval(rate: tuple[float, float, float], told: str) -> None:
    value, low, high = rate
    assert policy_figures.percent(ErrorRate(value=value, low=low, high=high)) == told


def test_an_approved_policy_within_its_measurement_has_no_warning() -> None:
    (line,) = policy_figures.sentences("p/1", worth(enrolled=500))
    assert "with 500 people looked for, about 1 in 100 strangers (1 in 200 to 1 in 50)" in line


def test_a_rate_of_which_none_was_measured_is_told_with_how_many_there_may_be() -> None:
    told = worth()
    told.expected_fpir.CopyFrom(ErrorRate(value=0.0, low=0.0, high=0.00028))
    assert "no stranger became a candidate when it was measured; in use, up to 1 in 3600" in (
        policy_figures.expectation(told)
    )


def found(name: str, figures: PolicyFigures) -> Sighting:
    return Sighting(sighting_id=f"{name}-5b5e-4f9e", policy_id="p/1", figures=figures)


def test_after_an_approval_a_sentence_names_the_candidates_that_it_is_about() -> None:
    lines = policy_figures.distinct(
        [
            found("11111111", worth(approved=False)),
            found("22222222", worth()),
            found("33333333", worth(approved=False)),
        ]
    )
    assert [line.partition(": ")[0] for line in lines] == [
        "Policy p/1",
        "For 11111111, 33333333",
    ]
    assert "EVALUATION ONLY" in lines[1]


def test_a_gallery_that_has_outgrown_the_measurement_is_warned_of() -> None:
    _, warning = policy_figures.sentences("p/1", worth(enrolled=501))
    assert warning.startswith("WARNING: policy p/1 was measured with 500 people enrolled, and 501")


def test_a_policy_that_nobody_approved_is_warned_of() -> None:
    assert policy_figures.warnings("p/1", worth(approved=False))[0].startswith("EVALUATION ONLY")


def test_candidates_that_were_found_before_an_approval_are_not_told_as_if_there_was_none() -> None:
    told = policy_figures.warnings("p/1", worth(approved=False), found=True)
    assert "policy p/1 had not been approved by anybody when these candidates were found" in told[0]


def test_nothing_is_expected_when_nobody_is_enrolled() -> None:
    assert policy_figures.sentences("p/1", worth(enrolled=0)) == []


def test_several_candidates_of_a_policy_are_told_once_as_the_gallery_was_largest() -> None:
    told = [found(f"{size}" * 8, worth(enrolled=size)) for size in (3, 5, 4)]
    (line,) = policy_figures.distinct(told)
    assert line.startswith("Policy p/1: with 5 people looked for")


@pytest.mark.parametrize(
    ("rival", "told"),
    [(None, "0.500"), (0.34, "0.500"), (0.36, "0.500 ?"), (0.5, "0.500 ?"), (0.7, "0.500 ?")],
)
def test_a_score_is_marked_where_somebody_else_is_nearly_as_alike(
    rival: float | None, told: str
) -> None:
    assert policy_figures.score(Sighting(score=0.5, rival_score=rival)) == told
    assert policy_figures.score(ScanCandidate(score=0.5, rival_score=rival)) == told
