"""The audit trail as callers and auditors meet it."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import homeward.api
from homeward.api.common.v1 import audit_service_pb2, audit_service_pb2_grpc, options_pb2
from homeward.core.audit.events import AuditEvent
from homeward.core.audit.trail import TrailCheck
from homeward.servicekit.audit.around import OPENED, audited
from homeward.servicekit.audit.reading import AuditTrail
from homeward.servicekit.audit.resources import kind_of
from homeward.servicekit.audit.servicer import AuditServicer
from homeward.servicekit.audit.store import EventQuery, InMemoryAuditStore
from homeward.servicekit.audit.writer import AuditWriter
from homeward.servicekit.clients import open_channel, translate
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import NotFoundError, Reason, UnavailableError, unavailable
from homeward.servicekit.interceptors import chain
from homeward.servicekit.server import GrpcServer, Service
from homeward.servicekit.wire import to_interval

SUBJECT = "11111111-2222-4333-8444-555555555555"
OTHER = "99999999-2222-4333-8444-555555555555"
SLUG = "gate-20260304t120000000000z-0123456789abcdef"
NAME = "Anna Example, 14"
RECIPIENT = "Westmarch Police"
"""To whom something is disclosed is what the law wants in the trail."""
"""Personal text, in every field of a request that takes text."""


def all_methods() -> Iterator[MethodDescriptor]:
    for found in pkgutil.walk_packages(homeward.api.__path__, "homeward.api."):
        if found.name.endswith("_service_pb2"):
            module = importlib.import_module(found.name)
            for service in module.DESCRIPTOR.services_by_name.values():
                yield from service.methods


def operation(method: MethodDescriptor) -> int:
    return int(method.GetOptions().Extensions[options_pb2.operation])


METHODS = list(all_methods())
LOGGED = [one for one in METHODS if operation(one) != options_pb2.OPERATION_NONE]
UNLOGGED = [one for one in METHODS if operation(one) == options_pb2.OPERATION_NONE]


BY_KIND = {(one.client_streaming, one.server_streaming): one for one in LOGGED}
"""An RPC of each kind."""


def rpc_of(method: MethodDescriptor) -> str:
    return f"{method.containing_service.full_name}/{method.name}"


def filled(message: Message, text: str = NAME) -> Message:
    """Fill what a message takes: ids where ids belong, personal text and bytes elsewhere."""
    for field in message.DESCRIPTOR.fields:
        kind = kind_of(field.name)
        value: Any = None
        if field.type == FieldDescriptor.TYPE_STRING:
            told = RECIPIENT if field.name == "recipient" else text
            value = (SLUG if kind in ("footage", "camera") else SUBJECT) if kind else told
        elif field.type == FieldDescriptor.TYPE_BYTES:
            value = text.encode()
        elif field.message_type and field.message_type.full_name.startswith("homeward."):
            inner = getattr(message, field.name)
            filled(inner.add() if field.is_repeated else inner, text)
        if value is not None and field.is_repeated:
            getattr(message, field.name).append(value)
        elif value is not None:
            setattr(message, field.name, value)
    return message


class Behaviour:
    """What every RPC of the server does."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.waits = False
        self.begun = asyncio.Event()
        self.messages = 2

    async def answer(self) -> None:
        self.begun.set()
        if self.waits:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


def servicer_of(method: MethodDescriptor, behaviour: Behaviour) -> Service:
    """Return a service of which one RPC behaves so."""
    service = method.containing_service
    module = importlib.import_module(
        service.file.name.removesuffix(".proto").replace("/", ".") + "_pb2_grpc"
    )
    response = GetMessageClass(method.output_type)

    async def one(_: object, request: Any, __: object) -> Message:
        if method.client_streaming:
            async for _each in request:
                pass
        await behaviour.answer()
        return response()

    async def many(_: object, __: Any, ___: object) -> AsyncIterator[Message]:
        if behaviour.messages:
            yield response()
        await behaviour.answer()
        if behaviour.messages:
            yield response()

    handler = many if method.server_streaming else one
    base = getattr(module, f"{service.name}Servicer")
    made = type("Servicer", (base,), {method.name: handler})()
    return Service(
        service.full_name, getattr(module, f"add_{service.name}Servicer_to_server"), made
    )


