"""How long until erased people have left the vector store's files, and what searches notice.

    python bench/purge.py

2,000 people with three photographs each in Qdrant's local mode; 200 are erased, then the rest is
moved under another key while searches go on. Counts the erased templates in the store's files
before and after.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.qdrant import SUBJECT_LAYOUT, QdrantSubjectIndex
from homeward.matching.gallery import keying
from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.gallery.ports import Reference
from homeward.matching.gallery.rebuild import WRITTEN_AT_ONCE
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

PEOPLE, PHOTOS, ERASED = 2000, 3, 200
SIZE = 128
FIRST, MODEL = ModelInfo("first", "f" * 64, SIZE), ModelInfo("bench", "m" * 64, SIZE)


def person(number: int) -> str:
    """Return somebody's id."""
    return f"00000000-0000-4000-8000-{number:012d}"


def photo(number: int) -> str:
    """Return the id of a photograph."""
    return f"00000000-0000-4000-9000-{number:012d}"


def held(folder: Path, vectors: np.ndarray) -> int:
    """Count the vectors whose first numbers are in the files, in 32 or 64 bits."""
    stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())

    def is_held(vector: np.ndarray) -> bool:
        # One value alone is now and then that of somebody else's template.
        values = [np.asarray(value, ">f8").tobytes() in stored for value in vector[:4]]
        return np.asarray(vector[:3], "<f4").tobytes() in stored or sum(values) >= 3  # noqa: PLR2004

    return sum(map(is_held, vectors))


async def model() -> ModelInfo:
    """Name the model that the empty gallery is of."""
    return FIRST


async def yes() -> bool:
    """Let it go on."""
    return True


async def measure(folder: Path) -> None:
    """Fill, erase, rebuild and count."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((PEOPLE * PHOTOS, SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    async with BoundedExecutor("qdrant", workers=1, queue=1024) as threads:
        client = connect(url=None, path=folder)
        access = CollectionAccess(
            QdrantEngine(client, threads, "its local folder"),
            SUBJECT_LAYOUT,
            InMemoryKeyValueStore(),
            bytes(range(32)),
            model,
        )
        points = KeyedCollection(access)
        index = QdrantSubjectIndex(points)
        began = time.perf_counter()
        await index.start_over(MODEL)
        references = [
            Reference(person(number // PHOTOS), photo(number), Template(vector, MODEL.digest))
            for number, vector in enumerate(vectors)
        ]
        for first in range(0, len(references), WRITTEN_AT_ONCE):
            await index.put_all(references[first : first + WRITTEN_AT_ONCE])
        await index.rebuild(yes)
        took = time.perf_counter() - began
        print(f"enrolled {PEOPLE} people, {len(vectors)} templates: {took:.1f} s")
        erased = vectors[: ERASED * PHOTOS]
        matrix = (await access.collections.open()).current.matrix
        before = keying.keyed(erased, matrix)
        print(f"erased templates in files, enrolled: {held(folder, before)} of {len(before)}")
        began = time.perf_counter()
        for number in range(ERASED):
            await index.remove_subject(person(number))
        print(f"erased {ERASED} people: {time.perf_counter() - began:.1f} s")
        print(f"erased templates in files, before the rebuild: {held(folder, before)}")
        probes = vectors[-8:]

        async def search() -> float:
            began = time.perf_counter()
            found = await index.search(
                probes, model_digest=MODEL.digest, subject_ids=(), threshold=0.38, limit=5
            )
            assert all(len(each) == 1 for each in found), "a search saw part of the gallery"
            return time.perf_counter() - began

        quiet = [await search() for _ in range(50)]
        began = time.perf_counter()
        rebuild = asyncio.create_task(index.rebuild(yes))
        busy = []
        while not rebuild.done():
            busy.append(await search())
            await asyncio.sleep(0.02)
        assert await rebuild
        print(
            f"rebuilt: {time.perf_counter() - began:.1f} s;  searches of 8 templates meanwhile:"
            f" {len(busy)}, median {1e3 * statistics.median(busy):.0f} ms,"
            f" longest {1e3 * max(busy):.0f} ms (quiet: {1e3 * statistics.median(quiet):.0f} ms)"
        )
        after = keying.keyed(erased, (await points._open()).current.matrix)  # noqa: SLF001 - what is stored
        print(
            f"erased templates in files, after: {held(folder, before)} under the old key,"
            f" {held(folder, after)} under the new one;  {await index.count()} templates left"
        )
        client.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure(Path(name)))
