from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from homeward.core.tls import TlsFiles
from homeward.servicekit.clients import message_size_options
from homeward.servicekit.interceptors import DEFAULT_CHAIN, Around
from homeward.servicekit.server import GrpcServer, NetworkOptions, ReadinessChecks, Service

NAME = "homeward.test.Probe"

Behaviour = Callable[[bytes], Awaitable[bytes]]


async def _only(request: Any) -> bytes:
    return b"".join([part async for part in request])


def add_probe(behaviour: Behaviour, server: grpc.aio.Server) -> None:
    """Add a service with an RPC of each kind, all of which do the same."""

    async def unary_unary(request: bytes, _: Any) -> bytes:
        return await behaviour(request)

    async def unary_stream(request: bytes, _: Any) -> AsyncIterator[bytes]:
        yield await behaviour(request)

    async def stream_unary(request: Any, _: Any) -> bytes:
        return await behaviour(await _only(request))

    async def stream_stream(request: Any, _: Any) -> AsyncIterator[bytes]:
        yield await behaviour(await _only(request))

    handlers = {
        "UnaryUnary": grpc.unary_unary_rpc_method_handler(unary_unary),
        "UnaryStream": grpc.unary_stream_rpc_method_handler(unary_stream),
        "StreamUnary": grpc.stream_unary_rpc_method_handler(stream_unary),
        "StreamStream": grpc.stream_stream_rpc_method_handler(stream_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))


class Probe:
    """Calls the service that `add_probe` adds."""

    def __init__(self, server: GrpcServer, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.channel = channel

    async def __call__(
        self,
        kind: str = "UnaryUnary",
        request: bytes = b"",
        *,
        deadline: float | None = 10,
        metadata: Mapping[str, str] | None = None,
    ) -> bytes:
        path = f"/{NAME}/{kind}"
        channel = self.channel
        how: Any = {"timeout": deadline, "metadata": tuple((metadata or {}).items())}
        call = {
            "UnaryUnary": lambda: channel.unary_unary(path)(request, **how),
            "UnaryStream": lambda: _only(channel.unary_stream(path)(request, **how)),
            "StreamUnary": lambda: channel.stream_unary(path)(iter([request]), **how),
            "StreamStream": lambda: _only(channel.stream_stream(path)(iter([request]), **how)),
        }[kind]
        return await call()


@pytest.fixture
def serving() -> Any:
    """Serves a behaviour, and calls it."""

    @asynccontextmanager
    async def serve(
        behaviour: Behaviour,
        *,
        listen: str = "localhost:0",
        checks: ReadinessChecks | None = None,
        grace: float = 5,
        drain: float = 0,
        age: float = 60,
        tls: TlsFiles | None = None,
        health_listen: str | None = None,
        chain: Sequence[Around] = DEFAULT_CHAIN,
    ) -> AsyncIterator[Probe]:
        server = GrpcServer(
            [Service(NAME, add_probe, behaviour)],
            listen=listen,
            checks=checks or {},
            grace_seconds=grace,
            network=NetworkOptions(
                tls=tls,
                health_listen=health_listen,
                drain_seconds=drain,
                max_connection_age_seconds=age,
            ),
            chain=chain,
        )
        await server.start()
        try:
            # Not ours, which asks for the health of the server before it sends a call.
            async with grpc.aio.insecure_channel(
                f"localhost:{server.port}", options=message_size_options()
            ) as channel:
                yield Probe(server, channel)
        finally:
            await server.stop()

    return serve
