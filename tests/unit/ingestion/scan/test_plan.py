from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import pytest
from scan_office import EVERYTHING, Office, seconds

from homeward.ingestion.footage.limits import MAX_EXAMINED_AT_ONCE
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.timeline import VERSION
from homeward.ingestion.scan import plan as planning
from homeward.ingestion.scan.model import GapReason, ScanState
from homeward.ingestion.scan.plan import MAX_ATTEMPTS
from homeward.servicekit.identity.caller import Caller, acting_for
from homeward.servicekit.keyvalue import ConflictError


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
