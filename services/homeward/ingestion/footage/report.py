"""What is held, how old it is, and whether any of it is past its deadline."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from operator import add

from homeward.core.inventory import (
    CAMERAS,
    FOOTAGE,
    INCOMPARABLE,
    PRESENCE,
    STAGED,
    UNCLAIMED,
    UPLOADS,
    DataClass,
    HeldData,
)
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.footage.counts import (
    NO_DAY,
    NOTHING,
    DayCount,
    DayListing,
    FootageCounts,
    KindCount,
    MonthCount,
    Overdue,
    RetentionTerms,
    count_day,
    earliest,
    overdue_of,
)
from homeward.ingestion.footage.finding import FootageFinder
from homeward.ingestion.footage.layout import (
    POINTERS,
    RECORDINGS,
    STAGING,
    CameraDay,
    day_prefix,
    is_camera_id,
    is_manifest,
    last_folder,
)
from homeward.ingestion.footage.model import FootageErasure, HeldFootage, Upload
from homeward.ingestion.footage.pointers import Pointers
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.footage.records import FootageRecords
from homeward.ingestion.footage.staging import dated_ahead
from homeward.servicekit import records
from homeward.servicekit.clock import Clock
from homeward.servicekit.in_order import in_order
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.lifecycle import LifecycleSpan
from homeward.servicekit.objects import ObjectInfo

DAYS_COUNTED = 64
"""Days of cameras that a report counts itself, at most, because what was counted is no longer so:
first those of which something is past its deadline. Of more it tells what was counted, and how
many they are."""

CAMERAS_LOOKED_AT = 8
"""Cameras of which nothing was counted yet that a report looks at, at most."""

OBJECTS_TOLD = 1000
"""Of what belongs to nothing and lies where Homeward puts nothing, at most."""

POINTERS_LOOKED_AT = 64
"""While no sweep has looked at any."""

REQUESTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What is held, how old it is, and whether any of it is past its deadline."""

    made: datetime
    held: tuple[HeldData, ...]
    overdue: tuple[str, ...]
    """Recordings."""
    lifecycle: LifecycleSpan
    """After how many days the store itself removes recordings."""
    encryption: str
    """The algorithm of the bucket's encryption at rest; "" for none that is told."""
    deviations: tuple[str, ...]
    """Settings of the store that keep it from forgetting."""
    erasures: tuple[FootageErasure, ...]
    """The latest of the last week, and those under way."""
    erased_count: int = 0
    """Recordings that were removed in the last week."""
    erased_by_store_count: int = 0
    """Of these, those that the store had removed by itself."""
    count_time: datetime | None = None
    """All counts were made then or later; None when no sweep has counted anything yet."""
    uncounted_days: int = 0
    """Days of cameras of which something has changed since, and cameras of which nothing was
    counted, that were too many to count again for this report."""


@dataclass(slots=True)
class _Sum:
    """Totals of the counts."""

    footage: KindCount = NOTHING
    presence: KindCount = NOTHING
    incomparable: KindCount = NOTHING
    unclaimed: KindCount = NOTHING
    overdue: list[str] = field(default_factory=list)
    overdue_presence: int = 0
    overdue_incomparable: int = 0
    overdue_unclaimed: int = 0
    unnamed: int = 0
    """Days that have something past its deadline and were not looked at."""

    def add(self, count: DayCount, overdue: Overdue) -> None:
        """Add what there is of a day."""
        self.footage += count.footage
        self.presence += count.presence
        self.incomparable += count.incomparable
        self.unclaimed += count.unclaimed
        self.overdue += overdue.footage_ids
        self.overdue_presence += overdue.presence
        self.overdue_incomparable += overdue.incomparable
        self.overdue_unclaimed += overdue.unclaimed

    def add_unclaimed(self, items: Collection[ObjectInfo], now: datetime) -> None:
        """Add objects that belong to nothing."""
        kind = held_of(UNCLAIMED, items, now)
        self.unclaimed += KindCount.of(items)
        self.overdue_unclaimed += kind.overdue


