"""What a gallery on a Qdrant server takes, and whether its searches find everybody.

    python bench/qdrant_server.py URL [--people 100000] [--size 128] [--grpc-port PORT]

Fills an empty server with random people of one photograph each, as a rebuild of the gallery does,
and compares its searches with numpy's. With a port of its gRPC interface, the same searches are
asked for there as well, without Homeward's code.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.collections import EXACT
from homeward.matching.adapters.engine import SERVER_BATCH, QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.qdrant import SUBJECT, SUBJECT_LAYOUT
from homeward.matching.adapters.qdrant import QdrantSubjectIndex as Gallery
from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.gallery.ports import Reference
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

Vectors = NDArray[np.float32]

COSINES = (0.70, 0.55, 0.45)
SOUGHT = 600
"""People that are looked for at each of `COSINES`."""

LIMIT = 5
PROBES = (1, 8, 64)
ROUNDS = 20
DIGEST = "m" * 64


def normalized(vectors: NDArray[np.float64]) -> Vectors:
    """Return vectors of length 1."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def probes_at(cosine: float, templates: Vectors, rng: np.random.Generator) -> Vectors:
    """Return a probe at a cosine similarity to each template."""
    random = rng.standard_normal(templates.shape)
    random -= np.sum(random * templates, axis=1, keepdims=True) * templates
    return normalized(cosine * templates + np.sqrt(1 - cosine**2) * normalized(random))


async def median_ms(call: Callable[[], Awaitable[object]], rounds: int = ROUNDS) -> str:
    """Return how long a call takes: the median, and the longest."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        await call()
        took.append(1e3 * (time.perf_counter() - began))
    return f"{statistics.median(took):.1f} ms, longest {max(took):.1f} ms"


async def search(gallery: Gallery, probes: Vectors, threshold: float) -> list[list[str]]:
    """Return the subjects that are found for each probe."""
    found = await gallery.search(
        probes, model_digest=DIGEST, subject_ids=(), threshold=threshold, limit=LIMIT
    )
    return [[one.subject_id for one in each] for each in found]


async def fill(gallery: Gallery, names: list[str], templates: Vectors) -> None:
    """Enrol everybody."""
    began = time.perf_counter()
    for first in range(0, len(names), SERVER_BATCH):
        await gallery.put_all(
            [
                Reference(names[n], str(uuid.uuid4()), Template(templates[n], DIGEST))
                for n in range(first, min(first + SERVER_BATCH, len(names)))
            ]
        )
    print(f"{len(names)} people filled in: {time.perf_counter() - began:.1f} s")


async def compare(gallery: Gallery, names: list[str], templates: Vectors) -> None:
    """Print how many are found, and whether the lists are numpy's."""
    rng = np.random.default_rng(2)
    sought = rng.choice(len(names), min(SOUGHT, len(names)), replace=False)
    for cosine in COSINES:
        probes = probes_at(cosine, templates[sought], rng)
        lists = await search(gallery, probes, -1.0)
        nearest = np.argsort(-(probes @ templates.T), axis=1, kind="stable")[:, :LIMIT]
        expected = [[names[n] for n in row] for row in nearest]
        found = sum(names[n] in each for n, each in zip(sought, lists, strict=True))
        reachable = sum(names[n] in each for n, each in zip(sought, expected, strict=True))
        same = sum(ours == theirs for ours, theirs in zip(lists, expected, strict=True))
        print(
            f"at a cosine of {cosine}: {found} of {len(sought)} found, {reachable} by numpy;"
            f" {same} lists the same"
        )


async def time_transports(
    points: KeyedCollection, client: QdrantClient, grpc: QdrantClient, probes: Vectors
) -> None:
    """Print how long the request of a search takes on both of a server's interfaces."""
    collection = (await points._open()).current.collection  # noqa: SLF001 - to ask it past Homeward
    for number in PROBES:
        requests = [
            models.QueryRequest(
                query=probe.tolist(),
                using=SUBJECT,
                limit=LIMIT,
                score_threshold=0.4,
                params=EXACT,
                with_payload=True,
            )
            for probe in probes[:number]
        ]
        for name, asked in (("REST", client), ("gRPC", grpc)):

            async def ask(asked: QdrantClient = asked, requests: list = requests) -> None:
                await asyncio.to_thread(asked.query_batch_points, collection, requests=requests)

            await ask()
            print(f"{number} probes over {name}: {await median_ms(ask)}")


async def measure(url: str, people: int, size: int, grpc_port: int | None) -> None:
    """Fill, search, list, and rebuild."""
    model = ModelInfo("bench", DIGEST, size)
    templates = normalized(np.random.default_rng(1).standard_normal((people, size)))
    names = [str(uuid.uuid4()) for _ in range(people)]
    async with BoundedExecutor("qdrant", workers=8, queue=1024) as threads:
        client = connect(url=url, path=None)
        access = CollectionAccess(
            QdrantEngine(client, threads, url, server=True),
            SUBJECT_LAYOUT,
            InMemoryKeyValueStore(),
            bytes(range(32)),
            lambda: asyncio.sleep(0, model),
        )
        points = KeyedCollection(access)
        gallery = Gallery(points)
        await fill(gallery, names, templates)
        await compare(gallery, names, templates)
        probes = probes_at(0.7, templates[: max(PROBES)], np.random.default_rng(3))
        for number in PROBES:
            took = await median_ms(lambda n=number: search(gallery, probes[:n], 0.4))
            print(f"a search of {number} templates: {took}")
        took = await median_ms(
            lambda: gallery.put(
                Reference(names[0], str(uuid.uuid4()), Template(templates[0], DIGEST))
            )
        )
        print(f"an enrolment: {took}")
        print(f"the list of everybody: {await median_ms(gallery.contents, 3)}")
        if grpc_port:
            grpc = QdrantClient(
                url=url, grpc_port=grpc_port, prefer_grpc=True, check_compatibility=False
            )
            await time_transports(points, client, grpc, probes)
            grpc.close()
        await gallery.remove_subject(names[0])
        began = time.perf_counter()
        assert await gallery.rebuild(lambda: asyncio.sleep(0, result=True))
        print(f"moved under another key: {time.perf_counter() - began:.1f} s")
        client.delete_collection((await points._open()).current.collection)  # noqa: SLF001 - as above
        client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of a server's REST interface")
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=128, help="numbers of a template")
    parser.add_argument("--grpc-port", type=int, help="of the server's gRPC interface")
    given = parser.parse_args()
    asyncio.run(measure(given.url, given.people, given.size, given.grpc_port))
