"""Reading the trail: lists, verification and checkpoints."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from homeward.core.audit.checkpoints import Checkpoint, Span
from homeward.core.audit.events import AuditEvent, EventError, format_time
from homeward.core.audit.trail import TrailCheck
from homeward.servicekit import errors
from homeward.servicekit.audit.store import AuditStore, EventQuery, StoredEvent
from homeward.servicekit.clock import Clock

READ_AT_ONCE = 1000
MOST_PAGE_BYTES = 8 * 1024 * 1024
"""Of the events of a page; one more may be in it."""

CLOCKS_DIFFER = timedelta(minutes=5)
"""By which the clock of the store and those of services may differ: the store is asked for events
that it has stored so long before the interval."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; what is empty or None fits all."""

    start: datetime | None = None
    end: datetime | None = None
    actor: str = ""
    case_reference: str = ""
    writer: str = ""
    resource: str = ""
    operations: Collection[str] = ()

    def fits(self, event: AuditEvent) -> bool:
        """Tell whether an event is one of those."""
        return (
            (self.start is None or event.event_time >= format_time(self.start))
            and (self.end is None or event.event_time < format_time(self.end))
            and self.actor in ("", event.actor)
            and self.case_reference in ("", event.case_reference)
            and self.writer in ("", event.writer)
            and (not self.operations or event.operation in self.operations)
            and (not self.resource or any(_is(one, self.resource) for one in event.resources))
        )


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some of the events of a list."""

    events: tuple[AuditEvent, ...]
    last: int
    """Position up to which was looked."""
    ended: bool


class Signer(Protocol):
    """Signs checkpoints."""

    def sign(self, text: str) -> str:
        """Return a signed note with `text`."""

    @property
    def verifier_key(self) -> str:
        """What verifies it, as `NAME+ID+KEY`."""


class AuditTrail:
    """The trail of an installation, as auditors read it.

    Args:
        store: Keeps the events.
        signer: Signs checkpoints; None signs none.
        clock: Tells the time.
    """

    def __init__(self, store: AuditStore, *, signer: Signer | None, clock: Clock) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock

    async def end(self) -> int:
        """Return the position of the newest event."""
        return await self._store.end()

    async def page(self, wanted: EventFilter, *, after: int, end: int, size: int) -> EventPage:
        """Return the next events of a list.

        Reads `READ_AT_ONCE` of those that the store finds, so that a page may be empty though
        others have events.

        Args:
            wanted: Which.
            after: Position after which to go on; 0 at first.
            end: Position of the last event that may be in the list.
            size: Most events.

        Raises:
            UnavailableError: The store does not answer.
        """
        query = EventQuery(
            writer=wanted.writer,
            case_reference=wanted.case_reference,
            actor=wanted.actor,
            start=wanted.start - CLOCKS_DIFFER if wanted.start else None,
            after=after,
        )
        stored = await self._store.read(query, limit=READ_AT_ONCE)
        found: list[AuditEvent] = []
        read = 0
        for one in stored:
            if one.position > end:
                return EventPage(tuple(found), end, ended=True)
            event = AuditEvent.read(one.data)
            if wanted.end and event.event_time >= format_time(wanted.end + CLOCKS_DIFFER):
                return EventPage(tuple(found), end, ended=True)
            after = one.position
            if wanted.fits(event):
                found.append(event)
                read += len(one.data)
            if len(found) == size or read >= MOST_PAGE_BYTES:
                return EventPage(tuple(found), after, ended=after >= end)
        return EventPage(tuple(found), after, ended=len(stored) < READ_AT_ONCE)

    async def touching(self, resources: Collection[str], *, since: datetime) -> list[AuditEvent]:
        """Return the events about any of some resources, as `KIND/ID`, from an instant on.

        Reads all events from then on.
        """
        asked, wanted = frozenset(resources), EventFilter(start=since)
        end, after = await self.end(), 0
        found: list[AuditEvent] = []
        while True:
            page = await self.page(wanted, after=after, end=end, size=READ_AT_ONCE)
            found += [one for one in page.events if asked.intersection(one.resources)]
            if page.ended:
                return found
            after = page.last

    async def verify(self, *, until: datetime | None) -> TrailCheck:
        """Follow each chain from its first event that is held."""
        check = TrailCheck()
        latest = format_time(until) if until else None
        # Writers that have come to an event after that. Where their clock was set back, earlier
        # times follow: without the events between, these would seem to be missing.
        past = set[str]()
        async for one in self._all():
            try:
                event = AuditEvent.read(one.data)
            except EventError as error:
                check.damaged(f"the event stored at {one.position} {error}")
                continue
            if latest is not None and event.event_time > latest:
                past.add(event.writer)
            if event.writer not in past:
                check.add(event)
        check.finish()
        return check

    async def checkpoint(self) -> tuple[str, str]:
        """Return a signed note of where the chains end now, and the key that verifies it.

        Raises:
            FailedPreconditionError: `AUDIT_KEY_MISSING`.
            UnavailableError: The store does not answer.
        """
        if self._signer is None:
            raise errors.FailedPreconditionError(
                "this service has no key to sign checkpoints with; matching signs them where it has"
                " one",
                advice="set HOMEWARD_AUDIT_KEY_FILE for matching",
                reason=errors.Reason.AUDIT_KEY_MISSING,
            )
        spans = {}
        for writer in await self._store.writers():
            first, last = await self._store.first(writer), await self._store.last(writer)
            if first is not None and last is not None:
                begin, end = AuditEvent.read(first.data), AuditEvent.read(last.data)
                spans[writer] = Span(
                    begin.sequence, begin.previous_digest, end.sequence, end.digest
                )
        text = Checkpoint(format_time(self._clock.now()), spans).text()
        return self._signer.sign(text), self._signer.verifier_key

    async def _all(self) -> AsyncGenerator[StoredEvent, None]:
        end = await self._store.end()
        query = EventQuery()
        while query.after < end:
            stored = await self._store.read(query, limit=READ_AT_ONCE)
            for one in _up_to(stored, end):
                yield one
            if not stored:
                return
            query = replace(query, after=stored[-1].position)


def _up_to(stored: Collection[StoredEvent], end: int) -> Iterator[StoredEvent]:
    return (one for one in stored if one.position <= end)


def _is(named: str, asked: str) -> bool:
    return asked in (named, named.partition("/")[2])
