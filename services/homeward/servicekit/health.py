"""Health for whoever speaks no TLS."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer

LIVE = "live"
"""Name under which health is SERVING while the process works at all, whatever its engines do: for
probes that restart it. A restart mends no engine."""


class HealthPort:
    """Serves `grpc.health.v1`, and nothing else, in plain text.

    Args:
        servicer: Tells the health.
        listen: `host:port`; port 0 takes a free one. None serves nothing.

    Attributes:
        port: That it listens on, once started.
    """

    def __init__(self, servicer: HealthServicer, listen: str | None) -> None:
        self._listen = listen
        # Without the option two servers may share a port, and each would get half of the probes.
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        self.port = 0

    async def start(self) -> None:
        """Bind and answer.

        Raises:
            RuntimeError: The address cannot be bound.
        """
        if self._listen is not None:
            self.port = self._server.add_insecure_port(self._listen)
            await self._server.start()

    async def stop(self) -> None:
        """Answer no more."""
        await self._server.stop(None)
