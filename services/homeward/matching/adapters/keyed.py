"""Collections of keyed vectors, which can be replaced while they are in use.

Every vector crosses `KeyedCollection` and is keyed there, probes included, so that what Qdrant
holds, logs or leaks cannot be compared with a face (`keying`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.http.exceptions import ApiException

from homeward.matching import keying
from homeward.matching.adapters.engine import QdrantEngine
from homeward.matching.model import ModelInfo
from homeward.servicekit import errors, records
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore, edit
from homeward.servicekit.lease import Proceed

SCROLL_BATCH = 500

COPY_BATCH = 16
"""Points that a rebuild copies at a time. The local mode writes some 170 a second, and nobody can
search meanwhile: a search waits a tenth of a second at most."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CollectionRecord:
    """Which collection is in use, and what it takes to read it, beside the installation's secret.

    Kept in NATS: one write of it moves everybody to another collection, and takes the salt away
    that makes what the old one held comparable with anything.
    """

    collection: str
    salt: str
    """Hexadecimal."""
    model_name: str
    model_digest: str
    template_size: int
    erased: bool = False
    """Whether something was removed from it: an engine keeps the bytes until the files go."""
    next: Successor | None = None
    """What is to replace it, while that is being filled."""
    retired: tuple[str, ...] = ()
    """Collections that were replaced and are not known to be gone."""


@dataclass(frozen=True, slots=True)
class Successor:
    """A collection that is being filled. Every write goes to it too."""

    collection: str
    salt: str
    erased: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """A collection, and the transform of what it holds."""

    collection: str
    matrix: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    record: CollectionRecord
    revision: int
    current: _Target
    next: _Target | None

    @property
    def targets(self) -> list[_Target]:
        """Where writes go."""
        return [self.current, self.next] if self.next else [self.current]


