"""The matching service on fakes, and the calls that its tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from homeward.api.common.v1 import policy_pb2 as figures_pb2
from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import policy_service_pb2 as policies
from homeward.api.matching.v1 import sighting_pb2, subject_pb2
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.core.policy import Cohort, Measurement, PolicyFile, Rate, write_policy
from homeward.matching.gallery.model import Box, ModelInfo, PhotoAnalysis, Template
from homeward.servicekit.clients import translate
from homeward.servicekit.errors import Reason, invalid_field, unavailable
from homeward.servicekit.wire import to_timestamp

MODEL, OTHER_MODEL = "a" * 64, "b" * 64
NOBODY = "00000000-0000-4000-8000-00000000ffff"
FOOTAGE = "gate-20260304t120000000000z-0123456789abcdef"
POLICY = "yunet-sface/1"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # where the clock stands
IN_A_MONTH = to_timestamp(NOON + timedelta(days=30))
FIELD = (grpc.StatusCode.INVALID_ARGUMENT, Reason.FIELD_INVALID)


class FakeFaceAnalyzer:
    """Judges a photograph by what is written in it."""

    def __init__(self) -> None:
        self.down = False

    async def analyze(self, photo: bytes) -> PhotoAnalysis:
        if self.down:
            raise unavailable("embedding", "e:1", "start it")
        if photo == b"no picture":
            raise invalid_field("photo", "is no picture")
        if photo == b"two people":
            return PhotoAnalysis(("SEVERAL_FACES",), None, 0.0, None)
        model = OTHER_MODEL if photo == b"other model" else MODEL
        person = 1 if photo.startswith(b"somebody else") else 0
        return PhotoAnalysis((), Box(1, 2, 3, 4), 0.75, Template(axis(person), model))

    async def model(self) -> ModelInfo:
        if self.down:
            raise unavailable("embedding", "e:1", "start it")
        return ModelInfo("yunet-sface", MODEL, 4)


class Breakable:
    """A store that stops answering when it is told to."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.down = False

    def __getattr__(self, name: str) -> Any:
        if self.down:
            raise unavailable("NATS", "nats://n:4222", "start it")
        return getattr(self.store, name)


@dataclass
class World:
    """A client of the service, and the fakes behind it."""

    subjects: Any
    matching: Any
    sightings: Any
    policies: Any
    retention: Any
    faces: FakeFaceAnalyzer
    stores: list[Breakable]

    def break_down(self) -> None:
        self.faces.down = True
        for store in self.stores:
            store.down = True


def policy_file(policy_id: str = POLICY, **changes: Any) -> bytes:
    measured = {
        "gallery_size": 500,
        "fpir": Rate(0.01, 0.005, 0.02, trials=1000),
        "fnir": Rate(0.04, 0.03, 0.06, trials=500),
        "dataset": "photographs",
        "dataset_digest": "d" * 64,
        "identities": 1000,
        "photographs": 2000,
        "seed": 0,
        "make_time": datetime(2026, 1, 1, tzinfo=UTC),
        "limits": "not CCTV",
        "cohorts": (Cohort("18 to 30", 200, Rate(0.02, 0.01, 0.04, trials=100), None),),
    }
    model = changes.pop("model_digest", MODEL)
    measurement = Measurement(**measured | changes)
    return write_policy(PolicyFile(policy_id, "yunet-sface", model, 0.45, measurement))


