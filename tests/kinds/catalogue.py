"""The kinds of recordings that are tried: how each is made, and what is right of it.

`docs/footage.md` has the same table: `tools/render_footage.py` writes it from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction

import cv2
import numpy as np

from kinds.dahua import dhav
from kinds.scene import EMPTY, HEIGHT, RATE, SECONDS, WIDTH
from kinds.tracks import Coding, Sound, Studio, Track, Turn, later, muxed, without

CONTROL = "mp4-h264"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
"""When the recorder says that the pictures were taken."""

HOUR = 3600.0
SLACK = 0.3
"""Seconds that a time may differ from the control's: a picture more or less, at five a second."""

PLAIN = Coding()
B_PICTURES = Coding(b_pictures=2)
MANY_B_PICTURES = Coding(b_pictures=15, options=(("x264-params", "b-adapt=0"),))
H265 = Coding("libx265")
H265_B_PICTURES = Coding("libx265", b_pictures=3)
MPEG4 = Coding("mpeg4")
MPEG4_B_PICTURES = Coding("mpeg4", b_pictures=2)
MPEG1 = Coding("mpeg1video", b_pictures=2)
MPEG2 = Coding("mpeg2video", b_pictures=2)
MJPEG = Coding("mjpeg", "yuvj420p", options=(("q", "6"),))
WMV = Coding("wmv2")
VP9 = Coding("libvpx-vp9")
AV1 = Coding("libsvtav1", options=(("svtav1-params", "lp=1"),))
BEFORE, AFTER = Coding(end=EMPTY), Coding(begin=EMPTY)
"""Two halves, cut where nobody is in view."""
TORN = Coding(group=75)
"""A key picture every three seconds."""

TICK = Fraction(1, RATE)
"""What AVI and MXF count in."""


@dataclass(frozen=True, slots=True)
class Searched:
    """It is searched. Seconds, from the first picture in the file."""

    late: tuple[float, float] = (0.0, 0.0)
    """How much later than in the control each person is seen."""
    partly: tuple[int, ...] = ()
    """Who is found, and may come later and go earlier: some of their pictures are gone."""
    absent: tuple[int, ...] = ()
    """Who is not in the file."""
    seconds: tuple[float, float] = (SECONDS, SECONDS)
    """At least and at most searched, but for the slack."""
    gaps: tuple[tuple[float, float], ...] | None = ()
    """What is told not to be searched; None where a file may or may not tell what it lacks."""
    slack: float = SLACK
    """By how much times may differ."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It is refused when it is uploaded."""

    says: tuple[str, ...]
    """Words of the reason and of the advice."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of recording."""

    name: str
    suffix: str
    container: str
    codec: str
    trait: str
    make: Callable[[Studio], bytes]
    right: Searched | Refused = field(default_factory=Searched)
    remark: str = ""
    """For the reader of the docs."""


