"""The sweep of subjects: closes those whose review date has passed, and finishes erasures."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from datetime import datetime, timedelta

import structlog

from homeward.core.inventory import PHOTOGRAPHS, REFERENCES, SUBJECTS, HeldData
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.subjects.close import SubjectClosing
from homeward.matching.subjects.leftovers import Leftovers, LeftoverSearch
from homeward.matching.subjects.model import Subject
from homeward.matching.subjects.photos import subject_in
from homeward.matching.subjects.records import SubjectRecords, is_open
from homeward.matching.subjects.unrecorded import UnrecordedPhotos
from homeward.servicekit import errors
from homeward.servicekit.audit.acts import ALTERATION, ERASURE, Acts
from homeward.servicekit.clock import Clock
from homeward.servicekit.objects import ObjectStore

LOOKED_THROUGH_EVERY = timedelta(hours=1)
"""Time between two searches of all stores for data without a record, which an engine that came back
with an older state holds, or an erasure that broke off. Sweeps in between read changed records
alone."""

SWEPT_LATE = timedelta(days=1)
"""Time after which a subject that should be closed is reported: sweeps do not work then."""

log = structlog.get_logger()


class SubjectSweep:
    """Closes subjects whose review date has passed, finishes erasures, and counts data.

    Args:
        closing: Closes and erases.
        records: Of the subjects.
        photos: The reference photographs.
        gallery: Their templates.
        leftovers: Finds data of subjects that are not open.
        clock: Tells the time.
        acts: Writes down what a sweep has erased.
    """

    def __init__(
        self,
        *,
        closing: SubjectClosing,
        records: SubjectRecords,
        photos: ObjectStore,
        gallery: SubjectIndex,
        leftovers: LeftoverSearch,
        clock: Clock,
        acts: Acts,
    ) -> None:
        self._closing = closing
        self._records = records
        self._photos = photos
        self._gallery = gallery
        self._leftovers = leftovers
        self._unrecorded = UnrecordedPhotos(records, photos, gallery, clock)
        self._clock = clock
        self._acts = acts
        self._looked_through: datetime | None = None

    async def sweep(self, *, grace: timedelta) -> int:
        """Close subjects whose review date has passed, and finish what broke off.

        Args:
            grace: Time after its review date at which a subject is closed.

        Returns:
            Number of subjects that were closed, or whose erasure was finished.

        Raises:
            UnavailableError: A store does not answer; the next sweep goes on with what is left.
        """
        now = self._clock.now()
        roll = await self._records.roll()
        erasing = [name for name, shell in roll.closed.items() if shell.value.to_be_erased]
        broken_off = [name for name in roll.opened if name in roll.closed and name not in erasing]
        lapsed = [one.value.subject_id for one in roll.wanted if _is_lapsed(one.value, now, grace)]
        removed = 0
        for name in erasing:
            removed += await self._ended("EraseSubject", name, self._closing.erase(name))
        for name in broken_off:
            removed += await self._ended("CloseSubject", name, self._closing.close(name))
        for name in lapsed:
            # As it is now: closing the others took a while, and its date may have been put off.
            held = await self._records.get(name)
            if held is not None and _is_lapsed(held.value, now, grace):
                removed += await self._ended("CloseSubject", name, self._closing.close(name))
        if not self._is_looked_through(now):
            if unrecorded := await self._unrecorded.remove():
                names = [f"photo/{one.photo_id}" for one in unrecorded]
                await self._acts.record("EraseUnrecordedPhotos", ERASURE, names)
            if await self._gallery.mend():
                await self._acts.record("FuseTemplates", ALTERATION, [])
            removed += await self._finish_erasures()
            self._looked_through = now
        return removed

    async def _ended(self, act: str, subject_id: str, ending: Awaitable[object]) -> bool:
        """End the search for a subject; return False if another replica has erased it meanwhile."""
        try:
            await ending
        except errors.NotFoundError:
            return False
        await self._record(act, subject_id)
        return True

    def _is_looked_through(self, now: datetime) -> bool:
        last = self._looked_through
        return last is not None and timedelta() <= now - last < LOOKED_THROUGH_EVERY

    async def leftovers(self) -> Leftovers:
        """Return the subjects whose data is still held although it should be gone."""
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
        roll = await self._records.roll()
        found = [held.value for held in roll.wanted]
        photos = await self._photos.objects("")
        kept = (await self._gallery.contents()).photos if unfinished else ()
        return (
            HeldData(
                SUBJECTS.name,
                count=len(found),
                oldest=min((one.create_time for one in found), default=None),
                overdue=sum(_is_lapsed(one, now, grace + SWEPT_LATE) for one in found)
                + sum(name in roll.opened for name in unfinished),
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

    async def _record(self, act: str, subject_id: str) -> None:
        await self._acts.record(act, ERASURE, [f"subject/{subject_id}"])

    async def _finish_erasures(self) -> int:
        """Erase the remaining data of subjects that are not open; return how many they were."""
        left = await self._leftovers.find()
        for name in sorted(left.ended):
            if not await is_open(self._records, name):
                await self._closing.erase_data(name, repeated=True)
                await self._record("FinishSubjectErasure", name)
        if left.unknown:
            # Not removed: with the records of another installation, this would be all data.
            log.warning("data of unknown subjects", subject_ids=sorted(left.unknown)[:10])
        return len(left.ended)


def _is_lapsed(subject: Subject, now: datetime, grace: timedelta) -> bool:
    """Tell whether the review date of an open subject has passed, and the time after it too."""
    return subject.details is not None and now >= subject.details.review_time + grace
