"""An error of another service, as ours."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from homeward.servicekit import clients, errors, interceptors
from homeward.servicekit.clients import check_health, open_channel, translate, translated
from homeward.servicekit.errors import DomainError, Reason

NOTHING_LISTENS = "127.0.0.1:9"

Serving = Callable[..., AbstractAsyncContextManager[Any]]


def raises(error: BaseException) -> Callable[[bytes], Awaitable[bytes]]:
    async def behaviour(_: bytes) -> bytes:
        raise error

    return behaviour


async def echo(request: bytes) -> bytes:
    return request


@pytest.mark.parametrize(
    "kind",
    [
        errors.InvalidArgumentError,
        errors.NotFoundError,
        errors.AlreadyExistsError,
        errors.FailedPreconditionError,
        errors.AbortedError,
        errors.ResourceExhaustedError,
        errors.DeadlineExceededError,
        errors.UnavailableError,
    ],
)
async def test_an_error_is_the_same_on_the_other_side(
    serving: Serving, kind: type[DomainError]
) -> None:
    raised = kind("what is wrong", reason=Reason.COMPONENT_UNAVAILABLE, metadata={"a": "b"})
    async with serving(raises(raised)) as call:
        with pytest.raises(DomainError) as received:
            async with translated("probe", "localhost"):
                await call()

    error = received.value
    assert (type(error), error.message, error.reason, error.metadata) == (
        kind,
        "what is wrong",
        Reason.COMPONENT_UNAVAILABLE,
        {"a": "b"},
    )


@pytest.mark.parametrize("reason", list(Reason))
async def test_every_reason_is_the_same_on_the_other_side(serving: Serving, reason: Reason) -> None:
    async with serving(raises(errors.NotFoundError("gone", reason=reason))) as call:
        with pytest.raises(DomainError) as received:
            async with translated("probe", "localhost"):
                await call()

    assert received.value.reason is reason


async def test_a_fault_of_a_peer_keeps_the_id_that_its_log_has(serving: Serving) -> None:
    async with serving(raises(ValueError("a fault"))) as call:
        with pytest.raises(errors.InternalError) as received:
            async with translated("probe", "localhost"):
                await call()

    assert received.value.reason is Reason.INTERNAL
    assert len(received.value.metadata["request_id"]) == 32
    assert received.value.message == "probe failed to answer; its log has the details"


async def test_a_reason_of_a_newer_peer_is_an_internal_error(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = errors.NotFoundError("gone", reason=Reason.CAMERA_NOT_FOUND)
    monkeypatch.setattr(raised, "reason", type("Newer", (), {"value": "STAR_NOT_FOUND"}))
    async with serving(raises(raised)) as call:
        with pytest.raises(errors.InternalError) as received:
            async with translated("probe", "localhost"):
                await call()

    assert received.value.reason is Reason.INTERNAL


async def test_a_status_that_is_not_homewards_is_an_internal_error(serving: Serving) -> None:
    async with serving(echo) as call:
        with pytest.raises(errors.InternalError) as received:
            async with translated("probe", "localhost"):
                await call.channel.unary_unary("/homeward.test.Probe/Nothing")(b"")

    assert received.value.reason is Reason.INTERNAL


def test_a_call_that_ended_while_it_was_written_to_is_unavailable() -> None:
    nothing = grpc.aio.Metadata()
    ended = grpc.aio.AioRpcError(
        grpc.StatusCode.INTERNAL, nothing, nothing, details="Internal error from Core"
    )

    error = translate(ended, "embedding", "localhost:1")

    assert isinstance(error, errors.UnavailableError)
    assert error.metadata == {"component": "embedding", "address": "localhost:1"}


async def test_a_peer_that_cannot_be_reached_is_unavailable_by_name_and_address() -> None:
    async with open_channel(NOTHING_LISTENS) as channel:
        with pytest.raises(errors.UnavailableError) as received:
            async with translated("matching", NOTHING_LISTENS):
                await channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"")

    assert received.value.reason is Reason.COMPONENT_UNAVAILABLE
    assert received.value.metadata == {"component": "matching", "address": NOTHING_LISTENS}


async def test_a_new_channel_does_not_wait_for_what_another_one_met(serving: Serving) -> None:
    async with serving(echo) as call:
        target = f"localhost:{call.server.port}"
        async with open_channel(target) as older:
            await older.unary_unary("/homeward.test.Probe/UnaryUnary")(b"")
            await call.server.stop()
            with pytest.raises(grpc.aio.AioRpcError):
                await older.unary_unary("/homeward.test.Probe/UnaryUnary")(b"")

            async with serving(echo, listen=target) as again:
                assert await again(request=b"it is back") == b"it is back"


async def test_a_peer_that_does_not_answer_in_time_is_unavailable(serving: Serving) -> None:
    async def for_ever(_: bytes) -> bytes:
        return await asyncio.Future()

    async with serving(for_ever, chain=[interceptors.log_call], grace=0) as call:
        with pytest.raises(errors.UnavailableError) as received:
            async with translated("probe", "localhost"):
                await call(deadline=0.05)

    assert received.value.reason is Reason.COMPONENT_UNAVAILABLE


async def test_an_idempotent_call_is_repeated_when_the_peer_was_unavailable(
    serving: Serving,
) -> None:
    answers = iter([False, True])

    async def second_time(_: bytes) -> bytes:
        if not next(answers):
            raise errors.unavailable("NATS", "n", "start it")
        return b"done"

    async with serving(second_time) as call:
        target = f"localhost:{call.server.port}"
        async with open_channel(target, idempotent=("homeward.test.Probe",)) as channel:
            answer = await channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"")

    assert answer == b"done"


async def test_a_caller_that_was_told_after_a_wait_does_not_repeat_the_call(
    serving: Serving,
) -> None:
    calls: list[bytes] = []

    async def never(request: bytes) -> bytes:
        calls.append(request)
        raise errors.unavailable("NATS", "n", "start it", waited=True)

    async with serving(never) as call:
        target = f"localhost:{call.server.port}"
        async with open_channel(target, idempotent=("homeward.test.Probe",)) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"")

    assert len(calls) == 1


def test_an_error_says_since_when_its_component_is_away() -> None:
    error = errors.unavailable(
        "NATS", "n:4222", "start it", since=datetime(2026, 3, 4, 12, 5, 6, tzinfo=UTC)
    )

    assert error.message == "NATS does not answer at n:4222 since 2026-03-04 12:05:06Z"
    assert error.metadata["since_time"] == "2026-03-04T12:05:06+00:00"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "ALIVE_EVERY_SECONDS", 0.02)
    monkeypatch.setattr(clients, "HEALTH_TIMEOUT_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_a_call_to_a_service_that_hangs_is_given_up_and_says_since_when() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        async with open_channel(target) as channel:
            call = channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"", timeout=60)
            with pytest.raises(errors.UnavailableError) as received:
                await clients.while_alive(call, channel, "probe", target)

    assert received.value.waited
    assert f"probe does not answer at {target} since 2" in received.value.message


@pytest.mark.usefixtures("impatient")
async def test_a_service_that_misses_one_check_is_waited_for_on(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = asyncio.Event()
    found = iter([True, False, True, False])

    async def now_and_then(_: grpc.aio.Channel) -> bool:
        missed = next(found, None)
        if missed is None:
            done.set()
        return bool(missed)

    async def slow(request: bytes) -> bytes:
        await done.wait()
        return request

    monkeypatch.setattr(clients, "hangs", now_and_then)
    async with serving(slow) as call, open_channel(f"localhost:{call.server.port}") as channel:
        slow_call = channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"done", timeout=60)
        answer = await clients.while_alive(slow_call, channel, "probe", "localhost")

    assert answer == b"done"


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_takes_long_is_waited_for_while_the_service_lives(
    serving: Serving,
) -> None:
    async def slow(request: bytes) -> bytes:
        await asyncio.sleep(0.5)  # many checks, each of which is answered
        return request

    async with serving(slow) as call, open_channel(f"localhost:{call.server.port}") as channel:
        slow_call = channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"done", timeout=60)
        answer = await clients.while_alive(slow_call, channel, "probe", "localhost")

    assert answer == b"done"


@pytest.mark.usefixtures("impatient")
async def test_a_service_that_is_about_to_stop_may_end_its_calls(serving: Serving) -> None:
    begun = asyncio.Event()
    stopped = asyncio.Event()

    async def last(request: bytes) -> bytes:
        begun.set()
        await stopped.wait()
        await asyncio.sleep(0.3)
        return request

    async with serving(last) as call, open_channel(f"localhost:{call.server.port}") as channel:
        last_call = channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"done", timeout=60)
        waiting = asyncio.ensure_future(
            clients.while_alive(last_call, channel, "probe", "localhost")
        )
        await begun.wait()
        stopping = asyncio.ensure_future(call.server.stop())
        stopped.set()
        answer = await waiting
        await stopping

    assert answer == b"done"


@pytest.fixture
async def dropping() -> AsyncIterator[str]:
    """Serves a call that is dropped the first time, as by a server that stops."""
    times = iter([True, False])

    async def drop_once(request: bytes, context: Any) -> bytes:
        if next(times):
            await context.abort(grpc.StatusCode.CANCELLED)
        return request

    server = grpc.aio.server()
    handlers = {"UnaryUnary": grpc.unary_unary_rpc_method_handler(drop_once)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("homeward.test.Probe", handlers),)
    )
    port = server.add_insecure_port("localhost:0")
    await server.start()
    yield f"localhost:{port}"
    await server.stop(None)


async def test_an_idempotent_call_is_repeated_when_the_peer_dropped_it(dropping: str) -> None:
    async with open_channel(dropping, idempotent=("homeward.test.Probe",)) as channel:
        answer = await channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"done")

    assert answer == b"done"


async def test_a_call_that_the_peer_dropped_got_no_answer(dropping: str) -> None:
    async with open_channel(dropping) as channel:
        with pytest.raises(errors.UnavailableError) as received:
            async with translated("probe", dropping):
                await channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"")

    assert received.value.metadata == {"component": "probe", "address": dropping}


async def test_a_call_that_is_not_idempotent_is_made_once(serving: Serving) -> None:
    calls: list[bytes] = []

    async def never(request: bytes) -> bytes:
        calls.append(request)
        raise errors.unavailable("NATS", "n", "start it")

    async with serving(never) as call, open_channel(f"localhost:{call.server.port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/homeward.test.Probe/UnaryUnary")(b"")

    assert len(calls) == 1


def named(name: bytes) -> Callable[[bytes], Awaitable[bytes]]:
    async def behaviour(_: bytes) -> bytes:
        return name

    return behaviour


@asynccontextmanager
async def two_replicas(serving: Serving, **second: Any) -> AsyncIterator[tuple[str, Any]]:
    """Serve `a` and `b`; yield the target that names both, and the second one."""
    async with serving(named(b"a")) as a, serving(named(b"b"), **second) as b:
        yield f"ipv4:127.0.0.1:{a.server.port},127.0.0.1:{b.server.port}", b


@pytest.mark.parametrize("idempotent", [(), ("homeward.test.Probe",)])
async def test_calls_are_spread_over_the_replicas(
    serving: Serving, idempotent: tuple[str, ...]
) -> None:
    async with (
        two_replicas(serving) as (target, _),
        open_channel(target, idempotent=idempotent) as channel,
    ):
        ask = channel.unary_unary("/homeward.test.Probe/UnaryUnary")
        await until_answers_come_from(ask, {b"a", b"b"})
        answers = Counter([await ask(b"") for _ in range(100)])

    assert answers == {b"a": 50, b"b": 50}


async def test_a_replica_that_is_not_ready_gets_no_calls(serving: Serving) -> None:
    async with (
        two_replicas(serving, checks={"nats": asyncio.Event().wait}) as (target, _),
        open_channel(target) as channel,
    ):
        ask = channel.unary_unary("/homeward.test.Probe/UnaryUnary")
        answers = {await ask(b"") for _ in range(100)}

    assert answers == {b"a"}


async def test_no_call_fails_while_a_replica_stops(serving: Serving) -> None:
    async with (
        two_replicas(serving, drain=0.2) as (target, second),
        open_channel(target) as channel,
    ):
        ask = channel.unary_unary("/homeward.test.Probe/UnaryUnary")
        await until_answers_come_from(ask, {b"a", b"b"})
        stopping = asyncio.create_task(second.server.stop())
        answers = [await ask(b"")]
        while not stopping.done():
            answers.append(await ask(b""))

    assert answers[-1] == b"a"


async def until_answers_come_from(
    ask: Callable[[bytes], Awaitable[bytes]], names: set[bytes]
) -> None:
    """Call until each replica has answered: its connection may come later than the other's."""
    seen: set[bytes] = set()
    async with asyncio.timeout(10):
        while seen != names:
            seen.add(await ask(b""))


async def test_a_peer_whose_replicas_are_all_unready_is_not_ready(serving: Serving) -> None:
    async with serving(echo, checks={"nats": asyncio.Event().wait}) as call:
        target = f"127.0.0.1:{call.server.port}"
        async with open_channel(target) as channel:
            with pytest.raises(errors.UnavailableError) as received:
                await check_health(channel, "probe", target)

    assert "it is not ready" in str(received.value)


async def test_a_large_picture_passes(serving: Serving) -> None:
    picture = bytes(clients.MAX_MESSAGE_BYTES - 1024)
    async with serving(echo) as call:
        assert len(await call("UnaryUnary", picture)) == len(picture)


async def test_a_server_that_is_not_ready_is_unavailable(serving: Serving) -> None:
    async with serving(echo, checks={"nats": asyncio.Event().wait}) as call:
        with pytest.raises(errors.UnavailableError) as received:
            await check_health(call.channel, "probe", "localhost")

    assert "it is not ready" in str(received.value)


async def test_a_server_that_serves_passes_the_check(serving: Serving) -> None:
    async with serving(echo) as call:
        await check_health(call.channel, "probe", "localhost")
