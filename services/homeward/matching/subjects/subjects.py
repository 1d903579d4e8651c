"""Enrolling people and giving their data up again."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from homeward.core.inventory import (
    PHOTOGRAPHS,
    RECORD_LIMIT,
    REFERENCES,
    SCANS,
    SIGHTINGS,
    STILLS,
    SUBJECTS,
    DataClass,
)
from homeward.matching.gallery.completeness import note_usable, with_usable
from homeward.matching.gallery.model import PhotoKey, Template
from homeward.matching.gallery.ports import (
    NOT_REBUILT,
    FaceAnalyzer,
    Reference,
    Removed,
    SubjectIndex,
)
from homeward.matching.sightings.sightings import Sightings
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.model import (
    MAX_PHOTOS_PER_SUBJECT,
    ErasureCertificate,
    ErasureEntry,
    ErasureOutcome,
    ReferencePhoto,
    Subject,
    SubjectDetails,
    SubjectState,
)
from homeward.matching.subjects.object_erasures import NOTHING_THERE, ObjectErasures
from homeward.matching.subjects.unrecorded import photo_key, remove_photo
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore
from homeward.servicekit.objects import ObjectStore
from homeward.servicekit.store_rules import StoreRules

Look = Callable[[Subject, Template], Awaitable[bool]]
"""Looks at a photograph's template before it is enrolled, and tells whether to go on."""

_NAMESPACE = uuid.UUID("0b0d7f3a-54a7-5d3e-8b1e-5e1d7d9a4c02")

RECORD_KEPT = "the record goes last, with the next sweep that finds everything else gone"

PHOTO_ADVICE: Mapping[str, str] = {
    "NO_FACE": "no face was found",
    "SEVERAL_FACES": "several faces were found: cut it to one person",
    "TOO_SMALL": "the face is too small: use a larger original",
    "BLURRED": "the face is blurred: use a sharper photograph",
    "TURNED_AWAY": "the face is turned away: use one that looks towards the camera",
    "NOT_UPRIGHT": "the face is upside down or on its side: turn the photograph upright",
}


