"""A store that is filled as uploads leave it, and counts what is asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.footage.layout import FootageLayout, pointer_key
from homeward.ingestion.footage.manifests import encode_manifest
from homeward.ingestion.footage.model import Footage
from homeward.servicekit.objects import Level, ObjectInfo

HOUR = timedelta(hours=1)


class CountingStore(InMemoryFootageStore):
    """Counts what is asked of it, by kind; an index by folder answers at once, as a store does."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock=clock, lifecycle_days=29)
        self.requests: Counter[str] = Counter()
        self.listed = 0
        """Objects that lists told of."""

    async def get(self, key: str) -> bytes | None:
        self.requests["get"] += 1
        return await super().get(key)

    async def stat(self, key: str) -> ObjectInfo | None:
        self.requests["stat"] += 1
        return await super().stat(key)

    async def objects(self, prefix: str) -> list[ObjectInfo]:
        self.requests["objects"] += 1
        found = await super().objects(prefix)
        self.listed += len(found)
        return found

    async def level(self, prefix: str) -> Level:
        return await self._by_list("level", lambda: super(CountingStore, self).level(prefix))

    async def objects_after(self, prefix: str, after: str, limit: int) -> list[ObjectInfo]:
        return await self._by_list(
            "objects", lambda: super(CountingStore, self).objects_after(prefix, after, limit)
        )

    async def _by_list(self, kind: str, call: Callable[[], Any]) -> Any:
        """Count a call as one of its kind; memory lists objects to answer it."""
        listed, objects = self.listed, self.requests["objects"]
        found = await call()
        self.listed, self.requests["objects"] = listed, objects
        self.requests[kind] += 1
        return found

    def restart(self) -> None:
        """Count from now on."""
        self.requests.clear()
        self.listed = 0


async def fill(
    store: InMemoryFootageStore,
    make: Any,
    *,
    cameras: int = 1,
    days: int = 1,
    hours: int = 24,
    length: float = 3600,
) -> list[Footage]:
    """Write recordings of so many cameras: in each of the first hours of so many days."""
    first = make.recorded.replace(hour=0)
    held = []
    for number in range(cameras):
        for hour in (hour for hour in range(days * 24) if hour % 24 < hours):
            header = make.header(
                f"{number} {hour}".encode(),
                camera_id=f"cam-{number:03d}",
                start_time=first + hour * HOUR,
            )
            held.append(replace(make.footage(length), footage_id=header.footage_id, header=header))
    for one in held:
        layout = FootageLayout(one.footage_id)
        await store.put(layout.file, b"", content_type="x/y")
        await store.put(layout.manifest, encode_manifest(one), content_type="x/y")
        await store.put(pointer_key(one.header.sha256), one.footage_id.encode(), content_type="x/y")
    return held