def _plain_kinds() -> Iterable[Kind]:
    """Yield containers and codecs, nothing unusual about them."""
    avi = {"tick": TICK}
    yield Kind(CONTROL, "mp4", "MP4", "H.264", "", lambda s: muxed("mp4", Track(s.coded(PLAIN))))
    yield Kind("mp4-h265", "mp4", "MP4", "H.265", "", lambda s: muxed("mp4", Track(s.coded(H265))))
    yield Kind(
        "mp4-mpeg4",
        "mp4",
        "MP4",
        "MPEG-4 part 2",
        "",
        lambda s: muxed("mp4", Track(s.coded(MPEG4))),
    )
    yield Kind("mp4-av1", "mp4", "MP4", "AV1", "", lambda s: s.coded(AV1, "mp4"))
    yield Kind(
        "mp4-fragmented",
        "mp4",
        "MP4, fragmented",
        "H.264",
        "",
        lambda s: muxed(
            "mp4", Track(s.coded(PLAIN)), options={"movflags": "frag_keyframe+empty_moov"}
        ),
    )
    yield Kind("mov-h264", "mov", "MOV", "H.264", "", lambda s: muxed("mov", Track(s.coded(PLAIN))))
    yield Kind("mov-mjpeg", "mov", "MOV", "Motion JPEG", "", lambda s: s.coded(MJPEG, "mov"))
    yield Kind(
        "3gp-mpeg4",
        "3gp",
        "3GP",
        "MPEG-4 part 2",
        "",
        lambda s: muxed("3gp", Track(s.coded(MPEG4))),
    )
    yield Kind(
        "mkv-h264",
        "mkv",
        "Matroska",
        "H.264",
        "",
        lambda s: muxed("matroska", Track(s.coded(PLAIN))),
    )
    yield Kind(
        "mkv-h265",
        "mkv",
        "Matroska",
        "H.265",
        "",
        lambda s: muxed("matroska", Track(s.coded(H265))),
    )
    yield Kind(
        "mkv-mjpeg", "mkv", "Matroska", "Motion JPEG", "", lambda s: s.coded(MJPEG, "matroska")
    )
    yield Kind(
        "mkv-mpeg1",
        "mkv",
        "Matroska",
        "MPEG-1",
        "",
        lambda s: muxed("matroska", Track(s.coded(MPEG1, "mpeg"))),
    )
    yield Kind("webm-vp9", "webm", "WebM", "VP9", "", lambda s: s.coded(VP9, "webm"))
    yield Kind(
        "avi-h264", "avi", "AVI", "H.264", "", lambda s: muxed("avi", Track(s.coded(PLAIN)), **avi)
    )
    yield Kind("avi-mpeg4", "avi", "AVI", "MPEG-4 part 2", "", lambda s: s.coded(MPEG4, "avi"))
    yield Kind("avi-mjpeg", "avi", "AVI", "Motion JPEG", "", lambda s: s.coded(MJPEG, "avi"))
    yield Kind(
        "avi-msmpeg4", "avi", "AVI", "MS MPEG-4", "", lambda s: s.coded(Coding("msmpeg4v2"), "avi")
    )
    yield Kind("flv-h264", "flv", "FLV", "H.264", "", lambda s: muxed("flv", Track(s.coded(PLAIN))))
    yield Kind(
        "ts-h264", "ts", "MPEG-TS", "H.264", "", lambda s: muxed("mpegts", Track(s.coded(PLAIN)))
    )
    yield Kind(
        "ts-h265", "ts", "MPEG-TS", "H.265", "", lambda s: muxed("mpegts", Track(s.coded(H265)))
    )
    yield Kind(
        "ts-mpeg2", "ts", "MPEG-TS", "MPEG-2", "", lambda s: muxed("mpegts", Track(s.coded(MPEG2)))
    )
    yield Kind(
        "ps-h264",
        "mpg",
        "MPEG-PS",
        "H.264",
        "",
        lambda s: muxed("mpeg", Track(s.coded(PLAIN))),
    )
    yield Kind(
        "ps-h265",
        "mpg",
        "MPEG-PS",
        "H.265",
        "",
        lambda s: muxed("mpeg", Track(s.coded(H265))),
    )
    yield Kind(
        "ps-mpeg2", "mpg", "MPEG-PS", "MPEG-2", "", lambda s: muxed("vob", Track(s.coded(MPEG2)))
    )
    yield Kind("mxf-mpeg2", "mxf", "MXF", "MPEG-2", "", lambda s: s.coded(MPEG2, "mxf"))
    yield Kind("mxf-h264", "mxf", "MXF", "H.264", "", lambda s: s.coded(PLAIN, "mxf"))
    yield Kind("asf-wmv2", "wmv", "ASF", "WMV 8", "", lambda s: s.coded(WMV, "asf"))
    yield Kind("asf-h264", "asf", "ASF", "H.264", "", lambda s: s.coded(PLAIN, "asf"))
    yield Kind(
        "dhav-h264", "dav", "DHAV (Dahua)", "H.264", "", lambda s: dhav(s.coded(PLAIN), began=BEGAN)
    )
    yield Kind("raw-h264", "h264", "none", "H.264", "", lambda s: s.coded(PLAIN, "h264"))
    yield Kind("raw-h265", "h265", "none", "H.265", "", lambda s: s.coded(H265, "hevc"))
    yield Kind(
        "raw-mjpeg",
        "mjpeg",
        "none",
        "Motion JPEG",
        "",
        lambda s: s.coded(MJPEG, "mjpeg"),
        Refused(("still picture",)),
        "without times; it looks as a still picture does",
    )