class World:
    """A server with one RPC, its trail, and a client."""

    def __init__(self, method: MethodDescriptor, clock: Clock) -> None:
        self.method = method
        self.behaviour = Behaviour()
        self.store = InMemoryAuditStore()
        self.writer = AuditWriter(self.store, service="matching", clock=clock)
        self.server = GrpcServer(
            [servicer_of(method, self.behaviour)],
            listen="127.0.0.1:0",
            checks={},
            grace_seconds=0.1,
            chain=chain(audited(self.writer)),
        )

    async def events(self) -> list[AuditEvent]:
        await self.writer.finish()
        return [AuditEvent.read(one.data) for one in await self.store.read(EventQuery(), limit=99)]

    def call(self, channel: grpc.aio.Channel, *, timeout: float | None = None) -> Any:
        method = self.method
        kinds = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }
        make: Any = kinds[method.client_streaming, method.server_streaming]
        stub = make(
            f"/{rpc_of(method)}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        request = filled(GetMessageClass(method.input_type)())
        return stub(iter([request]) if method.client_streaming else request, timeout=timeout)


async def drain(call: Any, *, stream: bool) -> None:
    if not stream:
        await call
        return
    async for _ in call:
        pass


@pytest.fixture(params=LOGGED, ids=rpc_of)
async def world(request: pytest.FixtureRequest, clock: Clock) -> World:
    return World(request.param, clock)


@pytest.fixture(params=BY_KIND.values(), ids=rpc_of)
async def world_of_kind(request: pytest.FixtureRequest, clock: Clock) -> World:
    return World(request.param, clock)


def is_stream(world: World) -> bool:
    return bool(world.method.server_streaming)


async def run(world: World) -> None:
    async with world.server.serving(), open_channel(f"127.0.0.1:{world.server.port}") as channel:
        await drain(world.call(channel), stream=is_stream(world))


async def test_a_call_leaves_exactly_one_event_without_personal_text(world: World) -> None:
    await run(world)

    (event,) = await world.events()
    assert b"Anna" not in event.canonical()
    assert b"Example" not in event.canonical()
    assert event.rpc == rpc_of(world.method)
    assert f"OPERATION_{event.operation}" == options_pb2.Operation.Name(operation(world.method))
    assert event.outcome == (OPENED if is_stream(world) else "OK")


async def test_a_call_that_fails_leaves_exactly_one_event(world: World) -> None:
    world.behaviour.messages = 0
    world.behaviour.error = NotFoundError("not there", reason=Reason.SUBJECT_NOT_FOUND)

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await run(world)

    assert failed.value.code() is grpc.StatusCode.NOT_FOUND
    assert [event.outcome for event in await world.events()] == ["NOT_FOUND"]


async def test_a_call_with_a_fault_leaves_exactly_one_event(world_of_kind: World) -> None:
    world_of_kind.behaviour.messages = 0
    world_of_kind.behaviour.error = RuntimeError("a fault")

    with pytest.raises(grpc.aio.AioRpcError):
        await run(world_of_kind)

    assert [event.outcome for event in await world_of_kind.events()] == ["INTERNAL"]


async def test_a_call_that_is_cancelled_leaves_exactly_one_event(world: World) -> None:
    world.behaviour.messages = 0
    world.behaviour.waits = True

    async with world.server.serving(), open_channel(f"127.0.0.1:{world.server.port}") as channel:
        call = world.call(channel)
        waiting = asyncio.ensure_future(drain(call, stream=is_stream(world)))
        await world.behaviour.begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert [event.outcome for event in await world.events()] == ["CANCELLED"]


async def test_an_event_that_cannot_be_written_fails_the_call(
    world_of_kind: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> int:
        raise unavailable("NATS", "nats://n:4222", "start it")

    monkeypatch.setattr(world_of_kind.store, "append", refuse)

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await run(world_of_kind)

    assert isinstance(translate(failed.value, "s", "a"), UnavailableError)


async def test_a_call_ends_with_its_deadline_though_its_event_is_not_written_yet(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (method,) = [one for one in METHODS if one.name == "GetSighting"]
    world = World(method, clock)
    append, goes_on = world.store.append, asyncio.Event()

    async def slow(*given: Any, **named: Any) -> int:
        await goes_on.wait()
        return await append(*given, **named)

    monkeypatch.setattr(world.store, "append", slow)
    async with world.server.serving(), open_channel(f"127.0.0.1:{world.server.port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await world.call(channel, timeout=0.2)
        goes_on.set()

    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert [event.outcome for event in await world.events()] == ["OK"]


@pytest.mark.parametrize("method", [one for one in LOGGED if one.server_streaming], ids=rpc_of)
async def test_a_stream_gives_nothing_before_its_event(
    method: MethodDescriptor, clock: Clock
) -> None:
    world = World(method, clock)
    world.behaviour.waits = True

    async with world.server.serving(), open_channel(f"127.0.0.1:{world.server.port}") as channel:
        call = world.call(channel)
        await call.read()
        (event,) = await world.events()
        call.cancel()

    assert event.outcome == OPENED
    assert len(await world.events()) == 1


@pytest.mark.parametrize("method", UNLOGGED, ids=rpc_of)
async def test_a_call_about_nobody_leaves_no_event(method: MethodDescriptor, clock: Clock) -> None:
    world = World(method, clock)

    await run(world)

    assert await world.events() == []


async def test_an_event_names_what_stands_in_request_and_response(clock: Clock) -> None:
    (method,) = [one for one in METHODS if one.name == "GetSighting"]
    world = World(method, clock)

    await run(world)

    (event,) = await world.events()
    assert event.resources == (f"sighting/{SUBJECT}",)


class Auditor:
    """A server of a trail, and a client."""

    def __init__(self, clock: Clock) -> None:
        self.store = InMemoryAuditStore()
        self.writer = AuditWriter(self.store, service="ingestion", clock=clock)
        trail = AuditTrail(self.store, signer=None, clock=clock)
        self.server = GrpcServer(
            [AuditServicer(trail).service()],
            listen="127.0.0.1:0",
            checks={},
            grace_seconds=0.1,
            chain=chain(audited(self.writer)),
        )
        self.stub: Any = None

    async def listed(self, **wanted: Any) -> list[Any]:
        request = audit_service_pb2.ListAuditEventsRequest(**wanted)
        found: list[Any] = []
        while True:
            page = await self.stub.ListAuditEvents(request)
            found += page.events
            request.page_token = page.next_page_token
            if not request.page_token:
                return found


@pytest.fixture
async def auditor(clock: Clock) -> AsyncIterator[Auditor]:
    made = Auditor(clock)
    for number in range(5):
        name = SUBJECT if number % 2 else OTHER
        await made.writer.record(f"Act{number}", "ERASURE", [f"subject/{name}"])
    async with made.server.serving(), open_channel(f"127.0.0.1:{made.server.port}") as channel:
        made.stub = audit_service_pb2_grpc.AuditServiceStub(channel)
        yield made


async def test_a_list_comes_in_pages_and_ends_where_it_began(auditor: Auditor) -> None:
    found = await auditor.listed(page_size=2)

    assert [event.rpc for event in found] == [f"background.Act{number}" for number in range(5)]


async def test_reading_the_trail_is_written_down(auditor: Auditor) -> None:
    await auditor.listed()

    found = await auditor.listed()
    assert found[-1].rpc == "homeward.api.common.v1.AuditService/ListAuditEvents"


async def test_a_list_is_of_one_resource(auditor: Auditor) -> None:
    assert len(await auditor.listed(resource=SUBJECT)) == 2
    assert len(await auditor.listed(resource=f"subject/{OTHER}")) == 3
    assert await auditor.listed(resource=f"scan/{OTHER}") == []


async def test_a_list_is_of_an_interval_an_operation_and_a_writer(
    auditor: Auditor, clock: Clock
) -> None:
    later = clock.now() + timedelta(seconds=1)
    erasure = options_pb2.OPERATION_ERASURE

    assert await auditor.listed(interval=to_interval(later, None)) == []
    assert len(await auditor.listed(interval=to_interval(None, later), operations=[erasure])) == 5
    assert await auditor.listed(writer="matching-1") == []
    assert len(await auditor.listed(writer="ingestion-1", operations=[erasure])) == 5


async def test_a_page_token_of_no_list_is_refused(auditor: Auditor) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await auditor.stub.ListAuditEvents(
            audit_service_pb2.ListAuditEventsRequest(page_token="a-token")
        )

    error = translate(refused.value, "s", "a")
    assert error.reason is Reason.PAGE_TOKEN_INVALID


async def test_a_trail_that_holds_is_intact(auditor: Auditor) -> None:
    answer = await auditor.stub.VerifyAuditTrail(audit_service_pb2.VerifyAuditTrailRequest())

    assert answer.intact
    assert answer.verified_count == 5


async def test_a_checkpoint_without_a_key_is_refused(auditor: Auditor) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await auditor.stub.GetAuditCheckpoint(audit_service_pb2.GetAuditCheckpointRequest())

    assert translate(refused.value, "s", "a").reason is Reason.AUDIT_KEY_MISSING


async def test_many_calls_at_once_make_one_chain(auditor: Auditor) -> None:
    await asyncio.gather(*(auditor.listed() for _ in range(20)))

    check = TrailCheck()
    for one in await auditor.store.read(EventQuery(), limit=99):
        check.add(AuditEvent.read(one.data))
    check.finish()
    assert check.intact
    assert check.count == 25
