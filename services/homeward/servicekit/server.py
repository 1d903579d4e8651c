"""The one way in which a Homeward service is served.

Health starts NOT_SERVING and follows the readiness checks; that of `live` does not, so that no
process is restarted because an engine is away. SIGTERM and SIGINT make it NOT_SERVING.
Calls are still taken while clients and load balancers notice; then connections are told to go
(GOAWAY), new calls are refused, and those under way finish within the grace.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from homeward.core.tls import TlsFiles, server_credentials
from homeward.servicekit import errors
from homeward.servicekit.background import in_background
from homeward.servicekit.clients import (
    KEEPALIVE_MS,
    MAX_MESSAGE_BYTES,
    message_size_options,
    say_unusable,
)
from homeward.servicekit.health import LIVE, HealthPort
from homeward.servicekit.identity.checking import checking
from homeward.servicekit.interceptors import DEFAULT_CHAIN, Around, InterceptorChain, chain
from homeward.servicekit.quotas import quotas
from homeward.servicekit.settings import MAX_CONNECTION_AGE_SECONDS, ServiceSettings

READINESS_INTERVAL_SECONDS = 2.0
READINESS_TIMEOUT_SECONDS = 5.0
MAX_METADATA_BYTES = 256 * 1024
"""Of a call's metadata. An access token may have 16 KiB; one that is larger hears why it is refused
up to here."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """A gRPC service to serve."""

    name: str
    """Full name, such as `homeward.api.matching.v1.SubjectService`."""
    add: Callable[[Any, grpc.aio.Server], None]
    """The generated `add_…Servicer_to_server`."""
    servicer: object


ReadinessChecks = Mapping[str, Callable[[], Awaitable[object]]]
"""By component: a call that raises a `DomainError` while the component does not answer."""


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """What a server needs where its clients are on other machines, behind load balancers."""

    tls: TlsFiles | None = None
    """What clients must prove themselves against; None serves in plain text."""
    health_listen: str | None = None
    """`host:port` that serves health alone, in plain text, for probes; None for no such one."""
    drain_seconds: float = 0.0
    """How long new calls are still taken after a request to stop."""
    max_connection_age_seconds: float = MAX_CONNECTION_AGE_SECONDS
    """After which a connection takes no new calls. Calls that it has go on for as long as they
    take: an upload may need hours."""
    reflection: bool = True
    """Whether the server describes its RPCs to anybody (`grpc.reflection.v1alpha`)."""


class GrpcServer:
    """A gRPC server with health, reflection and the interceptor chain.

    Args:
        services: What to serve.
        listen: `host:port`; port 0 takes a free one.
        checks: What must answer before, and while, health says SERVING.
        grace_seconds: How long calls may finish after new ones are refused.
        network: For clients on other machines.
        chain: What every call runs inside of, outermost first.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        listen: str,
        checks: ReadinessChecks,
        grace_seconds: float,
        network: NetworkOptions = NetworkOptions(),
        chain: Sequence[Around] = DEFAULT_CHAIN,
    ) -> None:
        self._listen = listen
        self._checks = checks
        self._grace = grace_seconds
        self._drain = network.drain_seconds
        self._tls = network.tls
        self._names = [service.name for service in services]
        self._health = HealthServicer()
        self._server = grpc.aio.server(
            interceptors=[InterceptorChain(chain)],
            options=[
                *message_size_options(receive=2 * MAX_MESSAGE_BYTES),  # see interceptors._read
                # Without this two servers may share a port, and each would get half of the calls.
                ("grpc.so_reuseport", 0),
                # Let clients ask whether we are still there as often as ours do.
                ("grpc.http2.min_recv_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
                # Without `max_connection_age_grace_ms`, which would cut calls off.
                ("grpc.max_connection_age_ms", round(network.max_connection_age_seconds * 1000)),
                # gRPC turns away more without a reason, from 8 KiB on at random.
                ("grpc.max_metadata_size", MAX_METADATA_BYTES),
                ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
            ],
        )
        for service in services:
            service.add(service.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if network.reflection:
            reflection.enable_server_reflection(
                [
                    *self._names,
                    reflection.SERVICE_NAME,
                    health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
                ],
                self._server,
            )
        self._probes = HealthPort(self._health, network.health_listen)
        self.port = 0

    @property
    def health_port(self) -> int:
        """The port that serves health alone, once started; 0 without one."""
        return self._probes.port

    @classmethod
    def configured(
        cls,
        settings: ServiceSettings,
        services: Sequence[Service],
        *,
        checks: ReadinessChecks,
        around: Sequence[Around] = (),
        outside: Sequence[Around] = (),
    ) -> Self:
        """Return the server that the settings describe.

        Args:
            settings: Where it listens, and how.
            services: What to serve.
            checks: As of the constructor.
            around: What calls run inside of beyond what every server has, outermost first.
            outside: The same, but outside of what decides who may call.

        Raises:
            UndeclaredRpcError: An RPC states no access or operation.
            AuthFileError: The file that says whom to trust cannot be used.
        """
        names = [service.name for service in services]
        return cls(
            services,
            listen=settings.listen,
            checks=checks,
            grace_seconds=settings.grace_seconds,
            network=NetworkOptions(
                tls=settings.tls,
                health_listen=settings.health_listen,
                drain_seconds=settings.drain_seconds,
                max_connection_age_seconds=settings.max_connection_age_seconds,
                reflection=settings.reflection,
            ),
            chain=chain(
                *outside,
                *checking(settings.auth_file, names, limits=quotas(settings.quota)),
                *around,
            ),
        )

    async def start(self) -> None:
        """Bind and answer; health stays NOT_SERVING until the checks, if there are any, pass.

        Raises:
            RuntimeError: An address cannot be bound.
            TlsError: TLS cannot be spoken with the files.
        """
        await self._report(serving=not self._checks)
        if self._tls is None:
            self.port = self._server.add_insecure_port(self._listen)
        else:
            credentials = server_credentials(self._tls, say_unusable)
            self.port = self._server.add_secure_port(self._listen, credentials)
        await self._server.start()
        await self._probes.start()
        log.info("listening", address=self._listen, port=self.port, tls=self._tls is not None)

    async def stop(self) -> None:
        """Say NOT_SERVING, take calls until that is known, and let those under way finish."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._drain)
        await self._server.stop(self._grace)
        await self._probes.stop()
        log.info("stopped")

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        stop = stop_event()
        async with self.serving():
            await stop.wait()
            log.info("stopping", drain_seconds=self._drain, grace_seconds=self._grace)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None, None]:
        """Serve while the block runs, with health that follows the checks."""
        await self.start()
        try:
            async with in_background(self._watch_readiness()):
                yield
        finally:
            await self.stop()

    async def _watch_readiness(self) -> None:
        serving: bool | None = None
        reported: Mapping[str, str] | None = None
        while True:
            failed = await failing_checks(self._checks)
            ready = not failed
            if failed != reported:
                log.info(
                    "ready" if ready else "not ready",
                    waiting_for=sorted(failed),
                    **({} if ready else {"problem": "; ".join(failed.values())}),
                )
                reported = failed
            if ready != serving:
                await self._report(serving=ready)
                serving = ready
            await asyncio.sleep(READINESS_INTERVAL_SECONDS if ready else 0.2)

    async def _report(self, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        value = status.SERVING if serving else status.NOT_SERVING
        for name in ["", *self._names]:
            await self._health.set(name, value)
        await self._health.set(LIVE, status.SERVING)


async def failing_checks(checks: ReadinessChecks) -> dict[str, str]:
    """Return what is wrong with the components that do not answer now, by their names."""

    async def problem_of(name: str, check: Callable[[], Awaitable[object]]) -> str | None:
        try:
            async with asyncio.timeout(READINESS_TIMEOUT_SECONDS):
                await check()
        except errors.DomainError as error:
            return str(error)
        except TimeoutError:
            return f"{name} does not answer within {READINESS_TIMEOUT_SECONDS:g} s"
        except Exception:
            # A fault in a check must not freeze health at what it was.
            log.exception("readiness check failed")
            return f"the check of {name} failed; see above"
        return None

    answers = await asyncio.gather(*(problem_of(name, check) for name, check in checks.items()))
    found = zip(checks, answers, strict=True)
    return {name: problem for name, problem in found if problem is not None}


def stop_event() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    return event
