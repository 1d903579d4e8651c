"""Figures of a service for Prometheus, over HTTP on an address of its own.

No label and no value is about a person: kinds of data, counts and ages only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from homeward.inventory import FOOTAGE, HeldData

MEASURED_EVERY = timedelta(seconds=15)
"""What is measured by asking somebody is asked for about as often as it is scraped."""

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

SWEPT_TIME = Gauge(
    "homeward_sweep_success_timestamp_seconds",
    "When this replica last removed all that was due; 0 if it never did.",
)
SWEEP_FAILURES = Counter(
    "homeward_sweep_failures_total",
    "Sweeps that broke off. One that another replica does is none.",
)
MEASURED_TIME = Gauge(
    "homeward_retention_measured_timestamp_seconds",
    "When what is held was last counted: the age of the gauges below.",
)
HELD = Gauge("homeward_held", "Things held, by kind of data (docs/retention.md).", ["data"])
OVERDUE = Gauge("homeward_overdue", "Of these, past their deadline: a breach.", ["data"])
FOOTAGE_OLDEST = Gauge(
    "homeward_footage_oldest_age_seconds", "Since the first byte of the oldest recording held."
)
STORE_PROBLEMS = Gauge(
    "homeward_store_problems",
    "What keeps the object store from forgetting; no footage is taken in.",
)


class Report(Protocol):
    """What a retention report tells, of either service."""

    @property
    def made(self) -> datetime: ...  # noqa: D102
    @property
    def held(self) -> Iterable[HeldData]: ...  # noqa: D102
    @property
    def deviations(self) -> tuple[str, ...]: ...  # noqa: D102


@contextmanager
def served(listen: str | None) -> Iterator[int | None]:
    """Serve the figures of this process while the block runs.

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


async def measure_retention(report: Callable[[], Awaitable[Report]]) -> None:
    """Set the gauges of what is held to what a report says now."""
    found = await report()
    MEASURED_TIME.set(found.made.timestamp())
    STORE_PROBLEMS.set(len(found.deviations))
    for one in found.held:
        HELD.labels(one.name).set(one.count)
        OVERDUE.labels(one.name).set(one.overdue)
        if one.name == FOOTAGE.name:
            age = found.made - one.oldest if one.oldest else None
            FOOTAGE_OLDEST.set(age.total_seconds() if age else 0)
