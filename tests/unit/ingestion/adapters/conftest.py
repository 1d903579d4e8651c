from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest


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


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


Film = Callable[..., bytes]


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """Make a clip; each picture shows its number: tens as the grey of its left half, ones right."""

    def make(
        times: list[float],
        *,
        gop: int = 10,
        b_frames: int = 0,
        flags: str = "",
        container: str = "mp4",
        noise: bool = False,
    ) -> bytes:
        path = tmp_path / f"film.{container}"
        options = {"movflags": flags} if flags else {}
        rng = np.random.default_rng(1)
        with av.open(str(path), "w", options=options) as output:
            stream: Any = output.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            stream.codec_context.gop_size = gop
            stream.codec_context.max_b_frames = b_frames
            stream.options = {"sc_threshold": "0", "preset": "ultrafast", "bf": str(b_frames)}
            for number, at in enumerate(times):
                image = np.full((64, 96, 3), 20 + 20 * (number // 10), np.uint8)
                image[:, 48:] = 20 + 20 * (number % 10)
                if noise:
                    image = rng.integers(0, 256, image.shape, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts, frame.time_base = round(at * 1000), Fraction(1, 1000)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path.read_bytes()

    return make


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    """A recording without pictures."""
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("aac", rate=16000)
        for number in range(20):
            samples = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.rate, frame.pts = 16000, 1024 * number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path.read_bytes()


@pytest.fixture
def still_picture() -> bytes:
    return cv2.imencode(".jpg", np.full((64, 96, 3), 90, np.uint8))[1].tobytes()
