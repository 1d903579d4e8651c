"""Pictures in a terminal: the kitty, iTerm2 and sixel protocols.

No library does all three with the versions of Pillow that Homeward needs: term-image 0.7.2 asks for
one below 11, and textual-image 0.12 is a beta under the LGPL that writes no iTerm2.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from PIL import Image

QUERY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"
"""Asks whether the terminal draws by kitty's protocol, how large a character is, and what else it
can (DA1), which every terminal answers, last."""

_USUAL_CELL = (8, 16)
_KITTY_CHUNK = 4096
_SIXEL_COLOURS = 128
_SIXEL_ATTRIBUTE = "4"
"""In the answer to DA1."""
_SIXEL_ROWS = 6
_SIXEL_FIRST = 63
_NO_QUERY = ("", "dumb", "linux")
"""Values of TERM of terminals that draw nothing, and may print what they are asked."""


class Protocol(StrEnum):
    """How a terminal is told to draw a picture."""

    KITTY = "kitty"
    ITERM2 = "iterm2"
    SIXEL = "sixel"


@dataclass(frozen=True, slots=True)
class Cell:
    """The size of a character in pixels."""

    width: int = _USUAL_CELL[0]
    height: int = _USUAL_CELL[1]


@dataclass(frozen=True, slots=True)
class Drawing:
    """How pictures are drawn in a terminal."""

    protocol: Protocol | None
    """None where it draws none."""
    cell: Cell


def detected(environment: Mapping[str, str], ask: Callable[[str], str]) -> Drawing:
    """Return how the terminal draws pictures, as it says itself.

    Args:
        environment: Of the process: iTerm2 and WezTerm say there who they are, also over ssh.
        ask: Sends a query to the terminal and returns its answer; empty when there is none.
    """
    answer = ask(QUERY) if environment.get("TERM", "") not in _NO_QUERY else ""
    size = re.search(r"\x1b\[6;(\d{1,3});(\d{1,3})t", answer)
    cell = Cell(int(size[2]), int(size[1])) if size and int(size[1]) and int(size[2]) else Cell()
    names = (environment.get("TERM_PROGRAM"), environment.get("LC_TERMINAL"))
    attributes = re.search(r"\x1b\[\?([\d;]+)c", answer)
    if "\x1b_Gi=31;OK" in answer:
        return Drawing(Protocol.KITTY, cell)
    if any(name in ("iTerm.app", "iTerm2", "WezTerm") for name in names):
        return Drawing(Protocol.ITERM2, cell)
    if attributes and _SIXEL_ATTRIBUTE in attributes[1].split(";"):
        return Drawing(Protocol.SIXEL, cell)
    return Drawing(None, cell)


def drawn(picture: Image.Image, drawing: Drawing, *, columns: int, rows: int) -> str:
    """Return what has a terminal draw a picture as large as fits; empty if it draws none.

    A picture is not enlarged. The cursor is left on the line below it.

    Args:
        picture: In mode RGB.
        drawing: How the terminal draws.
        columns: Characters that it may be wide.
        rows: Lines that it may be high.
    """
    if drawing.protocol is None:
        return ""
    cell = drawing.cell
    scale = min(columns * cell.width / picture.width, rows * cell.height / picture.height, 1.0)
    size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
    fitted = picture.resize(size, Image.Resampling.LANCZOS) if size != picture.size else picture
    wide, high = -(-size[0] // cell.width), -(-size[1] // cell.height)
    if drawing.protocol is Protocol.KITTY:
        return f"{kitty(fitted, columns=wide, rows=high)}\n"
    if drawing.protocol is Protocol.ITERM2:
        return f"{iterm2(fitted, columns=wide, rows=high)}\n"
    return f"{sixel(fitted)}\n"


def kitty(picture: Image.Image, *, columns: int, rows: int) -> str:
    """Return a picture by kitty's protocol: PNG, in chunks, placed in so many cells."""
    data = base64.b64encode(_file(picture, "PNG")).decode()
    chunks = [data[at : at + _KITTY_CHUNK] for at in range(0, len(data), _KITTY_CHUNK)]
    head = f"a=T,f=100,q=2,c={columns},r={rows},"
    return "".join(
        f"\x1b_G{head if not number else ''}m={int(number < len(chunks) - 1)};{chunk}\x1b\\"
        for number, chunk in enumerate(chunks)
    )


def iterm2(picture: Image.Image, *, columns: int, rows: int) -> str:
    """Return a picture by iTerm2's protocol: a file in base64, in so many cells."""
    file = _file(picture, "PNG")
    options = f"inline=1;size={len(file)};width={columns};height={rows};preserveAspectRatio=1"
    return f"\x1b]1337;File={options}:{base64.b64encode(file).decode()}\x07"


def sixel(picture: Image.Image) -> str:
    """Return a picture as sixels, in 128 colours: bands of six rows, a colour at a time."""
    indexed = picture.convert("RGB").quantize(_SIXEL_COLOURS)
    width, height = indexed.size
    palette = indexed.getpalette() or []
    pixels = indexed.tobytes()
    colours = "".join(
        f"#{number};2;{red * 100 // 255};{green * 100 // 255};{blue * 100 // 255}"
        for number, (red, green, blue) in enumerate(
            zip(palette[::3], palette[1::3], palette[2::3], strict=True)
        )
    )
    rows = [pixels[at : at + width] for at in range(0, width * height, width)]
    bands = (_band(rows[at : at + _SIXEL_ROWS]) for at in range(0, height, _SIXEL_ROWS))
    return f'\x1bP0;1;0q"1;1;{width};{height}{colours}{"-".join(bands)}\x1b\\'


def _band(rows: list[bytes]) -> str:
    """Return up to six rows of a picture: of each colour the pixels that have it."""
    return "$".join(_of_colour(rows, colour) for colour in sorted(set(b"".join(rows))))


def _of_colour(rows: list[bytes], colour: int) -> str:
    bits = 0
    for number, row in enumerate(rows):  # a byte a column, a bit a row
        bits |= int.from_bytes(row.translate(_bit_of(colour, number)))
    sixels = bits.to_bytes(len(rows[0])).translate(_TO_SIXEL).rstrip(b"?")
    packed = re.sub(rb"(.)\1{3,}", lambda run: b"!%d%c" % (len(run[0]), run[1][0]), sixels)
    return f"#{colour}{packed.decode('ascii')}"


@cache
def _bit_of(colour: int, number: int) -> bytes:
    """Return a table that has a bit for a colour, and nothing for any other."""
    return bytes(1 << number if value == colour else 0 for value in range(256))


_TO_SIXEL = bytes((value + _SIXEL_FIRST) % 256 for value in range(256))


def _file(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, compress_level=1)
    return file.getvalue()
