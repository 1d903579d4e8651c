"""Counts of recordings by camera and day, so that a report need not count all of them again.

The sweep counts a day when it visits it. Uploads and removals mark the day of their recording as
changed, so that a report knows which counts are out of date. Recordings are counted from the list
of objects and the records beside the store; no manifest is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby

from homeward.core.inventory import UNCLAIMED
from homeward.ingestion.footage.layout import (
    INCOMPARABLE,
    PRESENCE,
    FootageLayout,
    footage_in,
    is_manifest,
)
from homeward.ingestion.footage.model import HeldFootage
from homeward.ingestion.footage.staging import dated_ahead
from homeward.servicekit import records
from homeward.servicekit.keyvalue import Entry, KeyValueStore, edit
from homeward.servicekit.objects import ObjectInfo

NO_DAY = ""
"""The day of what lies in the folder of a camera and in that of no day."""

ELSEWHERE = "other"
"""The month of that."""


@dataclass(frozen=True, slots=True)
class KindCount:
    """Amount of one kind of data."""

    count: int = 0
    size_bytes: int = 0
    oldest: datetime | None = None

    def __add__(self, other: KindCount) -> KindCount:
        return KindCount(
            self.count + other.count,
            self.size_bytes + other.size_bytes,
            earliest((self.oldest, other.oldest)),
        )

    @classmethod
    def of(cls, objects: Collection[ObjectInfo]) -> KindCount:
        """Count some objects."""
        return cls(
            len(objects),
            sum(item.size for item in objects),
            min((item.modified for item in objects), default=None),
        )


NOTHING = KindCount()


@dataclass(frozen=True, slots=True)
class DayCount:
    """Counts of the recordings of a camera that start on one day."""

    day: str
    """As `layout.day_prefix` names it, or `NO_DAY`."""
    footage: KindCount = NOTHING
    presence: KindCount = NOTHING
    incomparable: KindCount = NOTHING
    unclaimed: KindCount = NOTHING
    sweep_time: datetime | None = None
    """When the first of these recordings is to be removed."""
    breach_time: datetime | None = None
    """Time at which the first of its data passes its deadline, if it is not removed before."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        kinds = (self.footage, self.presence, self.incomparable, self.unclaimed)
        return not any(kind.count for kind in kinds)


@dataclass(frozen=True, slots=True)
class MonthCount:
    """Counts of a camera by the days of a month."""

    camera_id: str
    month: str
    """The first digits of its days, or `ELSEWHERE`."""
    count_time: datetime | None = None
    """When all of its days were last counted; None before the first time."""
    days: tuple[DayCount, ...] = ()
    changed: tuple[str, ...] = ()
    """Days with uploads or removals since they were counted."""
    marks: int = 0
    """How often days were marked as changed."""


@dataclass(frozen=True, slots=True)
class StoredCount:
    """A month's counts as they were read."""

    count: MonthCount
    revision: int
    """0 when there is no record yet."""


@dataclass(frozen=True, slots=True)
class DayListing:
    """Objects and records of one day."""

    day: str
    objects: Sequence[ObjectInfo]
    held: Mapping[str, HeldFootage]
    """Records of its recordings beside the store, by their ids."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Data of one day that is past its deadline."""

    footage_ids: tuple[str, ...] = ()
    presence: int = 0
    incomparable: int = 0
    unclaimed: int = 0


@dataclass(frozen=True, slots=True)
class RetentionTerms:
    """How long recordings are held."""

    keep: timedelta
    """Time from their first byte during which they may be read."""
    ahead: timedelta = timedelta()
    """How long before its deadline the sweep removes one."""

    def deadline(self, held: HeldFootage, manifest: ObjectInfo) -> datetime:
        """Return when a recording must be gone.

        Its age is counted from its first byte, or from the store's time of its manifest if that is
        earlier: one of the two clocks was wrong then, and the promise holds by both.
        """
        return min(held.delete_time, manifest.modified + self.keep)


@dataclass(slots=True)
class _Sorted:
    """The objects of a day by what they are."""

    footage: dict[str, list[ObjectInfo]] = field(default_factory=dict)
    presence: list[ObjectInfo] = field(default_factory=list)
    incomparable: list[ObjectInfo] = field(default_factory=list)
    unclaimed: list[ObjectInfo] = field(default_factory=list)

    @classmethod
    def of(cls, listing: DayListing, claimed: Collection[str]) -> _Sorted:
        found = cls()
        for name, group in groupby(listing.objects, key=lambda item: footage_in(item.key)):
            items = list(group)
            recording = name in listing.held and any(map(is_manifest, items))
            if recording:
                found.footage[name] = items
            elif name not in claimed:
                found.unclaimed += items
            for item in items:
                if f"/{PRESENCE}/" in item.key:
                    found.presence.append(item)
                elif f"/{INCOMPARABLE}/" in item.key:
                    found.incomparable.append(item)
        return found


