"""A picture to judge a candidate by: all its stills, and all photographs of the subject.

It is as wide as a phone's screen has pixels, and its letters are large enough to be read there.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from homeward.cli import photo_process
from homeward.cli.errors import CliError
from homeward.cli.typeface import Typeface, typeface_for, wrapped
from homeward.core import photos

NOTICE = "Candidate for human review, not an identification"
WIDTH = 1080
"""Pixels: those of a phone's screen."""
_EDGE = 28
_GAP = 20
_COLUMNS_OF_REFERENCES = 3
_COLUMNS_OF_STILLS = 2
_MOST_HIGH = 560
"""Of a picture, pixels."""
_FACE_MARGIN = 0.7
"""Of the face's longer side, kept around it."""
_LARGEST_SCALE = 4
"""A face blown up further only looks as if it held more detail."""
_AT_ONCE = 4
"""Pictures that are decoded at a time, each in a process."""

_GROUND = "#14181f"
_PANEL = "#0b0e13"
_INK = "#f2f4f7"
_QUIET = "#b4bdca"
_BEST = "#7fd18b"
_NOTICE_GROUND = "#f2b632"
_NOTICE_INK = "#1b1400"

_TITLE, _TEXT, _SMALL = 44, 31, 27
"""Heights of letters, pixels: on a phone a third of that."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference photograph."""

    image: bytes
    """The file as enrolled; a rotation in its EXIF data is applied. Empty when it is gone."""
    face: Box | None
    """The face in the upright photograph, which it is cut around; all of it without."""
    lines: Sequence[str]
    """What is written under it."""
    best: bool = False
    """Whether it is the one that is most alike."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A still."""

    image: bytes
    """The file. Empty when it is gone."""
    face_height_px: float
    """Of the face in the recording; 0 when it is not known."""
    lines: Sequence[str]
    """What is written under it, after how high the face is."""
    best: bool = False
    """Whether it is the one that is most alike, which is shown whole as well."""
    face: Box | None = None
    """The face in the still, which it is cut around; all of it without."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is on the picture, from its top."""

    title: str
    about: Sequence[str]
    references: Sequence[Reference]
    stills: Sequence[Shown]
    notes: Sequence[str] = field(default=())
    """Across the foot: how alike, what to mind, and ids."""


