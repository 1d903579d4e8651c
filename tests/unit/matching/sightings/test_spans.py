from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations

import pytest

from homeward.matching.sightings.spans import (
    JOIN_GAP,
    Placement,
    Rejection,
    Span,
    place,
    sighting_id,
)

FOOTAGE, SUBJECT = "footage-1", "subject-1"
TICK = timedelta(microseconds=1)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def span(start: float, end: float, *, rejected: bool = False, settled: bool = False) -> Span:
    name = sighting_id(FOOTAGE, SUBJECT, seconds(start))
    return Span(name, seconds(start), seconds(end), rejected, settled)


def put(
    spans: tuple[Span, ...], start: timedelta, end: timedelta
) -> tuple[tuple[Span, ...], Placement]:
    return place(spans, footage_id=FOOTAGE, subject_id=SUBJECT, start=start, end=end)


def test_a_finding_far_from_others_is_new() -> None:
    ledger, placement = put((span(0, 4),), seconds(10), seconds(14))

    assert placement == Placement(span(10, 14), is_new=True)
    assert ledger == (span(0, 4), span(10, 14))


def test_the_ledger_is_in_the_order_of_time() -> None:
    ledger, _ = put((span(10, 14), span(30, 34)), seconds(20), seconds(24))

    assert ledger == (span(10, 14), span(20, 24), span(30, 34))


@pytest.mark.parametrize(
    ("start", "end", "joined_start", "joined_end"),
    [(12, 20, 10, 20), (5, 12, 5, 14), (11, 12, 10, 14), (5, 20, 5, 20), (10, 14, 10, 14)],
)
def test_a_finding_that_overlaps_lengthens_the_span(
    start: float, end: float, joined_start: float, joined_end: float
) -> None:
    ledger, placement = put((span(10, 14),), seconds(start), seconds(end))

    joined = replace(span(10, 14), start=seconds(joined_start), end=seconds(joined_end))
    assert placement == Placement(joined, is_new=False)
    assert ledger == (joined,)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (seconds(14) + JOIN_GAP, seconds(20)),
        (seconds(5), seconds(10) - JOIN_GAP),
    ],
)
def test_a_finding_exactly_the_gap_away_joins(start: timedelta, end: timedelta) -> None:
    _, placement = put((span(10, 14),), start, end)

    assert placement.is_new is False


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (seconds(14) + JOIN_GAP + TICK, seconds(20)),
        (seconds(5), seconds(10) - JOIN_GAP - TICK),
    ],
)
def test_a_finding_further_than_the_gap_away_is_new(start: timedelta, end: timedelta) -> None:
    _, placement = put((span(10, 14),), start, end)

    assert placement.is_new is True


def test_a_finding_that_bridges_two_makes_them_one_under_the_id_of_the_earlier() -> None:
    ledger, placement = put((span(10, 14), span(20, 24), span(60, 64)), seconds(13), seconds(21))

    absorbed = (span(20, 24).sighting_id,)
    joined = replace(span(10, 14), end=seconds(24), absorbed=absorbed)
    assert placement == Placement(joined, is_new=False, absorbed=absorbed)
    assert ledger == (joined, span(60, 64))


@pytest.mark.parametrize("decision", ["rejected", "settled"])
def test_a_decided_span_takes_findings_in_and_does_not_change(decision: str) -> None:
    decided = replace(span(10, 14), **{decision: True})

    ledger, placement = put((decided,), seconds(12), seconds(30))

    assert placement == Placement(decided, is_new=False)
    assert ledger == (decided,)


def test_a_decided_span_is_preferred_to_an_earlier_one() -> None:
    decided = span(20, 24, rejected=True)
    before = (span(10, 14), decided)

    ledger, placement = put(before, seconds(13), seconds(21))

    assert placement == Placement(decided, is_new=False)
    assert ledger == before


