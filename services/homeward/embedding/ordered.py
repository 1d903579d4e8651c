"""Several pieces of a stream in work at a time, their answers in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_order(
    items: AsyncIterable[T], work: Callable[[T], Awaitable[R]], *, limit: int
) -> AsyncIterator[R]:
    """Yield the result of each item in the order of the items.

    The next item is read only when fewer than `limit` are in work or wait for their turn, so that a
    sender who is too fast, or a receiver who is too slow, is held back. The first error ends it, in
    its turn.
    """
    slots = asyncio.Semaphore(limit)
    answers: asyncio.Queue[asyncio.Future[R] | None] = asyncio.Queue()
    started: set[asyncio.Future[R]] = set()

    async def read() -> None:
        try:
            await slots.acquire()
            async for item in items:
                answer = asyncio.ensure_future(work(item))
                started.add(answer)
                answers.put_nowait(answer)
                await slots.acquire()
        finally:
            answers.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (answer := await answers.get()) is not None:
            yield await answer
            started.discard(answer)
            slots.release()
        await reader  # raises what reading raised
    finally:
        left: list[asyncio.Future[Any]] = [reader, *started]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
