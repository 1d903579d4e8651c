"""Copying the trail to where nobody can change it: objects under lock, of some events each.

Where a part ends follows from the events and from when the store took them, so that whoever writes
a part, and however often, writes the same bytes under the same name. How far the archive reaches
is told by the names that are in it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge

from homeward.core.audit.archive import Part, line_of, part_checkpoint
from homeward.core.audit.events import AuditEvent, EventError, format_time, read_line
from homeward.servicekit.audit.reading import Signer
from homeward.servicekit.audit.store import AuditStore, EventQuery, StoredEvent
from homeward.servicekit.clock import Clock
from homeward.servicekit.lease import Proceed

MOST_EVENTS = 5000
"""Of a part."""

MOST_BYTES = 8 * 1024 * 1024
"""Of a part, but for the last event."""

MOST_OBJECT_BYTES = 4 * MOST_BYTES
"""Of an object that is read: a longer one is none of ours, and is not read to its end."""

READ_AT_ONCE = 250

LOOKED_EVERY = timedelta(minutes=1)
"""Time between two looks whether something is due."""

SETTLES = timedelta(minutes=1)
"""How long after a part's time it is written: the clock of the store may be late by that."""

ARCHIVED = Gauge(
    "homeward_audit_archived_timestamp_seconds",
    "Up to when the archive was last found to have all events that are due there; 0 if this"
    " replica never found that.",
    ["bucket"],
)
FAULTS = Counter(
    "homeward_audit_archive_faults_total",
    "Times that the audit trail and its archive were found to contradict each other, or the archive"
    " not to be locked.",
)

log = structlog.get_logger()


class ArchiveFaultError(Exception):
    """The archive and the trail contradict each other, or the archive keeps nothing."""


class Archive(Protocol):
    """Keeps objects that nobody can change or remove. All calls raise `UnavailableError`."""

    @property
    def name(self) -> str:
        """What operators know it by."""

    async def newest(self) -> Part | None:
        """Return the part that reaches farthest; one that was deleted counts, as it is kept."""

    async def get(self, name: str) -> bytes | None:
        """Return an object, or None."""

    async def put(self, name: str, data: bytes, *, until: datetime) -> None:
        """Write an object and lock it, unless it is there.

        Args:
            name: Its name.
            data: Its bytes.
            until: Up to when nobody is to remove it.

        Raises:
            ArchiveFaultError: It is there with other bytes, or the store has not locked it.
        """


@dataclass(frozen=True, slots=True)
class _Made:
    """A part that is to be written."""

    part: Part
    lines: Sequence[bytes]
    stored_time: datetime
    """Of the last event."""


