"""Writing events: one chain for each process, which cannot fork."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Histogram

from homeward.core.audit.events import FIRST_PREVIOUS, AuditEvent, format_time
from homeward.servicekit import errors
from homeward.servicekit.audit.resources import is_resource, named_first
from homeward.servicekit.audit.store import (
    SERVICES,
    AuditStore,
    ForkRefusedError,
    Place,
    writer_name,
)
from homeward.servicekit.clock import Clock

MOST_ATTEMPTS = 16
"""At one event, each under another name: so many processes of a service may begin at once."""

WRITE_SECONDS = 10.0
"""Within which an event is written, the wait for those before it included; then it is given up, and
its call fails. A request to NATS may take half of it."""

MOST_WAITING = 1000
"""Events that wait at a time; while so many do, calls are refused before anything is done."""

LONGEST_TEXT = 200
"""Characters of what a caller states that an event has."""

BACKGROUND = "background."
"""How the names of acts begin that no call asked for."""

BEGUN = Counter(
    "homeward_audit_begun_total", "Calls and acts that ended and must have an audit event."
)
WRITTEN = Counter("homeward_audit_events_total", "Audit events that were written.")
FAILURES = Counter(
    "homeward_audit_failures_total",
    "Audit events that could not be written; the call, or the act, failed with them.",
)
SECONDS = Histogram(
    "homeward_audit_write_seconds",
    "How long it took to write an audit event, the wait for those before it included.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What is to be written down; the writer adds when, and the chain."""

    rpc: str
    operation: str
    outcome: str
    actor: str = ""
    purpose: str = ""
    case_reference: str = ""
    resources: Sequence[str] = ()
    count: int = 1


@dataclass(frozen=True, slots=True)
class _Head:
    """Where a chain ends."""

    sequence: int
    digest: str
    position: int


class AuditWriter:
    """Writes the events of one process, one after the other.

    It begins with the first name of its service, and goes on with the chain that is there. Where
    another process writes under that name too, the store refuses the second of two events that
    would follow the same one, and the process that wrote it goes on under the next name.

    Args:
        store: Keeps the events.
        service: One of `SERVICES`.
        clock: Tells the time.
    """

    def __init__(self, store: AuditStore, *, service: str, clock: Clock) -> None:
        if service not in SERVICES:
            raise ValueError(f"{service} is none of the services that write: {SERVICES}")
        self._store = store
        self._service = service
        self._clock = clock
        self._number = 1
        self._head: _Head | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The name that it writes under now."""
        return writer_name(self._service, self._number)

    def require_connected(self) -> None:
        """Refuse work that could not be written down, before it is done.

        Raises:
            UnavailableError: The store is known to be away, or too many events wait for it.
        """
        if len(self._tasks) >= MOST_WAITING:
            raise _not_written(f"{MOST_WAITING} audit events wait to be written")
        self._store.require_connected()

    async def write(self, entry: AuditEntry) -> None:
        """Write an event; return when it is kept. It is written even if the caller is cancelled.

        Raises:
            UnavailableError: It was not written within `WRITE_SECONDS`, or nobody knows whether it
                was.
        """
        await asyncio.shield(self.begin(entry))

    def begin(self, entry: AuditEntry) -> asyncio.Task[None]:
        """Begin to write an event for which nobody may be there to wait."""
        BEGUN.inc()
        task = asyncio.create_task(self._write(entry))
        self._tasks.add(task)
        task.add_done_callback(self._written)
        return task

    async def record(self, act: str, operation: str, resources: Sequence[str]) -> None:
        """Write down that something was done without a call, see `Acts`."""
        await self.write(
            AuditEntry(
                rpc=f"{BACKGROUND}{act}",
                operation=operation,
                outcome="OK",
                actor=self._service,
                # What has another form may be anything, such as the name of a foreign object.
                resources=sorted({one for one in resources if is_resource(one)}),
            )
        )

    async def finish(self) -> None:
        """Return when all that was begun is written, or has failed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            FAILURES.inc()
            log.error("audit event not written", problem=type(error).__name__)

    async def _write(self, entry: AuditEntry) -> None:
        limit = asyncio.timeout(WRITE_SECONDS)
        with SECONDS.time():
            try:
                async with limit, self._turn:
                    await self._append(entry)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise _not_written(
                    f"the audit event was not written within {WRITE_SECONDS:g} s", waited=True
                ) from error
        WRITTEN.inc()

    async def _append(self, entry: AuditEntry) -> None:
        for _ in range(MOST_ATTEMPTS):
            head = self._head or await self._read_head()
            event = self._event(entry, head)
            place = Place(event.writer, event.case_reference, event.actor)
            # Until it is known how this ended, nobody knows where the chain ends.
            self._head = None
            try:
                position = await self._store.append(event.canonical(), place, after=head.position)
            except ForkRefusedError:
                log.info("another process writes audit events too", writer=self.name)
                self._number += 1
                continue
            self._head = _Head(event.sequence, event.digest, position)
            return
        raise _not_written(
            "the audit event could not be written: too many processes of this service begin at once"
        )

    async def _read_head(self) -> _Head:
        stored = await self._store.last(self.name)
        if stored is None:
            return _Head(0, FIRST_PREVIOUS, 0)
        event = AuditEvent.read(stored.data)
        return _Head(event.sequence, event.digest, stored.position)

    def _event(self, entry: AuditEntry, head: _Head) -> AuditEvent:
        resources = named_first(entry.resources)
        return AuditEvent(
            writer=self.name,
            sequence=head.sequence + 1,
            previous_digest=head.digest,
            event_time=format_time(self._clock.now()),
            service=self._service,
            rpc=entry.rpc,
            operation=entry.operation,
            actor=_bounded(entry.actor),
            purpose=_bounded(entry.purpose),
            case_reference=_bounded(entry.case_reference),
            resources=resources,
            omitted_resource_count=len(entry.resources) - len(resources),
            outcome=entry.outcome,
            count=entry.count,
        )


@asynccontextmanager
async def audit_writer(
    store: AuditStore, *, service: str, clock: Clock
) -> AsyncGenerator[AuditWriter, None]:
    """Make a writer, and finish what it has begun when the block ends."""
    writer = AuditWriter(store, service=service, clock=clock)
    try:
        yield writer
    finally:
        await writer.finish()


def _not_written(message: str, *, waited: bool = False) -> errors.UnavailableError:
    return errors.UnavailableError(
        f"{message}; try again",
        reason=errors.Reason.COMPONENT_UNAVAILABLE,
        metadata={"component": "audit", "address": ""},
        waited=waited,
    )


def _bounded(text: str) -> str:
    """Return what a caller states, in one line that is not too long and that UTF-8 can write."""
    return "".join(one if one.isprintable() else " " for one in text[:LONGEST_TEXT])
