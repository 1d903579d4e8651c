"""The gallery and the sightings, in collections of Qdrant."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from homeward.core import fusing
from homeward.core.inventory import REFERENCES, SIGHTINGS
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.opening import CollectionLayout
from homeward.matching.adapters.points import HeldPoint, Point
from homeward.matching.adapters.selection import PointsOfSubjects, any_of
from homeward.matching.gallery.model import Candidate, ModelInfo, PhotoKey, Template
from homeward.matching.gallery.ports import Edition, GalleryContents, Reference, Removed
from homeward.matching.sightings.model import Sighting, SightingState
from homeward.matching.sightings.ports import EVERY, SightingCursor, SightingFilter
from homeward.servicekit import errors, records
from homeward.servicekit.lease import Proceed

PHOTO, SUBJECT, APPEARANCE = "photo", "subject", "appearance"
"""Kinds of vectors: of a photograph, of all of a subject's, of a sighting."""

SUBJECT_KINDS, SIGHTING_KINDS = (PHOTO, SUBJECT), (APPEARANCE,)

_KEYWORD, _TIME = models.PayloadSchemaType.KEYWORD, models.PayloadSchemaType.DATETIME
SUBJECT_FIELDS = {"subject_id": _KEYWORD}
_REQUESTERS, _REVIEWERS = "requesters", "reviews[].reviewer"
SIGHTING_FIELDS = {
    **dict.fromkeys(("subject_id", "footage_id", "camera_id", "scan_id", "state"), _KEYWORD),
    **dict.fromkeys((_REQUESTERS, _REVIEWERS), _KEYWORD),
    **dict.fromkeys(("start_time", "end_time", "delete_time"), _TIME),
    "score": models.PayloadSchemaType.FLOAT,
}
"""Of payloads, that points are filtered or ordered by."""

SUBJECT_LAYOUT = CollectionLayout(REFERENCES.place, SUBJECT_KINDS, SUBJECT_FIELDS)
SIGHTING_LAYOUT = CollectionLayout(
    SIGHTINGS.place, SIGHTING_KINDS, SIGHTING_FIELDS, title="the store of sightings"
)

FUSED_AT_ONCE = 64
"""Subjects that are fused together: 10 MB of templates at most."""


class _QdrantIndex:
    """An index whose points are in a keyed collection: `Purgeable` and `Pinned`."""

    def __init__(self, collection: KeyedCollection) -> None:
        self._points = collection

    async def model(self) -> ModelInfo:
        """Return the model whose templates it holds."""
        return await self._points.model()

    async def require_model(self, digest: str, size: int | None = None) -> None:
        """Refuse templates of another model."""
        await self._points.require_model(digest, size)

    async def holds_erased(self) -> bool:
        """Tell whether files may hold bytes of what was removed."""
        return await self._points.holds_erased()

    async def unclean(self) -> tuple[str, ...]:
        """Return where bytes of what was removed may be until a rebuild."""
        return await self._points.unclean()

    async def remains(self, place: str) -> str:
        """Return why files that `Removed` named may be there still; empty when they are gone."""
        return await self._points.remains(place)

    async def unknown(self) -> tuple[str, ...]:
        """Return collections of this kind that no record names."""
        return await self._points.unknown()

    async def rebuild(self, proceed: Proceed) -> bool:
        """Move what is left to other files, under another key, and drop the old ones."""
        return await self._points.rebuild(proceed)


