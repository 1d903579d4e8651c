"""What each service that stores does in the background: sweep, and measure what is held."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

from homeward.servicekit import metrics
from homeward.servicekit.background import again_and_again, in_background
from homeward.servicekit.lease import Lease, Proceed, regularly


@asynccontextmanager
async def in_time(
    sweep: Callable[[Proceed], Awaitable[object]],
    report: Callable[[], Awaitable[metrics.Report]],
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
        with metrics.SWEEP_FAILURES.count_exceptions():
            await sweep(proceed)
        metrics.SWEPT_TIME.set_to_current_time()

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(in_background(regularly(counted, lease, every=every)))
        if measured:
            measure = partial(metrics.measure_retention, report)
            await stack.enter_async_context(in_background(again_and_again(measure, every=every)))
        yield
