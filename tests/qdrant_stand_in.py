"""A Qdrant server's REST interface in this process, over the local mode, for tests.

It answers with the statuses and bodies of a server (src/actix and lib/collection of Qdrant 1.19),
and differs from the local mode where a server does: what is not asked for exactly loses matches, as
a graph of many points does; a strict mode refuses filters without an index; it limits the size and
the rate of requests, and who may make them. What it says of speed is nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from local_qdrant import OPERATIONS, plain, refusal, route_of
from qdrant_client import QdrantClient

Answer = Callable[[httpx.Request], httpx.Response | None]

MAX_REQUEST_BYTES = 32 * 1024 * 1024
"""A server's default."""


class QdrantStandIn:
    """A server to be called through `client`.

    Args:
        strict: Whether its strict mode is on, as far as it forbids what has no index, and exactness
            where a collection does not allow it.
        api_key: That it asks for; None for none.

    Attributes:
        requests: Those that came, in their order: method, path and body.
        indexes: Fields with an index, by collection.
        before: Is asked before each request, and answers in its place unless it returns None.
        max_request_bytes: Larger ones are refused.
        limited: How many seconds each of the next requests is told to wait.
    """

    def __init__(self, *, strict: bool = False, api_key: str | None = None) -> None:
        self._store = QdrantClient(":memory:", force_disable_check_same_thread=True)
        self._strict = strict
        self._api_key = api_key
        self._exact_allowed: dict[str, bool] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.indexes: dict[str, set[str]] = defaultdict(set)
        self.before: Answer = lambda _: None
        self.max_request_bytes = MAX_REQUEST_BYTES
        self.limited: list[int] = []

    def client(self, *, api_key: str | None = None) -> QdrantClient:
        """Return a client of it."""
        return QdrantClient(
            url="https://qdrant.test:6333",
            api_key=api_key,
            check_compatibility=False,
            transport=httpx.MockTransport(self._answer),
        )

    def close(self) -> None:
        """Let the store go."""
        self._store.close()

    def paths(self, method: str, end: str) -> list[str]:
        """Return the paths of requests of a method whose path ends so."""
        return [path for by, path, _ in self.requests if by == method and path.endswith(end)]

    def lose(self, collection: str) -> None:
        """Lose a collection, as a server does that comes back without its disk."""
        self._store.delete_collection(collection)
        self.indexes.pop(collection, None)

    def collections(self) -> list[str]:
        """Return the names of the collections that are there."""
        return [one.name for one in self._store.get_collections().collections]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        path = request.url.path
        self.requests.append((request.method, path, body))
        refused = self.before(request) or self._refusal(request, path, body)
        if refused is not None:
            return refused
        route, name = route_of(request.method, path)
        needed = route[1].startswith("/collections/NAME") and route not in _MAY_BE_ABSENT
        if needed and not self._store.collection_exists(name):
            return _said(404, f"Not found: Collection `{name}` doesn't exist!")
        result = plain(OPERATIONS[route](self._store, name, body))
        if route == ("PUT", "/collections/NAME/index"):
            self.indexes[name].add(body["field_name"])
        if route == ("PUT", "/collections/NAME"):
            allowed = (body.get("strict_mode_config") or {}).get("search_allow_exact")
            self._exact_allowed[name] = bool(allowed)
        if route[1].endswith("/query/batch"):
            _approximate(result, body)
        return httpx.Response(200, json={"result": result, "status": "ok", "time": 0.0})

    def _refusal(self, request: httpx.Request, path: str, body: Any) -> httpx.Response | None:
        if self._api_key is not None and request.headers.get("api-key") != self._api_key:
            told = "Invalid API key or JWT" if "api-key" in request.headers else _NO_KEY
            return httpx.Response(401, text=told)
        if self.limited:
            return httpx.Response(
                429,
                headers={"Retry-After": str(self.limited.pop(0))},
                json=refusal("Rate limiting exceeded: Write rate limit exceeded"),
            )
        if len(request.content) > self.max_request_bytes:
            return _said(
                400,
                f"JSON payload ({len(request.content)} bytes) is larger than allowed"
                f" (limit: {self.max_request_bytes} bytes).",
            )
        return self._against_strict_mode(path, body) if self._strict else None

    def _against_strict_mode(self, path: str, body: Any) -> httpx.Response | None:
        name = path.split("/")[2] if path.count("/") > 1 else ""
        for field in _filtered(body):
            if field not in self.indexes[name]:
                return _said(
                    400,
                    f'Bad request: Index required but not found for "{field}" of one of the'
                    " following types: [keyword]. Help: Create an index for this key or use a"
                    " different filter.",
                )
        if any(_exact(body)) and not self._exact_allowed.get(name, False):
            return _said(400, "Bad request: Exact search disabled! Help: Set exact=false.")
        return None


_NO_KEY = "Must provide an API key or an Authorization bearer token"

_MAY_BE_ABSENT = {
    ("PUT", "/collections/NAME"),
    ("DELETE", "/collections/NAME"),
    ("GET", "/collections/NAME/exists"),
}


def _said(status: int, words: str) -> httpx.Response:
    return httpx.Response(status, json=refusal(words))


def _filtered(body: Any) -> Iterator[str]:
    """Yield the fields that a request filters by."""
    if isinstance(body, dict):
        filters = "match" in body or "range" in body
        if "key" in body and (filters or "limit" in body):  # or asks for the values of the field
            yield body["key"]
        for value in body.values():
            yield from _filtered(value)
    if isinstance(body, list):
        for value in body:
            yield from _filtered(value)


def _exact(body: Any) -> Iterator[bool]:
    if isinstance(body, dict):
        yield bool(body.get("exact"))
        for each in body.get("searches", ()):
            yield bool((each.get("params") or {}).get("exact"))


def _approximate(result: Any, body: Any) -> None:
    """Lose the nearest match of each search that was not to be exact."""
    for answer, asked in zip(result, body["searches"], strict=True):
        if not (asked.get("params") or {}).get("exact"):
            del answer["points"][:1]
