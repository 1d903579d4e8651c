from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from file_server import FileServer, serving


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        yield server


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
        size: tuple[int, int] = (96, 64),
        aspect: Fraction | None = None,
        ticks: int = 1000,
    ) -> bytes:
        path = tmp_path / f"film.{container}"
        options = {"movflags": flags} if flags else {}
        rng = np.random.default_rng(1)
        with av.open(str(path), "w", options=options) as output:
            stream: Any = output.add_stream("libx264", rate=25)
            (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
            if aspect is not None:
                stream.codec_context.sample_aspect_ratio = aspect
            stream.time_base = stream.codec_context.time_base = Fraction(1, ticks)
            stream.codec_context.gop_size = gop
            stream.codec_context.max_b_frames = b_frames
            stream.options = {"sc_threshold": "0", "preset": "ultrafast", "bf": str(b_frames)}
            for number, at in enumerate(times):
                image = np.full((size[1], size[0], 3), 20 + 20 * (number // 10), np.uint8)
                image[:, size[0] // 2 :] = 20 + 20 * (number % 10)
                if noise:
                    image = rng.integers(0, 256, image.shape, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts, frame.time_base = round(at * ticks), Fraction(1, ticks)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path.read_bytes()

    return make


@pytest.fixture
def two_tracks(tmp_path: Path) -> bytes:
    """A recording with a small track of a few pictures before the one that shows more."""
    path = tmp_path / "tracks.mp4"
    with av.open(str(path), "w") as output:
        streams: list[Any] = [output.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, (width, height) in zip(streams, [(48, 32), (96, 64)], strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        rng = np.random.default_rng(1)
        for _ in range(50):
            for stream in streams:
                image = rng.integers(0, 256, (stream.height, stream.width, 3), dtype=np.uint8)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        for stream in streams:
            output.mux(stream.encode(None))
    return path.read_bytes()


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