class QdrantSubjectIndex(_QdrantIndex):
    """A `SubjectIndex` in Qdrant.

    Each photograph is a point, and each subject is one too, with the mean of its photographs, which
    alone is searched.
    """

    async def put(self, reference: Reference) -> None:
        """Add a reference template; the same photograph again replaces its own."""
        before = await self.holding([reference.photo_id])
        try:
            await self._points.upsert(_photo(reference))
            await self._fuse(reference.subject_id)
        except errors.DomainError:
            if not before:
                await self._take_back(reference)
            raise

    async def put_all(self, references: Sequence[Reference]) -> None:
        """Add reference templates, at least one and all of one model, in a few calls."""
        await self._points.upsert(*map(_photo, references))
        await self._fuse(*{one.subject_id for one in references})

    async def mend(self) -> int:
        """Fuse subjects anew whose photographs are others than they were fused of."""
        stale = sorted(_stale(await self._points.scroll(None)))
        for first in range(0, len(stale), FUSED_AT_ONCE):
            await self._fuse(*stale[first : first + FUSED_AT_ONCE])
        return len(stale)

    async def holding(self, photo_ids: Collection[str]) -> frozenset[str]:
        """Return those of the photographs that have a template."""
        return await self._points.existing(photo_ids)

    async def edition(self) -> Edition:
        """Return which templates are searched now."""
        return Edition(*await self._points.edition())

    async def contents(self) -> GalleryContents:
        """Return all photographs that have a template."""
        payloads = await self._points.scroll(None)
        return GalleryContents(_keys(payloads), _fused_keys(payloads))

    async def start_over(self, model: ModelInfo) -> None:
        """Use an empty gallery of another model from now on."""
        await self._points.start_over(model)

    async def search(
        self,
        probes: NDArray[np.float32],
        *,
        model_digest: str,
        subject_ids: Collection[str],
        threshold: float,
        limit: int,
    ) -> list[list[Candidate]]:
        """Rank the subjects most alike to each probe. Stores nothing."""
        answers = await self._points.query(
            probes,
            SUBJECT,
            model_digest=model_digest,
            among=subject_ids,  # a subject's point has the subject's id
            threshold=threshold,
            limit=limit,
        )
        held = await self._points.retrieve(
            {name for answer in answers for payload, _ in answer for name in payload["photo_ids"]},
            of=(model_digest, probes.shape[1]),
        )
        photos = {name: one.vector for name, one in held.items() if one.vector is not None}
        return [
            _candidates(probe, answer, photos)
            for probe, answer in zip(probes, answers, strict=True)
        ]

    async def remove_photo(self, subject_id: str, photo_id: str) -> None:
        """Remove the template of one photograph, if it is there."""
        await self._points.delete([photo_id])
        await self._fuse(subject_id)

    async def remove_subject(self, subject_id: str) -> Removed:
        """Remove a subject's templates."""
        kinds = await self._points.kinds_of(subject_id)
        if not kinds:
            # A gallery that was replaced a moment ago may still have files with templates of them.
            return Removed(0, await self._points.retired())
        # Where all that is left is the fused one, a removal broke off.
        places = await self._points.delete(PointsOfSubjects([subject_id]))
        return Removed(kinds.count(PHOTO), places)

    async def count(self) -> int:
        """Return how many photographs have a template."""
        return await self._points.count_kind(PHOTO)

    async def _take_back(self, reference: Reference) -> None:
        """Leave nothing of a photograph whose enrolment failed."""
        # Of a server that does not answer now, the sweep (`unrecorded`) removes it.
        with contextlib.suppress(errors.UnavailableError):
            if await self.holding([reference.photo_id]):
                await self.remove_photo(reference.subject_id, reference.photo_id)

    async def _fuse(self, *subject_ids: str) -> None:
        await self._points.put_made(subject_ids, of=PHOTO, make=_fused_all)


