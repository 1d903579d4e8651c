from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.timeline import Spans, Timeline
from homeward.ingestion.scan.coverage import (
    GLITCH,
    NO_PICTURES,
    UNDECODABLE,
    Coverage,
    Unsearched,
    cover,
    parts_within,
    require_sound,
    total,
)
from homeward.ingestion.scan.model import GapReason

many = settings(max_examples=200, deadline=None, derandomize=True)
"""As many examples as find something, and the same ones each time."""

PERIOD = timedelta(seconds=0.2)
TICK = timedelta(microseconds=1)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def span(start: float, end: float) -> Stretch:
    return Stretch(seconds(start), seconds(end))


WHOLE = span(0, 10)


def every(period: float, start: float, end: float) -> list[timedelta]:
    """The times of pictures that were looked at."""
    return [seconds(start + period * n) for n in range(round((end - start) / period))]


def lost(start: float, end: float, detail: str = UNDECODABLE) -> Unsearched:
    return Unsearched(span(start, end), GapReason.UNDECODABLE, detail)


def covered(
    timeline: Timeline,
    looked_at: Sequence[timedelta],
    *,
    stretch: Stretch = WHOLE,
    decoded: Sequence[Stretch] | None = None,
    **how: Any,
) -> Coverage:
    return cover(
        timeline,
        stretch,
        decoded=[stretch] if decoded is None else decoded,
        looked_at=looked_at,
        period=how.pop("period", PERIOD),
        **how,
    )


def test_what_pictures_answer_for_that_were_looked_at_is_searched(make: Any) -> None:
    found = covered(make.timeline(10), every(0.2, 0, 10))

    assert found == Coverage(looked_at=(span(0, 10),))


def test_what_was_not_to_be_decoded_is_passed_over(make: Any) -> None:
    found = covered(make.timeline(10), every(0.2, 4, 6), decoded=[span(4, 6)], stretch=span(0, 10))

    assert found == Coverage(looked_at=(span(4, 6),), passed_over=(span(0, 4), span(6, 10)))


def test_of_what_was_to_be_decoded_and_was_not_looked_at_nothing_is_searched(make: Any) -> None:
    assert covered(make.timeline(10), []) == Coverage(gaps=(lost(0, 10),))


def test_where_no_picture_was_looked_at_there_is_a_gap(make: Any) -> None:
    found = covered(make.timeline(10), [*every(0.2, 0, 4), *every(0.2, 7, 10)])

    assert found == Coverage(looked_at=(span(0, 4), span(7, 10)), gaps=(lost(4, 7),))


def test_a_hole_is_a_gap_whether_it_was_to_be_decoded_or_not(make: Any) -> None:
    half = [number / 25 for number in range(100)]
    timeline = make.timeline_at([*half, *(6 + at for at in half)])
    hole = Unsearched(span(4, 6), GapReason.NO_PICTURES, NO_PICTURES)
    looked_at = [*every(0.2, 0, 4), *every(0.2, 6, 10)]

    assert covered(timeline, looked_at) == Coverage((span(0, 4), span(6, 10)), gaps=(hole,))
    assert covered(timeline, [], decoded=[]) == Coverage(
        passed_over=(span(0, 4), span(6, 10)), gaps=(hole,)
    )


def test_a_picture_that_is_missed_is_no_gap_if_one_came_soon_after_it(make: Any) -> None:
    missed = 0.2 + GLITCH.total_seconds()
    looked_at = [*every(0.2, 0, 4), *every(0.2, 3.8 + missed, 10)]

    assert covered(make.timeline(10), looked_at) == Coverage((span(0, 10),))


def test_a_picture_that_is_missed_for_longer_is_a_gap_from_when_it_was_due(make: Any) -> None:
    later = 3.8 + 0.24 + GLITCH.total_seconds()
    looked_at = [*every(0.2, 0, 4), *every(0.2, later, 10)]

    found = covered(make.timeline(10), looked_at)

    assert found.gaps == (lost(4, later),)


def test_where_pictures_are_rare_each_answers_until_the_next_one(make: Any) -> None:
    slow = make.timeline_at([2.0 * number for number in range(5)])

    assert covered(slow, every(2, 0, 10)) == Coverage((span(0, 10),))


