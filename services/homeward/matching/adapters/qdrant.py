"""The gallery and the sightings, in collections of Qdrant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.model import MAX_PHOTOS_PER_SUBJECT, Candidate, Sighting, Template
from homeward.matching.ports import Reference, Removed
from homeward.servicekit import records
from homeward.servicekit.lease import Proceed


class _QdrantIndex:
    """An index whose points are in a keyed collection: a `Purgeable`."""

    def __init__(self, collection: KeyedCollection) -> None:
        self._points = collection

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
        await self._points.require_model(
            reference.template.model_digest, reference.template.values.size
        )
        await self._points.upsert(
            reference.photo_id,
            reference.template.values,
            {"subject_id": reference.subject_id, "photo_id": reference.photo_id},
        )

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
        await self._points.require_model(model_digest, probes.shape[1])
        answers = await self._points.query(
            probes,
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

    async def put(self, sighting: Sighting, template: Template) -> None:
        """Write a sighting, whatever was there under its id."""
        await self._points.require_model(template.model_digest, template.values.size)
        await self._points.upsert(sighting.sighting_id, template.values, sighting)

    async def update(self, sighting: Sighting) -> None:
        """Write a sighting that is there, and leave its template."""
        await self._points.set_payload(sighting.sighting_id, sighting)

    async def get(self, sighting_id: str) -> Sighting | None:
        """Return a sighting, or None."""
        found = await self._points.retrieve(sighting_id)
        return records.from_plain(found[0], Sighting) if found else None

    async def template(self, sighting_id: str) -> Template:
        """Return the template of a sighting that is there."""
        found = await self._points.retrieve(sighting_id, with_vector=True)
        assert found is not None, "the caller has just read the sighting"
        payload, vector = found
        assert vector is not None, "it was asked for"
        return Template(vector, str(payload["model_digest"]))

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
