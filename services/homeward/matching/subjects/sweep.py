"""Ending what is due of subjects: lapsed review dates, and erasures that broke off."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import structlog

from homeward.core.inventory import PHOTOGRAPHS, REFERENCES, SUBJECTS, HeldData
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.subjects.leftovers import Leftovers, LeftoverSearch, subject_in
from homeward.matching.subjects.model import Subject
from homeward.matching.subjects.subjects import Subjects, is_open
from homeward.matching.subjects.unrecorded import UnrecordedPhotos
from homeward.servicekit import records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.objects import ObjectStore

SWEPT_LATE = timedelta(days=1)
"""A subject whose end is overdue for longer than this is reported: sweeps do not work."""

log = structlog.get_logger()


class SubjectSweep:
    """Closes subjects whose review date has passed, finishes erasures, and counts what is held.

    Args:
        subjects: Closes and erases.
        records: Their records.
        photos: The reference photographs.
        gallery: Their templates.
        leftovers: Finds what is held of subjects whose search has ended.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        subjects: Subjects,
        records: KeyValueStore,
        photos: ObjectStore,
        gallery: SubjectIndex,
        leftovers: LeftoverSearch,
        clock: Clock,
    ) -> None:
        self._subjects = subjects
        self._records = records
        self._photos = photos
        self._gallery = gallery
        self._leftovers = leftovers
        self._unrecorded = UnrecordedPhotos(records, photos, gallery, clock)
        self._clock = clock

    async def sweep(self, *, grace: timedelta) -> int:
        """Close subjects whose review date has passed, and finish what broke off.

        Args:
            grace: How long after its review date a subject is closed.

        Returns:
            How many subjects were closed, or their erasure finished.

        Raises:
            UnavailableError: A store does not answer; the next sweep goes on with what is left.
        """
        now = self._clock.now()
        closed = {
            entry.key.removeprefix("closed."): records.decode(entry.value, Subject)
            for entry in await self._records.entries("closed.*")
        }
        opened = {
            entry.key.removeprefix("open."): records.decode(entry.value, Subject)
            for entry in await self._records.entries("open.*")
        }
        erasing = [name for name, shell in closed.items() if shell.to_be_erased]
        broken_off = [name for name in opened if name in closed and name not in erasing]
        lapsed = [
            name
            for name, subject in opened.items()
            if name not in closed
            and subject.details is not None
            and now >= subject.details.review_time + grace
        ]
        for name in erasing:
            await self._subjects.erase(name)
        for name in (*broken_off, *lapsed):
            await self._subjects.close(name)
        await self._unrecorded.remove()
        await self._gallery.mend()
        return len(erasing) + len(broken_off) + len(lapsed) + await self._finish_erasures()

    async def leftovers(self) -> Leftovers:
        """Return the subjects of whom something is held that should be gone."""
        return await self._leftovers.find()

    async def held(
        self, *, grace: timedelta, unfinished: Collection[str] = ()
    ) -> tuple[HeldData, HeldData, HeldData]:
        """Return how many subjects, photographs and templates there are.

        Args:
            grace: How long after its review date a subject is closed.
            unfinished: Subjects of whom nothing should be held any more: what is, is overdue.
        """
        now = self._clock.now()
        found = [subject for subject, _ in await self._subjects.find(show_closed=False)]
        photos = await self._photos.objects("")
        kept = (await self._gallery.contents()).photos if unfinished else ()
        records_left = [await self._records.get(f"open.{name}") for name in unfinished]
        return (
            HeldData(
                SUBJECTS.name,
                count=len(found),
                oldest=min((one.create_time for one in found), default=None),
                overdue=sum(
                    one.details is not None and now >= one.details.review_time + grace + SWEPT_LATE
                    for one in found
                )
                + sum(record is not None for record in records_left),
            ),
            HeldData(
                PHOTOGRAPHS.name,
                count=len(photos),
                size_bytes=sum(item.size for item in photos),
                oldest=min((item.modified for item in photos), default=None),
                overdue=sum(subject_in(item.key) in unfinished for item in photos),
            ),
            HeldData(
                REFERENCES.name,
                count=await self._gallery.count(),
                overdue=sum(one.subject_id in unfinished for one in kept),
            ),
        )

    async def _finish_erasures(self) -> int:
        """Erase what is left of subjects that are not open; return of how many."""
        left = await self._leftovers.find()
        for name in sorted(left.ended):
            if not await is_open(self._records, name):
                await self._subjects.erase_data(name)
        if left.unknown:
            # Not removed: with the records of another installation, this would be everybody's.
            log.warning("data of unknown subjects", subject_ids=sorted(left.unknown)[:10])
        return len(left.ended)
