"""The reference photographs of subjects: where they are, and what the gallery needs of them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Mapping
from dataclasses import replace

from homeward.matching.gallery.model import PhotoKey
from homeward.matching.subjects.model import ReferencePhoto, Subject
from homeward.matching.subjects.records import SubjectRecords, is_open
from homeward.servicekit.keyvalue import ConflictError
from homeward.servicekit.objects import ObjectStore

PREFIX = "subjects/"

PHOTO_TYPE = "application/octet-stream"
"""How photographs are stored: as the files that came, of whatever type."""


class SubjectPhotos:
    """The gallery's `EnrolledPhotos`: the photographs of open subjects.

    Args:
        subjects: The records.
        photos: The photographs.
    """

    def __init__(self, subjects: SubjectRecords, photos: ObjectStore) -> None:
        self._subjects = subjects
        self._photos = photos

    async def expected(self, *, digest: str | None) -> frozenset[PhotoKey]:
        """Return the photographs of open subjects, but for those unusable with a model pack."""
        return frozenset(
            PhotoKey(held.value.subject_id, photo.photo_id)
            for held in (await self._subjects.roll()).wanted
            for photo in held.value.photos
            if digest not in photo.unusable_with
        )

    async def listed(self, photos: Collection[PhotoKey]) -> frozenset[PhotoKey]:
        """Return those of the photographs that an open subject has."""
        listed: set[PhotoKey] = set()
        for subject_id in {one.subject_id for one in photos}:
            held = await self._subjects.get(subject_id)
            if held is not None:  # a closed one has none
                listed |= {PhotoKey(subject_id, one.photo_id) for one in held.value.photos}
        return frozenset(listed.intersection(photos))

    async def photo(self, key: PhotoKey) -> bytes | None:
        """Return a photograph as it was enrolled, or None when it is gone."""
        return await self._photos.get(photo_key(key.subject_id, key.photo_id))

    async def note_usable(self, digest: str, photos: Mapping[PhotoKey, bool]) -> None:
        """Record which photographs a model pack can use."""
        for subject_id in sorted({one.subject_id for one in photos}):
            await self._note_usable(subject_id, digest, photos)

    async def _note_usable(
        self, subject_id: str, digest: str, photos: Mapping[PhotoKey, bool]
    ) -> None:
        while await is_open(self._subjects, subject_id):
            held = await self._subjects.get(subject_id)
            if held is None:
                return
            noted = with_usable(held.value, digest, photos)
            if noted == held.value:
                return
            try:
                await self._subjects.replace(noted, etag=held.etag)
            except ConflictError:
                continue
            return


def photo_id_of(subject_id: str, photo: bytes) -> str:
    """Return the id of a photograph of a subject: UUIDv5 over its SHA-256 under the subject's."""
    return str(uuid.uuid5(uuid.UUID(subject_id), hashlib.sha256(photo).hexdigest()))


def photo_key(subject_id: str, photo_id: str) -> str:
    """Return the key of a photograph."""
    return f"{photo_folder(subject_id)}{photo_id}"


def photo_folder(subject_id: str) -> str:
    """Return the prefix of the photographs of a subject."""
    return f"{PREFIX}{subject_id}/"


def subject_in(photo_key: str) -> str:
    """Return the id of the subject that a photograph is of."""
    return photo_key.removeprefix(PREFIX).partition("/")[0]


def with_usable(subject: Subject, digest: str, photos: Mapping[PhotoKey, bool]) -> Subject:
    """Return a subject with a note of which photographs a model pack can use."""

    def noted(photo: ReferencePhoto) -> ReferencePhoto:
        usable = photos.get(PhotoKey(subject.subject_id, photo.photo_id))
        if usable is None or usable is (digest not in photo.unusable_with):
            return photo
        others = tuple(one for one in photo.unusable_with if one != digest)
        return replace(photo, unusable_with=others if usable else (*others, digest))

    return replace(subject, photos=tuple(map(noted, subject.photos)))
