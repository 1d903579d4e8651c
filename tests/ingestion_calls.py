"""What the tests of ingestion's calls share: the fakes behind them, and recordings to upload."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
import pytest

from homeward.api.ingestion.v1 import (
    camera_pb2,
    camera_service_pb2,
    footage_service_pb2,
    scan_pb2,
    scan_service_pb2,
)
from homeward.ingestion.footage.media import MediaInfo, VideoTrack
from homeward.ingestion.footage.timeline import KEY, VERSION, Examination, Timeline
from homeward.ingestion.scan.fold import fold
from homeward.ingestion.scan.model import Candidate, Segment
from homeward.ingestion.scan.use_records import ScanPart, UseRecord
from homeward.servicekit import errors, wire
from homeward.servicekit.clients import translate

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
RECORDED = datetime(2026, 11, 20, 10, tzinfo=UTC)
CONTENT = b"a recording"
NO_FOOTAGE = "cam-1-20261120t100000000000z-0123456789abcdef"


class Outside:
    """Clock, prober, matching service and work queue in one; each can be told to refuse."""

    def __init__(self) -> None:
        self.time = NOW
        self.probing: errors.DomainError | None = None
        self.matching: errors.DomainError | None = None
        self.held: dict[str, Candidate] = {}
        self.found = MediaInfo(
            VideoTrack("h264", 640, 360, 25, 1500, 30), timedelta(seconds=60), version=VERSION
        )

    def now(self) -> datetime:
        return self.time

    async def probe(self, url: str) -> Examination:
        del url
        if self.probing is not None:
            raise self.probing
        times = np.arange(1500, dtype=np.int64) * 40_000
        keys = np.where(np.arange(1500) % 50 == 0, KEY, 0).astype(np.uint8)
        return Examination(self.found, Timeline(times, times, times, times, times + 1, keys))

    async def require_searchable(self, subject_ids: Sequence[str]) -> None:
        del subject_ids
        if self.matching is not None:
            raise self.matching

    async def erase_footage_sightings(self, footage_id: str, *, received: Any) -> None:
        del footage_id, received
        if self.matching is not None:
            raise self.matching

    async def erase_scan_sightings(self, scan_id: str, *, subject_ids: Sequence[str]) -> bool:
        del scan_id, subject_ids
        if self.matching is not None:
            raise self.matching
        return True

    async def seal(self, part: ScanPart) -> UseRecord:
        return UseRecord(json.dumps(part.content).encode(), "a note", "a key")

    async def put(self, scan_id: str, *segments: Any) -> None:
        del scan_id, segments

    async def candidates(self, sighting_ids: Sequence[str]) -> list[Candidate]:
        return [self.held[one] for one in sighting_ids if one in self.held]


def new_camera(camera_id: str, **fields: Any) -> camera_service_pb2.CreateCameraRequest:
    return camera_service_pb2.CreateCameraRequest(
        camera=camera_pb2.Camera(camera_id=camera_id, **fields)
    )


def header(content: bytes = CONTENT, **changes: Any) -> footage_service_pb2.UploadHeader:
    fields = {
        "request_id": "up-1",
        "camera_id": "cam-1",
        "file_name": "a.mp4",
        "start_time": wire.to_timestamp(RECORDED),
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return footage_service_pb2.UploadHeader(**{**fields, **changes})


def message(payload: bytes | footage_service_pb2.UploadHeader) -> Any:
    name = "chunk" if isinstance(payload, bytes) else "header"
    return footage_service_pb2.UploadFootageRequest(**{name: payload})  # type: ignore[arg-type]


async def upload(api: Any, *payloads: bytes | footage_service_pb2.UploadHeader) -> Any:
    """Upload what is given: by default, the recording."""
    return await api.footage.UploadFootage(
        iter([message(one) for one in payloads or (header(), CONTENT)])
    )


async def refusal(call: Any) -> tuple[grpc.StatusCode, errors.Reason]:
    """Return code and reason of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), translate(refused.value, "ingestion", "").reason


INVALID = (grpc.StatusCode.INVALID_ARGUMENT, errors.Reason.FIELD_INVALID)


def by_url(**changes: Any) -> Any:
    return footage_service_pb2.CreateUploadUrlRequest(header=header(**changes))


async def new_scan(api: Any, request_id: str = "", **scope: Any) -> Any:
    request = scan_service_pb2.CreateScanRequest(
        request_id=request_id, scope=scan_pb2.ScanScope(**scope)
    )
    return (await api.scans.CreateScan(request)).scan


async def planned_scan(api: Any, **scope: Any) -> Any:
    """Create a scan, and return it as it is once it is planned."""
    scan_id = (await new_scan(api, **scope)).scan_id
    while await api.planner.step(scan_id) is not None:
        pass
    return (await api.scans.GetScan(scan_service_pb2.GetScanRequest(scan_id=scan_id))).scan


async def segments_of(api: Any, scan_id: str) -> list[Segment]:
    (recording,) = await api.kept.recordings(scan_id, most=1)
    return [recording.segment(number) for number in range(len(recording.pieces))]


async def keep(api: Any, scan_id: str, *segments: Segment) -> None:
    """Keep segments that have ended."""
    await asyncio.gather(*(api.kept.save_segment(scan_id, one) for one in segments))
    await fold(api.kept, scan_id)
