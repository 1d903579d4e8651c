"""The archive of a trail: parts of it as objects, whose names say what is in them.

A part holds the events of some positions of the stream, in their order, as lines of JSON. Its name
is `FIRST-LAST.jsonl`, both positions with twenty digits, so that the order of names is the order of
events, and the next part begins where one ends. Beside it may be `FIRST-LAST.note`, a signed
checkpoint of what the part holds of each writer's chain.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from homeward.core.audit.checkpoints import Checkpoint, Span
from homeward.core.audit.events import AuditEvent, EventError, canonical

FOLDER = "trail"
"""Where the parts are in the bucket."""

MOST_LINE_BYTES = 1024 * 1024
"""Of a line; an event has a third of that at most."""

_EVENTS, _CHECKPOINT = "jsonl", "note"
_NAME = re.compile(rf"(\d{{20}})-(\d{{20}})\.({_EVENTS}|{_CHECKPOINT})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """Positions of the trail that one object holds, both included."""

    first: int
    last: int

    @property
    def events_name(self) -> str:
        """Name of the object with the events."""
        return f"{self.first:020}-{self.last:020}.{_EVENTS}"

    @property
    def checkpoint_name(self) -> str:
        """Name of the object with the checkpoint."""
        return f"{self.first:020}-{self.last:020}.{_CHECKPOINT}"

    @classmethod
    def of_events(cls, name: str) -> Self | None:
        """Return the part whose events have this name; None if that is no such name."""
        return cls._named(name, _EVENTS)

    @classmethod
    def of_checkpoint(cls, name: str) -> Self | None:
        """Return the part whose checkpoint has this name; None if that is no such name."""
        return cls._named(name, _CHECKPOINT)

    @classmethod
    def _named(cls, name: str, kind: str) -> Self | None:
        match = _NAME.fullmatch(name)
        if match is None or match[3] != kind:
            return None
        part = cls(int(match[1]), int(match[2]))
        return part if 1 <= part.first <= part.last else None


def line_of(data: bytes, position: int) -> bytes:
    """Return the line for what is stored at a position.

    What is no event, because somebody has tampered with the store, has a line of its own, so that
    it is kept as it was found, and does not keep the others from being archived.
    """
    try:
        return AuditEvent.read(data).line()
    except EventError:
        found = base64.b64encode(data).decode()
        return canonical({"position": position, "unreadable": found}) + b"\n"


def part_checkpoint(events: Iterable[AuditEvent], time: str) -> Checkpoint:
    """Return what a part holds of each writer's chain.

    Args:
        events: Those of the part, in order.
        time: When the last one was stored.
    """
    spans: dict[str, Span] = {}
    for event in events:
        held = spans.get(event.writer)
        first = (
            (held.first, held.previous_digest) if held else (event.sequence, event.previous_digest)
        )
        spans[event.writer] = Span(*first, event.sequence, event.digest)
    return Checkpoint(time, spans)
