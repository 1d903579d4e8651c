"""Collections of keyed vectors, which can be replaced while they are in use.

Every vector crosses `KeyedCollection` and is keyed there, probes included, so that what Qdrant
holds, logs or leaks cannot be compared with a face (`keying`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from homeward.matching.adapters import cluster, collections
from homeward.matching.adapters.access import SCROLL_BATCH, CollectionAccess
from homeward.matching.adapters.opening import Target
from homeward.matching.adapters.points import (
    HeldPoint,
    Point,
    held,
    kind_of,
    nearest,
    structs,
)
from homeward.matching.adapters.rebuilding import rebuild
from homeward.matching.adapters.selection import PointsOfSubjects
from homeward.matching.gallery import keying, register
from homeward.matching.gallery.model import ModelInfo
from homeward.matching.gallery.ports import NOT_REBUILT
from homeward.servicekit import records
from homeward.servicekit.lease import Proceed

QUERY_BATCH = 64
"""Vectors that are searched for in one request: each is compared with every point, which takes a
server 11 ms of a processor for 100,000."""


class KeyedCollection:
    """A collection of keyed vectors, pinned to one model; made when it is first needed.

    A point has one vector, of one kind. Vectors of one kind are searched as if there were no others
    (Qdrant's *named vectors*): a filter would have the local mode read every payload, which takes
    0.1 s with 8,000 points.

    It can be replaced while it is in use (`rebuild`), as `CollectionAccess` tells.

    Args:
        access: To the collection in use.
    """

    def __init__(self, access: CollectionAccess) -> None:
        self.access = access

    async def model(self) -> ModelInfo:
        """Return the model whose templates it holds."""
        return (await self.access.collections.open()).record.model

    async def require_model(self, digest: str, size: int | None = None) -> None:
        """Refuse templates of another model than the collection's.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
            InvalidArgumentError: The model's templates have another size.
        """
        await self.access.require(await self.model(), digest, size)

    async def upsert(self, *points: Point) -> None:
        """Write points, at least one and all of one model, whatever was there.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
            InvalidArgumentError: The model's templates have another size.
        """

        async def write(target: Target) -> None:
            await self.access.engine.upsert(target.collection, structs(points, target))

        await self.access.write(write, of=points[0].template)

    async def put_made(
        self,
        subject_ids: Sequence[str],
        *,
        of: str,
        make: Callable[[Mapping[str, HeldPoint], str], list[Point]],
    ) -> None:
        """Write the points of subjects that are made of others of theirs.

        One that nothing is left to make of is removed. To be called by whoever has written or
        removed one of the others. Each that does so at the same time looks afterwards whether the
        points are made of those that are there, so that the last to write them has seen all.

        Args:
            subject_ids: Ids of the points to make, and of whom the others are.
            of: Kind of the vectors of which they are made.
            make: Makes them of those, by id, and of the model's digest.
        """
        parts_of = PointsOfSubjects(subject_ids, of)

        async def write(target: Target) -> None:
            current = (await self.access.collections.open()).current
            parts = await self.access.parts(current, parts_of)
            while True:
                made = make(parts, current.model.digest)
                if made:
                    await self.access.engine.upsert(target.collection, structs(made, target))
                gone = set(subject_ids).difference(point.point_id for point in made)
                if gone and (there := await self.access.points(target, sorted(gone))):
                    await self.access.register.change(register.with_erasure)
                    await self.access.engine.delete(
                        target.collection, [str(point.id) for point in there]
                    )
                used, parts = parts, await self.access.parts(current, parts_of)
                if _same_vectors(used, parts):
                    return

        await self.access.write(write)

    async def set_payload(self, point_id: str, payload: object) -> None:
        """Replace a point's payload and leave its vector."""
        await self._change_payload(point_id, records.to_plain(payload), merge=False)

    async def merge_payload(self, point_id: str, fields: Mapping[str, Any]) -> None:
        """Set some fields of a point's payload and leave the others, whoever writes them now."""
        await self._change_payload(point_id, dict(fields), merge=True)

    async def _change_payload(self, point_id: str, payload: dict[str, Any], *, merge: bool) -> None:
        async def write(target: Target) -> None:
            await self.access.engine.set_payload(target.collection, point_id, payload, merge=merge)

        await self.access.write(write)

    async def query(
        self,
        vectors: NDArray[np.float32],
        kind: str,
        *,
        model_digest: str,
        among: Collection[str] = (),
        threshold: float,
        limit: int,
    ) -> list[list[tuple[dict[str, Any], float]]]:
        """Return payload and cosine similarity of the nearest points of a kind to each vector.

        Args:
            vectors: Shape (n, d), unit length.
            kind: Of vectors.
            model_digest: Of the pack that made them.
            among: Ids of the points to compare with; empty for all.
            threshold: Least cosine similarity, in [-1, 1].
            limit: Most points a vector.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
            InvalidArgumentError: The model's templates have another size.
        """

        async def read(target: Target) -> list[list[tuple[dict[str, Any], float]]]:
            if among and not self.access.engine.server:
                found = await self.access.points(target, list(among))
                return nearest(vectors, held(found, target), threshold=threshold, limit=limit)
            requests = [
                models.QueryRequest(
                    query=vector.tolist(),
                    using=kind,
                    filter=_with_ids(among) if among else None,
                    limit=limit,
                    score_threshold=threshold,
                    # The local mode does nothing else.
                    params=collections.EXACT if self.access.engine.server else None,
                    with_payload=True,
                )
                for vector in keying.keyed(vectors, target.matrix)
            ]
            return [
                [(point.payload or {}, point.score) for point in answer.points]
                for first in range(0, len(requests), QUERY_BATCH)
                for answer in await self.access.engine.run(
                    self.access.engine.client.query_batch_points,
                    target.collection,
                    requests=requests[first : first + QUERY_BATCH],
                )
            ]

        return await self.access.read(read, of=(model_digest, vectors.shape[1]))

    async def existing(self, point_ids: Collection[str]) -> frozenset[str]:
        """Return which of the points are there."""
        names = list(point_ids)

        async def read(target: Target) -> frozenset[str]:
            return await self.access.engine.existing(target.collection, names)

        return await self.access.read(read) if names else frozenset()

    async def retrieve(
        self, point_ids: Collection[str], *, of: tuple[str, int] | None = None
    ) -> dict[str, HeldPoint]:
        """Return those of the points that are there, by id.

        Args:
            point_ids: Of the points.
            of: Digest and size of templates to compare them with.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
        """

        async def read(target: Target) -> dict[str, HeldPoint]:
            return held(await self.access.points(target, list(point_ids)), target)

        return await self.access.read(read, of=of) if point_ids else {}

    async def scroll(self, where: models.Filter | None = None) -> list[dict[str, Any]]:
        """Return the payloads of all points that fit."""

        async def read(target: Target) -> list[dict[str, Any]]:
            return [
                point.payload or {}
                async for points in self.access.pages(target, where, size=SCROLL_BATCH)
                for point in points
            ]

        return await self.access.read(read)

    async def page(
        self,
        where: models.Filter | None,
        *,
        size: int,
        order: models.OrderBy | None = None,
        start: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the payloads of the first points that fit.

        Args:
            where: Which points.
            size: How many at most.
            order: By a field; None for the order of their ids.
            start: Least id, where `order` is None.
        """

        async def read(target: Target) -> list[dict[str, Any]]:
            points = await self.access.engine.page(
                target.collection, where, size=size, order=order, start=start
            )
            return [point.payload or {} for point in points]

        return await self.access.read(read)

    async def delete(self, which: Sequence[str] | PointsOfSubjects) -> tuple[str, ...]:
        """Remove points by id, or those of subjects.

        Returns:
            The collections whose files may hold their bytes until `rebuild` has replaced them.
        """

        async def write(target: Target) -> None:
            await self.access.engine.delete(target.collection, which)

        # First: what breaks off now is made up for by a rebuild.
        await self.access.register.change(register.with_erasure)
        return await self.access.write(write)

    async def count(self, where: models.Filter | None = None) -> int:
        """Return how many points fit."""

        async def read(target: Target) -> int:
            return await self.access.engine.count(target.collection, where)

        return await self.access.read(read)

    async def count_kind(self, kind: str) -> int:
        """Return how many points have a vector of a kind."""
        having = models.Filter(must=[models.HasVectorCondition(has_vector=kind)])

        async def read(target: Target) -> int:
            answer = await self.access.engine.run(
                self.access.engine.client.count, target.collection, count_filter=having, exact=True
            )
            return answer.count

        return await self.access.read(read)

    async def values(self, path: str) -> frozenset[str]:
        """Return the values of an indexed field of words; of a server, `MOST_VALUES` at most."""

        async def read(target: Target) -> frozenset[str]:
            return await self.access.engine.values(target.collection, path)

        return await self.access.read(read)

    async def kinds_of(self, subject_id: str) -> list[str]:
        """Return of which kinds the vectors of a subject's points are, one entry a point."""

        async def read(target: Target) -> list[str]:
            points = await self.access.points_of(target, PointsOfSubjects([subject_id]))
            return [kind_of(point) for point in points]

        return await self.access.read(read)

    async def edition(self) -> tuple[str, int]:
        """Return a name of what is in use, and how many points it has.

        It has another name once it was exchanged, or made anew because the engine had lost it.
        """
        record = (await self.access.collections.open()).record
        return f"{record.collection}/{record.made}", await self.count()

    async def holds_erased(self) -> bool:
        """Tell whether files may hold bytes of what was removed, so that a rebuild is due."""
        return bool(await self.unclean())

    async def unclean(self) -> tuple[str, ...]:
        """Return the collections whose files may hold bytes of what was removed."""
        record = (await self.access.collections.open()).record
        return (*([record.collection] if record.rebuild_due else []), *record.retired)

    async def retired(self) -> tuple[str, ...]:
        """Return the collections that were replaced and are not known to be gone."""
        return (await self.access.collections.open()).record.retired

    async def unknown(self) -> tuple[str, ...]:
        """Return the collections that are named like this one's and that no record names.

        Names are never used twice, and are in the record before there is a collection of them.
        """
        answer = await self.access.engine.run(self.access.engine.client.get_collections)
        held = await self.access.register.get()  # afterwards: see above
        named = held[0].names if held else ()
        return tuple(
            sorted(
                one.name
                for one in answer.collections
                if register.is_name(one.name, of=self.access.layout.name) and one.name not in named
            )
        )

    async def remains(self, collection: str) -> str:
        """Return why a collection may have files still; empty when it has none, on no node."""
        record = (await self.access.collections.open()).record
        if collection in (record.collection, *record.retired):
            return NOT_REBUILT
        if await self.access.engine.run(self.access.engine.client.collection_exists, collection):
            return NOT_REBUILT
        return await self.access.engine.run(cluster.doubt, self.access.engine.client, collection)

    async def start_over(self, model: ModelInfo) -> None:
        """Use an empty collection of another model from now on.

        If it is of that model already, all stays as it is. The old one goes with the next rebuild.
        """
        made = register.new_name(self.access.layout.name)
        await self.access.register.change(partial(register.with_fresh, made, model))

    async def rebuild(self, proceed: Proceed, *, model: ModelInfo | None = None) -> bool:
        """Copy all points into a collection under a new key, use that, and drop the old one.

        Args:
            proceed: Asked before each batch; False ends this, to be begun anew later.
            model: Another model to pin it to; points are left without their vectors then.

        Returns:
            Whether it is done.
        """
        return await rebuild(self.access, proceed, model=model)


def _with_ids(point_ids: Collection[str]) -> models.Filter:
    return models.Filter(must=[models.HasIdCondition(has_id=sorted(point_ids))])


def _same_vectors(some: Mapping[str, HeldPoint], others: Mapping[str, HeldPoint]) -> bool:
    return some.keys() == others.keys() and all(
        np.array_equal(some[name].vector, others[name].vector)  # type: ignore[arg-type]  # or None
        for name in some
    )
