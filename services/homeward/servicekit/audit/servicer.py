"""`homeward.api.common.v1.AuditService`."""

from __future__ import annotations

from typing import Any

import grpc

from homeward.api.common.v1 import audit_service_pb2, audit_service_pb2_grpc, options_pb2
from homeward.core.audit.events import WRITER
from homeward.servicekit import wire
from homeward.servicekit.audit.convert import OPERATION, to_event
from homeward.servicekit.audit.reading import AuditTrail, EventFilter
from homeward.servicekit.errors import invalid_field
from homeward.servicekit.paging import PageQuery, invalid_token
from homeward.servicekit.server import Service

Context = grpc.aio.ServicerContext[Any, Any]

_OPERATIONS = options_pb2.Operation.DESCRIPTOR.values_by_number


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    """Serves the trail to auditors."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    def service(self) -> Service:
        """Return what a server serves."""
        return Service(
            audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"].full_name,
            audit_service_pb2_grpc.add_AuditServiceServicer_to_server,
            self,
        )

    async def ListAuditEvents(
        self, request: audit_service_pb2.ListAuditEventsRequest, _: Context
    ) -> audit_service_pb2.ListAuditEventsResponse:
        query = PageQuery.of(request)
        wanted = _filter_from(request)
        after, end = _place(query.after) if query.after else (0, await self._trail.end())
        page = await self._trail.page(wanted, after=after, end=end, size=query.size)
        return audit_service_pb2.ListAuditEventsResponse(
            events=[to_event(event) for event in page.events],
            next_page_token="" if page.ended else query.token(f"{page.last}.{end}"),
        )

    async def VerifyAuditTrail(
        self, request: audit_service_pb2.VerifyAuditTrailRequest, _: Context
    ) -> audit_service_pb2.VerifyAuditTrailResponse:
        until = None
        if request.HasField("end_time"):
            until = wire.from_timestamp(request.end_time, "end_time")
        check = await self._trail.verify(until=until)
        first = next(iter(check.problems), None)
        return audit_service_pb2.VerifyAuditTrailResponse(
            intact=check.intact,
            verified_count=check.count,
            first_broken_sequence=first.sequence if first else 0,
            broken_writer=first.writer if first else "",
            problem=f"{first.fault}: {first.description}" if first else "",
        )

    async def GetAuditCheckpoint(
        self, _: audit_service_pb2.GetAuditCheckpointRequest, __: Context
    ) -> audit_service_pb2.GetAuditCheckpointResponse:
        note, key = await self._trail.checkpoint()
        return audit_service_pb2.GetAuditCheckpointResponse(note=note, verifier_key=key)


def _filter_from(request: audit_service_pb2.ListAuditEventsRequest) -> EventFilter:
    start, end = wire.from_interval(request, "interval")
    for index, operation in enumerate(request.operations):
        if operation not in _OPERATIONS:
            raise invalid_field(f"operations[{index}]", f"is no Operation: {operation}")
    if request.writer and not WRITER.fullmatch(request.writer):
        raise invalid_field("writer", "is not a service and a number, such as matching-1")
    return EventFilter(
        start=start,
        end=end,
        actor=request.actor,
        case_reference=request.case_reference,
        writer=request.writer,
        resource=request.resource,
        operations=[
            options_pb2.Operation.Name(one).removeprefix(OPERATION) for one in request.operations
        ],
    )


def _place(after: str) -> tuple[int, int]:
    position, _, end = after.partition(".")
    if not (position.isdecimal() and end.isdecimal()):
        raise invalid_token()
    return int(position), int(end)
