"""Coding pictures, and putting coded pictures into containers."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from fractions import Fraction
from functools import partial
from typing import Any

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.reformatter import ColorRange

from kinds.scene import HEIGHT, RATE, SECONDS, WIDTH, Pixels, Scene

CLOCK = Fraction(1, 90000)

Times = Callable[[int], bool]


class Turn(Enum):
    """How a camera's picture lies in the file."""

    UPRIGHT = auto()
    CLOCKWISE = auto()
    UPSIDE_DOWN = auto()
    COUNTERCLOCKWISE = auto()
    MIRRORED = auto()


_TURNS: Mapping[Turn, Callable[[Any], Any]] = {
    Turn.CLOCKWISE: partial(cv2.rotate, rotateCode=cv2.ROTATE_90_CLOCKWISE),
    Turn.UPSIDE_DOWN: partial(cv2.rotate, rotateCode=cv2.ROTATE_180),
    Turn.COUNTERCLOCKWISE: partial(cv2.rotate, rotateCode=cv2.ROTATE_90_COUNTERCLOCKWISE),
    Turn.MIRRORED: partial(cv2.flip, flipCode=1),
}


@dataclass(frozen=True, slots=True)
class Coding:
    """How pictures are coded."""

    encoder: str = "libx264"
    pixel_format: str = "yuv420p"
    size: tuple[int, int] = (WIDTH, HEIGHT)
    rate: Fraction = Fraction(RATE)
    begin: float = 0.0
    """Seconds of the scene."""
    end: float = SECONDS
    group: int = 50
    """Pictures from a key picture to the next."""
    b_pictures: int = 0
    options: tuple[tuple[str, str], ...] = ()
    turn: Turn = Turn.UPRIGHT
    aspect: Fraction = Fraction(1)
    """Of a pixel, its width to its height."""
    full_range: bool = False
    panorama: bool = False
    """Whether the scene, as high as the picture, is its left end, and the rest is grey."""
    kept: Times | None = None
    """Which pictures are coded, by their number; None for all."""


_PRESETS: Mapping[str, Mapping[str, str]] = {
    "libx264": {"preset": "veryfast", "crf": "24", "sc_threshold": "0"},
    "libx265": {"preset": "ultrafast", "crf": "26"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "3M"},
    "libsvtav1": {"preset": "12", "crf": "35"},
}
_X265 = "log-level=none:scenecut=0:keyint={group}:min-keyint={group}:bframes={b_pictures}"
_BIT_RATE = 3_000_000
"""Of encoders that know no constant quality."""


class Studio:
    """Codes a scene; what was coded once is kept. For several threads."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._coded: dict[tuple[Coding, str], _Once] = {}
        self._lock = threading.Lock()

    def coded(self, coding: Coding, container: str = "mpegts") -> bytes:
        """Return a file of the scene, coded so, as the encoder's own time stamps have it."""
        with self._lock:
            once = self._coded.setdefault((coding, container), _Once())
        with once.lock:
            if not once.content:
                once.content = _encoded(self.scene, coding, container)
        return once.content


@dataclass(slots=True)
class _Once:
    lock: threading.Lock = field(default_factory=threading.Lock)
    content: bytes = b""


def _encoded(scene: Scene, coding: Coding, container: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(coding.encoder, rate=coding.rate)
        _set_up(stream, coding)
        for number in range(round((coding.end - coding.begin) * coding.rate)):
            if coding.kept is not None and not coding.kept(number):
                continue
            frame = _frame(scene.picture(coding.begin + float(number / coding.rate)), coding)
            frame.pts, frame.time_base = number, 1 / coding.rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _set_up(stream: Any, coding: Coding) -> None:
    stream.width, stream.height = coding.size
    stream.pix_fmt = coding.pixel_format
    stream.time_base = stream.codec_context.time_base = 1 / coding.rate
    stream.codec_context.gop_size = coding.group
    stream.codec_context.max_b_frames = coding.b_pictures
    stream.codec_context.sample_aspect_ratio = coding.aspect
    stream.codec_context.thread_count = 1  # one recording for each core: see `make_all`
    if coding.full_range:
        stream.codec_context.color_range = ColorRange.JPEG
    if coding.encoder not in _PRESETS:
        stream.codec_context.bit_rate = _BIT_RATE
    options = {**_PRESETS.get(coding.encoder, {}), **dict(coding.options)}
    if coding.encoder == "libx264":
        options.setdefault("bf", str(coding.b_pictures))
    if coding.encoder == "libx265":
        own = _X265.format(group=coding.group, b_pictures=coding.b_pictures)
        options["x265-params"] = ":".join([own, *filter(None, [options.get("x265-params")])])
    stream.options = options


def _frame(planes: Pixels, coding: Coding) -> av.VideoFrame:
    width, height = coding.size
    if coding.turn is Turn.UPRIGHT and not coding.panorama:
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    else:
        upright = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
        shown = _panorama(upright, coding.size) if coding.panorama else _TURNS[coding.turn](upright)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="bgr24")
    ranges = {"dst_color_range": ColorRange.JPEG} if coding.full_range else {}
    frame = frame.reformat(width, height, coding.pixel_format, **ranges)
    if coding.full_range:
        frame.color_range = ColorRange.JPEG
    return frame


