"""The reference photograph beside the still, with what a reviewer needs to know."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from homeward.cli import photo_process
from homeward.cli.errors import CliError
from homeward.cli.typeface import Typeface, typeface_for, wrapped
from homeward.core import photos

NOTICE = "Candidate for human review, not an identification"
_PANEL_HEIGHT = 480
_REFERENCE_WIDTH = 400
_STILL_WIDTH = (400, 860)
_EDGE = 28
_GAP = 20
_FACE_MARGIN = 0.7
"""Of the face's longer side, kept around it."""
_LARGEST_SCALE = 4.0
"""A face blown up further only looks as if it held more detail."""

_GROUND = "#14181f"
_PANEL = "#0b0e13"
_INK = "#f2f4f7"
_QUIET = "#9aa5b4"
_NOTICE_GROUND = "#f2b632"
_NOTICE_INK = "#1b1400"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Captions:
    """What is written under the pictures; the first line of each is the title.

    Args:
        reference: About the subject.
        still: About where and when.
        scores: About how alike, across the foot of the picture.
    """

    reference: Sequence[str]
    still: Sequence[str]
    scores: Sequence[str]


def side_by_side(
    reference: bytes, face: Box | None, still: bytes, captions: Captions
) -> Image.Image:
    """Return the picture to review.

    Args:
        reference: File of the reference photograph; a rotation in its EXIF data is applied.
        face: The face in the upright photograph, which it is cut around; all of it without.
        still: File of the still.
        captions: What to write.

    Raises:
        CliError: One of the files is no picture.
    """
    left = _fitted(_cut(_opened(reference, "reference photograph"), face), _REFERENCE_WIDTH)
    right = _fitted(_opened(still, "still").picture, _STILL_WIDTH[1])
    widths = (_REFERENCE_WIDTH, max(_STILL_WIDTH[0], right.width))
    typeface = typeface_for((*captions.reference, *captions.still, *captions.scores))
    blocks = (
        _Block("REFERENCE PHOTOGRAPH", captions.reference, widths[0], typeface),
        _Block("CCTV STILL", captions.still, widths[1], typeface),
    )
    width = 2 * _EDGE + _GAP + sum(widths)
    scores = _Block("", captions.scores, width - 2 * _EDGE, typeface)
    notice_height = 52
    captions_top = notice_height + _EDGE + _PANEL_HEIGHT + 16
    scores_top = captions_top + max(block.height for block in blocks) + 14
    canvas = Image.new("RGB", (width, scores_top + scores.height + _EDGE - 6), _GROUND)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, width, notice_height), fill=_NOTICE_GROUND)
    draw.text((_EDGE, notice_height / 2), NOTICE, _NOTICE_INK, typeface.font(24), anchor="lm")
    x = _EDGE
    for picture, block, panel in zip((left, right), blocks, widths, strict=True):
        top = notice_height + _EDGE
        draw.rectangle((x, top, x + panel - 1, top + _PANEL_HEIGHT - 1), fill=_PANEL)
        canvas.paste(
            picture,
            (x + (panel - picture.width) // 2, top + (_PANEL_HEIGHT - picture.height) // 2),
        )
        block.draw(draw, x, captions_top)
        x += panel + _GAP
    draw.line((_EDGE, scores_top - 4, width - _EDGE, scores_top - 4), fill="#2c3440")
    scores.draw(draw, _EDGE, scores_top + 6)
    return canvas


def png(picture: Image.Image) -> bytes:
    """Return a picture as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


class _Block:
    """A heading, a title and lines, wrapped to a width."""

    def __init__(self, heading: str, lines: Sequence[str], width: int, typeface: Typeface) -> None:
        self._typeface = typeface
        title, rest = (lines[:1], lines[1:]) if heading else ((), lines)
        sized = [(heading, 13, _QUIET)] if heading else []
        sized += [(line, 24, _INK) for line in title]
        sized += [(line, 17, _INK) for line in rest]
        self._lines = [
            (piece, points, ink)
            for line, points, ink in sized
            for piece in wrapped(typeface.writable(line), typeface.font(points), width)
        ]
        self.height = sum(_line_height(points) for _, points, _ in self._lines)

    def draw(self, draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
        for text, points, ink in self._lines:
            draw.text((x, y), text, ink, self._typeface.font(points))
            y += _line_height(points)


def _opened(content: bytes, what: str) -> photos.DecodedPhoto:
    try:
        return photo_process.decode(content)
    except photos.DecodingError as error:
        problem = photos.description(content, error)
        raise CliError(f"the {what} that came is not a picture: {problem}") from error
    except photo_process.DecodingEndedError as error:
        raise CliError(
            f"the {what} that came could not be drawn: its decoder crashed, or needed more than"
            f" {photo_process.CPU_SECONDS} seconds of a processor or"
            f" {photo_process.MEMORY_BYTES / 2**30:.0f} GiB of memory; try again on a machine that"
            " does less"
        ) from error


def _cut(decoded: photos.DecodedPhoto, face: Box | None) -> Image.Image:
    """Return a picture cut around the face, whose box is in pixels of the file."""
    scale = decoded.picture.width / decoded.width
    if face is None:
        return decoded.picture
    box = Box(face.x * scale, face.y * scale, face.width * scale, face.height * scale)
    return _around(decoded.picture, box)


def _around(photo: Image.Image, face: Box) -> Image.Image:
    if face.width <= 0 or face.height <= 0:
        return photo
    margin = _FACE_MARGIN * max(face.width, face.height)
    left, top = max(0, round(face.x - margin)), max(0, round(face.y - margin))
    right = min(photo.width, round(face.x + face.width + margin))
    bottom = min(photo.height, round(face.y + face.height + margin))
    return photo.crop((left, top, right, bottom)) if left < right and top < bottom else photo


def _fitted(picture: Image.Image, width: int) -> Image.Image:
    scale = min(width / picture.width, _PANEL_HEIGHT / picture.height, _LARGEST_SCALE)
    fitted = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(fitted, Image.Resampling.LANCZOS)


def _line_height(points: int) -> int:
    return round(points * 1.42)
