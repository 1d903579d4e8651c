"""Times and durations as people write and read them.

A time of day counts in the zone that the user names, and is refused without one: a search an hour
off misses the person. Times are shown with their zone, all in one form.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import click
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.cli import terminal, zones

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
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
    "* This time is uncertain: the recorder's clock was changed earlier in the recording, or the"
    " recording paused for an hour or more before it; see `homeward footage show`."
)


def parse_instant(text: str) -> datetime:
    """Return the instant that `text` states, in ISO 8601.

    One without a zone is of the zone that the user names (`zones.stated`).

    Raises:
        ValueError: `text` is no time of a day, has no zone where none is named, or is when clocks
            change; the message says what to write.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it like 2026-11-20T10:00:00Z") from None
    if _DAY.fullmatch(text):
        raise ValueError(f"{text!r} is a day; give the time too, like {text}T10:00:00Z")
    if instant.tzinfo is not None:
        return instant.astimezone(UTC)
    zone = zones.stated()
    if zone is None:
        plain = instant.isoformat()
        raise ValueError(
            f"{text!r} has no time zone; add --timezone, such as --timezone Europe/London, or write"
            f" {plain}Z for UTC"
        )
    return _placed(instant, zone, shown=repr(text))


def parse_from(text: str) -> datetime:
    """Return the instant that `text` states, or the beginning of a day.

    Raises:
        ValueError: `text` is neither.
    """
    return _day_or_instant(text, day_after=0)


def parse_to(text: str) -> datetime:
    """Return the instant that `text` states, or the end of a day.

    Raises:
        ValueError: `text` is neither.
    """
    return _day_or_instant(text, day_after=1)


def parse_day(text: str) -> datetime:
    """Return the last second of a day, or the instant when `text` states one.

    Raises:
        ValueError: `text` is neither.
    """
    day = _day(text)
    if day is not None:
        return _midnight(day + timedelta(days=1)) - timedelta(seconds=1)
    try:
        return parse_instant(text)
    except ValueError as error:
        if ":" in text:
            raise
        raise ValueError(f"{text!r} is not a day; write it like 2026-11-20") from error


def _day(text: str) -> date | None:
    with suppress(ValueError):
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    return None


def _day_or_instant(text: str, *, day_after: int) -> datetime:
    day = _day(text)
    if day is None and ":" not in text:
        raise ValueError(
            f"{text!r} is neither a day nor a time; write it like 2026-11-20 or"
            " 2026-11-20T10:00:00Z"
        )
    if day is None:
        return parse_instant(text)
    instant = _midnight(day + timedelta(days=day_after))
    if zones.stated() is None and zones.first_to_tell():
        zone = zones.name_of(instant.astimezone())
        terminal.tell(
            f"{text} is taken as that day in {zone}, the time zone of this computer; --timezone"
            " names another.",
            err=True,
        )
    return instant


def _midnight(day: date) -> datetime:
    """Return when a day begins, by the zone that is named or by this computer's."""
    zone = zones.stated()
    midnight = datetime.combine(day, time()).replace(tzinfo=zone)
    return midnight.astimezone(UTC)  # one without a zone is taken as by this computer's clock


def _placed(clock: datetime, zone: tzinfo, *, shown: str) -> datetime:
    """Return the instant at which the clocks of a zone show a time.

    Raises:
        ValueError: They show it twice, or never.
    """
    start = clock.replace(tzinfo=zone)
    if start.utcoffset() != start.replace(fold=1).utcoffset():
        raise ValueError(
            f"{shown}: {start:%Y-%m-%d %H:%M:%S} is when the clocks of {zone} change; write it in"
            f" UTC, as {start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} or"
            f" {start.replace(fold=1).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        )
    return start.astimezone(UTC)


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
    return start.astimezone(UTC) if start.tzinfo else _placed(start, zone, shown=name)


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


def shown(stamp: Timestamp) -> str:
    """Return a time to read, with its zone; empty when there is none.

    It is by the clocks of the zone that the user names, else by this computer's.
    """
    if not stamp.ByteSize():
        return ""
    return shown_instant(stamp.ToDatetime(UTC))


def shown_instant(instant: datetime) -> str:
    """Return a time to read, as `shown` does."""
    local = instant.astimezone(zones.stated())
    return f"{local:%Y-%m-%d %H:%M:%S} {zones.name_of(local)}"


def marked(stamp: Timestamp, *, uncertain: bool) -> str:
    """Return a time as `shown` does, marked where it is uncertain; `UNCERTAIN` explains it."""
    return shown(stamp) + ("*" if uncertain else "")


def interval(begin: datetime | None, end: datetime | None) -> TimeInterval | None:
    """Return a span of time for the wire; nothing when it has no bound.

    Raises:
        click.UsageError: It ends before it begins.
    """
    if begin is None and end is None:
        return None
    if begin and end and end <= begin:
        raise click.UsageError("--to must be later than --from")
    return TimeInterval(
        start_time=to_timestamp(begin) if begin else None,
        end_time=to_timestamp(end) if end else None,
    )


def length(interval: TimeInterval) -> str:
    """Return how long an interval lasts, to read."""
    lasts = interval.end_time.ToNanoseconds() - interval.start_time.ToNanoseconds()
    return span(lasts / 1e9) if lasts > 0 else ""


def seconds_of(stamp: Timestamp) -> float:
    """Return a time in seconds since 1970."""
    return stamp.seconds + stamp.nanos / 1e9


def seconds(duration: Duration) -> float:
    """Return a span in seconds."""
    return duration.ToTimedelta().total_seconds()


def position(offset: Duration) -> str:
    """Return a place in a recording as a player shows it, with a tenth of a second."""
    tenths = round(seconds(offset) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest // 10:02}.{rest % 10}"


def span(duration: Duration | float) -> str:
    """Return a span to read, as it is typed: `1h02m03s`, `1m30s` or `12.4s`."""
    total = duration if isinstance(duration, int | float) else seconds(duration)
    sign, size = ("-" if total < 0 else ""), abs(total)
    if round(size, 1) < 60:  # noqa: PLR2004 - a minute
        return f"{sign}{size:.1f}s"
    minutes, rest = divmod(round(size), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}h{minutes:02}m{rest:02}s" if hours else f"{sign}{minutes}m{rest:02}s"
