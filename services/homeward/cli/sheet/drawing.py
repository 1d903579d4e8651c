"""A contact sheet as one picture, for where no browser is."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from PIL import Image, ImageDraw

from homeward.cli import photo_process
from homeward.cli.sheet import chart, pictures, timeline, worth
from homeward.cli.sheet.facts import Candidate, Picture, Sheet
from homeward.cli.terminal import clean
from homeward.cli.typeface import Typeface, typeface_for, wrapped
from homeward.core.photos import DecodedPhoto

_WIDTH = 1240
"""Of the picture: A4 at 150 pixels an inch."""
_EDGE = 60
_INNER = _WIDTH - 2 * _EDGE
_GAP = 20
_COLUMNS = 3
_CELL = (_INNER - (_COLUMNS - 1) * _GAP) // _COLUMNS
_STILL = 300
_REFERENCE = 220
_AT_ONCE = 32
"""Stills that one process decodes."""

_GROUND, _INK, _QUIET, _LINE = "#ffffff", "#16202b", "#566270", "#c9d1da"
_PANEL, _BAND, _MISSING, _WATCH = "#f3f5f8", "#9fc3e6", "#c0392b", "#b26a00"
_NOTICE, _ON_NOTICE = "#ffe9b0", "#3d2c00"
_NOTICE_TEXT = "Candidates are leads for a human reviewer, not identifications."


def draw(sheet: Sheet, zone: tzinfo | None) -> bytes:
    """Return the sheet as a PNG file."""
    texts = [sheet.person.label, sheet.person.case_reference]
    texts += [one.name for one in sheet.places]
    texts += [one.file_name for one in sheet.searched.stretches]
    paper = _Paper(typeface_for(list(map(clean, texts))))
    _head(paper, sheet)
    _references(paper, sheet)
    _cards(paper, sheet)
    _timeline(paper, sheet, zone)
    _map(paper, sheet)
    _foot(paper, sheet)
    written = io.BytesIO()
    paper.whole().save(written, "PNG", optimize=True)
    return written.getvalue()


class _Paper:
    """A picture that grows downwards, strip by strip."""

    def __init__(self, typeface: Typeface) -> None:
        self.typeface = typeface
        self._strips: list[Image.Image] = []

    def strip(self, height: float) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Return an empty strip below what is there."""
        made = Image.new("RGB", (_WIDTH, max(1, round(height))), _GROUND)
        self._strips.append(made)
        return made, ImageDraw.Draw(made)

    def text(self, text: str, points: int = 20, ink: str = _INK, *, space: int = 8) -> None:
        """Write a paragraph."""
        font = self.typeface.font(points)
        lines = wrapped(self.typeface.writable(clean(text)), font, _INNER)
        _, draw = self.strip(len(lines) * points * 1.4 + space)
        for number, line in enumerate(lines):
            draw.text((_EDGE, number * points * 1.4), line, ink, font)

    def heading(self, text: str) -> None:
        """Write a heading."""
        _, draw = self.strip(66)
        draw.text((_EDGE, 24), text, _INK, self.typeface.font(26))
        draw.line((_EDGE, 60, _WIDTH - _EDGE, 60), _LINE)
        self.strip(10)

    def label(
        self,
        draw: ImageDraw.ImageDraw,
        at: tuple[float, float],
        text: str,
        *,
        points: int = 16,
        ink: str = _INK,
        anchor: str = "la",
    ) -> None:
        """Write one line somewhere."""
        written = self.typeface.writable(clean(text))
        draw.text(at, written, ink, self.typeface.font(points), anchor=anchor)

    def whole(self) -> Image.Image:
        """Return the strips as one picture."""
        canvas = Image.new("RGB", (_WIDTH, sum(one.height for one in self._strips) + 40), _GROUND)
        y = 0
        for one in self._strips:
            canvas.paste(one, (0, y))
            y += one.height
        return canvas


