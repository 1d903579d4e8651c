"""Matching as a client sees it: stubs, somebody to enrol, and what a scan finds of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import numpy as np
import pytest

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import (
    sighting_pb2,
    sighting_service_pb2_grpc,
    subject_pb2,
    subject_service_pb2_grpc,
)
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.core.rpc_errors import error_info
from homeward.matching.gallery.model import Box, ModelInfo, PhotoAnalysis, Template
from homeward.servicekit.clock import Clock
from homeward.servicekit.wire import to_duration, to_interval, to_timestamp

MODEL = "a" * 64
NOBODY = "00000000-0000-4000-8000-00000000ffff"
TEMPLATE = np.eye(4, dtype=np.float32)[0]


class Analyzer:
    """Takes every photograph."""

    async def analyze(self, _: bytes) -> PhotoAnalysis:
        return PhotoAnalysis((), Box(1, 2, 3, 4), 0.75, Template(TEMPLATE, MODEL))

    async def model(self) -> ModelInfo:
        return ModelInfo("yunet-sface", MODEL, 4)


@dataclass(frozen=True, slots=True)
class Stubs:
    """A client; what it sends with each call says who it is."""

    subjects: Any
    sightings: Any
    metadata: tuple[tuple[str, str], ...] = ()

    @classmethod
    def on(cls, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...] = ()) -> Stubs:
        return cls(
            subject_service_pb2_grpc.SubjectServiceStub(channel),
            sighting_service_pb2_grpc.SightingServiceStub(channel),
            metadata,
        )

    def call(self, name: str, request: Any) -> Any:
        stub = self.subjects if hasattr(self.subjects, name) else self.sightings
        return getattr(stub, name)(request, metadata=self.metadata, timeout=10)


def stated(case: str, clock: Clock) -> subject_pb2.Subject:
    return subject_pb2.Subject(
        case_reference=case,
        label="Anna Example",
        age_group=subject_pb2.AGE_GROUP_CHILD,
        legal_basis="vital interests",
        authorised_by="DI Example",
        review_time=to_timestamp(clock.now() + timedelta(days=90)),
    )


def finding(
    subject_id: str, clock: Clock, *, hours_ago: int = 3, requester: str = ""
) -> sightings.SightingFinding:
    start = clock.now() - timedelta(hours=hours_ago)
    return sightings.SightingFinding(
        sighting=sighting_pb2.Sighting(
            subject_id=subject_id,
            photo_id=NOBODY,
            footage_id="gate-20260304t120000000000z-0123456789abcdef",
            camera_id="gate",
            scan_id=NOBODY,
            interval=to_interval(start, start + timedelta(seconds=4)),
            best_shot_time=to_timestamp(start),
            start_offset=to_duration(timedelta(hours=hours_ago)),
            end_offset=to_duration(timedelta(hours=hours_ago, seconds=4)),
            best_shot_offset=to_duration(timedelta(hours=hours_ago)),
            score=0.5,
            threshold=0.45,
            policy_id="p",
            delete_time=to_timestamp(clock.now() + timedelta(days=30)),
            requesters=[requester] if requester else [],
        ),
        template=types_pb2.Template(values=TEMPLATE.tolist(), model_digest=MODEL),
        still=b"a still",
    )


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    info = error_info(refused.value)
    return refused.value.code(), info.reason if info else ""
