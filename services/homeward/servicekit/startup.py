"""Starting in any order: what is not there yet is awaited, and the log says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from homeward.servicekit.errors import UnavailableError

RETRY_SECONDS = 0.5

T = TypeVar("T")
log = structlog.get_logger()


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
