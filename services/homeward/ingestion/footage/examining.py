"""Examining recordings again that an earlier version took in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from homeward.ingestion.footage.limits import MAX_EXAMINED_AT_ONCE
from homeward.ingestion.footage.model import Footage

log = structlog.get_logger()


class Examinations:
    """The examinations under way: one of each recording, and a few at a time.

    Callers that need the same recording wait for the same examination. The examination goes on when
    no caller waits any more, so that a call repeated after its deadline finds it done.

    Args:
        examine: Examines the recording of an id, and returns it.
    """

    def __init__(self, examine: Callable[[str], Awaitable[Footage]]) -> None:
        self._examine = examine
        self._under_way: dict[str, asyncio.Task[Footage]] = {}
        self._places = asyncio.Semaphore(MAX_EXAMINED_AT_ONCE)

    async def of(self, footage_id: str) -> Footage:
        """Return a recording once it is examined; raises the error of its examination."""
        task = self._under_way.get(footage_id)
        if task is None:
            task = asyncio.create_task(self._in_turn(footage_id))
            self._under_way[footage_id] = task
            task.add_done_callback(lambda done: self._ended(footage_id, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel the examinations under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _in_turn(self, footage_id: str) -> Footage:
        async with self._places:
            return await self._examine(footage_id)

    def _ended(self, footage_id: str, task: asyncio.Task[Footage]) -> None:
        del self._under_way[footage_id]
        problem = None if task.cancelled() else task.exception()
        if problem is not None:  # nobody may be left to tell it to
            log.warning("not examined again", footage_id=footage_id, problem=str(problem))
