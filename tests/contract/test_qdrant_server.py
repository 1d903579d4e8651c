"""What a Qdrant server does that its local mode does not: limits, refusals, losses, indexes."""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from local_qdrant import refusal
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models
from qdrant_stand_in import QdrantStandIn

from authority import Authority
from homeward.matching.adapters import engine as engine_module
from homeward.matching.adapters.access import CollectionAccess
from homeward.matching.adapters.engine import (
    LOCAL_BATCH,
    RATE_WAIT_SECONDS,
    SERVER_BATCH,
    QdrantEngine,
    connect,
)
from homeward.matching.adapters.keyed import QUERY_BATCH, KeyedCollection
from homeward.matching.adapters.qdrant import (
    SIGHTING_FIELDS,
    SUBJECT_FIELDS,
    SUBJECT_LAYOUT,
    QdrantSubjectIndex,
)
from homeward.matching.adapters.urls import shown, with_port
from homeward.matching.gallery.model import Candidate, ModelInfo, Template
from homeward.matching.gallery.ports import Reference
from homeward.servicekit.errors import Reason, UnavailableError
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

SIZE = 32
MODEL = "a" * 64
ADDRESS = "https://qdrant.test:6333"
ANNA = "00000000-0000-4000-8000-00000000000a"


def photo(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def person(number: int) -> str:
    return f"00000000-0000-4000-7000-{number:012d}"


def vector(seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).standard_normal(SIZE)
    return (values / np.linalg.norm(values)).astype(np.float32)


def reference(number: int, *, subject: str = ANNA) -> Reference:
    return Reference(subject, photo(number), Template(vector(number), MODEL))


async def the_model() -> ModelInfo:
    return ModelInfo("yunet-sface", MODEL, SIZE)


async def yes() -> bool:
    return True


def points_of(
    engine: QdrantEngine, register: InMemoryKeyValueStore, fields: Mapping[str, Any]
) -> KeyedCollection:
    layout = replace(SUBJECT_LAYOUT, indexed=fields)
    return KeyedCollection(CollectionAccess(engine, layout, register, bytes(range(32)), the_model))


async def found(index: QdrantSubjectIndex, *numbers: int) -> list[list[Candidate]]:
    return await index.search(
        np.stack([vector(number) for number in numbers]),
        model_digest=MODEL,
        subject_ids=(),
        threshold=0.9,
        limit=3,
    )


@pytest.fixture
async def threads() -> AsyncIterator[BoundedExecutor]:
    async with BoundedExecutor("qdrant", workers=1, queue=64) as executor:
        yield executor


@pytest.fixture
def server() -> Iterator[QdrantStandIn]:
    stand_in = QdrantStandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture
def register() -> InMemoryKeyValueStore:
    return InMemoryKeyValueStore()


@pytest.fixture
def engine(server: QdrantStandIn, threads: BoundedExecutor) -> Iterator[QdrantEngine]:
    client = server.client()
    yield QdrantEngine(client, threads, ADDRESS, server=True)
    client.close()


@pytest.fixture
def index(engine: QdrantEngine, register: InMemoryKeyValueStore) -> QdrantSubjectIndex:
    return QdrantSubjectIndex(points_of(engine, register, SUBJECT_FIELDS))


async def test_every_search_is_exact_whatever_a_server_would_quantize(
    index: QdrantSubjectIndex, server: QdrantStandIn
) -> None:
    await index.put(reference(1))

    ((candidate,),) = await found(index, 1)

    assert candidate.subject_id == ANNA
    (asked,) = [body for _, path, body in server.requests if path.endswith("/query/batch")]
    assert [one["params"] for one in asked["searches"]] == [
        {"exact": True, "quantization": {"ignore": True}}
    ]


async def test_a_collection_is_made_without_the_graph_that_no_search_uses(
    index: QdrantSubjectIndex, server: QdrantStandIn
) -> None:
    await index.count()

    (made,) = [
        body for method, path, body in server.requests if method == "PUT" and path.count("/") == 2
    ]
    assert made["hnsw_config"] == {"m": 0}


async def test_many_probes_are_searched_for_a_few_at_a_time(
    index: QdrantSubjectIndex, server: QdrantStandIn
) -> None:
    for number in range(3):
        await index.put(reference(number, subject=person(number)))

    answers = await found(index, *[number % 3 for number in range(QUERY_BATCH + 1)])

    sizes = [len(b["searches"]) for _, path, b in server.requests if path.endswith("/query/batch")]
    assert sizes == [QUERY_BATCH, 1]
    assert [one.subject_id for (one,) in answers] == [
        person(number % 3) for number in range(QUERY_BATCH + 1)
    ]


async def test_a_collection_of_an_earlier_version_gets_the_indexes_that_it_lacks(
    engine: QdrantEngine,
    server: QdrantStandIn,
    register: InMemoryKeyValueStore,
) -> None:
    await QdrantSubjectIndex(points_of(engine, register, {})).put(reference(1))
    assert server.indexes[server.collections()[0]] == set()

    await QdrantSubjectIndex(points_of(engine, register, SUBJECT_FIELDS)).count()

    assert server.indexes[server.collections()[0]] == set(SUBJECT_FIELDS)


async def test_indexes_are_asked_for_once_in_the_life_of_a_process(
    engine: QdrantEngine, server: QdrantStandIn, register: InMemoryKeyValueStore
) -> None:
    points = points_of(engine, register, SIGHTING_FIELDS)
    await points.count()
    await points.count()

    made = [body["field_name"] for _, path, body in server.requests if path.endswith("/index")]
    assert made == list(SIGHTING_FIELDS)


async def test_a_rebuild_copies_as_many_points_at_a_time_as_a_server_takes(
    index: QdrantSubjectIndex, server: QdrantStandIn
) -> None:
    assert SERVER_BATCH > 100 > LOCAL_BATCH
    for number in range(100):
        await index.put(reference(number, subject=person(number)))
    await index.remove_subject(person(0))
    server.requests.clear()

    assert await index.rebuild(yes)

    assert len(server.paths("PUT", "/points")) == 1
    assert await index.count() == 99


@pytest.mark.parametrize("status", [400, 500])
async def test_a_photograph_whose_enrolment_fails_leaves_nothing(
    index: QdrantSubjectIndex, server: QdrantStandIn, status: int
) -> None:
    await index.put(reference(1))

    def fails(request: httpx.Request) -> httpx.Response | None:
        mean = request.method == "PUT" and b'"photo_ids"' in request.content
        return httpx.Response(status, json=refusal("Service internal error")) if mean else None

    server.before = fails
    with pytest.raises(UnavailableError):
        await index.put(reference(2))
    server.before = lambda _: None

    assert await index.holding([photo(1), photo(2)]) == {photo(1)}
    assert await index.mend() == 0
    ((candidate,),) = await found(index, 1)
    assert candidate.photo_id == photo(1)


async def test_a_photograph_that_may_have_been_written_leaves_nothing(
    index: QdrantSubjectIndex, server: QdrantStandIn
) -> None:
    """As when the answer to the write is lost."""
    await index.count()
    lost = server.client()

    def answered_too_late(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT" and request.url.path.endswith("/points"):
            server.before = lambda _: None
            lost._client.openapi_client.client._client.send(request)  # type: ignore[attr-defined]
            raise httpx.ReadTimeout("timed out")
        return None

    server.before = answered_too_late
    with pytest.raises(UnavailableError):
        await index.put(reference(1))
    lost.close()

    assert await index.count() == 0


async def test_a_photograph_that_was_enrolled_before_stays_when_it_fails_to_be_replaced(
    index: QdrantSubjectIndex, server: QdrantStandIn
) -> None:
    await index.put(reference(1))
    server.before = lambda request: (
        httpx.Response(500, json=refusal("Service internal error"))
        if request.method == "PUT"
        else None
    )

    with pytest.raises(UnavailableError):
        await index.put(reference(1))
    server.before = lambda _: None

    assert await index.holding([photo(1)]) == {photo(1)}


async def test_a_collection_that_is_lost_is_told_and_looked_for_again(
    index: QdrantSubjectIndex, server: QdrantStandIn
) -> None:
    await index.put(reference(1))
    server.lose(server.collections()[0])

    with pytest.raises(UnavailableError, match="has lost a collection"):
        await found(index, 1)

    assert await found(index, 1) == [[]]


STRICT = 'Bad request: Limit exceeded 500 > 100 for "limit". Help: Reduce the "limit" parameter.'
LARGE = "JSON payload (40000000 bytes) is larger than allowed (limit: 33554432 bytes)."
NEVER = (
    "Rate limiting exceeded: Read rate limit exceeded, request larger than rate limiter capacity,"
    " please try to split your request"
)
FULL = "Service internal error: No space left on device"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(400, json=refusal("Wrong input: x")), "refuses a request as wrong (400)"),
        (httpx.Response(422, json=refusal("Validation error")), "refuses a request as wrong (422)"),
        (httpx.Response(400, json=refusal(STRICT)), 'Limit exceeded 500 > 100 for "limit"'),
        (httpx.Response(400, json=refusal(LARGE)), "for its size: raise its service.max_request"),
        (httpx.Response(413, text="<html>nginx</html>"), "for its size: raise its service.max_req"),
        (httpx.Response(401, text="Invalid API key or JWT"), "set HOMEWARD_QDRANT_API_KEY"),
        (httpx.Response(403, json=refusal("Forbidden: Global access")), "may manage collections"),
        (
            httpx.Response(404, json=refusal("Not found: Collection `s` doesn't exist!")),
            "has lost a collection of Homeward's",
        ),
        (httpx.Response(404, text="<html>no such page</html>"), "something else listens there"),
        (httpx.Response(408, json=refusal("Timeout: x")), "failed to do what it was asked for"),
        (httpx.Response(429, text="slow down"), "try again in a while: raise its rate limit"),
        (httpx.Response(429, json=refusal(NEVER)), "never takes it: raise the limit"),
        (
            httpx.Response(429, headers={"Retry-After": "Sat, 28 Nov 2026 23:00:00 GMT"}),
            "try again in a while: raise its rate limit",
        ),
        (httpx.Response(500, json=refusal(FULL)), "has no room left"),
        (httpx.Response(507, json=refusal("Insufficient storage: x")), "has no room left"),
        (httpx.Response(500, json=refusal("Service internal error: x")), "(500): see its log"),
        (httpx.Response(502, text="<html>bad gateway</html>"), "(502): see its log"),
        (httpx.Response(200, text="<html>welcome</html>"), "answers what Qdrant would not"),
        (httpx.Response(302, headers={"Location": "/"}), "something else listens there"),
    ],
)
async def test_each_refusal_says_what_it_is_and_what_to_do(
    engine: QdrantEngine, server: QdrantStandIn, answer: httpx.Response, words: str
) -> None:
    server.before = lambda _: answer

    with pytest.raises(UnavailableError) as refused:
        await engine.run(engine.client.get_collection, "s")

    assert refused.value.message.startswith(f"Qdrant at {ADDRESS} ")
    assert refused.value.advice
    assert words in str(refused.value)
    assert refused.value.reason is Reason.COMPONENT_UNAVAILABLE
    assert refused.value.metadata == {"component": "Qdrant", "address": ADDRESS}


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (httpx.ConnectError("refused"), f"does not answer at {ADDRESS}: start it, or correct"),
        (httpx.ConnectTimeout("late"), f"does not answer at {ADDRESS}: start it, or correct"),
        (httpx.ReadTimeout("late"), "no answer came within 5 s"),
        (httpx.RemoteProtocolError("not HTTP"), "ends the connection without an answer"),
    ],
)
async def test_no_answer_says_why_there_is_none(
    engine: QdrantEngine, server: QdrantStandIn, failure: Exception, words: str
) -> None:
    def fails(_: httpx.Request) -> None:
        raise failure

    server.before = fails

    with pytest.raises(UnavailableError) as refused:
        await engine.ping()

    assert words in str(refused.value)


