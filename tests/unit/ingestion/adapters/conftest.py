from __future__ import annotations

import io
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
        encoder: str = "libx264",
        pixel_format: str = "yuv420p",
    ) -> bytes:
        path = tmp_path / f"film.{container}"
        options = {"movflags": flags} if flags else {}
        rng = np.random.default_rng(1)
        with av.open(str(path), "w", options=options) as output:
            stream: Any = output.add_stream(encoder, rate=25)
            (stream.width, stream.height), stream.pix_fmt = size, pixel_format
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
def covered(tmp_path: Path) -> bytes:
    """A recording after a single picture that takes many more bytes."""
    path = tmp_path / "covered.mov"
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as output:
        cover: Any = output.add_stream("png", rate=25)
        cover.width, cover.height, cover.pix_fmt = 480, 320, "rgb24"
        stream: Any = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        image = rng.integers(0, 256, (320, 480, 3), dtype=np.uint8)
        output.mux(cover.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for number in range(50):
            image = np.full((64, 96, 3), 2 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        for one in (cover, stream):
            output.mux(one.encode(None))
    return path.read_bytes()


@pytest.fixture
def unchanged(tmp_path: Path) -> bytes:
    """A recording in which each second packet says "no change", as XviD writes that."""
    path = tmp_path / "unchanged.avi"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.gop_size = 5
        stream.options = {"sc_threshold": "1000000000"}
        packets = []
        for number in range(25):
            image = np.full((64, 96, 3), 10 * number, np.uint8)
            packets += stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24"))
        packets += stream.encode(None)
        for number, packet in enumerate(packets):
            nothing = av.Packet(b"\0\0\1\xb6\x10\x4f")
            nothing.is_keyframe = True
            for place, one in enumerate([packet, nothing]):
                one.stream, one.time_base = stream, Fraction(1, 25)
                one.pts = one.dts = 2 * number + place
                output.mux(one)
    return path.read_bytes()


@pytest.fixture
def renumbered(film: Film, tmp_path: Path) -> bytes:
    """A transport stream, as of a recorder that started again, with another number of its track."""
    parts = []
    for number in range(2):
        path = tmp_path / "part.ts"
        options = {"mpegts_start_pid": str(256 + 16 * number)}
        with (
            av.open(io.BytesIO(film([one / 25 for one in range(50)]))) as source,
            av.open(str(path), "w", options=options) as output,
        ):
            before = source.streams.video[0]
            stream = output.add_stream_from_template(before)
            for packet in source.demux(before):
                if packet.size:
                    packet.pts += round(2 * number / packet.time_base)
                    packet.dts += round(2 * number / packet.time_base)
                    packet.stream = stream
                    output.mux(packet)
        parts.append(path.read_bytes())
    return b"".join(parts)


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