class Subjects:
    """The people who are looked for.

    A subject is one record, under `open.<id>` while it is open. Closing writes `closed.<id>` first,
    erases the rest afterwards and `open.<id>` last of all. A close that breaks off is finished by
    the next one or by the sweep, which finds it by what is still held.

    Args:
        subjects: The records.
        photos: The reference photographs.
        gallery: Their templates.
        sightings: Goes along with a subject.
        certificates: Keep what became of erased data.
        faces: Judges photographs.
        objects: Tells what became of objects that were erased.
        rules: Refuse to enrol anybody while the object store would keep what is deleted.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        subjects: KeyValueStore,
        photos: ObjectStore,
        gallery: SubjectIndex,
        sightings: Sightings,
        certificates: Certificates,
        faces: FaceAnalyzer,
        objects: ObjectErasures,
        rules: StoreRules,
        clock: Clock,
    ) -> None:
        self._subjects = subjects
        self._photos = photos
        self._gallery = gallery
        self._sightings = sightings
        self._certificates = certificates
        self._faces = faces
        self._clock = clock
        self._objects = objects
        self._rules = rules

    async def create(self, details: SubjectDetails, *, request_id: str) -> tuple[Subject, str]:
        """Enrol a subject without photographs; return it and its etag.

        Raises:
            InvalidArgumentError: `REQUEST_ID_REUSED`.
            FailedPreconditionError: `RETENTION_UNSAFE`.
        """
        await self._rules.require()
        now = self._clock.now()
        name = str(uuid.uuid5(_NAMESPACE, request_id)) if request_id else str(uuid.uuid4())
        subject = Subject(
            subject_id=name,
            state=SubjectState.OPEN,
            create_time=now,
            update_time=now,
            details=details,
            created_as=details,
        )
        if request_id and await self._subjects.get(_closed(name)) is not None:
            raise _reused(request_id)  # its open record is gone, and must not come back
        try:
            revision = await self._subjects.create(_open(name), records.encode(subject))
        except ConflictError:
            existing, etag = await self.get(name)
            if existing.created_as != details:
                raise _reused(request_id) from None
            return existing, etag
        return subject, str(revision)

    async def add_photo(
        self, subject_id: str, photo: bytes, *, look: Look | None = None
    ) -> tuple[Subject, str, str, bool]:
        """Add a reference photograph; one whose template was lost gets another.

        Args:
            subject_id: Whose.
            photo: A picture file.
            look: Asked before anything is stored; False leaves the photograph out.

        Returns:
            The subject with it, its etag, the photograph's id, and whether it was there before,
            with its template. The id is empty when it was left out.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
            FailedPreconditionError: `SUBJECT_CLOSED`, `EMBEDDING_MODEL_MISMATCH`,
                `RETENTION_UNSAFE`.
            ResourceExhaustedError: `PHOTO_LIMIT`.
            InvalidArgumentError: `PHOTO_REFUSED`, `IMAGE_UNREADABLE`.
        """
        await self._rules.require()
        subject, etag = await self._open_subject(subject_id)
        photo_id = photo_id_of(subject_id, photo)
        listed = any(held.photo_id == photo_id for held in subject.photos)
        if listed and await self._gallery.holding([photo_id]):
            return subject, etag, photo_id, True
        if not listed:
            _require_room(subject)
        analysis = await self._faces.analyze(photo)
        if analysis.template is None or analysis.box is None:
            raise errors.InvalidArgumentError(
                "the photograph cannot serve as a reference: "
                + "; ".join(PHOTO_ADVICE.get(problem, problem) for problem in analysis.problems),
                reason=errors.Reason.PHOTO_REFUSED,
                metadata={"verdict": ",".join(analysis.problems)},
            )
        held = ReferencePhoto(photo_id, analysis.box, analysis.quality, self._clock.now())
        model_digest = analysis.template.model_digest
        await self._gallery.require_model(model_digest)  # before anything is stored
        if look is not None and not listed and not await look(subject, analysis.template):
            return subject, etag, "", False

        def add(subject: Subject) -> Subject:
            if any(other.photo_id == photo_id for other in subject.photos):
                return with_usable(subject, model_digest, {PhotoKey(subject_id, photo_id): True})
            _require_room(subject)
            return replace(subject, photos=(*subject.photos, held))

        try:
            await self._enrol(subject_id, held, photo, analysis.template)
            subject, etag = await self._edit(subject_id, add)
        except errors.DomainError:
            # Closed, erased, filled up or moved to another model while the photograph was judged,
            # or a store failed: nothing of it may stay.
            await self._take_back(subject_id, photo_id)
            raise
        return subject, etag, photo_id, False

    async def get(self, subject_id: str) -> tuple[Subject, str]:
        """Return a subject and its etag.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
        """
        for key in (_closed(subject_id), _open(subject_id)):
            entry = await self._subjects.get(key)
            if entry is not None:
                return records.decode(entry.value, Subject), str(entry.revision)
        raise errors.NotFoundError(
            f"there is no subject {subject_id}",
            reason=errors.Reason.SUBJECT_NOT_FOUND,
            metadata={"subject_id": subject_id},
        )

    async def find(self, *, show_closed: bool) -> list[tuple[Subject, str]]:
        """Return the subjects and their etags, newest first."""
        closed = await self._subjects.entries("closed.*")
        gone = {entry.key.removeprefix("closed.") for entry in closed}
        entries = [
            entry
            for entry in await self._subjects.entries("open.*")
            if entry.key.removeprefix("open.") not in gone
        ]
        found = [
            (records.decode(entry.value, Subject), str(entry.revision))
            for entry in [*entries, *(closed if show_closed else [])]
        ]
        return sorted(found, key=lambda pair: (pair[0].create_time, pair[0].subject_id))[::-1]

    async def update(
        self,
        subject_id: str,
        change: Callable[[SubjectDetails], SubjectDetails],
        *,
        etag: str,
    ) -> tuple[Subject, str]:
        """Change what is stated about a subject.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
            FailedPreconditionError: `SUBJECT_CLOSED`.
            AbortedError: `ETAG_MISMATCH`, when `etag` is given and is not the present one.
        """

        def apply(subject: Subject) -> Subject:
            assert subject.details is not None, "an open subject has its details"
            return replace(subject, details=change(subject.details))

        return await self._edit(subject_id, apply, etag=etag)

    async def close(
        self, subject_id: str, *, to_be_erased: bool = False
    ) -> tuple[Subject, str, ErasureCertificate]:
        """End the search for a subject and erase its data; repeats what was left undone.

        Args:
            subject_id: Whose.
            to_be_erased: Note that the record of the closed subject is to go too, so that a sweep
                finishes what breaks off here.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
        """
        subject, _ = await self.get(subject_id)
        if subject.state is SubjectState.OPEN or (to_be_erased and not subject.to_be_erased):
            shell = replace(
                subject,
                state=SubjectState.CLOSED,
                update_time=self._clock.now(),
                details=None,
                created_as=None,
                photos=(),
                to_be_erased=to_be_erased,
            )
            await self._subjects.put(_closed(subject_id), records.encode(shell))
        certificate = await self.erase_data(subject_id)
        closed, etag = await self.get(subject_id)
        return closed, etag, certificate

    async def erase(self, subject_id: str) -> ErasureCertificate:
        """Close a subject and forget that it was there.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
        """
        _, _, certificate = await self.close(subject_id, to_be_erased=True)
        if all(entry.outcome is not ErasureOutcome.FAILED for entry in certificate.entries):
            await self._subjects.erase(_closed(subject_id))
        return certificate

    async def erase_data(self, subject_id: str) -> ErasureCertificate:
        """Erase what is held of a subject that is not open, its record last of all.

        Args:
            subject_id: Whose. There need not be a record of it.

        Returns:
            What became of it.
        """
        entries = [
            entry
            for data, erase in (
                ((REFERENCES,), self._remove_templates),
                ((SIGHTINGS, STILLS, SCANS), self._remove_sightings),
                ((PHOTOGRAPHS,), self._remove_photos),
            )
            for entry in await _entries(data, erase(subject_id))
        ]
        if any(entry.outcome is ErasureOutcome.FAILED for entry in entries):
            entries.append(_told(SUBJECTS, 0, ErasureOutcome.FAILED, RECORD_KEPT))
        else:
            entries += await _entries((SUBJECTS,), self._erase_record(subject_id))
        made = ErasureCertificate(subject_id, self._clock.now(), tuple(entries))
        return await self._certificates.keep(made)

    async def unusable(self, found: Sequence[Subject]) -> frozenset[str]:
        """Return the ids of photographs that nobody is compared with: they have no template.

        Empty while the gallery does not answer: subjects are read and closed all the same.
        """
        photo_ids = [photo.photo_id for subject in found for photo in subject.photos]
        with contextlib.suppress(errors.UnavailableError):
            return frozenset(photo_ids) - await self._gallery.holding(photo_ids)
        return frozenset()

    async def note_usable(self, digest: str, photos: Mapping[PhotoKey, bool]) -> None:
        """Write down which photographs a model pack has a use for.

        A gallery of it is whole without the others.

        Args:
            digest: Of the pack.
            photos: Whether it makes a template of each.
        """
        await note_usable(self._subjects, digest, photos)

    async def photo(self, subject_id: str, photo_id: str) -> bytes | None:
        """Return a reference photograph as it was enrolled, or None when it is gone."""
        return await self._photos.get(photo_key(subject_id, photo_id))

    async def _enrol(
        self, subject_id: str, held: ReferencePhoto, photo: bytes, template: Template
    ) -> None:
        # The photograph first: whoever fills a gallery of another model reads it as soon as it has
        # a template in this one.
        await self._photos.put(
            photo_key(subject_id, held.photo_id), photo, content_type="application/octet-stream"
        )
        await self._gallery.put(Reference(subject_id, held.photo_id, template))

    async def _take_back(self, subject_id: str, photo_id: str) -> None:
        with contextlib.suppress(errors.UnavailableError):  # the sweep removes what is left
            with contextlib.suppress(errors.NotFoundError):
                subject, _ = await self.get(subject_id)
                if any(held.photo_id == photo_id for held in subject.photos):
                    return  # somebody else has added the same one
            await remove_photo(self._photos, self._gallery, subject_id, photo_id)

    async def _open_subject(self, subject_id: str) -> tuple[Subject, str]:
        subject, etag = await self.get(subject_id)
        if subject.state is not SubjectState.OPEN:
            raise errors.FailedPreconditionError(
                f"subject {subject_id} is closed and its data is gone; enrol the person again",
                reason=errors.Reason.SUBJECT_CLOSED,
                metadata={"subject_id": subject_id},
            )
        return subject, etag

    async def _edit(
        self, subject_id: str, change: Callable[[Subject], Subject], *, etag: str = ""
    ) -> tuple[Subject, str]:
        while True:
            subject, present = await self._open_subject(subject_id)
            if etag and etag != present:
                raise errors.AbortedError(
                    f"subject {subject_id} was changed meanwhile; read it again, then retry",
                    reason=errors.Reason.ETAG_MISMATCH,
                    metadata={"resource": subject_id},
                )
            changed = replace(change(subject), update_time=self._clock.now())
            try:
                revision = await self._subjects.update(
                    _open(subject_id), records.encode(changed), revision=int(present)
                )
            except ConflictError:
                continue
            return changed, str(revision)

    async def _remove_templates(self, subject_id: str) -> list[ErasureEntry]:
        removed = await self._gallery.remove_subject(subject_id)
        return [_in_files(REFERENCES, removed)]

    async def _remove_sightings(self, subject_id: str) -> list[ErasureEntry]:
        removed, left = await self._sightings.remove_subject(subject_id)
        return [
            _in_files(SIGHTINGS, removed),
            await self._objects.entry(STILLS, count=removed.count, left=left),
            self._in_scans(removed.count),
        ]

    def _in_scans(self, count: int) -> ErasureEntry:
        """Tell of the records of scans, which have the ids of sightings that they led to."""
        if not count:
            return _told(SCANS, 0, ErasureOutcome.ERASED, NOTHING_THERE)
        until = self._clock.now() + RECORD_LIMIT
        entry = _told(
            SCANS,
            count,
            ErasureOutcome.PENDING,
            "ids, which refer to nothing any more and stand beside no place and no time, go with"
            f" the scans, by {until:%Y-%m-%d %H:%M} UTC",
        )
        return replace(entry, until=until)

    async def _remove_photos(self, subject_id: str) -> list[ErasureEntry]:
        folder = f"subjects/{subject_id}/"
        purge = await self._photos.purge(folder)
        entry = await self._objects.entry(
            PHOTOGRAPHS, count=purge.keys, left=purge.left, versions=purge.versions
        )
        return [replace(entry, places=(folder,)) if purge.keys else entry]

    async def _erase_record(self, subject_id: str) -> list[ErasureEntry]:
        erased = await self._subjects.erase(_open(subject_id))
        gone = await self._subjects.get(_open(subject_id)) is None
        return [
            _told(
                SUBJECTS,
                int(erased),
                ErasureOutcome.ERASED if gone else ErasureOutcome.FAILED,
                "the message was overwritten in its stream and reads as absent"
                if gone
                else "the record is still there; the next sweep tries again",
            )
        ]


def subject_rules(deviations: Callable[[], Awaitable[list[str]]], clock: Clock) -> StoreRules:
    """Return what refuses to enrol anybody whose data the object store would keep."""
    return StoreRules(
        deviations,
        clock,
        bucket=f"{PHOTOGRAPHS.place}, {STILLS.place}",
        would_keep="photographs or stills after they were erased",
    )


def photo_id_of(subject_id: str, photo: bytes) -> str:
    """Return the id of a photograph of a subject: UUIDv5 over its SHA-256 under the subject's."""
    return str(uuid.uuid5(uuid.UUID(subject_id), hashlib.sha256(photo).hexdigest()))


