"""Events on the wire."""

from __future__ import annotations

from homeward.api.common.v1 import audit_pb2, options_pb2
from homeward.core.audit.events import AuditEvent, parse_time
from homeward.servicekit.wire import to_timestamp

OPERATION = "OPERATION_"


def to_event(event: AuditEvent) -> audit_pb2.AuditEvent:
    """Return an event as protobuf has it."""
    return audit_pb2.AuditEvent(
        sequence=event.sequence,
        event_time=to_timestamp(parse_time(event.event_time)),
        service=event.service,
        rpc=event.rpc,
        operation=options_pb2.Operation.Value(f"{OPERATION}{event.operation}"),
        actor=event.actor,
        purpose=event.purpose,
        case_reference=event.case_reference,
        resources=event.resources,
        outcome=event.outcome,
        chain_digest=event.digest,
        writer=event.writer,
        previous_digest=event.previous_digest,
        omitted_resource_count=event.omitted_resource_count,
        count=event.count,
        format=event.format,
    )
