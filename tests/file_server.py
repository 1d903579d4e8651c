"""A web server that serves one file with ranges, as an object store does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer(ThreadingHTTPServer):
    """Serves bytes with ranges; `statuses` come first, one for each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("localhost", 0), _Handler)
        self.content = b""
        self.statuses: list[int] = []
        self.ranges: list[str] = []

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}/file?signature=secret"

    def serve(self, content: bytes) -> str:
        self.content = content
        return self.url


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        content, wanted = self.server.content, self.headers["Range"]
        self.server.ranges.append(wanted)
        first, last = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
        body = content[first : last + 1]
        plain = 206 if body else 416
        status = self.server.statuses.pop(0) if self.server.statuses else plain
        body = body if status == 206 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def serving() -> Iterator[FileServer]:
    """Runs a server while the context is open."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
