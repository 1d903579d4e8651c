"""The timeline of a contact sheet, as shapes; drawn as SVG and as PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from homeward.cli.sheet.facts import Sheet
from homeward.cli.sheet.spans import Span, merged, total, within

WIDTH = 1000.0
"""Of a panel."""
LEFT = 190.0
"""Width of the cameras' names."""
_RIGHT = 14.0
_TOP = 30.0
_ROW = 46.0
_BOTTOM = 22.0
_APART_SECONDS = (120.0, 2 * 3600.0)
"""So long without anything, and a new panel begins: as long as all that is drawn, within these."""
_MOST_PANELS = 31
_LEAST_SECONDS = 60.0
_LEAST_PIXELS = 3.0
"""Of a mark, however short the time is."""
_MARK_PIXELS = 20.0
_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200, 86400),
)
_MOST_TICKS = 8
_TICK_ROOM = 30.0
"""That half of a tick's text takes."""
_TOLD_TO_THE_SECOND = 600.0
"""Titles of shorter panels have seconds."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a row, in the panel's units."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A candidate in a row."""

    x: float
    width: float
    label_x: float
    number: int
    state: str
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A time on the axis."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """A camera."""

    y: float
    height: float
    name: str
    searched: Sequence[Bar]
    gaps: Sequence[Bar]
    stretches: Sequence[Bar]
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Panel:
    """Some hours, with the cameras that have something in them."""

    title: str
    height: float
    ticks: Sequence[Tick]
    rows: Sequence[Row]


def panels(sheet: Sheet, zone: tzinfo | None) -> tuple[list[Panel], int]:
    """Return the panels, oldest first, and how many were left out because there are too many."""
    spans = [span for covered in sheet.searched.spans.values() for span in covered]
    spans += [one.span for one in sheet.candidates]
    spans += [one.span for one in sheet.searched.gaps]
    spans += [one.span for one in sheet.searched.stretches]
    apart = min(max(total(spans), _APART_SECONDS[0]), _APART_SECONDS[1])
    bounds = [_wide(bound) for bound in merged(spans, apart=apart)]
    told = {one.span for one in sheet.candidates}
    if len(bounds) > _MOST_PANELS:  # those with a candidate, then the newest
        with_some = {
            bound for bound in bounds if any(within([_wide(each)], bound) for each in told)
        }
        ranked = sorted(bounds, key=lambda bound: (bound in with_some, bound), reverse=True)
        kept = sorted(ranked[:_MOST_PANELS])
    else:
        kept = bounds
    return [_panel(sheet, bound, zone) for bound in kept], len(bounds) - len(kept)


def _wide(bound: Span) -> Span:
    short = max(0.0, _LEAST_SECONDS - (bound[1] - bound[0]))
    return bound[0] - short / 2, bound[1] + short / 2


def _panel(sheet: Sheet, bound: Span, zone: tzinfo | None) -> Panel:
    scale = (WIDTH - LEFT - _RIGHT) / (bound[1] - bound[0])

    def at(instant: float) -> float:
        return LEFT + (min(max(instant, bound[0]), bound[1]) - bound[0]) * scale

    rows: list[Row] = []
    for place in sheet.places:
        row = _row(sheet, place.camera_id, _TOP + _ROW * len(rows), bound, at)
        if row is not None:
            rows.append(row)
    return Panel(
        title=_title(bound, zone),
        height=_TOP + _ROW * len(rows) + _BOTTOM,
        ticks=_ticks(bound, at, zone),
        rows=rows,
    )


def _row(
    sheet: Sheet, camera_id: str, y: float, bound: Span, at: Callable[[float], float]
) -> Row | None:
    def bars(items: Iterable[tuple[Span, str]]) -> list[Bar]:
        return [_bar(span, title, at) for span, title in items if _touches(span, bound)]

    searched = bars(
        (span, "searched") for span in merged(sheet.searched.spans.get(camera_id, ()), apart=0.5)
    )
    gaps = bars(
        (one.span, f"not searched, {one.when}: {one.why}")
        for one in sheet.searched.gaps
        if one.camera_id == camera_id
    )
    stretches = bars(
        (one.span, f"to watch by eye, {one.when}")
        for one in sheet.searched.stretches
        if one.camera_id == camera_id
    )
    marks = _marks(sheet, camera_id, bound, at)
    if not (searched or gaps or stretches or marks):
        return None
    name = next(one.name for one in sheet.places if one.camera_id == camera_id)
    return Row(y, _ROW, name, searched, gaps, stretches, marks)


def _marks(sheet: Sheet, camera_id: str, bound: Span, at: Callable[[float], float]) -> list[Mark]:
    shown = [
        (one, _bar(one.span, "", at))
        for one in sheet.candidates
        if one.place.camera_id == camera_id and _touches(one.span, bound)
    ]
    labels = _apart([bar.x + bar.width / 2 for _, bar in shown])
    return [
        Mark(bar.x, bar.width, x, one.number, one.state, f"{one.number}: {one.when}, {one.state}")
        for (one, bar), x in zip(shown, labels, strict=True)
    ]


def _apart(wished: Sequence[float]) -> list[float]:
    """Return where numbers go: near where they belong, and not over each other."""
    placed: list[float] = []
    for x in wished:
        placed.append(max(x, placed[-1] + _MARK_PIXELS) if placed else x)
    most = WIDTH - _RIGHT
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], most)
        most = placed[index] - _MARK_PIXELS
    return placed


def _bar(span: Span, title: str, at: Callable[[float], float]) -> Bar:
    begin, end = at(span[0]), at(span[1])
    return Bar(begin, max(end - begin, _LEAST_PIXELS), title)


def _touches(span: Span, bound: Span) -> bool:
    return span[0] <= bound[1] and span[1] >= bound[0]


def _title(bound: Span, zone: tzinfo | None) -> str:
    begin, end = (_local(instant, zone) for instant in bound)
    if bound[1] - bound[0] < _TOLD_TO_THE_SECOND:
        return f"{begin:%A} {begin.day} {begin:%B %Y}, {begin:%H:%M:%S} to {end:%H:%M:%S}"
    until = f"{end:%H:%M}" if end.date() == begin.date() else f"{end:%A} {end.day} {end:%B, %H:%M}"
    return f"{begin:%A} {begin.day} {begin:%B %Y}, {begin:%H:%M} to {until}"


def _ticks(bound: Span, at: Callable[[float], float], zone: tzinfo | None) -> list[Tick]:
    length = bound[1] - bound[0]
    step = next((one for one in _STEPS if length / one <= _MOST_TICKS), None)
    if step is None:
        step = _STEPS[-1] * (int(length / _STEPS[-1] / _MOST_TICKS) + 1)
    shift = _local(bound[0], zone).utcoffset()
    offset = shift.total_seconds() if shift else 0.0
    first = -(-(bound[0] + offset) // step) * step - offset
    ticks: list[Tick] = []
    instant = first
    while instant <= bound[1] and at(instant) <= WIDTH - _TICK_ROOM:
        told = _local(instant, zone)
        text = f"{told.day} {told:%b}" if step >= _STEPS[-1] else f"{told:%H:%M}"
        ticks.append(Tick(at(instant), f"{told:%H:%M:%S}" if step < 60 else text))  # noqa: PLR2004 - a minute
        instant += step
    return ticks


def _local(instant: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(instant, UTC).astimezone(zone)
