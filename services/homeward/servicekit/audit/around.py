"""One event for each call that touches personal data, before its answer is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message

from homeward.api.common.v1 import options_pb2
from homeward.servicekit.audit.resources import resources_in
from homeward.servicekit.audit.writer import AuditEntry, AuditWriter
from homeward.servicekit.identity.caller import Caller, current_caller
from homeward.servicekit.interceptors import Around, Call, status_of

OPENED = "OPENED"
"""Outcome of a call that answers with a stream, as its first message is about to be given. How the
stream ends is nobody's to say before it is given."""

_PREFIX = "OPERATION_"


def audited(writer: AuditWriter) -> Around:
    """Return what writes an event for each call whose operation is not NONE.

    A call is refused before anything is done for it if the trail is known to be away, and fails if
    its event cannot be written. An answer of one message is given after this ends; the first
    message of a stream waits for the event.

    Args:
        writer: Writes them.
    """

    @asynccontextmanager
    async def around(call: Call) -> AsyncIterator[None]:
        operation = operation_of(call.rpc)
        if operation is None:
            yield
            return
        call.exchange.admitted = True
        event = _CallEvent(call, operation, writer, current_caller())
        writer.require_connected()
        call.exchange.before_first_response = event.opened
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            event.left()
            raise
        except Exception as error:
            await event.ended(status_of(error, call))
            raise
        await event.ended(grpc.StatusCode.OK.name)

    return around


def operation_of(rpc: str) -> str | None:
    """Return the category of processing that an RPC is, such as `CONSULTATION`; None for none.

    One that states no category is logged as `UNSPECIFIED`; what is no RPC of Homeward's is not.
    """
    method = _method(rpc)
    if method is None:
        return None
    operation = method.GetOptions().Extensions[options_pb2.operation]
    if operation == options_pb2.OPERATION_NONE:
        return None
    return options_pb2.Operation.Name(operation).removeprefix(_PREFIX)


def _method(rpc: str) -> MethodDescriptor | None:
    service, _, name = rpc.partition("/")
    if not service.startswith("homeward."):
        return None
    try:
        methods: Mapping[str, MethodDescriptor] = (
            Default().FindServiceByName(service).methods_by_name
        )
    except KeyError:
        return None
    return methods.get(name)


class _CallEvent:
    """The one event of a call."""

    def __init__(
        self, call: Call, operation: str, writer: AuditWriter, caller: Caller | None
    ) -> None:
        self._call = call
        self._operation = operation
        self._writer = writer
        self._caller = caller
        self._begun = False

    async def opened(self) -> None:
        """Write it before the first message of a stream is given."""
        await self.ended(OPENED)

    async def ended(self, outcome: str) -> None:
        """Write it, unless that was begun."""
        if not self._begun:
            self._begun = True
            await self._writer.write(self._entry(outcome))

    def left(self) -> None:
        """Write it for a caller who has gone, unless that was begun."""
        if not self._begun:
            self._begun = True
            self._writer.begin(self._entry(grpc.StatusCode.CANCELLED.name))

    def _entry(self, outcome: str) -> AuditEntry:
        exchange, caller = self._call.exchange, self._caller
        return AuditEntry(
            rpc=self._call.rpc,
            operation=self._operation,
            outcome=outcome,
            actor=caller.name if caller else "",
            purpose=_purpose(caller, exchange.request),
            case_reference=caller.case_reference if caller else "",
            resources=resources_in(exchange.request, exchange.response),
        )


def _purpose(caller: Caller | None, request: Message | None) -> str:
    """Return why a call was made; of a disclosure, to whom it was, before that.

    An event has no place of its own for the recipient.
    """
    stated = caller.purpose if caller else ""
    recipient = getattr(request, "recipient", "") if request is not None else ""
    if not isinstance(recipient, str) or not recipient:
        return stated
    return f"disclosed to {recipient}" + (f": {stated}" if stated else "")
