"""Several calls at a time, whose results are read in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


async def in_order(
    call: Callable[[ItemT], Awaitable[ResultT]],
    items: AsyncIterable[ItemT] | Iterable[ItemT],
    *,
    at_once: int,
) -> AsyncGenerator[ResultT, None]:
    """Yield what `call` returns for each item, in the order of the items.

    Args:
        call: Called with each item; an error that it raises ends the iteration.
        items: The items; an item is read only when its call begins.
        at_once: Most calls at a time, at least 1.
    """
    under_way: deque[asyncio.Task[ResultT]] = deque()
    try:
        async with aclosing(_each(items)) as source:
            async for item in source:
                under_way.append(asyncio.ensure_future(_called(call, item)))
                if len(under_way) == at_once:
                    yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _called(call: Callable[[ItemT], Awaitable[ResultT]], item: ItemT) -> ResultT:
    return await call(item)


async def _each(items: AsyncIterable[ItemT] | Iterable[ItemT]) -> AsyncGenerator[ItemT, None]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