class TrailArchiver:
    """Copies a trail to its archive.

    Args:
        store: Has the trail.
        archive: Where it goes.
        signer: Signs a checkpoint of each part; None signs none.
        clock: Tells the time.
        every: Events that the store took in the same span of this length go into one object, or
            into several if there are more than `MOST_EVENTS` or `MOST_BYTES`.
        keep: How long objects are locked, from when the store took their last event.
    """

    def __init__(
        self,
        store: AuditStore,
        archive: Archive,
        *,
        signer: Signer | None,
        clock: Clock,
        every: timedelta,
        keep: timedelta,
    ) -> None:
        self._store = store
        self._archive = archive
        self._signer = signer
        self._clock = clock
        self._every = every
        self._keep = keep
        self._begun = False
        self._archived = ARCHIVED.labels(archive.name)
        self._archived.set(0)

    async def run(self, proceed: Proceed) -> None:
        """Archive what is due. A contradiction is logged and counted; nothing is overwritten.

        Args:
            proceed: Tells whether to go on.

        Raises:
            UnavailableError: The store or the archive does not answer.
        """
        try:
            waiting = await self._copy(proceed)
        except ArchiveFaultError as error:
            _tell(str(error))
        else:
            self._archived.set(waiting.timestamp())

    async def _copy(self, proceed: Proceed) -> datetime:
        """Archive what is due and return up to when that is."""
        newest = await self._archive.newest()
        after = newest.last if newest else 0
        end = await self._store.end()
        if end < after:
            raise ArchiveFaultError(
                f"the trail ends at {end}, and its archive {self._archive.name} at {after}: the"
                " stream AUDIT was lost or replaced. Keep both, find out why, and give the new"
                " trail a bucket of its own by HOMEWARD_AUDIT_BUCKET"
            )
        compared = not self._begun
        if newest is not None and compared:  # whoever wrote it may have ended before its checkpoint
            await self._compare(newest)
        self._begun = True
        while True:
            now = self._clock.now()  # before looking: what comes later is of the next time
            first = await self._peek(after)
            if first is None:
                return now
            waits = end - after < MOST_EVENTS and now < self._due(first)
            made = None if waits or not await proceed() else await self._next(after, now)
            if made is None:
                return first.stored_time
            if newest is not None and not compared:
                await self._compare(newest)
            begin = after + 1 if after else made.part.first  # what is too old to be kept is no gap
            if len(made.lines) != made.part.last - begin + 1:
                _tell(f"of the positions {begin} to {made.part.last}, the trail has not all")
            await self._write(made)
            newest, after, compared = made.part, made.part.last, True
            end = await self._store.end()

    async def _compare(self, part: Part) -> None:
        """Require that the archive has of a part what the trail has, and finish it."""
        lines: list[bytes] = []
        size = 0
        first = stored = None
        async for one in self._events(part.first - 1):
            if one.position > part.last or size > MOST_OBJECT_BYTES:
                break
            first = first or one.position
            stored = one.stored_time
            lines.append(line_of(one.data, one.position))
            size += len(lines[-1])
        if stored is not None and first == part.first:  # or some are too old to be kept there
            await self._write(_Made(part, lines, stored))

    async def _peek(self, after: int) -> StoredEvent | None:
        found = await self._store.read(EventQuery(after=after), limit=1)
        return found[0] if found else None

    async def _next(self, after: int, now: datetime) -> _Made | None:
        """Return the part after a position; None if it is not to end yet."""
        events: list[StoredEvent] = []
        lines: list[bytes] = []
        size = 0
        whole = False
        async for one in self._events(after):
            line = line_of(one.data, one.position)
            whole = bool(events) and (
                self._span(one) > self._span(events[0])
                or len(events) == MOST_EVENTS
                or size + len(line) > MOST_BYTES
            )
            if whole:
                break
            events.append(one)
            lines.append(line)
            size += len(line)
        if not events or not (whole or now >= self._due(events[0])):
            return None
        part = Part(events[0].position, events[-1].position)
        return _Made(part, lines, events[-1].stored_time)

    async def _events(self, after: int) -> AsyncGenerator[StoredEvent, None]:
        while True:
            found = await self._store.read(EventQuery(after=after), limit=READ_AT_ONCE)
            for one in found:
                yield one
            if len(found) < READ_AT_ONCE:
                return
            after = found[-1].position

    async def _write(self, made: _Made) -> None:
        until = made.stored_time + self._keep
        await self._archive.put(made.part.events_name, b"".join(made.lines), until=until)
        name = made.part.checkpoint_name
        # One that is there may be signed with a key of before.
        if self._signer is not None and await self._archive.get(name) is None:
            checkpoint = part_checkpoint(_readable(made.lines), format_time(made.stored_time))
            note = self._signer.sign(checkpoint.text())
            await self._archive.put(name, note.encode(), until=until)

    def _span(self, event: StoredEvent) -> int:
        return int(event.stored_time.timestamp() // self._every.total_seconds())

    def _due(self, event: StoredEvent) -> datetime:
        """Return when the part that begins with an event is written."""
        end = (self._span(event) + 1) * self._every.total_seconds()
        return datetime.fromtimestamp(end, UTC) + SETTLES


def _readable(lines: Sequence[bytes]) -> Iterator[AuditEvent]:
    for line in lines:
        try:
            yield read_line(line)
        except EventError:
            continue


def _tell(problem: str) -> None:
    FAULTS.inc()
    log.error("audit archive at fault", problem=problem)


class InMemoryArchive:
    """An `Archive` of one process, for tests.

    Attributes:
        held: Objects with their bytes, by their names.
        locked_until: Up to when each is locked.
    """

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.locked_until: dict[str, datetime] = {}

    @property
    def name(self) -> str:
        """What operators know it by."""
        return "memory"

    async def newest(self) -> Part | None:
        """Return the part that reaches farthest."""
        parts = [part for name in self.held if (part := Part.of_events(name))]
        return max(parts, key=lambda part: part.last, default=None)

    async def get(self, name: str) -> bytes | None:
        """Return an object, or None."""
        return self.held.get(name)

    async def put(self, name: str, data: bytes, *, until: datetime) -> None:
        """Write an object, unless it is there."""
        if self.held.setdefault(name, data) != data:
            raise other_bytes(self.name, name)
        self.locked_until.setdefault(name, until)


def other_bytes(archive: str, name: str) -> ArchiveFaultError:
    """Return the error for an object that is there, and is another."""
    return ArchiveFaultError(
        f"{name} is in the archive {archive} with other bytes than the trail has: one of the two"
        " was changed. Nothing was overwritten; verify both, with the checkpoints that you kept"
    )
