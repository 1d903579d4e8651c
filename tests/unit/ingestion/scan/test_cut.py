from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from scan_office import Office, _bounds, seconds

from homeward.ingestion.footage.limits import MAX_SEGMENT
from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.cut import pieces_of
from homeward.ingestion.scan.model import GapReason, ScanScope


async def test_a_recording_is_cut_into_segments(office: Office) -> None:
    await office.record(length=250)

    plan = await office.plan()

    assert plan == [("cam-1", 0, 120), ("cam-1", 120, 240), ("cam-1", 240, 250)]


async def test_what_a_cut_off_file_lacks_counts_as_not_searched(office: Office) -> None:
    await office.record(length=60, missing=25)
    scan_id = await office.create()

    _, summary = await office.scans.get(scan_id)

    assert [(gap.reason, gap.duration) for gap in summary.gaps] == [
        (GapReason.UNDECODABLE, seconds(25))
    ]
    assert (summary.total, summary.segments_done) == (seconds(85), 1)
    assert office.queue.waiting == [(scan_id, 0)]
    assert summary.footage_count == 1


@pytest.mark.parametrize(
    ("start", "end", "plan"),
    [
        (20, 40, [("cam-1", 20, 40)]),
        (None, 40, [("cam-1", 0, 40)]),
        (20, None, [("cam-1", 20, 60)]),
        (-100, 100, [("cam-1", 0, 60)]),
    ],
)
async def test_a_window_cuts_the_recordings(
    office: Office, start: float | None, end: float | None, plan: list[Any]
) -> None:
    await office.record()

    def at(offset: float | None) -> datetime | None:
        return None if offset is None else office.make.recorded + seconds(offset)

    assert await office.plan(ScanScope(start_time=at(start), end_time=at(end))) == plan


@pytest.mark.parametrize(
    ("start", "end", "pieces"),
    [
        (20, 40, [(0, 120)]),
        (140, 245, [(120, 240), (240, 250)]),
        # Whoever came into view in the piece before may still be so.
        (130, 245, [(0, 120), (120, 240), (240, 250)]),
        (120, 240, [(0, 120), (120, 240)]),
    ],
)
async def test_a_window_is_searched_in_the_pieces_that_all_of_it_is(
    office: Office, start: float, end: float, pieces: list[Any]
) -> None:
    await office.record(length=250)
    recorded = office.make.recorded
    scope = ScanScope(start_time=recorded + seconds(start), end_time=recorded + seconds(end))

    segments = await office.segments(await office.create(scope))

    assert [_bounds(one.stretch) for one in segments] == pieces
    assert sum((one.duration for one in segments), timedelta()) == seconds(end - start)


async def test_a_segment_that_is_asked_for_as_a_whole_has_no_window(office: Office) -> None:
    await office.record(length=250)
    scope = ScanScope(end_time=office.make.recorded + seconds(130))

    windows = [one.window for one in await office.segments(await office.create(scope))]

    assert windows == [None, Stretch(seconds(0), seconds(130))]


async def test_a_hole_makes_a_segment_longer_and_adds_no_work(office: Office) -> None:
    await office.record(length=7500, holes=[(100, 7300)])

    assert await office.plan() == [("cam-1", 0, 7320), ("cam-1", 7320, 7440), ("cam-1", 7440, 7500)]


@pytest.mark.parametrize(
    ("rate", "times"),
    [(25, 1), (5, 1), (4.9, 1), (2.6, 1), (2.5, 2), (1, 5), (0.5, 10), (0.17, 29), (0.1, 30)],
)
def test_segments_of_few_pictures_are_longer_up_to_an_hour(
    make: Any, rate: float, times: int
) -> None:
    first, *_ = pieces_of(make.media(24 * 3600, rate), seconds(120))

    assert first == Stretch(seconds(0), seconds(120 * times))
    assert seconds(3600) == MAX_SEGMENT


def test_a_week_with_a_picture_in_ten_seconds_is_no_work_for_weeks(make: Any) -> None:
    pieces = pieces_of(make.media(7 * 24 * 3600, 0.1), seconds(60))

    assert len(pieces) == 202  # 300 pictures each
    assert pieces[-1].end == timedelta(days=7)


@pytest.mark.parametrize(
    ("keyless", "ends"),
    [
        ([], [120, 240, 360, 480, 500]),
        ([(0, 500)], [500]),
        ([(60, 300)], [300, 420, 500]),
        ([(60, 200), (200, 310)], [200, 320, 440, 500]),
        ([(130, 230), (300, 360)], [120, 240, 360, 480, 500]),
    ],
    ids=["none", "all of it", "one", "two that follow", "between two borders"],
)
def test_a_segment_does_not_end_where_key_pictures_are_rare(
    make: Any, keyless: list[tuple[float, float]], ends: list[float]
) -> None:
    stretches = tuple(Stretch(seconds(start), seconds(end)) for start, end in keyless)

    pieces = pieces_of(make.media(500, keyless=stretches), seconds(120))

    assert [piece.end for piece in pieces] == [seconds(end) for end in ends]
    assert [piece.start for piece in pieces] == [seconds(end) for end in [0, *ends[:-1]]]


def test_a_segment_without_key_pictures_ends_after_an_hour(make: Any) -> None:
    whole = Stretch(seconds(0), seconds(9000))

    pieces = pieces_of(make.media(9000, keyless=(whole,)), seconds(120))

    assert [piece.end for piece in pieces] == [MAX_SEGMENT, 2 * MAX_SEGMENT, seconds(9000)]


def test_a_hole_where_key_pictures_are_rare_counts_for_nothing(make: Any) -> None:
    keyless = (Stretch(seconds(0), seconds(8000)),)

    first, *_ = pieces_of(make.media(9000, holes=[(100, 7300)], keyless=keyless), seconds(120))

    assert first == Stretch(seconds(0), seconds(8000))
