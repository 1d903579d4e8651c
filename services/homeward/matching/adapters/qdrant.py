"""The gallery and the sightings, in collections of Qdrant."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from homeward.core import fusing
from homeward.matching.adapters.keyed import KeyedCollection, Part, Point
from homeward.matching.gallery.model import Candidate, ModelInfo, PhotoKey, Template
from homeward.matching.gallery.ports import Edition, GalleryContents, Prepared, Reference, Removed
from homeward.matching.sightings.model import Sighting
from homeward.servicekit import errors, records
from homeward.servicekit.lease import Proceed

PHOTO, SUBJECT, APPEARANCE = "photo", "subject", "appearance"
"""Kinds of vectors: of a photograph, of all of a subject's, of a sighting."""

SUBJECT_KINDS, SIGHTING_KINDS = (PHOTO, SUBJECT), (APPEARANCE,)

SUBJECT_FIELDS, SIGHTING_FIELDS = ("subject_id",), ("subject_id", "footage_id")
"""Of payloads, that points are filtered by."""

FUSED_AT_ONCE = 64
"""Subjects of a gallery that is being prepared: 10 MB of templates at most."""

_IS_PHOTO = models.HasVectorCondition(has_vector=PHOTO)


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

    async def prepare(self, model: ModelInfo) -> Prepared:
        """Begin a gallery of another model, or go on with it, and tell how far it is."""
        while True:
            mark, held, ready = await self._points.prepare(model)
            stale = _stale(ready)
            if not stale:
                return Prepared(mark, _keys(held), _keys(ready))
            await self._fuse_prepared(model, stale)

    async def put_prepared(self, model: ModelInfo, references: Sequence[Reference]) -> None:
        """Add templates to the gallery that is being prepared; nothing, if it was given up."""
        await self._points.put_prepared(model, [_photo(one) for one in references])

    async def drop_prepared(self, photo_ids: Collection[str]) -> None:
        """Remove templates from the gallery that is being prepared."""
        await self._points.drop_prepared(photo_ids)

    async def use_prepared(self, model: ModelInfo, mark: int) -> bool:
        """Use the gallery that was prepared from now on, if nothing was written since the mark."""
        return await self._points.use_prepared(model, mark)

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
            where=_any_of("subject_id", subject_ids),
            threshold=threshold,
            limit=limit,
        )
        held = await self._points.retrieve(
            {name for answer in answers for payload, _ in answer for name in payload["photo_ids"]},
            of=(model_digest, probes.shape[1]),
        )
        photos = {name: vector for name, (_, vector) in held.items()}
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
        where = _of_subject(subject_id)
        photos = await self._points.count(_of_subject(subject_id, _IS_PHOTO))
        held = photos or await self._points.count(where)
        return Removed(photos, await self._points.delete(where) if held else ())

    async def count(self) -> int:
        """Return how many photographs have a template."""
        return await self._points.count(models.Filter(must=[_IS_PHOTO]))

    async def _take_back(self, reference: Reference) -> None:
        """Leave nothing of a photograph whose enrolment failed."""
        # Of a server that does not answer now, the sweep (`unrecorded`) removes it.
        with contextlib.suppress(errors.UnavailableError):
            if await self.holding([reference.photo_id]):
                await self.remove_photo(reference.subject_id, reference.photo_id)

    async def _fuse(self, *subject_ids: str) -> None:
        match = models.MatchAny(any=sorted(subject_ids))
        of = models.Filter(must=[models.FieldCondition(key="subject_id", match=match), _IS_PHOTO])
        await self._points.put_made(subject_ids, of=of, make=_fused_all)

    async def _fuse_prepared(self, model: ModelInfo, stale: Mapping[str, Sequence[str]]) -> None:
        """Fuse subjects of the gallery that is being prepared, where nobody else adds any."""
        if without := [name for name, photos in stale.items() if not photos]:
            await self._points.drop_prepared(without)
        left = [(name, photos) for name, photos in stale.items() if photos]
        for first in range(0, len(left), FUSED_AT_ONCE):
            batch = left[first : first + FUSED_AT_ONCE]
            held = await self._points.vectors_prepared(
                model, [photo for _, photos in batch for photo in photos]
            )
            parts = {
                name: {photo: held[photo] for photo in photos if photo in held}
                for name, photos in batch
            }
            fused = [_fused(name, there, model.digest) for name, there in parts.items() if there]
            await self._points.put_prepared(model, fused)


class QdrantSightingIndex(_QdrantIndex):
    """A `SightingIndex` in Qdrant."""

    async def put(self, sighting: Sighting, template: Template | None) -> None:
        """Write a sighting, whatever was there under its id; None has no template."""
        await self._points.upsert_loosely(sighting.sighting_id, APPEARANCE, template, sighting)

    async def update(self, sighting: Sighting) -> None:
        """Write a sighting that is there, and leave its template."""
        await self._points.set_payload(sighting.sighting_id, sighting)

    async def get(self, sighting_id: str) -> Sighting | None:
        """Return a sighting, or None."""
        held = await self._points.retrieve([sighting_id])
        return records.from_plain(held[sighting_id][0], Sighting) if held else None

    async def template(self, sighting_id: str) -> Template | None:
        """Return the template of a sighting that is there; None if it was of a former model."""
        held = await self._points.retrieve([sighting_id])
        payload, vector = held[sighting_id]  # the caller has just read the sighting
        return Template(vector, str(payload["model_digest"])) if vector.any() else None

    async def change_model(self, model: ModelInfo, proceed: Proceed) -> bool:
        """Take templates of another model from now on; sightings stay, without theirs."""
        return await self._points.rebuild(proceed, model=model)

    async def find(
        self, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> list[Sighting]:
        """Return the sightings of any of the subjects in any of the recordings."""
        payloads = await self._points.scroll(
            _all_of(_any_of("subject_id", subject_ids), _any_of("footage_id", footage_ids))
        )
        return [records.from_plain(payload, Sighting) for payload in payloads]

    async def remove(self, sighting_ids: Sequence[str]) -> Removed:
        """Remove sightings."""
        return Removed(len(sighting_ids), await self._points.delete(list(sighting_ids)))

    async def count(self) -> int:
        """Return how many sightings there are."""
        return await self._points.count()


def _photo(reference: Reference) -> Point:
    key = PhotoKey(reference.subject_id, reference.photo_id)
    return Point(reference.photo_id, PHOTO, reference.template, key)


def _fused_all(photos: Mapping[str, Part], model_digest: str) -> list[Point]:
    """Return the points of the subjects that photographs are of."""
    parts: dict[str, dict[str, NDArray[np.float32]]] = {}
    for photo_id, part in photos.items():
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


def _of_subject(subject_id: str, *also: models.Condition) -> models.Filter:
    match = models.MatchValue(value=subject_id)
    return models.Filter(must=[models.FieldCondition(key="subject_id", match=match), *also])


def _any_of(key: str, values: Collection[str]) -> models.Filter | None:
    if not values:
        return None
    match = models.MatchAny(any=sorted(values))
    return models.Filter(must=[models.FieldCondition(key=key, match=match)])


def _all_of(*filters: models.Filter | None) -> models.Filter | None:
    present = [condition for condition in filters if condition is not None]
    return models.Filter(must=list(present)) if present else None
