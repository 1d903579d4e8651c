"""Starting in any order: what is not there yet is awaited, and the log says so."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from homeward.servicekit.errors import UnavailableError

RETRY_SECONDS = 0.5

T = TypeVar("T")
log = structlog.get_logger()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program, which SIGTERM ends at any time; a server that is up ends by it in its own way.

    The first process of a container has no default for a signal: while it waits for an engine, it
    would be killed only when the time to stop is over.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    return asyncio.run(main)


async def eventually(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the engine or service behind it answers.

    Args:
        call: Raises `UnavailableError` while it does not.
    """
    while True:
        try:
            return await call()
        except UnavailableError as error:
            log.warning("waiting", problem=error.message)
            await asyncio.sleep(RETRY_SECONDS)
