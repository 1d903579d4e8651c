"""Metrics of a service for Prometheus, over HTTP on an address of its own.

No label and no value is about a person: kinds of data, counts and ages only. A metric is made in
the module of those who set it, so that a process exports what it knows and no zeros of others.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from prometheus_client import Counter, Histogram, start_http_server

from homeward.servicekit.background import again_and_again, in_background

MEASURED_EVERY = timedelta(seconds=15)
"""Time between two measurements that need a call to another service: about the scrape interval."""

RPCS = Counter("homeward_rpcs_total", "Calls that ended, by their status code.", ["rpc", "code"])
RPC_SECONDS = Histogram(
    "homeward_rpc_seconds",
    "How long unary calls took, whatever their code.",
    ["rpc"],
    # From a look at a record to a file that is read through (`CompleteUpload`).
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
RPC_STREAM_SECONDS = Histogram(
    "homeward_rpc_stream_seconds",
    "How long streams were open: uploads, detection and watches last as long as their work does.",
    ["rpc"],
    buckets=(1, 5, 15, 60, 300, 900, 3600, 21600),
)


@contextmanager
def served(listen: str | None) -> Iterator[int | None]:
    """Serve the metrics of this process while the block runs.

    Args:
        listen: `host:port`; port 0 takes a free one. None serves nothing.

    Yields:
        The port.

    Raises:
        OSError: The address cannot be bound.
    """
    if listen is None:
        yield None
        return
    host, _, port = listen.rpartition(":")
    server, thread = start_http_server(int(port), host.strip("[]"))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@asynccontextmanager
async def measured(
    measure: Callable[[], Awaitable[object]], *, read: bool, every: timedelta = MEASURED_EVERY
) -> AsyncGenerator[None, None]:
    """Measure regularly, and set gauges, while the block runs.

    Args:
        measure: Measures, and sets the gauges.
        read: Whether the metrics are served; without, nothing is measured.
        every: Time between two measurements.
    """
    if not read:
        yield
        return
    async with in_background(again_and_again(measure, every=every)):
        yield
