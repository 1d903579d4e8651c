"""All records of a store, kept in memory, so that only what changes is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from homeward.servicekit.keyvalue import Entry, KeyValueStore, StoreMark

T = TypeVar("T")

KEPT_SECONDS = 900.0
"""How long records stay in memory that nobody asks for. Each sweep asks for them, sooner than this
after the one before: so the only replica reads all records once."""


class Roll(Generic[T]):
    """The records of a store as they are now.

    What was erased goes from memory with the next call. All goes `KEPT_SECONDS` after the last one.

    Args:
        store: Holds the records.
        read: Decodes one.
    """

    def __init__(self, store: KeyValueStore, read: Callable[[Entry], T]) -> None:
        self._store = store
        self._read = read
        self._held: dict[str, T] = {}
        self._mark = StoreMark(0, 0)
        self._reading = asyncio.Lock()
        self._ending: asyncio.TimerHandle | None = None

    async def held(self) -> Mapping[str, T]:
        """Return all records by their keys. Only what was written since the last time is read.

        What is returned does not change any more.

        Raises:
            UnavailableError: The store does not answer.
        """
        async with self._reading:
            mark = await self._store.mark()
            if mark.revision < self._mark.revision:
                # The store has come back with an older state: nothing that was read is of it.
                self._let_go()
            if mark != self._mark:
                held = dict(self._held)
                for entry in await self._store.entries(since=self._mark.revision):
                    held[entry.key] = self._read(entry)
                keys = await self._store.keys()
                held = {key: one for key, one in held.items() if key in keys}
                # What is written from now on is another mark, and is read the next time.
                self._held, self._mark = held, mark
            if self._ending is not None:
                self._ending.cancel()
            self._ending = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._let_go)
            return self._held

    def _let_go(self) -> None:
        self._held, self._mark = {}, StoreMark(0, 0)

    async def forget_erased(self) -> None:
        """Let what was erased go from memory.

        Raises:
            UnavailableError: The store does not answer.
        """
        if self._held:
            await self.held()
