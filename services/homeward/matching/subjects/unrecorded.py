"""Photographs whose enrolment broke off, so that no record has them."""

from __future__ import annotations

from datetime import timedelta

import structlog

from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.subjects.model import Subject
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.objects import ObjectStore

UNRECORDED_AFTER = timedelta(hours=1)
"""A photograph that no record has is removed after this: longer than any enrolment takes."""

PREFIX = "subjects/"

log = structlog.get_logger()


class UnrecordedPhotos:
    """Removes the photographs that the record of their open subject does not have.

    Each is compared with whoever is in view, once its subject is fused anew, although its
    enrolment was answered with an error. Those of a subject that is closed go with its erasure.

    Args:
        subjects: The records.
        photos: The reference photographs: each is there before its template is.
        gallery: Their templates.
        clock: Tells the time.
    """

    def __init__(
        self, subjects: KeyValueStore, photos: ObjectStore, gallery: SubjectIndex, clock: Clock
    ) -> None:
        self._subjects = subjects
        self._photos = photos
        self._gallery = gallery
        self._clock = clock

    async def remove(self) -> int:
        """Remove them with their templates, and return how many there were."""
        recorded = {
            entry.key.removeprefix("open."): records.decode(entry.value, Subject)
            for entry in await self._subjects.entries("open.*")
        }
        removed = 0
        for item in await self._photos.objects(PREFIX):
            if self._clock.now() - item.modified < UNRECORDED_AFTER:
                continue
            subject_id, _, photo_id = item.key.removeprefix(PREFIX).partition("/")
            if subject_id not in recorded or _has(recorded[subject_id], photo_id):
                continue
            entry = await self._subjects.get(f"open.{subject_id}")  # as it is now
            if entry is None or _has(records.decode(entry.value, Subject), photo_id):
                continue
            try:
                await remove_photo(self._photos, self._gallery, subject_id, photo_id)
            except errors.FailedPreconditionError as error:  # it must not keep what else is due
                log.warning("photograph not removed", subject_id=subject_id, problem=error.message)
                continue
            log.info("removed a photograph whose enrolment broke off", subject_id=subject_id)
            removed += 1
        return removed


async def remove_photo(
    photos: ObjectStore, gallery: SubjectIndex, subject_id: str, photo_id: str
) -> None:
    """Remove the template of a photograph, and then the photograph, by which both are found."""
    await gallery.remove_photo(subject_id, photo_id)
    await photos.delete(photo_key(subject_id, photo_id))


def photo_key(subject_id: str, photo_id: str) -> str:
    """Return where a photograph is kept."""
    return f"{PREFIX}{subject_id}/{photo_id}"


def _has(subject: Subject, photo_id: str) -> bool:
    return any(held.photo_id == photo_id for held in subject.photos)
