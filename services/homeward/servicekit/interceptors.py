"""What happens around every call: one canonical log line, errors as statuses, a deadline.

The chain is outermost first: trace, metrics, logging, errors, access and audit where there are any,
deadline. Each is an `Around`, a context manager that a call runs inside of, whatever
its kind.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog
from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind

from homeward.core.rpc_errors import DOMAIN
from homeward.servicekit import errors, metrics, tracing
from homeward.servicekit.clients import MAX_MESSAGE_BYTES
from homeward.servicekit.identity.caller import Caller

DEFAULT_DEADLINE_SECONDS = 120.0
"""For a unary call whose client sets none, so that none waits for ever."""

LONGEST_SECONDS = 24 * 3600.0
"""For a stream whose client sets no deadline or a later one, and for a unary call with a later one.
Watches (`Watch…`) have no such end: they are as long as what they watch."""

ANSWER_SECONDS = 0.1
"""How long before its deadline a unary call is ended at most, so that the answer arrives: a client
whose deadline has passed tells so itself, and hears no reason. A tenth of a shorter deadline."""

UNKNOWN = "unknown"
"""What a call of no RPC is called in metrics and logs, which would have no end of names."""

LONGEST_NAME = 200
"""Characters of such a call's name that are told."""

_CODES: dict[type[errors.DomainError], grpc.StatusCode] = {
    errors.InvalidArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.AbortedError: grpc.StatusCode.ABORTED,
    errors.ResourceExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.UnimplementedError: grpc.StatusCode.UNIMPLEMENTED,
    errors.InternalError: grpc.StatusCode.INTERNAL,
}
_RETRY_AFTER_SECONDS = 1
_NO_RETRY = ("grpc-retry-pushback-ms", "-1")
"""Keeps the caller's gRPC from repeating a call by itself, which would wait as long each time."""

log = structlog.get_logger()


@dataclass(slots=True)
class Exchange:
    """What was exchanged in a call so far, for those who are around it."""

    request: Message | None = None
    """The request; of a stream, the first."""
    response: Message | None = None
    """The response; of a stream, the first."""
    caller: Caller | None = None
    """Who calls, once that is known; of a call that is refused for its caller, too."""
    admitted: bool = False
    """Whether its caller may make it."""
    before_first_response: Callable[[], Awaitable[None]] | None = None
    """Awaited before the first response of a stream is given; what it raises ends the call."""

    async def answer(self, response: Message) -> None:
        """Take note of a response of a stream that is about to be given."""
        if self.response is None:
            self.response = response
            if self.before_first_response is not None:
                await self.before_first_response()


@dataclass(frozen=True, slots=True)
class Call:
    """A call under way."""

    rpc: str
    """Full name, such as `homeward.api.matching.v1.SubjectService/GetSubject`."""
    request_id: str
    """Made by the server; in its log lines and in the metadata of an internal error."""
    streams: bool
    """Whether either side streams."""
    context: grpc.aio.ServicerContext[Any, Any]
    exchange: Exchange = field(default_factory=Exchange)

    @property
    def routine(self) -> bool:
        """Whether it is a health probe or reflection, which come by the thousand."""
        return self.rpc.startswith("grpc.")

    @property
    def watches(self) -> bool:
        """Whether it follows something, for as long as its client wants."""
        return self.rpc.rpartition("/")[2].startswith("Watch")

    @property
    def code(self) -> str:
        """Name of the status that it ended with, `OK` before that."""
        code = self.context.code() or grpc.StatusCode.OK
        return code.name if isinstance(code, grpc.StatusCode) else str(code)


Around = Callable[[Call], AbstractAsyncContextManager[None]]


