"""Metrics of scans that wait to be authorised."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from prometheus_client import Gauge

DEADLINE = Gauge(
    "homeward_scan_authorisation_deadline_timestamp_seconds",
    "Until when the scan must be authorised that has the least time left; 0 while none waits.",
)


async def measure_authorisations(
    next_deadline: Callable[[], Awaitable[datetime | None]],
) -> None:
    """Set the gauge of what waits to be authorised."""
    deadline = await next_deadline()
    DEADLINE.set(deadline.timestamp() if deadline else 0)
