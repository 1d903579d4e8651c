"""Photograph files, for `embedding` and the client.

Pillow reads them: it refuses a truncated file, which OpenCV fills up in grey. A caged process loads
this, so it imports nothing that a photograph does not need.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum, auto

import pi_heif
from PIL import AvifImagePlugin, Image, ImageChops

MAX_PHOTO_PIXELS = 109_000_000
"""Of a photograph: what phones of 108 megapixels make, at most 12032 x 9024."""

MAX_PHOTO_SIDE_PX = 65_535
"""Of a photograph: what a JPEG file can have. A row of millions of pixels is no photograph, and
would not become a quarter when it is halved."""

FULL_SIZE_PIXELS = 50_000_000
"""A photograph with more is read at half its width and height, which bounds what the service holds
of it: three bytes for each of these pixels."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "HEIF", "AVIF")

_MAGIC: Sequence[tuple[str, str]] = (
    ("JPEG", r"\xff\xd8\xff"),
    ("PNG", r"\x89PNG\r\n\x1a\n"),
    ("WebP", r"RIFF....WEBP"),
    ("BMP", r"BM"),
    ("TIFF", r"II\*\0|MM\0\*|II\+\0|MM\0\+"),
    ("AVIF", r"....ftypavi[fs]"),
    ("HEIC", r"....ftyp(?:hei[cxms]|hev[cxms]|mif[12]|msf1)"),
    ("GIF", r"GIF8[79]a"),
    ("JPEG 2000", r"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    ("JPEG XL", r"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
    ("PDF", r"%PDF-"),
    ("Photoshop", r"8BPS"),
    ("Canon raw", r"....ftypcrx "),
    ("Fujifilm raw", r"FUJIFILMCCD-RAW"),
    ("XML or SVG", r"\s*<(?:\?xml|svg)"),
    ("ZIP", r"PK\x03\x04"),
    ("video", r"....ftyp|RIFF....AVI |\x1a\x45\xdf\xa3"),
)
"""Formats by how their files begin, for messages."""

_READ = frozenset({"JPEG", "PNG", "WebP", "BMP", "TIFF", "AVIF", "HEIC"})

_VOWELS = frozenset("AX")
"""Letters of formats that are spoken with a vowel first."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by EXIF's orientation."""
_ON_ITS_SIDE = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))

_END_OF_JPEG = b"\xff\xd9"
_RESTART_INTERVAL = b"\xff\xdd"
"""Begins the definition that a JPEG file with restart markers has."""


_COEFFICIENTS = 64
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])(..)", re.DOTALL)
"""A marker: not a stuffed zero, a restart or the start."""
_SCAN = 0xDA
_END = 0xD9
_SUSPECT_ZEROS = 16
"""At the end of a file that was copied in part, into room made for all of it."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})


class DecodingProblem(StrEnum):
    """Why a photograph cannot be decoded."""

    FORMAT = auto()
    """It is of a format that is not read."""
    KIND = auto()
    """Its format is read, but not all that may be in it."""
    DAMAGED = auto()
    """Something in it contradicts its format, or a part is missing."""
    LINES_MISSING = auto()
    """A part of the picture is missing at the end."""
    TOO_LARGE = auto()
    """It has more than `MAX_PHOTO_PIXELS`, or than `MAX_PHOTO_SIDE_PX` either way."""
    OTHER_SIZE = auto()
    """It is a frame of another size than was stated."""


class DecodingError(Exception):
    """A photograph or a frame that cannot be decoded.

    Args:
        problem: Why.
        width: Of the picture, pixels; 0 if it is not known.
        height: Of the picture, pixels.
    """

    def __init__(self, problem: DecodingProblem, width: int = 0, height: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.width = width
        self.height = height


def load_plugins() -> None:
    """Load all that reads photographs: a caged process can load nothing later."""
    pi_heif.register_heif_opener(decode_threads=1)
    Image.init()
    # A bound that holds for a thread must not depend on how many cores there are.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # `decode` has a limit of its own; Pillow's warns where phones of today are.
    Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """What is in a photograph file."""

    picture: Image.Image
    """In mode RGB, turned as the file's EXIF data say; what is transparent is white."""
    width: int
    """Pixels, turned, before a large picture was read at half its size."""
    height: int
    """Pixels, turned, before a large picture was read at half its size."""