def _coded_kinds() -> Iterable[Kind]:
    """Yield what is unusual about the coding."""
    in_mp4 = [
        ("b-pictures", "B pictures", B_PICTURES),
        ("15-b-pictures", "15 B pictures in a row", MANY_B_PICTURES),
        ("one-key-picture", "a key picture at the beginning only", Coding(group=1000)),
        ("full-range", "full range", Coding(full_range=True, pixel_format="yuvj420p")),
        ("10-bit", "10 bits", Coding(pixel_format="yuv420p10le")),
        ("grey", "grey", Coding(pixel_format="gray")),
        ("422", "4:2:2", Coding(pixel_format="yuv422p")),
        ("444", "4:4:4", Coding(pixel_format="yuv444p")),
        ("odd-size", "an odd width and height", Coding(pixel_format="yuv444p", size=(801, 449))),
        ("60-a-second", "60 pictures a second", Coding(rate=Fraction(60), group=120)),
        ("ntsc", "29.97 pictures a second", Coding(rate=Fraction(30000, 1001), b_pictures=2)),
        (
            "narrow-pixels",
            "pixels that are not square, 1:2",
            Coding(size=(WIDTH, HEIGHT // 2), aspect=Fraction(1, 2)),
        ),
        (
            "wide-pixels",
            "pixels that are not square, 2:1",
            Coding(size=(WIDTH // 2, HEIGHT), aspect=Fraction(2)),
        ),
        (
            "uneven",
            "a rate that varies between 5 and 25",
            Coding(kept=lambda number: number % 5 == 0 or number % 50 < RATE),
        ),
    ]
    for name, trait, coding in in_mp4:
        yield _in_mp4(f"{CONTROL}-{name}", "H.264", trait, coding)
    yield _in_mp4(
        "mp4-h265-10-bit", "H.265", "10 bits", Coding("libx265", "yuv420p10le", b_pictures=3)
    )
    yield _in_mp4(
        f"{CONTROL}-4-a-second", "H.264", "4 pictures a second", Coding(rate=Fraction(4), group=8)
    )
    yield _in_mp4(
        f"{CONTROL}-1-a-second",
        "H.264",
        "1 picture a second",
        Coding(rate=Fraction(1), group=8),
        Searched(slack=1.0 + SLACK),
    )
    open_group = Coding(b_pictures=2, options=(("x264-params", "open-gop=1"),))
    refreshed = Coding(
        options=(
            ("x264-params", "intra-refresh=1:keyint=50:scenecut=0:bframes=0:repeat-headers=1"),
        )
    )
    fields = Coding(options=(("x264-params", "interlaced=1:tff=1"),))
    in_ts = [
        ("ts-h264-b-pictures", "H.264", "B pictures", B_PICTURES),
        ("ts-h265-b-pictures", "H.265", "B pictures", H265_B_PICTURES),
        ("ts-h264-open-gop", "H.264", "open groups of pictures", open_group),
        ("ts-h264-intra-refresh", "H.264", "recovery points instead of key pictures", refreshed),
        ("ts-h264-interlaced", "H.264", "interlaced", fields),
        (
            "ts-mpeg2-interlaced",
            "MPEG-2",
            "interlaced",
            Coding("mpeg2video", b_pictures=2, options=(("flags", "+ildct+ilme"),)),
        ),
    ]
    for name, codec, trait, coding in in_ts:
        yield _in_ts(name, codec, trait, coding)
    yield Kind(
        "mkv-h264-open-gop",
        "mkv",
        "Matroska",
        "H.264",
        "open groups of pictures",
        lambda s: muxed("matroska", Track(s.coded(open_group))),
    )
    yield Kind(
        "ps-h264-b-pictures",
        "mpg",
        "MPEG-PS",
        "H.264",
        "B pictures",
        lambda s: muxed("mpeg", Track(s.coded(B_PICTURES))),
    )
    yield Kind(
        "avi-h264-b-pictures",
        "avi",
        "AVI",
        "H.264",
        "B pictures",
        lambda s: muxed("avi", Track(s.coded(B_PICTURES)), tick=TICK),
    )
    yield Kind(
        "avi-mpeg4-b-pictures",
        "avi",
        "AVI",
        "MPEG-4 part 2",
        "B pictures",
        lambda s: s.coded(MPEG4_B_PICTURES, "avi"),
    )
    yield Kind(
        "avi-mjpeg-odd-size",
        "avi",
        "AVI",
        "Motion JPEG",
        "an odd width and height",
        lambda s: s.coded(Coding("mjpeg", "yuvj420p", (801, 449)), "avi"),
    )
    yield Kind(
        "avi-mjpeg-422",
        "avi",
        "AVI",
        "Motion JPEG",
        "4:2:2",
        lambda s: s.coded(Coding("mjpeg", "yuvj422p"), "avi"),
    )
    yield Kind(
        "avi-mjpeg-left-out",
        "avi",
        "AVI",
        "Motion JPEG",
        "two of three pictures left out",
        lambda s: s.coded(Coding("mjpeg", "yuvj420p", kept=lambda number: number % 3 == 0), "avi"),
    )
    wide = Coding("mjpeg", "yuvj420p", (10240, 1440), Fraction(2), panorama=True)
    yield Kind(
        "avi-mjpeg-wide",
        "avi",
        "AVI",
        "Motion JPEG",
        "10240 x 1440 pixels",
        lambda s: s.coded(wide, "avi"),
        Searched(slack=0.5 + SLACK),
    )


def _in_mp4(
    name: str, codec: str, trait: str, coding: Coding, right: Searched | None = None
) -> Kind:
    return Kind(
        name,
        "mp4",
        "MP4",
        codec,
        trait,
        lambda s: muxed("mp4", Track(s.coded(coding))),
        right or Searched(),
    )


def _in_ts(name: str, codec: str, trait: str, coding: Coding) -> Kind:
    return Kind(
        name, "ts", "MPEG-TS", codec, trait, lambda s: muxed("mpegts", Track(s.coded(coding)))
    )


def _turned_kinds() -> Iterable[Kind]:
    """Yield pictures that a player turns, and files with several picture tracks."""
    turns = [
        ("turned-90", "turned by 90 degrees", Turn.CLOCKWISE, (90.0, False)),
        ("turned-180", "turned by 180 degrees", Turn.UPSIDE_DOWN, (180.0, False)),
        ("turned-270", "turned by 270 degrees", Turn.COUNTERCLOCKWISE, (-90.0, False)),
        ("mirrored", "mirrored", Turn.MIRRORED, (0.0, True)),
    ]
    for name, trait, turn, matrix in turns:
        yield _turned(f"mp4-h264-{name}", trait, turn, matrix)
    black = Coding(size=(160, 96), options=(("preset", "ultrafast"), ("crf", "51")))
    for name, trait, first in (
        ("second-track", "a small picture track before the camera's", False),
        ("second-track-not-default", "as above, and the small one is marked as the default", True),
    ):
        yield _two_tracks(f"mp4-h264-{name}", trait, black, small_is_default=first)


def _turned(name: str, trait: str, turn: Turn, matrix: tuple[float, bool]) -> Kind:
    upright = turn in {Turn.UPSIDE_DOWN, Turn.MIRRORED}
    coding = Coding(turn=turn, size=(WIDTH, HEIGHT) if upright else (HEIGHT, WIDTH))
    return Kind(
        name,
        "mp4",
        "MP4",
        "H.264",
        trait,
        lambda s: muxed("mp4", Track(s.coded(coding), turn=matrix)),
    )


def _covered_kinds() -> Iterable[Kind]:
    """Yield a file with a track that is a single picture, of more bytes than the recording."""
    cover = Coding("png", "rgb24", (4 * WIDTH, 4 * HEIGHT), end=0.04)
    yield Kind(
        "mov-h264-cover",
        "mov",
        "MOV",
        "H.264",
        "a large still picture as another track",
        lambda s: muxed("mov", Track(s.coded(cover, "mov")), Track(s.coded(PLAIN))),
    )


def _two_tracks(name: str, trait: str, small: Coding, *, small_is_default: bool) -> Kind:
    return Kind(
        name,
        "mp4",
        "MP4",
        "H.264",
        trait,
        lambda s: muxed(
            "mp4",
            Track(s.coded(small), default=small_is_default),
            Track(s.coded(PLAIN), default=not small_is_default),
        ),
    )


def _clock_kinds() -> Iterable[Kind]:
    """Yield what is unusual about the times."""
    half = round(EMPTY * RATE)
    ahead = 5 * HOUR

    def joined(studio: Studio, second: float) -> bytes:
        """Join two recordings; the second one begins at its own time."""
        parts = ((BEFORE, 0.0), (AFTER, second))
        return b"".join(
            muxed("mpegts", Track(studio.coded(coding), later(offset))) for coding, offset in parts
        )

    yield Kind(
        "ts-joined",
        "ts",
        "MPEG-TS",
        "H.264",
        "two files joined, each with its own clock",
        lambda s: joined(s, 0.0),
    )
    yield Kind(
        "ts-steps-back",
        "ts",
        "MPEG-TS",
        "H.264",
        "a clock that steps back 2 s",
        lambda s: joined(s, EMPTY - 2),
    )
    yield Kind(
        "ts-renumbered",
        "ts",
        "MPEG-TS",
        "H.264",
        "a track that gets another number in the middle",
        lambda s: (
            muxed("mpegts", Track(s.coded(BEFORE)))
            + muxed(
                "mpegts", Track(s.coded(AFTER), later(EMPTY)), options={"mpegts_start_pid": "512"}
            )
        ),
    )
    yield Kind(
        "flv-joined",
        "flv",
        "FLV",
        "H.264",
        "two files joined",
        lambda s: b"".join(muxed("flv", Track(s.coded(one))) for one in (BEFORE, AFTER)),
        Searched(absent=(1,), seconds=(EMPTY, EMPTY)),
    )
    yield Kind(
        "flv-whole-seconds",
        "flv",
        "FLV",
        "H.264",
        "a clock of whole seconds",
        lambda s: muxed("flv", Track(s.coded(PLAIN), _in_whole_seconds)),
    )
    yield Kind(
        "ts-jumps-ahead",
        "ts",
        "MPEG-TS",
        "H.264",
        "a clock that jumps 5 h ahead",
        lambda s: joined(s, EMPTY + ahead),
        Searched(late=(0.0, ahead), gaps=((EMPTY, EMPTY + ahead),)),
    )
    for name, trait, hole in (("hole-2h", "2 h", 2 * HOUR), ("hole-2s", "2 s", 2.0)):
        yield _with_a_hole(f"mp4-h264-{name}", f"{trait} without a picture", half, hole)
    yield Kind(
        "mp4-h264-wild-time",
        "mp4",
        "MP4",
        "H.264",
        "one picture dated 2 h ahead",
        lambda s: muxed("mp4", Track(s.coded(PLAIN), _one_wild(half + 10, 2 * HOUR))),
    )
    torn = Searched(
        late=(-1.0, -1.0), partly=(0,), seconds=(SECONDS - 3, SECONDS - 3), gaps=((0.0, 2.0),)
    )
    for name, suffix, container, format_ in (
        ("mp4-h264-no-first-key", "mp4", "MP4", "mp4"),
        ("mkv-h264-no-first-key", "mkv", "Matroska", "matroska"),
    ):
        yield _without_first_key(name, suffix, container, format_, torn)
    yield Kind(
        "mkv-h264-lost-2s",
        "mkv",
        "Matroska",
        "H.264",
        "2 s of packets lost",
        lambda s: muxed("matroska", Track(s.coded(TORN), without(80, 130))),
        Searched(
            partly=(0,), seconds=(SECONDS - 2.8, SECONDS - 2.0), gaps=((3.2, 6.0),), slack=1.0
        ),
    )
    sound = "sound begins 8 s earlier"
    yield Kind(
        "mkv-sound-first",
        "mkv",
        "Matroska",
        "H.264",
        sound,
        lambda s: muxed(
            "matroska", Track(s.coded(PLAIN), later(8)), sound=Sound("mp2", 48000, 8 + SECONDS)
        ),
    )
    yield Kind(
        "ts-sound-first",
        "ts",
        "MPEG-TS",
        "H.264",
        sound,
        lambda s: muxed(
            "mpegts", Track(s.coded(PLAIN), later(8)), sound=Sound("mp2", 48000, 8 + SECONDS)
        ),
    )
    yield Kind(
        "mov-sound-first",
        "mov",
        "MOV",
        "H.264",
        sound,
        lambda s: muxed(
            "mov", Track(s.coded(PLAIN), later(8)), sound=Sound("pcm_alaw", 8000, 8 + SECONDS)
        ),
    )
    yield Kind(
        "mkv-late-start",
        "mkv",
        "Matroska",
        "H.264",
        "times that begin at 12 days",
        lambda s: muxed(
            "matroska", Track(s.coded(PLAIN), later(1e6)), options={"avoid_negative_ts": "disabled"}
        ),
    )
    yield Kind(
        "ts-clock-wraps",
        "ts",
        "MPEG-TS",
        "H.264",
        "a clock that reaches its end, 26.5 h, and goes on from 0",
        lambda s: muxed("mpegts", Track(s.coded(PLAIN), later(2**33 / 90000 - 5))),
    )


def _with_a_hole(name: str, trait: str, half: int, hole: float) -> Kind:
    return Kind(
        name,
        "mp4",
        "MP4",
        "H.264",
        trait,
        lambda s: muxed("mp4", Track(s.coded(PLAIN), later(hole, since=half))),
        Searched(late=(0.0, hole), gaps=((EMPTY, EMPTY + hole),)),
    )


def _in_whole_seconds(_: int, shown: float, decoded: float) -> tuple[float, float]:
    return float(shown // 1), float(decoded // 1)


def _one_wild(number: int, seconds: float) -> Callable[[int, float, float], tuple[float, float]]:
    return lambda at, shown, decoded: (shown + (seconds if at == number else 0.0), decoded)


def _without_first_key(
    name: str, suffix: str, container: str, format_: str, right: Searched
) -> Kind:
    return Kind(
        name,
        suffix,
        container,
        "H.264",
        "it does not begin with a key picture",
        lambda s: muxed(format_, Track(s.coded(TORN), without(0, RATE))),
        right,
    )


def _damaged_kinds() -> Iterable[Kind]:
    """Yield what was cut off, and what is refused."""
    begun = Searched(absent=(1,), partly=(0,), seconds=(EMPTY - 2, EMPTY), gaps=None)
    yield Kind(
        "mp4-h264-cut-off",
        "mp4",
        "MP4",
        "H.264",
        "cut off after the index at its beginning",
        lambda s: _cut(muxed("mp4", Track(s.coded(PLAIN)), options={"moov_size": "20000"})),
        begun,
    )
    for name, suffix, container, format_ in (
        ("mkv-h264-cut-off", "mkv", "Matroska", "matroska"),
        ("ts-h264-cut-off", "ts", "MPEG-TS", "mpegts"),
        ("ps-h264-cut-off", "mpg", "MPEG-PS", "mpeg"),
        ("flv-h264-cut-off", "flv", "FLV", "flv"),
    ):
        yield _cut_off(name, suffix, container, format_, begun)
    yield Kind(
        "avi-mjpeg-cut-off",
        "avi",
        "AVI",
        "Motion JPEG",
        "cut off",
        lambda s: _cut(s.coded(MJPEG, "avi")),
        begun,
    )
    yield Kind(
        "mp4-h264-no-index",
        "mp4",
        "MP4",
        "H.264",
        "cut off before the index at its end",
        lambda s: _cut(muxed("mp4", Track(s.coded(PLAIN)))),
        Refused(("cut off",)),
    )
    yield Kind(
        "still-picture",
        "mp4",
        "none",
        "JPEG",
        "a still picture",
        lambda _: _jpeg(),
        Refused(("still picture",)),
    )
    yield Kind(
        "sound-alone",
        "mp4",
        "MP4",
        "none",
        "sound alone",
        lambda _: muxed("mp4", sound=Sound("mp2", 48000, 2)),
        Refused(("sound",)),
    )
    yield Kind(
        "unknown-format",
        "dat",
        "a recorder's own",
        "unknown",
        "no known format",
        lambda _: _noise(),
        Refused(("not a video", "convert")),
    )


def _cut_off(name: str, suffix: str, container: str, format_: str, right: Searched) -> Kind:
    return Kind(
        name,
        suffix,
        container,
        "H.264",
        "cut off",
        lambda s: _cut(muxed(format_, Track(s.coded(PLAIN)))),
        right,
    )


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _jpeg() -> bytes:
    return cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), 90, np.uint8))[1].tobytes()


def _noise() -> bytes:
    return np.random.default_rng(1).integers(0, 256, 100_000, dtype=np.uint8).tobytes()


_STEPPED = "that the clock steps; what follows is taken to follow at once, its times are uncertain"
_NO_TIMES = "that it has no times, and the rate that was taken"
_MISSING = "what is missing, as not searched"
_CUT = "that it was cut off"

_REMARKS: Mapping[str, str] = {
    "raw-h264": _NO_TIMES,
    "raw-h265": _NO_TIMES,
    "raw-mjpeg": "it is taken for a still picture: put it into a container, with"
    " `ffmpeg -f mjpeg -framerate RATE -i FILE -c copy OUT.avi`",
    "avi-mjpeg-wide": "that it is searched shrunk",
    "mp4-h264-second-track": "that there is another track",
    "mp4-h264-second-track-not-default": "that there is another track",
    "mov-h264-cover": "that there is another track",
    "flv-joined": "that half of the file comes after its last picture: add each by itself",
    "ts-joined": _STEPPED,
    "ts-steps-back": _STEPPED,
    "ts-jumps-ahead": _MISSING,
    "mp4-h264-hole-2h": _MISSING,
    "mp4-h264-hole-2s": _MISSING,
    "mkv-h264-lost-2s": _MISSING,
    "mp4-h264-wild-time": "that a time was ignored",
    "mp4-h264-no-first-key": "that the beginning is lost, as not searched",
    "mkv-h264-no-first-key": "that the beginning is lost, as not searched",
    "mp4-h264-cut-off": f"{_CUT}, and how much is missing",
    "mkv-h264-cut-off": _CUT,
    "ts-h264-cut-off": _CUT,
    "ps-h264-cut-off": _CUT,
    "flv-h264-cut-off": _CUT,
    "avi-mjpeg-cut-off": _CUT,
    "mp4-h264-no-index": "without its index nobody knows where pictures are: export it again",
    "still-picture": "a photograph is enrolled, not searched",
    "sound-alone": "nobody is to be seen",
    "unknown-format": "convert it with the recorder's own program, to MP4",
}

KINDS: tuple[Kind, ...] = tuple(
    replace(kind, remark=_REMARKS.get(kind.name, ""))
    for kind in (
        *_plain_kinds(),
        *_coded_kinds(),
        *_turned_kinds(),
        *_covered_kinds(),
        *_clock_kinds(),
        *_damaged_kinds(),
    )
)
