from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from scan_office import EVERYTHING, Office, seconds

from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.ingestion.cameras.model import CameraDetails
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.scan.model import GapReason, ScanScope, ScanState
from homeward.servicekit import errors


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


async def damage(office: Office, footage_id: str) -> None:
    """Cut the manifest of a recording off, as a disk may that loses power."""
    key, store = FootageLayout(footage_id).manifest, office.resource.library._store
    content = await store.get(key)
    assert content is not None
    await store.put(key, content[:40], content_type="application/json")


async def test_a_recording_whose_manifest_is_damaged_is_told_and_keeps_no_other_back(
    office: Office,
) -> None:
    await office.record(at=0)
    await damage(office, await office.record(at=100))
    await office.record(at=200)

    scan_id = await office.create()

    assert len(await office.segments(scan_id)) == 2
    ((reason, duration, detail),) = await office.gaps(scan_id)
    assert (reason, duration) == (GapReason.FOOTAGE_DAMAGED, seconds(0))
    assert "its manifest cannot be read" in detail


async def test_a_scan_of_damaged_recordings_alone_fails_and_says_why(office: Office) -> None:
    await damage(office, await office.record())

    _, summary = await office.scans.get(await office.create())

    assert summary.state is ScanState.FAILED
    assert [gap.reason for gap in summary.gaps] == [GapReason.FOOTAGE_DAMAGED]


async def test_a_recording_that_was_damaged_since_a_scan_asked_for_it_by_name_is_told(
    office: Office,
) -> None:
    one, other = await office.record(at=0), await office.record(at=100)
    scan, _ = await office.scans.create(ScanScope(footage_ids=(one, other)), request_id="")
    await damage(office, other)
    while await office.planner.step(scan.scan_id) is not None:
        pass

    assert [gap[0] for gap in await office.gaps(scan.scan_id)] == [GapReason.FOOTAGE_DAMAGED]


@pytest.mark.parametrize("named", [False, True])
async def test_recordings_of_a_camera_that_is_not_registered_are_told_as_not_searched(
    office: Office, *, named: bool
) -> None:
    one, other = await office.record("cam-1"), await office.record("cam-2", length=60)
    await office.cameras._store.erase("cam-2")  # as after NATS came back with an older state
    scope = ScanScope(footage_ids=(one, other)) if named else EVERYTHING

    gaps = await office.gaps(await office.create(scope))

    ((reason, duration, detail),) = gaps
    assert (reason, duration) == (GapReason.CAMERA_UNKNOWN, seconds(60))
    assert "camera cam-2 is not registered" in detail


async def test_recordings_that_came_later_by_the_clock_are_counted(office: Office) -> None:
    await office.record(at=0)
    office.clock.advance(seconds(3600))
    await office.record(at=100)
    office.clock.advance(-seconds(1800))  # it is set back, or another replica's is behind

    _, summary = await office.scans.get(await office.create())

    assert (summary.footage_count, summary.came_later) == (1, 1)
