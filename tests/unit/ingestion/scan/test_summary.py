from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.faces import Box
from homeward.ingestion.scan.model import (
    Counts,
    FootageEffort,
    Gap,
    GapReason,
    Scan,
    ScanPlan,
    ScanScope,
    ScanState,
    ScanSummary,
    Segment,
    Thoroughness,
)
from homeward.ingestion.scan.recordings import ScannedRecording, accounted, merged
from homeward.ingestion.scan.summary import LiveScan, added, detailed, summarise
from homeward.ingestion.scan.waiting import Waiting
from homeward.servicekit import records
from homeward.servicekit.keyvalue import Stored

START = datetime(2026, 11, 20, 10, tzinfo=UTC)
LATER = datetime(2026, 11, 21, 9, tzinfo=UTC)
ID = "cam-1-20261120t100000000000z-0123456789abcdef"


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def told_of(
    *given: Segment,
    planned: int | None = None,
    cancelled: bool = False,
    planning: bool = False,
    sightings: int = 0,
) -> ScanSummary:
    """What is told about a scan of some segments, each camera's of one recording, added up.

    `planned` is how many segments the plan counts, if those given are not all.
    """
    recordings = []
    live = LiveScan(sighting_ids=dict.fromkeys(map(str, range(sightings))))
    for name in dict.fromkeys(one.camera_id for one in given):
        first, own = len(live.segments), [one for one in given if one.camera_id == name]
        for number, one in enumerate(own, first):
            placed = replace(one, number=number, recording=len(recordings))
            live.segments[number] = Stored(placed, number + 1)
        recordings.append(
            ScannedRecording(
                number=len(recordings),
                footage_id=own[0].footage_id,
                camera_id=name,
                true_start=own[0].true_start,
                first_segment=first,
                pieces=tuple(one.stretch for one in own),
                window=Stretch(own[0].asked_for.start, own[-1].asked_for.end),
            )
        )
    live.plan = ScanPlan(
        recordings=len(recordings),
        segments=len(given) if planned is None else planned,
        total=sum((one.duration for one in given), timedelta()),
        complete=not planning,
    )
    scan = Scan("scan-1", ScanScope(), LATER, cancelled=cancelled)
    live.segments = {
        number: one
        for number, one in live.segments.items()
        if one.value.state is not ScanState.PENDING
    }
    kept = [one.value for one in live.segments.values()]
    for number, stored in list(live.segments.items()):
        if stored.value.state.ended:
            live.tally = added(live.tally, accounted(stored.value), stored.revision)
            del live.segments[number]
    return detailed(summarise(scan, live), recordings, kept)


def searched(segment: Segment, **changes: Any) -> Segment:
    done = replace(
        segment, state=ScanState.SUCCEEDED, update_time=LATER, looked_at=segment.duration
    )
    return replace(done, **changes)


def test_a_box_scales_about_the_origin() -> None:
    assert Box(10, 20, 30, 40).scaled(0.5) == Box(5, 10, 15, 20)


def test_the_centre_of_a_box_is_its_middle() -> None:
    assert Box(10, 20, 30, 40).centre == (25, 40)


def test_footage_ends_when_its_last_picture_does(make: Any) -> None:
    assert make.footage(60).end_time == START + seconds(60)


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        (ScanState.PENDING, False),
        (ScanState.RUNNING, False),
        (ScanState.SUCCEEDED, True),
        (ScanState.FAILED, True),
        (ScanState.CANCELLED, True),
    ],
)
def test_a_state_is_a_last_one_or_not(state: ScanState, *, ended: bool) -> None:
    assert state.ended is ended


@pytest.mark.parametrize(
    ("state", "position", "done"),
    [
        (ScanState.PENDING, None, 0),
        (ScanState.RUNNING, 30, 10),
        (ScanState.SUCCEEDED, 30, 40),
        (ScanState.FAILED, None, 40),
    ],
)
def test_a_segment_is_done_up_to_its_position_and_whole_when_ended(
    make: Any, state: ScanState, position: float | None, done: float
) -> None:
    segment = make.segment(20, 60, state=state, position=position and seconds(position))

    assert segment.done == seconds(done)


def test_a_gap_is_told_in_true_time(make: Any) -> None:
    lost = Stretch(seconds(25), seconds(27))

    gap = make.segment(20, 60).gap_over(lost, GapReason.UNDECODABLE, "damaged")

    assert (gap.start_time, gap.duration) == (START + seconds(25), seconds(2))
    assert (gap.reason, gap.detail) == (GapReason.UNDECODABLE, "damaged")


