"""Bytes under keys: one bucket of an object store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from homeward.servicekit.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object without its bytes."""

    key: str
    size: int
    modified: datetime


class ObjectStore(Protocol):
    """One bucket. All calls raise `UnavailableError` when the store does not answer."""

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Write an object, whatever was there."""

    async def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None."""

    async def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object, or None."""

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""

    async def objects(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects whose keys begin with `prefix`, in the order of their keys."""


class InMemoryObjectStore:
    """An `ObjectStore` of one process, for tests."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._objects: dict[str, tuple[bytes, datetime]] = {}

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:  # noqa: ARG002 - a fake serves no HTTP
        """Write an object, whatever was there."""
        self._objects[key] = (data, self._clock.now())

    async def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None."""
        held = self._objects.get(key)
        return held[0] if held else None

    async def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object, or None."""
        held = self._objects.get(key)
        return ObjectInfo(key, len(held[0]), held[1]) if held else None

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._objects.pop(key, None)

    async def objects(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects whose keys begin with `prefix`, in the order of their keys."""
        return [
            ObjectInfo(key, len(data), modified)
            for key, (data, modified) in sorted(self._objects.items())
            if key.startswith(prefix)
        ]