def drawn(sheet: Sheet) -> Image.Image:
    """Return the picture.

    Raises:
        CliError: One of the files is no picture.
    """
    typeface = typeface_for(_texts(sheet))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        references = pool.map(_reference, sheet.references)
        stills = pool.map(_still, sheet.stills)
        parts: list[_Part] = [
            _Text([(sheet.title, _TITLE, _INK)], WIDTH - 2 * _EDGE, typeface),
            _Text([(line, _TEXT, _INK) for line in sheet.about], WIDTH - 2 * _EDGE, typeface),
            _heading(f"REFERENCE PHOTOGRAPHS: {len(sheet.references)}", typeface),
            *_rows(list(references), _COLUMNS_OF_REFERENCES, typeface),
            _heading(f"STILLS OF THE RECORDING, IN ORDER OF TIME: {len(sheet.stills)}", typeface),
            *_rows(list(stills), _COLUMNS_OF_STILLS, typeface),
            *_whole(sheet.stills, typeface),
            _Text([(line, _TEXT, _INK) for line in sheet.notes], WIDTH - 2 * _EDGE, typeface),
        ]
    notice = _Text([(NOTICE, _TEXT, _NOTICE_INK)], WIDTH - 2 * _EDGE, typeface)
    height = notice.height + 2 * _GAP + sum(part.height + _GAP for part in parts) + _EDGE
    canvas = Image.new("RGB", (WIDTH, height), _GROUND)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, WIDTH, notice.height + _GAP), fill=_NOTICE_GROUND)
    notice.draw(canvas, draw, _EDGE, _GAP // 2)
    y = notice.height + 2 * _GAP
    for part in parts:
        part.draw(canvas, draw, _EDGE, y)
        y += part.height + _GAP
    return canvas


def png(picture: Image.Image) -> bytes:
    """Return a picture as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _texts(sheet: Sheet) -> list[str]:
    """Return what a user has written of it, in whatever letters."""
    captions = [one.lines for one in sheet.references] + [one.lines for one in sheet.stills]
    return [
        sheet.title,
        *(line for lines in (sheet.about, sheet.notes, *captions) for line in lines),
    ]


class _Text:
    """Lines, wrapped to a width."""

    def __init__(
        self, lines: Sequence[tuple[str, int, str]], width: int, typeface: Typeface
    ) -> None:
        self._typeface = typeface
        self._lines = [
            (piece, points, ink)
            for line, points, ink in lines
            for piece in wrapped(typeface.writable(line), typeface.font(points), width)
        ]
        self.height = sum(_line_height(points) for _, points, _ in self._lines)

    def draw(self, _: Image.Image, draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
        for text, points, ink in self._lines:
            draw.text((x, y), text, ink, self._typeface.font(points))
            y += _line_height(points)


@dataclass(frozen=True, slots=True)
class _Pictured:
    """A picture at the size at which it is shown, and what is written under it."""

    picture: Image.Image | None
    lines: Sequence[str]
    best: bool


class _Row:
    """Pictures beside each other, each with its text below."""

    def __init__(self, pictures: Sequence[_Pictured], width: int, typeface: Typeface) -> None:
        self._width = width
        self._pictures = pictures
        self._texts = [
            _Text([(line, _SMALL, _INK) for line in one.lines], width, typeface) for one in pictures
        ]
        self._high = max(one.picture.height if one.picture else _TEXT for one in pictures)
        self.height = self._high + _GAP // 2 + max(text.height for text in self._texts)

    def draw(self, canvas: Image.Image, draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
        for one, text in zip(self._pictures, self._texts, strict=True):
            draw.rectangle((x, y, x + self._width - 1, y + self._high - 1), fill=_PANEL)
            if one.picture is not None:
                across, down = self._width - one.picture.width, self._high - one.picture.height
                canvas.paste(one.picture, (x + across // 2, y + down // 2))
            if one.best:
                place = (x, y, x + self._width - 1, y + self._high - 1)
                draw.rectangle(place, outline=_BEST, width=5)
            text.draw(canvas, draw, x, y + self._high + _GAP // 2)
            x += self._width + _GAP


_Part = _Text | _Row


def _heading(text: str, typeface: Typeface) -> _Text:
    return _Text([(text, _SMALL, _QUIET)], WIDTH - 2 * _EDGE, typeface)


def _rows(pictures: Sequence[_Pictured], columns: int, typeface: Typeface) -> list[_Row]:
    width = _column_width(columns)
    return [
        _Row(pictures[start : start + columns], width, typeface)
        for start in range(0, len(pictures), columns)
    ]


def _column_width(columns: int) -> int:
    return (WIDTH - 2 * _EDGE - (columns - 1) * _GAP) // columns


def _reference(one: Reference) -> _Pictured:
    if not one.image:
        return _Pictured(None, [*one.lines, "The photograph is gone."], one.best)
    cut = _cut(_opened(one.image, "reference photograph"), one.face)
    width = _column_width(_COLUMNS_OF_REFERENCES)
    scale = min(width / cut.width, _MOST_HIGH / cut.height, _LARGEST_SCALE)
    return _Pictured(_scaled(cut, scale), one.lines, one.best)


def _still(one: Shown) -> _Pictured:
    """Return a still as large as it goes into its place: by a whole number, or made smaller."""
    if not one.image:
        return _Pictured(None, ["This still is gone.", *one.lines], one.best)
    picture = _cut(_opened(one.image, "still"), one.face)
    scale = _whole_scale(picture, _column_width(_COLUMNS_OF_STILLS))
    return _Pictured(_scaled(picture, scale), [_size(one, scale), *one.lines], one.best)


def _whole(stills: Sequence[Shown], typeface: Typeface) -> list[_Part]:
    """Return the most alike still with the clothes and what is around, if it is cut above."""
    best = [one for one in stills if one.best or len(stills) == 1]
    if not best or not best[0].image or best[0].face is None:
        return []
    picture = _opened(best[0].image, "still").picture
    scale = _whole_scale(picture, WIDTH - 2 * _EDGE)
    shown = _Pictured(_scaled(picture, scale), [_size(best[0], scale)], best=False)
    return [_heading("THE MOST ALIKE STILL, WHOLE", typeface), *_rows([shown], 1, typeface)]


def _whole_scale(picture: Image.Image, width: int) -> float:
    fits = min(width / picture.width, _MOST_HIGH / picture.height)
    return min(int(fits), _LARGEST_SCALE) if fits >= 1 else fits


def _size(one: Shown, scale: float) -> str:
    """Say how much of a face there is, which a picture that is enlarged does not show."""
    known = f"Face {one.face_height_px:.0f} pixels high in the recording"
    shown = (
        f"shown {scale:g} times as large"
        if scale > 1
        else "shown smaller"
        if scale < 1
        else "not enlarged"
    )
    return f"{known}, {shown}" if one.face_height_px else shown.capitalize()


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


def _scaled(picture: Image.Image, scale: float) -> Image.Image:
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def _line_height(points: int) -> int:
    return round(points * 1.36)
