"""Removing recordings before their deadline, and the remains of uploads and removals.

A sweep first visits the days of cameras on which recordings are due or have changed. Then it goes
on with a round through all cameras, for `ROUND_TIME`. The progress of the round and the counts are
kept beside the store, so that another replica can go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from homeward.ingestion.footage.abandoned import AbandonedUploads
from homeward.ingestion.footage.counts import (
    NO_DAY,
    DayCount,
    DayListing,
    FootageCounts,
    MonthCount,
    RetentionTerms,
    StoredCount,
    count_day,
    month_of,
)
from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.layout import (
    RECORDINGS,
    CameraDay,
    camera_prefix,
    day_in,
    day_prefix,
    is_camera_id,
    last_folder,
)
from homeward.ingestion.footage.model import HeldFootage
from homeward.ingestion.footage.pointers import Pointers
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.footage.records import FootageRecords
from homeward.ingestion.footage.remains import Remains, SweepTally
from homeward.ingestion.footage.staging import Staging
from homeward.servicekit.audit.acts import ERASURE, Acts
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore
from homeward.servicekit.lease import Proceed
from homeward.servicekit.objects import ObjectInfo

ROUND_TIME = timedelta(seconds=20)
"""How long a sweep goes on with the round through all cameras; one camera is looked at always."""

TAKE_OVER_TIME = timedelta(seconds=20)
"""How long a sweep moves records of an earlier version to this one's keys: each is overwritten
where it was, which took 18 to 44 ms beside other work, and what is due must not wait for all."""

POINTER_TIME = timedelta(seconds=10)
"""How long a sweep goes on with the round through all pointers."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SweepResult:
    """Result of a sweep."""

    footage_ids: tuple[str, ...] = ()
    """Recordings that were removed."""
    uploads: int = 0
    """Abandoned uploads that were removed."""
    leftovers: int = 0
    """Objects that belonged to no recording."""
    failed: tuple[str, ...] = ()
    """Recordings that could not be removed; the next sweep tries again."""
    versions: int = 0
    """Old versions that were removed, of a bucket that has or had versioning."""
    by_store: tuple[str, ...] = ()
    """Recordings that the store had removed by itself, or their file, of which the rest was."""


