from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from scan_office import AT_ONCE, Office, seconds

from homeward.ingestion.scan.model import ScanState
from homeward.ingestion.scan.scans import ScanChange
from homeward.servicekit import errors


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
