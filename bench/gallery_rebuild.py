"""How long until a gallery that Qdrant has lost is whole again, and what looking at it costs.

    python bench/gallery_rebuild.py [--people 5000] [--fakes]

People with one photograph each, in Qdrant's local mode or in the fake. Photographs are judged by a
fake that answers at once: an embedding service takes as long for each as when it was enrolled.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import tempfile
import time
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.memory import InMemorySubjectIndex
from homeward.matching.adapters.qdrant import SUBJECT_LAYOUT, QdrantSubjectIndex
from homeward.matching.adapters.subject_records import KeyValueSubjectRecords
from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.model import Box, ModelInfo, PhotoAnalysis, Template
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.gallery.rebuild import GalleryRebuild
from homeward.matching.subjects.model import (
    AgeGroup,
    ReferencePhoto,
    Subject,
    SubjectDetails,
    SubjectState,
)
from homeward.matching.subjects.photos import SubjectPhotos, photo_key
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.lease import Lease
from homeward.servicekit.objects import InMemoryObjectStore

SIZE = 128
MODEL = ModelInfo("bench", "m" * 64, SIZE)


def face(photo: bytes) -> NDArray[np.float32]:
    """Return the template that is made of a photograph."""
    seed = int.from_bytes(hashlib.sha256(photo).digest()[:8])
    values = np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32)
    return values / np.linalg.norm(values)


class Faces:
    """An embedding service that answers at once."""

    async def analyze(self, photo: bytes) -> PhotoAnalysis:
        """Judge a photograph."""
        return PhotoAnalysis((), Box(0, 0, 1, 1), 1.0, Template(face(photo), MODEL.digest))

    async def model(self) -> ModelInfo:
        """Name the model pack."""
        return MODEL


async def measure(gallery: SubjectIndex, people: int) -> None:
    """List people whose templates the gallery has not, and have these made."""
    clock, photos = SystemClock(), InMemoryObjectStore()
    records = KeyValueSubjectRecords(InMemoryKeyValueStore())
    now = clock.now()
    until = now + timedelta(days=30)
    stated = SubjectDetails("MP-1", "somebody", AgeGroup.ADULT, "vital interests", "DI", until)
    for number in range(people):
        name = str(uuid.uuid4())
        listed = ReferencePhoto(str(uuid.uuid4()), Box(0, 0, 1, 1), 1.0, now)
        await records.create(Subject(name, SubjectState.OPEN, now, now, stated, (listed,)))
        await photos.put(photo_key(name, listed.photo_id), b"%d" % number, content_type="")
    enrolled = SubjectPhotos(records, photos)
    completeness = Completeness(enrolled=enrolled, gallery=gallery, clock=clock)
    rebuild = GalleryRebuild(
        enrolled=enrolled,
        gallery=gallery,
        completeness=completeness,
        faces=Faces(),
        lease=partial(Lease, InMemoryKeyValueStore(), "templates", "bench"),
    )
    await gallery.count()
    began, work = time.perf_counter(), time.process_time()
    async for told in rebuild.run(accept_lost=False):
        last = told
    print(
        f"{last.done} templates made: {time.perf_counter() - began:.1f} s,"
        f" {time.process_time() - work:.1f} s of a processor"
    )
    work = time.process_time()
    assert await completeness.lacking() == frozenset()
    print(f"a look whether it is whole: {time.process_time() - work:.2f} s of a processor")
    probes = np.stack([face(b"%d" % number) for number in range(8)])

    async def search() -> None:
        found = await gallery.search(
            probes, model_digest=MODEL.digest, subject_ids=(), threshold=0.9, limit=5
        )
        assert all(len(each) == 1 for each in found), "somebody is not found"

    for what, call in (("a search of 8 templates", search), ("its two checks", gallery.edition)):
        work = time.process_time()
        for _ in range(20):
            await call()
        print(f"{what}: {50 * (time.process_time() - work):.1f} ms of a processor")


async def main(people: int, *, fakes: bool) -> None:
    """Measure with one of the galleries."""
    if fakes:
        return await measure(InMemorySubjectIndex(MODEL.digest), people)
    with tempfile.TemporaryDirectory() as name:
        async with BoundedExecutor("qdrant", workers=1, queue=1024) as threads:
            client = connect(url=None, path=Path(name))
            access = CollectionAccess(
                QdrantEngine(client, threads, "its local folder"),
                SUBJECT_LAYOUT,
                InMemoryKeyValueStore(),
                bytes(range(32)),
                Faces().model,
            )
            await measure(QdrantSubjectIndex(KeyedCollection(access)), people)
            client.close()
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=5000)
    parser.add_argument("--fakes", action="store_true", help="without Qdrant")
    given = parser.parse_args()
    asyncio.run(main(given.people, fakes=given.fakes))
