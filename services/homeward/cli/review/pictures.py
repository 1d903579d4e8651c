"""The picture that a reviewer judges a candidate by: reference photographs beside stills."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from PIL import Image, ImageDraw

from homeward.api.common.v1.types_pb2 import BoundingBox
from homeward.cli import photo_process
from homeward.cli.review.evidence import Evidence, Photograph, Still
from homeward.cli.typeface import Font, Typeface, typeface_for
from homeward.core import photos

_GAP = 8
_FACE_MARGIN = 0.7
"""Of the face's longer side, kept around it."""
_LARGEST_STILL = (720, 720)
"""As the protos say; a larger one is none of ours, and is not decoded."""
_LARGEST_SCALE = 4.0
"""A face blown up further only looks as if it held more detail."""
_MOST_CACHED = 40
_GROUND, _INK, _RIVAL_INK = "#14181f", "#f2f4f7", "#f2b632"


@dataclass(frozen=True, slots=True)
class _Size:
    """Of a panel, in pixels."""

    panel: int
    """Its height, label included."""
    label: int
    points: int
    widest: int


_LARGE = _Size(panel=400, label=32, points=22, widest=520)
_USUAL_SHAPE = (1600, 900)


@dataclass(frozen=True, slots=True)
class _Panel:
    label: str
    picture: Image.Image | None
    ink: str = _INK


@dataclass(slots=True)
class Studio:
    """Draws what candidates are judged by; a photograph is decoded once."""

    _decoded: dict[bytes, Image.Image | None] = field(default_factory=dict)

    def draw(self, evidence: Evidence, *, shape: tuple[int, int] = _USUAL_SHAPE) -> Image.Image:
        """Return the best still beside the most alike reference photograph, and the others small.

        Args:
            evidence: What to draw: after the two large ones come the other photographs, those of
                rivals, and the other stills.
            shape: Width and height of where it is shown: the small ones stand where they leave
                the others largest.
        """
        references = [_Panel(one.name, self._photograph(one)) for one in evidence.references]
        rivals = [_Panel(one.name, self._photograph(one), _RIVAL_INK) for one in evidence.rivals]
        gone = [_Panel("Still: gone", None)]
        best = [_panel(one, "Still ") for one in evidence.stills if one.best][:1] or gone
        stills = [_panel(one) for one in evidence.stills if not one.best]
        large, small = [*references[:1], *best], [*references[1:], *rivals, *stills]

        def scale(layout: _Layout) -> float:
            width, height = layout.size(large, small)
            return min(shape[0] / width, shape[1] / height, 1.0)

        return max(_LAYOUTS if small else _LAYOUTS[:1], key=scale).drawn(large, small)

    def _photograph(self, one: Photograph) -> Image.Image | None:
        """Return a reference photograph around its face; None if it cannot be decoded.

        It is decoded in a process of its own: it may be anybody's.
        """
        if one.file not in self._decoded:
            if len(self._decoded) >= _MOST_CACHED:
                self._decoded.clear()
            self._decoded[one.file] = _decoded(one)
        return self._decoded[one.file]


def _panel(one: Still, before: str = "") -> _Panel:
    return _Panel(one.name if one.name.startswith(before) else before + one.name, _still(one.file))


def _decoded(one: Photograph) -> Image.Image | None:
    try:
        decoded = photo_process.decode(one.file)
    except (photos.DecodingError, photo_process.DecodingEndedError):
        return None
    scale = decoded.picture.width / decoded.width
    return _around(decoded.picture, one.face, scale)


def _still(file: bytes) -> Image.Image | None:
    """Return a still, which Homeward's own scanner has coded from pixels; None if it is none."""
    try:
        with Image.open(io.BytesIO(file), formats=("JPEG",)) as picture:
            if picture.width > _LARGEST_STILL[0] or picture.height > _LARGEST_STILL[1]:
                return None
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError):  # what Pillow raises on a damaged one
        return None


