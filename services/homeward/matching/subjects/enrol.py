"""Enrolling people: their records, and the photographs that they are looked for with."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from homeward.core.inventory import PHOTOGRAPHS, STILLS
from homeward.core.photo_problems import PHOTO_PROBLEMS
from homeward.matching.gallery.model import PhotoAnalysis, PhotoKey, Template
from homeward.matching.gallery.ports import FaceAnalyzer, Reference, SubjectIndex
from homeward.matching.subjects.model import (
    MAX_PHOTOS_PER_SUBJECT,
    PhotoOffer,
    ReferencePhoto,
    Subject,
    SubjectDetails,
    SubjectState,
)
from homeward.matching.subjects.photos import PHOTO_TYPE, photo_id_of, photo_key, with_usable
from homeward.matching.subjects.records import (
    SubjectRecords,
    is_visible,
    require_visible,
)
from homeward.matching.subjects.unrecorded import remove_photo
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock
from homeward.servicekit.identity.caller import require_case
from homeward.servicekit.keyvalue import ConflictError, Stored
from homeward.servicekit.objects import ObjectStore
from homeward.servicekit.store_rules import StoreRules

SecondLook = Callable[[Subject, PhotoAnalysis, Template], Awaitable[bool]]
"""Checks a photograph and its template before it is enrolled; returns whether to enrol it."""

_NAMESPACE = uuid.UUID("0b0d7f3a-54a7-5d3e-8b1e-5e1d7d9a4c02")


class Subjects:
    """The people who are looked for.

    Args:
        records: Of the subjects.
        photos: The reference photographs.
        gallery: Their templates.
        faces: Judges photographs.
        rules: Refuse to enrol anybody while the object store would keep what is deleted.
        was_erased: Tells whether there is a certificate of a subject's erasure.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        records: SubjectRecords,
        photos: ObjectStore,
        gallery: SubjectIndex,
        faces: FaceAnalyzer,
        rules: StoreRules,
        was_erased: Callable[[str], Awaitable[bool]],
        clock: Clock,
    ) -> None:
        self._records = records
        self._photos = photos
        self._gallery = gallery
        self._faces = faces
        self._rules = rules
        self._was_erased = was_erased
        self._clock = clock

    async def create(self, details: SubjectDetails, *, request_id: str) -> Stored[Subject]:
        """Enrol a subject without photographs.

        Raises:
            InvalidArgumentError: `REQUEST_ID_REUSED`.
            FailedPreconditionError: `RETENTION_UNSAFE`.
            PermissionDeniedError: `CASE_NOT_ASSIGNED`.
        """
        require_case(details.case_reference)
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
        if request_id and (await self._records.is_closed(name) or await self._was_erased(name)):
            raise _reused(request_id)  # its open record is gone, and must not come back
        try:
            return await self._records.create(subject)
        except ConflictError:
            existing = await self.get(name)
            if existing.value.created_as != details:
                raise _reused(request_id) from None
            return existing

    async def add_photo(
        self, subject_id: str, photo: bytes, *, look: SecondLook | None = None
    ) -> PhotoOffer:
        """Add a reference photograph; one whose template was lost gets another.

        Args:
            subject_id: Whose.
            photo: A picture file.
            look: Called before anything is stored; if it returns False, nothing is added.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
            FailedPreconditionError: `SUBJECT_CLOSED`, `EMBEDDING_MODEL_MISMATCH`,
                `RETENTION_UNSAFE`.
            ResourceExhaustedError: `PHOTO_LIMIT`.
            InvalidArgumentError: `PHOTO_REFUSED`, `IMAGE_UNREADABLE`.
        """
        await self._rules.require()
        held = await self._open_subject(subject_id)
        photo_id = photo_id_of(subject_id, photo)
        listed = any(one.photo_id == photo_id for one in held.value.photos)
        if listed and await self._gallery.holding([photo_id]):
            return PhotoOffer(held, photo_id, already_held=True)
        if not listed:
            _require_room(held.value)
        reference, analysis, template = await self._judge(photo_id, photo)
        if look is not None and not listed and not await look(held.value, analysis, template):
            return PhotoOffer(held, "")

        def add(subject: Subject) -> Subject:
            if any(other.photo_id == photo_id for other in subject.photos):
                usable = {PhotoKey(subject_id, photo_id): True}
                return with_usable(subject, template.model_digest, usable)
            _require_room(subject)
            return replace(subject, photos=(*subject.photos, reference))

        try:
            await self._photos.put(photo_key(subject_id, photo_id), photo, content_type=PHOTO_TYPE)
            await self._gallery.put(Reference(subject_id, photo_id, template))
            return PhotoOffer(await self._edit(subject_id, add), photo_id)
        except errors.DomainError:
            # The subject was closed, erased, filled up or moved to another model while the
            # photograph was judged, or a store failed: nothing of the photograph may stay.
            await self._take_back(subject_id, photo_id)
            raise

    async def get(self, subject_id: str) -> Stored[Subject]:
        """Return a subject, if the current caller may see it.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
        """
        return await require_visible(self._records, subject_id)

    async def find(self, *, show_closed: bool, prefix: str = "") -> list[Stored[Subject]]:
        """Return the subjects whose ids begin with a prefix, newest first.

        Those whom the current caller may not see are left out.
        """
        listed = (await self._records.roll()).newest_first(show_closed=show_closed)
        named = (held for held in listed if held.value.subject_id.startswith(prefix))
        return [held for held in named if is_visible(held.value)]

    async def update(
        self,
        subject_id: str,
        change: Callable[[SubjectDetails], SubjectDetails],
        *,
        etag: str,
    ) -> Stored[Subject]:
        """Change what is stated about a subject.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
            FailedPreconditionError: `SUBJECT_CLOSED`.
            AbortedError: `ETAG_MISMATCH`, when `etag` is given and is not the present one.
            PermissionDeniedError: `CASE_NOT_ASSIGNED`.
        """

        def apply(subject: Subject) -> Subject:
            assert subject.details is not None, "an open subject has its details"
            details = change(subject.details)
            require_case(details.case_reference)
            return replace(subject, details=details)

        return await self._edit(subject_id, apply, etag=etag)

    async def unusable(self, found: Sequence[Subject]) -> frozenset[str]:
        """Return the ids of photographs without a template, with which nobody is compared.

        Empty while the gallery does not answer, so that subjects can still be read and closed.
        """
        photo_ids = [photo.photo_id for subject in found for photo in subject.photos]
        with contextlib.suppress(errors.UnavailableError):
            return frozenset(photo_ids) - await self._gallery.holding(photo_ids)
        return frozenset()

    async def photo(self, subject_id: str, photo_id: str) -> bytes | None:
        """Return a reference photograph as it was enrolled, or None when it is gone."""
        return await self._photos.get(photo_key(subject_id, photo_id))

    async def reference(self, subject_id: str, photo_id: str) -> tuple[ReferencePhoto, bytes]:
        """Return a reference photograph, with its file, if the current caller may see the subject.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`, `PHOTO_NOT_FOUND`.
        """
        photos = (await self.get(subject_id)).value.photos  # a closed one has none
        listed = next((one for one in photos if one.photo_id == photo_id), None)
        image = await self.photo(subject_id, photo_id) if listed else None
        if listed is None or image is None:
            raise errors.NotFoundError(
                f"subject {subject_id} has no reference photograph {photo_id}, or its file is gone",
                reason=errors.Reason.PHOTO_NOT_FOUND,
                metadata={"subject_id": subject_id, "photo_id": photo_id},
            )
        return listed, image

    async def _judge(
        self, photo_id: str, photo: bytes
    ) -> tuple[ReferencePhoto, PhotoAnalysis, Template]:
        analysis = await self._faces.analyze(photo)
        if analysis.template is None or analysis.box is None:
            raise errors.InvalidArgumentError(
                "the photograph cannot serve as a reference: "
                + "; ".join(PHOTO_PROBLEMS.get(problem, problem) for problem in analysis.problems),
                reason=errors.Reason.PHOTO_REFUSED,
                metadata={"verdict": ",".join(analysis.problems)},
            )
        await self._gallery.require_model(analysis.template.model_digest)  # before it is stored
        reference = ReferencePhoto(photo_id, analysis.box, analysis.quality, self._clock.now())
        return reference, analysis, analysis.template

    async def _take_back(self, subject_id: str, photo_id: str) -> None:
        with contextlib.suppress(errors.UnavailableError):  # the sweep removes what is left
            held = await self._records.get(subject_id)
            if held and any(one.photo_id == photo_id for one in held.value.photos):
                return  # another call has added the same photograph
            await remove_photo(self._photos, self._gallery, subject_id, photo_id)

    async def _open_subject(self, subject_id: str) -> Stored[Subject]:
        held = await self.get(subject_id)
        if held.value.state is not SubjectState.OPEN:
            raise _closed(subject_id)
        return held

    async def _edit(
        self, subject_id: str, change: Callable[[Subject], Subject], *, etag: str = ""
    ) -> Stored[Subject]:
        while True:
            held = await self._open_subject(subject_id)
            if etag and etag != held.etag:
                raise errors.AbortedError(
                    f"subject {subject_id} was changed meanwhile; read it again, then retry",
                    reason=errors.Reason.ETAG_MISMATCH,
                    metadata={"resource": subject_id},
                )
            changed = replace(change(held.value), update_time=self._clock.now())
            try:
                written = await self._records.replace(changed, etag=held.etag)
            except ConflictError:
                continue
            if await self._records.is_closed(subject_id):
                # Closed meanwhile: what was written goes with the record in a moment.
                raise _closed(subject_id)
            return written


def subject_rules(deviations: Callable[[], Awaitable[list[str]]], clock: Clock) -> StoreRules:
    """Return the rules that refuse enrolment while the object store would keep deleted data."""
    return StoreRules(
        deviations,
        clock,
        bucket=f"{PHOTOGRAPHS.place}, {STILLS.place}",
        would_keep="photographs or stills after they were erased",
    )


def _closed(subject_id: str) -> errors.FailedPreconditionError:
    return errors.FailedPreconditionError(
        f"subject {subject_id} is closed and its data is gone; enrol the person again",
        reason=errors.Reason.SUBJECT_CLOSED,
        metadata={"subject_id": subject_id},
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
