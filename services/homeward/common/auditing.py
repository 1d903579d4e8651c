"""The audit trail as a service that stores opens it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from homeward.core import inventory
from homeward.servicekit.audit.nats_store import NatsAuditStore, UnsafeTrailError
from homeward.servicekit.audit.writer import AuditWriter, audit_writer
from homeward.servicekit.clock import Clock
from homeward.servicekit.nats import Nats
from homeward.servicekit.settings import EngineSettings
from homeward.servicekit.startup import eventually


async def open_audit(
    settings: EngineSettings, bus: Nats, clock: Clock, stack: AsyncExitStack, *, service: str
) -> tuple[NatsAuditStore, AuditWriter]:
    """Open the trail, waiting for NATS, and a writer that writes to it.

    Args:
        settings: How long events are kept, and on how many servers.
        bus: The connection.
        clock: Tells the time.
        stack: Finishes what is begun, before the connection is closed.
        service: Whose process this is: `ingestion`, `matching` or `scanner`.

    Raises:
        SystemExit: Events can be removed from the stream that is there.
    """
    opening = partial(
        NatsAuditStore.open,
        bus,
        inventory.AUDIT.place,
        keep=timedelta(days=settings.audit_kept_days),
        replicas=settings.nats_replicas,
    )
    try:
        store = await eventually(opening)
    except UnsafeTrailError as error:
        raise SystemExit(f"{service}: {error}") from error
    writer = await stack.enter_async_context(audit_writer(store, service=service, clock=clock))
    return store, writer
