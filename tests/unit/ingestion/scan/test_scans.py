from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import pytest

from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.ingestion.cameras.model import CameraDetails
from homeward.ingestion.footage.limits import MAX_EXAMINED_AT_ONCE, MAX_SEGMENT
from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.timeline import VERSION
from homeward.ingestion.scan import plan as planning
from homeward.ingestion.scan.cut import pieces_of
from homeward.ingestion.scan.fold import fold
from homeward.ingestion.scan.model import Counts, GapReason, ScanScope, ScanState, Segment
from homeward.ingestion.scan.plan import MAX_ATTEMPTS, RecordingsInScope, ScanPlanner
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.scans import ScanChange, ScanLimits, Scans
from homeward.servicekit import errors
from homeward.servicekit.identity.caller import Caller, acting_for
from homeward.servicekit.keyvalue import ConflictError, InMemoryKeyValueStore

EVERYTHING = ScanScope()
AT_ONCE = timedelta()


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def _bounds(stretch: Stretch) -> tuple[float, float]:
    return stretch.start.total_seconds(), stretch.end.total_seconds()


class Office:
    """Scans, their planner, and the hands of the scanner that works on them."""

    def __init__(self, scans: Scans, planner: ScanPlanner, parts: Any) -> None:
        self.scans = scans
        self.planner = planner
        self.records: StoredScanRecords = parts["scan_records"]
        self.store = parts["records_store"]
        self.queue = parts["queue"]
        self.plans = parts["plans"]
        self.resource: FootageResource = parts["resource"]
        self.matcher = parts["matcher"]
        self.cameras = parts["cameras"]
        self.clock = parts["clock"]
        self.make = parts["make"]

    async def record(
        self,
        camera: str = "cam-1",
        *,
        at: float = 0,
        length: float = 60,
        missing: float = 0,
        **probe: Any,
    ) -> str:
        """Take in a recording of a camera, this many seconds after the first; return its id."""
        content = f"{camera} {at}".encode()
        start = self.make.recorded + seconds(at)
        header = self.make.header(content, camera_id=camera, start_time=start)

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        self.resource.library._prober.answer = replace(  # type: ignore[attr-defined]
            self.make.media(length, **probe), missing=seconds(missing)
        )
        footage, _ = await self.resource.uploads.upload(f"{camera}-{at:g}", header, 0, chunks())
        return footage.footage_id

    async def create(self, scope: ScanScope = EVERYTHING, request_id: str = "") -> str:
        """Create a scan and plan it; return its id."""
        scan, _ = await self.scans.create(scope, request_id=request_id)
        while await self.planner.step(scan.scan_id) is not None:
            pass
        return scan.scan_id

    async def recordings(self, scan_id: str) -> list[ScannedRecording]:
        return await self.scans.recordings(scan_id)

    async def segments(self, scan_id: str) -> list[Segment]:
        """Return the segments of a scan as they were planned."""
        return [
            recording.segment(number)
            for recording in await self.recordings(scan_id)
            for number in range(len(recording.pieces))
        ]

    async def plan(self, scope: ScanScope = EVERYTHING) -> list[tuple[str, float, float]]:
        """Create a scan; return the camera, start and end of what its segments are to tell of."""
        return [
            (one.camera_id, *_bounds(one.asked_for))
            for one in await self.segments(await self.create(scope))
        ]

    async def gaps(self, scan_id: str) -> list[tuple[GapReason, timedelta, str]]:
        _, summary = await self.scans.get(scan_id)
        return [(one.reason, one.duration, one.detail) for one in summary.gaps]

    async def begin(self, scan_id: str, number: int) -> None:
        segment = (await self.segments(scan_id))[number]
        await self.records.save_segment(scan_id, replace(segment, state=ScanState.RUNNING))

    async def finish(self, scan_id: str, number: int, **changes: Any) -> None:
        segment = (await self.segments(scan_id))[number]
        done = replace(
            segment,
            state=ScanState.SUCCEEDED,
            looked_at=segment.duration,
            update_time=self.clock.now(),
        )
        await self.records.save_segment(scan_id, replace(done, **changes))
        await fold(self.records, scan_id)


@pytest.fixture
def scan_records(records_store: InMemoryKeyValueStore) -> StoredScanRecords:
    return StoredScanRecords(records_store)


@pytest.fixture
def limits() -> ScanLimits:
    return ScanLimits(scans=100, segments=1000)


@pytest.fixture
def office(
    *,
    scan_records: StoredScanRecords,
    records_store: InMemoryKeyValueStore,
    queue: Any,
    plans: Any,
    resource: FootageResource,
    cameras: Any,
    matcher: Any,
    clock: Any,
    make: Any,
    limits: ScanLimits,
) -> Office:
    scope = RecordingsInScope(resource.library, cameras)
    planner = ScanPlanner(
        scans=scan_records,
        plans=plans,
        queue=queue,
        scope=scope,
        footage=resource.library,
        clock=clock,
        segment_length=seconds(120),
    )
    scans = Scans(
        records=scan_records,
        plans=plans,
        scope=scope,
        matcher=matcher,
        clock=clock,
        limits=limits,
    )
    return Office(scans, planner, locals())


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


