"""Calls to other Homeward services: channels, deadlines and errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import grpc
import structlog
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from homeward.core.idempotency import retries
from homeward.core.rpc_errors import error_info
from homeward.core.tls import (
    DISTRUST,
    Rotation,
    TlsError,
    TlsFiles,
    channel_credentials,
    distrusted,
    server_name_options,
)
from homeward.servicekit import errors, tracing
from homeward.servicekit.following import FollowingChannel

MAX_MESSAGE_BYTES = 34 * 1024 * 1024
"""Largest message of every server and client: a batch of frames, or a reference photograph of at
most 32 MiB with the fields beside it."""

HEALTH_TIMEOUT_SECONDS = 3.0
ALIVE_EVERY_SECONDS = 2.0
"""Time between two health checks of a service that works on a call."""
ALIVE_MISSES = 2
"""Health checks that a service may miss in a row; on a busy machine it misses one."""
KEEPALIVE_MS = 20_000
RECONNECT_MS = 2000
RESOLVE_MS = 5000
"""With `RECONNECT_MS`, the longest time until a client finds a replica that was added or restarted.
A rollout must not stop the next replica sooner (`minReadySeconds` of a Deployment)."""

# A server that shuts down drops calls that it has not begun with CANCELLED (grpc's zombies); a call
# that we cancel ourselves has no status.
_NO_ANSWER = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)
_REFUSED = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
"""Of us, by another service: whoever called us can do nothing about it."""
_ENDED_WHILE_SENDING = "Internal error from Core"
"""The details that grpc.aio gives when the peer disconnects while a message is written: grpc.aio
then has not received the status of the call."""
_NOT_READY = "it is not ready; its log says why"
_NOT_SERVING = "backend unhealthy"
"""In gRPC's words when a peer is there, and its health is not SERVING."""

BALANCED: Mapping[str, Any] = {
    # Over all addresses of the name, which those of a headless Service are: its pods.
    "loadBalancingConfig": [{"round_robin": {}}],
    # Only pods whose health is SERVING get calls: a pod that starts or stops gets none, and does
    # not make its caller unready.
    "healthCheckConfig": {"serviceName": ""},
}