def test_a_segment_of_a_window_is_as_long_as_the_window(make: Any) -> None:
    segment = make.segment(0, 60, window=(20, 50))

    assert (segment.stretch, segment.asked_for, segment.duration) == (
        Stretch(seconds(0), seconds(60)),
        Stretch(seconds(20), seconds(50)),
        seconds(30),
    )


@pytest.mark.parametrize(
    ("position", "done"), [(None, 0), (10, 0), (20, 0), (35, 15), (50, 30), (60, 30)]
)
def test_of_a_window_what_lies_in_it_is_done(
    make: Any, position: float | None, done: float
) -> None:
    running = make.segment(
        0,
        60,
        window=(20, 50),
        state=ScanState.RUNNING,
        position=None if position is None else seconds(position),
    )

    assert running.done == seconds(done)


def test_of_a_window_what_was_asked_for_is_given_up(make: Any) -> None:
    segment = make.segment(0, 60, window=(20, 50), looked_at=10, passed_over=5)

    ended = segment.given_up(GapReason.GIVEN_UP, "because", LATER)

    assert [(gap.start_time, gap.duration) for gap in ended.gaps] == [
        (START + seconds(20), seconds(30))
    ]
    assert (ended.searched, ended.done) == (seconds(0), seconds(30))


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (GapReason.CANCELLED, ScanState.CANCELLED),
        (GapReason.GIVEN_UP, ScanState.FAILED),
        (GapReason.FOOTAGE_GONE, ScanState.FAILED),
    ],
)
def test_a_segment_that_is_given_up_is_one_gap(
    make: Any, reason: GapReason, state: ScanState
) -> None:
    segment = make.segment(20, 60).given_up(reason, "because", LATER)

    assert (segment.state, segment.update_time) == (state, LATER)
    assert [(gap.duration, gap.reason, gap.detail) for gap in segment.gaps] == [
        (seconds(40), reason, "because")
    ]


def test_counts_add_up() -> None:
    total = Counts(1, 2, 3, 4, 5, sizes=FaceSizes.of([9])) + Counts(
        10, 20, 30, 40, 50, sizes=FaceSizes.of([30])
    )

    assert total == Counts(11, 22, 33, 44, 55, sizes=FaceSizes.of([9, 30]))


def test_a_scan_tells_how_wide_faces_were_in_all_and_by_camera(make: Any) -> None:
    counts = [Counts(sizes=FaceSizes.of(widths)) for widths in ([12, 30], [20], [], [40])]
    cameras = ["gate", "gate", "yard", "door"]
    segments = tuple(
        replace(searched(make.segment(0, 30, counts=count)), camera_id=camera)
        for count, camera in zip(counts, cameras, strict=True)
    )

    summary = told_of(*segments)

    assert summary.counts.sizes == FaceSizes.of([12, 20, 30, 40])
    assert summary.camera_sizes == (
        ("door", FaceSizes.of([40])),
        ("gate", FaceSizes.of([12, 20, 30])),
    )


def test_counts_of_an_earlier_version_have_no_sizes() -> None:
    held = records.decode(b'{"frames": 3, "incomparable": 2}', Counts)

    assert (held.sizes.total, held.sizes.median) == (0, 0)


def test_a_scan_is_pending_until_a_scanner_begins(make: Any) -> None:
    summary = told_of(make.segment(0, 30), make.segment(30, 60))

    assert (summary.state, summary.end_time) == (ScanState.PENDING, None)
    assert (summary.total, summary.done, summary.searched) == (seconds(60), seconds(0), seconds(0))


def test_a_scan_runs_while_some_of_it_is_not_ended(make: Any) -> None:
    begun = make.segment(30, 60, state=ScanState.RUNNING, position=seconds(35))

    summary = told_of(make.segment(0, 30), begun)

    assert (summary.state, summary.segments_done) == (ScanState.RUNNING, 0)
    # It is dealt with, and only counts as searched once its evidence is complete.
    assert (summary.done, summary.searched) == (seconds(5), seconds(0))


def test_a_scan_waits_for_what_a_segment_has_waited_for_longest_that_has_not_ended(
    make: Any,
) -> None:
    def since(second: int) -> Waiting:
        return Waiting("embedding", f"host-{second}", make.now + seconds(second), "it is away")

    waiting = [since(5), since(3), None, since(4)]
    running = [make.segment(0, 30, state=ScanState.RUNNING, waiting=one) for one in waiting]
    over = searched(make.segment(0, 30, waiting=since(1)))

    assert told_of(*running, over).waiting == since(3)
    assert told_of(over).waiting is None


