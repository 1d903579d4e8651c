"""The picture that a reviewer judges a candidate by: reference photographs beside stills."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

from homeward.api.common.v1.types_pb2 import BoundingBox
from homeward.cli import photo_process
from homeward.cli.review.evidence import Evidence, Photograph
from homeward.core import photos

_PANEL_HEIGHT = 360
_WIDEST_PANEL = 480
_LABEL_HEIGHT = 32
_GAP = 8
_FACE_MARGIN = 0.7
"""Of the face's longer side, kept around it."""
_LARGEST_STILL = (720, 720)
"""As the protos say; a larger one is none of ours, and is not decoded."""
_LARGEST_SCALE = 4.0
"""A face blown up further only looks as if it held more detail."""
_LABEL_POINTS = 22
_MOST_CACHED = 40
_MOST_IN_A_ROW = 4
_GROUND, _INK, _RIVAL_INK = "#14181f", "#f2f4f7", "#f2b632"


@dataclass(frozen=True, slots=True)
class _Panel:
    label: str
    picture: Image.Image | None
    ink: str = _INK


@dataclass(slots=True)
class Studio:
    """Draws what candidates are judged by; a photograph is decoded once."""

    _decoded: dict[bytes, Image.Image | None] = field(default_factory=dict)

    def draw(self, evidence: Evidence) -> Image.Image:
        """Return a candidate's stills beside the reference photographs, and rivals' after them."""
        stills, count = evidence.stills, len(evidence.stills)
        panels = [
            *(_Panel(one.name, self._photograph(one)) for one in evidence.references),
            *(
                _Panel(f"Still {number} of {count}" if count > 1 else "Still", _still(file))
                for number, file in enumerate(stills, 1)
            ),
            *(_Panel(one.name, self._photograph(one), _RIVAL_INK) for one in evidence.rivals),
        ]
        if not stills:
            panels.insert(len(evidence.references), _Panel("Still: gone", None))
        return _beside(panels)

    def _photograph(self, one: Photograph) -> Image.Image | None:
        """Return a reference photograph around its face; None if it cannot be decoded.

        It is decoded in a process of its own: it may be anybody's.
        """
        if one.file not in self._decoded:
            if len(self._decoded) >= _MOST_CACHED:
                self._decoded.clear()
            self._decoded[one.file] = _decoded(one)
        return self._decoded[one.file]


def _decoded(one: Photograph) -> Image.Image | None:
    try:
        decoded = photo_process.decode(one.file)
    except (photos.DecodingError, photo_process.DecodingEndedError):
        return None
    scale = decoded.picture.width / decoded.width
    return _fitted(_around(decoded.picture, one.face, scale))


def _still(file: bytes) -> Image.Image | None:
    """Return a still, which Homeward's own scanner has coded from pixels; None if it is none."""
    try:
        with Image.open(io.BytesIO(file), formats=("JPEG",)) as picture:
            if picture.width > _LARGEST_STILL[0] or picture.height > _LARGEST_STILL[1]:
                return None
            return _fitted(picture.convert("RGB"))
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


def _fitted(picture: Image.Image) -> Image.Image:
    scale = min(_WIDEST_PANEL / picture.width, _PANEL_HEIGHT / picture.height, _LARGEST_SCALE)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _beside(panels: Sequence[_Panel]) -> Image.Image:
    """Return panels in rows, each under its label."""
    across = max(2, min(_MOST_IN_A_ROW, -(-len(panels) // 2)) if len(panels) > 3 else len(panels))  # noqa: PLR2004 - three stand in one row
    rows = [panels[at : at + across] for at in range(0, len(panels), across)]
    width = max(sum(map(_width, row)) + _GAP * (len(row) - 1) for row in rows)
    height = _LABEL_HEIGHT + _PANEL_HEIGHT
    canvas = Image.new("RGB", (width, height * len(rows) + _GAP * (len(rows) - 1)), _GROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_LABEL_POINTS)
    for number, row in enumerate(rows):
        x, y = 0, number * (height + _GAP)
        for panel in row:
            draw.text((x + 2, y + 2), _ascii(panel.label), panel.ink, font)
            if panel.picture is not None:
                canvas.paste(panel.picture, (x, y + _LABEL_HEIGHT))
            x += _width(panel) + _GAP
    return canvas


def _width(panel: _Panel) -> int:
    label = ImageFont.load_default(_LABEL_POINTS).getlength(_ascii(panel.label)) + 4
    return max(round(label), panel.picture.width if panel.picture else 0)


def _ascii(text: str) -> str:
    """Return text in what Pillow's own font can write; the card has it as it is."""
    return text.encode("ascii", "replace").decode("ascii")
