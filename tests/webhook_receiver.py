"""A web server that takes events, as a case management system does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request that came."""

    headers: dict[str, str]
    body: bytes


class WebhookReceiver(ThreadingHTTPServer):
    """Takes every event, but for `statuses`, which come first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("localhost", 0), _Handler)
        self.statuses: list[int] = []
        self.answer_headers: dict[str, str] = {}
        self.offered: list[Received] = []
        self.taken: list[Received] = []

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: WebhookReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received = Received({k.lower(): v for k, v in self.headers.items()}, body)
        self.server.offered.append(received)
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        if status == 204:
            self.server.taken.append(received)
        self.send_response(status)
        for name, value in self.server.answer_headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def receiving() -> Iterator[WebhookReceiver]:
    """Runs a receiver while the context is open."""
    with WebhookReceiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
