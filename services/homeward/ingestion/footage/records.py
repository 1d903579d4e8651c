"""Records of recordings beside the store: of those that exist, and of those that were removed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from homeward.ingestion.footage.layout import CameraDay, FootageLayout, is_footage_id
from homeward.ingestion.footage.model import FootageErasure, HeldFootage
from homeward.servicekit import records
from homeward.servicekit.in_order import in_order
from homeward.servicekit.keyvalue import ConflictError, Entry, KeyValueStore, edit

TAKEN_OVER_AT_ONCE = 32
"""Records of an earlier version that are moved at a time."""

ERASURES_SHOWN_DAYS = 7
"""Days of which a report counts removals."""

ERASURES_SHOWN = 100
"""Latest removals that a report lists one by one; each has its record for six years."""


@dataclass(frozen=True, slots=True)
class RecentErasures:
    """The removals of the last days."""

    counts: dict[str, int]
    """How many there were, by day as `yyyy-mm-dd`."""
    by_store: dict[str, int]
    """Of these, those that the store had removed by itself."""
    latest: tuple[FootageErasure, ...] = ()
    """The last ones, the newest first."""

    def with_one(self, erasure: FootageErasure) -> RecentErasures:
        """Return these with another one; the same if it is among them already."""
        if erasure in self.latest or erasure.erase_time is None:
            return self
        held, day = self.since(erasure.erase_time), _day(erasure.erase_time)
        return RecentErasures(
            {**held.counts, day: held.counts.get(day, 0) + 1},
            {**held.by_store, day: held.by_store.get(day, 0) + erasure.by_store},
            (erasure, *held.latest)[:ERASURES_SHOWN],
        )

    def since(self, now: datetime) -> RecentErasures:
        """Return those that are not too long ago by now."""
        first = _day(now - timedelta(days=ERASURES_SHOWN_DAYS - 1))
        return RecentErasures(
            {day: count for day, count in self.counts.items() if day >= first},
            {day: count for day, count in self.by_store.items() if day >= first},
            tuple(one for one in self.latest if one.erase_time and _day(one.erase_time) >= first),
        )


class FootageRecords:
    """The records of recordings beside the store.

    Keys are `held.{camera}.{day}.{footage id}` for one that is there, `begun.{footage id}` for one
    whose removal is under way, `footage.{day of removal}.{footage id}` for one that is gone, and
    `recent` for what a report tells of the latter.

    Args:
        store: Holds them for six years.
    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    async def get(self, footage_id: str) -> HeldFootage | None:
        """Return the record of a recording, if there is one."""
        for key in (_held_key(footage_id), _former_key(footage_id)):
            if entry := await self._store.get(key):
                return records.decode(entry.value, HeldFootage)
        return None

    async def held_on(self, day: CameraDay) -> dict[str, HeldFootage]:
        """Return the recordings of a camera that start on a day, by their ids."""
        return _held(await self._store.entries(f"held.{day.camera_id}.{day.day}.*"))

    async def held_of(self, camera_id: str) -> dict[str, HeldFootage]:
        """Return the recordings of a camera by their ids."""
        return _held(await self._store.entries(f"held.{camera_id}.*.*"))

    async def holds_any_of(self, camera_id: str) -> bool:
        """Tell whether there is a recording of a camera."""
        return bool(await self._store.keys(f"held.{camera_id}.*.*"))

    async def held(self) -> dict[str, HeldFootage]:
        """Return all recordings by their ids."""
        return _held(await self._store.entries("held.*.*.*"))

    async def remember(self, held: HeldFootage) -> None:
        """Record that there is a recording."""
        await self._store.put(_held_key(held.footage_id), records.encode(held))

    async def prolong(self, footage_id: str, end_time: datetime) -> None:
        """Record a later end of a recording, before its manifest states it."""

        async def change(value: bytes | None) -> bytes | None:
            held = records.decode(value, HeldFootage) if value else None
            if held is None or held.end_time is None or held.end_time >= end_time:
                return None
            return records.encode(replace(held, end_time=end_time))

        for key in (_held_key(footage_id), _former_key(footage_id)):
            await edit(self._store, key, change)

    async def take_over(self, now: Callable[[], datetime], time: timedelta) -> list[str]:
        """Move records of an earlier version, `held.{footage id}`, to this version's keys.

        Args:
            now: Tells the time.
            time: How long records are moved, from when their list is read; the others stay.

        Returns:
            An id of a recording for each camera and day of which records were moved.
        """
        entries = await self._store.entries("held.*")
        end = now() + time
        days: dict[tuple[str, str], str] = {}
        async with aclosing(
            in_order(
                self._take_over_one,
                takewhile(lambda _: now() < end, entries),
                at_once=TAKEN_OVER_AT_ONCE,
            )
        ) as names:
            async for name in names:
                if name:
                    layout = FootageLayout(name)
                    days[layout.camera_id, layout.day] = name
        return list(days.values())

    async def _take_over_one(self, listed: Entry) -> str:
        """Move a record, unless it went since it was listed; one that was written since stays.

        Returns:
            Its recording's id; empty where there is none.
        """
        entry = await self._store.get(listed.key)
        if entry is None:
            return ""
        held = records.decode(entry.value, HeldFootage)
        name = held.footage_id
        if not is_footage_id(name):
            await self._store.erase(entry.key)
            return ""
        created = await self._create(held)
        moved = await self._store.erase(entry.key)
        # Removed in that moment: it would be taken for one that the store has lost.
        if created and not moved and await self._store.keys(f"footage.*.{name}"):
            await self._store.erase(_held_key(name))
        return name

    async def _create(self, held: HeldFootage) -> bool:
        try:
            await self._store.create(_held_key(held.footage_id), records.encode(held))
        except ConflictError:
            return False
        return True

    async def begun(self, footage_id: str) -> FootageErasure | None:
        """Return the record of a removal that is under way."""
        entry = await self._store.get(_begun_key(footage_id))
        return records.decode(entry.value, FootageErasure) if entry else None

    async def all_begun(self) -> list[FootageErasure]:
        """Return the records of all removals that are under way."""
        entries = await self._store.entries("begun.*")
        return [records.decode(entry.value, FootageErasure) for entry in entries]

    async def begin(self, erasure: FootageErasure) -> None:
        """Record that a removal has begun."""
        await self._store.put(_begun_key(erasure.footage_id), records.encode(erasure))

    async def end(self, erasure: FootageErasure) -> None:
        """Record that a recording is gone, at the erasure's `erase_time`."""
        assert erasure.erase_time is not None, "it is over"
        day, name = _day(erasure.erase_time), erasure.footage_id
        await self._store.put(f"footage.{day}.{name}", records.encode(erasure))
        await self._tell(erasure)
        await self._store.erase(_held_key(name))
        await self._store.erase(_former_key(name))
        await self._store.erase(_begun_key(name))

    async def recent(self, now: datetime) -> RecentErasures:
        """Return the removals of the last `ERASURES_SHOWN_DAYS`."""
        entry = await self._store.get(_RECENT)
        if entry is not None:
            return records.decode(entry.value, RecentErasures).since(now)
        return await self._read_recent(now)

    async def _tell(self, erasure: FootageErasure) -> None:
        assert erasure.erase_time is not None, "it is over"
        now = erasure.erase_time

        async def add(value: bytes | None) -> bytes:
            held = records.decode(value, RecentErasures) if value else await self._read_recent(now)
            return records.encode(held.with_one(erasure))

        await edit(self._store, _RECENT, add)

    async def _read_recent(self, now: datetime) -> RecentErasures:
        """Return them from their own records: an earlier version kept no others."""
        found = RecentErasures({}, {})
        for ago in reversed(range(ERASURES_SHOWN_DAYS)):
            entries = await self._store.entries(f"footage.{_day(now - timedelta(days=ago))}.*")
            for entry in entries:
                found = found.with_one(records.decode(entry.value, FootageErasure))
        return found


_RECENT = "recent"


def _held(entries: list[Entry]) -> dict[str, HeldFootage]:
    found = (records.decode(entry.value, HeldFootage) for entry in entries)
    return {one.footage_id: one for one in found}


def _held_key(footage_id: str) -> str:
    layout = FootageLayout(footage_id)
    return f"held.{layout.camera_id}.{layout.day}.{footage_id}"


def _former_key(footage_id: str) -> str:
    """Return the key of an earlier version, from which `take_over` moves a record."""
    return f"held.{footage_id}"


def _begun_key(footage_id: str) -> str:
    return f"begun.{footage_id}"


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d}"