def decode(data: bytes) -> DecodedPhoto:
    """Return the picture in a photograph file.

    One of more than `FULL_SIZE_PIXELS` comes at half its width and height. `load_plugins` must have
    been called.

    Raises:
        DecodingError: It cannot be read.
        MemoryError: There is not enough memory for it.
    """
    try:
        return _decoded(data)
    except (DecodingError, MemoryError):
        raise
    except Exception as error:  # a hostile file can make a parser raise anything
        raise DecodingError(_problem_of(data, error)) from error


def decode_frame(data: bytes, width: int, height: int) -> Image.Image:
    """Return the picture in a JPEG file in mode RGB, as it is stored.

    Args:
        data: The file.
        width: That it must have, pixels.
        height: That it must have, pixels.

    Raises:
        DecodingError: It is of another size, is no JPEG file, or is damaged.
        MemoryError: There is not enough memory for it.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            _refuse_other_size(picture, (width, height))
            return picture.convert("RGB")
    except (DecodingError, MemoryError):
        raise
    except Exception as error:  # a hostile file can make a parser raise anything
        damaged = format_of(data) == "JPEG"
        raise DecodingError(
            DecodingProblem.DAMAGED if damaged else DecodingProblem.FORMAT
        ) from error


def description(data: bytes, error: DecodingError) -> str:
    """Return why a file cannot be decoded, and what to do, as part of a sentence."""
    name = format_of(data)
    named = f"{'an' if name[:1] in _VOWELS else 'a'} {name}"
    return {
        DecodingProblem.FORMAT: f"it is {named} file, which is not read; export it as JPEG"
        if name
        else "it is no picture, or of a format that is not read; export it as JPEG",
        DecodingProblem.KIND: f"it is {named} file of a kind that is not read; export it as JPEG",
        DecodingProblem.DAMAGED: f"it is {named} file that is damaged or not whole, or of a kind"
        " that is not read; copy it again, or export it as JPEG",
        DecodingProblem.LINES_MISSING: f"it is {named} file whose end is missing, and a part of"
        " the picture with it; copy it again",
        DecodingProblem.TOO_LARGE: f"it is {error.width} x {error.height} pixels",
        DecodingProblem.OTHER_SIZE: f"it is {error.width} x {error.height} pixels, which is not the"
        " size that was stated",
    }[error.problem]


def format_of(data: bytes) -> str:
    """Return the name of a file's format by its first bytes; empty for an unknown one."""
    start = data[:64]
    return next(
        (name for name, magic in _MAGIC if re.match(magic.encode("latin-1"), start, re.DOTALL)), ""
    )


def _problem_of(data: bytes, error: Exception) -> DecodingProblem:
    if format_of(data) not in _READ:
        return DecodingProblem.FORMAT
    if isinstance(error, NotImplementedError):
        return DecodingProblem.KIND
    return DecodingProblem.DAMAGED


def _decoded(data: bytes) -> DecodedPhoto:
    picture, width, height = _loaded(data)
    turn = _turn(picture)
    picture = _in_eight_bits(picture)
    if picture.size == (width, height) and width * height > FULL_SIZE_PIXELS:
        picture = picture.reduce(2)
    picture = _on_white(picture)
    if turn is None:
        return DecodedPhoto(picture, width, height)
    if turn in _ON_ITS_SIDE:
        width, height = height, width
    return DecodedPhoto(picture.transpose(turn), width, height)


def _loaded(data: bytes) -> tuple[Image.Image, int, int]:
    """Return the picture in a file with its pixels, and the width and height that it has there.

    A large JPEG is shrunk while it is decoded.
    """
    if format_of(data) != "JPEG":
        return _load(data)
    # Zeros decode as lines of one colour, and then the end marker is not missed.
    if not data.endswith(bytes(_SUSPECT_ZEROS)):
        with suppress(OSError):
            return _load(data)
    return _load_without_end(data)


