"""Reading and writing the collections in use, whatever replaces them meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from qdrant_client import models

from homeward.matching.adapters.engine import QdrantEngine
from homeward.matching.adapters.opening import CollectionLayout, OpenCollections, Target
from homeward.matching.adapters.points import HeldPoint, held, kind_of
from homeward.matching.adapters.selection import PointsOfSubjects
from homeward.matching.gallery import pinning
from homeward.matching.gallery.model import ModelInfo, Template
from homeward.servicekit import errors
from homeward.servicekit.keyvalue import KeyValueStore

SCROLL_BATCH = 500

T = TypeVar("T")


class CollectionAccess:
    """Access to one kind of collection: `subjects` or `sightings`.

    What makes it safe that a collection is replaced while it is in use, with several replicas: a
    read looks first which collection is in use; a write goes to the one in use and to its
    successor, if there is one, and afterwards looks whether that was still so, or else is repeated.

    Args:
        engine: Qdrant.
        layout: Of the points.
        register: Holds the `CollectionRecord` under the layout's name.
        secret: The installation's gallery key.
        model: Asks for the model pack in use, when the collection is made, and to name it by in
            refusals.
    """

    def __init__(
        self,
        engine: QdrantEngine,
        layout: CollectionLayout,
        register: KeyValueStore,
        secret: bytes,
        model: Callable[[], Awaitable[ModelInfo]],
    ) -> None:
        self.engine = engine
        self.layout = layout
        self.collections = OpenCollections(engine, layout, register, secret, model)
        self.register = self.collections.register
        self._model = model

    async def points(self, target: Target, names: Sequence[str]) -> list[Any]:
        """Return those of the points that are there, with their vectors as they are stored."""
        return list(
            await self.engine.run(
                self.engine.client.retrieve, target.collection, ids=list(names), with_vectors=True
            )
        )

    async def points_of(self, target: Target, which: PointsOfSubjects) -> list[Any]:
        """Return the points of subjects, with their vectors as they are stored."""
        where = which.filter() if self.engine.server else which.of_any_kind()
        pages = self.pages(target, where, size=SCROLL_BATCH, with_vectors=True)
        points = [point async for page in pages for point in page]
        return [one for one in points if which.kind in ("", kind_of(one))]

    async def parts(self, target: Target, which: PointsOfSubjects) -> dict[str, HeldPoint]:
        """Return the points of subjects, with their vectors as they were before keying."""
        return held(await self.points_of(target, which), target)

    async def require(self, held_model: ModelInfo, digest: str, size: int | None = None) -> None:
        """Refuse templates of another model than the collection's."""
        if digest != held_model.digest:
            known = []
            with contextlib.suppress(errors.UnavailableError):  # it only gives a name
                known.append(await self._model())
            raise pinning.mismatch(self.layout.title, held_model, digest, known)
        if size is not None and size != held_model.template_size:
            raise errors.invalid_field(
                "template.values",
                f"has {size} numbers; templates of this model have {held_model.template_size}",
            )

    async def pages(
        self,
        target: Target,
        where: models.Filter | None,
        *,
        size: int,
        with_vectors: bool = False,
    ) -> AsyncGenerator[list[Any], None]:
        """Yield all points that fit, `size` at a time."""
        ids = await self.engine.ids_of(target.collection, where)
        if ids is not None:
            for first in range(0, len(ids), size):
                yield await self.engine.run(
                    self.engine.client.retrieve,
                    target.collection,
                    ids=ids[first : first + size],
                    with_vectors=with_vectors,
                )
            return
        offset: Any = None
        while True:
            points, offset = await self.engine.run(
                self.engine.client.scroll,
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

    async def read(
        self, call: Callable[[Target], Awaitable[T]], *, of: tuple[str, int] | None = None
    ) -> T:
        """Read the collection in use; `of` is digest and size of templates to compare with it."""
        while True:
            opened = await self.collections.open()
            if of is not None:
                await self.require(opened.record.model, *of)
            try:
                return await call(opened.current)
            except errors.UnavailableError:
                if (await self.collections.open()).revision == opened.revision:
                    self.collections.forget()  # it may be lost: the next call looks again
                    raise
                # It was replaced, and dropped, while it was read.

    async def write(
        self, call: Callable[[Target], Awaitable[None]], *, of: Template | None = None
    ) -> tuple[str, ...]:
        """Write to all collections that it concerns; return their names.

        `of` is a template that must be of the model of the one in use.
        """
        written: dict[str, None] = {}
        while True:
            opened = await self.collections.open()
            if of is not None:
                await self.require(opened.record.model, of.model_digest, of.values.size)
            try:
                for target in opened.targets:
                    await call(target)
                    written[target.collection] = None
            except errors.UnavailableError:
                if (await self.collections.open()).revision == opened.revision:
                    self.collections.forget()  # as in `read`
                    raise
                continue
            if (await self.collections.open()).revision == opened.revision:
                return tuple(written)
