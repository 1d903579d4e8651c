"""What matching keeps things in, in one process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeward.matching.adapters.memory_feed import InMemorySightingFeed
from homeward.matching.adapters.memory_records import InMemorySightingLedger, InMemorySubjectRecords
from homeward.matching.composition import Stores
from homeward.servicekit.audit.acts import InMemoryActs
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.lifecycle import LifecycleSpan
from homeward.servicekit.objects import InMemoryObjectStore


class InMemoryBuckets:
    """The `Buckets` of two stores in memory.

    Attributes:
        problems: What keeps them from forgetting, besides what they say themselves.
    """

    def __init__(self, photos: InMemoryObjectStore, evidence: InMemoryObjectStore) -> None:
        self.problems: list[str] = []
        self._photos = photos
        self._evidence = evidence

    async def deviations(self) -> list[str]:
        stores = (self._photos, self._evidence)
        return [*self.problems, *[why for store in stores for why in await store.deviations()]]

    async def remove_old_versions(self) -> int:
        stores = (self._photos, self._evidence)
        return sum([await one.remove_old_versions() for one in stores])

    async def encryption(self) -> Mapping[str, str]:
        return {"photos": "", "stills": "AES256"}

    async def lifecycle(self) -> LifecycleSpan:
        return await self._evidence.lifecycle("pending/")

    async def keep_rules(self) -> None:
        await self._evidence.keep_rules()


def in_memory(**given: Any) -> Stores:
    """Return stores in memory, but for those given; `faces`, `gallery` and `index` must be."""
    photos = given.pop("photos", None) or InMemoryObjectStore()
    evidence = given.pop("evidence", None) or InMemoryObjectStore()
    made = {
        "records": InMemorySubjectRecords,
        "ledger": InMemorySightingLedger,
        "erasures": InMemoryKeyValueStore,
        "leases": InMemoryKeyValueStore,
        "review_leases": InMemoryKeyValueStore,
        "approvals": InMemoryKeyValueStore,
        "feed": InMemorySightingFeed,
        "acts": InMemoryActs,
        "buckets": lambda: InMemoryBuckets(photos, evidence),
    }
    missing = {name: make() for name, make in made.items() if name not in given}
    return Stores(photos=photos, evidence=evidence, **missing, **given)
