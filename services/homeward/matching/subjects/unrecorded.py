"""Removing photographs that no record names, because their enrolment broke off."""

from __future__ import annotations

from datetime import timedelta

import structlog

from homeward.matching.gallery.model import PhotoKey
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.subjects.model import Subject, SubjectState
from homeward.matching.subjects.photos import PHOTO_TYPE, PREFIX, photo_key, subject_in
from homeward.matching.subjects.records import SubjectRecords
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock
from homeward.servicekit.objects import ObjectStore

UNRECORDED_AFTER = timedelta(hours=1)
"""Age at which a photograph that no record names is removed: longer than any enrolment takes."""

log = structlog.get_logger()


class UnrecordedPhotos:
    """Removes photographs that the record of their open subject does not name.

    The caller who offered such a photograph got an error, yet searches would compare with it once
    the template of its subject is fused again. Photographs of closed subjects go with their
    erasure.

    Args:
        records: Of the subjects.
        photos: The reference photographs: each is there before its template is.
        gallery: Their templates.
        clock: Tells the time.
    """

    def __init__(
        self, records: SubjectRecords, photos: ObjectStore, gallery: SubjectIndex, clock: Clock
    ) -> None:
        self._records = records
        self._photos = photos
        self._gallery = gallery
        self._clock = clock

    async def remove(self) -> list[PhotoKey]:
        """Remove them with their templates, and return which they were."""
        opened = (await self._records.roll()).opened
        removed: list[PhotoKey] = []
        for item in await self._photos.objects(PREFIX):
            if self._clock.now() - item.modified < UNRECORDED_AFTER:
                continue
            subject_id, photo_id = subject_in(item.key), item.key.rpartition("/")[2]
            if subject_id not in opened or _has(opened[subject_id].value, photo_id):
                continue
            present = await self._records.get(subject_id)  # as it is now
            if present is None or present.value.state is not SubjectState.OPEN:
                continue
            if _has(present.value, photo_id):
                continue
            if await self._remove(subject_id, photo_id):
                removed.append(PhotoKey(subject_id, photo_id))
        return removed

    async def _remove(self, subject_id: str, photo_id: str) -> bool:
        """Remove a photograph and its template; return False if that cannot or must not be."""
        key = photo_key(subject_id, photo_id)
        photo = await self._photos.get(key)
        try:
            await remove_photo(self._photos, self._gallery, subject_id, photo_id)
        except errors.FailedPreconditionError as error:  # it must not keep what else is due
            log.warning("photograph not removed", subject_id=subject_id, problem=str(error))
            return False
        present = await self._records.get(subject_id)
        if photo is not None and present is not None and _has(present.value, photo_id):
            # Enrolled again meanwhile. Its template is made anew by the sweep, if it is gone too.
            await self._photos.put(key, photo, content_type=PHOTO_TYPE)
            return False
        log.info("removed a photograph whose enrolment broke off", subject_id=subject_id)
        return True


async def remove_photo(
    photos: ObjectStore, gallery: SubjectIndex, subject_id: str, photo_id: str
) -> None:
    """Remove the template of a photograph, and then the photograph, by which both are found."""
    await gallery.remove_photo(subject_id, photo_id)
    await photos.delete(photo_key(subject_id, photo_id))


def _has(subject: Subject, photo_id: str) -> bool:
    return any(held.photo_id == photo_id for held in subject.photos)
