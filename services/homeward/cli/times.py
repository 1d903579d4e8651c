"""Times and durations as people write and read them.

A time without a zone is refused: a search an hour off misses the person.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_SPAN = re.compile(r"(?P<sign>[+-]?)(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
_DIRECTIVES = {
    "%Y": r"\d{4}",
    "%m": r"\d{2}",
    "%d": r"\d{2}",
    "%H": r"\d{2}",
    "%M": r"\d{2}",
    "%S": r"\d{2}",
    "%f": r"\d{1,6}",
    "%j": r"\d{3}",
    "%y": r"\d{2}",
    "%z": r"(?:Z|[+-]\d{2}:?\d{2})",
}

UNCERTAIN = (
    "* The time is uncertain: the recorder's clock was set before, or nothing was recorded for an"
    " hour or more, after which nobody can tell; see `homeward footage show`."
)


def parse_instant(text: str) -> datetime:
    """Return the instant that `text` states, in ISO 8601 with a zone.

    Raises:
        ValueError: `text` is no time, or has no zone; the message says what to write.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it like 2026-11-20T10:00:00Z") from None
    if instant.tzinfo is None:
        plain = instant.isoformat()
        raise ValueError(
            f"{text!r} has no time zone; write {plain}Z for UTC, or {plain}+01:00 for a clock "
            "one hour ahead of it"
        )
    return instant.astimezone(UTC)


def parse_day(text: str) -> datetime:
    """Return the end of a day in UTC, or the instant when `text` states one.

    Raises:
        ValueError: `text` is neither.
    """
    with suppress(ValueError):
        return datetime.combine(date.fromisoformat(text), time(23, 59, 59), UTC)
    try:
        return parse_instant(text)
    except ValueError as error:
        if ":" in text:
            raise
        raise ValueError(f"{text!r} is not a day; write it like 2026-11-20") from error


def parse_span(text: str) -> timedelta:
    """Return the span that `text` states, such as `2.5s`, `-1m30s` or `2h`.

    Raises:
        ValueError: `text` is no span.
    """
    match = _SPAN.fullmatch(text)
    if match is None or not any(match[unit] for unit in "hms"):
        raise ValueError(f"{text!r} is not a span of time; write it like 2.5s, -1m30s or 2h")
    span = timedelta(
        hours=int(match["h"] or 0), minutes=int(match["m"] or 0), seconds=float(match["s"] or 0)
    )
    return -span if match["sign"] == "-" else span


def searched(pattern: str) -> str:
    """Return the regular expression for times like a pattern of `strptime`."""
    parts = re.split(r"(%[A-Za-z%])", pattern)
    return "".join(_DIRECTIVES.get(part, re.escape(part)) for part in parts)


def start_from_name(name: str, pattern: str, zone: tzinfo) -> datetime:
    """Return the time that a file's name carries.

    Args:
        name: Name of the file.
        pattern: As for `strptime`, such as `%Y%m%dT%H%M%S`; found anywhere in the name.
        zone: Of the time, unless the pattern has `%z`.

    Raises:
        ValueError: The name has no such time, or the clock showed it twice or never.
    """
    match = re.search(searched(pattern), name)
    if match is None:
        raise ValueError(f"{name}: has no time like {pattern}")
    start = datetime.strptime(match[0], pattern)  # noqa: DTZ007 - the zone follows
    if start.tzinfo is None:
        start = start.replace(tzinfo=zone)
    if start.utcoffset() != start.replace(fold=1).utcoffset():
        raise ValueError(
            f"{name}: {start:%Y-%m-%d %H:%M:%S} is when the clocks of {zone} change; give --start"
        )
    return start.astimezone(UTC)


def to_timestamp(instant: datetime) -> Timestamp:
    """Return an instant for the wire."""
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def to_duration(span: timedelta) -> Duration:
    """Return a span for the wire."""
    duration = Duration()
    duration.FromTimedelta(span)
    return duration


def utc(stamp: Timestamp) -> str:
    """Return a time to read, in UTC; empty when there is none."""
    if not stamp.ByteSize():
        return ""
    return stamp.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def marked(stamp: Timestamp, *, uncertain: bool) -> str:
    """Return a time as `utc` does, with a mark where it is uncertain; `UNCERTAIN` explains it."""
    return utc(stamp) + ("*" if uncertain else "")


def local(stamp: Timestamp, zone: tzinfo | None = None) -> str:
    """Return a time to read, by the clocks of `zone`; without one, by this computer's."""
    return stamp.ToDatetime(UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def seconds_of(stamp: Timestamp) -> float:
    """Return a time in seconds since 1970."""
    return stamp.seconds + stamp.nanos / 1e9


def seconds(duration: Duration) -> float:
    """Return a span in seconds."""
    return duration.ToTimedelta().total_seconds()


def span(duration: Duration | float) -> str:
    """Return a span to read, such as `1:02:03` or `12.4 s`."""
    total = duration if isinstance(duration, int | float) else seconds(duration)
    sign, size = ("-" if total < 0 else ""), abs(total)
    if size < 60:  # noqa: PLR2004 - a minute
        return f"{sign}{size:.1f} s"
    minutes, rest = divmod(round(size), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}:{minutes:02}:{rest:02}"
