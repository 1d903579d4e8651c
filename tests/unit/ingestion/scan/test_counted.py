"""Searches are counted, whatever breaks off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from homeward.ingestion.scan.authorisation import Authorisation, AuthorisationState, Justification
from homeward.ingestion.scan.counted import ScanCounting
from homeward.ingestion.scan.model import Counts, Scan, ScanPlan, ScanScope, ScanTally
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.servicekit.activity import ActivityCounts
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

SCAN = "00000000-0000-4000-8000-00000000000a"


class World:
    """Scans, and what is counted of them."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.records = StoredScanRecords(InMemoryKeyValueStore())
        self.counts = ActivityCounts(InMemoryKeyValueStore(), clock)
        self.counting = ScanCounting(self.records, self.counts)

    async def create(self, scan_id: str = SCAN) -> None:
        scan = Scan(
            scan_id,
            ScanScope(("s",), ("gate",)),
            self.clock.now(),
            justification=Justification(everything=True, everything_reason="why"),
            authorisation=Authorisation(AuthorisationState.AWAITED),
        )
        await self.records.create(scan)
        plan = ScanPlan(recordings=2, segments=1, total=timedelta(seconds=60), complete=True)
        await self.records.put_plan(scan_id, plan, 0)

    async def compare_some(self, scan_id: str = SCAN) -> None:
        tally = ScanTally(counts=Counts(faces=90, appearances=4, discarded=3))
        await self.records.put_tally(scan_id, tally, 0)

    async def finish(self, scan_id: str = SCAN) -> None:
        tally = ScanTally(
            segments=1,
            done=timedelta(seconds=60),
            looked_at=timedelta(seconds=50),
            counts=Counts(faces=400, appearances=9, discarded=8, incomparable=3),
        )
        before = await self.records.tally(scan_id)
        await self.records.put_tally(scan_id, tally, before.revision)

    async def sweep(self) -> int:
        async def proceed() -> bool:
            return True

        return await self.counting.sweep(proceed)

    async def figures(self) -> list[dict[str, float]]:
        today = self.clock.now().date()
        return [one.figures for one in await self.counts.totals("searches", today, today)]


@pytest.fixture
def world(clock: Any) -> World:
    return World(clock)


async def test_a_search_that_has_ended_is_counted_once(world: World) -> None:
    await world.create()
    assert await world.sweep() == 0
    assert await world.figures() == []

    await world.finish()
    assert await world.sweep() == 1
    assert await world.sweep() == 0
    world.counting = ScanCounting(world.records, world.counts)  # after a restart
    assert await world.sweep() == 1

    assert await world.figures() == [
        {
            "searches": 1,
            "everything": 1,
            "awaited": 1,
            "requested_seconds": 60,
            "searched_seconds": 50,
            "footage": 2,
            "faces": 400,
            "appearances": 9,
            "discarded": 8,
            "incomparable": 3,
        }
    ]


async def test_what_a_search_under_way_has_compared_is_counted_as_its_candidates_are(
    world: World,
) -> None:
    await world.create()
    await world.compare_some()
    assert await world.sweep() == 0

    assert await world.figures() == [{"faces": 90, "appearances": 4, "discarded": 3}]

    await world.finish()
    assert await world.sweep() == 1

    [figures] = await world.figures()
    assert (figures["searches"], figures["appearances"], figures["faces"]) == (1, 9, 400)


async def test_a_decision_that_comes_after_the_end_replaces_the_wait_for_it(world: World) -> None:
    await world.create()
    await world.finish()
    await world.sweep()

    def decide(scan: Scan) -> Scan:
        decided = Authorisation(AuthorisationState.REFUSED)
        return Scan(scan.scan_id, scan.scope, scan.create_time, authorisation=decided)

    await world.records.change(SCAN, decide)
    assert await world.sweep() == 1

    [figures] = await world.figures()
    assert figures["refused"] == 1
    assert "awaited" not in figures


async def test_what_the_lease_does_not_let_finish_is_counted_later(world: World) -> None:
    for number in range(3):
        await world.create(f"{number}")
        await world.finish(f"{number}")
    left = iter([True, False])

    async def proceed() -> bool:
        return next(left)

    assert await world.counting.sweep(proceed) == 1
    assert await world.sweep() == 2
    [figures] = await world.figures()
    assert figures["searches"] == 3
