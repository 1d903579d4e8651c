"""Collections of keyed vectors, which can be replaced while they are in use.

Every vector crosses `KeyedCollection` and is keyed there, probes included, so that what Qdrant
holds, logs or leaks cannot be compared with a face (`keying`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from homeward.matching.adapters import changes, cluster, collections
from homeward.matching.adapters.changes import CollectionRecord
from homeward.matching.adapters.engine import QdrantEngine
from homeward.matching.gallery import keying, pinning
from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.gallery.ports import NOT_REBUILT
from homeward.servicekit import errors, records
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore, edit
from homeward.servicekit.lease import Proceed

SCROLL_BATCH = 500

QUERY_BATCH = 64
"""Vectors that are searched for in one request: each is compared with every point, which takes a
server 11 ms of a processor for 100,000."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """A collection, and the transform of what it holds."""

    collection: str
    salt: str
    matrix: NDArray[np.float64]
    model: ModelInfo


@dataclass(frozen=True, slots=True)
class Point:
    """A point to write."""

    point_id: str
    kind: str
    """Of vector."""
    template: Template
    payload: object


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A point that another is made of."""

    payload: dict[str, Any]
    vector: NDArray[np.float32]
    """As it was before keying."""


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

    A point has one vector, of one kind. Vectors of one kind are searched as if there were no others
    (Qdrant's *named vectors*): a filter would have the local mode read every payload, which takes
    0.1 s with 8,000 points.

    It can be replaced while it is in use (`rebuild`). What makes that safe, with several replicas:
    a read looks first which collection is in use; a write goes to the one in use and to its
    successor, if there is one, and afterwards looks whether that was still so, or else is repeated.

    Args:
        engine: Qdrant.
        name: What it holds: `subjects` or `sightings`.
        kinds: Of vectors.
        indexed: Fields of the payload that points are filtered by.
        register: Holds the `CollectionRecord` under `name`.
        secret: The installation's gallery key.
        model: Asks for the model pack in use, when the collection is made.
        others: Ask for model packs that may come to be used, to name them in refusals.
        title: What it is called there.
    """

    def __init__(
        self,
        engine: QdrantEngine,
        *,
        name: str,
        kinds: Sequence[str],
        register: KeyValueStore,
        secret: bytes,
        model: Callable[[], Awaitable[ModelInfo]],
        others: Sequence[Callable[[], Awaitable[ModelInfo]]] = (),
        indexed: Sequence[str] = (),
        title: str = "the gallery",
    ) -> None:
        self._others = others
        self._title = title
        self._engine = engine
        self._name = name
        self._kinds = kinds
        self._indexed = indexed
        self._register = register
        self._secret = secret
        self._model = model
        self._opened: _Opened | None = None
        self._opening = asyncio.Lock()

    async def model(self) -> ModelInfo:
        """Return the model whose templates it holds."""
        return (await self._open()).record.model

    async def require_model(self, digest: str, size: int | None = None) -> None:
        """Refuse templates of another model than the collection's.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
            InvalidArgumentError: The model's templates have another size.
        """
        await self._require(await self.model(), digest, size)

    async def upsert(self, *points: Point) -> None:
        """Write points, at least one and all of one model, whatever was there.

        A successor of another model does not get them: whoever fills that is told by `writes`.
        """
        template = points[0].template

        async def write(target: _Target) -> None:
            if target.model.digest == template.model_digest:
                await self._put(target, points)

        await self._write(write, of=template)
        # After the write, so that whoever looks from now on sees it.
        record = await self._change(changes.with_write)
        await self._require(record.model, template.model_digest)

    async def put_made(
        self,
        point_ids: Sequence[str],
        *,
        of: models.Filter,
        make: Callable[[Mapping[str, Part], str], list[Point]],
    ) -> None:
        """Write points that are made of others, and remove those that nothing is left to make of.

        To be called by whoever has written or removed one of the others. Each that does so at the
        same time looks afterwards whether the points are of those that are there, so that the last
        to write them has seen all. A successor of another model is left alone.

        Args:
            point_ids: Of the points.
            of: Which points they are made of.
            make: Makes them of those, by id, and of the model's digest.
        """

        async def write(target: _Target) -> None:
            current = (await self._open()).current
            if target.model.digest != current.model.digest:
                return
            parts = await self._parts(current, of)
            made: list[Point] = []
            while parts:
                made = make(parts, target.model.digest)
                await self._put(target, made)
                used, parts = parts, await self._parts(current, of)
                if used.keys() == parts.keys() and all(
                    np.array_equal(used[name].vector, parts[name].vector) for name in parts
                ):
                    break
                made = []
            gone = set(point_ids).difference(point.point_id for point in made)
            if gone and (there := await self._points(target, sorted(gone))):
                await self._change(changes.with_erasure)
                await self._remove_from(target, [str(point.id) for point in there])

        await self._write(write)

    async def upsert_loosely(
        self, point_id: str, kind: str, template: Template | None, payload: object
    ) -> None:
        """Write a point, whatever was there; with zeros where its template is of another model."""

        async def write(target: _Target) -> None:
            size = target.model.template_size
            zeros = Template(np.zeros(size, np.float32), target.model.digest)
            fits = template is not None and template.model_digest == target.model.digest
            stored = template if template and fits else zeros
            await self._put(target, [Point(point_id, kind, stored, payload)])

        await self._write(write, of=template)

    async def set_payload(self, point_id: str, payload: object) -> None:
        """Replace a point's payload and leave its vector."""

        async def write(target: _Target) -> None:
            await self._engine.run(
                self._engine.client.overwrite_payload,
                target.collection,
                payload=records.to_plain(payload),
                # Not by its id: a successor may not have it yet, which a server would refuse.
                points=models.Filter(must=[models.HasIdCondition(has_id=[point_id])]),
                wait=True,
            )

        await self._write(write)

    async def query(
        self,
        vectors: NDArray[np.float32],
        kind: str,
        *,
        model_digest: str,
        where: models.Filter | None,
        threshold: float,
        limit: int,
    ) -> list[list[tuple[dict[str, Any], float]]]:
        """Return payload and cosine similarity of the nearest points of a kind to each vector.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
            InvalidArgumentError: The model's templates have another size.
        """

        async def read(target: _Target) -> list[list[tuple[dict[str, Any], float]]]:
            requests = [
                models.QueryRequest(
                    query=vector.tolist(),
                    using=kind,
                    filter=where,
                    limit=limit,
                    score_threshold=threshold,
                    # The local mode does nothing else.
                    params=collections.EXACT if self._engine.server else None,
                    with_payload=True,
                )
                for vector in keying.keyed(vectors, target.matrix)
            ]
            return [
                [(point.payload or {}, point.score) for point in answer.points]
                for first in range(0, len(requests), QUERY_BATCH)
                for answer in await self._engine.run(
                    self._engine.client.query_batch_points,
                    target.collection,
                    requests=requests[first : first + QUERY_BATCH],
                )
            ]

        return await self._read(read, of=(model_digest, vectors.shape[1]))

    async def existing(self, point_ids: Collection[str]) -> frozenset[str]:
        """Return which of the points are there."""

        async def read(target: _Target) -> frozenset[str]:
            points = await self._engine.run(
                self._engine.client.retrieve,
                target.collection,
                ids=list(point_ids),
                with_payload=False,
            )
            return frozenset(str(point.id) for point in points)

        return await self._read(read) if point_ids else frozenset()

    async def retrieve(
        self, point_ids: Collection[str], *, of: tuple[str, int] | None = None
    ) -> dict[str, tuple[dict[str, Any], NDArray[np.float32]]]:
        """Return payloads, and vectors as they were before keying, of the points that are there.

        Args:
            point_ids: Of the points.
            of: Digest and size of templates to compare them with.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
        """

        async def read(target: _Target) -> dict[str, tuple[dict[str, Any], NDArray[np.float32]]]:
            points = await self._points(target, list(point_ids))
            vectors = _unkeyed(points, target)
            return {
                str(point.id): (point.payload or {}, vectors[str(point.id)]) for point in points
            }

        return await self._read(read, of=of) if point_ids else {}

    async def scroll(self, where: models.Filter | None) -> list[dict[str, Any]]:
        """Return the payloads of all points that fit."""
        return await self._read(lambda target: self._payloads(target, where))

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

        # First: what breaks off now is made up for by a rebuild.
        await self._change(changes.with_erasure)
        return await self._write(write)

    async def count(self, where: models.Filter | None = None) -> int:
        """Return how many points fit."""

        async def read(target: _Target) -> int:
            answer = await self._engine.run(
                self._engine.client.count, target.collection, count_filter=where, exact=True
            )
            return answer.count

        return await self._read(read)

    async def edition(self) -> tuple[str, int]:
        """Return a name of what is in use, and how many points it has.

        It has another name once it was exchanged, or made anew because the engine had lost it.
        """
        record = (await self._open()).record
        return f"{record.collection}/{record.made}", await self.count()

    async def holds_erased(self) -> bool:
        """Tell whether files may hold bytes of what was removed, so that a rebuild is due."""
        return bool(await self.unclean())

    async def unclean(self) -> tuple[str, ...]:
        """Return the collections whose files may hold bytes of what was removed."""
        record = (await self._open()).record
        return (*([record.collection] if record.rebuild_due else []), *record.retired)

    async def remains(self, collection: str) -> str:
        """Return why a collection may have files still; empty when it has none, on no node."""
        record = (await self._open()).record
        if collection in (record.collection, *record.retired):
            return NOT_REBUILT
        if await self._engine.run(self._engine.client.collection_exists, collection):
            return NOT_REBUILT
        return await self._engine.run(cluster.doubt, self._engine.client, collection)

    async def prepare(
        self, model: ModelInfo
    ) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
        """Begin a successor of another model, or go on with one that was begun.

        Returns:
            A mark of this moment, for `use_prepared`; the payloads of the collection in use; and
            those that the successor has.
        """
        made = replace(changes.new_name(self._name), model=model)
        while True:
            await self._change(partial(changes.with_prepared, made))
            opened = await self._open()
            if opened.next is not None and opened.next.model == model:
                return (
                    opened.revision,
                    await self._payloads(opened.current, None),
                    await self._payloads(opened.next, None),
                )

    async def put_prepared(self, model: ModelInfo, points: Sequence[Point]) -> None:
        """Write points to the successor of another model; nothing, if it was given up."""
        opened = await self._open()
        if points and opened.next is not None and opened.next.model == model:
            await self._put(opened.next, points)
            await self._change(changes.with_write)

    async def vectors_prepared(
        self, model: ModelInfo, point_ids: Collection[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return vectors of the successor of another model; none, if it was given up."""
        opened = await self._open()
        if opened.next is None or opened.next.model != model:
            return {}
        return _unkeyed(await self._points(opened.next, list(point_ids)), opened.next)

    async def drop_prepared(self, point_ids: Collection[str]) -> None:
        """Remove points from the successor alone."""
        await self._change(changes.with_erasure_in_next)
        opened = await self._open()
        if opened.record.next is not None and opened.record.next.model and opened.next:
            await self._remove_from(opened.next, list(point_ids))

    async def use_prepared(self, model: ModelInfo, mark: int) -> bool:
        """Put the successor of another model in use, if nothing was written since the mark.

        Returns:
            Whether it is in use. The old collection goes with the next rebuild.
        """
        entry = await self._register.get(self._name)
        if entry is None or entry.revision != mark:
            return False
        record = records.decode(entry.value, CollectionRecord)
        if record.next is None or record.next.model != model:
            return False
        swapped = records.encode(changes.with_swap(record.next, record))
        try:
            await self._register.update(self._name, swapped, revision=mark)
        except ConflictError:
            return False
        return True

    async def rebuild(self, proceed: Proceed, *, model: ModelInfo | None = None) -> bool:
        """Copy all points into a collection under a new key, use that, and drop the old one.

        Searches see the old collection until the new one is complete, then the new one. A rebuild
        that broke off anywhere is begun anew, with another successor: only whoever has filled a
        successor puts it in use, so that two at a time do no harm.

        Args:
            proceed: Asked before each batch; False ends this, to be begun anew later.
            model: Another model to pin it to; points get zeros for templates then.

        Returns:
            Whether it is done.
        """
        record = (await self._open()).record
        other = model if model and model.digest != record.model_digest else None
        if other or record.rebuild_due:
            made = replace(changes.new_name(self._name), model=other)
            await self._change(partial(changes.with_successor, made))
            opened = await self._open()
            if opened.next is None or opened.next.collection != made.collection:
                return False  # another replica has begun one too
            async for points in self._pages(
                opened.current, None, size=self._engine.batch, with_vectors=True
            ):
                if not await proceed():
                    return False
                await self._copy(points, opened.current, opened.next)
            await self._change(partial(changes.with_swap, made))
        retired = (await self._open()).record.retired
        for collection in retired:
            await self._engine.run(self._drop, collection)
        await self._change(partial(changes.without_retired, retired))
        return True

    async def _copy(self, points: list[Any], current: _Target, successor: _Target) -> None:
        """Copy some points, again if somebody changes them meanwhile."""
        names = [str(point.id) for point in points]
        copied: dict[str, object] = {}
        while points:
            if current.model.digest == successor.model.digest:
                plain = _unkeyed(points, current)
                vectors = keying.keyed(
                    np.stack([plain[str(point.id)] for point in points]), successor.matrix
                )
            else:
                vectors = np.zeros((len(points), successor.model.template_size), np.float32)
            copies = [
                models.PointStruct(
                    id=point.id, vector={_kind(point): vector.tolist()}, payload=point.payload
                )
                for point, vector in zip(points, vectors, strict=True)
            ]
            await self._engine.run(
                self._engine.client.upsert, successor.collection, points=copies, wait=True
            )
            # A write goes to both: what has come since the read above, this may have overwritten.
            now = await self._points(current, names)
            there = {str(point.id) for point in now}
            await self._remove_from(successor, [name for name in names if name not in there])
            copied |= {str(point.id): (point.vector, point.payload) for point in points}
            points = [p for p in now if copied.get(str(p.id)) != (p.vector, p.payload)]

    async def _points(self, target: _Target, names: list[str]) -> list[Any]:
        return list(
            await self._engine.run(
                self._engine.client.retrieve, target.collection, ids=names, with_vectors=True
            )
        )

    async def _parts(self, target: _Target, where: models.Filter) -> dict[str, Part]:
        pages = self._pages(target, where, size=SCROLL_BATCH, with_vectors=True)
        points = [point async for page in pages for point in page]
        vectors = _unkeyed(points, target)
        return {
            str(point.id): Part(point.payload or {}, vectors[str(point.id)]) for point in points
        }

    async def _put(self, target: _Target, points: Sequence[Point]) -> None:
        vectors = keying.keyed(np.stack([point.template.values for point in points]), target.matrix)
        structs = [
            models.PointStruct(
                id=point.point_id,
                vector={point.kind: vector.tolist()},
                payload=records.to_plain(point.payload),
            )
            for point, vector in zip(points, vectors, strict=True)
        ]
        await self._engine.run(
            self._engine.client.upsert, target.collection, points=structs, wait=True
        )

    async def _require(self, held: ModelInfo, digest: str, size: int | None = None) -> None:
        if digest != held.digest:
            known = []
            for model in (self._model, *self._others):
                with contextlib.suppress(errors.UnavailableError):  # it only gives a name
                    known.append(await model())
            raise pinning.mismatch(self._title, held, digest, known)
        if size is not None and size != held.template_size:
            raise errors.invalid_field(
                "template.values",
                f"has {size} numbers; templates of this model have {held.template_size}",
            )

    async def _payloads(self, target: _Target, where: models.Filter | None) -> list[dict[str, Any]]:
        return [
            point.payload or {}
            async for points in self._pages(target, where, size=SCROLL_BATCH)
            for point in points
        ]

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

    async def _read(
        self, call: Callable[[_Target], Awaitable[T]], *, of: tuple[str, int] | None = None
    ) -> T:
        """Read the collection in use; `of` is digest and size of templates to compare with it."""
        while True:
            opened = await self._open()
            if of is not None:
                await self._require(opened.record.model, *of)
            try:
                return await call(opened.current)
            except errors.UnavailableError:
                if (await self._open()).revision == opened.revision:
                    self._opened = None  # it may be lost: the next call looks again
                    raise
                # It was replaced, and dropped, while it was read.

    async def _write(
        self, call: Callable[[_Target], Awaitable[None]], *, of: Template | None = None
    ) -> tuple[str, ...]:
        """Write to all collections that it concerns; return their names.

        `of` is a template that must be of the model of the one in use.
        """
        written: dict[str, None] = {}
        while True:
            opened = await self._open()
            if of is not None:
                await self._require(opened.record.model, of.model_digest, of.values.size)
            try:
                for target in opened.targets:
                    await call(target)
                    written[target.collection] = None
            except errors.UnavailableError:
                if (await self._open()).revision == opened.revision:
                    self._opened = None  # as in `_read`
                    raise
                continue
            if (await self._open()).revision == opened.revision:
                return tuple(written)

    async def _change(
        self, change: Callable[[CollectionRecord], CollectionRecord]
    ) -> CollectionRecord:
        """Change the record, and return it as it is then."""
        changed = (await self._open()).record  # there is one

        async def apply(value: bytes | None) -> bytes:
            nonlocal changed
            assert value is not None, "it was just read, and is never removed"
            changed = change(records.decode(value, CollectionRecord))
            return records.encode(changed)

        await edit(self._register, self._name, apply)
        return changed

    async def _open(self) -> _Opened:
        """Return which collections are in use now."""
        noted = ""
        async with self._opening:
            while True:
                record, revision = await self._registered()
                if self._opened is not None and self._opened.revision == revision:
                    return self._opened
                if record.collection != noted and await self._is_missing(record.collection):
                    # Before it is made, so that every replica hears that what is there is empty.
                    await self._note_making(record.collection)
                    noted = record.collection
                    continue
                current = await self._target(record.collection, record.salt, record.model)
                following = (
                    await self._target(
                        record.next.collection,
                        record.next.salt,
                        record.next.model or record.model,
                    )
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

    async def _target(self, collection: str, salt: str, model: ModelInfo) -> _Target:
        for target in self._opened.targets if self._opened else ():
            if (target.collection, target.salt, target.model) == (collection, salt, model):
                return target  # the matrix takes a while
        size = model.template_size
        if not await self._engine.run(self._engine.client.collection_exists, collection):
            await self._engine.run(
                collections.create, self._engine.client, collection, kinds=self._kinds, size=size
            )
        if self._engine.server:
            await self._engine.run(
                collections.index, self._engine.client, collection, self._indexed
            )
        matrix = keying.orthogonal_matrix(self._secret, salt=bytes.fromhex(salt), size=size)
        return _Target(collection, salt, matrix, model)

    async def _is_missing(self, collection: str) -> bool:
        if self._opened and collection in [target.collection for target in self._opened.targets]:
            return False
        return not await self._engine.run(self._engine.client.collection_exists, collection)

    async def _note_making(self, collection: str) -> None:
        async def apply(value: bytes | None) -> bytes | None:
            if value is None:
                return None
            record = records.decode(value, CollectionRecord)
            return records.encode(changes.with_making(collection, record))

        await edit(self._register, self._name, apply)

    async def _registered(self) -> tuple[CollectionRecord, int]:
        entry = await self._register.get(self._name)
        if entry is None:
            model = await self._model()
            made = changes.new_name(self._name)
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

    def _drop(self, collection: str) -> None:
        """Remove a collection with its files and snapshots."""
        client = self._engine.client
        if client.collection_exists(collection):
            for snapshot in client.list_snapshots(collection):
                client.delete_snapshot(collection, snapshot.name, wait=True)
            client.delete_collection(collection)


def _kind(point: Any) -> str:  # noqa: ANN401 - the client's, whose type has every kind of vector
    (kind,) = point.vector
    return str(kind)


def _unkeyed(points: Sequence[Any], target: _Target) -> dict[str, NDArray[np.float32]]:
    """Return the vectors of points as they were before keying, by id."""
    if not points:
        return {}
    stored = np.asarray([point.vector[_kind(point)] for point in points], np.float32)
    vectors = keying.unkeyed(stored, target.matrix)
    return {str(point.id): vector for point, vector in zip(points, vectors, strict=True)}
