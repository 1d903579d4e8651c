"""What each service that stores does in the background: sweep, and measure what is held."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from prometheus_client import Counter, Gauge

from homeward.core.inventory import FOOTAGE, HeldData
from homeward.servicekit import metrics
from homeward.servicekit.background import in_background
from homeward.servicekit.lease import Lease, Proceed, regularly

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
    "When what is held and overdue was last counted: how old those counts are.",
)
HELD = Gauge("homeward_held", "Things held, by kind of data (docs/retention.md).", ["data"])
OVERDUE = Gauge("homeward_overdue", "Of these, past their deadline: a breach.", ["data"])
FOOTAGE_OLDEST = Gauge(
    "homeward_footage_oldest_age_seconds", "Since the first byte of the oldest recording held."
)
STORE_PROBLEMS = Gauge(
    "homeward_store_problems",
    "What keeps the object store from forgetting; nothing is taken in.",
)


class Report(Protocol):
    """What a retention report tells, of either service."""

    @property
    def made(self) -> datetime: ...  # noqa: D102
    @property
    def held(self) -> Iterable[HeldData]: ...  # noqa: D102
    @property
    def deviations(self) -> tuple[str, ...]: ...  # noqa: D102


@asynccontextmanager
async def in_time(
    sweep: Callable[[Proceed], Awaitable[object]],
    report: Callable[[], Awaitable[Report]],
    lease: Lease,
    *,
    every: timedelta,
    measured: bool,
) -> AsyncGenerator[None, None]:
    """Sweep in one replica at a time, and measure what is held in each, while the block runs.

    Args:
        sweep: Removes what is due; takes what it is to ask whether to go on.
        report: Tells what is held; not asked when nobody could read it.
        lease: Keeps other replicas from sweeping too.
        every: How long to wait in between.
        measured: Whether somebody can read what is measured.
    """

    async def counted(proceed: Proceed) -> None:
        with SWEEP_FAILURES.count_exceptions():
            await sweep(proceed)
        SWEPT_TIME.set_to_current_time()

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(in_background(regularly(counted, lease, every=every)))
        measure = partial(measure_retention, report)
        await stack.enter_async_context(metrics.measured(measure, read=measured, every=every))
        yield


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