def _around(photo: Image.Image, face: BoundingBox | None, scale: float) -> Image.Image:
    if face is None or face.width <= 0 or face.height <= 0:
        return photo
    margin = _FACE_MARGIN * max(face.width, face.height)
    left, top = (face.x - margin) * scale, (face.y - margin) * scale
    right = (face.x + face.width + margin) * scale
    bottom = (face.y + face.height + margin) * scale
    box = (
        max(0, round(left)),
        max(0, round(top)),
        min(photo.width, round(right)),
        min(photo.height, round(bottom)),
    )
    return photo.crop(box) if box[0] < box[2] and box[1] < box[3] else photo


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the small panels stand: beside the large ones or below them, in some rows."""

    rows: int
    panel: _Size
    below: bool = False

    def size(self, large: Sequence[_Panel], small: Sequence[_Panel]) -> tuple[int, int]:
        """Return the width and height of the picture."""
        pair, grid = _across(_widths(large, _LARGE)), self._grid_width(small)
        if not small:
            return pair, _LARGE.panel
        if self.below:
            return max(pair, grid), _LARGE.panel + self.rows * (self.panel.panel + _GAP)
        return pair + _GAP + grid, _LARGE.panel

    def drawn(self, large: Sequence[_Panel], small: Sequence[_Panel]) -> Image.Image:
        """Return the picture."""
        canvas = Image.new("RGB", self.size(large, small), _GROUND)
        x = _put(canvas, [_block(one, _LARGE) for one in large], 0, 0)
        left, top = (0, _LARGE.panel + _GAP) if self.below else (x, 0)
        for number, line in enumerate(_in_rows(small, self.rows)):
            blocks = [_block(one, self.panel) for one in line]
            _put(canvas, blocks, left, top + number * (self.panel.panel + _GAP))
        return canvas

    def _grid_width(self, panels: Sequence[_Panel]) -> int:
        lines = _in_rows(panels, self.rows)
        return max((_across(_widths(line, self.panel)) for line in lines), default=0)


def _beside(rows: int) -> _Layout:
    panel = (_LARGE.panel - _GAP * (rows - 1)) // rows
    return _Layout(rows, _Size(panel, 22, 16, _LARGE.widest // rows))


_LAYOUTS = (
    *(_beside(rows) for rows in (1, 2, 3)),
    *(_Layout(rows, _Size(196, 22, 16, 260), below=True) for rows in (1, 2)),
)
"""Of these that one is taken in which everything is shown largest; the first of equals."""


def _in_rows(panels: Sequence[_Panel], rows: int) -> list[Sequence[_Panel]]:
    across = -(-len(panels) // rows) or 1
    return [panels[at : at + across] for at in range(0, len(panels), across)]


def _put(canvas: Image.Image, blocks: Sequence[Image.Image], x: int, y: int) -> int:
    """Put blocks beside each other, and return where the next one would be."""
    for block in blocks:
        canvas.paste(block, (x, y))
        x += block.width + _GAP
    return x


def _across(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _widths(panels: Sequence[_Panel], size: _Size) -> list[int]:
    return [_width(one, size) for one in panels]


def _width(panel: _Panel, size: _Size) -> int:
    """Return how wide a picture and its label are."""
    _, label = _label(panel.label, size)
    return max(label, _fitting(panel.picture, size)[0] if panel.picture else 0)


def _block(panel: _Panel, size: _Size) -> Image.Image:
    """Return a picture under its label."""
    block = Image.new("RGB", (_width(panel, size), size.panel), _GROUND)
    text, _ = _label(panel.label, size)
    font = _font(typeface_for([text]), size.points)
    ImageDraw.Draw(block).text((2, 2), text, panel.ink, font)
    if panel.picture is not None:
        fitted = panel.picture.resize(_fitting(panel.picture, size), Image.Resampling.LANCZOS)
        block.paste(fitted, (0, size.label))
    return block


@lru_cache(maxsize=256)
def _label(text: str, size: _Size) -> tuple[str, int]:
    """Return as much of a label as there is room for, and its width."""
    typeface = typeface_for([text])
    shown, font = typeface.writable(text), _font(typeface, size.points)
    while shown and font.getlength(shown) > size.widest:
        shown = shown[:-1]
    return shown, round(font.getlength(shown)) + 4


@lru_cache(maxsize=16)
def _font(typeface: Typeface, points: int) -> Font:
    return typeface.font(points)


def _fitting(picture: Image.Image, size: _Size) -> tuple[int, int]:
    """Return the size in which a picture fits into a panel."""
    height = size.panel - size.label
    scale = min(size.widest / picture.width, height / picture.height, _LARGEST_SCALE)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