class InterceptorChain(grpc.aio.ServerInterceptor):
    """Runs every call inside of each `Around`, outermost first."""

    def __init__(self, arounds: Sequence[Around]) -> None:
        self._arounds = tuple(arounds)

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401 - grpc types it as a handler, but wants None for an unknown method
        """Wrap the handler of a call."""
        handler: Any = await continuation(handler_call_details)
        rpc = handler_call_details.method.lstrip("/")
        if handler is None:
            handler, rpc = _unknown(rpc), UNKNOWN
        streams = handler.request_streaming or handler.response_streaming

        @asynccontextmanager
        async def around(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Exchange]:
            call = Call(rpc=rpc, request_id=uuid.uuid4().hex, streams=streams, context=context)
            async with AsyncExitStack() as stack:
                for enter in self._arounds:
                    await stack.enter_async_context(enter(call))
                yield call.exchange

        async def one(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401 - any RPC's types
            async with around(context) as exchange:
                exchange.response = await behaviour(_taken(request, handler, exchange), context)
            return exchange.response

        async def many(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401 - any RPC's types
            async with around(context) as exchange:
                responses = behaviour(_taken(request, handler, exchange), context)
                if inspect.isawaitable(responses):  # it writes to the context, as health's Watch
                    await responses
                    return
                async for response in responses:
                    await exchange.answer(response)
                    yield response

        kind = {
            (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler, one),
            (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler, many),
            (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler, one),
            (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler, many),
        }[handler.request_streaming, handler.response_streaming]
        attribute, make, wrapped = kind
        behaviour = getattr(handler, attribute)
        return make(
            wrapped,
            request_deserializer=_read(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )


@dataclass(frozen=True, slots=True)
class _TooLarge:
    """Stands for a message that was not read."""

    size: int


class _Undecodable:
    """Stands for bytes that are no message of the RPC."""


def _read(deserializer: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """Return what reads messages, and gives what stands for those that cannot be taken.

    gRPC's own limit is wider: it turns a message away without a reason, before anything of ours is
    called. What a deserializer raises, gRPC answers with a code of its own and a traceback in the
    log: anybody could fill it.
    """

    def read(data: bytes) -> Any:  # noqa: ANN401 - any RPC's type
        if len(data) > MAX_MESSAGE_BYTES:
            return _TooLarge(len(data))
        try:
            return deserializer(data) if deserializer else data
        except DecodeError:
            return _Undecodable()  # refused in `_taken`, inside of the chain

    return read


def _taken(request: Any, handler: Any, exchange: Exchange) -> Any:  # noqa: ANN401 - any RPC's types
    """Return a request, or a stream of them, that is refused where a message cannot be taken.

    Raises:
        ResourceExhaustedError: `MESSAGE_TOO_LARGE`.
        InvalidArgumentError: `MESSAGE_UNDECODABLE`.
    """
    if handler.request_streaming:
        return _each_taken(request, exchange)
    exchange.request = _fitting(request)
    return exchange.request


async def _each_taken(requests: AsyncIterator[Any], exchange: Exchange) -> AsyncIterator[Any]:
    async for request in requests:
        taken = _fitting(request)
        if exchange.request is None:
            exchange.request = taken
        yield taken


def _fitting(request: Any) -> Any:  # noqa: ANN401 - any RPC's type
    if isinstance(request, _TooLarge):
        raise errors.ResourceExhaustedError(
            f"the message has {request.size} bytes, at most {MAX_MESSAGE_BYTES} are taken",
            reason=errors.Reason.MESSAGE_TOO_LARGE,
            metadata={"size_bytes": str(request.size), "limit_bytes": str(MAX_MESSAGE_BYTES)},
        )
    if isinstance(request, _Undecodable):
        raise errors.InvalidArgumentError(
            "the bytes that came are no message of this RPC: use code that is made from the protos"
            " of this version",
            reason=errors.Reason.MESSAGE_UNDECODABLE,
        )
    return request


def _unknown(rpc: str) -> Any:  # noqa: ANN401 - a handler, which grpc does not type
    """Return the handler of a call that no service has, whatever its kind."""
    name = rpc[:LONGEST_NAME]

    async def refuse(_: object, __: object) -> AsyncIterator[bytes]:
        raise errors.UnimplementedError(
            f"there is no RPC {name} here: this is another service, or of another version",
            reason=errors.Reason.RPC_UNKNOWN,
            metadata={"rpc": name},
        )
        yield b""

    return grpc.stream_stream_rpc_method_handler(refuse)


@asynccontextmanager
async def trace_call(call: Call) -> AsyncIterator[None]:
    """Make a span of a call, in the trace that the caller began if it says which."""
    if call.routine:
        yield
        return
    sent = {
        key: value
        for key, value in call.context.invocation_metadata() or ()
        if isinstance(value, str)
    }
    attributes = {"rpc.system": "grpc", "rpc.method": call.rpc, "request_id": call.request_id}
    with tracing.span(call.rpc, attributes, kind=SpanKind.SERVER, parent=sent) as made:
        try:
            yield
        finally:
            made.set_attribute("rpc.grpc.status", call.code)


@asynccontextmanager
async def measure_call(call: Call) -> AsyncIterator[None]:
    """Count a call, and how long it took."""
    if call.routine:
        yield
        return
    seconds = metrics.RPC_STREAM_SECONDS if call.streams else metrics.RPC_SECONDS
    cancelled = False
    try:
        with seconds.labels(call.rpc).time():
            yield
    except (asyncio.CancelledError, GeneratorExit):  # the caller left, or its deadline passed
        cancelled = True
        raise
    finally:
        code = grpc.StatusCode.CANCELLED.name if cancelled else call.code
        metrics.RPCS.labels(call.rpc, code).inc()


@asynccontextmanager
async def log_call(call: Call) -> AsyncIterator[None]:
    """Write one canonical line when a call ends."""
    started = time.perf_counter()
    with structlog.contextvars.bound_contextvars(rpc=call.rpc, request_id=call.request_id):
        try:
            yield
        finally:
            write = log.debug if call.routine else log.info
            write("rpc", code=call.code, ms=round((time.perf_counter() - started) * 1000, 1))


@asynccontextmanager
async def map_errors(call: Call) -> AsyncIterator[None]:
    """Answer a `DomainError` with its status, and anything else with a fixed sentence."""
    try:
        yield
    except (grpc.aio.AbortError, asyncio.CancelledError):
        raise
    except errors.DomainError as error:
        await _abort(call, error)
    except Exception:
        log.exception("unexpected error")
        await _abort(
            call,
            errors.InternalError(
                f"Homeward failed to do this; its log has the details under {call.request_id}",
                reason=errors.Reason.INTERNAL,
                metadata={"request_id": call.request_id},
            ),
        )


@asynccontextmanager
async def limit_time(call: Call) -> AsyncIterator[None]:
    """End a call in time.

    A unary call ends before its deadline, or after `DEFAULT_DEADLINE_SECONDS` without one; a stream
    at its deadline, which gRPC sees to. Neither lasts longer than `LONGEST_SECONDS`.
    """
    if call.routine or call.watches:
        yield
        return
    remaining = call.context.time_remaining()
    if call.streams:
        seconds = LONGEST_SECONDS
    elif remaining is None:
        seconds = DEFAULT_DEADLINE_SECONDS
    else:
        seconds = min(remaining - min(ANSWER_SECONDS, remaining / 10), LONGEST_SECONDS)
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():  # somebody else's, further in
            raise
        raise errors.DeadlineExceededError(
            "the call's deadline passed before the work was done",
            reason=errors.Reason.DEADLINE_EXCEEDED,
        ) from error


def chain(*inner: Around) -> tuple[Around, ...]:
    """Return what every call runs inside of, with what a server adds inside of `map_errors`."""
    return (trace_call, measure_call, log_call, map_errors, *inner, limit_time)


DEFAULT_CHAIN = chain()


def status_of(error: Exception, call: Call) -> str:
    """Return the name of the status that `map_errors` answers an error with."""
    if isinstance(error, errors.DomainError):
        return _CODES[type(error)].name
    return call.code if isinstance(error, grpc.aio.AbortError) else grpc.StatusCode.INTERNAL.name


async def _abort(call: Call, error: errors.DomainError) -> None:
    code = _CODES[type(error)]
    details: list[Any] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason.value, domain=DOMAIN, metadata=error.metadata
        )
    ]
    if error.violations:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=violation.field, description=violation.description
                    )
                    for violation in error.violations
                ]
            )
        )
    retry_seconds = error.retry_seconds
    if code is grpc.StatusCode.UNAVAILABLE:
        retry_seconds = retry_seconds or _RETRY_AFTER_SECONDS
    if retry_seconds:
        delay = duration_pb2.Duration(seconds=retry_seconds)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    answer = status_pb2.Status(code=code.value[0], message=error.message)
    for detail in details:
        answer.details.add().Pack(detail)
    # The type alone: a driver's text may carry what must not be logged.
    cause = type(error.__cause__).__name__ if error.__cause__ else None
    problem = str(error) if error.advice else None  # of an engine or a setting: of nobody
    log.info("refused", code=code.name, reason=error.reason.value, cause=cause, problem=problem)
    status = rpc_status.to_status(answer)
    trailing = [*status.trailing_metadata]
    if isinstance(error, errors.UnavailableError) and error.waited:
        trailing.append(_NO_RETRY)
    await call.context.abort(status.code, status.details, trailing_metadata=tuple(trailing))