def test_no_refusal_passes_on_what_was_sent() -> None:
    """A server names in its answer what it does not understand: it may be a vector or an id."""
    words = 'Format error in JSON body: invalid type: string "0.1234", expected f32'
    error = httpx.Response(400, json=refusal(words))

    told = engine_module.refusals.translated(
        engine_module.refusals.UnexpectedResponse.for_response(error), ADDRESS, timeout_seconds=5
    )

    assert "0.1234" not in told.message


async def test_a_key_that_is_wrong_or_missing_is_told(threads: BoundedExecutor) -> None:
    server = QdrantStandIn(api_key="right")
    messages = []
    for key in ("wrong", None):
        client = server.client(api_key=key)
        with pytest.raises(UnavailableError) as refused:
            await QdrantEngine(client, threads, ADDRESS, server=True).ping()
        messages.append(str(refused.value))
        client.close()
    server.close()

    refusal_of_keys = "refuses Homeward's key: set HOMEWARD_QDRANT_API_KEY to one that it knows"
    assert messages == [f"Qdrant at {ADDRESS} {refusal_of_keys}"] * 2


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the engine paused; it does not."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(engine_module.asyncio, "sleep", pause)
    return pauses


async def test_a_server_that_says_when_to_come_again_is_waited_for(
    index: QdrantSubjectIndex, server: QdrantStandIn, paused: list[float]
) -> None:
    await index.put(reference(1))
    server.limited = [1, 1]

    ((candidate,),) = await found(index, 1)

    assert candidate.subject_id == ANNA
    assert paused == [1, 1]


