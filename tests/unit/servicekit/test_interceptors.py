"""What a caller sees of an error, and what the log does."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import structlog
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import REGISTRY, generate_latest
from structlog.testing import capture_logs

from homeward.servicekit import errors, interceptors
from homeward.servicekit.clients import MAX_MESSAGE_BYTES
from homeward.servicekit.errors import Reason
from homeward.servicekit.interceptors import Call

KINDS = ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"]
DRIVER_TEXT = "password=hunter2 at 10.0.0.7"

Serving = Callable[..., AbstractAsyncContextManager[Any]]


def raises(error: BaseException) -> Callable[[bytes], Awaitable[bytes]]:
    async def behaviour(_: bytes) -> bytes:
        raise error

    return behaviour


async def echo(request: bytes) -> bytes:
    return request


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    return status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])


def detail(error: grpc.aio.AioRpcError, kind: Any) -> Any:
    """Return the one detail of a kind."""
    (packed,) = [packed for packed in status_of(error).details if packed.Is(kind.DESCRIPTOR)]
    message = kind()
    packed.Unpack(message)
    return message


def kinds_of_details(error: grpc.aio.AioRpcError) -> list[str]:
    return [packed.TypeName() for packed in status_of(error).details]


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """What was logged, as it is in production: JSON, one line each."""
    configured = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    yield lambda: [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    structlog.configure(**configured)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_passes_through(serving: Serving, kind: str) -> None:
    async with serving(echo) as call:
        assert await call(kind, b"a request") == b"a request"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidArgumentError, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.NotFoundError, grpc.StatusCode.NOT_FOUND),
        (errors.AlreadyExistsError, grpc.StatusCode.ALREADY_EXISTS),
        (errors.FailedPreconditionError, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.AbortedError, grpc.StatusCode.ABORTED),
        (errors.ResourceExhaustedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.UnavailableError, grpc.StatusCode.UNAVAILABLE),
        (errors.DeadlineExceededError, grpc.StatusCode.DEADLINE_EXCEEDED),
        (errors.InternalError, grpc.StatusCode.INTERNAL),
    ],
)
async def test_a_domain_error_is_its_status_with_reason_and_metadata(
    serving: Serving, kind: str, error: type[errors.DomainError], code: grpc.StatusCode
) -> None:
    raised = error("what is wrong", reason=Reason.CAMERA_NOT_FOUND, metadata={"camera_id": "c"})
    async with serving(raises(raised)) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(kind)

    info = detail(refused.value, error_details_pb2.ErrorInfo)
    assert refused.value.code() is code
    assert refused.value.details() == "what is wrong"
    assert (info.domain, info.reason, info.metadata) == (
        "homeward",
        "CAMERA_NOT_FOUND",
        {"camera_id": "c"},
    )


async def test_the_status_in_the_details_is_the_status_of_the_call(serving: Serving) -> None:
    raised = errors.NotFoundError("no camera", reason=Reason.CAMERA_NOT_FOUND)
    async with serving(raises(raised)) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()

    status = status_of(refused.value)
    assert (status.code, status.message) == (grpc.StatusCode.NOT_FOUND.value[0], "no camera")


async def test_an_invalid_field_is_named(serving: Serving) -> None:
    async with serving(raises(errors.invalid_field("camera.name", "is required"))) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()

    (violation,) = detail(refused.value, error_details_pb2.BadRequest).field_violations
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (violation.field, violation.description) == ("camera.name", "is required")


async def test_an_engine_that_does_not_answer_comes_with_a_time_to_retry(serving: Serving) -> None:
    async with serving(raises(errors.unavailable("NATS", "nats://n:4222", "start it"))) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()

    retry = detail(refused.value, error_details_pb2.RetryInfo)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert retry.retry_delay.ToTimedelta().total_seconds() > 0


async def test_what_the_operator_does_about_it_is_logged_and_not_told(serving: Serving) -> None:
    away = errors.unavailable("NATS", "nats://n:4222", "correct HOMEWARD_NATS_URL")
    with capture_logs() as logged:
        async with serving(raises(away)) as call:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call()

    (line,) = [one for one in logged if one["event"] == "refused"]
    assert refused.value.details() == "NATS does not answer at nats://n:4222"
    assert line["problem"] == f"{refused.value.details()}: correct HOMEWARD_NATS_URL"


async def test_a_full_queue_comes_with_the_time_to_retry_that_it_tells(serving: Serving) -> None:
    full = errors.ResourceExhaustedError("full", reason=Reason.QUEUE_FULL, retry_seconds=5)
    async with serving(raises(full)) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()

    retry = detail(refused.value, error_details_pb2.RetryInfo)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry.retry_delay.ToTimedelta().total_seconds() == 5


async def test_an_error_says_no_more_than_it_has_to_say(serving: Serving) -> None:
    raised = errors.NotFoundError("no camera", reason=Reason.CAMERA_NOT_FOUND)
    async with serving(raises(raised)) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()

    assert kinds_of_details(refused.value) == ["google.rpc.ErrorInfo"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unexpected_error_is_a_fixed_sentence_without_the_drivers_text(
    serving: Serving, kind: str
) -> None:
    async with serving(raises(ValueError(DRIVER_TEXT))) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(kind)

    info = detail(refused.value, error_details_pb2.ErrorInfo)
    request_id = info.metadata["request_id"]
    assert refused.value.code() is grpc.StatusCode.INTERNAL
    assert info.reason == "INTERNAL"
    assert refused.value.details() == (
        f"Homeward failed to do this; its log has the details under {request_id}"
    )
    assert DRIVER_TEXT not in repr(refused.value)


async def test_the_text_of_a_cause_stays_inside(serving: Serving) -> None:
    raised = errors.unavailable("S3", "http://s3", "start it")
    raised.__cause__ = OSError(DRIVER_TEXT)
    async with serving(raises(raised)) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()

    assert DRIVER_TEXT not in repr(refused.value)


async def test_a_unary_call_without_a_deadline_ends_all_the_same(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interceptors, "DEFAULT_DEADLINE_SECONDS", 0.05)

    async def for_ever(_: bytes) -> bytes:
        return await asyncio.Future()

    async with serving(for_ever) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(deadline=None)

    info = detail(refused.value, error_details_pb2.ErrorInfo)
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert info.reason == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("kind", KINDS[1:])
async def test_a_stream_is_as_long_as_its_client_wants(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(interceptors, "DEFAULT_DEADLINE_SECONDS", 0)

    async with serving(echo) as call:
        assert await call(kind, b"a request", deadline=None) == b"a request"


async def never(_: bytes) -> bytes:
    return await asyncio.Future()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deadline", [None, 600], ids=["no deadline", "a late one"])
async def test_no_call_lasts_longer_than_any_may(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, kind: str, deadline: float | None
) -> None:
    monkeypatch.setattr(interceptors, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(interceptors, "DEFAULT_DEADLINE_SECONDS", 0.05)

    async with serving(never) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(kind, b"a request", deadline=deadline)

    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert detail(refused.value, error_details_pb2.ErrorInfo).reason == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize(
    ("rpc", "ends"),
    [
        ("homeward.api.ingestion.v1.ScanService/WatchScan", False),
        ("grpc.health.v1.Health/Watch", False),
        ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", False),
        ("homeward.api.matching.v1.SubjectService/RebuildGallery", True),
        ("homeward.api.ingestion.v1.FootageService/UploadFootage", True),
    ],
)
async def test_a_watch_is_as_long_as_its_client_wants(
    monkeypatch: pytest.MonkeyPatch, *, rpc: str, ends: bool
) -> None:
    monkeypatch.setattr(interceptors, "LONGEST_SECONDS", 0.0)
    context: Any = SimpleNamespace(time_remaining=lambda: None)
    call = Call(rpc=rpc, request_id="r", streams=True, context=context)
    try:
        async with interceptors.limit_time(call):
            await asyncio.sleep(0.01)
    except errors.DeadlineExceededError:
        assert ends
    else:
        assert not ends


async def test_the_deadline_of_a_client_ends_the_work(serving: Serving) -> None:
    ended = asyncio.Event()

    async def for_ever(_: bytes) -> bytes:
        try:
            return await asyncio.Future()
        finally:
            ended.set()

    async with serving(for_ever) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(deadline=2)
        await asyncio.wait_for(ended.wait(), 5)

    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert detail(refused.value, error_details_pb2.ErrorInfo).reason == "DEADLINE_EXCEEDED"


async def test_a_timeout_inside_of_a_call_is_not_the_calls_deadline(serving: Serving) -> None:
    async with serving(raises(TimeoutError(DRIVER_TEXT))) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()

    assert refused.value.code() is grpc.StatusCode.INTERNAL


async def test_an_abort_further_in_passes_unchanged(serving: Serving) -> None:
    @asynccontextmanager
    async def deny(call: Call) -> AsyncIterator[None]:
        await call.context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
        yield

    async with serving(echo, chain=[*interceptors.DEFAULT_CHAIN, deny]) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.details() == "not you"


async def test_the_chain_runs_outermost_first(serving: Serving) -> None:
    order: list[str] = []

    def around(name: str) -> interceptors.Around:
        @asynccontextmanager
        async def note(_: Call) -> AsyncIterator[None]:
            order.append(f"into {name}")
            yield
            order.append(f"out of {name}")

        return note

    async with serving(echo, chain=[around("a"), around("b")]) as call:
        await call()

    assert order == ["into a", "into b", "out of b", "out of a"]


async def test_an_unknown_method_is_unimplemented(serving: Serving) -> None:
    async with serving(echo) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.channel.unary_unary("/homeward.test.Probe/Nothing")(b"")

    info = detail(refused.value, error_details_pb2.ErrorInfo)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert (info.reason, info.domain) == ("RPC_UNKNOWN", "homeward")
    assert dict(info.metadata) == {"rpc": "homeward.test.Probe/Nothing"}


@pytest.mark.parametrize("kind", ["unary_stream", "stream_unary", "stream_stream"])
async def test_an_unknown_method_is_unimplemented_whatever_its_kind(
    serving: Serving, kind: str
) -> None:
    async with serving(echo) as call:
        made = getattr(call.channel, kind)(f"/{'x' * 300}/Nothing")
        asked = made(iter([b""]) if kind.startswith("stream") else b"")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await (asked if kind.endswith("unary") else asked.read())

    info = detail(refused.value, error_details_pb2.ErrorInfo)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert dict(info.metadata) == {"rpc": "x" * interceptors.LONGEST_NAME}


async def test_unknown_methods_add_no_figures_and_no_names_to_the_log(
    serving: Serving, lines: Any
) -> None:
    async with serving(echo) as call:
        with pytest.raises(grpc.aio.AioRpcError):
            await call.channel.unary_unary("/a.stranger/Wrote")(b"")

    assert "stranger" not in json.dumps(lines())
    assert "stranger" not in generate_latest().decode()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_of_the_largest_size_is_taken(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(interceptors, "MAX_MESSAGE_BYTES", 1000)
    async with serving(echo) as call:
        assert await call(kind, b"x" * 1000) == b"x" * 1000


@pytest.mark.parametrize("kind", KINDS)
async def test_a_larger_message_is_refused_with_its_size(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(interceptors, "MAX_MESSAGE_BYTES", 1000)
    async with serving(echo) as call:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(kind, b"x" * 1001)

    info = detail(refused.value, error_details_pb2.ErrorInfo)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert info.reason == "MESSAGE_TOO_LARGE"
    assert dict(info.metadata) == {"size_bytes": "1001", "limit_bytes": "1000"}


async def test_a_message_that_is_as_large_as_a_client_may_send_meets_our_own_limit(
    serving: Serving,
) -> None:
    async with (
        serving(echo) as call,
        grpc.aio.insecure_channel(
            f"localhost:{call.server.port}", options=[("grpc.max_send_message_length", -1)]
        ) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/homeward.test.Probe/UnaryUnary")(
                b"x" * (MAX_MESSAGE_BYTES + 1)
            )

    assert detail(refused.value, error_details_pb2.ErrorInfo).reason == "MESSAGE_TOO_LARGE"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_leaves_one_line_without_what_was_asked(
    serving: Serving, lines: Any, kind: str
) -> None:
    async with serving(echo) as call:
        lines()
        await call(kind, b"Anna Example, born 2011")
    logged = lines()  # all of them: a caller has its answer before the server's last line

    (line,) = [one for one in logged if one["event"] != "stopped"]
    assert line.pop("ms") >= 0
    assert len(line.pop("request_id")) == 32
    assert line == {
        "event": "rpc",
        "level": "info",
        "rpc": f"homeward.test.Probe/{kind}",
        "code": "OK",
    }


async def test_a_refusal_is_logged_by_its_reason_and_not_its_words(
    serving: Serving, lines: Any
) -> None:
    raised = errors.invalid_field("subject.label", "Anna Example is too long")
    raised.__cause__ = OSError(DRIVER_TEXT)
    async with serving(raises(raised)) as call:
        lines()
        with pytest.raises(grpc.aio.AioRpcError):
            await call()
    logged = lines()  # all of them: a caller has its answer before the server's last line

    refusal, canonical = [one for one in logged if one["event"] != "stopped"]
    assert (refusal["event"], refusal["reason"], refusal["cause"]) == (
        "refused",
        "FIELD_INVALID",
        "OSError",
    )
    assert (canonical["event"], canonical["code"]) == ("rpc", "INVALID_ARGUMENT")
    assert "Anna" not in json.dumps(logged)
    assert DRIVER_TEXT not in json.dumps(logged)


async def test_the_log_has_the_traceback_of_an_unexpected_error_under_the_request_id(
    serving: Serving, lines: Any
) -> None:
    async with serving(raises(ValueError("a fault"))) as call:
        lines()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call()
    logged = lines()  # all of them: a caller has its answer before the server's last line

    (line,) = [line for line in logged if line["event"] == "unexpected error"]
    info = detail(refused.value, error_details_pb2.ErrorInfo)
    assert line["request_id"] == info.metadata["request_id"]
    assert "ValueError: a fault" in line["exception"]


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_is_counted_with_its_code_and_timed_apart_from_streams(
    serving: Serving, kind: str
) -> None:
    rpc = f"homeward.test.Probe/{kind}"
    timed, other = "homeward_rpc_stream_seconds_count", "homeward_rpc_seconds_count"
    timed, other = (other, timed) if kind == "UnaryUnary" else (timed, other)
    before = sample("homeward_rpcs_total", rpc=rpc, code="OK"), sample(timed, rpc=rpc)
    async with serving(echo) as call:
        await call(kind)

    assert sample("homeward_rpcs_total", rpc=rpc, code="OK") == before[0] + 1
    assert sample(timed, rpc=rpc) == before[1] + 1
    assert sample(other, rpc=rpc) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFoundError("no", reason=Reason.CAMERA_NOT_FOUND), "NOT_FOUND"),
        (RuntimeError(DRIVER_TEXT), "INTERNAL"),
    ],
)
async def test_a_failed_call_is_counted_with_its_code(
    serving: Serving, error: Exception, code: str
) -> None:
    labels = {"rpc": "homeward.test.Probe/UnaryUnary", "code": code}
    before = sample("homeward_rpcs_total", **labels)
    async with serving(raises(error)) as call:
        with pytest.raises(grpc.aio.AioRpcError):
            await call()

    assert sample("homeward_rpcs_total", **labels) == before + 1


async def test_a_call_whose_caller_leaves_is_counted_as_cancelled(serving: Serving) -> None:
    labels = {"rpc": "homeward.test.Probe/UnaryUnary", "code": "CANCELLED"}
    before = sample("homeward_rpcs_total", **labels)
    begun = asyncio.Event()

    async def wait(_: bytes) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return b""

    async with serving(wait) as call:
        asked = asyncio.create_task(call(deadline=None))
        await begun.wait()
        asked.cancel()

    assert sample("homeward_rpcs_total", **labels) == before + 1


async def test_health_probes_are_not_counted(serving: Serving) -> None:
    async with serving(echo) as call:
        await call.channel.unary_unary("/grpc.health.v1.Health/Check")(b"")

    assert [s for f in REGISTRY.collect() for s in f.samples if "grpc.health" in str(s)] == []