def test_a_segment_of_an_earlier_version_waits_for_nothing(make: Any) -> None:
    kept = json.loads(records.encode(make.segment()))
    kept.pop("waiting", None)

    assert records.decode(json.dumps(kept).encode(), Segment).waiting is None


def test_a_scan_runs_while_some_of_its_segments_are_not_known(make: Any) -> None:
    summary = told_of(searched(make.segment(0, 30)), planned=2)

    assert (summary.state, summary.end_time) == (ScanState.RUNNING, None)


def test_a_scan_has_not_succeeded_before_all_of_its_scope_is_planned(make: Any) -> None:
    summary = told_of(searched(make.segment(0, 30)), planning=True)

    assert (summary.state, summary.planning, summary.end_time) == (ScanState.RUNNING, True, None)


def test_a_scan_of_nothing_that_was_left_has_failed() -> None:
    assert told_of().state is ScanState.FAILED


def test_what_scanners_gave_back_is_in_hand_of_nobody(make: Any) -> None:
    given_back = make.segment(30, 60, handed_back=1)

    summary = told_of(searched(make.segment(0, 30)), given_back, cancelled=True)

    assert summary.state is ScanState.CANCELLED


def test_a_scan_succeeds_when_its_last_segment_ends(make: Any) -> None:
    first = searched(make.segment(0, 30), counts=Counts(frames=150))
    last = replace(
        searched(make.segment(30, 60), counts=Counts(frames=140)), update_time=LATER + seconds(9)
    )

    summary = told_of(first, last)

    assert (summary.state, summary.end_time) == (ScanState.SUCCEEDED, LATER + seconds(9))
    assert (summary.segments_done, summary.segment_count, summary.footage_count) == (2, 2, 1)
    assert summary.counts.frames == 290
    assert summary.searched == seconds(60)


def test_a_gap_is_dealt_with_but_not_searched(make: Any) -> None:
    segment = make.segment(0, 60)
    lost = Stretch(seconds(10), seconds(25))
    gap = segment.gap_over(lost, GapReason.UNDECODABLE, "damaged")

    summary = told_of(searched(segment, gaps=(gap,), looked_at=seconds(45)))

    assert summary.state is ScanState.SUCCEEDED
    assert (summary.done, summary.searched) == (seconds(60), seconds(45))
    assert summary.gaps == (gap,)


def test_what_was_looked_at_and_passed_over_is_told_apart(make: Any) -> None:
    first = searched(make.segment(0, 30), looked_at=seconds(10), passed_over=seconds(20))
    second = searched(make.segment(30, 60), looked_at=seconds(5), passed_over=seconds(25))

    summary = told_of(first, second)

    assert (summary.looked_at, summary.passed_over, summary.searched) == (
        seconds(15),
        seconds(45),
        seconds(60),
    )


def test_a_scan_whose_footage_was_passed_over_on_evidence_succeeds(make: Any) -> None:
    quiet = searched(make.segment(0, 60), looked_at=seconds(0), passed_over=seconds(60))

    assert told_of(quiet).state is ScanState.SUCCEEDED


def test_a_scan_of_a_window_adds_up_to_the_window(make: Any) -> None:
    segments = (
        searched(make.segment(0, 30, window=(20, 30))),
        make.segment(30, 60, window=(30, 35)).given_up(GapReason.GIVEN_UP, "why", LATER),
    )

    summary = told_of(*segments)

    assert (summary.total, summary.done, summary.searched) == (
        seconds(15),
        seconds(15),
        seconds(10),
    )
    assert [gap.duration for gap in summary.gaps] == [seconds(5)]


def test_an_ended_scan_tells_how_each_recording_was_searched(make: Any) -> None:
    first = searched(
        make.segment(0, 30, thoroughness=Thoroughness.GATED),
        looked_at=seconds(10),
        passed_over=seconds(20),
    )
    second = searched(make.segment(30, 60, thoroughness=Thoroughness.PRESENCE))
    gone = make.segment(60, 90).given_up(GapReason.GIVEN_UP, "why", LATER)

    summary = told_of(first, second, gone)

    assert summary.efforts == (
        FootageEffort(
            make.footage().footage_id,
            looked_at=seconds(40),
            passed_over=seconds(20),
            thoroughness=(Thoroughness.GATED, Thoroughness.PRESENCE),
            true_start=START,
        ),
    )


