"""The matching service: `python -m homeward.matching`."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from homeward.common.retaining import in_time
from homeward.core import policies
from homeward.matching.activity.servicer import ActivityServicer
from homeward.matching.assembly import assemble
from homeward.matching.composition import Choices, compose
from homeward.matching.metrics import measure_policy, measure_promise, measured_report
from homeward.matching.servicer import services
from homeward.matching.settings import MatchingSettings
from homeward.servicekit.audit.archive import LOOKED_EVERY
from homeward.servicekit.audit.around import audited
from homeward.servicekit.audit.refusals import refusals_audited, refused_calls
from homeward.servicekit.audit.servicer import AuditServicer
from homeward.servicekit.background import in_background
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.hardening import forbid_dumps
from homeward.servicekit.lease import Lease, regularly
from homeward.servicekit.metrics import measured
from homeward.servicekit.observing import observed
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.startup import run


async def main() -> None:
    """Serve until asked to stop."""
    settings = MatchingSettings()  # the environment has the rest
    forbid_dumps()
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.enter_context(observed("matching", settings))
        engines = await assemble(settings, clock, stack, role="matching")
        choices = Choices(
            shipped=policies.shipped(),
            evaluation=settings.evaluation,
            frees_after=settings.frees_after(),
            review_grace=timedelta(days=settings.review_grace_days),
            review_rules=settings.review_rules(),
        )
        use_cases = compose(engines.stores, choices, clock)
        is_measured = settings.metrics_listen is not None
        await stack.enter_async_context(
            in_time(
                use_cases.retention.sweep,
                partial(measured_report, use_cases.retention),
                Lease(engines.stores.leases, "matching-sweeper", socket.gethostname()),
                every=timedelta(seconds=settings.sweep_interval_seconds),
                measured=is_measured,
            )
        )
        await stack.enter_async_context(
            measured(partial(measure_policy, use_cases.policies), read=is_measured)
        )
        await stack.enter_async_context(
            measured(
                partial(measure_promise, engines.activity, use_cases.policies, clock),
                read=is_measured,
                every=timedelta(hours=1),
            )
        )
        if engines.archiver is not None:
            archiving = regularly(
                engines.archiver.run,
                Lease(engines.stores.leases, "matching-audit-archive", socket.gethostname()),
                every=LOOKED_EVERY,
            )
            await stack.enter_async_context(in_background(archiving))
        unknown = await stack.enter_async_context(refused_calls(engines.writer))
        await GrpcServer.configured(
            settings,
            [
                *services(use_cases, engines.stores, clock),
                ActivityServicer(engines.activity, clock).service(),
                AuditServicer(engines.trail).service(),
            ],
            checks=engines.checks,
            around=[audited(engines.writer)],
            outside=[refusals_audited(engines.writer, unknown)],
        ).run()


if __name__ == "__main__":
    run(main())
