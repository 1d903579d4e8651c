"""The ingestion service, in its API role: `python -m homeward.ingestion`."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from homeward.common.retaining import in_time
from homeward.core import inventory
from homeward.ingestion.assembly import assemble, open_scans
from homeward.ingestion.authorisation_metrics import measure_authorisations
from homeward.ingestion.clip_assembly import open_clips
from homeward.ingestion.footage.counts import RetentionTerms
from homeward.ingestion.footage.sweep import FootageSweeper
from homeward.ingestion.queue_metrics import measure_queue
from homeward.ingestion.scan.counted import ScanCounting
from homeward.ingestion.servicer import services
from homeward.ingestion.settings import IngestionSettings
from homeward.servicekit.audit.around import audited
from homeward.servicekit.audit.refusals import refusals_audited, refused_calls
from homeward.servicekit.audit.servicer import AuditServicer
from homeward.servicekit.background import in_background
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.hardening import forbid_dumps
from homeward.servicekit.lease import Lease, each_in_turn
from homeward.servicekit.metrics import measured
from homeward.servicekit.observing import observed
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.startup import eventually, run


async def main() -> None:
    """Serve until asked to stop."""
    settings = IngestionSettings()  # the environment has the rest
    forbid_dumps()
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.enter_context(observed("ingestion", settings))
        parts = await assemble(settings, clock, stack, role="ingestion")
        scans = await open_scans(settings, parts, clock, stack)
        counting = ScanCounting(parts.scans, parts.activity)
        clips = await open_clips(settings, parts, stack)
        sweeper = FootageSweeper(
            store=parts.store,
            eraser=parts.footage.eraser,
            uploads=parts.uploads,
            records=parts.erasures,
            clock=clock,
            acts=parts.writer,
            terms=RetentionTerms(settings.footage_keep, settings.swept_ahead),
        )
        leases = await eventually(
            partial(parts.bus.bucket_of, inventory.LEASES, replicas=settings.nats_replicas)
        )
        await stack.enter_async_context(
            in_time(
                each_in_turn(sweeper.sweep, scans.authorising.sweep, counting.sweep),
                parts.footage.reporter.report,
                Lease(leases, "footage-sweeper", socket.gethostname()),
                every=timedelta(seconds=settings.sweep_interval_seconds),
                measured=settings.metrics_listen is not None,
            )
        )
        measures = (
            partial(measure_queue, parts.queue.backlog),
            partial(measure_authorisations, scans.authorising.next_deadline),
        )
        for measure in measures:
            await stack.enter_async_context(
                measured(measure, read=settings.metrics_listen is not None)
            )
        # Beside the rest: nobody waits for it.
        await stack.enter_async_context(in_background(eventually(parts.prober.log_protections)))
        unknown = await stack.enter_async_context(refused_calls(parts.writer))
        await GrpcServer.configured(
            settings,
            [
                *services(cameras=parts.cameras, footage=parts.footage, scans=scans, clips=clips),
                AuditServicer(parts.trail).service(),
            ],
            checks={
                "nats": parts.bus.ping,
                "s3": parts.store.ping,
                "queue": parts.queue.ping,
                "matching": parts.matcher.ping,
            },
            around=[audited(parts.writer)],
            outside=[refusals_audited(parts.writer, unknown)],
        ).run()


if __name__ == "__main__":
    run(main())
