"""The ingestion service, in its scanner role: `python -m homeward.ingestion.scanner`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import cv2
import structlog

from homeward.ingestion.adapters.embedding import IDEMPOTENT, GrpcFaceFinder
from homeward.ingestion.adapters.images import CvFaceImages
from homeward.ingestion.adapters.media import CagedFrameSource
from homeward.ingestion.assembly import Parts, assemble
from homeward.ingestion.scan.presence_index import StoredPresenceIndex
from homeward.ingestion.scan.progress import Check
from homeward.ingestion.scan.segment import CALLS_AT_ONCE, ScannerParts, SegmentScanner
from homeward.ingestion.scan.stretches import StoredIncomparableTimes
from homeward.ingestion.scan.work import ScanWorker
from homeward.ingestion.settings import ScannerSettings
from homeward.servicekit.background import end
from homeward.servicekit.clients import check_health, open_channel
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.hardening import forbid_dumps
from homeward.servicekit.observing import observed
from homeward.servicekit.server import GrpcServer, stop_event
from homeward.servicekit.startup import run

log = structlog.get_logger()


async def main() -> None:
    """Search segments until asked to stop; one in hand is given back to the queue."""
    settings = ScannerSettings()  # the environment has the rest
    forbid_dumps()
    # Its own threads would contend with the decoders for the same cores.
    cv2.setNumThreads(1)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.enter_context(observed("scanner", settings))
        segments, decoders = settings.scanner_segments, settings.decoders
        decoder = await stack.enter_async_context(
            BoundedExecutor("decode", workers=decoders, queue=segments * decoders)
        )
        pictures = await stack.enter_async_context(
            BoundedExecutor("pictures", workers=segments, queue=segments * (CALLS_AT_ONCE - 1))
        )
        parts = await assemble(settings, clock, stack, role="scanner")
        channel = await stack.enter_async_context(
            open_channel(
                settings.embedding_target,
                idempotent=IDEMPOTENT,
                tls=settings.tls,
                server_name=settings.embedding_tls_server_name,
            )
        )
        source = CagedFrameSource(decoder, decoders=decoders)
        stack.callback(source.close)
        await asyncio.to_thread(source.warm)  # before anything else runs
        scanner_parts = ScannerParts(
            source=source,
            faces=GrpcFaceFinder(channel, settings.embedding_target),
            images=CvFaceImages(),
            matcher=parts.matcher,
            presence=StoredPresenceIndex(parts.store) if settings.presence_index else None,
            incomparable=StoredIncomparableTimes(parts.store),
            executor=pictures,
            clock=clock,
        )
        embedding = partial(check_health, channel, "embedding", settings.embedding_target)
        worker = ScanWorker(
            queue=parts.queue,
            scans=parts.scans,
            footage=parts.footage.library,
            scanner=SegmentScanner(
                scanner_parts, sample_rate=settings.sample_rate, gated=settings.gate
            ),
            clock=clock,
            acts=parts.writer,
            checks=[embedding, parts.matcher.ping, parts.store.ping],
        )
        if settings.health_listen is not None:  # all that a scanner serves
            health = _health(settings.health_listen, settings, parts, embedding)
            await stack.enter_async_context(health.serving())
        await _work_until_stopped(worker, segments)


def _health(listen: str, settings: ScannerSettings, parts: Parts, embedding: Check) -> GrpcServer:
    return GrpcServer(
        [],
        listen=listen,
        checks={
            "nats": parts.bus.ping,
            "s3": parts.store.ping,
            "queue": parts.queue.ping,
            "matching": parts.matcher.ping,
            "embedding": embedding,
        },
        grace_seconds=settings.grace_seconds,
    )


async def _work_until_stopped(worker: ScanWorker, segments: int) -> None:
    """Search so many segments at a time until a signal comes."""
    stop = stop_event()  # not before: until here a signal ends the process as it should
    log.info("ready")

    searching = [asyncio.create_task(worker.run()) for _ in range(segments)]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([*searching, stopping], return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    await end([*searching, stopping])


if __name__ == "__main__":
    run(main())