def axis(number: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[number]


def template(number: int = 0, model: str = MODEL) -> types_pb2.Template:
    return types_pb2.Template(values=axis(number).tolist(), model_digest=model)


async def refusal(call: Any) -> tuple[grpc.StatusCode, Reason]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    error = refused.value
    return error.code(), translate(error, "matching", "localhost").reason


async def fields_at_fault(call: Any) -> list[str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert translate(refused.value, "matching", "").reason is Reason.FIELD_INVALID
    return [refused.value.details().partition(":")[0]]


async def create(world: World, subject: subject_pb2.Subject, request_id: str = "") -> Any:
    request = subjects.CreateSubjectRequest(subject=subject, request_id=request_id)
    return await world.subjects.CreateSubject(request)


async def add(world: World, subject_id: str, photo: bytes = b"another", **asked: Any) -> Any:
    request = subjects.AddReferencePhotoRequest(subject_id=subject_id, photo=photo, **asked)
    return await world.subjects.AddReferencePhoto(request)


async def update(world: World, subject: subject_pb2.Subject, *paths: str) -> Any:
    request = subjects.UpdateSubjectRequest(subject=subject, update_mask=FieldMask(paths=paths))
    return await world.subjects.UpdateSubject(request)


async def record(world: World, *findings: sightings.SightingFinding) -> Any:
    request = sightings.RecordSightingsRequest(findings=findings)
    return await world.sightings.RecordSightings(request)


async def review(world: World, sighting_id: str, **changes: Any) -> Any:
    values = {"decision": sighting_pb2.REVIEW_DECISION_REJECT, "reviewer": "R. Viewer"} | changes
    request = sightings.ReviewSightingRequest(sighting_id=sighting_id, **values)
    return await world.sightings.ReviewSighting(request)


async def photo_of(world: World, subject_id: str, photo_id: str = NOBODY) -> Any:
    request = subjects.GetReferencePhotoRequest(subject_id=subject_id, photo_id=photo_id)
    return await world.subjects.GetReferencePhoto(request)


BY_SUBJECT: dict[str, Callable[[World, str], Any]] = {
    "AddReferencePhoto": add,
    "GetReferencePhoto": photo_of,
    "GetSubject": lambda world, name: world.subjects.GetSubject(
        subjects.GetSubjectRequest(subject_id=name)
    ),
    "UpdateSubject": lambda world, name: update(
        world, subject_pb2.Subject(subject_id=name, label="B"), "label"
    ),
    "CloseSubject": lambda world, name: world.subjects.CloseSubject(
        subjects.CloseSubjectRequest(subject_id=name)
    ),
    "EraseSubject": lambda world, name: world.subjects.EraseSubject(
        subjects.EraseSubjectRequest(subject_id=name)
    ),
}


async def approve(world: World, policy_id: str = POLICY, **changes: Any) -> Any:
    values = {"approver": "A. Prover", "valid_until_time": IN_A_MONTH}
    return await world.policies.ApprovePolicy(
        policies.ApprovePolicyRequest(policy_id=policy_id, **values | changes)
    )


async def activate(world: World, policy_id: str = POLICY) -> Any:
    request = policies.ActivatePolicyRequest(policy_id=policy_id)
    return await world.policies.ActivatePolicy(request)


async def expire(world: World, policy_id: str = POLICY, reason: str = "flawed data") -> Any:
    request = policies.ExpirePolicyRequest(policy_id=policy_id, reason=reason)
    return await world.policies.ExpirePolicy(request)


async def add_policy(world: World, file: bytes) -> Any:
    return await world.policies.AddPolicy(policies.AddPolicyRequest(file=file))


async def get_policy(world: World, policy_id: str = POLICY) -> Any:
    request = policies.GetPolicyRequest(policy_id=policy_id)
    return await world.policies.GetPolicy(request)


BY_POLICY: dict[str, Callable[[World, str], Any]] = {
    "GetPolicy": get_policy,
    "ApprovePolicy": approve,
    "ActivatePolicy": activate,
    "ExpirePolicy": expire,
}


def figures(**changes: Any) -> figures_pb2.PolicyFigures:
    rate = figures_pb2.ErrorRate(value=0.25, low=0.125, high=0.5, trial_count=8)
    values = {"gallery_size": 2, "expected_fpir": rate, "fnir": rate, "measured_gallery_size": 500}
    return figures_pb2.PolicyFigures(**values | changes)


async def recorded_id(world: World, finding: sightings.SightingFinding) -> str:
    (told,) = (await record(world, finding)).results
    return told.sighting.sighting_id


async def confirmed(world: World, sighting_id: str) -> Any:
    decision = sighting_pb2.REVIEW_DECISION_CONFIRM
    return (await review(world, sighting_id, decision=decision)).sighting


BY_SIGHTING: dict[str, Callable[[World, str], Any]] = {
    "GetSighting": lambda world, name: world.sightings.GetSighting(
        sightings.GetSightingRequest(sighting_id=name)
    ),
    "ReviewSighting": review,
    "ExportSighting": lambda world, name: world.sightings.ExportSighting(
        sightings.ExportSightingRequest(sighting_id=name)
    ),
}


async def rejections(world: World, **asked: Any) -> Any:
    return await world.sightings.ListRejections(sightings.ListRejectionsRequest(**asked))


async def erase_footage(world: World, footage_id: str) -> Any:
    request = sightings.EraseFootageSightingsRequest(footage_id=footage_id)
    return await world.sightings.EraseFootageSightings(request)
