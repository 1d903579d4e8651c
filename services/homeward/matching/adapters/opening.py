"""Opening the collections that are in use, which may be replaced at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from homeward.matching.adapters import collections
from homeward.matching.adapters.engine import QdrantEngine
from homeward.matching.gallery import keying
from homeward.matching.gallery.model import ModelInfo
from homeward.matching.gallery.register import (
    CollectionRecord,
    CollectionRegister,
    Successor,
    with_making,
)
from homeward.servicekit.keyvalue import KeyValueStore


@dataclass(frozen=True, slots=True)
class CollectionLayout:
    """What the points of a collection are like."""

    name: str
    """What it holds: `subjects` or `sightings`."""
    kinds: Sequence[str]
    """Of vectors; a point has one, of one kind, or none."""
    indexed: Mapping[str, models.PayloadSchemaType] = field(default_factory=dict)
    """Fields of the payload that points are filtered or ordered by."""
    title: str = "the gallery"
    """What refusals call it."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A collection, and the transform of what it holds."""

    collection: str
    salt: str
    matrix: NDArray[np.float64]
    model: ModelInfo


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """The collection in use and its successor, as a revision of the record names them."""

    record: CollectionRecord
    revision: int
    current: Target
    next: Target | None

    @property
    def targets(self) -> list[Target]:
        """Where writes go."""
        return [self.current, self.next] if self.next else [self.current]


class OpenCollections:
    """Opens what the record names, and makes a collection that is not there.

    Args:
        engine: Qdrant.
        layout: Of the points.
        register: Holds the record under the layout's name.
        secret: The installation's gallery key.
        model: Asks for the model pack in use, when the first collection is made.
    """

    def __init__(
        self,
        engine: QdrantEngine,
        layout: CollectionLayout,
        register: KeyValueStore,
        secret: bytes,
        model: Callable[[], Awaitable[ModelInfo]],
    ) -> None:
        self._engine = engine
        self._layout = layout
        self.register = CollectionRegister(register, layout.name)
        self._secret = secret
        self._model = model
        self._opened: Opened | None = None
        self._opening = asyncio.Lock()

    def forget(self) -> None:
        """Have the next call look again whether the collections are there."""
        self._opened = None

    async def open(self) -> Opened:
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
                following = await self._successor(record, record.next) if record.next else None
                now, present = await self._registered()
                if present == revision:
                    self._opened = Opened(record, revision, current, following)
                    return self._opened
                # Replaced meanwhile: one that was dropped, and is there again now, goes again.
                for target in filter(None, (current, following)):
                    if target.collection not in now.names:
                        await self.drop(target.collection)

    async def drop(self, collection: str) -> None:
        """Remove a collection with its files and snapshots, if it is there."""
        await self._engine.drop(collection)

    async def _registered(self) -> tuple[CollectionRecord, int]:
        held = await self.register.get()
        return held if held is not None else await self.register.create(await self._model())

    async def _successor(self, record: CollectionRecord, following: Successor) -> Target:
        model = following.model or record.model
        return await self._target(following.collection, following.salt, model)

    async def _target(self, collection: str, salt: str, model: ModelInfo) -> Target:
        for target in self._opened.targets if self._opened else ():
            if (target.collection, target.salt, target.model) == (collection, salt, model):
                return target  # the matrix takes a while
        size = model.template_size
        if not await self._engine.run(self._engine.client.collection_exists, collection):
            await self._engine.run(
                collections.create,
                self._engine.client,
                collection,
                kinds=self._layout.kinds,
                size=size,
            )
        await self._engine.index(collection, self._layout.indexed)
        matrix = keying.orthogonal_matrix(self._secret, salt=bytes.fromhex(salt), size=size)
        return Target(collection, salt, matrix, model)

    async def _is_missing(self, collection: str) -> bool:
        if self._opened and collection in [target.collection for target in self._opened.targets]:
            return False
        return not await self._engine.run(self._engine.client.collection_exists, collection)

    async def _note_making(self, collection: str) -> None:
        await self.register.change(lambda record: with_making(collection, record))