class QdrantSightingIndex(_QdrantIndex):
    """A `SightingIndex` in Qdrant."""

    async def put(self, sighting: Sighting, template: Template | None) -> None:
        """Write a sighting, whatever was there under its id; None has no template."""
        point = Point(sighting.sighting_id, APPEARANCE, template, sighting)
        await self._points.upsert(point)

    async def update(self, sighting: Sighting) -> None:
        """Write a sighting that is there, and leave its template."""
        await self._points.set_payload(sighting.sighting_id, sighting)

    async def mark_still_gone(self, sighting_id: str) -> None:
        """Note that the still of a sighting is gone, and leave all else as it is."""
        await self._points.merge_payload(sighting_id, {"still_gone": True})

    async def get(self, sighting_id: str) -> Sighting | None:
        """Return a sighting, or None."""
        held = await self._points.retrieve([sighting_id])
        return records.from_plain(held[sighting_id].payload, Sighting) if held else None

    async def holding(self, sighting_ids: Collection[str]) -> frozenset[str]:
        """Return those of the sightings that are there."""
        return await self._points.existing(sighting_ids)

    async def template(self, sighting_id: str) -> Template | None:
        """Return the template of a sighting that is there; None if it was of a former model."""
        held = await self._points.retrieve([sighting_id])
        point = held[sighting_id]  # the caller has just read the sighting
        if point.vector is None:
            return None
        return Template(point.vector, str(point.payload["model_digest"]))

    async def change_model(self, model: ModelInfo, proceed: Proceed) -> bool:
        """Take templates of another model from now on; sightings stay, without theirs."""
        return await self._points.rebuild(proceed, model=model)

    async def find(self, which: SightingFilter) -> list[Sighting]:
        """Return the sightings that fit."""
        return _sightings(await self._points.scroll(_where(which)))

    async def page(
        self, which: SightingFilter, *, size: int, after: SightingCursor | None
    ) -> list[Sighting]:
        """Return the first sightings that fit and come after a cursor, most alike first."""
        order = models.OrderBy(
            key="score", direction=models.Direction.DESC, start_from=after.score if after else None
        )
        told = after.sighting_ids if after else ()
        where = _where(replace(which, but_sighting_ids={*which.but_sighting_ids, *told}))
        return _sightings(await self._points.page(where, size=size, order=order))

    async def with_prefix(
        self, prefix: str, which: SightingFilter, *, size: int, after: str = ""
    ) -> list[Sighting]:
        """Return the first sightings whose ids begin so, in the order of their ids."""
        first = after or str(uuid.UUID(hex=prefix.replace("-", "").ljust(32, "0")))
        # With the one that the page begins with, which is told already.
        found = _sightings(await self._points.page(_where(which), size=size + 1, start=first))
        begun = [one for one in found if one.sighting_id.startswith(prefix)]
        return [one for one in begun if one.sighting_id != after][:size]

    async def remove(self, sighting_ids: Sequence[str]) -> Removed:
        """Remove sightings."""
        return Removed(len(sighting_ids), await self._points.delete(list(sighting_ids)))

    async def count(self, which: SightingFilter = EVERY) -> int:
        """Return how many sightings fit."""
        return await self._points.count(_where(which))

    async def requesters(self) -> frozenset[str]:
        """Return the names of those who asked for a search that found a sighting."""
        return await self._points.values(_REQUESTERS)

    async def reviewers(self) -> frozenset[str]:
        """Return the names of those whose decision on a sighting counts."""
        return await self._points.values(_REVIEWERS)


def _photo(reference: Reference) -> Point:
    key = PhotoKey(reference.subject_id, reference.photo_id)
    return Point(reference.photo_id, PHOTO, reference.template, key)


def _fused_all(photos: Mapping[str, HeldPoint], model_digest: str) -> list[Point]:
    """Return the points of the subjects that photographs are of."""
    parts: dict[str, dict[str, NDArray[np.float32]]] = {}
    for photo_id, part in photos.items():
        if part.vector is not None:
            parts.setdefault(part.payload["subject_id"], {})[photo_id] = part.vector
    return [_fused(name, vectors, model_digest) for name, vectors in parts.items()]


def _fused(subject_id: str, photos: Mapping[str, NDArray[np.float32]], model_digest: str) -> Point:
    """Return the point of a subject, made of the templates of photographs."""
    photo_ids = sorted(photos)
    values = fusing.fuse(np.stack([photos[name] for name in photo_ids]))
    payload = {"subject_id": subject_id, "photo_ids": photo_ids}
    return Point(subject_id, SUBJECT, Template(values, model_digest), payload)


