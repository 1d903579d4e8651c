"""Work that runs in the background of other work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog

from homeward.servicekit import errors

AGAIN_AFTER = timedelta(seconds=15)
"""Work that failed is tried again after this time, without waiting until it is due again."""

log = structlog.get_logger()


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None, None]:
    """Run `work` while the block runs, and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


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
            log.warning("waiting", problem=error.message)
        except Exception:
            # One failed call must not end the loop: the next call may succeed, and the retention
            # report shows what is overdue.
            log.exception("a regular task failed")
        await asyncio.sleep((every if done else min(every, after_failure)).total_seconds())
