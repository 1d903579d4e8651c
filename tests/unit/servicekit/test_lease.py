from __future__ import annotations

import asyncio
from datetime import timedelta

from homeward.servicekit import errors
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.lease import Lease, Proceed, regularly


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


async def test_regular_work_goes_on_after_a_fault() -> None:
    _, one, _ = two()
    rounds = 0
    enough = asyncio.Event()

    async def work(proceed: Proceed) -> None:
        nonlocal rounds
        assert await proceed()
        rounds += 1
        if rounds == 1:
            raise RuntimeError("a fault")
        if rounds == 2:
            raise errors.unavailable("S3", "http://s3:1", "start it")
        enough.set()

    task = asyncio.create_task(regularly(work, one, every=timedelta()))
    async with asyncio.timeout(5):
        await enough.wait()
    task.cancel()


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
