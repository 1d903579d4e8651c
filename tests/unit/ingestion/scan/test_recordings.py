from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.model import Counts, GapReason, ScanState, Segment, Thoroughness
from homeward.ingestion.scan.recordings import NO_EVIDENCE, ScannedRecording, accounted

START = datetime(2026, 11, 20, 10, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def recording(pieces: int = 6, window: tuple[float, float] | None = None) -> ScannedRecording:
    """One of pieces of ten seconds each, the seventh segment of a scan and those after it."""
    first, last = window or (0, 10 * pieces)
    return ScannedRecording(
        number=2,
        footage_id="footage-1",
        camera_id="cam-1",
        true_start=START,
        first_segment=7,
        pieces=tuple(Stretch(seconds(10 * n), seconds(10 * n + 10)) for n in range(pieces)),
        window=Stretch(seconds(first), seconds(last)),
    )


def searched(segment: Segment, **changes: Any) -> Segment:
    return replace(segment, state=ScanState.SUCCEEDED, looked_at=segment.duration, **changes)


def test_a_segment_is_as_it_was_planned() -> None:
    segment = recording(window=(25, 40)).segment(2)

    assert (segment.recording, segment.number) == (2, 9)
    assert (segment.stretch, segment.asked_for) == (
        Stretch(seconds(20), seconds(30)),
        Stretch(seconds(25), seconds(30)),
    )
    assert recording(window=(25, 40)).segment(3).window is None


def test_a_recording_adds_up_what_came_of_its_segments() -> None:
    held = recording()
    first = searched(
        held.segment(0),
        thoroughness=Thoroughness.GATED,
        counts=Counts(incomparable=2, sizes=FaceSizes.of([12, 30])),
    )
    lost = held.segment(1).given_up(GapReason.GIVEN_UP, "why", START)

    done = held.with_ended(first, 11).with_ended(lost, 15)

    assert done.ended == ((0, 2),)
    assert done.has_added(1, 15)
    assert (done.looked_at, done.sizes.total) == (seconds(10), 2)
    assert done.effort.thoroughness == (Thoroughness.GATED,)
    assert done.incomparable == ((0, 2),)
    assert [gap.duration for gap in done.gaps] == [seconds(10)]
    assert [one.number for one in done.open_segments()] == [9, 10, 11, 12]


@given(ended=st.sets(st.integers(0, 5)), start=st.integers(0, 59), length=st.integers(1, 60))
def test_what_has_ended_and_what_would_be_cancelled_is_what_was_asked_for(
    ended: set[int], start: int, length: int
) -> None:
    held = recording(window=(start, min(start + length, 60)))
    for number in sorted(ended):
        held = held.with_ended(searched(held.segment(number)), number)

    gaps = held.gaps_if_cancelled()

    assert held.looked_at + sum((one.duration for one in gaps), timedelta()) == held.duration
    assert held.duration == held.window.duration
    assert [one.number - 7 for one in held.open_segments()] == sorted(set(range(6)) - ended)
    assert all(held.has_ended(number) is (number in ended) for number in range(6))


@pytest.mark.parametrize("looked_at", [0, 9.9, 10.1])
def test_a_segment_that_does_not_account_for_all_of_it_was_not_searched(looked_at: float) -> None:
    segment = replace(searched(recording().segment(0)), looked_at=seconds(looked_at))

    (gap,) = accounted(segment).gaps

    assert (gap.reason, gap.detail, gap.duration) == (GapReason.GIVEN_UP, NO_EVIDENCE, seconds(10))