def count_day(
    listing: DayListing, terms: RetentionTerms, claimed: Collection[str], now: datetime
) -> DayCount:
    """Count what was found of a day.

    Args:
        listing: What was found.
        terms: How long recordings are held.
        claimed: Ids of recordings that are being uploaded: their objects belong to something.
        now: When that was.
    """
    found = _Sorted.of(listing, claimed)
    deadlines = [
        terms.deadline(listing.held[name], next(filter(is_manifest, items)))
        for name, items in found.footage.items()
    ]
    beside = KindCount.of([*found.presence, *found.incomparable])
    unclaimed = KindCount.of(found.unclaimed)
    breaches = [
        *(listing.held[name].delete_time for name in found.footage),
        *([beside.oldest + terms.keep] if beside.oldest else []),
        *([unclaimed.oldest + _unclaimed_limit()] if unclaimed.oldest else []),
        # What says that it is of the future would never be old enough.
        *([now] if any(dated_ahead(item, now) for item in listing.objects) else []),
    ]
    first = min(deadlines, default=None)
    return DayCount(
        day=listing.day,
        footage=KindCount(
            len(found.footage),
            sum(
                item.size
                for name, items in found.footage.items()
                for item in items
                if item.key == FootageLayout(name).file
            ),
            min((listing.held[name].receive_time for name in found.footage), default=None),
        ),
        presence=KindCount.of(found.presence),
        incomparable=KindCount.of(found.incomparable),
        unclaimed=unclaimed,
        sweep_time=first - terms.ahead if first else None,
        breach_time=min(breaches, default=None),
    )


def overdue_of(
    listing: DayListing, terms: RetentionTerms, claimed: Collection[str], now: datetime
) -> Overdue:
    """Return what of a day is past its deadline, or says that it was written in the future."""
    found = _Sorted.of(listing, claimed)
    return Overdue(
        tuple(
            name
            for name, items in found.footage.items()
            if now >= listing.held[name].delete_time
            or any(dated_ahead(item, now) for item in items)
        ),
        presence=sum(now - item.modified >= terms.keep for item in found.presence),
        incomparable=sum(now - item.modified >= terms.keep for item in found.incomparable),
        unclaimed=sum(
            now - item.modified >= _unclaimed_limit() or dated_ahead(item, now)
            for item in found.unclaimed
        ),
    )


def _unclaimed_limit() -> timedelta:
    return UNCLAIMED.limit or timedelta.max


def earliest(times: Iterable[datetime | None]) -> datetime | None:
    """Return the earliest of some times; None if there is none."""
    return min((one for one in times if one is not None), default=None)


class FootageCounts:
    """The counts, one record for each month of a camera.

    Args:
        store: Holds them, under keys of their own.
    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    async def all(self) -> list[StoredCount]:
        """Return all counts, by camera and month."""
        return [_stored(entry) for entry in await self._store.entries("count.*.*")]

    async def of_camera(self, camera_id: str) -> dict[str, StoredCount]:
        """Return the counts of a camera by their months."""
        found = map(_stored, await self._store.entries(f"count.{camera_id}.*"))
        return {one.count.month: one for one in found}

    async def mark(self, footage_id: str) -> None:
        """Mark the day of a recording as changed."""
        layout = FootageLayout(footage_id)
        month = month_of(layout.day)

        async def add(value: bytes | None) -> bytes:
            held = records.decode(value, MonthCount) if value else None
            count = held or MonthCount(layout.camera_id, month)
            changed = tuple(sorted({*count.changed, layout.day}))
            # Written even if unchanged: a count under way may have missed this change.
            return records.encode(replace(count, changed=changed, marks=count.marks + 1))

        await edit(self._store, _key(layout.camera_id, month), add)

    async def write(self, count: MonthCount, *, revision: int) -> None:
        """Write counts, unless a day was marked or counted since they were read.

        Raises:
            ConflictError: They are not as they were read.
        """
        key, value = _key(count.camera_id, count.month), records.encode(count)
        if not revision:
            await self._store.create(key, value)
        else:
            await self._store.update(key, value, revision=revision)

    async def reached(self) -> str:
        """Return the camera that the round of sweeps has reached; "" before the first one."""
        entry = await self._store.get(_ROUND)
        return entry.value.decode() if entry else ""

    async def reach(self, camera_id: str) -> None:
        """Write down how far the round has come; "" when it has ended."""
        if await self.reached() != camera_id:
            await self._store.put(_ROUND, camera_id.encode())


_ROUND = "round"


def month_of(day: str) -> str:
    """Return the month of a day."""
    return day[:6] or ELSEWHERE


def _key(camera_id: str, month: str) -> str:
    return f"count.{camera_id}.{month}"


def _stored(entry: Entry) -> StoredCount:
    return StoredCount(records.decode(entry.value, MonthCount), entry.revision)
