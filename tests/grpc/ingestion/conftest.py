"""The ingestion service as its clients meet it, with one camera."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from ingestion_calls import Outside, new_camera

from homeward.api.ingestion.v1 import (
    camera_service_pb2_grpc,
    footage_service_pb2_grpc,
    scan_service_pb2_grpc,
)
from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.footage.counts import FootageCounts, RetentionTerms
from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.records import FootageRecords
from homeward.ingestion.footage.report import RetentionReporter
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.uploads import FootageUploads, IntakeTerms
from homeward.ingestion.scan.authorising import ScanAuthorising
from homeward.ingestion.scan.plan import RecordingsInScope, ScanPlanner
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.resource import ScanResource
from homeward.ingestion.scan.scans import ScanLimits, Scans
from homeward.ingestion.scan.stretches import IncomparableStretches, StoredIncomparableTimes
from homeward.ingestion.scan.use_records import UseRecords
from homeward.ingestion.servicer import services
from homeward.servicekit.audit.acts import InMemoryActs
from homeward.servicekit.clients import open_channel
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.server import GrpcServer


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
async def threads() -> AsyncIterator[BoundedExecutor]:
    async with BoundedExecutor("timelines", workers=1, queue=8) as threads:
        yield threads


@pytest.fixture
def terms() -> IntakeTerms:
    return IntakeTerms(timedelta(minutes=15), FOOTAGE_LIMIT)


@pytest.fixture
async def api(
    outside: Any, threads: BoundedExecutor, terms: IntakeTerms
) -> AsyncIterator[SimpleNamespace]:
    """The stubs of a server with one camera."""
    cameras = Cameras(InMemoryKeyValueStore(), outside)
    bucket = InMemoryFootageStore(lifecycle_days=29)
    uploads, erasures = InMemoryKeyValueStore(), InMemoryKeyValueStore()
    records = FootageRecords(erasures)
    library = FootageLibrary(
        store=bucket, prober=outside, executor=threads, known=records, clock=outside
    )
    eraser = FootageEraser(
        store=bucket,
        library=library,
        sightings=outside,
        records=records,
        counts=FootageCounts(erasures),
        clock=outside,
    )
    footage = FootageResource(
        uploads=FootageUploads(
            store=bucket,
            uploads=uploads,
            cameras=cameras,
            library=library,
            eraser=eraser,
            clock=outside,
            terms=terms,
        ),
        library=library,
        eraser=eraser,
        reporter=RetentionReporter(
            store=bucket,
            finder=library.finder,
            uploads=uploads,
            records=erasures,
            cameras=cameras,
            clock=outside,
            terms=RetentionTerms(FOOTAGE_LIMIT),
        ),
    )
    scan_records = InMemoryKeyValueStore()
    kept = StoredScanRecords(scan_records)
    scope = RecordingsInScope(library, cameras)
    planner = ScanPlanner(
        scans=kept,
        plans=outside,
        queue=outside,
        scope=scope,
        footage=library,
        clock=outside,
        segment_length=timedelta(seconds=30),
    )
    scans = Scans(
        records=kept,
        plans=outside,
        scope=scope,
        matcher=outside,
        clock=outside,
        limits=ScanLimits(scans=3, segments=1000),
    )
    times = StoredIncomparableTimes(bucket)
    server = GrpcServer(
        services(
            cameras=cameras,
            footage=footage,
            scans=ScanResource(
                scans,
                ScanAuthorising(
                    scans=scans, records=kept, sightings=outside, clock=outside, acts=InMemoryActs()
                ),
                IncomparableStretches(scans=scans, footage=library, times=times),
                UseRecords(scans=scans, records=kept, footage=library, sealer=outside),
            ),
        ),
        listen="localhost:0",
        checks={},
        grace_seconds=1,
    )
    await server.start()
    async with open_channel(f"localhost:{server.port}") as channel:
        stubs = SimpleNamespace(
            bucket=bucket,
            kept=kept,
            planner=planner,
            times=times,
            cameras=camera_service_pb2_grpc.CameraServiceStub(channel),
            footage=footage_service_pb2_grpc.FootageServiceStub(channel),
            scans=scan_service_pb2_grpc.ScanServiceStub(channel),
        )
        await stubs.cameras.CreateCamera(new_camera("cam-1"))
        yield stubs
    await server.stop()
