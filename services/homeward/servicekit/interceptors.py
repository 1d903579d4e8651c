"""What happens around every call: one canonical log line, errors as statuses, a deadline.

The chain is outermost first: trace, figures, logging, errors, deadline; access and audit take their
places behind errors. Each is an `Around`, a context manager that a call runs inside of, whatever
its kind.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.trace import SpanKind

from homeward.servicekit import errors, metrics, tracing

DOMAIN = "homeward"
DEFAULT_DEADLINE_SECONDS = 120.0
"""For a unary call whose client sets none, so that none waits for ever."""

_CODES: dict[type[errors.DomainError], grpc.StatusCode] = {
    errors.InvalidArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.AbortedError: grpc.StatusCode.ABORTED,
    errors.ResourceExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.InternalError: grpc.StatusCode.INTERNAL,
}
_RETRY_AFTER_SECONDS = 1

log = structlog.get_logger()


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

    @property
    def routine(self) -> bool:
        """Whether it is a health probe or reflection, which come by the thousand."""
        return self.rpc.startswith("grpc.")

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
        if handler is None:
            return None
        rpc = handler_call_details.method.lstrip("/")
        streams = handler.request_streaming or handler.response_streaming

        @asynccontextmanager
        async def around(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
            call = Call(rpc=rpc, request_id=uuid.uuid4().hex, streams=streams, context=context)
            async with AsyncExitStack() as stack:
                for enter in self._arounds:
                    await stack.enter_async_context(enter(call))
                yield

        async def one(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401 - any RPC's types
            async with around(context):
                return await behaviour(request, context)

        async def many(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401 - any RPC's types
            async with around(context):
                responses = behaviour(request, context)
                if inspect.isawaitable(responses):  # it writes to the context, as health's Watch
                    await responses
                    return
                async for response in responses:
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
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


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
    """End a unary call at its deadline, or after `DEFAULT_DEADLINE_SECONDS` if it has none."""
    if call.streams:
        yield
        return
    remaining = call.context.time_remaining()
    limit = asyncio.timeout(DEFAULT_DEADLINE_SECONDS if remaining is None else remaining)
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


DEFAULT_CHAIN: tuple[Around, ...] = (
    trace_call,
    measure_call,
    log_call,
    map_errors,
    limit_time,
)


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
    if code is grpc.StatusCode.UNAVAILABLE:
        details.append(
            error_details_pb2.RetryInfo(
                retry_delay=duration_pb2.Duration(
                    seconds=error.retry_seconds or _RETRY_AFTER_SECONDS
                )
            )
        )
    status = status_pb2.Status(code=code.value[0], message=error.message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    # The type alone: a driver's text may carry what must not be logged.
    cause = type(error.__cause__).__name__ if error.__cause__ else None
    log.info("refused", code=code.name, reason=error.reason.value, cause=cause)
    await call.context.abort(
        code,
        error.message,
        trailing_metadata=(("grpc-status-details-bin", status.SerializeToString()),),
    )
