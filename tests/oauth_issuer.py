"""An issuer of access tokens over HTTP, for tests of `homeward login`."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

Answer = tuple[int, dict[str, Any]]

PENDING: Answer = (400, {"error": "authorization_pending"})
SLOW_DOWN: Answer = (400, {"error": "slow_down"})


def given(token: str, **more: Any) -> Answer:
    """Return the answer that gives a token."""
    return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 300, **more}


class OAuthIssuer:
    """Answers as it is told to, and remembers what it was asked.

    Attributes:
        url: Its `iss`.
        discovery: Its discovery document.
        answers: What is answered next, by path.
        asked: Path and form of the requests, in order.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.discovery: dict[str, Any] = {
            "issuer": url,
            "device_authorization_endpoint": f"{url}/device",
            "token_endpoint": f"{url}/token",
            "revocation_endpoint": f"{url}/revoke",
        }
        self.answers: dict[str, deque[Answer]] = {
            "/device": deque(
                [
                    (
                        200,
                        {
                            "device_code": "the-device-code",
                            "user_code": "WDJB-MJHT",
                            "verification_uri": f"{url}/activate",
                            "verification_uri_complete": f"{url}/activate?user_code=WDJB-MJHT",
                            "expires_in": 600,
                            "interval": 5,
                        },
                    )
                ]
            ),
            "/token": deque(),
            "/revoke": deque([(200, {})]),
        }
        self.asked: list[tuple[str, dict[str, str]]] = []

    def forms(self, path: str) -> list[dict[str, str]]:
        """Return the forms that were sent to a path."""
        return [form for asked, form in self.asked if asked == path]


@contextmanager
def running_issuer() -> Iterator[OAuthIssuer]:
    """Serve an issuer on loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/.well-known/openid-configuration"
            self._answer(200 if found else 404, issuer.discovery if found else {})

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            issuer.asked.append((self.path, dict(parse_qsl(form))))
            self._answer(*issuer.answers[self.path].popleft())

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if "location" in content:
                self.send_header("Location", content["location"])
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = OAuthIssuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