async def test_every_segment_is_queued(office: Office) -> None:
    await office.record(length=250)

    scan_id = await office.create()

    assert office.queue.waiting == [(scan_id, number) for number in range(3)]


async def test_a_new_scan_is_planned_after_it_was_created(office: Office) -> None:
    await office.record(length=250)

    scan, summary = await office.scans.create(EVERYTHING, request_id="")

    assert scan.create_time == office.clock.now()
    assert (summary.state, summary.planning, summary.total) == (
        ScanState.PENDING,
        True,
        seconds(0),
    )
    assert office.plans.waiting == [scan.scan_id]
    assert office.queue.waiting == []


async def test_a_scan_remembers_who_asked_for_it(office: Office) -> None:
    await office.record(length=250)

    with acting_for(Caller("anne@force", frozenset())):
        first, _ = await office.scans.create(EVERYTHING, request_id="once")
    with acting_for(Caller("bob@force", frozenset())):
        again, _ = await office.scans.create(EVERYTHING, request_id="once")
    nobody, _ = await office.scans.create(EVERYTHING, request_id="")

    assert (first.requester, again.requester, nobody.requester) == ("anne@force",) * 2 + ("",)


async def test_a_planned_scan_tells_how_much_there_is_to_search(office: Office) -> None:
    await office.record(length=250)

    _, summary = await office.scans.get(await office.create())

    assert (summary.state, summary.planning) == (ScanState.PENDING, False)
    assert (summary.segment_count, summary.total, summary.done) == (3, seconds(250), seconds(0))


async def test_segments_appear_as_recordings_are_planned(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "RECORDINGS_AT_ONCE", 1)
    await office.record(at=0)
    await office.record(at=100)
    scan, _ = await office.scans.create(EVERYTHING, request_id="")

    counts = []
    for _ in range(3):
        await office.planner.step(scan.scan_id)
        _, summary = await office.scans.get(scan.scan_id)
        counts.append((summary.segment_count, summary.planning, len(office.queue.waiting)))

    assert counts == [(1, True, 1), (2, True, 2), (2, False, 2)]


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_a_planner_that_died_is_taken_over_from(
    office: Office, monkeypatch: pytest.MonkeyPatch, steps: int, at: int
) -> None:
    monkeypatch.setattr(planning, "RECORDINGS_AT_ONCE", 1)
    names = [await office.record(at=100 * number) for number in range(3)]
    scan, _ = await office.scans.create(EVERYTHING, request_id="")
    for _ in range(steps):
        await office.planner.step(scan.scan_id)
    put_plan, calls = office.records.put_plan, iter(range(3))

    async def die(*args: Any) -> int:
        if next(calls) == at:
            raise asyncio.CancelledError
        return await put_plan(*args)

    with monkeypatch.context() as patched:
        patched.setattr(office.records, "put_plan", die)
        with pytest.raises(asyncio.CancelledError):
            await office.planner.step(scan.scan_id)
    while await office.planner.step(scan.scan_id) is not None:
        pass

    segments = await office.segments(scan.scan_id)
    assert [one.footage_id for one in segments] == names
    assert office.queue.waiting == [(scan.scan_id, number) for number in range(3)]
    _, summary = await office.scans.get(scan.scan_id)
    assert (summary.footage_count, summary.segment_count) == (3, 3)