def test_where_pictures_are_rare_one_that_is_missed_is_a_gap(make: Any) -> None:
    slow = make.timeline_at([2.0 * number for number in range(5)])

    found = covered(slow, [seconds(0), seconds(2), seconds(6), seconds(8)])

    assert found == Coverage((span(0, 4), span(6, 10)), gaps=(lost(4, 6),))


def test_a_picture_shown_before_a_stretch_answers_for_its_beginning(make: Any) -> None:
    slow = make.timeline_at([2.0 * number for number in range(5)])

    found = covered(slow, every(2, 2, 8), stretch=span(3, 7))

    assert found == Coverage((span(3, 7),))


def test_pictures_beyond_a_stretch_answer_for_nothing_of_it(make: Any) -> None:
    found = covered(make.timeline(20), every(0.2, 0, 15), decoded=[span(0, 15)])

    assert found == Coverage((span(0, 10),))


def test_a_gap_tells_why_its_decoding_was_ended(make: Any) -> None:
    looked_at = [*every(0.2, 0, 4), *every(0.2, 8, 10)]

    found = covered(make.timeline(10), looked_at, ended=[(span(3, 6), "it crashed")])

    assert found.gaps == (
        Unsearched(span(4, 6), GapReason.DECODER_ENDED, "it crashed"),
        lost(6, 8),
    )
    assert found.looked_at == (span(0, 4), span(8, 10))


def test_what_was_passed_over_is_no_gap_though_decoding_was_ended_there(make: Any) -> None:
    found = covered(make.timeline(10), [], decoded=[], ended=[(span(3, 6), "it crashed")])

    assert found == Coverage(passed_over=(span(0, 10),))


def test_a_window_has_its_part_of_what_was_covered() -> None:
    coverage = Coverage((span(0, 4),), (span(4, 7),), (lost(7, 10),))

    assert coverage.within(span(2, 8)) == Coverage((span(2, 4),), (span(4, 7),), (lost(7, 8),))
    assert coverage.within(span(5, 6)) == Coverage(passed_over=(span(5, 6),))
    assert coverage.duration == seconds(10)


def test_stretches_that_only_touch_a_window_have_no_part_in_it() -> None:
    assert list(parts_within([span(0, 2), span(4, 5)], span(2, 4))) == []


WAITS = st.one_of(
    st.just(40_000),
    st.integers(0, 200_000),
    st.sampled_from([1_000_000, 1_600_000, 2_000_000, 20_000_000]),
)
"""Microseconds from a picture to the next one."""


@st.composite
def searches(draw: Any) -> dict[str, Any]:
    """A timeline, and what was done with a stretch of it: for `_searched`."""
    waits = draw(st.lists(WAITS, min_size=1, max_size=60))
    times = np.cumsum([0, *waits]).tolist()
    last = times[-1] + 40_000
    instants = st.integers(0, last)
    start, end = sorted(draw(st.lists(instants, min_size=2, max_size=2, unique=True)))
    cuts = sorted(draw(st.lists(st.integers(0, last + 15_000_000), max_size=12, unique=True)))
    decoded = {
        "all of it": [(start, end)],
        "some of it": list(zip(cuts[::2], cuts[1::2], strict=False)),
        "groups that follow each other": list(pairwise(cuts)),
    }
    whole = draw(st.booleans())
    return {
        "times": times,
        "hidden": sorted(draw(st.sets(st.integers(1, len(times) - 1), max_size=3))),
        "stretch": (start, end),
        "decoded": decoded[draw(st.sampled_from(sorted(decoded)))],
        "looked_at": times if whole else draw(st.lists(st.sampled_from(times), max_size=40)),
        "ended": draw(st.lists(st.tuples(instants, instants).map(sorted).map(tuple), max_size=3)),
        "period": draw(st.sampled_from([200_000, 40_000, 1_000_000])),
    }


def stretch(edges: Iterable[int]) -> Stretch:
    return Stretch(*(timedelta(microseconds=at) for at in edges))


def parts(coverage: Coverage) -> list[Stretch]:
    return [*coverage.looked_at, *coverage.passed_over, *(gap.stretch for gap in coverage.gaps)]


