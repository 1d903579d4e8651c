"""What a Qdrant cluster says of a collection that was deleted, as its REST API says it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from qdrant_client.http.exceptions import UnexpectedResponse

from homeward.matching.adapters.cluster import doubt
from homeward.matching.adapters.engine import connect

GONE = "subjects-1"
STATUS = {
    "peer_id": 1,
    "raft_info": {
        "term": 1,
        "commit": 9,
        "pending_operations": 0,
        "leader": 1,
        "role": "Leader",
        "is_voter": True,
    },
    "consensus_thread_status": {
        "consensus_thread_status": "working",
        "last_update": "2026-03-04T12:00:00Z",
    },
    "message_send_failures": {},
}


def uri(number: int) -> str:
    return f"http://qdrant-{number}:6335/"


def peer(number: int, *, commit: int = 9, pending: int = 0) -> dict[str, Any]:
    details = {
        "version": "1.18.3",
        "role": "Follower",
        "is_voter": True,
        "term": 1,
        "commit": commit,
        "num_pending_operations": pending,
        "consensus_thread_status": STATUS["consensus_thread_status"],
    }
    return {"uri": uri(number), "responsive": True, "details": details}


def away(number: int) -> dict[str, Any]:
    return {"uri": uri(number), "responsive": False, "details": None}


@dataclass
class Server:
    """Answers as a node does."""

    port: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    telemetry: dict[str, Any] = field(default_factory=dict)
    code: int = 200

    def of(self, *peers: dict[str, Any], collections: tuple[str, ...] = ()) -> None:
        """Be one of three nodes, of which these are told of."""
        known = {str(number): {"uri": uri(number)} for number in (1, 2, 3)}
        self.status = {"status": "enabled", "peers": known, **STATUS}
        told = {str(number): each for number, each in enumerate(peers, start=1)}
        self.telemetry = {
            "collections": {name: {"id": name} for name in collections},
            "cluster": {"enabled": True, "number_of_peers": 3, "peers": told},
        }


@pytest.fixture
def server() -> Iterator[Server]:
    said = Server(status={"status": "disabled"})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_telemetry = self.path.startswith("/cluster/telemetry")
            result = said.telemetry if is_telemetry else said.status
            body = json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
            self.send_response(said.code if is_telemetry else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        said.port = http.server_port
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield said
        http.shutdown()
        thread.join()


def ask(server: Server) -> str:
    client = connect(url=f"http://127.0.0.1:{server.port}", path=None)
    try:
        return doubt(client, GONE)
    finally:
        client.close()


def test_of_one_node_nothing_more_is_asked(server: Server) -> None:
    assert ask(server) == ""


def test_a_collection_is_gone_when_every_node_answers_and_has_done_all(server: Server) -> None:
    server.of(peer(1), peer(2), peer(3), collections=("subjects-2",))

    assert ask(server) == ""


def test_a_node_that_does_not_answer_may_have_the_files(server: Server) -> None:
    server.of(peer(1), away(2), peer(3))

    assert ask(server).startswith(
        "1 of 3 nodes of the cluster do not answer (http://qdrant-2:6335/"
    )


def test_a_node_that_nothing_is_told_of_may_have_the_files(server: Server) -> None:
    server.of(peer(1), peer(2))

    assert ask(server).startswith("1 of 3 nodes of the cluster do not answer (3)")


def test_a_node_that_still_has_the_collection_is_told(server: Server) -> None:
    server.of(peer(1), peer(2), peer(3), collections=(GONE,))

    assert ask(server) == "a node of the cluster still has them"


@pytest.mark.parametrize("behind", [peer(2, commit=8), peer(2, pending=1)])
def test_a_node_that_has_not_done_all_may_have_the_files(
    server: Server, behind: dict[str, Any]
) -> None:
    server.of(peer(1), behind, peer(3))

    assert ask(server) == "1 of 3 nodes of the cluster are not up to date yet"


@pytest.mark.parametrize(("code", "words"), [(404, "this version"), (403, "Homeward's key")])
def test_a_cluster_that_cannot_be_asked_is_told(server: Server, code: int, words: str) -> None:
    server.of(peer(1), peer(2), peer(3))
    server.code = code

    assert ask(server).startswith(words)


def test_a_cluster_that_fails_is_an_error(server: Server) -> None:
    server.of(peer(1), peer(2), peer(3))
    server.code = 500

    with pytest.raises(UnexpectedResponse):
        ask(server)
