from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from homeward.servicekit.in_order import in_order


async def test_results_come_in_the_order_of_the_items() -> None:
    first = asyncio.Event()

    async def call(item: int) -> int:
        await first.wait() if item == 0 else first.set()
        return item

    assert [one async for one in in_order(call, range(4), at_once=2)] == [0, 1, 2, 3]


@pytest.mark.parametrize("at_once", [1, 3])
async def test_only_so_many_calls_are_under_way_and_no_item_is_read_before(at_once: int) -> None:
    under_way, most, read = 0, 0, 0

    async def call(_: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    async def items() -> AsyncIterator[int]:
        nonlocal read
        for number in range(10):
            read += 1
            yield number

    results = in_order(call, items(), at_once=at_once)
    await anext(results)
    assert read == at_once
    assert [one async for one in results] == [None] * 9
    assert most == at_once


async def test_a_call_that_fails_ends_all_others() -> None:
    cancelled = asyncio.Event()

    async def call(item: int) -> None:
        if item == 0:
            raise ConnectionResetError
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    results = in_order(call, range(4), at_once=2)
    with pytest.raises(ConnectionResetError):
        await anext(results)

    assert cancelled.is_set()
