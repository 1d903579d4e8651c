"""A Qdrant server itself, where `HOMEWARD_TEST_QDRANT` names its program: limits, and a cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import qdrant_program
from engines import running
from homeward.embedded.files import make_private_folder
from homeward.embedded.ports import address
from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.engine import RATE_WAIT_SECONDS, QdrantEngine, connect
from homeward.matching.adapters.keyed import KeyedCollection
from homeward.matching.adapters.qdrant import SUBJECT_LAYOUT, QdrantSubjectIndex
from homeward.matching.gallery.model import ModelInfo, Template
from homeward.matching.gallery.ports import Reference
from homeward.servicekit.errors import UnavailableError
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

SIZE = 32
MODEL = "a" * 64
NODES = 3
EVENTUALLY_SECONDS = 60.0
STRICT_MODE = "STORAGE__COLLECTION__STRICT_MODE"

Run = Callable[..., AbstractContextManager[str]]


def person(number: int) -> str:
    return f"00000000-0000-4000-7000-{number:012d}"


def vector(seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).standard_normal(SIZE)
    return (values / np.linalg.norm(values)).astype(np.float32)


def reference(number: int) -> Reference:
    photo = f"00000000-0000-4000-8000-{number:012d}"
    return Reference(person(number), photo, Template(vector(number), MODEL))


async def the_model() -> ModelInfo:
    return ModelInfo("yunet-sface", MODEL, SIZE)


async def yes() -> bool:
    return True


@asynccontextmanager
async def gallery_at(url: str) -> AsyncIterator[QdrantSubjectIndex]:
    async with BoundedExecutor("qdrant", workers=1, queue=64) as threads:
        client = connect(url=url, path=None)
        yield QdrantSubjectIndex(
            KeyedCollection(
                CollectionAccess(
                    QdrantEngine(client, threads, url, server=True),
                    SUBJECT_LAYOUT,
                    InMemoryKeyValueStore(),
                    bytes(range(32)),
                    the_model,
                )
            )
        )
        client.close()


async def enrol(index: QdrantSubjectIndex, number: int) -> None:
    for each in range(number):
        await index.put(reference(each))


async def found(index: QdrantSubjectIndex, *numbers: int) -> list[list[str]]:
    answers = await index.search(
        np.stack([vector(number) for number in numbers]),
        model_digest=MODEL,
        subject_ids=(),
        threshold=0.9,
        limit=3,
    )
    return [[one.subject_id for one in each] for each in answers]


@pytest.fixture
def run_qdrant(tmp_path: Path, ports: Mapping[str, int]) -> Run:
    """Runs a server with settings, and gives its URL."""

    @contextmanager
    def run(**settings: str) -> Iterator[str]:
        spec = qdrant_program.qdrant_spec(tmp_path, ports=ports, settings=settings)
        with running(spec, logs=tmp_path / "logs"):
            yield f"http://{address(ports['s3'])}"

    return run


async def test_a_server_that_is_asked_too_often_is_waited_for(run_qdrant: Run) -> None:
    # A write a second, and none in stock.
    with run_qdrant(**{f"{STRICT_MODE}__WRITE_RATE_LIMIT": "60"}) as url:
        async with gallery_at(url) as index:
            began = time.monotonic()
            await enrol(index, 40)
            took = time.monotonic() - began

            assert await found(index, 0, 39) == [[person(0)], [person(39)]]
            assert took > 1


async def test_a_server_that_will_not_be_asked_for_long_says_when(run_qdrant: Run) -> None:
    with run_qdrant(**{f"{STRICT_MODE}__WRITE_RATE_LIMIT": "6"}) as url:
        async with gallery_at(url) as index:
            with pytest.raises(UnavailableError) as refused:
                await enrol(index, 7)

    assert "limits how many requests it takes: try again in " in refused.value.message
    assert refused.value.retry_seconds is not None
    assert refused.value.retry_seconds > RATE_WAIT_SECONDS


class Cluster:
    """Three nodes on loopback, each with every template, as operators are told to run them."""

    def __init__(self, folder: Path, free: Iterable[int]) -> None:
        self._folder = folder
        free = iter(free)
        self._ports = [
            {name: next(free) for name in ("s3", "s3-grpc", "peers")} for _ in range(NODES)
        ]
        self._nodes: dict[int, ExitStack] = {}

    @property
    def url(self) -> str:
        return f"http://{address(self._ports[0]['s3'])}"

    def start(self, number: int) -> None:
        data, ports = make_private_folder(self._folder / str(number)), self._ports[number]
        uris = [f"http://{address(each['peers'])}" for each in self._ports]
        spec = qdrant_program.qdrant_spec(
            data,
            ports=ports,
            arguments=["--uri", uris[number], *(["--bootstrap", uris[0]] if number else [])],
            settings={
                "CLUSTER__ENABLED": "true",
                "CLUSTER__P2P__PORT": str(ports["peers"]),
                "STORAGE__COLLECTION__REPLICATION_FACTOR": str(NODES),
                "STORAGE__COLLECTION__WRITE_CONSISTENCY_FACTOR": "2",
            },
        )
        self._nodes[number] = ExitStack()
        self._nodes[number].enter_context(running(spec, logs=data / "logs"))

    def stop(self, number: int) -> None:
        self._nodes.pop(number).close()

    def close(self) -> None:
        for node in [*self._nodes]:
            self.stop(node)


@pytest.fixture
def cluster(
    run_qdrant: Run,  # noqa: ARG001 - where it can
    tmp_path: Path,
    ports: Mapping[str, int],
) -> Iterator[Cluster]:
    nodes = Cluster(tmp_path, ports.values())
    for number in range(NODES):
        nodes.start(number)
    yield nodes
    nodes.close()


async def remains_in_the_end(index: QdrantSubjectIndex, place: str) -> str:
    """Return why files may be there still, once they are gone or a time has passed."""
    ends = time.monotonic() + EVENTUALLY_SECONDS
    while (why := await index.remains(place)) and time.monotonic() < ends:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.2)
    return why


async def test_files_may_be_left_while_a_node_is_away_and_are_gone_when_it_is_back(
    cluster: Cluster,
) -> None:
    async with gallery_at(cluster.url) as index:
        await enrol(index, 5)
        cluster.stop(2)
        (place,) = (await index.remove_subject(person(0))).places
        assert await index.rebuild(yes)

        away = await index.remains(place)
        searched = await found(index, 0, 4)
        cluster.start(2)
        back = await remains_in_the_end(index, place)

    assert away.startswith("1 of 3 nodes of the cluster do not answer (http://127.0.0.1:")
    assert searched == [[], [person(4)]]
    assert back == ""


async def test_a_cluster_whose_nodes_are_all_there_has_no_files_after_a_rebuild(
    cluster: Cluster,
) -> None:
    async with gallery_at(cluster.url) as index:
        await index.put(reference(0))
        (place,) = (await index.remove_subject(person(0))).places
        assert await index.rebuild(yes)

        assert await remains_in_the_end(index, place) == ""