async def is_open(subjects: KeyValueStore, subject_id: str) -> bool:
    """Tell whether a subject is being looked for."""
    if await subjects.get(_closed(subject_id)) is not None:
        return False
    return await subjects.get(_open(subject_id)) is not None


async def count_enrolled(subjects: KeyValueStore) -> int:
    """Return how many people a search can find: open, with a reference photograph."""
    gone = {entry.key.removeprefix("closed.") for entry in await subjects.entries("closed.*")}
    return sum(
        bool(records.decode(entry.value, Subject).photos)
        for entry in await subjects.entries("open.*")
        if entry.key.removeprefix("open.") not in gone
    )


async def _entries(
    data: Sequence[DataClass], erasure: Awaitable[list[ErasureEntry]]
) -> list[ErasureEntry]:
    """Carry one erasure out; a store that does not answer is an entry, not the end."""
    try:
        return await erasure
    except (errors.UnavailableError, errors.FailedPreconditionError) as error:
        again = f"{error.message}; the next sweep tries again"
        return [_told(one, 0, ErasureOutcome.FAILED, again) for one in data]


def _told(
    data: DataClass, count: int, outcome: ErasureOutcome, verification: str, *places: str
) -> ErasureEntry:
    return ErasureEntry(
        data.name, f"{data.engine} {data.place}", count, outcome, verification, places
    )


def _in_files(data: DataClass, removed: Removed) -> ErasureEntry:
    """Tell of what an engine has only marked as removed."""
    if not removed.count:
        return _told(data, 0, ErasureOutcome.ERASED, NOTHING_THERE)
    return _told(
        data,
        removed.count,
        ErasureOutcome.PENDING,
        NOT_REBUILT,
        *removed.places,
    )


def _reused(request_id: str) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(
        f"request_id {request_id} came before with another subject; use a new one",
        reason=errors.Reason.REQUEST_ID_REUSED,
        metadata={"request_id": request_id},
    )


def _require_room(subject: Subject) -> None:
    if len(subject.photos) >= MAX_PHOTOS_PER_SUBJECT:
        raise errors.ResourceExhaustedError(
            f"a subject has at most {MAX_PHOTOS_PER_SUBJECT} reference photographs",
            reason=errors.Reason.PHOTO_LIMIT,
            metadata={"subject_id": subject.subject_id, "limit": str(MAX_PHOTOS_PER_SUBJECT)},
        )


def _open(subject_id: str) -> str:
    return f"open.{subject_id}"


def _closed(subject_id: str) -> str:
    return f"closed.{subject_id}"
