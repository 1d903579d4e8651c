"""The month or year of a report."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_YEAR = re.compile(r"\d{4}")


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days of UTC."""

    first: date
    last: date
    name: str
    """Such as `November 2026`."""
    short: str
    """Such as `2026-11`."""

    @property
    def begin(self) -> datetime:
        """When it begins."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def end(self) -> datetime:
        """When it has ended."""
        return datetime.combine(self.last + timedelta(days=1), time(), UTC)

    @property
    def yearly(self) -> bool:
        """Whether it is a year."""
        return len(self.short) == len("2026")


def month(text: str) -> Period:
    """Return the month that `text` names, such as `2026-11`.

    Raises:
        ValueError: It is none; the message says what to write.
    """
    match = _MONTH.fullmatch(text)
    try:
        first = date(int(match[1]), int(match[2]), 1) if match else None
    except ValueError:
        first = None
    if first is None:
        raise ValueError(f"{text!r} is not a month; write it like 2026-11")
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    return Period(first, last, f"{first:%B %Y}", text)


def year(text: str) -> Period:
    """Return the year that `text` names, such as `2026`.

    Raises:
        ValueError: It is none; the message says what to write.
    """
    if not _YEAR.fullmatch(text) or int(text) == 0:
        raise ValueError(f"{text!r} is not a year; write it like 2026")
    number = int(text)
    return Period(date(number, 1, 1), date(number, 12, 31), text, text)
