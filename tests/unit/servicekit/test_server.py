"""Health, and the end of a server."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from homeward.servicekit import errors, server
from homeward.servicekit.clients import open_channel
from homeward.servicekit.health import LIVE
from homeward.servicekit.interceptors import Call
from homeward.servicekit.server import GrpcServer, failing_checks
from homeward.servicekit.startup import eventually

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

Serving = Callable[..., AbstractAsyncContextManager[Any]]

# A server whose one call answers when it is told to stop, so that it is under way by then.
PROGRAM = """
import asyncio, sys
import grpc
from homeward.servicekit.logs import configure_logging
from homeward.servicekit.server import GrpcServer, Service

stopping = asyncio.Event()

class Server(GrpcServer):
    async def start(self):
        await super().start()
        print(self.port, flush=True)

    async def stop(self):
        stopping.set()
        await super().stop()

async def answer(request, context):
    print("under way", flush=True)
    await (stopping.wait() if request == b"finishes" else asyncio.Future())
    await asyncio.sleep(0.05)
    return b"finished"

def add(servicer, server):
    handlers = {"Wait": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Slow", handlers),))

async def main(grace):
    services = [Service("Slow", add, None)]
    await Server(services, listen="localhost:0", checks={}, grace_seconds=grace).run()

configure_logging("slow", "info")
asyncio.run(main(float(sys.argv[1])))
print("closed", flush=True)
"""


async def echo(request: bytes) -> bytes:
    return request


def health_of(channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


async def status(channel: grpc.aio.Channel, service: str = "") -> int:
    answer = await health_of(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return answer.status


class Component:
    """Answers, or not, as it is told."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers

    async def __call__(self) -> None:
        if not self.answers:
            raise errors.unavailable("NATS", "nats://n", "start it")


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Callable[[GrpcServer], asyncio.Task[None]]:
    """Starts what `run` does beside serving, and looks often."""
    monkeypatch.setattr(server, "READINESS_INTERVAL_SECONDS", 0.01)
    return lambda started: asyncio.create_task(started._watch_readiness())


@pytest.fixture
def launch() -> Iterator[Callable[[float], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def run(grace: float) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(grace)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("service", ["", "homeward.test.Probe"])
async def test_health_begins_with_not_serving(serving: Serving, service: str) -> None:
    async with serving(echo, checks={"nats": Component(answers=False)}) as call:
        assert await status(call.channel, service) == NOT_SERVING


@pytest.mark.parametrize("service", ["", "homeward.test.Probe"])
async def test_health_follows_the_checks(serving: Serving, watching: Any, service: str) -> None:
    component = Component(answers=False)
    async with serving(echo, checks={"nats": component}) as call:
        watch = watching(call.server)
        changes = health_of(call.channel).Watch(health_pb2.HealthCheckRequest(service=service))
        seen = [(await changes.read()).status]
        component.answers = True
        seen.append((await changes.read()).status)
        component.answers = False
        seen.append((await changes.read()).status)
        changes.cancel()
        watch.cancel()

    assert seen == [NOT_SERVING, SERVING, NOT_SERVING]


async def test_liveness_does_not_follow_the_checks(serving: Serving, watching: Any) -> None:
    component = Component(answers=False)
    async with serving(echo, checks={"nats": component}) as call:
        watch = watching(call.server)
        changes = health_of(call.channel).Watch(health_pb2.HealthCheckRequest())
        ready = [(await changes.read()).status]
        alive = [await status(call.channel, LIVE)]
        component.answers = True
        ready.append((await changes.read()).status)
        component.answers = False
        ready.append((await changes.read()).status)
        alive.append(await status(call.channel, LIVE))
        changes.cancel()
        watch.cancel()

    assert ready == [NOT_SERVING, SERVING, NOT_SERVING]
    assert alive == [SERVING, SERVING]


async def test_the_port_of_health_serves_health_and_nothing_else(serving: Serving) -> None:
    async with (
        serving(
            echo, checks={"nats": Component(answers=False)}, health_listen="localhost:0"
        ) as call,
        # As probes do: our own channels send nothing to a server that is not ready.
        grpc.aio.insecure_channel(f"localhost:{call.server.health_port}") as probing,
    ):
        assert await status(probing, LIVE) == SERVING
        assert await status(probing) == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await probing.unary_unary("/homeward.test.Probe/UnaryUnary")(b"")

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_server_without_services_tells_its_health() -> None:
    checks = {"nats": Component(answers=True)}
    scanner = GrpcServer([], listen="localhost:0", checks=checks, grace_seconds=1)
    async with scanner.serving(), open_channel(f"localhost:{scanner.port}") as probing:
        changes = health_of(probing).Watch(health_pb2.HealthCheckRequest())
        await anext(change async for change in changes if change.status == SERVING)
        changes.cancel()


async def test_the_components_that_do_not_answer_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "READINESS_TIMEOUT_SECONDS", 0.01)
    checks: dict[str, Callable[[], Awaitable[object]]] = {
        "nats": Component(answers=False),
        "s3": Component(answers=True),
        "qdrant": asyncio.Event().wait,
    }

    assert await failing_checks(checks) == {
        "nats": "NATS does not answer at nats://n: start it",
        "qdrant": "qdrant does not answer within 0.01 s",
    }


async def test_a_service_of_another_name_is_not_known(serving: Serving) -> None:
    async with serving(echo) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await status(call.channel, "homeward.test.Other")

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services(serving: Serving) -> None:
    async with serving(echo) as call:
        stub = reflection_pb2_grpc.ServerReflectionStub(call.channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = [answer async for answer in stub.ServerReflectionInfo(asked)]

    names = {service.name for service in answer.list_services_response.service}
    assert names == {
        "homeward.test.Probe",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_two_servers_do_not_share_a_port(serving: Serving) -> None:
    async with serving(echo) as call:
        second = GrpcServer([], listen=f"localhost:{call.server.port}", checks={}, grace_seconds=1)
        with pytest.raises(RuntimeError):
            await second.start()


async def test_starting_waits_for_what_is_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeward.servicekit.startup.RETRY_SECONDS", 0)
    answers = iter([errors.unavailable("NATS", "nats://n", "start it"), "connected"])

    async def connect() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert await eventually(connect) == "connected"


async def test_a_server_that_needs_nothing_serves_at_once(serving: Serving) -> None:
    async with serving(echo) as call:
        assert await status(call.channel) == SERVING


async def test_a_server_that_stops_takes_calls_until_its_health_is_known(
    serving: Serving,
) -> None:
    async with serving(echo, drain=0.5) as call:
        changes = health_of(call.channel).Watch(health_pb2.HealthCheckRequest())
        before = (await changes.read()).status
        stopping = asyncio.create_task(call.server.stop())
        after = (await changes.read()).status
        answer = await call(request=b"taken")
        still_stopping = not stopping.done()
        changes.cancel()
        await stopping
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()

    assert (before, after) == (SERVING, NOT_SERVING)
    assert (answer, still_stopping) == (b"taken", True)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_watches_health_does_not_delay_the_end(serving: Serving) -> None:
    async with (
        serving(echo, grace=30) as call,
        open_channel(f"localhost:{call.server.port}") as channel,
    ):
        await channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"")
        async with asyncio.timeout(5):
            await call.server.stop()


async def test_an_old_connection_is_replaced_and_keeps_the_calls_that_it_has(
    serving: Serving,
) -> None:
    peers: list[str] = []
    done = asyncio.Event()

    @asynccontextmanager
    async def note_peer(call: Call) -> AsyncIterator[None]:
        peers.append(call.context.peer())
        yield

    async def behaviour(request: bytes) -> bytes:
        await (done.wait() if request == b"long" else asyncio.sleep(0))
        return request

    async with serving(behaviour, age=0.2, chain=[note_peer]) as call:
        long = asyncio.create_task(call(request=b"long"))
        async with asyncio.timeout(10):
            while len(set(peers)) < 3:
                await call(request=b"short")
        done.set()
        answer = await long

    assert answer == b"long"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_call_under_way_finish(launch: Any, number: int) -> None:
    process = launch(10)
    port = await asyncio.to_thread(process.stdout.readline)
    async with open_channel(f"localhost:{port.strip()}") as channel:
        call = channel.unary_unary("/Slow/Wait")(b"finishes")
        await asyncio.to_thread(process.stdout.readline)  # it is under way
        process.send_signal(number)
        answer = await call
    output, _ = await asyncio.to_thread(process.communicate)

    assert answer == b"finished"
    assert output == "closed\n"
    assert process.returncode == 0


async def test_a_stop_waits_no_longer_than_its_grace(launch: Any) -> None:
    process = launch(0.1)
    port = await asyncio.to_thread(process.stdout.readline)
    async with open_channel(f"localhost:{port.strip()}") as channel:
        call = channel.unary_unary("/Slow/Wait")(b"never finishes")
        await asyncio.to_thread(process.stdout.readline)  # it is under way
        process.send_signal(signal.SIGTERM)
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call
    output, _ = await asyncio.to_thread(process.communicate)

    assert output == "closed\n"
    assert process.returncode == 0
