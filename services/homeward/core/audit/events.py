"""One event of the audit trail, its canonical bytes and its digest.

The canonical bytes are those of RFC 8785 (JCS) for what stands in an event: a JSON object of
strings, whole numbers and lists of strings, keys in order, no white space, UTF-8.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self

FORMAT = 1
"""Of the events; another one is written by another version."""

FIRST_PREVIOUS = "0" * 64
"""Stands for the digest before a writer's first event."""

STATED_DIGEST = "digest"
"""Key of the digest in a line of an export, where it stands beside what it is the digest of."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
WRITER = re.compile(r"[a-z]{1,32}-[1-9][0-9]{0,5}")
_NUMBERS = frozenset({"sequence", "omitted_resource_count", "count", "format"})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class EventError(ValueError):
    """Bytes are no event; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What was done, by whom, to what. Holds ids alone: no name, no picture, no template."""

    writer: str
    """Whose chain it stands in: a service and a number, such as `matching-1`."""
    sequence: int
    """Its place in that chain, from 1."""
    previous_digest: str
    """Of the event before it in the chain; `FIRST_PREVIOUS` in the first one."""
    event_time: str
    """When it was written, UTC, RFC 3339 with six decimals."""
    service: str
    rpc: str
    """Full name of the RPC, or `background.` and the name of what no call asked for."""
    operation: str
    """Category of processing, such as `CONSULTATION`."""
    actor: str = ""
    """Who called, as authenticated; empty if the server does not know."""
    purpose: str = ""
    """Why, as the caller stated it."""
    case_reference: str = ""
    """The case that it was done for, as the caller stated it."""
    resources: tuple[str, ...] = ()
    """What was touched: a kind and an id each, such as `subject/…`, in order."""
    omitted_resource_count: int = 0
    """How many more resources there were than an event names."""
    outcome: str
    """Status code of the answer, such as `OK`."""
    count: int = 1
    """How many calls it stands for: more than one where unknown callers were refused."""
    format: int = field(default=FORMAT)

    def plain(self) -> dict[str, Any]:
        """Return the fields by their names."""
        return {name: getattr(self, name) for name in self.__slots__}

    def canonical(self) -> bytes:
        """Return the bytes that the digest is of, and that are stored."""
        return canonical(self.plain())

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, hexadecimal."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def line(self) -> bytes:
        """Return the event as an export has it: with its digest, and the end of the line."""
        return canonical({**self.plain(), STATED_DIGEST: self.digest}) + b"\n"

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read canonical bytes.

        Raises:
            EventError: They are not the canonical bytes of an event of this format.
        """
        event = cls.from_plain(_object(data))
        if event.canonical() != data:
            raise EventError("is not written in the canonical form")
        return event

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the event that JSON's own types describe.

        Raises:
            EventError: A field is missing, unknown or of another form.
        """
        names = {one.name for one in fields(cls)}
        if set(plain) != names:
            wrong = sorted(set(plain) ^ names)
            raise EventError(f"lacks, or has beyond the format: {', '.join(wrong)[:200]}")
        event = cls(**{**plain, "resources": _texts(plain["resources"])})
        event.require_form()
        return event

    def require_form(self) -> None:
        """Refuse what no event of this format has.

        Raises:
            EventError: Names the field.
        """
        for name, value in self.plain().items():
            expected = tuple if name == "resources" else int if name in _NUMBERS else str
            if type(value) is not expected:
                raise EventError(f"{name} is of another type")
        wrong = {
            "format": self.format != FORMAT,
            "writer": not WRITER.fullmatch(self.writer),
            "sequence": self.sequence < 1,
            "previous_digest": not _DIGEST.fullmatch(self.previous_digest),
            "event_time": not _TIME.fullmatch(self.event_time),
            "omitted_resource_count": self.omitted_resource_count < 0,
            "count": self.count < 1,
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise EventError(f"{name} has another form")


def canonical(plain: Mapping[str, Any]) -> bytes:
    """Return JSON as RFC 8785 has it; of strings, whole numbers below 2**53 and lists of strings.

    Raises:
        EventError: A string cannot be written in UTF-8.
    """
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise EventError("holds half of a surrogate pair") from error


def read_line(line: bytes) -> AuditEvent:
    """Read a line of an export.

    Raises:
        EventError: It is no event, not in the canonical form, or its digest is another.
    """
    plain = dict(_object(line.removesuffix(b"\n")))
    stated = plain.pop(STATED_DIGEST, None)
    event = AuditEvent.from_plain(plain)
    if stated != event.digest:
        raise EventError("was changed: its digest is another")
    if event.line() != line:
        raise EventError("is not written in the canonical form")
    return event


def format_time(instant: datetime) -> str:
    """Return an instant as events have it."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def parse_time(text: str) -> datetime:
    """Return the instant that `format_time` was given, in UTC."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EventError("is no JSON") from error
    if not isinstance(plain, dict):
        raise EventError("is no JSON object")
    return plain


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise EventError("resources is no list of strings")
    return tuple(value)