def searched(make: Any, done: dict[str, Any]) -> tuple[Timeline, Stretch, Coverage]:
    """Return a timeline, a stretch of it and what became of that; within the recording."""
    timeline = make.timeline_at([at / 1e6 for at in done["times"]], hidden=done["hidden"])
    start, end = done["stretch"]
    end = min(end, timeline.duration // TICK)
    asked = stretch((start, max(start + 1, end)))
    coverage = cover(
        timeline,
        asked,
        decoded=[stretch(one) for one in done["decoded"]],
        looked_at=[timedelta(microseconds=at) for at in done["looked_at"]],
        period=timedelta(microseconds=done["period"]),
        ended=[(stretch(one), "it crashed") for one in done["ended"]],
    )
    return timeline, asked, coverage


@given(searches())
@many
def test_searched_and_gaps_are_what_was_asked_for(make: Any, done: dict[str, Any]) -> None:
    _, asked, coverage = searched(make, done)

    assert coverage.duration == asked.duration
    together = Spans.among(parts(coverage))
    np.testing.assert_array_equal(together.edges, Spans.among([asked]).edges)


@given(searches())
@many
def test_no_time_is_counted_twice_and_none_lies_outside(make: Any, done: dict[str, Any]) -> None:
    _, asked, coverage = searched(make, done)

    ordered = sorted(parts(coverage), key=lambda one: one.start)
    assert all(one.start < one.end for one in ordered)
    assert all(one.end <= after.start for one, after in pairwise(ordered))
    assert all(asked.start <= one.start and one.end <= asked.end for one in ordered)


@given(searches())
@many
def test_no_more_is_searched_than_pictures_answer_for(make: Any, done: dict[str, Any]) -> None:
    timeline, asked, coverage = searched(make, done)

    pictured = timeline.pictured & Spans.among([asked])
    found = Spans.among([*coverage.looked_at, *coverage.passed_over])
    assert (found - pictured).total == timedelta()
    holes = [gap.stretch for gap in coverage.gaps if gap.reason is GapReason.NO_PICTURES]
    assert Spans.among(holes).total == asked.duration - pictured.total


@given(searches())
@many
def test_looked_at_is_only_what_was_decoded_and_passed_over_what_was_not(
    make: Any, done: dict[str, Any]
) -> None:
    _, _, coverage = searched(make, done)

    decoded = Spans.among([stretch(one) for one in done["decoded"]])
    assert (Spans.among(coverage.looked_at) - decoded).total == timedelta()
    assert (Spans.among(coverage.passed_over) & decoded).total == timedelta()


@given(searches())
@many
def test_without_a_picture_that_was_looked_at_nothing_is_looked_at(
    make: Any, done: dict[str, Any]
) -> None:
    _, _, coverage = searched(make, {**done, "looked_at": []})

    assert coverage.looked_at == ()


@st.composite
def interrupted(draw: Any) -> dict[str, Any]:
    """A search of all of a recording in which no picture was looked at for a while."""
    waits = draw(st.lists(st.sampled_from([200_000, 1_000_000]), min_size=20, max_size=60))
    times = np.cumsum([0, *waits]).tolist()
    instants = st.integers(0, times[-1])
    start, end = sorted(draw(st.tuples(instants, instants)))
    return {
        "times": times,
        "hidden": [],
        "stretch": (0, times[-1]),
        "decoded": [(0, times[-1])],
        "looked_at": [at for at in times if not start < at < end],
        "ended": [],
        "period": 200_000,
    }


@given(st.one_of(searches(), interrupted()))
@many
def test_time_is_looked_at_only_where_a_picture_that_was_looked_at_answers_for_it(
    make: Any, done: dict[str, Any]
) -> None:
    timeline, _, coverage = searched(make, done)

    shown, last = timeline.shown.tolist(), timeline.duration // TICK
    glitch, looked_at = GLITCH // TICK, done["looked_at"]
    due = [
        min((one for one in shown if one >= at + done["period"]), default=last) for at in looked_at
    ]
    # Until the next one is due, and a glitch more on either side.
    near = [(at - glitch, end + glitch) for at, end in zip(looked_at, due, strict=True)]
    answered = Spans.among([stretch(one) for one in near])
    assert (Spans.among(coverage.looked_at) - answered).total == timedelta()


@given(searches(), st.data())
@many
def test_fewer_pictures_never_search_more(make: Any, done: dict[str, Any], data: Any) -> None:
    some = data.draw(st.lists(st.sampled_from(done["looked_at"] or [0]), max_size=20))
    kept = [at for at in some if at in done["looked_at"]]
    _, _, coverage = searched(make, done)

    _, _, fewer = searched(make, {**done, "looked_at": kept})

    more = Spans.among(fewer.looked_at) - Spans.among(coverage.looked_at)
    assert more.total == timedelta()


@given(searches(), st.data())
@many
def test_one_picture_answers_for_no_more_than_until_the_next_one_is_due(
    make: Any, done: dict[str, Any], data: Any
) -> None:
    at = data.draw(st.sampled_from(done["times"]))
    timeline, _, coverage = searched(make, {**done, "looked_at": [at]})

    shown = [*timeline.shown.tolist(), timeline.duration // TICK]
    due = min((one for one in shown if one >= at + done["period"]), default=shown[-1])
    # A picture that comes a little late is missed by nobody.
    latest = timedelta(microseconds=due) + GLITCH
    assert all(one.end <= latest for one in coverage.looked_at)


@given(searches(), st.data())
@many
def test_windows_that_follow_each_other_add_up_to_the_whole(
    make: Any, done: dict[str, Any], data: Any
) -> None:
    _, asked, coverage = searched(make, done)
    start, end = (at // TICK for at in (asked.start, asked.end))
    middle = data.draw(st.lists(st.integers(start, end), max_size=4))
    borders = sorted({start, *middle, end})

    windows = [stretch(pair) for pair in pairwise(borders)]
    told = [coverage.within(window) for window in windows]

    assert [one.duration for one in told] == [window.duration for window in windows]
    assert sum(map(sums, told), np.zeros(2 + len(GapReason), int)).tolist() == (
        sums(coverage).tolist()
    )


def sums(coverage: Coverage) -> np.ndarray:
    """How much time was looked at, passed over, and not searched for each reason; microseconds."""
    gaps = [
        total(gap.stretch for gap in coverage.gaps if gap.reason is reason) for reason in GapReason
    ]
    return np.array(
        [one // TICK for one in (total(coverage.looked_at), total(coverage.passed_over), *gaps)]
    )


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (Coverage((span(0, 9),)), "searched and gaps are what was asked for"),
        (Coverage((span(0, 6),), (span(5, 9),)), "no time is counted twice"),
        (Coverage((span(1, 11),)), "all of it was asked for"),
        (Coverage((span(0, 5),), (span(5, 10),)), "no more than the time that pictures answer for"),
        (Coverage(passed_over=(span(0, 10),)), "no more than the time that pictures answer for"),
    ],
)
def test_coverage_that_cannot_be_true_is_a_fault(make: Any, told: Coverage, fault: str) -> None:
    half = [number / 25 for number in range(100)]
    timeline = make.timeline_at([*half, *(6 + at for at in half)])

    with pytest.raises(AssertionError, match=fault):
        require_sound(told, timeline, WHOLE)


@pytest.mark.parametrize("of", [[], [span(0, 2), span(5, 6)]])
def test_a_total_is_the_time_of_all(of: list[Stretch]) -> None:
    assert total(of) == sum((one.duration for one in of), timedelta())


def test_a_picture_shown_before_a_stretch_answers_for_its_beginning_only_if_it_was_looked_at(
    make: Any,
) -> None:
    timeline = make.timeline_at([at * 7.0 for at in range(20)])
    stretch = Stretch(timedelta(seconds=60), timedelta(seconds=120))
    looked_at = [timedelta(seconds=at * 7.0) for at in range(9, 17)]  # not at 56 s, shown at 60

    found = cover(
        timeline, stretch, decoded=[stretch], looked_at=looked_at, period=timedelta(seconds=0.2)
    )

    assert [gap.stretch for gap in found.gaps] == [
        Stretch(timedelta(seconds=60), timedelta(seconds=63))
    ]