class KeyedCollection:
    """A collection of keyed vectors, pinned to one model; made when it is first needed.

    It can be replaced while it is in use (`rebuild`). What makes that safe, with several replicas:
    a read looks first which collection is in use; a write goes to the one in use and to its
    successor, if there is one, and afterwards looks whether that was still so, or else is repeated.

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

        async def write(target: _Target) -> None:
            values = keying.keyed(vector[None], target.matrix)[0]
            point = models.PointStruct(
                id=point_id, vector=values.tolist(), payload=records.to_plain(payload)
            )
            await self._engine.run(
                self._engine.client.upsert, target.collection, points=[point], wait=True
            )

        await self._write(write)

    async def set_payload(self, point_id: str, payload: object) -> None:
        """Replace a point's payload and leave its vector."""

        async def write(target: _Target) -> None:
            await self._engine.run(
                self._engine.client.overwrite_payload,
                target.collection,
                payload=records.to_plain(payload),
                points=[point_id],
                wait=True,
            )

        await self._write(write)

    async def query(
        self,
        vectors: NDArray[np.float32],
        *,
        where: models.Filter | None,
        threshold: float,
        limit: int,
    ) -> list[list[tuple[dict[str, Any], float]]]:
        """Return payload and cosine similarity of the nearest points to each vector."""

        async def read(target: _Target) -> list[list[tuple[dict[str, Any], float]]]:
            requests = [
                models.QueryRequest(
                    query=vector.tolist(),
                    filter=where,
                    limit=limit,
                    score_threshold=threshold,
                    with_payload=True,
                )
                for vector in keying.keyed(vectors, target.matrix)
            ]
            answers = await self._engine.run(
                self._engine.client.query_batch_points, target.collection, requests=requests
            )
            return [
                [(point.payload or {}, point.score) for point in answer.points]
                for answer in answers
            ]

        return await self._read(read)

    async def retrieve(
        self, point_id: str, *, with_vector: bool = False
    ) -> tuple[dict[str, Any], NDArray[np.float32] | None] | None:
        """Return a point's payload, and its vector as it was before keying if asked, or None."""

        async def read(
            target: _Target,
        ) -> tuple[dict[str, Any], NDArray[np.float32] | None] | None:
            points = await self._engine.run(
                self._engine.client.retrieve,
                target.collection,
                ids=[point_id],
                with_vectors=with_vector,
            )
            if not points:
                return None
            vector = None
            if with_vector:
                stored = np.asarray(points[0].vector, dtype=np.float32)
                vector = keying.unkeyed(stored[None], target.matrix)[0]
            return points[0].payload or {}, vector

        return await self._read(read)

    async def scroll(self, where: models.Filter | None) -> list[dict[str, Any]]:
        """Return the payloads of all points that fit."""

        async def read(target: _Target) -> list[dict[str, Any]]:
            payloads: list[dict[str, Any]] = []
            async for points in self._pages(target, where, size=SCROLL_BATCH):
                payloads.extend(point.payload or {} for point in points)
            return payloads

        return await self._read(read)

    async def delete(self, which: list[str] | models.Filter) -> tuple[str, ...]:
        """Remove points by id, or all that fit a filter.

        Returns:
            The collections whose files may hold their bytes until `rebuild` has replaced them.
        """
        selector = (
            models.FilterSelector(filter=which)
            if isinstance(which, models.Filter)
            else models.PointIdsList(points=list(which))
        )

        async def write(target: _Target) -> None:
            await self._engine.run(
                self._engine.client.delete,
                target.collection,
                points_selector=selector,
                wait=True,
            )

        await self._change(_with_erasure)  # first: what breaks off now is made up for by a rebuild
        return await self._write(write)

    async def count(self, where: models.Filter | None = None) -> int:
        """Return how many points fit."""

        async def read(target: _Target) -> int:
            answer = await self._engine.run(
                self._engine.client.count, target.collection, count_filter=where, exact=True
            )
            return answer.count

        return await self._read(read)

    async def holds_erased(self) -> bool:
        """Tell whether files may hold bytes of what was removed, so that a rebuild is due."""
        record = (await self._open()).record
        return record.erased or record.next is not None or bool(record.retired)

    async def is_gone(self, collection: str) -> bool:
        """Tell whether a collection of this name has no files any more."""
        record = (await self._open()).record
        if collection in (record.collection, *record.retired):
            return False
        return not await self._engine.run(self._engine.client.collection_exists, collection)

    async def rebuild(self, proceed: Proceed) -> bool:
        """Copy all points into a collection under a new key, use that, and drop the old one.

        Searches see the old collection until the new one is complete, then the new one. A rebuild
        that broke off anywhere is begun anew, with another successor: only whoever has filled a
        successor puts it in use, so that two at a time do no harm.

        Args:
            proceed: Asked before each batch; False ends this, to be begun anew later.

        Returns:
            Whether it is done.
        """
        record = (await self._open()).record
        if record.erased or record.next:
            made = _new_name(self._name)
            await self._change(partial(_with_successor, made))
            opened = await self._open()
            if opened.next is None or opened.next.collection != made.collection:
                return False  # another replica has begun one too
            async for points in self._pages(
                opened.current, None, size=COPY_BATCH, with_vectors=True
            ):
                if not await proceed():
                    return False
                await self._copy(points, opened.current, opened.next)
            await self._change(partial(_with_swap, made))
        retired = (await self._open()).record.retired
        for collection in retired:
            await self._engine.run(self._drop, collection)
        await self._change(partial(_without_retired, retired))
        return True

    async def _copy(self, points: list[Any], current: _Target, successor: _Target) -> None:
        """Copy some points, again if somebody changes them meanwhile."""
        names = [str(point.id) for point in points]
        while points:
            stored = np.asarray([point.vector for point in points], np.float32)
            vectors = keying.keyed(keying.unkeyed(stored, current.matrix), successor.matrix)
            copies = [
                models.PointStruct(id=point.id, vector=vector.tolist(), payload=point.payload)
                for point, vector in zip(points, vectors, strict=True)
            ]
            await self._engine.run(
                self._engine.client.upsert, successor.collection, points=copies, wait=True
            )
            # A write goes to both: what has come since the read above, this may have overwritten.
            now = await self._points(current, names)
            there = {str(point.id) for point in now}
            await self._remove_from(successor, [name for name in names if name not in there])
            before = {str(point.id): (point.vector, point.payload) for point in points}
            points = [p for p in now if before.get(str(p.id)) != (p.vector, p.payload)]

    async def _points(self, target: _Target, names: list[str]) -> list[Any]:
        return list(
            await self._engine.run(
                self._engine.client.retrieve, target.collection, ids=names, with_vectors=True
            )
        )

    async def _remove_from(self, target: _Target, names: list[str]) -> None:
        if names:
            await self._engine.run(
                self._engine.client.delete,
                target.collection,
                points_selector=models.PointIdsList(points=list(names)),
                wait=True,
            )

    async def _pages(
        self,
        target: _Target,
        where: models.Filter | None,
        *,
        size: int,
        with_vectors: bool = False,
    ) -> AsyncGenerator[list[Any], None]:
        offset: Any = None
        while True:
            points, offset = await self._engine.run(
                self._engine.client.scroll,
                target.collection,
                scroll_filter=where,
                limit=size,
                offset=offset,
                with_payload=True,
                with_vectors=with_vectors,
            )
            yield points
            if offset is None:
                return

    async def _read(self, call: Callable[[_Target], Awaitable[T]]) -> T:
        while True:
            opened = await self._open()
            try:
                return await call(opened.current)
            except errors.UnavailableError:
                if (await self._open()).revision == opened.revision:
                    raise
                # It was replaced, and dropped, while it was read.

    async def _write(self, call: Callable[[_Target], Awaitable[None]]) -> tuple[str, ...]:
        """Write to all collections that it concerns; return their names."""
        written: dict[str, None] = {}
        while True:
            opened = await self._open()
            try:
                for target in opened.targets:
                    await call(target)
                    written[target.collection] = None
            except errors.UnavailableError:
                if (await self._open()).revision == opened.revision:
                    raise
                continue
            if (await self._open()).revision == opened.revision:
                return tuple(written)

    async def _change(self, change: Callable[[CollectionRecord], CollectionRecord]) -> None:
        await self._open()  # there is a record

        async def apply(value: bytes | None) -> bytes:
            assert value is not None, "it was just read, and is never removed"
            return records.encode(change(records.decode(value, CollectionRecord)))

        await edit(self._register, self._name, apply)

    async def _open(self) -> _Opened:
        """Return which collections are in use now."""
        async with self._opening:
            while True:
                record, revision = await self._registered()
                if self._opened is not None and self._opened.revision == revision:
                    return self._opened
                current = await self._target(record, record.collection, record.salt)
                following = (
                    await self._target(record, record.next.collection, record.next.salt)
                    if record.next
                    else None
                )
                now, present = await self._registered()
                if present == revision:
                    self._opened = _Opened(record, revision, current, following)
                    return self._opened
                # Replaced meanwhile: one that was dropped, and is there again now, goes again.
                named = {now.collection, *now.retired, *([now.next.collection] if now.next else [])}
                for target in filter(None, (current, following)):
                    if target.collection not in named:
                        await self._engine.run(self._drop, target.collection)

    async def _target(self, record: CollectionRecord, collection: str, salt: str) -> _Target:
        if not await self._engine.run(self._engine.client.collection_exists, collection):
            await self._engine.run(self._create, collection, record.template_size)
        matrix = keying.orthogonal_matrix(
            self._secret, salt=bytes.fromhex(salt), size=record.template_size
        )
        return _Target(collection, matrix)

    async def _registered(self) -> tuple[CollectionRecord, int]:
        entry = await self._register.get(self._name)
        if entry is None:
            model = await self._model()
            made = _new_name(self._name)
            record = CollectionRecord(
                collection=made.collection,
                salt=made.salt,
                model_name=model.name,
                model_digest=model.digest,
                template_size=model.template_size,
            )
            try:
                return record, await self._register.create(self._name, records.encode(record))
            except ConflictError:  # another replica was faster; use its collection
                return await self._registered()
        return records.decode(entry.value, CollectionRecord), entry.revision

    def _create(self, collection: str, size: int) -> None:
        try:
            self._engine.client.create_collection(
                collection,
                vectors_config=models.VectorParams(size=size, distance=models.Distance.COSINE),
            )
        except (ApiException, ValueError):
            if not self._engine.client.collection_exists(collection):
                raise
            # Another replica was faster.

    def _drop(self, collection: str) -> None:
        """Remove a collection with its files and snapshots."""
        client = self._engine.client
        if client.collection_exists(collection):
            for snapshot in client.list_snapshots(collection):
                client.delete_snapshot(collection, snapshot.name, wait=True)
            client.delete_collection(collection)


def _new_name(name: str) -> Successor:
    return Successor(f"{name}-{secrets.token_hex(4)}", secrets.token_hex(32))


def _with_erasure(record: CollectionRecord) -> CollectionRecord:
    """Return the record once something is removed from what it names."""
    following = replace(record.next, erased=True) if record.next else None
    return replace(record, erased=True, next=following)


def _with_successor(made: Successor, record: CollectionRecord) -> CollectionRecord:
    """Return the record with another successor; one that was begun is not used any more."""
    begun = (record.next.collection,) if record.next else ()
    return replace(record, next=made, retired=(*record.retired, *begun))


def _without_retired(dropped: Collection[str], record: CollectionRecord) -> CollectionRecord:
    """Return the record without collections that are gone; others may have come meanwhile."""
    left = (collection for collection in record.retired if collection not in dropped)
    return replace(record, retired=tuple(left))


def _with_swap(filled: Successor, record: CollectionRecord) -> CollectionRecord:
    """Return the record once the successor is in use, unless another replica has begun another."""
    if record.next is None or record.next.collection != filled.collection:
        return record
    return replace(
        record,
        collection=record.next.collection,
        salt=record.next.salt,
        erased=record.next.erased,
        next=None,
        retired=(*record.retired, record.collection),
    )
