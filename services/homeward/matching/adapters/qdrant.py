"""Vectors in Qdrant: a server by URL, or its local mode in one folder, through one adapter.

Every vector crosses `KeyedCollection` and is keyed there, probes included, so that what Qdrant
holds, logs or leaks cannot be compared with a face (`keying`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException

from homeward.matching import keying
from homeward.matching.model import (
    MAX_PHOTOS_PER_SUBJECT,
    Candidate,
    ModelInfo,
    Sighting,
    Template,
)
from homeward.matching.ports import Reference
from homeward.servicekit import errors, records
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore

TIMEOUT_SECONDS = 5
SCROLL_BATCH = 500

P = ParamSpec("P")
T = TypeVar("T")


def connect(*, url: str | None, path: Path | None) -> QdrantClient:
    """Return a client of the server at `url`, or of the local mode in the folder `path`."""
    if url:
        return QdrantClient(url=url, timeout=TIMEOUT_SECONDS, check_compatibility=False)
    return QdrantClient(path=str(path))


class QdrantEngine:
    """Runs the client, which blocks, in threads.

    Args:
        client: What `connect` returned.
        executor: One worker for the local mode, which is not thread-safe.
        address: URL or "its local folder", for messages.
    """

    def __init__(self, client: QdrantClient, executor: BoundedExecutor, address: str) -> None:
        self.client = client
        self._executor = executor
        self._address = address

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a client call.

        Raises:
            UnavailableError: The server does not answer.
        """
        try:
            return await self._executor.run(call, *args, **kwargs)
        except (ResponseHandlingException, ApiException) as error:
            raise errors.unavailable(
                "Qdrant", self._address, "start it, or correct HOMEWARD_QDRANT_URL"
            ) from error

    async def ping(self) -> None:
        """Answer when the engine does."""
        await self.run(self.client.get_collections)


@dataclass(frozen=True, slots=True)
class CollectionRecord:
    """What it takes to read a collection, together with the installation's secret.

    Kept in NATS: one write of it moves everybody to another collection, and erasing its salt
    makes what the old one held useless.
    """

    collection: str
    salt: str
    """Hexadecimal."""
    model_name: str
    model_digest: str
    template_size: int


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    record: CollectionRecord
    matrix: NDArray[np.float64]


