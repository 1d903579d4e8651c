from __future__ import annotations

import asyncio
from datetime import timedelta

from homeward.servicekit.background import in_background
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.lease import RENEWED_EVERY, Lease, Proceed, regularly


def two() -> tuple[InMemoryKeyValueStore, Lease, Lease]:
    store = InMemoryKeyValueStore()
    return store, Lease(store, "sweep", "one"), Lease(store, "sweep", "two")


async def test_one_of_two_has_it_and_keeps_it() -> None:
    _, one, two_ = two()

    assert [await one.held(), await two_.held(), await one.held()] == [True, False, True]


async def test_a_released_lease_is_free_at_once() -> None:
    _, one, two_ = two()
    await one.held()
    await one.release()

    assert await two_.held()


async def test_a_lease_that_ran_out_is_taken_by_another_and_lost_by_its_holder() -> None:
    store, one, two_ = two()
    await one.held()
    await store.erase("sweep")  # what the store does when it is not renewed

    assert [await two_.held(), await one.held()] == [True, False]


async def test_a_lease_that_ran_out_is_taken_again_when_nobody_else_has() -> None:
    store, one, _ = two()
    await one.held()
    await store.erase("sweep")

    assert await one.held()


async def test_who_has_no_lease_does_not_work() -> None:
    _, one, two_ = two()
    await one.held()
    worked = False

    async def work(_: Proceed) -> None:
        nonlocal worked
        worked = True

    task = asyncio.create_task(regularly(work, two_, every=timedelta()))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()

    assert not worked


async def test_who_is_stopped_lets_another_have_it_at_once() -> None:
    _, one, two_ = two()
    begun = asyncio.Event()

    async def work(_: Proceed) -> None:
        begun.set()

    async with in_background(regularly(work, one, every=timedelta(hours=1))):
        await begun.wait()
        assert not await two_.held()

    assert await two_.held()


class Stopwatch:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_lease_is_renewed_by_time_and_not_by_how_often_it_is_asked_for() -> None:
    store, watch = InMemoryKeyValueStore(), Stopwatch()
    lease = Lease(store, "sweep", "one", monotonic=watch)
    assert await lease.still_held()
    first = await store.get("sweep")

    watch.seconds += RENEWED_EVERY.total_seconds() - 0.001
    assert await lease.still_held()
    assert await store.get("sweep") == first

    watch.seconds += 0.001
    assert await lease.still_held()
    assert await store.get("sweep") != first


async def test_a_lease_that_was_lost_is_noticed_when_it_is_to_be_renewed() -> None:
    store, watch = InMemoryKeyValueStore(), Stopwatch()
    lease = Lease(store, "sweep", "one", monotonic=watch)
    assert await lease.still_held()
    await store.erase("sweep")
    await store.create("sweep", b"another")

    watch.seconds += RENEWED_EVERY.total_seconds()

    assert not await lease.still_held()
    assert not await lease.still_held()