def _panorama(scene: Any, size: tuple[int, int]) -> Pixels:
    width, height = size
    high = cv2.resize(scene, (WIDTH * height // HEIGHT, height))
    padded = np.pad(high, ((0, 0), (0, width - high.shape[1]), (0, 0)), constant_values=128)
    return np.asarray(padded, np.uint8)


Edit = Callable[[int, float, float], tuple[float, float] | None]
"""From a packet's number and its presentation and decoding time to its new times, seconds; None
leaves it out."""


def as_it_is(_: int, shown: float, decoded: float) -> tuple[float, float]:
    """Leave the times alone."""
    return shown, decoded


def later(seconds: float, *, since: int = 0) -> Edit:
    """Return an edit that shows pictures later, from the one with this number on."""
    return lambda number, shown, decoded: (
        (shown + seconds, decoded + seconds) if number >= since else (shown, decoded)
    )


def without(first: int, beyond: int) -> Edit:
    """Return an edit that leaves pictures out, in the order of decoding."""
    return lambda number, shown, decoded: None if first <= number < beyond else (shown, decoded)


@dataclass(frozen=True, slots=True)
class Track:
    """A picture track to be put into a container."""

    coded: bytes
    """A file with it."""
    edit: Edit = as_it_is
    turn: tuple[float, bool] | None = None
    """Degrees, counterclockwise, and whether it is to be mirrored then, that a player shows it."""
    default: bool | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """Silence."""

    encoder: str
    rate: int
    seconds: float


def muxed(
    container: str,
    *tracks: Track,
    sound: Sound | None = None,
    tick: Fraction | None = None,
    options: Mapping[str, str] | None = None,
) -> bytes:
    """Put coded tracks into a container, their first picture at 0 s before they are edited.

    Args:
        container: FFmpeg's name of it.
        tracks: Picture tracks.
        sound: A track of it, first in the file.
        tick: What the container is to count in, where it cannot tell that by itself.
        options: Of the container.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=dict(options or {})) as output:
        packets: list[Packet[Any]] = []
        audio: Any = output.add_stream(sound.encoder, rate=sound.rate) if sound else None
        for track in tracks:
            packets += _packets(output, track, tick)
        if sound is not None:
            packets += _silence(audio, sound)
        for packet in sorted(packets, key=_decoding_time):
            output.mux(packet)
    return file.getvalue()


def _decoding_time(packet: Packet[Any]) -> Fraction:
    return (packet.dts or 0) * packet.time_base


def _packets(output: Any, track: Track, tick: Fraction | None) -> list[Packet[Any]]:
    edited: list[Packet[Any]] = []
    with av.open(io.BytesIO(track.coded)) as source:
        before = source.streams.video[0]
        stream = output.add_stream_from_template(before)
        stream.time_base = tick or CLOCK
        if track.turn is not None:
            degrees, mirrored = track.turn
            stream.set_display_rotation(degrees, hflip=mirrored)
        if track.default is not None:
            stream.disposition = av.stream.Disposition.default if track.default else 0
        found = [packet for packet in source.demux(before) if packet.size]
        first = min((packet.pts for packet in found if packet.pts is not None), default=0)
        base = before.time_base or CLOCK
        for number, packet in enumerate(found):
            shown, decoded = ((at or 0) - first for at in (packet.pts, packet.dts))
            times = track.edit(number, float(shown * base), float(decoded * base))
            if times is None:
                continue
            packet.time_base = CLOCK
            packet.pts, packet.dts = (round(at / CLOCK) for at in times)
            packet.stream = stream
            edited.append(packet)
    return edited


def _silence(stream: Any, sound: Sound) -> list[Packet[Any]]:
    stream.codec_context.layout = "mono"
    size = 1024
    packets: list[Packet[Any]] = []
    for number in range(round(sound.seconds * sound.rate / size)):
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, size), np.int16), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = sound.rate, number * size
        frame.time_base = Fraction(1, sound.rate)
        packets += stream.encode(frame)
    return packets + stream.encode(None)