async def test_a_scan_whose_planning_was_never_asked_for_is_planned_after_a_restart(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.record()

    async def die(*_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(office.plans, "put", die)
        with pytest.raises(asyncio.CancelledError):
            await office.scans.create(EVERYTHING, request_id="")
    (scan_id,) = await office.records.under_way()

    await office.planner.recover()

    assert office.plans.waiting == [scan_id]


@pytest.mark.parametrize("overtaken_at", range(1, 4))
async def test_a_planner_that_was_overtaken_undoes_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch, overtaken_at: int
) -> None:
    for number in range(2):
        await office.record(at=100 * number)
    scan, _ = await office.scans.create(EVERYTHING, request_id="")
    put_plan, put_recording = office.records.put_plan, office.records.put_recording
    writes = 0

    async def overtaken(write: Any, *args: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == overtaken_at:  # another planner has the scan too, and a scanner is as fast
            while await office.planner.step(scan.scan_id) is not None:
                pass
            await office.finish(scan.scan_id, 0)
            await office.finish(scan.scan_id, 1)
        return await write(*args)

    monkeypatch.setattr(office.records, "put_plan", partial(overtaken, put_plan))
    monkeypatch.setattr(office.records, "put_recording", partial(overtaken, put_recording))

    assert await office.planner.step(scan.scan_id) is None

    assert [one.ended for one in await office.recordings(scan.scan_id)] == [((0, 1),)] * 2
    _, summary = await office.scans.get(scan.scan_id)
    assert (summary.state, summary.segment_count) == (ScanState.SUCCEEDED, 2)


async def test_a_planner_that_was_overtaken_leaves_the_scan_to_the_other(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.record()
    scan, _ = await office.scans.create(EVERYTHING, request_id="")
    monkeypatch.setattr(office.planner, "recover", AsyncMock())
    monkeypatch.setattr(office.records, "put_plan", AsyncMock(side_effect=ConflictError))
    planner = asyncio.create_task(office.planner.run())
    office.plans.when_empty = planner.cancel
    with pytest.raises(asyncio.CancelledError):
        await planner

    assert [one.scan_id for one in office.plans.works] == [scan.scan_id]
    assert office.plans.works[0].said == ["done"]


async def test_a_recording_that_breaks_the_planner_is_told_as_not_searched_in_the_end(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = await office.record(at=0), await office.record(at=100)
    scan, _ = await office.scans.create(EVERYTHING, request_id="")
    up_to_date = office.resource.library.up_to_date

    async def breaking(footage: Footage) -> Footage:
        if footage.footage_id == broken:
            raise ZeroDivisionError
        return await up_to_date(footage)

    monkeypatch.setattr(office.resource.library, "up_to_date", breaking)
    with pytest.raises(ZeroDivisionError):
        await office.planner.step(scan.scan_id)

    await office.planner.step(scan.scan_id, last_attempt=True)

    assert [one.footage_id for one in await office.segments(scan.scan_id)] == [broken, sound]
    assert office.queue.waiting == [(scan.scan_id, 1)]
    assert await office.gaps(scan.scan_id) == [
        (GapReason.GIVEN_UP, seconds(60), "examining it failed; the log of ingestion says why")
    ]


@pytest.mark.parametrize(("attempt", "last"), [(MAX_ATTEMPTS - 1, False), (MAX_ATTEMPTS, True)])
async def test_the_last_attempt_is_told_the_planner(
    office: Office, monkeypatch: pytest.MonkeyPatch, *, attempt: int, last: bool
) -> None:
    await office.record()
    scan, _ = await office.scans.create(EVERYTHING, request_id="")
    monkeypatch.setattr(office.planner, "recover", AsyncMock())
    step = AsyncMock(return_value=None)
    monkeypatch.setattr(office.planner, "step", step)
    office.plans.attempt = attempt
    planner = asyncio.create_task(office.planner.run())
    office.plans.when_empty = planner.cancel
    with pytest.raises(asyncio.CancelledError):
        await planner

    step.assert_awaited_once_with(scan.scan_id, last_attempt=last)


async def test_scans_that_nobody_plans_are_looked_for_again_and_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "RECOVER_SECONDS", 0)
    recovered = AsyncMock()
    monkeypatch.setattr(office.planner, "recover", recovered)
    planner = asyncio.create_task(office.planner.run())

    def stop_after_three() -> None:
        if recovered.await_count == 3:
            planner.cancel()

    office.plans.when_empty = stop_after_three
    with pytest.raises(asyncio.CancelledError):
        await planner

    assert recovered.await_count == 3


async def test_a_planner_lets_the_next_scan_have_its_turn(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "RECORDINGS_AT_ONCE", 1)
    await office.record(at=0)
    await office.record(at=100)
    long, _ = await office.scans.create(EVERYTHING, request_id="")
    short, _ = await office.scans.create(EVERYTHING, request_id="")
    monkeypatch.setattr(office.planner, "recover", AsyncMock())
    planner = asyncio.create_task(office.planner.run())
    office.plans.when_empty = planner.cancel
    with pytest.raises(asyncio.CancelledError):
        await planner

    turns = [one.scan_id for one in office.plans.works]
    assert turns[:4] == [long.scan_id, short.scan_id] * 2
    assert {tuple(one.said) for one in office.plans.works} == {("done",)}


async def test_a_recording_that_came_after_its_creation_is_not_of_a_scan(office: Office) -> None:
    name = await office.record(at=0)
    scan, _ = await office.scans.create(EVERYTHING, request_id="")
    office.clock.advance(seconds(1))
    await office.record(at=100)
    while await office.planner.step(scan.scan_id) is not None:
        pass

    assert [one.footage_id for one in await office.segments(scan.scan_id)] == [name]


async def test_a_scan_searches_all_cameras_or_some(office: Office) -> None:
    await office.record("cam-1")
    await office.record("cam-2")

    assert await office.plan() == [("cam-1", 0, 60), ("cam-2", 0, 60)]
    assert await office.plan(ScanScope(camera_ids=("cam-2",))) == [("cam-2", 0, 60)]


async def test_a_scan_searches_the_recordings_that_it_names(office: Office) -> None:
    await office.record(at=0)
    named = await office.record(at=100)

    scan_id = await office.create(ScanScope(footage_ids=(named,)))

    assert [one.footage_id for one in await office.segments(scan_id)] == [named]


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


async def test_recordings_that_came_earlier_are_examined_a_few_at_a_time(
    office: Office, prober: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [await office.record(at=100 * number, version=0) for number in range(20)]
    prober.answer = office.make.media()
    under_way = most = 0
    probe = prober.probe

    async def slowly(url: str) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return await probe(url)

    monkeypatch.setattr(prober, "probe", slowly)

    segments = await office.segments(await office.create())

    assert [one.footage_id for one in segments] == sorted(names)
    assert most == MAX_EXAMINED_AT_ONCE
    assert [(await office.resource.library.get(name)).media.version for name in names] == [
        VERSION
    ] * 20


async def test_a_recording_that_came_earlier_is_planned_as_it_is_examined_today(
    office: Office,
) -> None:
    await office.record(length=250, version=0)
    office.resource.library._prober.answer = office.make.media(100)  # type: ignore[attr-defined]

    assert await office.plan() == [("cam-1", 0, 100)]


def window(office: Office, start: float, end: float) -> ScanScope:
    recorded = office.make.recorded
    return ScanScope(start_time=recorded + seconds(start), end_time=recorded + seconds(end))


async def test_of_a_recording_that_would_be_refused_today_what_was_asked_for_is_a_gap(
    office: Office, prober: Any
) -> None:
    await office.record(length=600, version=0)
    prober.problem = errors.InvalidArgumentError(
        "too few key pictures", reason=errors.Reason.FOOTAGE_UNREADABLE
    )

    gaps = await office.gaps(await office.create(window(office, 60, 90)))

    assert gaps == [(GapReason.UNDECODABLE, seconds(30), "too few key pictures")]


GONE = errors.NotFoundError("there is no such recording", reason=errors.Reason.FOOTAGE_NOT_FOUND)


async def test_a_recording_that_goes_while_it_is_examined_is_a_gap(
    office: Office, prober: Any
) -> None:
    await office.record(length=60, version=0)
    prober.problem = GONE

    gaps = await office.gaps(await office.create())

    assert gaps == [(GapReason.FOOTAGE_GONE, seconds(60), GONE.message)]


async def test_a_recording_that_was_asked_for_by_name_and_has_gone_is_told_of(
    office: Office,
) -> None:
    gone, held = await office.record(at=0), await office.record(at=100)
    scan, _ = await office.scans.create(ScanScope(footage_ids=(held, gone)), request_id="")
    await office.resource.eraser.delete(gone)
    while await office.planner.step(scan.scan_id) is not None:
        pass
    await office.finish(scan.scan_id, 0)

    _, summary = await office.scans.get(scan.scan_id)

    assert (summary.state, summary.searched) == (ScanState.SUCCEEDED, summary.total)
    (gap,) = summary.gaps
    assert (gap.footage_id, gap.reason, gap.duration) == (gone, GapReason.FOOTAGE_GONE, seconds(0))
    assert gap.start_time == office.make.recorded


@pytest.mark.parametrize(
    ("end", "lost"), [(60, None), (70, (60, 70)), (85, (60, 85)), (200, (60, 85))]
)
async def test_of_what_a_cut_off_file_lacks_what_was_asked_for_is_a_gap(
    office: Office, end: float, lost: tuple[float, float] | None
) -> None:
    await office.record(length=60, missing=25)

    _, summary = await office.scans.get(await office.create(window(office, 0, end)))

    recorded = office.make.recorded
    gaps = [(one.start_time - recorded, one.end_time - recorded) for one in summary.gaps]
    assert gaps == ([] if lost is None else [(seconds(lost[0]), seconds(lost[1]))])


async def test_segments_know_the_shape_of_pixels_that_their_camera_is_set_to(
    office: Office,
) -> None:
    await office.cameras.create("cam-3", CameraDetails(pixel_aspect_ratio=2.0))
    await office.record("cam-1")
    await office.record("cam-3")

    segments = await office.segments(await office.create())

    assert [one.pixel_aspect for one in segments] == [None, 2.0]


async def test_a_window_is_in_true_time(office: Office) -> None:
    await office.record("cam-2")  # its clock is 10 s ahead: in truth it recorded 10 s earlier
    recorded = office.make.recorded

    plan = await office.plan(ScanScope(start_time=recorded, end_time=recorded + seconds(20)))

    assert plan == [("cam-2", 10, 30)]


async def test_a_window_before_the_camera_clocks_start_finds_the_recording(
    office: Office,
) -> None:
    await office.record("cam-1")
    await office.record("cam-2")
    recorded = office.make.recorded

    plan = await office.plan(ScanScope(start_time=recorded - seconds(5), end_time=recorded))

    assert plan == [("cam-2", 5, 10)]


async def test_segments_know_the_true_time_of_their_recording(office: Office) -> None:
    await office.record("cam-2")

    (segment,) = await office.segments(await office.create())

    assert segment.true_start == office.make.recorded - seconds(10)


@pytest.mark.parametrize(("held", "advice"), [(0, "add footage first"), (1, "widen it")])
async def test_a_scan_of_nothing_is_refused(office: Office, held: int, advice: str) -> None:
    await asyncio.gather(*(office.record(at=100 * number) for number in range(held)))
    long_ago = office.make.recorded - timedelta(days=1)

    with pytest.raises(errors.FailedPreconditionError, match=advice) as refused:
        await office.create(ScanScope(end_time=long_ago))

    assert refused.value.reason is errors.Reason.SCAN_SCOPE_EMPTY
    assert refused.value.metadata == {"footage_held": str(held)}
    assert await office.store.entries() == []


async def test_a_scan_of_an_unknown_camera_is_refused(office: Office) -> None:
    with pytest.raises(errors.NotFoundError) as refused:
        await office.create(ScanScope(camera_ids=("cam-9",)))

    assert refused.value.reason is errors.Reason.CAMERA_NOT_FOUND


async def test_a_scan_of_unknown_footage_is_refused(office: Office) -> None:
    with pytest.raises(errors.NotFoundError) as refused:
        await office.create(ScanScope(footage_ids=(office.make.header().footage_id,)))

    assert refused.value.reason is errors.Reason.FOOTAGE_NOT_FOUND


async def test_a_scan_of_expired_footage_is_refused(office: Office) -> None:
    footage_id = await office.record()
    office.clock.advance(FOOTAGE_LIMIT)

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await office.create(ScanScope(footage_ids=(footage_id,)))

    assert refused.value.reason is errors.Reason.FOOTAGE_EXPIRED


async def test_a_scan_for_nobody_is_refused_before_anything_is_planned(office: Office) -> None:
    await office.record()
    office.matcher.problem = errors.FailedPreconditionError(
        "nobody", reason=errors.Reason.NO_OPEN_SUBJECTS
    )

    with pytest.raises(errors.FailedPreconditionError):
        await office.create(ScanScope(subject_ids=("subject-1",)))

    assert office.matcher.searched == [("subject-1",)]
    assert (await office.store.entries(), office.queue.waiting) == ([], [])


async def test_every_call_without_a_request_id_makes_a_scan(office: Office) -> None:
    await office.record()

    assert await office.create() != await office.create()


async def test_a_repeated_request_gives_the_same_scan(office: Office) -> None:
    await office.record()

    first, again = await office.create(request_id="r-1"), await office.create(request_id="r-1")

    assert first == again
    assert len(office.queue.waiting) == 1


async def test_a_repeated_request_has_planned_what_the_first_call_did_not(office: Office) -> None:
    await office.record()
    first, _ = await office.scans.create(EVERYTHING, request_id="r-1")
    office.plans.waiting.clear()
    office.plans.came.clear()

    again, _ = await office.scans.create(EVERYTHING, request_id="r-1")

    assert (again.scan_id, office.plans.waiting) == (first.scan_id, [first.scan_id])


async def created_by(office: Office, name: str) -> dict[str, str] | None:
    """Return what keeps somebody from another scan; None when nothing does."""
    try:
        with acting_for(Caller(name, frozenset())):
            await office.create()
    except errors.ResourceExhaustedError as error:
        return error.metadata
    return None


@pytest.mark.parametrize(
    "limits", [ScanLimits(scans=100, segments=1000, scans_per_caller=2)], ids=["two each"]
)
async def test_one_caller_does_not_take_all_scans(office: Office) -> None:
    await office.record(length=250)
    told = [await created_by(office, "anne") for _ in range(3)]

    assert told == [None, None, {"limit": "caller_scans", "under_way": "2", "most": "2"}]
    assert await created_by(office, "bob") is None
    await office.create()  # by nobody who is known
    first = next(one for one, _ in await office.scans.find() if one.requester == "anne")
    await office.scans.cancel(first.scan_id)
    assert await created_by(office, "anne") is None


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        (ScanLimits(scans=100, segments=1000, segments_per_caller=3), True),
        (ScanLimits(scans=100, segments=1000, segments_per_caller=4), False),
        (ScanLimits(scans=100, segments=1000), False),
    ],
    ids=["as many", "one more", "unset"],
)
async def test_one_caller_does_not_take_all_segments(office: Office, *, refused: bool) -> None:
    await office.record(length=250)  # three segments
    await created_by(office, "anne")
    told = await created_by(office, "anne")

    limit = {"limit": "caller_segments", "under_way": "3", "most": "3"}
    assert told == (limit if refused else None)
    assert await created_by(office, "bob") is None


@pytest.mark.parametrize("limits", [ScanLimits(scans=2, segments=1000)])
async def test_so_many_scans_may_be_under_way_and_no_more(office: Office) -> None:
    await office.record()
    first = await office.create()
    await office.create()

    with pytest.raises(errors.ResourceExhaustedError, match="wait until a scan") as refused:
        await office.create()

    assert refused.value.reason is errors.Reason.SCAN_LIMIT
    assert refused.value.metadata == {"limit": "scans", "under_way": "2", "most": "2"}
    await office.finish(first, 0)
    await office.create()


@pytest.mark.parametrize(("segments", "accepted"), [(3, False), (4, True)])
async def test_so_many_segments_may_wait_when_another_scan_is_created(
    office: Office, segments: int, *, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office.scans, "_limits", ScanLimits(scans=100, segments=segments))
    await office.record(length=480)  # four segments
    await office.finish(await office.create(), 0)

    outcome = await asyncio.gather(office.create(), return_exceptions=True)

    refused = [one for one in outcome if isinstance(one, errors.ResourceExhaustedError)]
    assert [one.metadata["limit"] for one in refused] == ([] if accepted else ["segments"])


async def test_a_request_id_belongs_to_one_scope(office: Office) -> None:
    await office.record()
    await office.create(request_id="r-1")

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await office.create(ScanScope(camera_ids=("cam-1",)), request_id="r-1")

    assert refused.value.reason is errors.Reason.REQUEST_ID_REUSED


async def test_an_unknown_scan_is_not_found(office: Office) -> None:
    with pytest.raises(errors.NotFoundError) as refused:
        await office.scans.get("scan-9")

    assert refused.value.reason is errors.Reason.SCAN_NOT_FOUND


async def test_a_scan_tells_what_its_segments_show(office: Office) -> None:
    await office.record(length=250)
    scan_id = await office.create()
    await office.finish(scan_id, 0, counts=Counts(frames=600))

    _, summary = await office.scans.get(scan_id)

    assert (summary.state, summary.segments_done) == (ScanState.RUNNING, 1)
    assert (summary.searched, summary.counts.frames) == (seconds(120), 600)


async def test_an_ended_scan_is_listed_from_its_record(office: Office) -> None:
    await office.record()
    scan_id = await office.create()
    await office.finish(scan_id, 0)
    _, ended = await office.scans.get(scan_id)
    for entry in [
        *await office.store.entries("live.>"),
        *await office.store.entries("recording.>"),
    ]:
        await office.store.erase(entry.key)

    [(_, listed)] = await office.scans.find()

    assert listed == replace(ended, gaps=(), efforts=(), camera_sizes=())
    assert listed.state is ScanState.SUCCEEDED


async def test_scans_are_listed_newest_first(office: Office) -> None:
    await office.record()
    first = await office.create()
    office.clock.advance(seconds(1))
    second = await office.create()

    listed = [scan.scan_id for scan, _ in await office.scans.find()]

    assert listed == [second, first]


async def test_cancelling_ends_what_no_scanner_has_begun(office: Office) -> None:
    await office.record(length=250)
    scan_id = await office.create()
    await office.finish(scan_id, 0, sighting_ids=("sighting-1",))

    scan, told = await office.scans.cancel(scan_id)
    _, summary = await office.scans.get(scan_id)

    assert scan.cancelled
    assert told.state is ScanState.CANCELLED
    assert (told.end_time, told.segments_done) == (office.clock.now(), 3)
    # Two segments that follow each other are one gap.
    assert [(gap.reason, gap.duration) for gap in summary.gaps] == [
        (GapReason.CANCELLED, seconds(130))
    ]
    assert (summary.candidate_count, summary.searched) == (1, seconds(120))


async def test_cancelling_asks_as_much_of_the_store_however_many_segments_there_are(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def calls_to_cancel(scan_id: str) -> list[str]:
        asked.clear()
        with monkeypatch.context() as patched:
            for name in ("get", "put", "create", "update", "erase", "entries"):
                patched.setattr(office.store, name, counted(name, getattr(office.store, name)))
            await office.scans.cancel(scan_id)
        return list(asked)

    def counted(name: str, call: Any) -> Any:
        async def wrapped(*args: Any, **how: Any) -> Any:
            asked.append(name)
            return await call(*args, **how)

        return wrapped

    await office.record(at=0, length=120)
    few = await calls_to_cancel(await office.create())
    await office.record(at=1000, length=120 * 300)
    many = await calls_to_cancel(await office.create())

    assert many == few


async def test_nothing_is_added_to_a_cancelled_scan(office: Office) -> None:
    await office.record()
    scan, _ = await office.scans.create(EVERYTHING, request_id="")
    held = await office.records.plan(scan.scan_id)

    await office.scans.cancel(scan.scan_id)

    assert await office.planner.step(scan.scan_id) is None
    with pytest.raises(ConflictError):  # a planner that had begun before
        await office.records.put_plan(scan.scan_id, held.value, held.revision)
    _, summary = await office.scans.get(scan.scan_id)
    assert (summary.state, summary.planning, summary.total) == (
        ScanState.CANCELLED,
        True,
        seconds(0),
    )


async def test_cancelling_leaves_the_segment_in_hand_to_its_scanner(office: Office) -> None:
    await office.record(length=250)
    scan_id = await office.create()
    await office.begin(scan_id, 0)

    scan, summary = await office.scans.cancel(scan_id)

    assert (scan.cancelled, summary.state) == (True, ScanState.RUNNING)
    await office.finish(scan_id, 0)
    _, ended = await office.scans.get(scan_id)
    assert (ended.state, ended.searched) == (ScanState.CANCELLED, seconds(120))
    assert [one.duration for one in ended.gaps] == [seconds(130)]


async def test_an_ended_scan_is_not_cancelled(office: Office) -> None:
    await office.record()
    scan_id = await office.create()
    await office.finish(scan_id, 0)

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await office.scans.cancel(scan_id)

    assert refused.value.reason is errors.Reason.SCAN_ENDED
    assert refused.value.metadata == {"scan_id": scan_id, "state": "SUCCEEDED"}


async def test_an_unknown_scan_is_not_cancelled(office: Office) -> None:
    with pytest.raises(errors.NotFoundError):
        await office.scans.cancel("scan-9")


async def changes_of(office: Office, scan_id: str) -> list[ScanChange]:
    async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
        return [change async for change in changes]


async def test_a_watch_tells_each_change_and_ends_with_the_scan(office: Office) -> None:
    await office.record(length=200)
    scan_id = await office.create()
    told = []

    async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
        told.append((await anext(changes)).summary)
        await office.finish(scan_id, 0)
        told.append((await anext(changes)).summary)
        await office.finish(scan_id, 1)
        told.append([change.summary async for change in changes][-1])

    assert [(one.state, one.segments_done) for one in told] == [
        (ScanState.PENDING, 0),
        (ScanState.RUNNING, 1),
        (ScanState.SUCCEEDED, 2),
    ]


async def test_the_first_and_the_last_change_of_a_watch_have_all_that_is_told(
    office: Office,
) -> None:
    await office.record("cam-1", length=60, missing=25)
    await office.record("cam-2", length=60)
    scan_id = await office.create()

    async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
        told = [(await anext(changes)).summary]
        await office.finish(scan_id, 0)
        await office.finish(scan_id, 2)
        told += [change.summary async for change in changes]

    assert [len(one.gaps) for one in told] == [1, *(0 for _ in told[2:]), 1]
    assert told[-1] == (await office.scans.get(scan_id))[1]


async def test_a_watch_reads_what_changed_and_nothing_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.record(length=120 * 50)
    scan_id = await office.create()
    begun = replace((await office.segments(scan_id))[0], state=ScanState.RUNNING)
    read: list[str] = []
    entries = office.store.entries

    async def counted(pattern: str) -> Any:
        read.append(pattern)
        return await entries(pattern)

    async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
        await anext(changes)
        monkeypatch.setattr(office.store, "entries", counted)
        await office.records.save_segment(scan_id, begun)
        change = await anext(changes)

    assert change.summary.state is ScanState.RUNNING
    assert read == []


async def test_changes_that_come_soon_are_told_together(office: Office) -> None:
    await office.record(length=120 * 10)
    scan_id = await office.create()
    loop = asyncio.get_running_loop()

    async with aclosing(office.scans.watch(scan_id, interval=seconds(0.05))) as changes:
        await anext(changes)
        began = loop.time()
        for number in range(10):
            await office.finish(scan_id, number)
        told = [change async for change in changes]
        took = loop.time() - began

    assert told[-1].summary.state is ScanState.SUCCEEDED
    assert len(told) <= took / 0.05 + 2


async def test_a_watch_of_an_ended_scan_tells_it_once(office: Office) -> None:
    await office.record()
    scan_id = await office.create()
    await office.finish(scan_id, 0)

    (only,) = await changes_of(office, scan_id)

    assert (only.summary.state, only.summary.segments_done) == (ScanState.SUCCEEDED, 1)


async def test_a_watch_ends_when_its_scan_is_cancelled(office: Office) -> None:
    await office.record()
    scan_id = await office.create()

    watching = asyncio.create_task(changes_of(office, scan_id))
    await asyncio.sleep(0)
    await office.scans.cancel(scan_id)

    assert (await watching)[-1].summary.state is ScanState.CANCELLED


async def test_the_end_that_a_watch_tells_is_kept(office: Office) -> None:
    await office.record()
    scan_id = await office.create()
    async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
        await anext(changes)
        await office.finish(scan_id, 0)
        last = [change async for change in changes][-1]

    held = await office.records.get(scan_id)
    assert held is not None
    assert held.final == replace(last.summary, gaps=(), efforts=(), camera_sizes=())
    assert await office.records.under_way() == []


async def test_a_watch_tells_candidates_as_they_stand_once(office: Office) -> None:
    await office.record(length=200)
    scan_id = await office.create()
    office.matcher.held = {
        name: office.make.candidate(name, start=at)
        for name, at in [("late", 9), ("early", 1), ("elsewhere", 3)]
    }

    async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
        await anext(changes)
        await office.finish(scan_id, 0, sighting_ids=("late", "early", "erased"))
        told = [await anext(changes)]
        await office.finish(scan_id, 1, sighting_ids=("early",))
        told += [change async for change in changes]

    found = [one.sighting_id for change in told for one in change.candidates]
    assert sorted(found) == ["early", "late"]
    assert told[-1].summary.candidate_count == 3


async def test_a_candidate_that_has_changed_is_told_again_with_the_last_change(
    office: Office,
) -> None:
    await office.record(length=200)
    scan_id = await office.create()
    first, then = office.make.candidate("a", end=2), office.make.candidate("a", end=5)
    office.matcher.held = {"a": first}

    async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
        await anext(changes)
        await office.finish(scan_id, 0, sighting_ids=("a",))
        told = [*(await anext(changes)).candidates]
        office.matcher.held = {"a": then}
        await office.finish(scan_id, 1)
        told += [one async for change in changes for one in change.candidates]

    assert told == [first, then]


async def test_candidates_wait_while_matching_does_not_answer(office: Office) -> None:
    await office.record(length=200)
    scan_id = await office.create()
    office.matcher.held = {"a": office.make.candidate("a")}
    async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
        await anext(changes)
        office.matcher.problem = errors.unavailable("matching", "somewhere", "start it")
        await office.finish(scan_id, 0, sighting_ids=("a",))
        meanwhile = await anext(changes)
        office.matcher.problem = None
        await office.finish(scan_id, 1)
        then = [change async for change in changes]

    assert meanwhile.candidates == ()
    assert [one.sighting_id for change in then for one in change.candidates] == ["a"]


async def test_a_scan_is_not_told_as_ended_without_its_candidates(office: Office) -> None:
    await office.record()
    scan_id = await office.create()
    await office.finish(scan_id, 0, sighting_ids=("a",))
    office.matcher.problem = errors.unavailable("matching", "somewhere", "start it")

    with pytest.raises(errors.UnavailableError):
        await changes_of(office, scan_id)


async def test_an_unknown_scan_is_not_watched(office: Office) -> None:
    with pytest.raises(errors.NotFoundError):
        await anext(office.scans.watch("scan-9"))


async def test_a_watch_ends_when_its_scan_is_forgotten(office: Office) -> None:
    await office.record(length=200)
    scan_id = await office.create()
    async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
        await anext(changes)
        segment = replace((await office.segments(scan_id))[0], state=ScanState.RUNNING)
        await office.store.erase(f"scan.{scan_id}")
        await office.records.save_segment(scan_id, segment)

        with pytest.raises(errors.NotFoundError):
            await anext(changes)


@pytest.fixture
def restricted(matcher: Any) -> Any:
    """A caller of one case, which subject-1 is of; subject-2 is of another."""
    matcher.cases = {"subject-1": "MP/1", "subject-2": "MP/2"}
    return lambda: acting_for(Caller("somebody", frozenset(), cases=frozenset({"MP/1"})))


OWN, OTHERS = ScanScope(subject_ids=("subject-1",)), ScanScope(subject_ids=("subject-2",))


async def test_a_watch_tells_no_candidates_of_a_subject_who_was_moved_to_another_case(
    office: Office, restricted: Any
) -> None:
    await office.record(length=200)
    scan_id = await office.create(OWN)
    office.matcher.held = {name: office.make.candidate(name) for name in ("a", "b")}
    with restricted():
        async with aclosing(office.scans.watch(scan_id, interval=AT_ONCE)) as changes:
            await anext(changes)
            await office.finish(scan_id, 0, sighting_ids=("a",))
            before = await anext(changes)
            await office.finish(scan_id, 1, sighting_ids=("b",))
            office.matcher.cases["subject-1"] = "MP/2"
            with pytest.raises(errors.NotFoundError) as refused:
                _ = [change async for change in changes]

    assert [one.sighting_id for one in before.candidates] == ["a"]
    assert refused.value.reason is errors.Reason.SCAN_NOT_FOUND


BOTH = ScanScope(subject_ids=("subject-1", "subject-2"))


@pytest.mark.parametrize("scope", [OTHERS, BOTH, EVERYTHING], ids=["theirs", "both", "everybody"])
async def test_a_scan_for_others_is_not_there(
    office: Office, restricted: Any, scope: ScanScope
) -> None:
    await office.record()
    scan_id = await office.create(scope)

    async def watched() -> None:
        async with aclosing(office.scans.watch(scan_id)) as changes:
            await anext(changes)

    calls = [
        office.scans.get(scan_id),
        office.scans.recordings(scan_id),
        office.scans.cancel(scan_id),
        watched(),
    ]
    reasons = []
    with restricted():
        for call in calls:
            with pytest.raises(errors.NotFoundError) as refused:
                await call
            reasons.append(refused.value.reason)
        listed = await office.scans.find()

    assert reasons == [errors.Reason.SCAN_NOT_FOUND] * 4
    assert listed == []
    assert (await office.scans.get(scan_id))[1].state is not ScanState.CANCELLED


async def test_a_scan_for_the_callers_subjects_is_there(office: Office, restricted: Any) -> None:
    await office.record()
    await office.create(OTHERS)
    with restricted():
        scan_id = await office.create(OWN)
        listed = await office.scans.find()
        async with aclosing(office.scans.watch(scan_id)) as changes:
            first = await anext(changes)
        await office.scans.cancel(scan_id)

    assert [scan.scan_id for scan, _ in listed] == [scan_id]
    assert first.scan.scan_id == scan_id


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (OTHERS, errors.Reason.SUBJECT_NOT_FOUND),
        (BOTH, errors.Reason.SUBJECT_NOT_FOUND),
        (ScanScope(subject_ids=("subject-3",)), errors.Reason.SUBJECT_NOT_FOUND),
        (EVERYTHING, errors.Reason.CASE_NOT_ASSIGNED),
    ],
)
async def test_nobody_searches_for_others(
    office: Office, restricted: Any, scope: ScanScope, reason: errors.Reason
) -> None:
    await office.record()
    with restricted(), pytest.raises(errors.DomainError) as refused:
        await office.create(scope)

    assert refused.value.reason is reason
    assert await office.scans.find() == []
