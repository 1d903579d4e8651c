"""What pictures are captioned in: letters, and lines of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageFont

SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial Unicode.ttf",
    "Arial.ttf",
    "arial.ttf",
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Typeface:
    """What captions are set in: a font of the system by name, or Pillow's own, which is ASCII."""

    name: str | None

    def font(self, points: int) -> Font:
        """Return the font in a size."""
        return (
            ImageFont.truetype(self.name, points) if self.name else ImageFont.load_default(points)
        )

    def writable(self, text: str) -> str:
        """Return text in letters that the font has."""
        if self.name:
            return text
        plain = "".join(
            letter
            for letter in unicodedata.normalize("NFKD", text)
            if not unicodedata.combining(letter)
        )
        return plain.encode("ascii", "replace").decode("ascii")


def typeface_for(texts: Sequence[str]) -> Typeface:
    """Return a typeface that can write some texts, as far as there is one."""
    if all(text.isascii() for text in texts):
        return Typeface(None)
    return Typeface(next(filter(_installed, SYSTEM_FONTS), None))


def _installed(name: str) -> bool:
    try:
        ImageFont.truetype(name)
    except OSError:
        return False
    return True


def wrapped(text: str, font: Font, width: int) -> list[str]:
    """Return text in lines that are no wider than some pixels."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            longer = word
        while font.getlength(longer) > width and len(longer) > 1:
            fitting = next(
                count
                for count in range(len(longer), 0, -1)
                if count == 1 or font.getlength(longer[:count]) <= width
            )
            lines.append(longer[:fitting])
            longer = longer[fitting:]
        line = longer
    return [*lines, line] if line else lines