def _keys(payloads: Sequence[dict[str, Any]]) -> frozenset[PhotoKey]:
    return frozenset(PhotoKey(**payload) for payload in payloads if "photo_id" in payload)


def _fused_keys(payloads: Sequence[dict[str, Any]]) -> frozenset[PhotoKey]:
    return frozenset(
        PhotoKey(payload["subject_id"], photo_id)
        for payload in payloads
        for photo_id in payload.get("photo_ids", ())
    )


def _stale(payloads: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the photographs of the subjects that are fused of others, or of none."""
    photos: dict[str, list[str]] = {}
    fused: dict[str, list[str]] = {}
    for payload in payloads:
        subject_id = payload["subject_id"]
        if "photo_id" in payload:
            photos.setdefault(subject_id, []).append(payload["photo_id"])
        else:
            fused[subject_id] = payload["photo_ids"]
    return {
        name: sorted(photos.get(name, ()))
        for name in photos.keys() | fused.keys()
        if sorted(photos.get(name, ())) != fused.get(name)
    }


def _candidates(
    probe: NDArray[np.float32],
    answer: list[tuple[dict[str, Any], float]],
    photos: Mapping[str, NDArray[np.float32]],
) -> list[Candidate]:
    """Return the subjects of an answer, each with the photograph that is most alike."""
    found = []
    for payload, score in answer:
        held = [name for name in payload["photo_ids"] if name in photos]
        if held:  # or else it is being removed
            best = max(held, key=lambda name: float(photos[name] @ probe))
            # Two equal vectors have a little more than 1 when rounded: nobody would take that as 1.
            found.append(Candidate(payload["subject_id"], best, min(max(score, -1.0), 1.0)))
    return sorted(found, key=lambda one: (-one.score, one.subject_id))


def _sightings(payloads: Sequence[dict[str, Any]]) -> list[Sighting]:
    return [records.from_plain(payload, Sighting) for payload in payloads]


def _where(which: SightingFilter) -> models.Filter | None:
    """Return a filter as Qdrant has it; None for all."""
    fields: dict[str, Collection[str]] = {
        "subject_id": which.subject_ids,
        "footage_id": which.footage_ids,
        "camera_id": which.camera_ids,
        "scan_id": which.scan_ids,
        "state": [state.value for state in which.states],
        _REQUESTERS: which.requesters,
        _REVIEWERS: which.reviewers,
    }
    others = {_REQUESTERS: which.but_requesters, _REVIEWERS: which.but_reviewers}
    must: list[models.Condition] = [any_of(key, values) for key, values in fields.items() if values]
    if which.start is not None:
        must.append(_in_time("end_time", models.DatetimeRange(gt=which.start)))
    if which.end is not None:
        must.append(_in_time("start_time", models.DatetimeRange(lt=which.end)))
    if which.unexpired_at is not None:
        confirmed = any_of("state", [SightingState.CONFIRMED.value])
        kept = _in_time("delete_time", models.DatetimeRange(gt=which.unexpired_at))
        must.append(models.Filter(should=[confirmed, kept]))
    if which.expired_at is not None:
        confirmed = any_of("state", [SightingState.CONFIRMED.value])
        due = _in_time("delete_time", models.DatetimeRange(lte=which.expired_at))
        must.append(models.Filter(must=[due], must_not=[confirmed]))
    if which.sighting_ids:
        must.append(_with_ids(which.sighting_ids))
    must_not: list[models.Condition] = [
        any_of(key, values) for key, values in others.items() if values
    ]
    if which.but_sighting_ids:
        must_not.append(_with_ids(which.but_sighting_ids))
    if not must and not must_not:
        return None
    return models.Filter(must=must or None, must_not=must_not or None)


def _with_ids(sighting_ids: Collection[str]) -> models.HasIdCondition:
    return models.HasIdCondition(has_id=sorted(sighting_ids))


def _in_time(key: str, span: models.DatetimeRange) -> models.FieldCondition:
    return models.FieldCondition(key=key, range=span)