def _head(paper: _Paper, sheet: Sheet) -> None:
    _, draw = paper.strip(64)
    draw.rectangle((0, 0, _WIDTH, 54), fill=_NOTICE)
    paper.label(draw, (_EDGE, 27), _NOTICE_TEXT, points=22, ink=_ON_NOTICE, anchor="lm")
    paper.strip(20)
    paper.text(f"Contact sheet: {sheet.person.label}", 34)
    paper.text(
        f"Case {sheet.person.case_reference}. Made {sheet.made}. Times in {sheet.zone}, corrected"
        f" for what the cameras' clocks were off. Subject {sheet.person.subject_id}",
        18,
        _QUIET,
    )
    if sheet.rejected_count:
        paper.text(f"Rejected by reviewers, and erased: {sheet.rejected_count}.", 19)
    for line in (*sheet.warnings, *sheet.unknown):
        paper.text(line, 19)


def _references(paper: _Paper, sheet: Sheet) -> None:
    paper.heading("Reference photographs")
    shown = [_opened(one) for one in sheet.person.references]
    per_row = _INNER // (_REFERENCE + _GAP)
    for begin in range(0, len(shown), per_row):
        image, draw = paper.strip(_REFERENCE + 34)
        for column, one in enumerate(shown[begin : begin + per_row]):
            x = _EDGE + column * (_REFERENCE + _GAP)
            _place(image, one, (x, 0, _REFERENCE, _REFERENCE))
            caption = sheet.person.references[begin + column].caption
            paper.label(draw, (x, _REFERENCE + 6), caption, ink=_QUIET)
    if sheet.person.not_shown:
        paper.text(f"Reference photographs not shown: {sheet.person.not_shown}.", 18, _QUIET)


def _cards(paper: _Paper, sheet: Sheet) -> None:
    paper.heading("Candidates, in order of time")
    if not sheet.candidates:
        paper.text("None.")
    paper.text(worth.NOTHING, 18)
    stills = _decoded(sheet)
    for begin in range(0, len(sheet.candidates), _COLUMNS):
        cells = [
            _cell(paper, one, shown)
            for one, shown in zip(
                sheet.candidates[begin : begin + _COLUMNS],
                stills[begin : begin + _COLUMNS],
                strict=True,
            )
        ]
        image, _ = paper.strip(max(cell.height for cell in cells) + _GAP)
        for column, cell in enumerate(cells):
            image.paste(cell, (_EDGE + column * (_CELL + _GAP), 0))


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    points: int = 16
    ink: str = _INK


def _cell(paper: _Paper, one: Candidate, stills: Sequence[Image.Image | None]) -> Image.Image:
    lines = [
        _Line(f"{one.number}  {one.place.name}", 21),
        _Line(one.when + " *" * one.uncertain),
        _Line(f"{one.place.camera_id}, at {one.position} in the file", ink=_QUIET),
        _Line(f"{one.state} {one.judged}"),
        _Line(f"score {one.score:.3f}, listed from {one.threshold:.3f} on"),
        *([_Line("look twice: somebody else enrolled is nearly as alike")] if one.doubtful else []),
        *([_Line(one.without_still)] if one.without_still else []),
        _Line(one.sighting_id, 13, _QUIET),
    ]
    written = [
        _Line(piece, line.points, line.ink)
        for line in lines
        for piece in wrapped(
            paper.typeface.writable(clean(line.text)),
            paper.typeface.font(line.points),
            _CELL - 24,
        )
    ]
    text_height = sum(line.points * 1.4 for line in written)
    cell = Image.new("RGB", (_CELL, round(_STILL + text_height + 36)), _GROUND)
    draw = ImageDraw.Draw(cell)
    wide = 4 if one.state == "confirmed" else 1
    draw.rectangle(
        (0, 0, _CELL - 1, cell.height - 1), outline=_INK if wide > 1 else _LINE, width=wide
    )
    _mosaic(cell, stills)
    y = _STILL + 22.0
    for line in written:
        draw.text((12, y), line.text, line.ink, paper.typeface.font(line.points))
        y += line.points * 1.4
    return cell


