"""Metrics of the work queue, which ingestion exports because there may be no scanner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prometheus_client import Gauge

from homeward.ingestion.scan.ports import Backlog

QUEUE_WAITING = Gauge("homeward_scan_queue_waiting_segments", "Segments that no scanner has taken.")
QUEUE_IN_FLIGHT = Gauge(
    "homeward_scan_queue_in_flight_segments",
    "Segments that a scanner has, or that wait to be tried again.",
)


async def measure_queue(backlog: Callable[[], Awaitable[Backlog]]) -> None:
    """Set the gauges of what there is to do."""
    found = await backlog()
    QUEUE_WAITING.set(found.waiting)
    QUEUE_IN_FLIGHT.set(found.in_flight)