_BY_CODE: Mapping[grpc.StatusCode, type[errors.DomainError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: errors.NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExistsError,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPreconditionError,
    grpc.StatusCode.ABORTED: errors.AbortedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhaustedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceededError,
}


T = TypeVar("T")
log = structlog.get_logger()


def message_size_options(*, receive: int = MAX_MESSAGE_BYTES) -> list[tuple[str, int]]:
    """Return the channel or server options that allow messages of `MAX_MESSAGE_BYTES`.

    Args:
        receive: Largest message that is accepted. gRPC itself refuses a larger one, and the sender
            gets no reason.
    """
    return [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", receive),
    ]


def open_channel(
    target: str,
    *,
    idempotent: tuple[str, ...] = (),
    tls: TlsFiles | None = None,
    server_name: str | None = None,
) -> grpc.aio.Channel:
    """Open a channel that spreads calls, and repeats idempotent ones that got no answer.

    Args:
        target: Address in gRPC's syntax, such as `127.0.0.1:5000`, `dns:///matching:5000`, or
            `ipv4:10.0.0.1:5000,10.0.0.2:5000` for replicas that have no common name.
        idempotent: Names of the calls that may be repeated, see `core.idempotency`.
        tls: Certificate, key and authority of this client; None speaks plain text.
        server_name: Name that the servers' certificates must have; None: the host of `target`.

    Raises:
        TlsError: TLS cannot be spoken with the files.
    """
    options: list[tuple[str, str | int]] = [*message_size_options()]
    # Streams have no deadline: keepalive notices a peer that disappears without closing them.
    options.append(("grpc.keepalive_time_ms", KEEPALIVE_MS))
    options.append(("grpc.keepalive_timeout_ms", KEEPALIVE_MS // 2))
    # A service that restarts is back within seconds: reconnect soon, not after gRPC's two minutes.
    options.append(("grpc.max_reconnect_backoff_ms", RECONNECT_MS))
    # Replicas are replaced one after another: who is still there is asked of the name service
    # sooner than gRPC's 30 s after the last time, or all that are known may have gone.
    options.append(("grpc.dns_min_time_between_resolutions_ms", RESOLVE_MS))
    # By default channels of one process share their connections, and how long each waits after a
    # refusal: a new channel to a service that is back would fail for another channel's past.
    options.append(("grpc.use_local_subchannel_pool", 1))
    config = {**BALANCED, "methodConfig": retries(idempotent)}
    options.append(("grpc.service_config", json.dumps(config)))
    options.extend(server_name_options(server_name))
    if tls is None:
        return grpc.aio.insecure_channel(
            target, options=options, interceptors=[_TracingInterceptor()]
        )
    return FollowingChannel(
        Rotation(tls, say_unusable),
        lambda material: grpc.aio.secure_channel(
            target,
            channel_credentials(material),
            options=options,
            interceptors=[_TracingInterceptor()],
        ),
    )


def say_unusable(error: TlsError) -> None:
    """Log that the TLS files were replaced by files that cannot be used."""
    log.error("new certificate is not used", problem=str(error))


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """Return the metadata that puts a call into the current trace; a unary call has it anyway."""
    return tuple(tracing.carried().items())


class _TracingInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Puts unary calls into the current trace.

    Not streams: what grpc.aio returns for an intercepted one cannot be read while it is written.
    """

    async def intercept_unary_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,  # noqa: ANN401 - any RPC's
    ) -> Any:  # noqa: ANN401 - any RPC's
        """Send the call with what tells of the current span."""
        details = client_call_details
        traced = grpc.aio.ClientCallDetails(
            method=details.method,
            timeout=details.timeout,
            metadata=grpc.aio.Metadata(*(details.metadata or ()), *trace_metadata()),
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )
        return await continuation(traced, request)


async def check_health(channel: grpc.aio.Channel, component: str, address: str) -> None:
    """Return when a service reports that it serves.

    Raises:
        UnavailableError: The service does not answer, or is not ready.
    """
    stub: Any = health_pb2_grpc.HealthStub(channel)  # its types leave the methods out
    async with translated(component, address):
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT_SECONDS)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise _not_ready(component, address)


async def while_alive(
    call: Awaitable[T], channel: grpc.aio.Channel, component: str, address: str
) -> T:
    """Wait for the answer to a call for as long as the service shows that it lives.

    A call may take long. A service that hangs reports no error, so its health is checked meanwhile:
    the call ends after `ALIVE_MISSES` checks in a row without an answer, each of
    `HEALTH_TIMEOUT_SECONDS`. Where several replicas share one address, another replica may answer
    the check; then only the deadline of the call ends it.

    Raises:
        UnavailableError: The service does not answer the checks; the call is cancelled.
    """
    began = datetime.now(UTC)
    answer = asyncio.ensure_future(call)
    missed = 0
    try:
        while not (await asyncio.wait([answer], timeout=0 if missed else ALIVE_EVERY_SECONDS))[0]:
            missed = missed + 1 if await hangs(channel) else 0
            if missed == ALIVE_MISSES and not answer.done():
                raise errors.unavailable(
                    component,
                    address,
                    "see its log, and start it anew",
                    fact="it hangs",
                    since=began,
                    waited=True,
                )
        return await answer
    finally:
        answer.cancel()


async def hangs(channel: grpc.aio.Channel) -> bool:
    """Return whether a service does not answer its health check in time.

    A service that cannot be reached, or reports that it does not serve, does not hang: it answers
    the calls that it still works on, or they fail by themselves.
    """
    stub: Any = health_pb2_grpc.HealthStub(channel)  # its types leave the methods out
    try:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return False


@asynccontextmanager
async def translated(component: str, address: str) -> AsyncIterator[None]:
    """Raise the `DomainError` that a failed call to `component` stands for.

    A reason that Homeward gave is passed on; a peer that cannot be reached is
    `COMPONENT_UNAVAILABLE` with its name and address.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise translate(error, component, address) from error


def translate(error: grpc.aio.AioRpcError, component: str, address: str) -> errors.DomainError:
    """Return the `DomainError` that a failed call stands for."""
    info = _known_info(error)
    kind = _BY_CODE.get(error.code())
    if info is not None and kind is not None:
        return kind(
            error.details() or "",
            reason=errors.Reason(info.reason),
            metadata=dict(info.metadata),
        )
    if info is not None and info.reason == errors.Reason.COMPONENT_UNAVAILABLE:
        return errors.UnavailableError(
            error.details() or "",
            reason=errors.Reason.COMPONENT_UNAVAILABLE,
            metadata=dict(info.metadata),
        )
    if (advice := _turned_away(error)) is not None:
        return errors.unavailable(component, address, advice)
    if error.code() in _NO_ANSWER or error.details() == _ENDED_WHILE_SENDING:
        return errors.unavailable(
            component,
            address,
            "it may be starting; if it is not, start it, or correct its address",
            waited=error.code() is grpc.StatusCode.DEADLINE_EXCEEDED,
        )
    return errors.InternalError(
        f"{component} failed to answer; its log has the details",
        reason=errors.Reason.INTERNAL,
        metadata=dict(info.metadata) if info else {},
    )


def _turned_away(error: grpc.aio.AioRpcError) -> str | None:
    """Return what to do where a peer is there, and takes no calls of ours; None elsewhere."""
    if error.code() in _REFUSED:
        return "it does not know this service: list its certificate's name in its auth file"
    if _NOT_SERVING in (error.details() or ""):
        return _NOT_READY
    if distrusted(error.details() or ""):
        return f"TLS fails: {DISTRUST}"
    return None


def _not_ready(component: str, address: str) -> errors.UnavailableError:
    return errors.unavailable(component, address, _NOT_READY)


def _known_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """Return the reason that a peer gave, unless it is newer and this version lacks it."""
    info = error_info(error)
    return info if info is not None and info.reason in errors.Reason.__members__ else None
