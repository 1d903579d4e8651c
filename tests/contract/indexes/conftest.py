"""`SubjectIndex` and `SightingIndex`: the fakes and Qdrant, held to the same rules.

Qdrant is its local mode, a server's interface over it (`qdrant_stand_in`) and, where
`HOMEWARD_TEST_QDRANT` names its program, a server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from index_values import ENGINES, MODEL, Open, keyed_collection, qdrant_collection
from qdrant_stand_in import QdrantStandIn

from homeward.matching.adapters.engine import QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.memory import InMemorySightingIndex, InMemorySubjectIndex
from homeward.matching.adapters.qdrant import QdrantSightingIndex, QdrantSubjectIndex
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.sightings.ports import SightingIndex
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore, KeyValueStore


@pytest.fixture
def register() -> InMemoryKeyValueStore:
    return InMemoryKeyValueStore()


@pytest.fixture
def open_collection(tmp_path: Path, register: InMemoryKeyValueStore) -> Open:
    """Opens a collection, the same one again each time, as a restarted service does."""
    return lambda name: qdrant_collection(tmp_path, register, name)


@asynccontextmanager
async def opened(
    request: pytest.FixtureRequest, tmp_path: Path, register: KeyValueStore, name: str
) -> AsyncIterator[KeyedCollection | None]:
    """Open a collection on the engine that a fixture is for; None in memory."""
    if request.param == "memory":
        yield None
    elif request.param == "qdrant":
        async with qdrant_collection(tmp_path, register, name) as points:
            yield points
    else:
        async with BoundedExecutor("qdrant", workers=1, queue=64) as threads:
            stand_in = QdrantStandIn(strict=True)
            client = (
                connect(url=request.getfixturevalue("qdrant_url"), path=None)
                if request.param == "server"
                else stand_in.client()
            )
            engine = QdrantEngine(client, threads, "the server", server=True)
            yield keyed_collection(engine, register, name)
            client.close()
            stand_in.close()


@pytest.fixture(params=ENGINES)
async def subjects(
    request: pytest.FixtureRequest, tmp_path: Path, register: InMemoryKeyValueStore
) -> AsyncIterator[SubjectIndex]:
    async with opened(request, tmp_path, register, "subjects") as points:
        yield QdrantSubjectIndex(points) if points else InMemorySubjectIndex(MODEL)


@pytest.fixture(params=ENGINES)
async def sightings(
    request: pytest.FixtureRequest, tmp_path: Path, register: InMemoryKeyValueStore
) -> AsyncIterator[SightingIndex]:
    async with opened(request, tmp_path, register, "sightings") as points:
        yield QdrantSightingIndex(points) if points else InMemorySightingIndex(MODEL)