class FootageSweeper:
    """Removes recordings and remains that are due.

    Args:
        store: The bucket of recordings.
        eraser: Deletes a recording, with its sightings, and proves it.
        uploads: The records of uploads under way.
        records: Records of recordings beside the store, and the counts.
        clock: Tells the time.
        acts: Writes down what was removed.
        terms: How long recordings are held.
    """

    def __init__(
        self,
        *,
        store: FootageStore,
        eraser: FootageEraser,
        uploads: KeyValueStore,
        records: KeyValueStore,
        clock: Clock,
        acts: Acts,
        terms: RetentionTerms,
    ) -> None:
        self._store = store
        self._eraser = eraser
        self._uploads = AbandonedUploads(store, uploads, clock)
        self._staging = Staging(store, uploads)
        self._records = FootageRecords(records)
        self._counts = FootageCounts(records)
        self._pointers = Pointers(store, records, clock)
        self._clock = clock
        self._acts = acts
        self._terms = terms
        self._remains = Remains(
            store=store,
            eraser=eraser,
            uploads=self._uploads,
            clock=clock,
            acts=acts,
            terms=terms,
        )

    async def sweep(self, proceed: Proceed) -> SweepResult:
        """Remove all that is due; stops early when `proceed` says that somebody else sweeps.

        Raises:
            UnavailableError: A store does not answer; the next sweep goes on.
        """
        uploads = await self._uploads.sweep()
        if uploads:
            await self._acts.record("EraseUploads", ERASURE, [])
        tally = SweepTally(proceed, leftovers=await self._staging.sweep())
        for name in await self._records.take_over(self._clock.now, TAKE_OVER_TIME):
            await self._counts.mark(name)
        await self._sweep_known(tally)
        await self._go_round(tally)
        if not tally.stopped:
            tally.leftovers += await self._pointers.sweep(self._clock.now() + POINTER_TIME)
            tally.versions = await self._store.remove_old_versions()
            if tally.versions:
                await self._acts.record("EraseOldVersions", ERASURE, [])
            for name in await self._eraser.finish_erasures():
                await self._acts.record("FinishFootageErasure", ERASURE, [f"footage/{name}"])
            # Last: a rule that cannot be set must keep nothing.
            await self._store.keep_rules()
        return _result(tally, uploads)

    async def _sweep_known(self, tally: SweepTally) -> None:
        """Sweep the days on which recordings are due or have changed."""
        for stored in await self._counts.all():
            days = _days_to_look_at(stored.count, self._clock.now())
            if days and await tally.goes_on():
                await self._sweep_days(stored, days, tally)

    async def _sweep_days(
        self, stored: StoredCount, days: Collection[str], tally: SweepTally
    ) -> None:
        camera_id, month = stored.count.camera_id, stored.count.month
        listings = [await self._listing(CameraDay(camera_id, day)) for day in days]
        swept = [await self._remains.sweep(one.objects, one.held, tally) for one in listings]
        if tally.stopped:
            return
        if any(swept):  # and so its counts were marked as well
            stored = (await self._counts.of_camera(camera_id)).get(month, stored)
            listings = [await self._listing(CameraDay(camera_id, day)) for day in days]
        counted = await self._counted(listings)
        others = [day for day in stored.count.days if day.day not in days]
        await self._write(
            replace(
                stored.count,
                days=_in_order([*others, *counted]),
                changed=tuple(day for day in stored.count.changed if day not in days),
            ),
            stored,
        )

    async def _go_round(self, tally: SweepTally) -> None:
        """Sweep all days of some cameras."""
        if not await tally.goes_on():
            return
        end = self._clock.now() + ROUND_TIME
        level = await self._store.level(RECORDINGS)
        if level.objects:  # somebody else's
            await self._remains.sweep(level.objects, {}, tally)
        names = {last_folder(folder) for folder in level.folders}
        names |= {stored.count.camera_id for stored in await self._counts.all()}
        reached = await self._counts.reached()
        for name in sorted(name for name in names if name > reached):
            await self._sweep_camera(name, tally)
            if not tally.stopped:
                reached = name
            if self._clock.now() >= end or not await tally.goes_on():
                await self._counts.reach(reached)
                return
        await self._counts.reach("")

    async def _sweep_camera(self, camera_id: str, tally: SweepTally) -> None:
        if not is_camera_id(camera_id):  # somebody else's
            await self._remains.sweep(
                await self._store.objects(camera_prefix(camera_id)), {}, tally
            )
            return
        begin = self._clock.now()
        months, held, objects = await self._camera(camera_id)
        if await self._remains.sweep(objects, held, tally):
            if tally.stopped:
                return
            months, held, objects = await self._camera(camera_id)
        counted = await self._counted(_by_day(objects, held))
        days = {
            month: list(group) for month, group in groupby(counted, lambda one: month_of(one.day))
        }
        for month in sorted({*months, *days}):
            stored = months.get(month) or StoredCount(MonthCount(camera_id, month), 0)
            await self._write(
                replace(
                    stored.count,
                    count_time=begin,
                    days=tuple(days.get(month, ())),
                    changed=(),
                ),
                stored,
            )

    async def _camera(
        self, camera_id: str
    ) -> tuple[dict[str, StoredCount], dict[str, HeldFootage], list[ObjectInfo]]:
        # In this order: of a recording that is written down, the file is there; and what comes
        # while the objects are listed is marked after the counts were read.
        return (
            await self._counts.of_camera(camera_id),
            await self._records.held_of(camera_id),
            await self._store.objects(camera_prefix(camera_id)),
        )

    async def _listing(self, day: CameraDay) -> DayListing:
        held = await self._records.held_on(day)  # before the list: then the file is there
        return DayListing(
            day.day, await self._store.objects(day_prefix(day.camera_id, day.day)), held
        )

    async def _counted(self, listings: Iterable[DayListing]) -> list[DayCount]:
        claimed = frozenset(await self._uploads.claimed())
        now = self._clock.now()
        counts = [count_day(listing, self._terms, claimed, now) for listing in listings]
        return [count for count in counts if not count.is_empty]

    async def _write(self, count: MonthCount, stored: StoredCount) -> None:
        try:
            await self._counts.write(count, revision=stored.revision)
        except ConflictError:  # something came or went meanwhile: its day is marked for next time
            log.debug("counted again next time", camera_id=count.camera_id, month=count.month)


def _days_to_look_at(count: MonthCount, now: datetime) -> list[str]:
    due = (
        day.day
        for day in count.days
        if any(time is not None and time <= now for time in (day.sweep_time, day.breach_time))
    )
    return sorted({*due, *count.changed} - {NO_DAY})


def _by_day(objects: Sequence[ObjectInfo], held: dict[str, HeldFootage]) -> list[DayListing]:
    days: dict[str, list[ObjectInfo]] = {}
    for item in objects:
        days.setdefault(day_in(item.key) or NO_DAY, []).append(item)
    return [DayListing(day, items, held) for day, items in sorted(days.items())]


def _in_order(days: Iterable[DayCount]) -> tuple[DayCount, ...]:
    return tuple(sorted(days, key=lambda one: one.day))


def _result(tally: SweepTally, uploads: int) -> SweepResult:
    """Return what was done, and log it if that is anything."""
    done = SweepResult(
        tuple(tally.removed),
        uploads,
        tally.leftovers,
        tuple(tally.failed),
        tally.versions,
        tuple(tally.by_store),
    )
    if done != SweepResult():
        log.info(
            "swept",
            footage=len(tally.removed),
            by_store=len(tally.by_store),
            uploads=uploads,
            leftovers=tally.leftovers,
            failed=len(tally.failed),
            versions=tally.versions,
        )
    return done
