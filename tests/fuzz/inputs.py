"""The files that the mutator tries, the same ones for the same seed."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from fuzz import bombs
from fuzz.hostile import HOSTILE
from fuzz.mutations import MUTATIONS
from kinds.catalogue import BEGAN
from kinds.dahua import dhav
from kinds.scene import drawn_scene
from kinds.tracks import Coding, Studio, Track, later, muxed

CORPUS = Path(__file__).parent / "corpus"
SEED = 20261128

RECORDINGS_OF_A_KIND = 12
PHOTOGRAPHS_OF_A_KIND = 9

_SIZE = (160, 96)
_HOURS_47 = 47 * 3600.0
_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Input:
    """A file to be tried."""

    name: str
    make: Callable[[], bytes]


@cache
def _studio() -> Studio:
    return Studio(drawn_scene(_SECONDS))


def _coded(encoder: str, container: str = "mpegts", pixel_format: str = "yuv420p") -> bytes:
    coding = Coding(encoder, pixel_format, _SIZE, end=_SECONDS, group=10, b_pictures=0)
    return _studio().coded(coding, container)


def _b_pictures(encoder: str = "libx264") -> bytes:
    return _studio().coded(Coding(encoder, size=_SIZE, end=_SECONDS, group=20, b_pictures=2))


def _rated(rate: Fraction, seconds: float, container: str = "mp4") -> bytes:
    coding = Coding(size=_SIZE, rate=rate, end=seconds)
    return muxed(container, Track(_studio().coded(coding)))


RECORDINGS: Mapping[str, Callable[[], bytes]] = {
    "mp4": lambda: muxed("mp4", Track(_coded("libx264"))),
    "mp4-at-once": lambda: muxed("mp4", Track(_coded("libx264")), options={"moov_size": "8000"}),
    "fragmented": lambda: muxed(
        "mp4", Track(_coded("libx264")), options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "mov-mjpeg": lambda: _coded("mjpeg", "mov", "yuvj420p"),
    "mkv-h265": lambda: muxed("matroska", Track(_coded("libx265"))),
    "webm-vp9": lambda: _coded("libvpx-vp9", "webm"),
    "mp4-av1": lambda: _coded("libsvtav1", "mp4"),
    "avi-mjpeg": lambda: _coded("mjpeg", "avi", "yuvj420p"),
    "avi-mpeg4": lambda: _coded("mpeg4", "avi"),
    "avi-msmpeg4": lambda: _coded("msmpeg4v2", "avi"),
    "flv": lambda: muxed("flv", Track(_coded("libx264"))),
    "ts": _b_pictures,
    "ts-h265": lambda: _b_pictures("libx265"),
    "ps": lambda: muxed("mpeg", Track(_b_pictures())),
    "ps-mpeg2": lambda: muxed("vob", Track(_b_pictures("mpeg2video"))),
    "mxf": lambda: _coded("mpeg2video", "mxf"),
    "asf": lambda: _coded("wmv2", "asf"),
    "dhav": lambda: dhav(_coded("libx264"), began=BEGAN),
    "raw-h264": lambda: _coded("libx264", "h264"),
    "raw-h265": lambda: _coded("libx265", "hevc"),
}
"""Recordings that nothing is wrong with, to begin from."""


def _noise(width: int, height: int) -> Image.Image:
    shown = np.random.default_rng(SEED).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(shown)


def _photograph(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    _noise(96, 64).save(file, kind, **options)
    return file.getvalue()


PHOTOGRAPHS: Mapping[str, Callable[[], bytes]] = {
    "jpeg": partial(_photograph, "JPEG"),
    "progressive": partial(_photograph, "JPEG", progressive=True),
    "png": partial(_photograph, "PNG"),
    "webp": partial(_photograph, "WEBP"),
    "bmp": partial(_photograph, "BMP"),
    "tiff": partial(_photograph, "TIFF", compression="tiff_lzw"),
    "avif": partial(_photograph, "AVIF"),
    "gif": partial(_photograph, "GIF"),
}
"""Photographs that nothing is wrong with, to begin from."""


def recordings(seed: int = SEED, *, of_a_kind: int = RECORDINGS_OF_A_KIND) -> list[Input]:
    """Return recordings: mutated ones, those of two containers, and bombs."""
    return [
        *_mutated(RECORDINGS, "recording", seed, of_a_kind),
        *_joined(seed),
        *(Input(f"bomb/{name}", make) for name, make in RECORDING_BOMBS.items()),
        *(Input(f"hostile/{name}", make) for name, make in HOSTILE.items()),
        *(Input(f"photograph/{name}", make) for name, make in PHOTOGRAPHS.items()),
    ]


def photographs(seed: int = SEED, *, of_a_kind: int = PHOTOGRAPHS_OF_A_KIND) -> list[Input]:
    """Return photographs: mutated ones, bombs, and recordings that were taken for photographs."""
    return [
        *_mutated(PHOTOGRAPHS, "photograph", seed, of_a_kind),
        *(Input(f"bomb/{name}", make) for name, make in PHOTOGRAPH_BOMBS.items()),
        *(Input(f"hostile/{name}", make) for name, make in HOSTILE.items()),
        *(Input(f"recording/{name}", make) for name, make in RECORDINGS.items()),
    ]


def _mutated(
    whole: Mapping[str, Callable[[], bytes]], group: str, seed: int, of_a_kind: int
) -> Iterator[Input]:
    """Yield each file, mutated in so many ways: all of them in turn, from one to the next."""
    ways = itertools.cycle(MUTATIONS.items())
    for kind, make in whole.items():
        for number, (way, mutate) in enumerate(itertools.islice(ways, of_a_kind)):
            name = f"{group}/{kind}/{number}-{way}"
            yield Input(name, partial(_changed, make, mutate, f"{seed} {name}"))


def _changed(
    make: Callable[[], bytes], mutate: Callable[[bytes, Random], bytes], seed: str
) -> bytes:
    return mutate(_kept(make), Random(seed))


@cache
def _kept(make: Callable[[], bytes]) -> bytes:
    return make()


def _joined(seed: int) -> Iterator[Input]:
    """Yield one container after another, as when files are concatenated that must not be."""
    rng = Random(seed)
    pairs = [tuple(rng.sample(sorted(RECORDINGS), 2)) for _ in RECORDINGS]
    for first, second in pairs:
        yield Input(
            f"joined/{first}+{second}",
            lambda first=first, second=second: _kept(RECORDINGS[first]) + _kept(RECORDINGS[second]),
        )


def _two_far_apart() -> bytes:
    """Return 4 kB that say that they play 47 hours."""
    coding = Coding(size=(64, 64), rate=Fraction(1), end=_SECONDS, group=1)
    return muxed("matroska", Track(_studio().coded(coding), later(_HOURS_47, since=1)))


def _a_megabyte_of_47_hours() -> bytes:
    coding = Coding("mjpeg", "yuvj420p", size=(320, 192), end=_SECONDS)
    rng = Random(SEED)
    track = Track(
        _studio().coded(coding, "matroska"),
        lambda number, shown, _: (shown + number * 3384.0, shown + number * 3384.0),
    )
    return muxed("matroska", track) + rng.randbytes(10**6)


def _uneven_clock() -> bytes:
    """Return pictures whose times jump to and fro by days."""
    rng = Random(SEED)
    return muxed(
        "mp4",
        Track(
            _coded("libx264"),
            lambda _, shown, decoded: (shown + rng.choice((0, 0, 0, 3600, 20000)), decoded),
        ),
    )


def _a_hundred_tracks() -> bytes:
    return muxed("mp4", *[Track(_coded("libx264"))] * 100)


def _two_pictures() -> bytes:
    return _rated(Fraction(25), 2 / 25)


RECORDING_BOMBS: Mapping[str, Callable[[], bytes]] = {
    "h264-16000": lambda: bombs.h264(16000, 16000, pictures=4),
    "h264-16000-often": lambda: bombs.h264(16000, 16000, pictures=3000),
    "h264-8192-often": lambda: bombs.h264(8192, 8192, pictures=3000),
    "h264-65520": lambda: bombs.h264(65520, 16, pictures=20),
    "h264-16000-header": lambda: bombs.h264(16000, 16000, pictures=1)[:4000],
    "ts-16000": lambda: _in_ts(bombs.h264(16000, 16000, pictures=4)),
    "mjpeg-65500": lambda: bombs.with_size(_kept(RECORDINGS["avi-mjpeg"]), 65500, 65500),
    "mjpeg-mov-30000": lambda: bombs.with_size(_kept(RECORDINGS["mov-mjpeg"]), 30000, 30000),
    "4-million-pictures": lambda: bombs.many_samples(_two_pictures(), 4_230_000),
    "2-billion-pictures": lambda: bombs.many_samples(_two_pictures(), 2_000_000_000),
    "47-hours-in-4-kB": _two_far_apart,
    "47-hours-in-1-MB": _a_megabyte_of_47_hours,
    "clock-of-days": _uneven_clock,
    "no-ticks": lambda: bombs.with_timescale(_kept(RECORDINGS["mp4"]), 0),
    "1-tick": lambda: bombs.with_timescale(_kept(RECORDINGS["mp4"]), 1),
    "4-billion-ticks": lambda: bombs.with_timescale(_kept(RECORDINGS["mp4"]), 2**32 - 1),
    "0-a-second": lambda: bombs.with_rate(_kept(RECORDINGS["avi-mpeg4"]), 1, 0),
    "0-scale": lambda: bombs.with_rate(_kept(RECORDINGS["avi-mpeg4"]), 0, 25),
    "1-in-4-billion-seconds": lambda: bombs.with_rate(_kept(RECORDINGS["avi-mpeg4"]), 2**32 - 1, 1),
    "1000-a-second": lambda: _rated(Fraction(1000), _SECONDS),
    "100-tracks": _a_hundred_tracks,
    "10-thousand-dhav-heads": lambda: _kept(RECORDINGS["dhav"])[:24] * 10_000,
    "gif-65535": lambda: bombs.gif(65535, 65535, pictures=1000),
    "png-50000": lambda: bombs.png(50000, 50000, rows=50),
}
"""Recordings that say, or hold, far more than their size tells."""


def _in_ts(raw: bytes) -> bytes:
    return muxed("mpegts", Track(raw, lambda number, _, __: (number / 25, number / 25)))


PHOTOGRAPH_BOMBS: Mapping[str, Callable[[], bytes]] = {
    "png-50000": lambda: bombs.png(50000, 50000, rows=50),
    "png-20000": lambda: bombs.png(20000, 20000),
    "png-7000": lambda: bombs.png(7000, 7000),
    "png-text": lambda: bombs.png_with_text(400_000_000),
    "gif-65535": lambda: bombs.gif(65535, 65535, pictures=1000),
    "gif-2000": lambda: bombs.gif(2000, 2000, pictures=5000),
    "jpeg-65500": lambda: bombs.with_size(_kept(PHOTOGRAPHS["jpeg"]), 65500, 65500),
    "jpeg-7000": lambda: bombs.with_size(_kept(PHOTOGRAPHS["jpeg"]), 7000, 7000),
    "jpeg-1-high": lambda: bombs.with_size(_kept(PHOTOGRAPHS["jpeg"]), 65500, 1),
    "jpeg-of-nothing": lambda: bombs.with_size(_kept(PHOTOGRAPHS["jpeg"]), 0, 0),
    "jpeg-5000-scans": lambda: bombs.jpeg_scans(_kept(PHOTOGRAPHS["progressive"]), 5000),
    "nothing": lambda: b"",
    "noise": lambda: Random(SEED).randbytes(100_000),
}
"""Photographs that say, or hold, far more than their size tells."""


def corpus() -> Sequence[Path]:
    """Return the files that once broke something."""
    return sorted(path for path in CORPUS.iterdir() if path.suffix != ".md")