def _load(data: bytes) -> tuple[Image.Image, int, int]:
    picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    _refuse_too_large(picture)
    size = picture.size
    drafted = None
    if picture.width * picture.height > FULL_SIZE_PIXELS:
        drafted = picture.draft(None, (picture.width // 2, picture.height // 2))
    picture.load()
    _refuse_too_large(picture)  # a HEIC file may have another size than it states
    width, height = size if drafted else picture.size
    return picture, width, height


def _refuse_other_size(picture: Image.Image, size: tuple[int, int]) -> None:
    if picture.size != size:
        raise DecodingError(DecodingProblem.OTHER_SIZE, *picture.size)


def _refuse_too_large(picture: Image.Image) -> None:
    too_long = max(picture.size) > MAX_PHOTO_SIDE_PX
    if too_long or picture.width * picture.height > MAX_PHOTO_PIXELS:
        raise DecodingError(DecodingProblem.TOO_LARGE, picture.width, picture.height)


def _load_without_end(data: bytes) -> tuple[Image.Image, int, int]:
    """Return the picture in a JPEG file that has no end marker, if all of the picture is there.

    libjpeg makes up what is missing, and Pillow does not pass on that it did. So several endings
    are tried here: the picture is whole if it does not depend on what follows the data.

    Raises:
        DecodingError: A part of the picture is missing.
    """
    # Files that were copied in part may have zeros where the rest should be.
    there = data.rstrip(b"\0")
    if there.endswith(b"\xff"):
        # 0xff as data is written with a zero; without, it begins a marker.
        there = there + b"\0" if len(there) < len(data) else there[:-1]
    # Where a restart marker is due, the data end for the decoder until it comes.
    restarts = re.findall(rb"\xff([\xd0-\xd7])", there)
    due = bytes([0xFF, 0xD0 + (restarts[-1][0] + 1) % 8 if restarts else 0xD0])
    loaded = _load(there + _END_OF_JPEG)
    starts = (b"", due) if _RESTART_INTERVAL in there else (b"",)
    endings = [start + bits * 64 for start in starts for bits in (b"\x55", b"\xaa")]
    whole = all(_same(loaded[0], _load(there + ending + _END_OF_JPEG)[0]) for ending in endings)
    if not (whole and _has_all_scans(there)):
        raise DecodingError(DecodingProblem.LINES_MISSING)
    return loaded


def _same(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one, other).getbbox() is None


def _has_all_scans(data: bytes) -> bool:
    """Return whether a JPEG file has every coefficient of every component, as its scans state."""
    held: dict[int, set[int]] = {}
    progressive = False
    position = 2
    while marker := _MARKER.search(data, position):
        kind, length = marker[1][0], int.from_bytes(marker[2])
        if kind == _END:  # phones write more after it
            break
        segment = data[marker.end() : marker.end(1) + length]
        position = marker.end(1) + length
        if kind in _FRAMES:
            progressive = kind in _PROGRESSIVE
            held = {segment[6 + 3 * i]: set() for i in range(segment[5])}
        elif kind == _SCAN:
            count = segment[0]
            first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
            band = range(first, last + 1) if progressive else range(64)
            lowest_bit_is_there = not progressive or bits & 0x0F == 0
            for i in range(count):
                if lowest_bit_is_there:
                    held[segment[1 + 2 * i]].update(band)
    return bool(held) and all(len(band) == _COEFFICIENTS for band in held.values())


def _turn(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - EXIF data that are damaged do not make the picture unusable
        return None


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    """Return a picture of any mode as L, RGB or RGBA."""
    if picture.mode in {"I", "F"} or picture.mode.startswith("I;16"):
        return _scaled(picture)
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture if picture.mode == "L" else picture.convert("RGB")


def _scaled(picture: Image.Image) -> Image.Image:
    """Return a picture of deep grey values in mode L.

    White is the smallest power of two that no pixel reaches, because cameras keep 10 or 12 bits in
    16; 255 at least. Of floats it is 1 where no pixel is above.
    """
    floats = picture.mode == "F"
    if picture.mode.startswith("I;16"):
        picture = picture.convert("I")
    _, most = picture.getextrema()
    assert isinstance(most, int | float)  # a tuple where there are several channels
    if not math.isfinite(most):
        raise DecodingError(DecodingProblem.KIND)
    white = 1.0 if floats and most <= 1 else 2.0 ** max(int(most).bit_length(), 8) - 1
    # Conversion to L cuts off what is out of its range, and the fraction.
    return picture.point(lambda value: value * (255 / white) + 0.5).convert("L")


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white.convert("RGB")
