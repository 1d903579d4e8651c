"""Events of calls that were refused before anything of a service ran."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

from homeward.servicekit.audit.around import operation_of
from homeward.servicekit.audit.writer import BACKGROUND, AuditEntry, AuditWriter
from homeward.servicekit.errors import DomainError, Reason, UnauthenticatedError
from homeward.servicekit.identity.caller import Caller
from homeward.servicekit.interceptors import Around, Call, status_of

TOLD_EVERY_SECONDS = 60.0
"""How often refused calls of unknown callers are written down: anybody can make any number."""

REFUSE_UNKNOWN = f"{BACKGROUND}RefuseUnknownCallers"


class RefusedCalls:
    """Counts refused calls of callers who are not known, and writes down how many there were.

    The first one is written at once, those of each minute after it together.

    Args:
        writer: Writes the events.
    """

    def __init__(self, writer: AuditWriter) -> None:
        self._writer = writer
        self._count = 0
        self._telling: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()

    def add(self) -> None:
        """Count one."""
        self._count += 1
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell())

    async def close(self) -> None:
        """Write down those that were counted since the last event."""
        self._closed.set()
        if self._telling is not None:
            await self._telling

    async def _tell(self) -> None:
        while self._count:
            count, self._count = self._count, 0
            # Nobody waits for it: were it not written, that is counted and in the log.
            self._writer.begin(
                AuditEntry(
                    rpc=REFUSE_UNKNOWN,
                    operation="UNSPECIFIED",
                    outcome="UNAUTHENTICATED",
                    count=count,
                )
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(TOLD_EVERY_SECONDS):
                    await self._closed.wait()
        self._telling = None


@asynccontextmanager
async def refused_calls(writer: AuditWriter) -> AsyncGenerator[RefusedCalls, None]:
    """Count refused calls, and write down the last ones when the block ends."""
    refused = RefusedCalls(writer)
    try:
        yield refused
    finally:
        await refused.close()


def refusals_audited(writer: AuditWriter, unknown: RefusedCalls) -> Around:
    """Return what writes an event for each call that a known caller may not make.

    It runs outside of what decides who may call; what gets as far as `audited` has its event there.

    Args:
        writer: Writes them.
        unknown: Counts the calls of those who are not known.
    """

    @asynccontextmanager
    async def around(call: Call) -> AsyncIterator[None]:
        operation = operation_of(call.rpc)
        try:
            yield
        except Exception as error:
            if operation is None or call.exchange.admitted or _over_quota(error):
                raise
            caller = call.exchange.caller
            if caller is not None:
                await writer.write(_entry(call, operation, caller, status_of(error, call)))
            elif isinstance(error, UnauthenticatedError):
                unknown.add()
            raise

    return around


def _over_quota(error: Exception) -> bool:
    """Whether a call was refused for their number: an event for each would be as many."""
    return isinstance(error, DomainError) and error.reason is Reason.QUOTA_EXCEEDED


def _entry(call: Call, operation: str, caller: Caller, outcome: str) -> AuditEntry:
    # Its request was not looked at, so that there is nothing to name.
    return AuditEntry(
        rpc=call.rpc,
        operation=operation,
        outcome=outcome,
        actor=caller.name,
        purpose=caller.purpose,
        case_reference=caller.case_reference,
    )
