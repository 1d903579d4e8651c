"""The matching service as its clients meet it, with somebody enrolled and found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from matching_stores import in_memory
from matching_world import (
    FOOTAGE,
    MODEL,
    NOBODY,
    POLICY,
    Breakable,
    FakeFaceAnalyzer,
    World,
    figures,
    policy_file,
    template,
)

from homeward.api.matching.v1 import (
    matching_service_pb2_grpc,
    policy_service_pb2_grpc,
    retention_service_pb2_grpc,
    sighting_pb2,
    sighting_service_pb2_grpc,
    subject_pb2,
    subject_service_pb2_grpc,
)
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.matching.adapters.memory import InMemorySightingIndex, InMemorySubjectIndex
from homeward.matching.adapters.memory_feed import InMemorySightingFeed
from homeward.matching.adapters.memory_records import InMemorySightingLedger, InMemorySubjectRecords
from homeward.matching.composition import Choices, compose
from homeward.matching.servicer import services
from homeward.servicekit.clients import open_channel
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.wire import to_duration, to_interval, to_timestamp

ONE_TOO_MANY = 21


@pytest.fixture
async def world(clock: Clock) -> AsyncIterator[World]:
    faces = FakeFaceAnalyzer()
    breakable = {
        "records": Breakable(InMemorySubjectRecords()),
        "ledger": Breakable(InMemorySightingLedger()),
        "approvals": Breakable(InMemoryKeyValueStore()),
        "leases": Breakable(InMemoryKeyValueStore()),
        "gallery": Breakable(InMemorySubjectIndex(MODEL)),
        "index": Breakable(InMemorySightingIndex(MODEL)),
        "feed": Breakable(InMemorySightingFeed()),
    }
    stores = in_memory(faces=faces, **breakable)
    use_cases = compose(stores, Choices(shipped=[policy_file()]), clock)
    until = clock.now() + timedelta(days=30)
    await use_cases.policies.approve(POLICY, approver="A. Prover", valid_until=until, note="")
    await use_cases.policies.activate(POLICY)
    served = services(use_cases, stores, clock)
    server = GrpcServer(served, listen="localhost:0", checks={}, grace_seconds=0)
    await server.start()
    async with open_channel(f"localhost:{server.port}") as channel:
        yield World(
            subject_service_pb2_grpc.SubjectServiceStub(channel),
            matching_service_pb2_grpc.MatchingServiceStub(channel),
            sighting_service_pb2_grpc.SightingServiceStub(channel),
            policy_service_pb2_grpc.PolicyServiceStub(channel),
            retention_service_pb2_grpc.RetentionServiceStub(channel),
            faces,
            list(breakable.values()),
        )
    await server.stop()


@pytest.fixture
def stated(clock: Clock) -> Callable[..., subject_pb2.Subject]:
    """Makes subjects to enrol."""

    def make(**changes: Any) -> subject_pb2.Subject:
        values = {
            "case_reference": "MP-2026-17",
            "label": "Anna Example",
            "age_group": subject_pb2.AGE_GROUP_CHILD,
            "legal_basis": "vital interests",
            "authorised_by": "DI Example",
            "review_time": to_timestamp(clock.now() + timedelta(days=90)),
        }
        return subject_pb2.Subject(**values | changes)

    return make


@pytest.fixture
async def subject_id(world: World, stated: Any) -> str:
    """An open subject with a photograph."""
    answer = await world.subjects.CreateSubject(
        subjects.CreateSubjectRequest(subject=stated(), request_id="r")
    )
    name = answer.subject.subject_id
    await world.subjects.AddReferencePhoto(
        subjects.AddReferencePhotoRequest(subject_id=name, photo=b"photo")
    )
    return name


@pytest.fixture
async def closed_id(world: World, stated: Any) -> str:
    """A closed subject."""
    answer = await world.subjects.CreateSubject(subjects.CreateSubjectRequest(subject=stated()))
    await world.subjects.CloseSubject(
        subjects.CloseSubjectRequest(subject_id=answer.subject.subject_id)
    )
    return answer.subject.subject_id


@pytest.fixture
async def full_id(world: World, subject_id: str) -> str:
    """A subject with as many photographs as it may have."""
    for number in range(2, ONE_TOO_MANY):
        await world.subjects.AddReferencePhoto(
            subjects.AddReferencePhotoRequest(subject_id=subject_id, photo=b"%d" % number)
        )
    return subject_id


@pytest.fixture
def finding(subject_id: str, clock: Clock) -> Callable[..., sightings.SightingFinding]:
    """Makes findings of the subject."""

    def make(
        *, model: str = MODEL, still: bytes = b"a still", **changes: Any
    ) -> sightings.SightingFinding:
        start = clock.now() - timedelta(hours=3)
        values = {
            "subject_id": subject_id,
            "photo_id": NOBODY,
            "footage_id": FOOTAGE,
            "camera_id": "gate",
            "scan_id": NOBODY,
            "interval": to_interval(start, start + timedelta(seconds=4)),
            "best_shot_time": to_timestamp(start),
            "start_offset": to_duration(timedelta(seconds=10)),
            "end_offset": to_duration(timedelta(seconds=14)),
            "best_shot_offset": to_duration(timedelta(seconds=10)),
            "score": 0.5,
            "threshold": 0.45,
            "policy_id": "p",
            "delete_time": to_timestamp(clock.now() + timedelta(days=30)),
        }
        return sightings.SightingFinding(
            sighting=sighting_pb2.Sighting(**values | changes),
            template=template(model=model),
            still=still,
        )

    return make


@pytest.fixture
async def sighting_id(world: World, finding: Any) -> str:
    """A sighting that nobody has judged."""
    found = finding(figures=figures(approved=True))
    answer = await world.sightings.RecordSightings(
        sightings.RecordSightingsRequest(findings=[found])
    )
    return answer.results[0].sighting.sighting_id
