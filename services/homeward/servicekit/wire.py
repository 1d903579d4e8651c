"""Protobuf's shapes as Python's, and the field rules that all services share."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from homeward.api.common.v1 import types_pb2
from homeward.servicekit.errors import invalid_field

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UUID_PREFIX = re.compile(r"(?=.{1,36}$)[0-9a-f]{1,8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?")


def to_timestamp(instant: datetime) -> Timestamp:
    """Return an instant as protobuf has it."""
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def from_timestamp(stamp: Timestamp, field: str) -> datetime:
    """Return an instant, in UTC.

    Raises:
        InvalidArgumentError: It is outside of the years 1 to 9999.
    """
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise invalid_field(field, "is not an instant of the years 1 to 9999") from error


def to_duration(span: timedelta) -> Duration:
    """Return a span of time as protobuf has it."""
    duration = Duration()
    duration.FromTimedelta(span)
    return duration


def from_duration(duration: Duration, field: str) -> timedelta:
    """Return a span of time.

    Raises:
        InvalidArgumentError: It is longer than 10,000 years.
    """
    try:
        return duration.ToTimedelta()
    except (ValueError, OverflowError) as error:
        raise invalid_field(field, "is longer than 10,000 years") from error


def to_interval(start: datetime | None, end: datetime | None) -> types_pb2.TimeInterval:
    """Return a span between two instants as protobuf has it."""
    return types_pb2.TimeInterval(
        start_time=to_timestamp(start) if start else None,
        end_time=to_timestamp(end) if end else None,
    )


def from_interval(
    message: Message, field: str, *, required: bool = False, within: str = ""
) -> tuple[datetime | None, datetime | None]:
    """Return the ends of the `TimeInterval` in a field, None where there is no bound.

    Args:
        message: Has the field.
        field: Its name.
        required: Refuse an interval without both ends.
        within: Path of `message` in the request, with its `.`, for the refusal.

    Raises:
        InvalidArgumentError: The end is not later than the start, or one is missing though
            required.
    """
    interval: types_pb2.TimeInterval = getattr(message, field)
    ends: list[datetime | None] = []
    for name in ("start_time", "end_time"):
        path = f"{within}{field}.{name}"
        if interval.HasField(name):
            ends.append(from_timestamp(getattr(interval, name), path))
        elif required:
            raise invalid_field(path, "is required")
        else:
            ends.append(None)
    start, end = ends
    if start and end and end <= start:
        raise invalid_field(f"{within}{field}.end_time", "must be later than start_time")
    return start, end


def require(message: Message, field: str, path: str) -> None:
    """Refuse a message without a field that is required.

    Raises:
        InvalidArgumentError: The field is absent.
    """
    if not message.HasField(field):
        raise invalid_field(path, "is required")


def text(value: str, field: str, *, least: int = 0, most: int) -> str:
    """Return a text that is neither too short nor too long, without spaces around it.

    Raises:
        InvalidArgumentError: It is.
    """
    stripped = value.strip()
    if len(stripped) < least:
        raise invalid_field(field, "is required")
    if len(stripped) > most:
        raise invalid_field(field, f"has {len(stripped)} characters, at most {most} are allowed")
    return stripped


def prose(value: str, field: str, *, least: int = 0, most: int) -> str:
    """Return a text of people's own words, as `text` does; it may have several lines.

    Raises:
        InvalidArgumentError: It is too short or too long, or has other control characters.
    """
    stripped = text(value, field, least=least, most=most)
    if not all(character.isprintable() or character == "\n" for character in stripped):
        raise invalid_field(field, "has control characters")
    return stripped


def one_line(value: str, field: str, *, least: int = 0, most: int) -> str:
    """Return a text as `text` does, such as a name, which has one line.

    Raises:
        InvalidArgumentError: It is too short or too long, or has control characters.
    """
    stripped = text(value, field, least=least, most=most)
    if not stripped.isprintable():
        raise invalid_field(field, "has control characters")
    return stripped


def uuid_text(value: str, field: str) -> str:
    """Return a UUID in its usual writing.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not value:
        raise invalid_field(field, "is required")
    try:
        return str(uuid.UUID(value))
    except ValueError as error:
        raise invalid_field(field, "is not an id that Homeward gave") from error


def uuid_prefix(value: str, field: str) -> str:
    """Return how UUIDs that are looked for begin; empty for any.

    Raises:
        InvalidArgumentError: No UUID begins so.
    """
    if value and not _UUID_PREFIX.fullmatch(value):
        raise invalid_field(field, "is not the beginning of an id that Homeward gave")
    return value


def request_id(value: str, field: str, *, required: bool = False) -> str:
    """Return a client's own id of a request, or "".

    Raises:
        InvalidArgumentError: It has other characters than it may, or is missing though required.
    """
    if not value and not required:
        return ""
    if not _REQUEST_ID.fullmatch(value):
        raise invalid_field(field, "must be 1 to 64 of A-Z, a-z, 0-9, - and _")
    return value


def number_between(value: float, field: str, *, least: float, most: float) -> float:
    """Return a number in a range.

    Raises:
        InvalidArgumentError: It is outside, or not a number.
    """
    if not least <= value <= most:
        raise invalid_field(field, f"must be {least:g} to {most:g}, is {value:g}")
    return value


def count_between(count: int, field: str, *, least: int, most: int) -> int:
    """Return how many items a field has.

    Raises:
        InvalidArgumentError: Fewer or more than it may.
    """
    if not least <= count <= most:
        raise invalid_field(field, f"must have {least} to {most} items, has {count}")
    return count


def mask_paths(mask: FieldMask, field: str, allowed: Collection[str]) -> tuple[str, ...]:
    """Return the paths of an update.

    Raises:
        InvalidArgumentError: There are none, or one that may not be changed.
    """
    if not mask.paths:
        raise invalid_field(field, f"is required; it may name {', '.join(sorted(allowed))}")
    for path in mask.paths:
        if path not in allowed:
            raise invalid_field(
                field, f"{path} cannot be changed, only {', '.join(sorted(allowed))}"
            )
    return tuple(mask.paths)
