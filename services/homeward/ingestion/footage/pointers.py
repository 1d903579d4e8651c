"""Removing pointers by a file's digest whose recording does not exist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from homeward.core.inventory import ABANDONED_AFTER
from homeward.ingestion.footage.counts import NOTHING, KindCount
from homeward.ingestion.footage.layout import POINTERS, FootageLayout, is_footage_id
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.footage.staging import dated_ahead
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.in_order import in_order
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.objects import ObjectInfo

PAGE = 1000
"""Pointers in one list request."""

CHECKED_AT_ONCE = 8
"""Pointers whose recording is looked for at a time."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PointerCheck:
    """Progress of a round through all pointers."""

    after: str = ""
    """The last key that was checked in this round."""
    begin_time: datetime | None = None
    """When this round began."""
    checked_until: datetime | None = None
    """Time until which pointers were written that had their recording when they were checked."""
    dangling: KindCount = NOTHING
    """Pointers of the last round without a recording that could not be removed."""
    round_dangling: KindCount = NOTHING
    """As `dangling`, of this round so far."""


class Pointers:
    """Removes pointers to nothing: left by an upload that broke off, or somebody else's.

    Each pointer is checked once, when it is a day old, because a removal of a recording removes its
    pointer first. Pointers are listed in rounds, so that a sweep may check a part of them.

    Args:
        store: The bucket of recordings.
        state: Holds the progress.
        clock: Tells the time.
    """

    def __init__(self, store: FootageStore, state: KeyValueStore, clock: Clock) -> None:
        self._store = store
        self._state = state
        self._clock = clock

    async def sweep(self, until: datetime) -> int:
        """Go on with the round, for a page at least; return how many pointers were removed.

        Args:
            until: No page is begun after this.
        """
        check = await self.check()
        removed = 0
        while True:
            begin = check.begin_time or self._clock.now()
            page = await self._store.objects_after(POINTERS, check.after, PAGE)
            count, dangling = await self._sweep_page(page, check.checked_until)
            removed += count
            found = check.round_dangling + dangling
            if len(page) < PAGE:
                # Whatever was written a day before this round began was old enough to be checked.
                until_then = begin - ABANDONED_AFTER
                ended = PointerCheck(checked_until=until_then, dangling=found)
                await self._state.put(_KEY, records.encode(ended))
                return removed
            check = replace(check, after=page[-1].key, begin_time=begin, round_dangling=found)
            await self._state.put(_KEY, records.encode(check))
            if self._clock.now() >= until:
                return removed

    async def check(self) -> PointerCheck:
        """Return how far all have been checked."""
        entry = await self._state.get(_KEY)
        return records.decode(entry.value, PointerCheck) if entry else PointerCheck()

    async def dangling_among(self, page: list[ObjectInfo]) -> list[ObjectInfo]:
        """Return those that point to no recording."""
        found = in_order(self._points_to_nothing, page, at_once=CHECKED_AT_ONCE)
        return [item async for item in found if item is not None]

    async def _sweep_page(
        self, page: list[ObjectInfo], checked_until: datetime | None
    ) -> tuple[int, KindCount]:
        now = self._clock.now()
        due = [
            item
            for item in page
            if dated_ahead(item, now)
            or (
                now - item.modified >= ABANDONED_AFTER
                and (checked_until is None or item.modified > checked_until)
            )
        ]
        removed, kept = 0, []
        for item in await self.dangling_among(due):
            try:
                await self._store.delete(item.key)
            except errors.FailedPreconditionError as error:
                log.warning("pointer not removed", problem=str(error))
                kept.append(item)
                continue
            removed += 1
        return removed, KindCount.of(kept)

    async def _points_to_nothing(self, item: ObjectInfo) -> ObjectInfo | None:
        data = await self._store.get(item.key)
        if data is None:  # removed since it was listed
            return None
        name = data.decode(errors="replace")
        if not is_footage_id(name):
            return item
        return None if await self._store.stat(FootageLayout(name).manifest) else item


_KEY = "pointers"