async def test_a_server_that_says_to_come_again_much_later_is_not_waited_for(
    engine: QdrantEngine, server: QdrantStandIn, paused: list[float]
) -> None:
    server.limited = [RATE_WAIT_SECONDS + 1]

    with pytest.raises(UnavailableError) as refused:
        await engine.ping()

    assert paused == []
    assert "limits how many requests it takes: try again in 4 s" in refused.value.message
    assert refused.value.retry_seconds == RATE_WAIT_SECONDS + 1


class Refusing(BaseHTTPRequestHandler):
    """Answers nothing that Qdrant would."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def https_port(tmp_path: Path) -> Iterator[int]:
    """Port of a server with a certificate for loopback, by an authority that nobody knows."""
    files = Authority().write(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


async def pinged(url: str, threads: BoundedExecutor) -> str:
    client = connect(url=url, path=None)
    with pytest.raises(UnavailableError) as refused:
        await QdrantEngine(client, threads, shown(url), server=True).ping()
    client.close()
    return str(refused.value)


async def test_a_certificate_that_is_not_trusted_is_told(
    https_port: int, threads: BoundedExecutor
) -> None:
    message = await pinged(f"https://127.0.0.1:{https_port}", threads)

    assert f"Qdrant at https://127.0.0.1:{https_port} shows a certificate that is not" in message
    assert "SSL_CERT_FILE" in message
    assert "certificate" in message.partition("(")[2].partition(")")[0]


async def test_a_certificate_of_an_authority_that_is_named_is_trusted(
    https_port: int, threads: BoundedExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "ca.crt"))

    message = await pinged(f"https://127.0.0.1:{https_port}", threads)

    assert "answers 404: something else listens there" in message


async def test_http_where_https_is_spoken_is_told(
    https_port: int, threads: BoundedExecutor
) -> None:
    message = await pinged(f"http://127.0.0.1:{https_port}", threads)

    assert "ends the connection without an answer" in message


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("https://qdrant.example", "https://qdrant.example:443"),
        ("https://qdrant.example:6333", "https://qdrant.example:6333"),
        ("https://qdrant.example/vectors", "https://qdrant.example:443/vectors"),
        ("http://qdrant", "http://qdrant:6333"),
        ("http://[::1]", "http://[::1]:6333"),
        ("http://qdrant:80", "http://qdrant:80"),
    ],
)
def test_a_url_without_a_port_means_that_of_https_or_qdrants_own(url: str, full: str) -> None:
    assert with_port(url) == full
    client = connect(url=url, path=None)
    assert client.init_options["url"] == full
    assert client._client.rest_uri == full  # type: ignore[attr-defined]
    client.close()


def test_an_address_is_shown_without_who_calls_it() -> None:
    assert shown("https://somebody:secret@qdrant.example") == "https://qdrant.example:443"


def test_the_stand_in_is_approximate_where_it_is_not_asked_to_be_exact() -> None:
    """Or the suites could not tell a search that is exact from one that is not."""
    server = QdrantStandIn()
    client: QdrantClient = server.client()
    params = models.VectorParams(size=2, distance=models.Distance.COSINE)
    client.create_collection("c", vectors_config={"v": params})
    client.upsert("c", points=[models.PointStruct(id=1, vector={"v": [1.0, 0.0]})])
    asked = [
        models.QueryRequest(query=[1.0, 0.0], using="v", params=models.SearchParams(exact=exact))
        for exact in (False, True)
    ]

    answers = client.query_batch_points("c", requests=asked)
    client.close()
    server.close()

    assert [len(answer.points) for answer in answers] == [0, 1]
