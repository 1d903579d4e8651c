"""Running something beside something else."""

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
"""Work that could not be done is tried again after this, and not only when it is due again."""

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
    """Do something regularly, whatever happens.

    Args:
        work: Returns False if it could not be done.
        every: How long to wait in between.
        after_failure: How long, at most, if it could not be done.
    """
    while True:
        done = False
        try:
            done = await work() is not False
        except errors.UnavailableError as error:
            log.warning("waiting", problem=error.message)
        except Exception:
            # A fault in one round must not be the end of keeping deadlines: the next may succeed,
            # and the retention report tells what is overdue.
            log.exception("a regular task failed")
        await asyncio.sleep((every if done else min(every, after_failure)).total_seconds())