class KeyedCollection:
    """A collection of keyed vectors, pinned to one model; made when it is first needed.

    Args:
        engine: Qdrant.
        name: What it holds: `subjects` or `sightings`.
        register: Holds the `CollectionRecord` under `name`.
        secret: The installation's gallery key.
        model: Asks for the model pack in use, when the collection is made.
    """

    def __init__(
        self,
        engine: QdrantEngine,
        *,
        name: str,
        register: KeyValueStore,
        secret: bytes,
        model: Callable[[], Awaitable[ModelInfo]],
    ) -> None:
        self._engine = engine
        self._name = name
        self._register = register
        self._secret = secret
        self._model = model
        self._opened: _Opened | None = None
        self._opening = asyncio.Lock()

    async def require_model(self, digest: str, size: int) -> None:
        """Refuse templates of another model than the collection's.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
            InvalidArgumentError: The model's templates have another size.
        """
        record = (await self._open()).record
        if digest != record.model_digest:
            raise errors.FailedPreconditionError(
                f"the gallery holds templates of model {record.model_name}"
                f" ({record.model_digest[:12]}), this one is of {digest[:12]}: they cannot be"
                " compared; run the gallery's model, or enrol the photographs again",
                reason=errors.Reason.EMBEDDING_MODEL_MISMATCH,
                metadata={"expected": record.model_digest, "received": digest},
            )
        if size != record.template_size:
            raise errors.invalid_field(
                "template.values",
                f"has {size} numbers; templates of this model have {record.template_size}",
            )

    async def upsert(self, point_id: str, vector: NDArray[np.float32], payload: object) -> None:
        """Write a point, whatever was there."""
        opened = await self._open()
        values = keying.keyed(vector[None], opened.matrix)[0]
        point = models.PointStruct(
            id=point_id, vector=values.tolist(), payload=records.to_plain(payload)
        )
        await self._engine.run(
            self._engine.client.upsert, opened.record.collection, points=[point], wait=True
        )

    async def set_payload(self, point_id: str, payload: object) -> None:
        """Replace a point's payload and leave its vector."""
        opened = await self._open()
        await self._engine.run(
            self._engine.client.overwrite_payload,
            opened.record.collection,
            payload=records.to_plain(payload),
            points=[point_id],
            wait=True,
        )

    async def query(
        self,
        vectors: NDArray[np.float32],
        *,
        where: models.Filter | None,
        threshold: float,
        limit: int,
    ) -> list[list[tuple[dict[str, Any], float]]]:
        """Return payload and cosine similarity of the nearest points to each vector."""
        opened = await self._open()
        requests = [
            models.QueryRequest(
                query=vector.tolist(),
                filter=where,
                limit=limit,
                score_threshold=threshold,
                with_payload=True,
            )
            for vector in keying.keyed(vectors, opened.matrix)
        ]
        answers = await self._engine.run(
            self._engine.client.query_batch_points, opened.record.collection, requests=requests
        )
        return [
            [(point.payload or {}, point.score) for point in answer.points] for answer in answers
        ]

    async def retrieve(
        self, point_id: str, *, with_vector: bool = False
    ) -> tuple[dict[str, Any], NDArray[np.float32] | None] | None:
        """Return a point's payload, and its vector as it was before keying if asked, or None."""
        opened = await self._open()
        points = await self._engine.run(
            self._engine.client.retrieve,
            opened.record.collection,
            ids=[point_id],
            with_vectors=with_vector,
        )
        if not points:
            return None
        vector = None
        if with_vector:
            stored = np.asarray(points[0].vector, dtype=np.float32)
            vector = keying.unkeyed(stored[None], opened.matrix)[0]
        return points[0].payload or {}, vector

    async def scroll(self, where: models.Filter | None) -> list[dict[str, Any]]:
        """Return the payloads of all points that fit."""
        opened = await self._open()
        payloads: list[dict[str, Any]] = []
        offset: Any = None
        while True:
            points, offset = await self._engine.run(
                self._engine.client.scroll,
                opened.record.collection,
                scroll_filter=where,
                limit=SCROLL_BATCH,
                offset=offset,
                with_payload=True,
            )
            payloads.extend(point.payload or {} for point in points)
            if offset is None:
                return payloads

    async def delete(self, which: list[str] | models.Filter) -> None:
        """Remove points by id, or all that fit a filter."""
        opened = await self._open()
        selector = (
            models.FilterSelector(filter=which)
            if isinstance(which, models.Filter)
            else models.PointIdsList(points=list(which))
        )
        await self._engine.run(
            self._engine.client.delete,
            opened.record.collection,
            points_selector=selector,
            wait=True,
        )

    async def count(self, where: models.Filter | None = None) -> int:
        """Return how many points fit."""
        opened = await self._open()
        answer = await self._engine.run(
            self._engine.client.count, opened.record.collection, count_filter=where, exact=True
        )
        return answer.count

    async def _open(self) -> _Opened:
        async with self._opening:
            if self._opened is None:
                record = await self._registered()
                if not await self._engine.run(
                    self._engine.client.collection_exists, record.collection
                ):
                    await self._engine.run(self._create, record)
                matrix = keying.orthogonal_matrix(
                    self._secret, salt=bytes.fromhex(record.salt), size=record.template_size
                )
                self._opened = _Opened(record, matrix)
            return self._opened

    async def _registered(self) -> CollectionRecord:
        entry = await self._register.get(self._name)
        if entry is None:
            model = await self._model()
            salt = secrets.token_hex(32)
            record = CollectionRecord(
                collection=f"{self._name}-{secrets.token_hex(4)}",
                salt=salt,
                model_name=model.name,
                model_digest=model.digest,
                template_size=model.template_size,
            )
            try:
                await self._register.create(self._name, records.encode(record))
            except ConflictError:  # another replica was faster; use its collection
                return await self._registered()
            return record
        return records.decode(entry.value, CollectionRecord)

    def _create(self, record: CollectionRecord) -> None:
        self._engine.client.create_collection(
            record.collection,
            vectors_config=models.VectorParams(
                size=record.template_size, distance=models.Distance.COSINE
            ),
        )


class QdrantSubjectIndex:
    """A `SubjectIndex` in Qdrant."""

    def __init__(self, collection: KeyedCollection) -> None:
        self._points = collection

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

    async def remove_subject(self, subject_id: str) -> int:
        """Remove a subject's templates; return how many there were."""
        where = _any_of("subject_id", [subject_id])
        count = await self._points.count(where)
        if count and where:
            await self._points.delete(where)
        return count

    async def count(self) -> int:
        """Return how many templates there are."""
        return await self._points.count()


class QdrantSightingIndex:
    """A `SightingIndex` in Qdrant."""

    def __init__(self, collection: KeyedCollection) -> None:
        self._points = collection

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

    async def remove(self, sighting_ids: Sequence[str]) -> None:
        """Remove sightings."""
        await self._points.delete(list(sighting_ids))

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