def gap(start: float, end: float, **changes: Any) -> Gap:
    lost = Gap("footage-1", START + seconds(start), START + seconds(end), GapReason.GIVEN_UP, "why")
    return replace(lost, **changes)


@pytest.mark.parametrize(
    ("gaps", "joined"),
    [
        ([gap(0, 5), gap(5, 9)], [gap(0, 9)]),
        ([gap(5, 9), gap(0, 5)], [gap(0, 9)]),
        ([gap(0, 9), gap(2, 5), gap(8, 12)], [gap(0, 12)]),
        ([gap(0, 5), gap(5.1, 9)], [gap(0, 5), gap(5.1, 9)]),
        ([], []),
    ],
    ids=["touching", "in any order", "overlapping", "apart", "none"],
)
def test_gaps_that_follow_each_other_are_one(gaps: list[Gap], joined: list[Gap]) -> None:
    assert merged(gaps) == tuple(joined)


@pytest.mark.parametrize(
    "other",
    [
        gap(5, 9, footage_id="footage-2"),
        gap(5, 9, reason=GapReason.CANCELLED),
        gap(5, 9, detail="another"),
    ],
    ids=["another recording", "another reason", "another detail"],
)
def test_gaps_that_differ_stay_apart(other: Gap) -> None:
    assert merged([other, gap(0, 5)]) == (gap(0, 5), other)


def test_gaps_of_one_reason_over_a_segments_border_are_told_as_one(make: Any) -> None:
    segments = tuple(
        make.segment(start, start + 30).given_up(GapReason.GIVEN_UP, "why", LATER)
        for start in (0, 30)
    )

    (only,) = told_of(*segments).gaps

    assert (only.start_time, only.duration) == (START, seconds(60))


def test_gaps_come_in_the_order_of_their_times(make: Any) -> None:
    late = make.segment(30, 60).given_up(GapReason.GIVEN_UP, "late", LATER)
    early = make.segment(0, 30).given_up(GapReason.GIVEN_UP, "early", LATER)

    summary = told_of(late, early)

    assert [gap.detail for gap in summary.gaps] == ["early", "late"]


def test_a_scan_fails_when_nothing_of_it_was_searched(make: Any) -> None:
    summary = told_of(make.segment().given_up(GapReason.FOOTAGE_GONE, "x", LATER))

    assert (summary.state, summary.searched) == (ScanState.FAILED, seconds(0))


def test_a_scan_succeeds_when_a_part_of_it_was_searched(make: Any) -> None:
    gone = make.segment(30, 60).given_up(GapReason.FOOTAGE_GONE, "gone", LATER)

    summary = told_of(searched(make.segment(0, 30)), gone)

    assert (summary.state, summary.searched) == (ScanState.SUCCEEDED, seconds(30))


def test_a_cancelled_scan_runs_until_all_of_its_segments_have_ended(make: Any) -> None:
    running = make.segment(30, 60, state=ScanState.RUNNING, position=seconds(30))

    summary = told_of(searched(make.segment(0, 30)), running, cancelled=True)

    assert summary.state is ScanState.RUNNING


def test_a_cancelled_scan_keeps_what_was_found(make: Any) -> None:
    summary = told_of(
        searched(make.segment(0, 30)), make.segment(30, 60), cancelled=True, sightings=1
    )

    assert summary.state is ScanState.CANCELLED
    assert summary.candidate_count == 1
    assert (summary.searched, summary.done, summary.segments_done) == (seconds(30), seconds(60), 2)


def test_what_no_scanner_has_ended_of_a_cancelled_scan_is_a_gap(make: Any) -> None:
    segments = (searched(make.segment(0, 30)), make.segment(30, 60), make.segment(60, 90))

    (only,) = told_of(*segments, cancelled=True).gaps

    assert (only.reason, only.start_time, only.duration) == (
        GapReason.CANCELLED,
        START + seconds(30),
        seconds(60),
    )


@pytest.mark.parametrize("cancelled", [True, False])
def test_once_a_scan_has_ended_what_was_searched_and_the_gaps_are_what_was_asked_for(
    make: Any, *, cancelled: bool
) -> None:
    rest = make.segment(30, 60) if cancelled else searched(make.segment(30, 60))
    lost = make.segment(60, 90).given_up(GapReason.GIVEN_UP, "why", LATER)

    summary = told_of(searched(make.segment(0, 30)), rest, lost, cancelled=cancelled)

    told = sum((one.duration for one in summary.gaps), timedelta())
    assert summary.state.ended
    assert summary.searched + told == summary.total
