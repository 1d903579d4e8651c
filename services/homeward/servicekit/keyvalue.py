"""Small records under keys, with revisions for safe concurrent edits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreMark:
    """The state of a store at one moment: another one after every write and every removal."""

    revision: int
    """Of the newest record that was ever written; 0 in a store that is new."""
    count: int
    """How many records are held, older ones that are being overwritten included."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it was read."""

    key: str
    value: bytes
    revision: int
    """Grows with every write; a write may be made conditional on it."""


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A value with the revision at which it was read, on which a write may be made conditional."""

    value: T
    revision: int
    """Grows with every write to the store; 0 of a record that does not exist yet."""

    @property
    def etag(self) -> str:
        """The revision as callers get it: another one after every write."""
        return str(self.revision)


class ConflictError(Exception):
    """A conditional write found another revision than it expected. Internal to use cases."""


class KeyValueStore(Protocol):
    """Records under keys of `.`-separated tokens. All calls raise `UnavailableError`."""

    async def get(self, key: str) -> Entry | None:
        """Return the record, or None."""

    async def create(self, key: str, value: bytes) -> int:
        """Write a record that must not exist, and return its revision.

        Raises:
            ConflictError: It exists.
        """

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Replace a record that must still have `revision`, and return the new revision.

        Raises:
            ConflictError: It was changed or removed.
        """

    async def put(self, key: str, value: bytes) -> int:
        """Write a record whatever was there, and return its revision."""

    async def erase(self, key: str, *, revision: int | None = None) -> bool:
        """Remove a record and overwrite its bytes; return whether there was one.

        Args:
            key: Names it.
            revision: What it must still have if it is there; None removes it whatever it has.

        Raises:
            ConflictError: It was changed; it is as whoever changed it has written it.
        """

    async def entries(self, pattern: str = ">", *, since: int = 0) -> list[Entry]:
        """Return the records whose keys match, in the order of their keys.

        Args:
            pattern: Tokens, `*` for any one token, `>` at the end for one or more.
            since: Only those that were written after this revision.
        """

    async def keys(self, pattern: str = ">") -> frozenset[str]:
        """Return the keys that match, without reading the records."""

    async def mark(self) -> StoreMark:
        """Return the state of the store, to see later whether anything has changed."""

    def watch(self, pattern: str = ">") -> AsyncGenerator[Entry | None, None]:
        """Yield the matching records as they are now, then None, then each write as it happens."""


async def edit(
    store: KeyValueStore, key: str, change: Callable[[bytes | None], Awaitable[bytes | None]]
) -> None:
    """Change one record; read it again and repeat the change if another writer came first.

    Args:
        store: Holds the record.
        key: Names it.
        change: Takes the record, or None where there is none, and returns the new one, or None to
            leave all as it is.
    """
    while True:
        entry = await store.get(key)
        value = await change(entry.value if entry else None)
        if value is None or (entry and entry.value == value):
            return
        try:
            if entry is None:
                await store.create(key, value)
            else:
                await store.update(key, value, revision=entry.revision)
        except ConflictError:
            continue
        return


class InMemoryKeyValueStore:
    """A `KeyValueStore` of one process, for tests."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._revision = 0
        self._watchers: list[tuple[str, asyncio.Queue[Entry | None]]] = []

    async def get(self, key: str) -> Entry | None:
        """Return the record, or None."""
        return self._entries.get(key)

    async def create(self, key: str, value: bytes) -> int:
        """Write a record that must not exist."""
        if key in self._entries:
            raise ConflictError(key)
        return await self.put(key, value)

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Replace a record that must still have `revision`."""
        entry = self._entries.get(key)
        if entry is None or entry.revision != revision:
            raise ConflictError(key)
        return await self.put(key, value)

    async def put(self, key: str, value: bytes) -> int:
        """Write a record whatever was there."""
        self._revision += 1
        entry = Entry(key, value, self._revision)
        self._entries[key] = entry
        for pattern, queue in self._watchers:
            if _matches(pattern, key):
                queue.put_nowait(entry)
        return self._revision

    async def erase(self, key: str, *, revision: int | None = None) -> bool:
        """Remove a record, if it still has `revision`; return whether there was one."""
        entry = self._entries.get(key)
        if entry is not None and revision is not None and entry.revision != revision:
            raise ConflictError(key)
        return self._entries.pop(key, None) is not None

    async def entries(self, pattern: str = ">", *, since: int = 0) -> list[Entry]:
        """Return the records whose keys match, in the order of their keys."""
        found = [self._entries[key] for key in sorted(self._entries) if _matches(pattern, key)]
        return [entry for entry in found if entry.revision > since]

    async def keys(self, pattern: str = ">") -> frozenset[str]:
        """Return the keys that match."""
        return frozenset(key for key in self._entries if _matches(pattern, key))

    async def mark(self) -> StoreMark:
        """Return the state of the store."""
        return StoreMark(self._revision, len(self._entries))

    async def watch(self, pattern: str = ">") -> AsyncGenerator[Entry | None, None]:
        """Yield the matching records, then None, then each write."""
        queue: asyncio.Queue[Entry | None] = asyncio.Queue()
        for entry in await self.entries(pattern):
            queue.put_nowait(entry)
        queue.put_nowait(None)
        watcher = (pattern, queue)
        self._watchers.append(watcher)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(watcher)


def _matches(pattern: str, key: str) -> bool:
    wanted, tokens = pattern.split("."), key.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(
        want in ("*", token) for want, token in zip(wanted, tokens, strict=True)
    )
