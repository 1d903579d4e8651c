"""`ScanRecords`: over the fake store and over NATS, held to the same rules."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.authorisation import Authorisation, AuthorisationState
from homeward.ingestion.scan.fold import fold
from homeward.ingestion.scan.former import FormerScans
from homeward.ingestion.scan.model import (
    Counts,
    Scan,
    ScanPlan,
    ScanScope,
    ScanState,
    ScanTally,
    Segment,
)
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.summary import summarise
from homeward.servicekit.keyvalue import ConflictError, InMemoryKeyValueStore, KeyValueStore
from homeward.servicekit.nats import connection

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
MINUTE = timedelta(seconds=60)
FOOTAGE = "cam-1-20261120t100000000000z-0123456789abcdef"


@pytest.fixture(params=["memory", "nats"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[KeyValueStore]:
    if request.param == "memory":
        yield InMemoryKeyValueStore()
        return
    bucket = f"TEST-{uuid.uuid4().hex}"
    async with connection(request.getfixturevalue("nats_url"), "test") as bus:
        yield await bus.open_bucket(bucket, limit=timedelta(days=31), replicas=1)
        await bus.jetstream.delete_stream(f"KV_{bucket}")


@pytest.fixture
def scans(store: KeyValueStore) -> StoredScanRecords:
    return StoredScanRecords(store)


@pytest.fixture
def scan() -> Scan:
    return Scan(str(uuid.uuid4()), ScanScope(), NOW)


def a_recording(segments: int = 3) -> ScannedRecording:
    return ScannedRecording(
        number=0,
        footage_id=FOOTAGE,
        camera_id="cam-1",
        true_start=NOW,
        first_segment=0,
        pieces=tuple(Stretch(MINUTE * number, MINUTE * (number + 1)) for number in range(segments)),
        window=Stretch(timedelta(), MINUTE * segments),
    )


async def planned(scans: StoredScanRecords, scan: Scan, segments: int = 3) -> list[Segment]:
    """Keep a scan of one recording; return its segments as they end."""
    recording = a_recording(segments)
    await scans.create(scan)
    await scans.put_recording(scan.scan_id, recording, 0)
    plan = ScanPlan(1, 1, segments, recording.duration, complete=True)
    await scans.put_plan(scan.scan_id, plan, 0)
    return [
        replace(
            recording.segment(number),
            state=ScanState.SUCCEEDED,
            looked_at=MINUTE,
            counts=Counts(frames=300),
            update_time=NOW,
        )
        for number in range(segments)
    ]


async def test_a_scan_is_kept_once_and_under_way_until_it_has_ended(
    scans: StoredScanRecords, scan: Scan
) -> None:
    first = await scans.create(scan)
    again = await scans.create(replace(scan, create_time=NOW + MINUTE))

    assert first == again == await scans.get(scan.scan_id)
    assert await scans.under_way() == [scan.scan_id]
    await scans.end(scan.scan_id)
    assert (await scans.under_way(), await scans.find()) == ([], [scan])


async def test_a_scan_that_is_not_there_is_not_changed(scans: StoredScanRecords) -> None:
    assert await scans.change("scan-9", lambda held: replace(held, cancelled=True)) is None
    assert await scans.get("scan-9") is None


async def test_changes_by_several_at_a_time_are_all_made(
    scans: StoredScanRecords, scan: Scan
) -> None:
    await scans.create(replace(scan, scope=ScanScope(subject_ids=())))

    def add(name: str) -> Any:
        return lambda held: replace(
            held, scope=replace(held.scope, subject_ids=(*held.scope.subject_ids, name))
        )

    await asyncio.gather(*(scans.change(scan.scan_id, add(str(n))) for n in range(5)))

    held = await scans.get(scan.scan_id)
    assert held is not None
    assert sorted(held.scope.subject_ids) == ["0", "1", "2", "3", "4"]


async def test_plan_tally_and_recording_are_replaced_by_those_alone_who_have_read_them(
    scans: StoredScanRecords, scan: Scan
) -> None:
    plan, tally = await scans.plan(scan.scan_id), await scans.tally(scan.scan_id)
    assert (plan.value, tally.value) == (ScanPlan(), ScanTally())
    await scans.put_plan(scan.scan_id, ScanPlan(recordings=1), plan.revision)
    await scans.put_tally(scan.scan_id, ScanTally(segments=1), tally.revision)
    await scans.put_recording(scan.scan_id, a_recording(), 0)
    held = await scans.recording(scan.scan_id, 0)
    assert held is not None
    await scans.put_recording(scan.scan_id, replace(held.value, looked_at=MINUTE), held.revision)

    with pytest.raises(ConflictError):
        await scans.put_plan(scan.scan_id, ScanPlan(recordings=2), plan.revision)
    with pytest.raises(ConflictError):
        await scans.put_tally(scan.scan_id, ScanTally(segments=2), tally.revision)
    with pytest.raises(ConflictError):
        await scans.put_recording(scan.scan_id, held.value, held.revision)


async def test_recordings_beyond_the_plan_are_not_of_a_scan(
    scans: StoredScanRecords, scan: Scan
) -> None:
    recordings = [replace(a_recording(), number=number) for number in range(3)]
    for one in recordings:
        await scans.put_recording(scan.scan_id, one, 0)

    assert await scans.recordings(scan.scan_id, most=2) == recordings[:2]


async def test_sightings_are_kept_by_scan_and_not_by_segment(
    scans: StoredScanRecords, scan: Scan, store: KeyValueStore
) -> None:
    first, *_ = await planned(scans, scan)
    await scans.save_segment(scan.scan_id, replace(first, sighting_ids=("sighting-1",)))
    await scans.save_segment(scan.scan_id, replace(first, sighting_ids=("sighting-1", "s-2")))

    live = await scans.live(scan.scan_id)

    assert sorted(live.sighting_ids) == ["s-2", "sighting-1"]
    assert all(b"sighting-1" not in one.value for one in await store.entries())


async def test_what_has_ended_is_added_up_once(scans: StoredScanRecords, scan: Scan) -> None:
    segments = await planned(scans, scan)
    for one in segments[:2]:
        await scans.save_segment(scan.scan_id, one)

    await asyncio.gather(*(fold(scans, scan.scan_id) for _ in range(3)))

    tally, recording = await scans.tally(scan.scan_id), await scans.recording(scan.scan_id, 0)
    assert (tally.value.segments, tally.value.counts.frames) == (2, 600)
    assert recording is not None
    assert (recording.value.looked_at, recording.value.ended) == (2 * MINUTE, ((0, 2),))
    assert await scans.segments(scan.scan_id) == []


@pytest.mark.parametrize("step", ["put_recording", "put_tally", "forget_segment"])
async def test_whoever_adds_up_may_stop_anywhere(
    scans: StoredScanRecords, scan: Scan, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    segments = await planned(scans, scan)
    for one in segments:
        await scans.save_segment(scan.scan_id, one)
    done = getattr(scans, step)

    async def and_die(*args: Any) -> None:
        await done(*args)
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(scans, step, and_die)
        with pytest.raises(asyncio.CancelledError):
            await fold(scans, scan.scan_id)
    await fold(scans, scan.scan_id)

    tally, recording = await scans.tally(scan.scan_id), await scans.recording(scan.scan_id, 0)
    assert (tally.value.segments, tally.value.looked_at) == (3, 3 * MINUTE)
    assert recording is not None
    assert recording.value.looked_at == 3 * MINUTE
    held = await scans.get(scan.scan_id)
    assert held is not None
    assert held.final is not None
    assert (held.final.state, held.final.counts.frames) == (ScanState.SUCCEEDED, 900)


async def test_a_segment_that_was_searched_twice_is_added_up_once(
    scans: StoredScanRecords, scan: Scan
) -> None:
    first, *_ = await planned(scans, scan)
    for counts in (Counts(frames=300), Counts(frames=200)):
        await scans.save_segment(scan.scan_id, replace(first, counts=counts))
        await fold(scans, scan.scan_id)

    tally = await scans.tally(scan.scan_id)

    assert (tally.value.segments, tally.value.counts.frames) == (1, 300)
    assert await scans.segments(scan.scan_id) == []


async def test_a_watch_has_what_there_is_and_then_each_change(
    scans: StoredScanRecords, scan: Scan
) -> None:
    segments = await planned(scans, scan)
    told = []
    async with aclosing(scans.watch(scan.scan_id)) as changes:
        told.append(summarise(scan, await anext(changes)))
        for one in segments:
            await scans.save_segment(scan.scan_id, one)
            await fold(scans, scan.scan_id)
        async for live in changes:
            told.append(summarise(scan, live))
            if told[-1].state.ended and live.tally.segments == len(segments):
                break

    assert (told[0].state, told[0].total) == (ScanState.PENDING, 3 * MINUTE)
    done = [one.segments_done for one in told]
    assert done == sorted(done)
    assert all(one.searched == one.segments_done * MINUTE for one in told)


FORMER_SCAN = (
    b'{"scan_id":"former","scope":{"subject_ids":["anna"]},"create_time":"2026-11-20T12:00:00Z",'
    b'"segment_count":3,"cancelled":false,"final":null}'
)
FORMER_SEGMENT = (
    '{"footage_id":"%s","camera_id":"cam-1","start":"PT%dS","end":"PT%dS",'
    '"true_start":"2026-11-20T10:00:00Z","state":"%s","looked_at":"PT%dS","counts":{"frames":300},'
    '"candidates":[{"sighting_id":"sighting-%d","subject_id":"anna","camera_id":"cam-1",'
    '"footage_id":"%s","start_time":"2026-11-20T10:00:01Z","end_time":"2026-11-20T10:00:02Z",'
    '"score":0.8,"threshold":0.45}]}'
)


@pytest.mark.parametrize(
    ("states", "searched", "outcome"),
    [
        (["succeeded"] * 3, 3, ScanState.SUCCEEDED),
        (["succeeded", "running", "pending"], 1, ScanState.RUNNING),
    ],
    ids=["that had ended", "that is under way"],
)
async def test_a_scan_of_a_version_before_is_brought_over_and_names_nobody_any_more(
    scans: StoredScanRecords,
    store: KeyValueStore,
    states: list[str],
    searched: int,
    outcome: ScanState,
) -> None:
    await store.put("scan.former", FORMER_SCAN)
    for number, state in enumerate(states):
        looked_at = 60 if state == "succeeded" else 0
        span = (60 * number, 60 * number + 60)
        value = FORMER_SEGMENT % (FOOTAGE, *span, state, looked_at, number, FOOTAGE)
        await store.put(f"segment.former.{number:06d}", value.encode())
    former = FormerScans(store, scans)

    assert (await former.bring_over(), await former.bring_over()) == (1, 0)

    scan, live = await scans.get("former"), await scans.live("former")
    assert scan is not None
    summary = summarise(scan, live)
    assert (summary.state, summary.searched, summary.candidate_count) == (
        outcome,
        searched * MINUTE,
        3,
    )
    (recording,) = await scans.recordings("former", most=1)
    assert len(recording.open_segments()) == 3 - searched
    assert (await scans.plan("former")).value.over is False
    assert await scans.under_way() == ([] if outcome.ended else ["former"])
    kept = [one for one in await store.entries() if b"10:00:01" in one.value]
    assert kept == []
    assert await store.entries("segment.>") == []


async def test_a_scan_is_undecided_until_its_authorisation_is_settled(
    scans: StoredScanRecords, scan: Scan
) -> None:
    awaited = Authorisation(AuthorisationState.AWAITED, NOW + MINUTE)
    await scans.create(scan)
    assert await scans.undecided() == []
    waiting = replace(scan, scan_id=str(uuid.uuid4()), authorisation=awaited)
    await scans.create(waiting)
    await scans.await_decision(scan.scan_id)
    both = await scans.undecided()
    await scans.settle_decision(scan.scan_id)
    await scans.settle_decision(scan.scan_id)

    assert both == sorted([scan.scan_id, waiting.scan_id])
    assert await scans.undecided() == [waiting.scan_id]
    assert await scans.get(waiting.scan_id) == waiting