@pytest.mark.parametrize(("start", "end"), [(10, 14), (12, 30), (13, 21), (100, 104), (62, 66)])
def test_placing_the_same_finding_again_changes_nothing(start: float, end: float) -> None:
    before = (span(10, 14), span(20, 24), span(60, 64, settled=True))
    once, first = put(before, seconds(start), seconds(end))

    twice, second = put(once, seconds(start), seconds(end))

    assert twice == once
    # What was taken in is named again: whoever placed it first may have come no further.
    assert second == Placement(first.span, is_new=False, absorbed=first.absorbed)


@pytest.mark.parametrize("findings", list(permutations([(10, 14), (13, 21), (20, 24), (60, 64)])))
def test_the_stretches_are_the_same_whatever_the_order_of_findings(
    findings: tuple[tuple[float, float], ...],
) -> None:
    ledger = reduce(
        lambda spans, finding: put(spans, seconds(finding[0]), seconds(finding[1]))[0],
        findings,
        (),
    )

    assert [(one.start, one.end) for one in ledger] == [
        (seconds(10), seconds(24)),
        (seconds(60), seconds(64)),
    ]


def test_an_id_is_made_of_footage_subject_and_start() -> None:
    ids = {
        sighting_id("f", "s", seconds(1)),
        sighting_id("g", "s", seconds(1)),
        sighting_id("f", "t", seconds(1)),
        sighting_id("f", "s", seconds(1.001)),
    }

    assert len(ids) == 4


def test_an_id_never_changes() -> None:
    assert sighting_id("footage-1", "subject-1", seconds(1.5)) == (
        "c83d8124-b2f4-5413-99a8-36f022b086d9"
    )


REJECTED = datetime(2026, 3, 4, 12, tzinfo=UTC)
"""When the spans below were rejected."""


def rejected(start: float, end: float) -> Span:
    by = Rejection("R. Viewer", REJECTED, REJECTED - timedelta(hours=3))
    return replace(span(start, end, rejected=True), rejection=by)


def look_again(
    spans: tuple[Span, ...], start: float, end: float, *, before: datetime
) -> tuple[tuple[Span, ...], Placement]:
    return place(
        spans,
        footage_id=FOOTAGE,
        subject_id=SUBJECT,
        start=seconds(start),
        end=seconds(end),
        include_rejected_before=before,
    )


def test_what_was_rejected_before_the_search_was_asked_for_is_taken_back() -> None:
    spans, placement = look_again((rejected(10, 14),), 13, 20, before=REJECTED + TICK)

    assert spans == (span(10, 20),)
    assert placement == Placement(span(10, 20), is_new=False)


def test_what_was_rejected_since_the_search_was_asked_for_stays_rejected() -> None:
    held = (rejected(10, 14),)

    spans, placement = look_again(held, 13, 20, before=REJECTED)

    assert spans == held
    assert placement == Placement(held[0], is_new=False)


def test_what_an_earlier_version_rejected_is_taken_back() -> None:
    spans, _ = look_again((span(10, 14, rejected=True),), 13, 20, before=REJECTED)

    assert spans == (span(10, 20),)


def test_a_rejection_that_the_finding_does_not_reach_stays() -> None:
    held = (rejected(10, 14), rejected(60, 64))

    spans, _ = look_again(held, 13, 20, before=REJECTED + TICK)

    assert spans == (span(10, 20), held[1])


def test_a_finding_that_belongs_to_a_confirmed_sighting_takes_no_rejection_back() -> None:
    held = (rejected(10, 14), span(15, 30, settled=True))

    spans, placement = look_again(held, 13, 20, before=REJECTED + TICK)

    assert spans == held
    assert placement == Placement(held[1], is_new=False)


def test_taking_back_again_changes_nothing() -> None:
    once, _ = look_again((rejected(10, 14),), 13, 20, before=REJECTED + TICK)

    again, placement = look_again(once, 13, 20, before=REJECTED + TICK)

    assert again == once
    assert placement == Placement(span(10, 20), is_new=False)
