"""Starting in any order: a service waits for engines and services that do not answer yet."""

from __future__ import annotations

import asyncio
import ctypes
import gc
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
    """Run a program that SIGTERM ends at any time; a running server handles SIGTERM itself.

    The first process of a container has no default action for a signal: without this, a program
    that waits for an engine would run until the container's grace period is over.

    What is loaded by now stays until the end: the collector passes over it from here on. With it, a
    full collection stops a scanner for 0.2 s.
    """
    gc.freeze()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    return asyncio.run(main)


def give_back_freed_memory() -> None:
    """Give memory that was freed back to the system, which glibc does by itself only now and then.

    For after something large was loaded. Another C library is left to its own ways.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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
