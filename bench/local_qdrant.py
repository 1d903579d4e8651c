"""Qdrant's local mode behind as much of Qdrant's REST API as matching uses, for several processes.

    python bench/local_qdrant.py PORT FOLDER

No server of Qdrant's can be installed from a package registry, and its local mode takes one process
only. With this, two replicas of matching share a store, unchanged. It stands in for a server's
interface and not for a server: nothing measured on it says how Qdrant itself behaves.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models

Json = Any
"""Or models that `plain` makes it of."""
Operation = Callable[[QdrantClient, str, Json], Json]


def upsert(client: QdrantClient, name: str, body: Json) -> Json:
    """Write points."""
    return client.upsert(name, points=models.PointsList.model_validate(body).points)


def retrieve(client: QdrantClient, name: str, body: Json) -> Json:
    """Return points by their ids."""
    asked = models.PointRequest.model_validate(body)
    return client.retrieve(
        name, ids=asked.ids, with_payload=asked.with_payload, with_vectors=asked.with_vector
    )


def delete(client: QdrantClient, name: str, body: Json) -> Json:
    """Remove points by their ids or by a filter."""
    selector = TypeAdapter(models.PointsSelector).validate_python(body)
    return client.delete(name, points_selector=selector)


def overwrite(client: QdrantClient, name: str, body: Json) -> Json:
    """Replace payloads."""
    asked = models.SetPayload.model_validate(body)
    return client.overwrite_payload(
        name, payload=asked.payload, points=asked.points or asked.filter
    )


def merge(client: QdrantClient, name: str, body: Json) -> Json:
    """Set some fields of payloads."""
    asked = models.SetPayload.model_validate(body)
    return client.set_payload(name, payload=asked.payload, points=asked.points or asked.filter)


def query(client: QdrantClient, name: str, body: Json) -> Json:
    """Return the nearest points to each vector: the local mode knows no other way than exactly."""
    requests = models.QueryRequestBatch.model_validate(body).searches
    asked = [request.model_copy(update={"params": None}) for request in requests]
    return client.query_batch_points(name, requests=asked)


def count(client: QdrantClient, name: str, body: Json) -> Json:
    """Return how many points fit."""
    asked = models.CountRequest.model_validate(body)
    return client.count(name, count_filter=asked.filter, exact=bool(asked.exact))


def facet(client: QdrantClient, name: str, body: Json) -> Json:
    """Return the values of a field, with how many points have each."""
    asked = models.FacetRequest.model_validate(body)
    return client.facet(name, key=asked.key, limit=asked.limit or 10, exact=bool(asked.exact))


def scroll(client: QdrantClient, name: str, body: Json) -> Json:
    """Return a page of points."""
    asked = models.ScrollRequest.model_validate(body)
    points, offset = client.scroll(
        name,
        scroll_filter=asked.filter,
        limit=asked.limit or 10,
        order_by=asked.order_by,
        offset=asked.offset,
        with_payload=asked.with_payload if asked.with_payload is not None else True,
        with_vectors=asked.with_vector or False,
    )
    return {"points": points, "next_page_offset": offset}


def create(client: QdrantClient, name: str, body: Json) -> Json:
    """Make a collection."""
    vectors = TypeAdapter(models.VectorsConfig).validate_python(body["vectors"])
    return client.create_collection(name, vectors_config=vectors)


def index(client: QdrantClient, name: str, _: Json) -> Json:
    """Take the wish for an index, of which the local mode has none."""
    if not client.collection_exists(name):
        raise ValueError(f"Collection {name} not found")
    return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/cluster"): lambda _, __, ___: {"status": "disabled"},
    ("GET", "/collections"): lambda client, _, __: client.get_collections(),
    ("PUT", "/collections/NAME"): create,
    ("DELETE", "/collections/NAME"): lambda client, name, _: client.delete_collection(name),
    ("GET", "/collections/NAME/exists"): lambda client, name, _: {
        "exists": client.collection_exists(name)
    },
    ("GET", "/collections/NAME/snapshots"): lambda client, name, _: client.list_snapshots(name),
    ("PUT", "/collections/NAME/index"): index,
    ("PUT", "/collections/NAME/points"): upsert,
    ("POST", "/collections/NAME/points"): retrieve,
    ("POST", "/collections/NAME/points/delete"): delete,
    ("PUT", "/collections/NAME/points/payload"): overwrite,
    ("POST", "/collections/NAME/points/payload"): merge,
    ("POST", "/collections/NAME/points/query/batch"): query,
    ("POST", "/collections/NAME/points/count"): count,
    ("POST", "/collections/NAME/points/scroll"): scroll,
    ("POST", "/collections/NAME/facet"): facet,
}


def route_of(method: str, path: str) -> tuple[tuple[str, str], str]:
    """Return which of `OPERATIONS` a request asks for, and the name of the collection."""
    name = re.sub(r"^/collections/?([^/]*).*", r"\1", path)
    return (method, re.sub(r"^/collections/[^/]+", "/collections/NAME", path)), name


def refusal(words: str) -> Json:
    """Return the body with which a server refuses."""
    return {"status": {"error": words}, "time": 0.0}


def plain(value: Json) -> Json:
    """Return what JSON can hold of a model."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


class Handler(BaseHTTPRequestHandler):
    """Answers one request at a time of all: the local mode bears no two."""

    protocol_version = "HTTP/1.1"

    def __init__(self, client: QdrantClient, lock: threading.Lock, *args: object) -> None:
        self._client = client
        self._lock = lock
        super().__init__(*args)

    def do(self) -> None:
        """Run the operation that the path names."""
        route, name = route_of(self.command, self.path.partition("?")[0])
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            with self._lock:
                result = OPERATIONS[route](self._client, name, json.loads(raw) if raw else None)
            self._say(200, {"result": plain(result), "status": "ok", "time": 0.0})
        except ValueError:  # the local mode's word for a collection that is not there
            self._say(404, refusal(f"Not found: Collection `{name}` doesn't exist!"))

    do_GET = do_PUT = do_POST = do_DELETE = do  # noqa: N815 - http.server's names

    def _say(self, status: int, answer: Json) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until killed."""
    port, folder = int(sys.argv[1]), sys.argv[2]
    # SQLite's own check of threads is of no use where a lock admits one at a time.
    client = QdrantClient(path=folder, force_disable_check_same_thread=True)
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, client, threading.Lock()))
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