def _mosaic(cell: Image.Image, stills: Sequence[Image.Image | None]) -> None:
    """Place up to six stills beside each other in two rows at most."""
    count = len(stills)
    if not count:
        return
    rows = 1 if count <= 2 else 2  # noqa: PLR2004 - beside each other
    columns = -(-count // rows)
    width, height = (_CELL - 24) // columns, _STILL // rows
    for number, one in enumerate(stills):
        row, column = divmod(number, columns)
        _place(cell, one, (12 + column * width, 12 + row * height, width - 4, height - 4))


def _timeline(paper: _Paper, sheet: Sheet, zone: tzinfo | None) -> None:
    paper.heading("Timeline")
    panels, left_out = timeline.panels(sheet, zone)
    if not panels:
        paper.text("Nothing is known of what was searched when.")
        return
    paper.text(
        "Blue: searched. Red frame: asked for, and not searched. Brown: somebody in view who could"
        " not be compared, to watch by eye. Circle: a candidate, above a black bar for the time in"
        " view; filled: confirmed. Blank: not asked for, or not known.",
        17,
        _QUIET,
    )
    scale = _INNER / timeline.WIDTH
    for panel in panels:
        paper.text(panel.title, 19, space=2)
        _, draw = paper.strip(panel.height * scale + 8)
        for tick in panel.ticks:
            x = _EDGE + tick.x * scale
            draw.line((x, 24, x, (panel.height - 18) * scale), _LINE)
            paper.label(draw, (x, 4), tick.text, points=15, ink=_QUIET, anchor="ma")
        for row in panel.rows:
            _row(paper, draw, row, scale)
    if left_out:
        paper.text(f"Further stretches of time that are not drawn: {left_out}.", 17, _QUIET)


def _row(paper: _Paper, draw: ImageDraw.ImageDraw, row: timeline.Row, scale: float) -> None:
    def box(bar: timeline.Bar | timeline.Mark, top: float, bottom: float) -> tuple[float, ...]:
        x = _EDGE + bar.x * scale
        return (x, (row.y + top) * scale, x + bar.width * scale, (row.y + bottom) * scale)

    foot = (row.y + row.height) * scale
    draw.line((_EDGE, foot, _WIDTH - _EDGE, foot), _LINE)
    name = wrapped(
        paper.typeface.writable(clean(row.name)),
        paper.typeface.font(15),
        round((timeline.LEFT - 12) * scale),
    )
    for number, line in enumerate(name[:2]):
        paper.label(draw, (_EDGE, (row.y + 8) * scale + number * 20), line, points=15)
    for bar in row.searched:
        draw.rectangle(box(bar, 28, 38), fill=_BAND)
    for bar in row.gaps:
        draw.rectangle(box(bar, 25, 41), fill=_GROUND, outline=_MISSING, width=2)
    for bar in row.stretches:
        draw.rectangle(box(bar, 31, 35), fill=_WATCH)
    for mark in row.marks:
        draw.rectangle(box(mark, 24, 42), fill=_INK)
        x, y = _EDGE + mark.label_x * scale, (row.y + 13) * scale
        middle = _EDGE + (mark.x + mark.width / 2) * scale
        draw.line((x, y, middle, (row.y + 26) * scale), _INK)
        filled = mark.state == "confirmed"
        circle = (x - 11, y - 11, x + 11, y + 11)
        draw.ellipse(circle, fill=_INK if filled else _GROUND, outline=_INK, width=2)
        ink = _GROUND if filled else _INK
        paper.label(draw, (x, y), str(mark.number), points=14, ink=ink, anchor="mm")


def _map(paper: _Paper, sheet: Sheet) -> None:
    paper.heading("Map")
    drawn = chart.chart(sheet)
    if drawn is None:
        paper.text("None of the cameras has coordinates.")
        return
    _, draw = paper.strip(chart.HEIGHT + 12)
    draw.rectangle((_EDGE, 0, _EDGE + chart.WIDTH, chart.HEIGHT), fill=_PANEL, outline=_LINE)
    north = _EDGE + chart.WIDTH - 34
    draw.polygon([(north, 20), (north + 9, 54), (north, 46), (north - 9, 54)], fill=_INK)
    paper.label(draw, (north, 60), "N", anchor="ma")
    foot = chart.HEIGHT - 18
    bar = [(_EDGE + 20, foot - 6), (_EDGE + 20, foot), (_EDGE + 20 + drawn.bar_width, foot)]
    draw.line([*bar, (_EDGE + 20 + drawn.bar_width, foot - 6)], _INK, 2)
    paper.label(draw, (_EDGE + 20 + drawn.bar_width / 2, foot - 26), drawn.bar_text, anchor="ma")
    for one in drawn.markers:
        x, y = _EDGE + one.x, one.y
        circle = (x - 14, y - 14, x + 14, y + 14)
        some = bool(one.candidates)
        draw.ellipse(circle, fill=_INK if some else _GROUND, outline=_INK, width=2)
        paper.label(draw, (x, y), one.numbers, ink=_GROUND if some else _INK, anchor="mm")
    left = _EDGE + chart.WIDTH + 24
    y = 0.0
    font = paper.typeface.font(17)
    for number, name, count in drawn.legend:
        text = f"{number}  {name}: {count or 'no'} candidate{'' if count == 1 else 's'}"
        for line in wrapped(
            paper.typeface.writable(clean(text)), font, _WIDTH - _EDGE - round(left)
        ):
            draw.text((left, y), line, _INK, font)
            y += 24
        y += 6
    if drawn.unplaced:
        paper.text(f"Not on the map, without coordinates: {', '.join(drawn.unplaced)}.", 17, _QUIET)


def _foot(paper: _Paper, sheet: Sheet) -> None:
    if sheet.searched.gaps:
        paper.heading("Not searched, so that nothing is known of who was there")
        for gap in sheet.searched.gaps:
            paper.text(f"{gap.camera_id or 'camera not known'}: {gap.when}; {gap.why}", 17, space=2)
    if sheet.searched.stretches:
        paper.heading("To watch by eye: somebody in view who could not be compared")
        for one in sheet.searched.stretches:
            paper.text(
                f"{one.camera_id}: {one.when}; {one.position} in {one.file_name}; {one.why}",
                17,
                space=2,
            )
    paper.heading("How far to trust this list")
    for line in (worth.SCORE, *sheet.worth):
        paper.text(line, 18)
    paper.text(
        "This file holds pictures of a person. Homeward cannot erase it: destroy it when what"
        " Homeward holds of the person is erased.",
        18,
        _QUIET,
    )


def _decoded(sheet: Sheet) -> list[list[Image.Image | None]]:
    """Return the stills of each candidate."""
    files = [still.content for one in sheet.candidates for still in one.stills]
    found: list[DecodedPhoto | None] = []
    for begin in range(0, len(files), _AT_ONCE):
        found += photo_process.decode_each(files[begin : begin + _AT_ONCE])
    left = iter(None if one is None else one.picture for one in found)
    return [[next(left) for _ in one.stills] for one in sheet.candidates]


def _opened(one: Picture) -> Image.Image | None:
    try:
        return pictures.decoded_picture(one.content).picture
    except pictures.PictureError:
        return None


def _place(
    canvas: Image.Image, picture: Image.Image | None, box: tuple[int, int, int, int]
) -> None:
    """Paste a picture as large as fits into left, top, width and height; else draw a cross."""
    x, y, width, height = box
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((x, y, x + width, y + height), fill=_PANEL)
    if picture is None:
        draw.line((x, y, x + width, y + height), _QUIET)
        draw.line((x, y + height, x + width, y), _QUIET)
        return
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    fitted = picture.resize(size, Image.Resampling.LANCZOS)
    canvas.paste(fitted, (x + (width - size[0]) // 2, y + (height - size[1]) // 2))
