"""Work that runs in the background of other work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog

from homeward.servicekit import errors

AGAIN_AFTER = timedelta(seconds=15)
"""Work that failed is tried again after this time, without waiting until it is due again."""

CANCELLED_AGAIN_SECONDS = 1.0
"""How long a task that was cancelled may take to end before it is cancelled again."""

log = structlog.get_logger()


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended; raise what one ended with, if it was not that.

    A cancellation can be lost: if the result comes at the same time, `asyncio.wait_for` of Python
    3.11, by which nats-py waits, returns that in place of it. So they are cancelled again.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCELLED_AGAIN_SECONDS)
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            task.result()


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None, None]:
    """Run `work` while the block runs, and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end([task])


async def again_and_again(
    work: Callable[[], Awaitable[object]],
    *,
    every: timedelta,
    after_failure: timedelta = AGAIN_AFTER,
) -> None:
    """Call `work` regularly, also after it has failed.

    Args:
        work: The work; returns False if it failed.
        every: Time between two calls.
        after_failure: Longest time until the next call after a failure.
    """
    while True:
        done = False
        try:
            done = await work() is not False
        except errors.UnavailableError as error:
            log.warning("waiting", problem=str(error))
        except Exception:
            # One failed call must not end the loop: the next call may succeed, and the retention
            # report shows what is overdue.
            log.exception("a regular task failed")
        await asyncio.sleep((every if done else min(every, after_failure)).total_seconds())
