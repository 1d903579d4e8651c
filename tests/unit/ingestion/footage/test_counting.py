"""The counts that the sweep keeps, and the report that goes by them: what they cost, and say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from footage_filling import CountingStore, fill

from homeward.core.inventory import FOOTAGE_LIMIT, swept_after
from homeward.ingestion.footage import report as report_module
from homeward.ingestion.footage import sweep as sweep_module
from homeward.ingestion.footage.counts import FootageCounts, RetentionTerms
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.model import Footage, FootageErasure, HeldFootage
from homeward.ingestion.footage.records import (
    ERASURES_SHOWN,
    TAKEN_OVER_AT_ONCE,
    FootageRecords,
)
from homeward.ingestion.footage.report import RetentionReport
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.sweep import FootageSweeper, SweepResult
from homeward.servicekit import records
from homeward.servicekit.audit.acts import InMemoryActs
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

DUE = swept_after(FOOTAGE_LIMIT)


async def yes() -> bool:
    return True


@pytest.fixture
def bucket(clock: Any) -> CountingStore:
    return CountingStore(clock)


@pytest.fixture
def sweeper(
    resource: FootageResource,
    bucket: CountingStore,
    uploads: InMemoryKeyValueStore,
    erasures: InMemoryKeyValueStore,
    clock: Any,
) -> FootageSweeper:
    return new_sweeper(resource, bucket, uploads, erasures, clock)


def new_sweeper(
    resource: FootageResource, bucket: Any, uploads: Any, erasures: Any, clock: Any
) -> FootageSweeper:
    """Return another replica."""
    return FootageSweeper(
        store=bucket,
        eraser=resource.eraser,
        uploads=uploads,
        records=erasures,
        clock=clock,
        acts=InMemoryActs(),
        terms=RetentionTerms(FOOTAGE_LIMIT, FOOTAGE_LIMIT - DUE),
    )


def told(report: RetentionReport) -> dict[str, tuple[int, int]]:
    """Return how many there are of each kind, and how many are overdue, of those there are."""
    return {one.name: (one.count, one.overdue) for one in report.held if one.count or one.overdue}


async def test_a_manifest_is_read_once_by_all_replicas_together(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: CountingStore,
    uploads: InMemoryKeyValueStore,
    erasures: InMemoryKeyValueStore,
    clock: Any,
    make: Any,
) -> None:
    await fill(bucket, make, cameras=10, days=4, hours=5)  # before there were records of them
    bucket.restart()
    await sweeper.sweep(yes)
    assert bucket.requests["get"] == 200
    bucket.restart()

    await new_sweeper(resource, bucket, uploads, erasures, clock).sweep(yes)

    # A list of each camera, of staged files and of pointers.
    assert bucket.requests == Counter(objects=10 + 2, level=1)


async def test_a_pointer_is_looked_after_once(
    sweeper: FootageSweeper, bucket: CountingStore, clock: Any, make: Any
) -> None:
    await fill(bucket, make, cameras=2, days=2, hours=5)
    clock.advance(timedelta(days=2))
    bucket.restart()
    await sweeper.sweep(yes)
    assert bucket.requests["get"] == 20 * 2  # manifest and pointer
    bucket.restart()

    await sweeper.sweep(yes)

    assert bucket.requests == Counter(objects=2 + 2, level=1)


async def test_a_sweep_ends_after_its_time_and_another_replica_goes_on(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: CountingStore,
    uploads: InMemoryKeyValueStore,
    erasures: InMemoryKeyValueStore,
    clock: Any,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fill(bucket, make, cameras=6, days=1, hours=1)
    seen: list[str] = []
    objects = bucket.objects

    async def slow(prefix: str) -> Any:
        if prefix.startswith("footage/cam"):
            seen.append(prefix)
            clock.advance(sweep_module.ROUND_TIME / 4)
        return await objects(prefix)

    monkeypatch.setattr(bucket, "objects", slow)

    await sweeper.sweep(yes)
    first = sorted(set(seen))
    seen.clear()
    await new_sweeper(resource, bucket, uploads, erasures, clock).sweep(yes)

    assert first == ["footage/cam-000/", "footage/cam-001/"]  # each is listed again when counted
    assert seen[0] == "footage/cam-002/"


async def test_what_is_due_goes_before_the_round_comes_to_it(
    *,
    sweeper: FootageSweeper,
    bucket: CountingStore,
    erasures: InMemoryKeyValueStore,
    clock: Any,
    make: Any,
) -> None:
    held = await fill(bucket, make, cameras=3, hours=2)
    await sweeper.sweep(yes)
    clock.advance(DUE)
    await FootageCounts(erasures).reach("cam-999")  # the round has nothing left

    swept = await sweeper.sweep(yes)

    assert swept == SweepResult(footage_ids=tuple(one.footage_id for one in held))


async def test_the_lease_is_asked_for_each_recording_that_goes(
    sweeper: FootageSweeper, bucket: CountingStore, clock: Any, make: Any
) -> None:
    await fill(bucket, make, hours=3)
    await sweeper.sweep(yes)
    clock.advance(DUE)
    answers = iter([True, True, True, False, False])

    async def some() -> bool:
        return next(answers)

    swept = await sweeper.sweep(some)

    assert len(swept.footage_ids) == 2


async def test_a_report_costs_the_same_however_much_is_held(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: CountingStore,
    make: Any,
) -> None:
    await fill(bucket, make, cameras=20, days=10, hours=10)
    await sweeper.sweep(yes)
    bucket.restart()

    report = await resource.reporter.report()

    assert told(report)["footage"] == (2000, 0)
    assert sum(bucket.requests.values()) < 10
    assert bucket.listed == 0


async def test_a_report_says_since_when_it_counts(
    sweeper: FootageSweeper, resource: FootageResource, bucket: CountingStore, clock: Any, make: Any
) -> None:
    assert (await resource.reporter.report()).count_time is None
    await fill(bucket, make, cameras=2)
    counted = clock.now()
    await sweeper.sweep(yes)
    clock.advance(timedelta(hours=3))

    assert (await resource.reporter.report()).count_time == counted


async def test_what_has_changed_since_is_counted_again(
    sweeper: FootageSweeper, resource: FootageResource, bucket: CountingStore, make: Any
) -> None:
    held = await fill(bucket, make, cameras=2)
    await sweeper.sweep(yes)

    async def chunks() -> Any:
        yield b"recording"

    await resource.uploads.upload("up-1", make.header(), 0, chunks())
    await resource.eraser.delete(held[0].footage_id)
    bucket.restart()

    report = await resource.reporter.report()

    assert told(report)["footage"] == (len(held), 0)
    assert report.uncounted_days == 0
    assert bucket.requests["objects"] == 1 + 2  # staged files; a day of each camera


async def test_what_has_changed_and_was_not_counted_again_is_said(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: CountingStore,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = await fill(bucket, make, cameras=1, days=5, hours=1)
    await sweeper.sweep(yes)
    monkeypatch.setattr(report_module, "DAYS_COUNTED", 2)
    for one in held[:3]:
        await resource.eraser.delete(one.footage_id)

    report = await resource.reporter.report()

    assert (told(report)["footage"], report.uncounted_days) == ((3, 0), 1)


@pytest.mark.parametrize(("count", "counted"), [(8, 8), (11, 8)])
async def test_cameras_that_were_never_counted_are_looked_at_up_to_a_number(
    resource: FootageResource, bucket: CountingStore, make: Any, count: int, counted: int
) -> None:
    await fill(bucket, make, cameras=count, hours=1)

    report = await resource.reporter.report()

    assert told(report)["footage"] == (counted, 0)
    assert report.uncounted_days == count - counted


async def test_a_camera_of_which_only_what_came_was_marked_is_counted_in_whole(
    resource: FootageResource, bucket: CountingStore, make: Any
) -> None:
    """As after an upgrade, before the first sweep."""
    held = await fill(bucket, make, days=3, hours=1)
    await resource.eraser.delete(held[0].footage_id)

    report = await resource.reporter.report()

    assert (told(report)["footage"], report.count_time) == ((2, 0), None)


async def test_a_breach_is_told_though_no_sweep_comes(
    sweeper: FootageSweeper, resource: FootageResource, bucket: CountingStore, clock: Any, make: Any
) -> None:
    held = await fill(bucket, make, cameras=2, hours=2)
    await sweeper.sweep(yes)
    clock.advance(FOOTAGE_LIMIT)

    report = await resource.reporter.report()

    assert told(report)["footage"] == (4, 4)
    assert set(report.overdue) == {one.footage_id for one in held}


async def test_breaches_on_more_days_than_are_counted_are_told_without_names(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: CountingStore,
    clock: Any,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fill(bucket, make, days=5, hours=1)
    await sweeper.sweep(yes)
    clock.advance(FOOTAGE_LIMIT)
    monkeypatch.setattr(report_module, "DAYS_COUNTED", 2)

    report = await resource.reporter.report()

    assert told(report)["footage"] == (5, 5)
    assert (len(report.overdue), report.uncounted_days) == (2, 3)


async def test_what_comes_while_a_day_is_counted_is_counted_with_the_next_report(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: CountingStore,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fill(bucket, make, hours=1)
    await sweeper.sweep(yes)
    objects, came = bucket.objects, []

    async def chunks() -> Any:
        yield b"recording"

    async def meanwhile(prefix: str) -> Any:
        found = await objects(prefix)
        if prefix == "footage/cam-000/" and not came:
            came.append(prefix)
            header = make.header(camera_id="cam-000")
            await resource.uploads._cameras.create("cam-000", (await a_camera(resource)))
            await resource.uploads.upload("up-1", header, 0, chunks())
        return found

    monkeypatch.setattr(bucket, "objects", meanwhile)
    await sweeper.sweep(yes)

    assert came
    assert told(await resource.reporter.report())["footage"] == (2, 0)


async def a_camera(resource: FootageResource) -> Any:
    return (await resource.uploads._cameras.get("cam-1"))[0].details


async def test_records_of_an_earlier_version_are_taken_over(
    *,
    sweeper: FootageSweeper,
    bucket: CountingStore,
    erasures: InMemoryKeyValueStore,
    clock: Any,
    make: Any,
) -> None:
    """A recording that the store removed before this version looked is still missed."""
    filled = await fill(bucket, make, cameras=2, days=2, hours=3)
    for one in filled:
        record = HeldFootage(
            footage_id=one.footage_id, receive_time=one.receive_time, delete_time=one.delete_time
        )
        await erasures.put(f"held.{one.footage_id}", records.encode(record))
    await bucket.purge("")
    clock.advance(timedelta(days=29))

    swept = await sweeper.sweep(yes)

    assert sorted(swept.by_store) == sorted(one.footage_id for one in filled)
    assert await erasures.entries("held.>") == []


def former(one: Footage) -> tuple[str, HeldFootage]:
    """Return the key and the record of a recording as an earlier version wrote them."""
    return f"held.{one.footage_id}", HeldFootage(one.footage_id, one.receive_time, one.delete_time)


async def test_records_of_an_earlier_version_are_taken_over_in_parts(
    erasures: InMemoryKeyValueStore, bucket: CountingStore, clock: Any, make: Any
) -> None:
    filled = await fill(bucket, make, days=TAKEN_OVER_AT_ONCE + 3, hours=1)
    kept = FootageRecords(erasures)
    for one in filled:
        key, record = former(one)
        await erasures.put(key, records.encode(record))
    began = clock.now()
    asked = count()

    def later() -> datetime:  # a second each time, from when the list is read
        return began + timedelta(seconds=next(asked))

    first = await kept.take_over(later, timedelta(seconds=3))
    left = await erasures.keys("held.*")
    rest = await kept.take_over(later, timedelta(days=1))

    assert (len(first), len(left)) == (2, len(filled) - 2)
    assert sorted(first + rest) == sorted(one.footage_id for one in filled)
    assert await kept.held() == {one.footage_id: former(one)[1] for one in filled}


async def test_what_is_removed_before_its_record_is_taken_over_is_counted_once(
    *,
    sweeper: FootageSweeper,
    bucket: CountingStore,
    erasures: InMemoryKeyValueStore,
    clock: Any,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled = await fill(bucket, make, hours=12)
    for one in filled:
        key, record = former(one)
        await erasures.put(key, records.encode(record))
    clock.advance(timedelta(days=31))
    with monkeypatch.context() as patched:
        patched.setattr(sweep_module, "TAKE_OVER_TIME", timedelta())
        removed = await sweeper.sweep(yes)

    again = await sweeper.sweep(yes)

    assert len(removed.footage_ids) == len(filled)
    assert (again.footage_ids, again.by_store) == ((), ())
    assert sum((await FootageRecords(erasures).recent(clock.now())).counts.values()) == len(filled)


async def test_a_record_of_this_version_stays_where_an_earlier_one_is_taken_over(
    erasures: InMemoryKeyValueStore, bucket: CountingStore, clock: Any, make: Any
) -> None:
    (one,) = await fill(bucket, make, hours=1)
    key, record = former(one)
    newer = replace(record, delete_time=record.delete_time + timedelta(days=5))
    kept = FootageRecords(erasures)
    await erasures.put(key, records.encode(record))
    await kept.remember(newer)

    await kept.take_over(clock.now, timedelta(days=1))

    assert await kept.held() == {one.footage_id: newer}
    assert not await erasures.keys("held.*")


async def test_removals_are_counted_and_only_the_latest_are_listed(
    erasures: InMemoryKeyValueStore, clock: Any, make: Any
) -> None:
    kept = FootageRecords(erasures)
    for number in range(ERASURES_SHOWN + 5):
        footage_id = make.header(str(number).encode()).footage_id
        erasure = FootageErasure(footage_id, clock.now(), clock.now(), clock.now(), clock.now())
        await kept.end(erasure)
        await kept.end(erasure)  # taken up again after it broke off

    recent = await kept.recent(clock.now())

    assert recent.counts == {"2026-11-21": ERASURES_SHOWN + 5}
    assert len(recent.latest) == ERASURES_SHOWN
    assert recent.latest[0].footage_id == footage_id
    clock.advance(timedelta(days=7))
    assert (await kept.recent(clock.now())).latest == ()


async def test_removals_that_an_earlier_version_wrote_down_are_told(
    resource: FootageResource, erasures: InMemoryKeyValueStore, clock: Any, make: Any
) -> None:
    footage_id = FootageLayout(make.header().footage_id).footage_id
    erasure = FootageErasure(footage_id, clock.now(), clock.now(), clock.now(), clock.now())
    await erasures.put(f"footage.2026-11-21.{footage_id}", records.encode(erasure))

    report = await resource.reporter.report()

    assert (report.erasures, report.erased_count) == ((erasure,), 1)
