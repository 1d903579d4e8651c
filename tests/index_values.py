"""What the tests of indexes share: templates and sightings to index, and collections of Qdrant."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import qdrant_program
from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.qdrant import SIGHTING_LAYOUT, SUBJECT_LAYOUT
from homeward.matching.gallery.model import Candidate, ModelInfo, Template
from homeward.matching.gallery.ports import Reference, SubjectIndex
from homeward.matching.sightings.model import Sighting
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import KeyValueStore

SIZE = 32
MODEL = "a" * 64
OTHER_MODEL = "b" * 64
SECRET = bytes(range(32))
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ANNA, BEN = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def identity(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def person(number: int) -> str:
    """Return a subject's id, which comes before all photographs' in Qdrant's order."""
    return f"00000000-0000-4000-7000-{number:012d}"


def vector(seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).standard_normal(SIZE)
    return (values / np.linalg.norm(values)).astype(np.float32)


def at_cosine(cosine: float) -> NDArray[np.float32]:
    """Return a vector at this cosine similarity to the first axis."""
    values = np.zeros(SIZE, dtype=np.float32)
    values[0], values[1] = cosine, np.sqrt(1 - cosine**2)
    return values


def reference(
    values: NDArray[np.float32], *, subject: str = ANNA, photo: int = 1, model: str = MODEL
) -> Reference:
    return Reference(subject, identity(photo), Template(values, model))


def sighting(number: int, *, subject: str = ANNA, footage: str = "footage-1") -> Sighting:
    return Sighting(
        sighting_id=identity(number),
        subject_id=subject,
        photo_id=identity(1),
        footage_id=footage,
        camera_id="camera-1",
        scan_id=identity(900),
        start_time=NOON,
        end_time=NOON + timedelta(seconds=4),
        best_shot_time=NOON + timedelta(seconds=1, microseconds=40),
        start_offset=timedelta(0),
        end_offset=timedelta(seconds=4),
        best_shot_offset=timedelta(seconds=1, microseconds=40),
        score=0.625,
        best_shot_score=None,
        threshold=0.45,
        policy_id="yunet-sface/provisional-0.45",
        model_digest=MODEL,
        face_height_px=64.0,
        create_time=NOON,
        delete_time=NOON + timedelta(days=30),
    )


async def search(
    index: SubjectIndex,
    *probes: NDArray[np.float32],
    model: str = MODEL,
    subjects: frozenset[str] = frozenset(),
    threshold: float = -1.0,
    limit: int = 5,
) -> list[list[Candidate]]:
    return await index.search(
        np.stack(probes),
        model_digest=model,
        subject_ids=subjects,
        threshold=threshold,
        limit=limit,
    )


async def the_model() -> ModelInfo:
    return ModelInfo("yunet-sface", MODEL, SIZE)


def keyed_collection(
    engine: QdrantEngine, register: KeyValueStore, name: str = "subjects", secret: bytes = SECRET
) -> KeyedCollection:
    layout = {"subjects": SUBJECT_LAYOUT, "sightings": SIGHTING_LAYOUT}[name]
    return KeyedCollection(CollectionAccess(engine, layout, register, secret, the_model))


def replica_of(points: KeyedCollection) -> KeyedCollection:
    """Return the gallery as another replica of matching has it."""
    return keyed_collection(points.access.engine, points.access.register._store)


@asynccontextmanager
async def qdrant_collection(
    folder: Path, register: KeyValueStore, name: str, secret: bytes = SECRET
) -> AsyncIterator[KeyedCollection]:
    async with BoundedExecutor("qdrant", workers=1, queue=64) as threads:
        client = connect(url=None, path=folder)
        engine = QdrantEngine(client, threads, "its local folder")
        yield keyed_collection(engine, register, name, secret)
        client.close()


Open = Callable[[str], AbstractAsyncContextManager[KeyedCollection]]

ENGINES = ["memory", "qdrant", "stand-in", *(["server"] if qdrant_program.is_at_hand() else [])]


def cosine_of_mean(probe: NDArray[np.float32], *templates: NDArray[np.float32]) -> float:
    """Return how alike a probe is to the mean of templates, another way than the code does."""
    total = np.sum(templates, axis=0, dtype=np.float64)
    return float(probe @ total / np.sqrt(total @ total))


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def values_in(folder: Path, values: NDArray[np.float32]) -> int:
    """Return how many of the values are in the files, as float32 or float64 of either order."""
    stored = bytes_in(folder)
    written = [struct.pack(f, value) for f in ("<f", ">f", "<d", ">d") for value in values]
    return sum(value in stored for value in written)


async def yes() -> bool:
    return True


async def filled(index: SubjectIndex, people: int = 40) -> None:
    for number in range(people):
        await index.put(reference(vector(number), subject=person(number), photo=number))


async def found_of(index: SubjectIndex, people: int = 40) -> set[int]:
    """Return which of the people are found by their own template."""
    answers = await search(index, *(vector(n) for n in range(people)), threshold=0.99)
    return {n for n, answer in enumerate(answers) if [c.subject_id for c in answer] == [person(n)]}


NEXT = ModelInfo("next-pack", OTHER_MODEL, 24)
"""Another model, with templates of another size."""
