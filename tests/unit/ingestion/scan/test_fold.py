"""Segments that two scanners had: each is added up once, whatever breaks off."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock

import pytest

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.fold import fold, settle
from homeward.ingestion.scan.model import Scan, ScanPlan, ScanScope, ScanState, ScanTally, Segment
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.servicekit import errors
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

START = datetime(2026, 11, 20, 10, tzinfo=UTC)


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


@pytest.fixture
async def scans() -> StoredScanRecords:
    """Those with one scan of three segments."""
    held = StoredScanRecords(InMemoryKeyValueStore())
    await held.create(Scan("s", ScanScope(), START))
    await held.put_recording("s", _recording(), 0)
    plan = ScanPlan(recordings=1, queued=1, segments=3, total=minutes(3), complete=True)
    await held.put_plan("s", plan, 0)
    return held


def _recording() -> ScannedRecording:
    return ScannedRecording(
        number=0,
        footage_id="footage-1",
        camera_id="cam-1",
        true_start=START,
        first_segment=0,
        pieces=tuple(Stretch(minutes(n), minutes(n + 1)) for n in range(3)),
        window=Stretch(minutes(0), minutes(3)),
    )


def _ended(number: int) -> Segment:
    planned = _recording().segment(number)
    return replace(planned, state=ScanState.SUCCEEDED, looked_at=planned.duration)


async def test_what_ends_once_more_is_not_added_up_again_after_a_fold_that_broke_off(
    scans: StoredScanRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scans.save_segment("s", _ended(0))
    await fold(scans, "s")
    await scans.save_segment("s", _ended(0))  # by a scanner that was thought to be dead
    await scans.save_segment("s", _ended(1))
    away = AsyncMock(side_effect=errors.unavailable("NATS", "nats", "it is away"))
    with monkeypatch.context() as patched:
        patched.setattr(scans, "put_tally", away)
        with pytest.raises(errors.UnavailableError):
            await fold(scans, "s")

    await fold(scans, "s")

    tally = (await scans.tally("s")).value
    assert (tally.segments, tally.looked_at) == (2, minutes(2))
    scan = await scans.get("s")
    assert scan is not None
    assert scan.final is None


async def test_a_scan_has_not_ended_while_a_segment_is_left_though_another_ended_twice(
    scans: StoredScanRecords,
) -> None:
    for number in (0, 1):
        await scans.save_segment("s", _ended(number))
    await fold(scans, "s")
    await scans.save_segment("s", _ended(0))

    scan = await settle(scans, "s")

    assert scan is not None
    assert scan.final is None


async def test_a_scan_that_has_ended_does_not_count_what_ends_once_more(
    scans: StoredScanRecords,
) -> None:
    tally = ScanTally(segments=3, done=minutes(3), looked_at=minutes(3))
    await scans.put_tally("s", tally, 0)
    await scans.save_segment("s", _ended(0))

    scan = await settle(scans, "s")

    assert scan is not None
    assert scan.final is not None
    assert (scan.final.state, scan.final.searched) == (ScanState.SUCCEEDED, minutes(3))
