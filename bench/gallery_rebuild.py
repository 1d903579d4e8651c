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
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.memory import (
    InMemorySightingFeed,
    InMemorySightingIndex,
    InMemorySubjectIndex,
)
from homeward.matching.adapters.qdrant import SUBJECT_KINDS, QdrantSubjectIndex
from homeward.matching.gallery.completeness import Completeness
from homeward.matching.gallery.model import Box, ModelInfo, PhotoAnalysis, Template
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.gallery.rebuild import GalleryRebuild
from homeward.matching.sightings.sightings import Sightings
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.model import AgeGroup, ReferencePhoto, SubjectDetails
from homeward.matching.subjects.subjects import Subjects
from homeward.servicekit import records
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
    clock, held, photos = SystemClock(), InMemoryKeyValueStore(), InMemoryObjectStore()
    sightings = Sightings(
        index=InMemorySightingIndex(MODEL.digest),
        ledger=InMemoryKeyValueStore(),
        evidence=InMemoryObjectStore(),
        feed=InMemorySightingFeed(),
        subject_is_open=lambda _: asyncio.sleep(0, result=True),
        clock=clock,
    )
    subjects = Subjects(
        subjects=held,
        photos=photos,
        gallery=gallery,
        sightings=sightings,
        certificates=Certificates(InMemoryKeyValueStore(), {}, clock),
        faces=Faces(),
        clock=clock,
        frees_after=None,
    )
    until = clock.now() + timedelta(days=30)
    stated = SubjectDetails("MP-1", "somebody", AgeGroup.ADULT, "vital interests", "DI", until)
    for number in range(people):
        subject, _ = await subjects.create(stated, request_id=str(number))
        name = subject.subject_id
        listed = ReferencePhoto(str(uuid.uuid4()), Box(0, 0, 1, 1), 1.0, clock.now())
        await held.put(f"open.{name}", records.encode(replace(subject, photos=(listed,))))
        await photos.put(f"subjects/{name}/{listed.photo_id}", b"%d" % number, content_type="")
    completeness = Completeness(subjects=held, gallery=gallery, clock=clock)
    rebuild = GalleryRebuild(
        subjects=subjects,
        gallery=gallery,
        completeness=completeness,
        services=[Faces()],
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
            points = KeyedCollection(
                QdrantEngine(client, threads, "its local folder"),
                name="subjects",
                kinds=SUBJECT_KINDS,
                register=InMemoryKeyValueStore(),
                secret=bytes(range(32)),
                model=Faces().model,
            )
            await measure(QdrantSubjectIndex(points), people)
            client.close()
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=5000)
    parser.add_argument("--fakes", action="store_true", help="without Qdrant")
    given = parser.parse_args()
    asyncio.run(main(given.people, fakes=given.fakes))
