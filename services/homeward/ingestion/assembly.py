"""Construction of the parts that both roles of ingestion share."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from homeward.common.auditing import open_audit
from homeward.core import inventory
from homeward.ingestion.adapters.matching import IDEMPOTENT, GrpcMatcher
from homeward.ingestion.adapters.probe import CagedProber
from homeward.ingestion.adapters.s3_footage import S3FootageStore
from homeward.ingestion.adapters.work_queue import NatsPlanQueue, NatsWorkQueue
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.footage.counts import FootageCounts, RetentionTerms
from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.limits import MAX_EXAMINED_AT_ONCE
from homeward.ingestion.footage.ports import MediaProber, SightingEraser
from homeward.ingestion.footage.records import FootageRecords
from homeward.ingestion.footage.report import RetentionReporter
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.uploads import FootageUploads, IntakeTerms
from homeward.ingestion.scan.authorising import ScanAuthorising
from homeward.ingestion.scan.former import FormerScans
from homeward.ingestion.scan.plan import PLANNERS, RecordingsInScope, ScanPlanner
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.resource import ScanResource
from homeward.ingestion.scan.scans import Scans
from homeward.ingestion.scan.stretches import IncomparableStretches, StoredIncomparableTimes
from homeward.ingestion.scan.use_records import UseRecords
from homeward.ingestion.settings import IngestionSettings
from homeward.servicekit import nats, s3
from homeward.servicekit.activity import ActivityCounts
from homeward.servicekit.audit.reading import AuditTrail
from homeward.servicekit.audit.writer import AuditWriter
from homeward.servicekit.background import in_background
from homeward.servicekit.clients import open_channel
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.startup import eventually


@dataclass(frozen=True, slots=True)
class Parts:
    """The opened engines, and the parts that use them."""

    bus: nats.Nats
    store: S3FootageStore
    cameras: Cameras
    footage: FootageResource
    prober: CagedProber
    matcher: GrpcMatcher
    queue: NatsWorkQueue
    plans: NatsPlanQueue
    scans: StoredScanRecords
    scan_store: KeyValueStore
    """The store of `scans`."""
    uploads: KeyValueStore
    erasures: KeyValueStore
    activity: ActivityCounts
    writer: AuditWriter
    trail: AuditTrail


async def assemble(
    settings: IngestionSettings, clock: Clock, stack: AsyncExitStack, *, role: str
) -> Parts:
    """Open the engines, waiting for those that are not there yet.

    Args:
        settings: Where they are.
        clock: Tells the time.
        stack: Closes what is opened.
        role: `ingestion` or `scanner`: how the connection to NATS shows, and who writes events.
    """
    threads = await stack.enter_async_context(BoundedExecutor("s3", workers=8, queue=256))
    probers = await stack.enter_async_context(_examining_threads(settings))
    timelines = await stack.enter_async_context(BoundedExecutor("timelines", workers=2, queue=256))
    store = _store(settings, threads)
    stack.callback(store.close)
    bus = await stack.enter_async_context(
        nats.connection(settings.nats_url.get_secret_value(), role)
    )
    service = "scanner" if role == "scanner" else "ingestion"
    audit, writer = await open_audit(settings, bus, clock, stack, service=service)
    bucket = partial(bus.bucket_of, replicas=settings.nats_replicas)
    cameras = Cameras(await eventually(partial(bucket, inventory.CAMERAS)), clock)
    uploads = await eventually(partial(bucket, inventory.UPLOADS))
    scans = await eventually(partial(bucket, inventory.SCANS))
    erasures = await eventually(partial(bucket, inventory.CERTIFICATES))
    queue = await eventually(partial(NatsWorkQueue.open, bus, replicas=settings.nats_replicas))
    plans = await eventually(partial(NatsPlanQueue.open, bus, replicas=settings.nats_replicas))
    await eventually(partial(store.ensure, expire_days=settings.backstop_days, dated=True))
    matcher = await _matcher(settings, stack)
    prober = CagedProber(probers)
    stack.callback(prober.close)
    footage = _footage(
        settings,
        clock,
        prober=prober,
        executor=timelines,
        sightings=matcher,
        stores=_Stores(store=store, uploads=uploads, erasures=erasures, cameras=cameras),
    )
    stack.push_async_callback(footage.library.close)  # before its threads are waited for
    return Parts(
        bus=bus,
        store=store,
        cameras=cameras,
        footage=footage,
        prober=prober,
        matcher=matcher,
        queue=queue,
        plans=plans,
        scans=StoredScanRecords(scans),
        scan_store=scans,
        uploads=uploads,
        erasures=erasures,
        activity=ActivityCounts(await eventually(partial(bucket, inventory.ACTIVITY)), clock),
        writer=writer,
        trail=AuditTrail(audit, signer=None, clock=clock),
    )


async def _matcher(settings: IngestionSettings, stack: AsyncExitStack) -> GrpcMatcher:
    channel = await stack.enter_async_context(
        open_channel(
            settings.matching_target,
            idempotent=IDEMPOTENT,
            tls=settings.tls,
            server_name=settings.matching_tls_server_name,
        )
    )
    return GrpcMatcher(channel, settings.matching_target)


def _examining_threads(settings: IngestionSettings) -> BoundedExecutor:
    """Return what waits for cages that examine recordings.

    All uploads may end at once, while other recordings are examined again.
    """
    queue = MAX_EXAMINED_AT_ONCE + settings.concurrent_uploads
    return BoundedExecutor("probe", workers=MAX_EXAMINED_AT_ONCE, queue=queue)


async def open_scans(
    settings: IngestionSettings, parts: Parts, clock: Clock, stack: AsyncExitStack
) -> ScanResource:
    """Open the scans of the API role, and plan them beside the rest.

    Args:
        settings: How much may be under way, and how long segments are.
        parts: The opened parts.
        clock: Tells the time.
        stack: Ends the planning.
    """
    await eventually(FormerScans(parts.scan_store, parts.scans).bring_over)
    scope = RecordingsInScope(parts.footage.library, parts.cameras)
    planner = ScanPlanner(
        scans=parts.scans,
        plans=parts.plans,
        queue=parts.queue,
        scope=scope,
        footage=parts.footage.library,
        clock=clock,
        segment_length=timedelta(seconds=settings.segment_seconds),
    )
    for _ in range(PLANNERS):
        await stack.enter_async_context(in_background(planner.run()))
    scans = Scans(
        records=parts.scans,
        plans=parts.plans,
        scope=scope,
        matcher=parts.matcher,
        clock=clock,
        limits=settings.scan_limits,
        rules=settings.scan_rules,
    )
    authorising = ScanAuthorising(
        scans=scans,
        records=parts.scans,
        sightings=parts.matcher,
        clock=clock,
        acts=parts.writer,
        rules=settings.scan_rules,
    )
    times = StoredIncomparableTimes(parts.store)
    stretches = IncomparableStretches(scans=scans, footage=parts.footage.library, times=times)
    use_records = UseRecords(
        scans=scans,
        records=parts.scans,
        footage=parts.footage.library,
        sealer=parts.matcher,
    )
    return ScanResource(scans, authorising, stretches, use_records)


def _store(settings: IngestionSettings, threads: BoundedExecutor) -> S3FootageStore:
    """Return the bucket of recordings; nothing is sent yet."""
    client = s3.connect(
        settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value(),
        connections=8,
    )
    return S3FootageStore(
        client,
        inventory.FOOTAGE.place,
        threads,
        settings.s3_endpoint,
        encryption=settings.s3_encryption,
    )


@dataclass(frozen=True, slots=True)
class _Stores:
    """The stores of recordings and their records."""

    store: S3FootageStore
    uploads: KeyValueStore
    erasures: KeyValueStore
    cameras: Cameras


def _footage(
    settings: IngestionSettings,
    clock: Clock,
    *,
    prober: MediaProber,
    executor: BoundedExecutor,
    sightings: SightingEraser,
    stores: _Stores,
) -> FootageResource:
    """Return the use cases of recordings."""
    store = stores.store
    records = FootageRecords(stores.erasures)
    library = FootageLibrary(
        store=store, prober=prober, executor=executor, known=records, clock=clock
    )
    eraser = FootageEraser(
        store=store,
        library=library,
        sightings=sightings,
        records=records,
        counts=FootageCounts(stores.erasures),
        clock=clock,
    )
    return FootageResource(
        uploads=FootageUploads(
            store=store,
            uploads=stores.uploads,
            cameras=stores.cameras,
            library=library,
            eraser=eraser,
            clock=clock,
            terms=IntakeTerms(
                min_footage_age=settings.min_footage_age,
                keep=settings.footage_keep,
                concurrent_uploads=settings.concurrent_uploads,
                least_progress=settings.least_progress,
            ),
        ),
        library=library,
        eraser=eraser,
        reporter=RetentionReporter(
            store=store,
            finder=library.finder,
            uploads=stores.uploads,
            records=stores.erasures,
            cameras=stores.cameras,
            clock=clock,
            terms=RetentionTerms(settings.footage_keep, settings.swept_ahead),
        ),
    )
