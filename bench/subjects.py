"""What one subject costs among many: enrolling, searching and listing, in Qdrant's local mode.

    python bench/subjects.py [--people 5000]

CPU time of the process, so that what else runs here does not count. NATS is one in memory: requests
to it are counted. Nothing here says how fast a Qdrant server is.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeward.core import policies
from homeward.core.policy import read_policy, write_policy
from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.memory import InMemorySightingFeed
from homeward.matching.adapters.qdrant import (
    SIGHTING_LAYOUT,
    SUBJECT_LAYOUT,
    QdrantSightingIndex,
    QdrantSubjectIndex,
)
from homeward.matching.adapters.sighting_ledger import KeyValueSightingLedger
from homeward.matching.adapters.subject_records import KeyValueSubjectRecords
from homeward.matching.composition import Choices, Stores, compose
from homeward.matching.gallery.model import Box, ModelInfo, PhotoAnalysis, Template
from homeward.matching.gallery.ports import Reference
from homeward.matching.gallery.rebuild import WRITTEN_AT_ONCE
from homeward.matching.subjects.model import (
    AgeGroup,
    ReferencePhoto,
    Subject,
    SubjectDetails,
    SubjectState,
)
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.lifecycle import LifecycleSpan
from homeward.servicekit.objects import InMemoryObjectStore

SIZE, PHOTOS, TIMES = 128, 2, 20
MODEL = ModelInfo("bench", "m" * 64, SIZE)


class CountedStore(InMemoryKeyValueStore):
    """Counts the records that are read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[str] = Counter()

    async def entries(self, pattern: str = ">", *, since: int = 0) -> list[Any]:
        """Return records, and count them."""
        found = await super().entries(pattern, since=since)
        self.read["records"] += len(found)
        return found


class Faces:
    """An embedding service that answers at once: a photograph is the seed of its template."""

    async def analyze(self, photo: bytes) -> PhotoAnalysis:
        """Judge a photograph."""
        return PhotoAnalysis((), Box(0, 0, 1, 1), 1.0, Template(face(int(photo)), MODEL.digest))

    async def model(self) -> ModelInfo:
        """Name the model pack."""
        return MODEL


class Buckets:
    """Buckets that forget."""

    async def deviations(self) -> list[str]:
        """Return nothing."""
        return []

    async def remove_old_versions(self) -> int:
        """Remove nothing."""
        return 0

    async def encryption(self) -> dict[str, str]:
        """Return nothing."""
        return {}

    async def lifecycle(self) -> LifecycleSpan:
        """Return a span."""
        return LifecycleSpan("pending/", 29, 29)

    async def keep_rules(self) -> None:
        """Do nothing."""


def face(seed: int) -> NDArray[np.float32]:
    """Return a template."""
    values = np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32)
    return values / np.linalg.norm(values)


def policy() -> bytes:
    """Return a policy that was measured with the pack."""
    shipped = read_policy(policies.shipped()[0])
    return write_policy(
        replace(shipped, policy_id="bench/1", model_name=MODEL.name, model_digest=MODEL.digest)
    )


def named(number: int, kind: int = 8) -> str:
    """Return the id of a subject, or of a photograph."""
    return f"{number:08x}-0000-4000-{kind}000-{number:012d}"


async def costs(what: str, call: Callable[[int], Awaitable[object]], store: CountedStore) -> None:
    """Print what a call costs."""
    store.read.clear()
    began = time.process_time()
    for number in range(TIMES):
        await call(number)
    spent = 1e3 * (time.process_time() - began) / TIMES
    print(f"{what}: {spent:.1f} ms CPU, {store.read['records'] / TIMES:.1f} records read")


async def measure(engine: QdrantEngine, people: int) -> None:
    """Enrol many in one go, then measure with one more."""
    clock, store, register = SystemClock(), CountedStore(), InMemoryKeyValueStore()
    accesses = [
        CollectionAccess(engine, layout, register, bytes(range(32)), Faces().model)
        for layout in (SUBJECT_LAYOUT, SIGHTING_LAYOUT)
    ]
    gallery = QdrantSubjectIndex(KeyedCollection(accesses[0]))
    stores = Stores(
        records=KeyValueSubjectRecords(store),
        ledger=KeyValueSightingLedger(InMemoryKeyValueStore()),
        erasures=InMemoryKeyValueStore(),
        leases=InMemoryKeyValueStore(),
        review_leases=InMemoryKeyValueStore(),
        approvals=InMemoryKeyValueStore(),
        photos=InMemoryObjectStore(),
        evidence=InMemoryObjectStore(),
        buckets=Buckets(),
        faces=Faces(),
        gallery=gallery,
        index=QdrantSightingIndex(KeyedCollection(accesses[1])),
        feed=InMemorySightingFeed(),
    )
    use_cases = compose(stores, Choices(shipped=[policy()], evaluation=True), clock)
    now = clock.now()
    until = now + timedelta(days=30)
    references = []
    for number in range(people):
        stated = SubjectDetails(f"MP-{number}", "", AgeGroup.ADULT, "vital interests", "DI", until)
        photos = [named(number * PHOTOS + one, 9) for one in range(PHOTOS)]
        listed = tuple(ReferencePhoto(photo, Box(0, 0, 1, 1), 1.0, now) for photo in photos)
        record = Subject(named(number), SubjectState.OPEN, now, now, stated, listed)
        await stores.records.create(record)
        references += [
            Reference(named(number), photo, Template(face(int(photo[-12:])), MODEL.digest))
            for photo in photos
        ]
    for first in range(0, len(references), WRITTEN_AT_ONCE):
        await gallery.put_all(references[first : first + WRITTEN_AT_ONCE])
    await use_cases.completeness.require(())
    probes = np.stack([face(number) for number in range(8)])

    async def search(*subject_ids: str) -> object:
        return await gallery.search(
            probes, model_digest=MODEL.digest, subject_ids=subject_ids, threshold=0.4, limit=5
        )

    async def enrol(number: int) -> None:
        stated = SubjectDetails(f"N-{number}", "", AgeGroup.ADULT, "vital interests", "DI", until)
        created, _ = await use_cases.enrolment.create(stated, request_id="")
        await use_cases.enrolment.add_photo(
            created.value.subject_id, b"%d" % (10**6 + number), only_without_warnings=False
        )

    await costs("a search of 8 probes among all", lambda _: search(), store)
    await costs("a search of 8 probes for one subject", lambda _: search(named(7)), store)
    await costs("enrolling a subject with a photograph", enrol, store)
    await costs(
        "an id by its beginning",
        lambda _: use_cases.subjects.find(show_closed=True, prefix=named(7)[:8]),
        store,
    )
    await costs(
        "a list of the subjects", lambda _: use_cases.subjects.find(show_closed=False), store
    )
    await use_cases.subject_sweep.sweep(grace=timedelta(days=7))
    await costs(
        "a sweep of the subjects",
        lambda _: use_cases.subject_sweep.sweep(grace=timedelta(days=7)),
        store,
    )


async def main(people: int) -> None:
    """Measure in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory() as name:
        async with BoundedExecutor("qdrant", workers=1, queue=1024) as threads:
            client = connect(url=None, path=Path(name))
            print(f"{people} subjects with {PHOTOS} photographs each")
            await measure(QdrantEngine(client, threads, "its local folder"), people)
            client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=5000)
    asyncio.run(main(parser.parse_args().people))
