"""Scans with their planner, on fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.scan.fold import fold
from homeward.ingestion.scan.model import GapReason, ScanScope, ScanState, Segment
from homeward.ingestion.scan.plan import ScanPlanner
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.scans import Scans

EVERYTHING = ScanScope()
AT_ONCE = timedelta()


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def _bounds(stretch: Stretch) -> tuple[float, float]:
    return stretch.start.total_seconds(), stretch.end.total_seconds()


class Office:
    """Scans, their planner, and the hands of the scanner that works on them."""

    def __init__(self, scans: Scans, planner: ScanPlanner, parts: Any) -> None:
        self.scans = scans
        self.planner = planner
        self.records: StoredScanRecords = parts["scan_records"]
        self.store = parts["records_store"]
        self.queue = parts["queue"]
        self.plans = parts["plans"]
        self.resource: FootageResource = parts["resource"]
        self.matcher = parts["matcher"]
        self.cameras = parts["cameras"]
        self.clock = parts["clock"]
        self.make = parts["make"]

    async def record(
        self,
        camera: str = "cam-1",
        *,
        at: float = 0,
        length: float = 60,
        missing: float = 0,
        **probe: Any,
    ) -> str:
        """Take in a recording of a camera, this many seconds after the first; return its id."""
        content = f"{camera} {at}".encode()
        start = self.make.recorded + seconds(at)
        header = self.make.header(content, camera_id=camera, start_time=start)

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        self.resource.library._prober.answer = replace(  # type: ignore[attr-defined]
            self.make.media(length, **probe), missing=seconds(missing)
        )
        footage, _ = await self.resource.uploads.upload(f"{camera}-{at:g}", header, 0, chunks())
        return footage.footage_id

    async def create(self, scope: ScanScope = EVERYTHING, request_id: str = "") -> str:
        """Create a scan and plan it; return its id."""
        scan, _ = await self.scans.create(scope, request_id=request_id)
        while await self.planner.step(scan.scan_id) is not None:
            pass
        return scan.scan_id

    async def recordings(self, scan_id: str) -> list[ScannedRecording]:
        return await self.scans.recordings(scan_id)

    async def segments(self, scan_id: str) -> list[Segment]:
        """Return the segments of a scan as they were planned."""
        return [
            recording.segment(number)
            for recording in await self.recordings(scan_id)
            for number in range(len(recording.pieces))
        ]

    async def plan(self, scope: ScanScope = EVERYTHING) -> list[tuple[str, float, float]]:
        """Create a scan; return the camera, start and end of what its segments are to tell of."""
        return [
            (one.camera_id, *_bounds(one.asked_for))
            for one in await self.segments(await self.create(scope))
        ]

    async def gaps(self, scan_id: str) -> list[tuple[GapReason, timedelta, str]]:
        _, summary = await self.scans.get(scan_id)
        return [(one.reason, one.duration, one.detail) for one in summary.gaps]

    async def begin(self, scan_id: str, number: int) -> None:
        segment = (await self.segments(scan_id))[number]
        await self.records.save_segment(scan_id, replace(segment, state=ScanState.RUNNING))

    async def finish(self, scan_id: str, number: int, **changes: Any) -> None:
        segment = (await self.segments(scan_id))[number]
        done = replace(
            segment,
            state=ScanState.SUCCEEDED,
            looked_at=segment.duration,
            update_time=self.clock.now(),
        )
        await self.records.save_segment(scan_id, replace(done, **changes))
        await fold(self.records, scan_id)