class RetentionReporter:
    """Makes retention reports.

    Args:
        store: Holds the recordings.
        finder: Finds them.
        uploads: The records of uploads under way.
        records: Records of recordings beside the store, and the counts.
        cameras: All cameras.
        clock: Tells the time.
        terms: How long a recording is held.
    """

    def __init__(
        self,
        *,
        store: FootageStore,
        finder: FootageFinder,
        uploads: KeyValueStore,
        records: KeyValueStore,
        cameras: Cameras,
        clock: Clock,
        terms: RetentionTerms,
    ) -> None:
        self._store = store
        self._finder = finder
        self._uploads = uploads
        self._records = FootageRecords(records)
        self._counts = FootageCounts(records)
        self._pointers = Pointers(store, records, clock)
        self._cameras = cameras
        self._clock = clock
        self._terms = terms

    async def report(self) -> RetentionReport:
        """Report what is held and whether anything is past its deadline."""
        now = self._clock.now()
        uploads = [records.decode(entry.value, Upload) for entry in await self._uploads.entries()]
        begun = await self._records.all_begun()
        recent = await self._records.recent(now)
        months = [stored.count for stored in await self._counts.all()]
        total, uncounted = await self._total(months, uploads, now)
        staged = await self._add_others(total, uploads, now)
        return RetentionReport(
            made=now,
            held=(
                _held(FOOTAGE, total.footage, len(total.overdue) + total.unnamed),
                _held(PRESENCE, total.presence, total.overdue_presence),
                _held(INCOMPARABLE, total.incomparable, total.overdue_incomparable),
                _held_uploads(uploads, now),
                held_of(STAGED, staged, now),
                _held(UNCLAIMED, total.unclaimed, total.overdue_unclaimed),
                HeldData(CAMERAS.name, count=len(await self._cameras.find())),
            ),
            overdue=tuple(total.overdue),
            lifecycle=await self._store.lifecycle(RECORDINGS),
            encryption=await self._store.encryption(),
            deviations=tuple(await self._store.deviations()),
            erasures=(*begun, *recent.latest),
            erased_count=sum(recent.counts.values()),
            erased_by_store_count=sum(recent.by_store.values()),
            count_time=earliest(month.count_time for month in months),
            uncounted_days=uncounted,
        )

    async def _total(
        self, months: Sequence[MonthCount], uploads: Sequence[Upload], now: datetime
    ) -> tuple[_Sum, int]:
        """Add all counts up, counting anew what is no longer so; tell of how much that was not."""
        total = _Sum()
        late, changed = self._days_to_count(months, now)
        days, unknown = await self._days_never_counted(months)
        changed = [*changed, *(day for day in days if day not in {*late, *changed})]
        wanted = [*late, *changed][:DAYS_COUNTED]
        claimed = frozenset(one.header.footage_id for one in uploads if not one.done)
        counted = {}
        async for day, listing in in_order(self._listed, wanted, at_once=REQUESTS_AT_ONCE):
            counted[day] = count_day(listing, self._terms, claimed, now)
            total.add(counted[day], overdue_of(listing, self._terms, claimed, now))
        for month in months:
            for count in month.days:
                day = CameraDay(month.camera_id, count.day)
                if day in counted:
                    continue
                total.add(count, Overdue())
                if count.day == NO_DAY and _is_past(count, now):
                    total.overdue_unclaimed += count.unclaimed.count
                elif _is_past(count, now):
                    total.unnamed += 1
        return total, len(late) + len(changed) - len(wanted) + unknown

    @staticmethod
    def _days_to_count(
        months: Sequence[MonthCount], now: datetime
    ) -> tuple[list[CameraDay], list[CameraDay]]:
        """Return the days with something past its deadline, and those that have changed."""
        late = [
            CameraDay(month.camera_id, count.day)
            for month in months
            for count in month.days
            if count.day != NO_DAY and _is_past(count, now)
        ]
        changed = [CameraDay(month.camera_id, day) for month in months for day in month.changed]
        return late, [day for day in changed if day not in set(late)]

    async def _days_never_counted(
        self, months: Sequence[MonthCount]
    ) -> tuple[list[CameraDay], int]:
        """Return days of cameras that no sweep has counted, and how many more such cameras are."""
        known = {month.camera_id for month in months if month.count_time is not None}
        unknown = [name for name in await self._finder.camera_ids() if name not in known]
        days: list[CameraDay] = []
        for name in filter(is_camera_id, unknown[:CAMERAS_LOOKED_AT]):
            days += await self._finder.days(name)
        return days, len(unknown[CAMERAS_LOOKED_AT:])

    async def _listed(self, day: CameraDay) -> tuple[CameraDay, DayListing]:
        held = await self._records.held_on(day)
        objects = await self._store.objects(day_prefix(day.camera_id, day.day))
        for item in filter(is_manifest, objects):  # those that came before there were records
            name = last_folder(item.key.rpartition("/")[0])
            footage = None if name in held else await self._finder.manifest_or_none(name)
            if footage is not None:
                held[name] = HeldFootage(name, footage.receive_time, footage.delete_time)
        return day, DayListing(day.day, objects, held)

    async def _add_others(
        self, total: _Sum, uploads: Sequence[Upload], now: datetime
    ) -> list[ObjectInfo]:
        """Add what lies outside the folders of recordings; return the staged files."""
        awaited = {one.staging for one in uploads if one.staging and not one.done}
        staged = await self._store.objects(STAGING)
        total.add_unclaimed([item for item in staged if item.key not in awaited], now)
        top, cameras = await self._store.level(""), await self._store.level(RECORDINGS)
        total.add_unclaimed([*top.objects, *cameras.objects], now)
        strange = [one for one in top.folders if one not in (RECORDINGS, POINTERS, STAGING)]
        strange += [one for one in cameras.folders if not is_camera_id(last_folder(one))]
        for folder in strange:
            total.add_unclaimed(await self._store.objects_after(folder, "", OBJECTS_TOLD), now)
        check = await self._pointers.check()
        if check.checked_until is None and not check.after:  # no sweep has looked at any
            page = await self._store.objects_after(POINTERS, "", POINTERS_LOOKED_AT)
            claimed = {one.header.sha256 for one in uploads if not one.done}
            dangling = await self._pointers.dangling_among(
                [item for item in page if last_folder(item.key) not in claimed]
            )
            total.add_unclaimed(dangling, now)
        else:
            total.unclaimed += reduce(add, (check.dangling, check.round_dangling))
        return [item for item in staged if item.key in awaited]


def held_of(kind: DataClass, items: Collection[ObjectInfo], now: datetime) -> HeldData:
    """Return what a retention report tells of objects of a kind that has a limit."""
    limit = kind.limit or timedelta.max
    overdue = sum(now - item.modified >= limit or dated_ahead(item, now) for item in items)
    return _held(kind, KindCount.of(items), overdue)


def _held(kind: DataClass, count: KindCount, overdue: int) -> HeldData:
    return HeldData(
        kind.name,
        count=count.count,
        size_bytes=count.size_bytes,
        oldest=count.oldest,
        overdue=overdue,
    )


def _held_uploads(uploads: Iterable[Upload], now: datetime) -> HeldData:
    times = [one.create_time for one in uploads]
    limit = now - (UPLOADS.limit or timedelta.max)
    return HeldData(
        UPLOADS.name,
        count=len(times),
        oldest=min(times, default=None),
        overdue=sum(time <= limit for time in times),
    )


def _is_past(count: DayCount, now: datetime) -> bool:
    return count.breach_time is not None and count.breach_time <= now
