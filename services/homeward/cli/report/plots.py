"""The drawings of a report, as shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from homeward.cli.report.figures import Report, hours_text
from homeward.cli.report.period import Period
from homeward.core.promise import Comparison, Interval

WIDTH = 800.0
BARS_HEIGHT = 200.0
_LEFT, _RIGHT, _TOP, _FOOT = 56.0, 8.0, 14.0, 26.0
_MONTHS = 12
_STEPS = (1, 2, 3, 4, 5, 6, 8)


@dataclass(frozen=True, slots=True)
class Bar:
    """A day, or a month."""

    x: float
    y: float
    width: float
    height: float
    label: str
    """Below it; empty where there is no room."""
    title: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Hours of footage searched, over time."""

    bars: Sequence[Bar]
    grid: Sequence[tuple[float, str]]
    """Heights of lines, and what they are."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole."""

    x: float
    width: float
    name: str
    count: int
    number: int


@dataclass(frozen=True, slots=True)
class Range:
    """An interval on the axis of rates."""

    name: str
    low: float
    value: float
    high: float
    text: str


def bars(report: Report) -> Bars:
    """Return the hours of footage searched, each day of a month or each month of a year."""
    hours = {day.name: day.searched_hours for day in report.days}
    names = _names(report.period)
    highest = _round_up(max([*hours.values(), 0.0]))
    step = (WIDTH - _LEFT - _RIGHT) / len(names)
    room = BARS_HEIGHT - _TOP - _FOOT
    made = []
    for index, name in enumerate(names):
        height = hours.get(name, 0) / highest * room
        label = name[-2:].lstrip("0")
        if not report.period.yearly and index % 2:
            label = ""
        made.append(
            Bar(
                x=_LEFT + index * step + step * 0.12,
                y=BARS_HEIGHT - _FOOT - height,
                width=step * 0.76,
                height=height,
                label=label,
                title=f"{name}: {hours_text(hours.get(name, 0))} hours",
            )
        )
    lines = [(BARS_HEIGHT - _FOOT - share * room, f"{highest * share:g}") for share in (0, 0.5, 1)]
    return Bars(made, lines)


def parts(report: Report) -> list[Part]:
    """Return the outcomes of review, as parts of a bar; those alone that there are."""
    total = sum(number for _, number in report.outcomes)
    x, found = 0.0, []
    for number, (name, count) in enumerate(report.outcomes):
        if count:
            width = count / total * WIDTH
            found.append(Part(x, width, name, count, number))
            x += width
    return found


def ranges(comparison: Comparison) -> list[Range]:
    """Return the rates to compare, on an axis from 0 to `WIDTH`."""
    named = (
        ("promised by the policy", comparison.promised),
        ("wrong, as reviewed", comparison.observed),
        ("if all not judged were wrong", comparison.at_most),
    )
    known = [(name, rate) for name, rate in named if rate is not None]
    most = max((rate.high for _, rate in known), default=0.0) or 1.0

    def at(rate: float) -> float:
        return 10 + rate / most * (WIDTH - 20)

    return [
        Range(name, at(rate.low), at(rate.value), at(rate.high), per_thousand(rate))
        for name, rate in known
    ]


def per_thousand(rate: Interval) -> str:
    """Return a rate to read: of 1000 appearances so many, with its interval."""
    return f"{_digits(rate.value)} of 1000 ({_digits(rate.low)} to {_digits(rate.high)})"


def _digits(rate: float) -> str:
    count = rate * 1000
    return f"{count:.2g}" if count < 100 else f"{count:.0f}"  # noqa: PLR2004 - two digits


def _names(period: Period) -> list[str]:
    if period.yearly:
        return [f"{period.short}-{number:02}" for number in range(1, _MONTHS + 1)]
    days = (period.last - period.first).days + 1
    return [(period.first + timedelta(days=number)).isoformat() for number in range(days)]


def _round_up(value: float) -> float:
    """Return the least of `_STEPS` times a power of ten that is as large."""
    power = 0.01
    while True:
        for step in _STEPS:
            if step * power >= value:
                return step * power
        power *= 10
