"""Which collection is in use: the record of it, and how it changes.

Each change is of the record alone, so that a replica can write it by compare-and-set.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from homeward.matching.gallery.model import ModelInfo
from homeward.servicekit import records
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore, edit


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
    made: int = 0
    """How often the one in use was made, empty: again when an engine has lost it."""

    @property
    def model(self) -> ModelInfo:
        """Whose templates it holds."""
        return ModelInfo(self.model_name, self.model_digest, self.template_size)

    @property
    def names(self) -> tuple[str, ...]:
        """All collections that it names."""
        begun = (self.next.collection,) if self.next else ()
        return (self.collection, *begun, *self.retired)

    @property
    def rebuild_due(self) -> bool:
        """Whether files may hold bytes of what was removed, but for the retired ones'.

        A successor that is not in use is of a rebuild that broke off, and is begun anew.
        """
        return self.erased or self.next is not None


@dataclass(frozen=True, slots=True)
class Successor:
    """A collection that is being filled. Every write goes to it too, as far as it can."""

    collection: str
    salt: str
    erased: bool = False
    model: ModelInfo | None = None
    """Of its templates; None for the same as those of the collection in use."""


def new_name(name: str) -> Successor:
    """Return a successor of a name and salt that were never used."""
    return Successor(f"{name}-{secrets.token_hex(4)}", secrets.token_hex(32))


def is_name(collection: str, *, of: str) -> bool:
    """Tell whether a collection is named as `new_name` does."""
    return re.fullmatch(rf"{of}-[0-9a-f]{{8}}", collection) is not None


def with_making(collection: str, record: CollectionRecord) -> CollectionRecord:
    """Return the record once a collection is about to be made, if it is the one in use."""
    return replace(record, made=record.made + 1) if record.collection == collection else record


def with_erasure(record: CollectionRecord) -> CollectionRecord:
    """Return the record once something is removed from what it names."""
    following = replace(record.next, erased=True) if record.next else None
    return replace(record, erased=True, next=following)


def with_successor(made: Successor, record: CollectionRecord) -> CollectionRecord:
    """Return the record with another successor; one that was begun is not used any more."""
    begun = (record.next.collection,) if record.next else ()
    return replace(record, next=made, retired=(*record.retired, *begun))


def without_retired(dropped: Collection[str], record: CollectionRecord) -> CollectionRecord:
    """Return the record without collections that are gone; others may have come meanwhile."""
    left = (collection for collection in record.retired if collection not in dropped)
    return replace(record, retired=tuple(left))


def with_swap(filled: Successor, record: CollectionRecord) -> CollectionRecord:
    """Return the record once the successor is in use, unless another replica has begun another."""
    if record.next is None or record.next.collection != filled.collection:
        return record
    model = record.next.model or record.model
    return replace(
        record,
        collection=record.next.collection,
        salt=record.next.salt,
        model_name=model.name,
        model_digest=model.digest,
        template_size=model.template_size,
        erased=record.next.erased,
        next=None,
        retired=(*record.retired, record.collection),
    )


def with_fresh(made: Successor, model: ModelInfo, record: CollectionRecord) -> CollectionRecord:
    """Return the record with an empty collection of another model in use; of this one, as it is."""
    if record.model_digest == model.digest:
        return record
    begun = (record.next.collection,) if record.next else ()
    return replace(
        record,
        collection=made.collection,
        salt=made.salt,
        model_name=model.name,
        model_digest=model.digest,
        template_size=model.template_size,
        erased=False,
        next=None,
        retired=(*record.retired, *begun, record.collection),
    )


class CollectionRegister:
    """The record of the collection in use, under one name, shared by all replicas.

    Args:
        store: Holds the record.
        name: What the collection holds: `subjects` or `sightings`.
    """

    def __init__(self, store: KeyValueStore, name: str) -> None:
        self._store = store
        self._name = name

    @property
    def name(self) -> str:
        """What the collection holds."""
        return self._name

    async def get(self) -> tuple[CollectionRecord, int] | None:
        """Return the record and its revision; None before the first collection."""
        entry = await self._store.get(self._name)
        if entry is None:
            return None
        return records.decode(entry.value, CollectionRecord), entry.revision

    async def create(self, model: ModelInfo) -> tuple[CollectionRecord, int]:
        """Name the first collection, of a model; return what another replica has named before."""
        made = new_name(self._name)
        record = CollectionRecord(
            collection=made.collection,
            salt=made.salt,
            model_name=model.name,
            model_digest=model.digest,
            template_size=model.template_size,
        )
        try:
            return record, await self._store.create(self._name, records.encode(record))
        except ConflictError:  # another replica came first; its collection is used
            return await self.get() or await self.create(model)

    async def change(self, change: Callable[[CollectionRecord], CollectionRecord]) -> None:
        """Change the record, if there is one."""

        async def apply(value: bytes | None) -> bytes | None:
            if value is None:
                return None
            return records.encode(change(records.decode(value, CollectionRecord)))

        await edit(self._store, self._name, apply)
