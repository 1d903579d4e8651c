"""The gallery and the sightings, in collections of Qdrant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from homeward.matching.adapters.keyed import KeyedCollection, Point
from homeward.matching.model import (
    MAX_PHOTOS_PER_SUBJECT,
    Candidate,
    ModelInfo,
    PhotoKey,
    Sighting,
    Template,
)
from homeward.matching.ports import Prepared, Reference, Removed
from homeward.servicekit import records
from homeward.servicekit.lease import Proceed


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

    async def is_gone(self, place: str) -> bool:
        """Tell whether files that `Removed` named are gone."""
        return await self._points.is_gone(place)

    async def rebuild(self, proceed: Proceed) -> bool:
        """Move what is left to other files, under another key, and drop the old ones."""
        return await self._points.rebuild(proceed)


class QdrantSubjectIndex(_QdrantIndex):
    """A `SubjectIndex` in Qdrant."""

    async def put(self, reference: Reference) -> None:
        """Add a reference template; the same photograph again replaces its own."""
        await self._points.upsert(_point(reference))

    async def holding(self, photo_ids: Collection[str]) -> frozenset[str]:
        """Return those of the photographs that have a template."""
        return await self._points.existing(photo_ids)

    async def prepare(self, model: ModelInfo) -> Prepared:
        """Begin a gallery of another model, or go on with it, and tell how far it is."""
        mark, held, ready = await self._points.prepare(model)
        return Prepared(
            mark, *(frozenset(PhotoKey(**payload) for payload in told) for told in (held, ready))
        )

    async def put_prepared(self, model: ModelInfo, references: Sequence[Reference]) -> None:
        """Add templates to the gallery that is being prepared; nothing, if it was given up."""
        await self._points.put_prepared(model, [_point(one) for one in references])

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
            model_digest=model_digest,
            where=_any_of("subject_id", subject_ids),
            threshold=threshold,
            # As many points as the subjects wanted can have, so that none hides another.
            limit=limit * MAX_PHOTOS_PER_SUBJECT,
        )
        return [_best_per_subject(answer)[:limit] for answer in answers]

    async def remove_photo(self, photo_id: str) -> None:
        """Remove the template of one photograph, if it is there."""
        await self._points.delete([photo_id])

    async def remove_subject(self, subject_id: str) -> Removed:
        """Remove a subject's templates."""
        where = _any_of("subject_id", [subject_id])
        count = await self._points.count(where)
        return Removed(count, await self._points.delete(where) if count and where else ())

    async def count(self) -> int:
        """Return how many templates there are."""
        return await self._points.count()


class QdrantSightingIndex(_QdrantIndex):
    """A `SightingIndex` in Qdrant."""

    async def put(self, sighting: Sighting, template: Template | None) -> None:
        """Write a sighting, whatever was there under its id; None has no template."""
        await self._points.upsert_loosely(sighting.sighting_id, template, sighting)

    async def update(self, sighting: Sighting) -> None:
        """Write a sighting that is there, and leave its template."""
        await self._points.set_payload(sighting.sighting_id, sighting)

    async def get(self, sighting_id: str) -> Sighting | None:
        """Return a sighting, or None."""
        found = await self._points.retrieve(sighting_id)
        return records.from_plain(found[0], Sighting) if found else None

    async def template(self, sighting_id: str) -> Template | None:
        """Return the template of a sighting that is there; None if it was of a former model."""
        found = await self._points.retrieve(sighting_id, with_vector=True)
        assert found is not None, "the caller has just read the sighting"
        payload, vector = found
        assert vector is not None, "it was asked for"
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


def _point(reference: Reference) -> Point:
    return Point(
        reference.photo_id,
        reference.template,
        {"subject_id": reference.subject_id, "photo_id": reference.photo_id},
    )


def _best_per_subject(answer: list[tuple[dict[str, Any], float]]) -> list[Candidate]:
    best: dict[str, Candidate] = {}
    for payload, score in answer:
        # Two equal vectors have a little more than 1 when rounded, which nobody would take as one.
        cosine = min(max(score, -1.0), 1.0)
        candidate = Candidate(payload["subject_id"], payload["photo_id"], cosine)
        held = best.get(candidate.subject_id)
        if held is None or candidate.score > held.score:
            best[candidate.subject_id] = candidate
    return sorted(best.values(), key=lambda found: (-found.score, found.subject_id))


def _any_of(key: str, values: Collection[str]) -> models.Filter | None:
    if not values:
        return None
    match = models.MatchAny(any=sorted(values))
    return models.Filter(must=[models.FieldCondition(key=key, match=match)])


def _all_of(*filters: models.Filter | None) -> models.Filter | None:
    present = [condition for condition in filters if condition is not None]
    return models.Filter(must=list(present)) if present else None
