"""Where the events of a trail are kept, and how they are read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from homeward.servicekit.clock import Clock, SystemClock

SERVICES = ("ingestion", "matching", "scanner")
"""Those that write; each of their processes has a number among those of its service."""


def writer_name(service: str, number: int) -> str:
    """Return the name of a writer; numbers are from 1, without gaps."""
    return f"{service}-{number}"


@dataclass(frozen=True, slots=True)
class Place:
    """What an event is found by without being read."""

    writer: str
    case_reference: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is kept."""

    data: bytes
    """Its canonical bytes."""
    position: int
    """Grows by one with each event, whoever writes it."""
    stored_time: datetime
    """By the clock of the store, UTC."""


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events; what is empty or None fits all."""

    writer: str = ""
    case_reference: str = ""
    actor: str = ""
    start: datetime | None = None
    """Only those that were stored at this instant or later."""
    after: int = 0
    """Only those at later positions."""


class ForkRefusedError(Exception):
    """Somebody else has written to the chain since. Internal to the writer."""


class AuditStore(Protocol):
    """Keeps events; nothing changes or removes one. All calls raise `UnavailableError`."""

    def require_connected(self) -> None:
        """Raise `UnavailableError` if it is known to be away; asks nobody."""

    async def append(self, data: bytes, place: Place, *, after: int) -> int:
        """Write an event and return its position.

        Args:
            data: Its canonical bytes.
            place: What it is to be found by.
            after: Position of the last event of the writer; 0 for none.

        Raises:
            ForkRefusedError: That is not the last event of the writer.
        """

    async def last(self, writer: str) -> StoredEvent | None:
        """Return the newest event of a writer."""

    async def first(self, writer: str) -> StoredEvent | None:
        """Return the oldest event that is held of a writer."""

    async def read(self, query: EventQuery, *, limit: int) -> Sequence[StoredEvent]:
        """Return the first `limit` events that fit, in the order of their positions."""

    async def end(self) -> int:
        """Return the position of the newest event; 0 without any."""

    async def writers(self) -> Sequence[str]:
        """Return the writers of whom an event is held, in the order of their names."""


class InMemoryAuditStore:
    """An `AuditStore` of one process, for tests.

    Args:
        clock: Tells when an event is stored.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._events: list[tuple[Place, StoredEvent]] = []

    def require_connected(self) -> None:
        """Do nothing: it is never away."""

    async def append(self, data: bytes, place: Place, *, after: int) -> int:
        """Write an event and return its position."""
        last = await self.last(place.writer)
        if (last.position if last else 0) != after:
            raise ForkRefusedError(place.writer)
        position = len(self._events) + 1
        self._events.append((place, StoredEvent(data, position, self._clock.now())))
        return position

    async def last(self, writer: str) -> StoredEvent | None:
        """Return the newest event of a writer."""
        found = await self.read(EventQuery(writer=writer), limit=len(self._events))
        return found[-1] if found else None

    async def first(self, writer: str) -> StoredEvent | None:
        """Return the oldest event of a writer."""
        found = await self.read(EventQuery(writer=writer), limit=1)
        return found[0] if found else None

    async def read(self, query: EventQuery, *, limit: int) -> Sequence[StoredEvent]:
        """Return the first `limit` events that fit; it knows no times."""
        fitting = [
            event
            for place, event in self._events
            if event.position > query.after
            and query.writer in ("", place.writer)
            and query.case_reference in ("", place.case_reference)
            and query.actor in ("", place.actor)
        ]
        return fitting[:limit]

    async def end(self) -> int:
        """Return the position of the newest event."""
        return len(self._events)

    async def writers(self) -> Sequence[str]:
        """Return the writers of whom an event is held."""
        return sorted({place.writer for place, _ in self._events})
