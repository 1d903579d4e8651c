"""What the tests of scans may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from scan_office import Office, seconds
from segment_stage import Stage, built

from homeward.ingestion.footage.layout import footage_folder
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.scan.plan import RecordingsInScope, ScanPlanner
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.scans import ScanLimits, Scans
from homeward.servicekit.keyvalue import InMemoryKeyValueStore


@pytest.fixture
async def stage(make: Any, matcher: Any, clock: Any) -> AsyncIterator[Stage]:
    async with built(make, matcher, clock) as stage:
        yield stage


@pytest.fixture
async def kept(bucket: Any, make: Any) -> str:
    """The folder of a recording whose manifest is in the store."""
    folder = footage_folder(make.footage().footage_id)
    await bucket.put(f"{folder}manifest.json", b"{}", content_type="application/json")
    return f"{folder}"


@pytest.fixture
def scan_records(records_store: InMemoryKeyValueStore) -> StoredScanRecords:
    return StoredScanRecords(records_store)


@pytest.fixture
def limits() -> ScanLimits:
    return ScanLimits(scans=100, segments=1000)


@pytest.fixture
def office(
    *,
    scan_records: StoredScanRecords,
    records_store: InMemoryKeyValueStore,
    queue: Any,
    plans: Any,
    resource: FootageResource,
    cameras: Any,
    matcher: Any,
    clock: Any,
    make: Any,
    limits: ScanLimits,
) -> Office:
    scope = RecordingsInScope(resource.library, cameras)
    planner = ScanPlanner(
        scans=scan_records,
        plans=plans,
        queue=queue,
        scope=scope,
        footage=resource.library,
        clock=clock,
        segment_length=seconds(120),
    )
    scans = Scans(
        records=scan_records,
        plans=plans,
        scope=scope,
        matcher=matcher,
        clock=clock,
        limits=limits,
    )
    return Office(scans, planner, locals())
