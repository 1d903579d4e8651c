"""The command line against services that answer as a test tells them to."""

# ruff: noqa: N802 - gRPC names the methods
# ruff: noqa: ARG001, ARG002 - a fixture may only have to be there; fakes take what gRPC gives
# mypy: disable-error-code="abstract"

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NoReturn

import click
import grpc
import pytest
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from homeward.api.common.v1.policy_pb2 import (
    MEASUREMENT_BASIS_FOOTAGE,
    AgeFigures,
    AgeRange,
    ErrorRate,
    PolicyFigures,
)
from homeward.api.common.v1.types_pb2 import BoundingBox, TimeInterval
from homeward.api.embedding.v1 import embedding_service_pb2, embedding_service_pb2_grpc, model_pb2
from homeward.api.ingestion.v1 import (
    camera_pb2,
    camera_service_pb2,
    camera_service_pb2_grpc,
    footage_pb2,
    footage_service_pb2,
    footage_service_pb2_grpc,
    scan_pb2,
    scan_service_pb2,
    scan_service_pb2_grpc,
)
from homeward.api.matching.v1 import (
    matching_service_pb2,
    matching_service_pb2_grpc,
    policy_pb2,
    policy_service_pb2,
    policy_service_pb2_grpc,
    retention_service_pb2,
    retention_service_pb2_grpc,
    sighting_pb2,
    sighting_service_pb2,
    sighting_service_pb2_grpc,
    subject_pb2,
    subject_service_pb2,
    subject_service_pb2_grpc,
)
from homeward.cli import enrolment, patience, picture
from homeward.cli.__main__ import run

ANNA = "3f2a91c0-5b5e-4f9e-9d55-aa3b8c9a1f10"
BERT = "5e0d2b7c-91a4-4c3e-8f27-6b1d90a4c2e8"
SCAN = "8c41f7d2-0f3a-4b52-8f63-5a1f0a0d2b11"
SIGHTING = "91b5e0c4-2d7e-5f10-a3a4-6f3f6f1f7c22"
FOOTAGE = "5d0c77aa-6b1d-5c3f-8d2b-1c2d3e4f5a33"
BEGIN = Timestamp(seconds=1_795_168_800)  # 2026-11-20 10:00:00Z
LATER = Timestamp(seconds=1_795_168_812)
IN_VIEW = TimeInterval(start_time=BEGIN, end_time=LATER)


@dataclass(frozen=True)
class Refusal:
    """What a fake answers instead."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = "no"
    metadata: dict[str, str] = field(default_factory=dict)

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        info = any_pb2.Any()
        info.Pack(
            error_details_pb2.ErrorInfo(
                reason=self.reason, domain="homeward", metadata=self.metadata
            )
        )
        status.details.append(info)
        if self.reason:
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
        context.abort(self.code, self.message)


CHILDREN = AgeFigures(
    ages=AgeRange(youngest_years=0, oldest_years=17),
    fnir=ErrorRate(value=0.5, low=0.4, high=0.6, trial_count=80),
    identity_count=40,
    basis=MEASUREMENT_BASIS_FOOTAGE,
)


def worth(
    *, approved: bool = True, enrolled: int = 12, ages: Iterable[AgeFigures] = ()
) -> PolicyFigures:
    return PolicyFigures(
        age_figures=ages,
        approved=approved,
        gallery_size=enrolled,
        expected_fpir=ErrorRate(value=0.00024, low=0.0001, high=0.0005, trial_count=1000),
        fnir=ErrorRate(value=0.042, low=0.028, high=0.063, trial_count=500),
        measured_gallery_size=500,
    )


Reenrolled = subject_service_pb2.ReenrolSubjectsResponse


def reenrolled(stage: int, done: int = 0, total: int = 0, **told: Any) -> Reenrolled:
    return Reenrolled(
        stage=stage,
        model_name="new-pack",
        model_digest="b" * 64,
        done_photo_count=done,
        total_photo_count=total,
        **told,
    )


def unusable(photo_id: str, *problems: str) -> subject_service_pb2.UnusablePhoto:
    return subject_service_pb2.UnusablePhoto(subject_id=ANNA, photo_id=photo_id, problems=problems)


LOST = Refusal(grpc.StatusCode.UNAVAILABLE, message="connection reset")


class Subjects(subject_service_pb2_grpc.SubjectServiceServicer):
    """Subjects in memory; photographs are refused by their content."""

    def __init__(self) -> None:
        self.held: dict[str, subject_pb2.Subject] = {}
        self.verdicts: dict[bytes, Refusal] = {}
        self.certificate = subject_pb2.ErasureCertificate(subject_id=ANNA, erase_time=BEGIN)
        self.remaining_seconds: list[float] = []
        self.failures: list[Refusal] = []
        self.requests: list[Any] = []
        self.reenrolments: list[list[Any]] = []
        self.warnings: dict[bytes, list[Any]] = {}
        """Of photographs, by their content."""
        self.same_case: list[str] = []
        self.not_compared = ""

    def _get(self, subject_id: str, context: grpc.ServicerContext) -> subject_pb2.Subject:
        self.remaining_seconds.append(context.time_remaining() or 0.0)
        if self.failures:
            self.failures.pop(0).abort(context)
        if subject_id not in self.held:
            Refusal(
                grpc.StatusCode.NOT_FOUND, "SUBJECT_NOT_FOUND", f"no subject {subject_id}"
            ).abort(context)
        return self.held[subject_id]

    def CreateSubject(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        made = subject_pb2.Subject()
        made.CopyFrom(request.subject)
        made.subject_id = ANNA
        made.state = subject_pb2.Subject.STATE_OPEN
        self.held[ANNA] = made
        same = subject_service_pb2.EnrolmentWarning.KIND_SAME_CASE
        warnings = [
            subject_service_pb2.EnrolmentWarning(kind=same, subject_id=name)
            for name in self.same_case
        ]
        return subject_service_pb2.CreateSubjectResponse(subject=made, warnings=warnings)

    def AddReferencePhoto(self, request: Any, context: Any) -> Any:
        subject = self._get(request.subject_id, context)
        if request.photo in self.verdicts:
            self.verdicts[request.photo].abort(context)
        photo = subject_pb2.ReferencePhoto(
            photo_id=hashlib.sha256(request.photo).hexdigest(), quality=0.8
        )
        warnings = self.warnings.get(request.photo, [])
        if request.only_without_warnings and warnings:
            return subject_service_pb2.AddReferencePhotoResponse(subject=subject, warnings=warnings)
        subject.reference_photos.append(photo)
        return subject_service_pb2.AddReferencePhotoResponse(
            reference_photo=photo,
            subject=subject,
            warnings=warnings,
            not_compared_reason=self.not_compared,
        )

    def GetSubject(self, request: Any, context: Any) -> Any:
        return subject_service_pb2.GetSubjectResponse(
            subject=self._get(request.subject_id, context)
        )

    def ListSubjects(self, request: Any, context: Any) -> Any:
        names = sorted(self.held)
        index = int(request.page_token or 0)
        return subject_service_pb2.ListSubjectsResponse(
            subjects=[self.held[name] for name in names[index : index + 1]],
            next_page_token=str(index + 1) if index + 1 < len(names) else "",
        )

    def UpdateSubject(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return subject_service_pb2.UpdateSubjectResponse(subject=request.subject)

    def CloseSubject(self, request: Any, context: Any) -> Any:
        subject = self._get(request.subject_id, context)
        subject.state = subject_pb2.Subject.STATE_CLOSED
        return subject_service_pb2.CloseSubjectResponse(
            subject=subject, certificate=self.certificate
        )

    def EraseSubject(self, request: Any, context: Any) -> Any:
        self._get(request.subject_id, context)
        del self.held[request.subject_id]
        return subject_service_pb2.EraseSubjectResponse(certificate=self.certificate)

    def ReenrolSubjects(self, request: Any, context: Any) -> Iterator[Any]:
        self.requests.append(request)
        for told in self.reenrolments.pop(0):
            if isinstance(told, Refusal):
                told.abort(context)
            yield told


class Cameras(camera_service_pb2_grpc.CameraServiceServicer):
    """Takes every camera."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def CreateCamera(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return camera_service_pb2.CreateCameraResponse(camera=request.camera)

    def UpdateCamera(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return camera_service_pb2.UpdateCameraResponse(camera=request.camera)

    def GetCamera(self, request: Any, context: Any) -> Any:
        camera = camera_pb2.Camera(camera_id=request.camera_id, place="North gate")
        return camera_service_pb2.GetCameraResponse(camera=camera)

    def ListCameras(self, request: Any, context: Any) -> Any:
        camera = camera_pb2.Camera(camera_id="gate", place="North gate")
        return camera_service_pb2.ListCamerasResponse(cameras=[camera])


class FootageStore(footage_service_pb2_grpc.FootageServiceServicer):
    """Keeps uploads in memory; loses the connection after `break_after` bytes of a call."""

    def __init__(self) -> None:
        self.uploads: dict[str, bytearray] = {}
        self.break_after: list[int] = []
        self.refusals: dict[str, Refusal] = {}
        self.headers: list[footage_service_pb2.UploadHeader] = []
        self.held: dict[str, footage_pb2.Footage] = {}
        self.report = footage_service_pb2.GetRetentionReportResponse(footage_count=1)
        self.put_url = ""
        self.findings: list[str] = []
        """What is odd about every recording, in words."""
        self.sha256 = ""

    def GetUpload(self, request: Any, context: Any) -> Any:
        if request.request_id not in self.uploads:
            Refusal(grpc.StatusCode.NOT_FOUND, "UPLOAD_NOT_FOUND").abort(context)
        return footage_service_pb2.GetUploadResponse(
            committed_size_bytes=len(self.uploads[request.request_id])
        )

    def UploadFootage(self, request_iterator: Iterator[Any], context: Any) -> Any:
        header = next(request_iterator).header
        self.headers.append(header)
        if header.file_name in self.refusals:
            self.refusals[header.file_name].abort(context)
        limit = self.break_after.pop(0) if self.break_after else None
        kept = self.uploads.setdefault(header.request_id, bytearray())
        for count, message in enumerate(request_iterator, start=1):
            kept.extend(message.chunk)
            if limit is not None and count * 65536 >= limit:
                LOST.abort(context)
        return self._done(header, bytes(kept))

    def _done(self, header: Any, content: bytes) -> Any:
        already_held = header.sha256 in self.held
        footage = footage_pb2.Footage(
            footage_id=FOOTAGE,
            camera_id=header.camera_id,
            file_name=header.file_name,
            start_time=header.start_time,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            findings=self._findings(),
        )
        self.held[header.sha256] = footage
        return footage_service_pb2.UploadFootageResponse(footage=footage, already_held=already_held)

    def _findings(self) -> list[footage_pb2.FootageFinding]:
        return [footage_pb2.FootageFinding(detail=detail) for detail in self.findings]

    def CreateUploadUrl(self, request: Any, context: Any) -> Any:
        self.headers.append(request.header)
        return footage_service_pb2.CreateUploadUrlResponse(
            url=self.put_url, existing_footage=self.held.get(request.header.sha256)
        )

    def CompleteUpload(self, request: Any, context: Any) -> Any:
        footage = footage_pb2.Footage(footage_id=FOOTAGE)
        return footage_service_pb2.CompleteUploadResponse(footage=footage)

    def GetFootage(self, request: Any, context: Any) -> Any:
        if refusal := self.refusals.get("GetFootage"):
            refusal.abort(context)
        return footage_service_pb2.GetFootageResponse(
            footage=footage_pb2.Footage(
                sha256=self.sha256,
                footage_id=request.footage_id,
                file_name="gate.mp4",
                camera_id="gate",
                pictured_duration=Duration(seconds=50),
                findings=self._findings(),
            )
        )

    def ListFootage(self, request: Any, context: Any) -> Any:
        return footage_service_pb2.ListFootageResponse(footage=self.held.values())

    def DeleteFootage(self, request: Any, context: Any) -> Any:
        self.held = {}
        return footage_service_pb2.DeleteFootageResponse()

    def GetRetentionReport(self, request: Any, context: Any) -> Any:
        return self.report


class Scans(scan_service_pb2_grpc.ScanServiceServicer):
    """Tells what its script says; each watch takes the next part of it."""

    def __init__(self) -> None:
        self.script: list[list[Any]] = []
        self.created: list[Any] = []
        self.efforts: list[scan_pb2.FootageEffort] = []
        self.told: dict[str, Any] = {}
        """More of the scan that is read."""
        self.stretches: list[scan_pb2.IncomparableStretch] = []
        """A page each."""
        self.unlisted: list[scan_pb2.UnlistedFootage] = []
        self.in_hand = False
        """Whether a scanner works on it when it is cancelled."""
        self.no_cancel: Refusal | None = None

    def CreateScan(self, request: Any, context: Any) -> Any:
        self.created.append(request)
        return scan_service_pb2.CreateScanResponse(scan=scan_pb2.Scan(scan_id=SCAN))

    def WatchScan(self, request: Any, context: Any) -> Iterator[Any]:
        for update in self.script.pop(0):
            if isinstance(update, Refusal):
                update.abort(context)
            yield update

    def ListScans(self, request: Any, context: Any) -> Any:
        return scan_service_pb2.ListScansResponse(scans=[scan_pb2.Scan(scan_id=SCAN)])

    def GetScan(self, request: Any, context: Any) -> Any:
        scan = ended(efforts=self.efforts, **self.told).scan
        return scan_service_pb2.GetScanResponse(scan=scan)

    def ListIncomparableStretches(self, request: Any, context: Any) -> Any:
        index = int(request.page_token or 0)
        return scan_service_pb2.ListIncomparableStretchesResponse(
            incomparable_stretches=self.stretches[index : index + 1],
            next_page_token=str(index + 1) if index + 1 < len(self.stretches) else "",
            unlisted_footage=[] if request.page_token else self.unlisted,
        )

    def CancelScan(self, request: Any, context: Any) -> Any:
        if self.no_cancel is not None:
            self.no_cancel.abort(context)
        if self.in_hand:
            return scan_service_pb2.CancelScanResponse(scan=running(60).scan)
        scan = scan_pb2.Scan(scan_id=request.scan_id, state=scan_pb2.Scan.STATE_CANCELLED)
        return scan_service_pb2.CancelScanResponse(scan=scan)


class Sightings(sighting_service_pb2_grpc.SightingServiceServicer):
    """Has one sighting."""

    def __init__(self) -> None:
        self.sighting = sighting_pb2.Sighting(
            sighting_id=SIGHTING,
            subject_id=ANNA,
            camera_id="gate",
            interval=IN_VIEW,
            best_shot_time=BEGIN,
            score=0.612,
            threshold=0.45,
            policy_id="yunet-sface/1",
            state=sighting_pb2.Sighting.STATE_UNREVIEWED,
        )
        self.still, self.reference = jpeg(640, 360), jpeg(300, 400)
        self.requests: list[Any] = []
        self.more: list[str] = []
        """Other subjects, each of whom has one as well."""
        self.rejections: list[sighting_pb2.Rejection] = []

    def GetSighting(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return sighting_service_pb2.GetSightingResponse(
            sighting=self.sighting,
            still=self.still,
            reference_photo=self.reference,
            reference_face_box=BoundingBox(x=100, y=100, width=100, height=120),
        )

    def ListSightings(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        others = [sighting_pb2.Sighting(sighting_id=name, subject_id=name) for name in self.more]
        return sighting_service_pb2.ListSightingsResponse(sightings=[self.sighting, *others])

    def ListRejections(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return sighting_service_pb2.ListRejectionsResponse(rejections=self.rejections)

    def ReviewSighting(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.sighting.state = sighting_pb2.Sighting.STATE_CONFIRMED
        return sighting_service_pb2.ReviewSightingResponse(sighting=self.sighting)

    def ExportSighting(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        if self.sighting.state != sighting_pb2.Sighting.STATE_CONFIRMED:
            Refusal(grpc.StatusCode.FAILED_PRECONDITION, "SIGHTING_NOT_CONFIRMED").abort(context)
        if not (self.sighting.figures.approved or request.unapproved):
            Refusal(grpc.StatusCode.FAILED_PRECONDITION, "POLICY_NOT_APPROVED").abort(context)
        return sighting_service_pb2.ExportSightingResponse(
            sighting=self.sighting, still=jpeg(640, 360), export_time=BEGIN
        )


class Retention(retention_service_pb2_grpc.RetentionServiceServicer):
    """Holds nothing about anybody."""

    def __init__(self, subjects: Subjects) -> None:
        self.subjects = subjects
        self.report = retention_service_pb2.GetRetentionReportResponse()

    def GetRetentionReport(self, request: Any, context: Any) -> Any:
        return self.report

    def GetErasureCertificate(self, request: Any, context: Any) -> Any:
        return retention_service_pb2.GetErasureCertificateResponse(
            certificate=self.subjects.certificate
        )


class Embedding(embedding_service_pb2_grpc.EmbeddingServiceServicer):
    """Names a model."""

    def GetModel(self, request: Any, context: Any) -> Any:
        return embedding_service_pb2.GetModelResponse(
            model=model_pb2.Model(
                name="yunet-sface",
                digest="d1ge57",
                detector_runtime="onnxruntime/CPUExecutionProvider",
                files=[
                    model_pb2.ModelFile(
                        role="recogniser",
                        name="sface.onnx",
                        sha256="5b9e",
                        licence="Apache-2.0",
                        training_data="not documented",
                        training_data_source="asked for and not answered",
                    ),
                    model_pb2.ModelFile(role="detector", name="yunet.onnx"),
                ],
            )
        )


class Matching(matching_service_pb2_grpc.MatchingServiceServicer):
    """Names a policy, unless there is none."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.refusal: Refusal | None = None
        self.policy = policy_pb2.ThresholdPolicy(
            policy_id="yunet-sface/1",
            threshold=0.45,
            figures=worth(),
            measurement=policy_pb2.PolicyMeasurement(dataset="LFW", limits="Not CCTV."),
            approver="A. Prover",
            valid_until_time=LATER,
        )

    def GetThresholdPolicy(self, request: Any, context: Any) -> Any:
        self.sizes.append(request.gallery_size)
        if self.refusal:
            self.refusal.abort(context)
        return matching_service_pb2.GetThresholdPolicyResponse(policy=self.policy)


class Policies(policy_service_pb2_grpc.PolicyServiceServicer):
    """Has one policy, and does to it what it is told."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        rate = ErrorRate(value=0.01, low=0.005, high=0.02, trial_count=1000)
        self.policy = policy_pb2.Policy(
            policy_id="yunet-sface/1",
            state=policy_pb2.Policy.STATE_UNAPPROVED,
            shipped=True,
            threshold=0.45,
            measurement=policy_pb2.PolicyMeasurement(
                gallery_size=500,
                fpir=rate,
                fnir=rate,
                cohorts=[policy_pb2.PolicyCohort(name="18 to 30", identity_count=200, fpir=rate)],
            ),
        )

    def ListPolicies(self, request: Any, context: Any) -> Any:
        return policy_service_pb2.ListPoliciesResponse(policies=[self.policy])

    def GetPolicy(self, request: Any, context: Any) -> Any:
        if request.policy_id != self.policy.policy_id:
            Refusal(grpc.StatusCode.NOT_FOUND, "POLICY_NOT_FOUND").abort(context)
        return policy_service_pb2.GetPolicyResponse(policy=self.policy)

    def AddPolicy(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return policy_service_pb2.AddPolicyResponse(policy=self.policy)

    def ApprovePolicy(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.policy.state = policy_pb2.Policy.STATE_APPROVED
        self.policy.approval.approver = request.approver
        self.policy.approval.valid_until_time.CopyFrom(request.valid_until_time)
        return policy_service_pb2.ApprovePolicyResponse(policy=self.policy)

    def ActivatePolicy(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.policy.active = True
        return policy_service_pb2.ActivatePolicyResponse(policy=self.policy)

    def ExpirePolicy(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.policy.state = policy_pb2.Policy.STATE_EXPIRED
        self.policy.approval.expire_time.CopyFrom(BEGIN)
        self.policy.approval.expire_reason = request.reason
        return policy_service_pb2.ExpirePolicyResponse(policy=self.policy)


class Health(health_pb2_grpc.HealthServicer):
    """Serves, unless told otherwise."""

    def __init__(self) -> None:
        self.status: Any = health_pb2.HealthCheckResponse.SERVING

    def Check(self, request: Any, context: Any) -> Any:
        return health_pb2.HealthCheckResponse(status=self.status)


@dataclass
class Homeward:
    """All services behind one address."""

    address: str
    subjects: Subjects
    cameras: Cameras
    footage: FootageStore
    scans: Scans
    sightings: Sightings
    health: Health

    def __post_init__(self) -> None:
        self.retention = Retention(self.subjects)
        self.matching, self.policies = Matching(), Policies()


@pytest.fixture
def homeward(monkeypatch: pytest.MonkeyPatch) -> Iterator[Homeward]:
    server = grpc.server(ThreadPoolExecutor(4))
    port = server.add_insecure_port("localhost:0")
    fakes = Homeward(
        f"localhost:{port}", Subjects(), Cameras(), FootageStore(), Scans(), Sightings(), Health()
    )
    subject_service_pb2_grpc.add_SubjectServiceServicer_to_server(fakes.subjects, server)
    camera_service_pb2_grpc.add_CameraServiceServicer_to_server(fakes.cameras, server)
    footage_service_pb2_grpc.add_FootageServiceServicer_to_server(fakes.footage, server)
    scan_service_pb2_grpc.add_ScanServiceServicer_to_server(fakes.scans, server)
    sighting_service_pb2_grpc.add_SightingServiceServicer_to_server(fakes.sightings, server)
    retention_service_pb2_grpc.add_RetentionServiceServicer_to_server(fakes.retention, server)
    embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server(Embedding(), server)
    matching_service_pb2_grpc.add_MatchingServiceServicer_to_server(fakes.matching, server)
    policy_service_pb2_grpc.add_PolicyServiceServicer_to_server(fakes.policies, server)
    health_pb2_grpc.add_HealthServicer_to_server(fakes.health, server)
    server.start()
    monkeypatch.setenv("HOMEWARD_INGESTION_TARGET", fakes.address)
    monkeypatch.setenv("HOMEWARD_MATCHING_TARGET", fakes.address)
    monkeypatch.setenv("HOMEWARD_EMBEDDING_TARGET", fakes.address)
    yield fakes
    server.stop(None).wait()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Waits that were not waited."""
    made: list[int] = []
    monkeypatch.setattr(patience, "pause", lambda failures, _: made.append(failures))
    return made


def jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(file, "JPEG")
    return file.getvalue()


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def written(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def enrolled(
    homeward: Homeward, subject_id: str = ANNA, *, child: bool = False
) -> subject_pb2.Subject:
    subject = subject_pb2.Subject(
        subject_id=subject_id,
        case_reference="MP-1",
        label="Anna",
        age_group=subject_pb2.AGE_GROUP_CHILD if child else subject_pb2.AGE_GROUP_ADULT,
        state=subject_pb2.Subject.STATE_OPEN,
    )
    homeward.subjects.held[subject_id] = subject
    return subject


def to_be_exported(homeward: Homeward, *, child: bool = False) -> sighting_pb2.Sighting:
    """Return the sighting, confirmed and found by a policy that somebody answers for."""
    enrolled(homeward, child=child)
    sighting = homeward.sightings.sighting
    sighting.state = sighting_pb2.Sighting.STATE_CONFIRMED
    sighting.figures.CopyFrom(worth())
    return sighting


def running(done: int) -> Any:
    return scan_service_pb2.WatchScanResponse(
        scan=scan_pb2.Scan(
            scan_id=SCAN,
            state=scan_pb2.Scan.STATE_RUNNING,
            progress=scan_pb2.ScanProgress(
                total_duration=Duration(seconds=600), done_duration=Duration(seconds=done)
            ),
        )
    )


def effort(*ways: int, looked_at: int = 60, passed_over: int = 540) -> scan_pb2.FootageEffort:
    return scan_pb2.FootageEffort(
        footage_id=FOOTAGE,
        decoded_duration=Duration(seconds=looked_at),
        passed_over_duration=Duration(seconds=passed_over),
        thoroughness=ways,
    )


def ended(
    *,
    searched: int = 600,
    passed_over: int = 0,
    gaps: Iterable[scan_pb2.CoverageGap] = (),
    incomparable: int = 0,
    efforts: Iterable[scan_pb2.FootageEffort] = (),
    subject_ids: Iterable[str] = (),
    sizes: scan_pb2.FaceSizes | None = None,
    cameras: Iterable[scan_pb2.CameraFaceSizes] = (),
    state: Any = scan_pb2.Scan.STATE_SUCCEEDED,
) -> Any:
    return scan_service_pb2.WatchScanResponse(
        scan=scan_pb2.Scan(
            scan_id=SCAN,
            scope=scan_pb2.ScanScope(subject_ids=subject_ids),
            state=state,
            coverage=scan_pb2.ScanCoverage(
                requested_duration=Duration(seconds=600),
                searched_duration=Duration(seconds=searched),
                looked_at_duration=Duration(seconds=searched - passed_over),
                passed_over_duration=Duration(seconds=passed_over),
                gaps=gaps,
                incomparable_appearance_count=incomparable,
                footage_efforts=efforts,
                face_sizes=sizes,
                camera_face_sizes=cameras,
            ),
        )
    )


def candidate(
    score: float = 0.612,
    sighting_id: str = SIGHTING,
    figures: PolicyFigures | None = None,
    rival_score: float | None = None,
) -> Any:
    return scan_service_pb2.WatchScanResponse(
        candidate=scan_pb2.ScanCandidate(
            sighting_id=sighting_id,
            subject_id=ANNA,
            camera_id="gate",
            footage_id=FOOTAGE,
            interval=IN_VIEW,
            score=score,
            threshold=0.45,
            policy_id="yunet-sface/1",
            figures=figures,
            rival_score=rival_score,
        )
    )


EXPECTATION = (
    "about 1 in 4200 would be listed all the same (12 people compared with); of those who are,"
    " about 4.2 % (2.8 to 6.3) would be missed."
)
UNAPPROVED = "EVALUATION: nobody answers for policy yunet-sface/1"
NOT_APPROVED = Refusal(
    grpc.StatusCode.FAILED_PRECONDITION, "POLICY_NOT_APPROVED", "approve one", {"policy_id": ""}
)
CHILD_WARNING = (
    "WARNING: enrolled as a child (under 18): Anna. Policy yunet-sface/1 does not say that it was"
    " measured on children. Children are found far less often than adults"
)
CHILD_MEASURED = "Children missed, by age, as measured: 0 to 17: 50.0 % (40.0 to 60.0) in footage."
ADD_SUBJECT = ("subject", "add", "--case", "MP-1", "--label", "Anna")
ADD_FOOTAGE = ("footage", "add", "--camera", "gate", "--start", "2026-11-20T10:00:00Z")
BLURRED = Refusal(
    grpc.StatusCode.INVALID_ARGUMENT,
    "PHOTO_REFUSED",
    "the photograph cannot serve",
    {"verdict": "BLURRED"},
)


# moving to another model pack

REENROL = ("subject", "reenrol", "--model", "new-pack")


def test_a_reenrolment_that_breaks_off_is_gone_on_with(
    homeward: Homeward, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.reenrolments = [
        [reenrolled(Reenrolled.STAGE_EMBEDDING, 8, 20), LOST],
        [LOST],
        [
            reenrolled(Reenrolled.STAGE_WAITING),
            reenrolled(Reenrolled.STAGE_EMBEDDING, 20, 20),
            reenrolled(Reenrolled.STAGE_MOVING_SIGHTINGS),
            reenrolled(Reenrolled.STAGE_DONE),
        ],
    ]

    assert run([*REENROL, "--accept-lost"]) == 0

    assert [(each.model, each.accept_lost) for each in homeward.subjects.requests] == [
        ("new-pack", True)
    ] * 3
    assert pauses == [1, 2]
    assert "The gallery is of new-pack (bbbbbbbbbbbb) now." in capsys.readouterr().out


def test_photographs_that_a_pack_cannot_use_are_listed_once_with_the_reason(
    homeward: Homeward, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    told = reenrolled(
        Reenrolled.STAGE_EMBEDDING, 2, 2, unusable_photos=[unusable("photo-1", "TOO_SMALL")]
    )
    homeward.subjects.reenrolments = [[told, LOST], [told, reenrolled(Reenrolled.STAGE_DONE)]]

    assert run(REENROL) == 10

    assert pauses == [1]
    printed = capsys.readouterr().out
    assert printed.count("photo-1") == 1
    assert "the face is too small" in printed


def test_who_would_be_lost_is_named_and_nothing_is_done(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    homeward.subjects.reenrolments = [
        [
            reenrolled(Reenrolled.STAGE_EMBEDDING, 2, 2, lost_subject_ids=[ANNA]),
            Refusal(grpc.StatusCode.FAILED_PRECONDITION, "SUBJECTS_LOST", "one would be lost"),
        ]
    ]

    assert run(REENROL) == 7

    printed = capsys.readouterr()
    assert ANNA in printed.out
    assert "MP-1" in printed.out
    assert "is of new-pack" not in printed.out
    assert "--accept-lost goes on without" in printed.err


def test_a_reenrolment_prints_one_document(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.reenrolments = [
        [
            reenrolled(
                Reenrolled.STAGE_EMBEDDING, 2, 2, unusable_photos=[unusable("p", "BLURRED")]
            ),
            reenrolled(Reenrolled.STAGE_DONE, lost_subject_ids=[ANNA]),
        ]
    ]

    assert run([*REENROL, "--output", "json"]) == 10

    document = json.loads(capsys.readouterr().out)
    assert document["reenrolment"]["stage"] == "STAGE_DONE"
    assert document["reenrolment"]["lostSubjectIds"] == [ANNA]
    assert document["unusablePhotos"] == [
        {"subjectId": ANNA, "photoId": "p", "problems": ["BLURRED"]}
    ]


def test_a_photograph_that_the_model_cannot_use_is_shown_as_not_used(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward).reference_photos.append(
        subject_pb2.ReferencePhoto(photo_id="photo-1", unusable=True)
    )

    assert run(["subject", "show", ANNA]) == 0

    printed = capsys.readouterr().out
    assert "1 (1 not used)" in printed
    assert "no: the model pack in use cannot" in printed


# errors


def test_a_refusal_is_told_with_reason_and_advice(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["subject", "show", ANNA]) == 5
    told = capsys.readouterr().err
    assert f"error: no subject {ANNA}\n" in told
    assert "reason: SUBJECT_NOT_FOUND\n" in told
    assert "advice: `homeward subject list --all` shows the subjects\n" in told


def test_a_service_that_does_not_answer_is_told_by_name_and_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["camera", "add", "gate", "--ingestion", "localhost:1"]) == 8
    told = capsys.readouterr().err
    assert "error: ingestion at localhost:1 (--ingestion) does not answer\n" in told
    assert "advice: start it, or correct the address\n" in told


def test_a_stack_that_is_gone_is_told_by_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "stack.json", b'{"ingestion": "localhost:1"}')
    assert run(["camera", "add", "gate", "--data", str(tmp_path)]) == 8
    assert f"`homeward up --data {tmp_path}`" in capsys.readouterr().err


def test_an_address_of_another_service_is_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sighting", "list", "--matching", homeward.address]) == 0
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("localhost:0")
    server.start()
    assert run(["sighting", "list", "--matching", f"localhost:{port}"]) == 1
    server.stop(None).wait()
    assert "is another service, or of another version" in capsys.readouterr().err


def test_a_read_that_meets_a_restart_is_repeated(homeward: Homeward) -> None:
    enrolled(homeward)
    homeward.subjects.failures = [LOST, LOST]
    assert run(["subject", "show", ANNA]) == 0


def test_every_call_has_a_deadline(homeward: Homeward) -> None:
    enrolled(homeward)
    run(["subject", "show", ANNA])
    run(["subject", "erase", ANNA, "--yes"])
    reading, looking, erasing = homeward.subjects.remaining_seconds
    assert reading == pytest.approx(30, abs=10)
    assert looking == pytest.approx(30, abs=10)
    assert erasing == pytest.approx(120, abs=10)


# subjects


def test_a_subject_is_enrolled_with_photographs(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*ADD_SUBJECT, "--child", written(tmp_path, "a.jpg", b"a")]) == 0
    request = homeward.subjects.requests[0]
    assert request.subject.age_group == subject_pb2.AGE_GROUP_CHILD
    assert request.subject.legal_basis == "missing person enquiry"
    assert request.subject.authorised_by
    assert request.request_id
    told = capsys.readouterr().out
    assert "a.jpg: accepted, quality 0.80" in told
    assert f"Subject {ANNA}: MP-1 Anna, photographs: 1." in told


def test_whoever_enrols_a_child_is_told_what_no_finding_is_worth(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = written(tmp_path, "a.jpg", b"a")
    assert run([*ADD_SUBJECT, "--child", photo]) == 0
    assert CHILD_WARNING in capsys.readouterr().out
    assert run([*ADD_SUBJECT, "--child", "--output", "json", photo]) == 0
    (caveat,) = json.loads(capsys.readouterr().out)["caveats"]
    assert caveat.startswith(CHILD_WARNING)
    assert run([*ADD_SUBJECT, photo]) == 0
    assert "WARNING" not in capsys.readouterr().out


def test_a_policy_that_was_measured_on_children_silences_that(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.policy.figures.CopyFrom(worth(ages=[CHILDREN]))
    assert run([*ADD_SUBJECT, "--child", written(tmp_path, "a.jpg", b"a")]) == 0
    told = capsys.readouterr().out
    assert "WARNING" not in told
    assert CHILD_MEASURED in told


def test_a_child_is_enrolled_and_warned_of_without_a_policy(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.refusal = NOT_APPROVED
    assert run([*ADD_SUBJECT, "--child", written(tmp_path, "a.jpg", b"a")]) == 0
    told = capsys.readouterr()
    assert "No policy in force could be asked how often children are found." in told.out
    assert told.err == ""


def test_a_child_is_enrolled_when_nothing_can_be_asked_about_the_policy(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.refusal = Refusal(grpc.StatusCode.INTERNAL, message="broken")
    assert run([*ADD_SUBJECT, "--child", written(tmp_path, "a.jpg", b"a")]) == 0
    told = capsys.readouterr()
    assert "No policy in force could be asked how often children are found." in told.out
    assert "whom the policy was measured on is not known: matching at" in told.err


def test_a_subject_that_becomes_a_child_is_warned_of(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["subject", "update", ANNA, "--child", "--label", "Anna"]) == 0
    assert CHILD_WARNING in capsys.readouterr().out


def test_a_refused_photograph_does_not_hold_up_the_others(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.verdicts = {b"bad": BLURRED}
    good, bad = written(tmp_path, "good.jpg", b"good"), written(tmp_path, "bad.jpg", b"bad")
    assert run([*ADD_SUBJECT, bad, good]) == 10
    told = capsys.readouterr()
    assert "bad.jpg: the photograph cannot serve" in told.err
    assert "the face is blurred: use a sharper photograph" in told.err
    assert "good.jpg: accepted" in told.out


def test_nobody_is_enrolled_when_no_photograph_can_serve(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.verdicts = {b"bad": BLURRED}
    assert run([*ADD_SUBJECT, written(tmp_path, "bad.jpg", b"bad")]) == 4
    assert homeward.subjects.held == {}
    assert "nobody was enrolled" in capsys.readouterr().err


def test_nobody_is_enrolled_when_the_model_does_not_answer(
    homeward: Homeward, tmp_path: Path
) -> None:
    gone = Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    homeward.subjects.verdicts = {b"a": gone}
    assert run([*ADD_SUBJECT, written(tmp_path, "a.jpg", b"a")]) == 8
    assert homeward.subjects.held == {}


def test_a_refused_photograph_leaves_an_enrolled_subject_alone(
    homeward: Homeward, tmp_path: Path
) -> None:
    enrolled(homeward)
    homeward.subjects.verdicts = {b"bad": BLURRED}
    assert run(["subject", "add-photo", ANNA, written(tmp_path, "bad.jpg", b"bad")]) == 4
    assert ANNA in homeward.subjects.held


def test_a_photograph_that_is_not_there_is_refused_before_anything_is_enrolled(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*ADD_SUBJECT, str(tmp_path / "a.jpg")]) == 4
    assert homeward.subjects.requests == []
    assert "no such file" in capsys.readouterr().err


def warning(kind: Any, subject_id: str = ANNA, score: float = 0.123) -> Any:
    return subject_service_pb2.EnrolmentWarning(
        kind=kind, subject_id=subject_id, score=score, threshold=0.45, policy_id="yunet-sface/1"
    )


UNLIKE = warning(subject_service_pb2.EnrolmentWarning.KIND_UNLIKE_OTHER_PHOTOS)
TWICE = warning(subject_service_pb2.EnrolmentWarning.KIND_LIKE_ANOTHER_SUBJECT, BERT, 0.789)
SAME_FILE = warning(subject_service_pb2.EnrolmentWarning.KIND_SAME_FILE, BERT, 1.0)


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, *answers: bool | type[Exception]) -> list[str]:
    """Let somebody be there who answers; return what is asked."""
    asked: list[str] = []
    left = iter(answers)

    def confirm(question: str, **_: Any) -> bool:
        asked.append(question)
        answer = next(left)
        if isinstance(answer, type):
            raise answer
        return answer

    monkeypatch.setattr(enrolment, "somebody_is_there", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    return asked


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (UNLIKE, "b.jpg: it is not very alike to the subject's other photographs (0.123; a"),
        (
            TWICE,
            f"b.jpg: it is alike to subject {BERT} (MP-2 Bert) (0.789; a candidate needs 0.450",
        ),
        (TWICE, "twins, other relatives and people who look alike are alike as well"),
        (SAME_FILE, f"b.jpg: the same file is a photograph of subject {BERT} (MP-2 Bert)."),
    ],
)
def test_a_photograph_that_may_be_a_mistake_is_told(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str], told: Any, words: str
) -> None:
    enrolled(homeward)
    homeward.subjects.held[BERT] = subject_pb2.Subject(
        subject_id=BERT, case_reference="MP-2", label="Bert"
    )
    homeward.subjects.warnings = {b"b": [told]}
    assert run(["subject", "add-photo", ANNA, written(tmp_path, "b.jpg", b"b")]) == 0
    err = capsys.readouterr().err
    assert err.startswith("WARNING: ")
    assert words in err


def test_whoever_is_there_decides_on_a_warned_photograph_before_it_counts(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = at_a_terminal(monkeypatch, False, True)
    homeward.subjects.warnings = {b"b": [UNLIKE], b"c": [UNLIKE]}
    files = [written(tmp_path, f"{name}.jpg", name.encode()) for name in "abc"]
    assert run([*ADD_SUBJECT, *files]) == 10
    assert asked == [f"Add {name} all the same?" for name in files[1:]]
    held = {one.photo_id for one in homeward.subjects.held[ANNA].reference_photos}
    assert held == {hashlib.sha256(name).hexdigest() for name in (b"a", b"c")}


def test_nobody_is_enrolled_when_no_photograph_is_wanted(
    homeward: Homeward,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at_a_terminal(monkeypatch, False)
    homeward.subjects.warnings = {b"b": [TWICE]}
    assert run([*ADD_SUBJECT, written(tmp_path, "b.jpg", b"b")]) == 130
    assert homeward.subjects.held == {}
    assert "nobody was enrolled" in capsys.readouterr().err


def test_nobody_is_enrolled_when_the_question_is_interrupted(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_terminal(monkeypatch, click.Abort)
    homeward.subjects.warnings = {b"b": [TWICE]}
    assert run([*ADD_SUBJECT, written(tmp_path, "b.jpg", b"b")]) == 130
    assert homeward.subjects.held == {}


def test_nobody_is_asked_with_yes(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = at_a_terminal(monkeypatch)
    homeward.subjects.same_case = [BERT]
    homeward.subjects.warnings = {b"b": [TWICE]}
    assert run([*ADD_SUBJECT, "--yes", written(tmp_path, "b.jpg", b"b")]) == 0
    assert asked == []
    assert len(homeward.subjects.held[ANNA].reference_photos) == 1


def test_the_same_case_twice_is_told_and_asked_before_any_photograph(
    homeward: Homeward,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = at_a_terminal(monkeypatch, False)
    homeward.subjects.same_case = [BERT]
    assert run([*ADD_SUBJECT, written(tmp_path, "a.jpg", b"a")]) == 130
    assert asked == ["Enrol another subject of this case?"]
    assert homeward.subjects.held == {}
    assert f"case MP-1: subject {BERT} has the same case reference" in capsys.readouterr().err


def test_json_tells_what_was_warned_of(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.warnings = {b"b": [UNLIKE]}
    homeward.subjects.same_case = [BERT]
    files = [written(tmp_path, f"{name}.jpg", name.encode()) for name in "ab"]
    assert run([*ADD_SUBJECT, "--output", "json", *files]) == 0
    document = json.loads(capsys.readouterr().out)
    first, second = document["photos"]
    assert document["warnings"] == [
        (
            f"case MP-1: subject {BERT} has the same case reference. If they are one person, close"
            " one of the two."
        )
    ]
    assert "warnings" not in first
    assert len(second["warnings"]) == 1


def test_that_nobody_was_compared_is_told_once(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.not_compared = "no threshold policy is active"
    files = [written(tmp_path, f"{name}.jpg", name.encode()) for name in "ab"]
    assert run([*ADD_SUBJECT, *files]) == 0
    err = capsys.readouterr().err
    assert err.count("NOT COMPARED: ") == 1
    assert "no threshold policy is active" in err


def test_json_tells_each_photograph(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.verdicts = {b"bad": BLURRED}
    good, bad = written(tmp_path, "good.jpg", b"good"), written(tmp_path, "bad.jpg", b"bad")
    run([*ADD_SUBJECT, "--output", "json", bad, good])
    document = json.loads(capsys.readouterr().out)
    assert document["subject"]["subjectId"] == ANNA
    assert [photo.get("reason") for photo in document["photos"]] == ["PHOTO_REFUSED", None]


def test_a_list_is_read_to_its_last_page(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    enrolled(homeward, "4f2a91c0-5b5e-4f9e-9d55-aa3b8c9a1f10")
    assert run(["subject", "list", "--output", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["subjects"]) == 2


def test_an_id_may_be_abbreviated(homeward: Homeward, capsys: pytest.CaptureFixture[str]) -> None:
    enrolled(homeward)
    assert run(["subject", "show", ANNA[:8]]) == 0
    assert ANNA in capsys.readouterr().out


def test_an_abbreviation_of_two_ids_is_refused(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    enrolled(homeward, ANNA[:-1] + "1")
    assert run(["subject", "show", ANNA[:8]]) == 4
    assert "several subject ids begin with" in capsys.readouterr().err


def test_an_update_changes_only_what_is_given(homeward: Homeward) -> None:
    assert run(["subject", "update", ANNA, "--label", "", "--review-by", "2026-12-18"]) == 0
    assert list(homeward.subjects.requests[0].update_mask.paths) == ["label", "review_time"]


def test_an_update_of_nothing_is_a_wrong_command_line(homeward: Homeward) -> None:
    assert run(["subject", "update", ANNA]) == 2


def test_closing_tells_what_is_pending_and_never_that_it_is_gone(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    homeward.subjects.certificate.entries.add(
        data="reference templates",
        store="Qdrant subjects",
        item_count=2,
        outcome=subject_pb2.ErasureEntry.OUTCOME_PENDING,
        verification="rebuilt at the next purge",
    )
    assert run(["subject", "close", ANNA, "--yes"]) == 0
    told = capsys.readouterr().out
    assert "pending  rebuilt at the next purge" in told
    assert "not gone yet" in told
    assert "deleted" not in told


def test_an_erasure_that_failed_fails_the_command(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    homeward.subjects.certificate.entries.add(outcome=subject_pb2.ErasureEntry.OUTCOME_FAILED)
    assert run(["subject", "close", ANNA, "--yes"]) == 10
    assert "not everything was erased" in capsys.readouterr().err


def test_closing_without_a_yes_changes_nothing(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolled(homeward)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(["subject", "close", ANNA]) == 130
    assert homeward.subjects.held[ANNA].state == subject_pb2.Subject.STATE_OPEN


def processor_seconds(command: list[str]) -> float:
    # Not by the clock, which tells as much about what else the machine does.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_subject_list_takes_less_than_400_ms_of_processor(homeward: Homeward) -> None:
    enrolled(homeward)
    command = [sys.executable, "-m", "homeward.cli", "subject", "list"]
    assert min(processor_seconds(command) for _ in range(3)) < 0.4


# cameras


def test_a_camera_is_registered_with_its_place_and_clock(homeward: Homeward) -> None:
    place = ("--place", "North gate", "--lat", "51.5", "--lon", "-0.1")
    assert run(["camera", "add", "gate", *place, "--clock-offset", "-1m30s"]) == 0
    camera = homeward.cameras.requests[0].camera
    assert (camera.place, camera.latitude, camera.longitude) == ("North gate", 51.5, -0.1)
    assert camera.clock_offset.ToTimedelta().total_seconds() == -90


def test_a_camera_is_registered_with_the_shape_of_its_pixels(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["camera", "add", "gate", "--pixel-aspect", "2"]) == 0
    camera = homeward.cameras.requests[0].camera
    assert camera.pixel_aspect_ratio == 2
    assert re.search(r"pixel aspect:? +2\n", capsys.readouterr().out)


def test_a_camera_without_a_shape_of_pixels_states_none(homeward: Homeward) -> None:
    assert run(["camera", "add", "gate"]) == 0
    assert not homeward.cameras.requests[0].camera.HasField("pixel_aspect_ratio")


def test_the_shape_of_a_cameras_pixels_is_changed_alone(homeward: Homeward) -> None:
    assert run(["camera", "update", "gate", "--pixel-aspect", "1.5"]) == 0
    request = homeward.cameras.requests[0]
    assert list(request.update_mask.paths) == ["pixel_aspect_ratio"]
    assert request.camera.pixel_aspect_ratio == 1.5


def test_a_camera_update_changes_only_what_is_given(homeward: Homeward) -> None:
    assert run(["camera", "update", "gate", "--clock-offset", "0s"]) == 0
    assert list(homeward.cameras.requests[0].update_mask.paths) == ["clock_offset"]


def test_latitude_and_longitude_go_together(homeward: Homeward) -> None:
    assert run(["camera", "add", "gate", "--lat", "51.5"]) == 2


def test_cameras_are_listed(homeward: Homeward, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["camera", "list"]) == 0
    assert "gate    North gate" in capsys.readouterr().out


# footage


def test_what_is_odd_about_a_recording_is_noted_when_it_is_added(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.findings = ["its clock is set anew 5.0 s from its beginning", "it was cut off"]
    assert run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", b"recording")]) == 0
    told = capsys.readouterr().out
    assert (
        "  note: its clock is set anew 5.0 s from its beginning\n  note: it was cut off\n" in told
    )


def test_about_a_recording_that_is_as_it_should_be_nothing_is_noted(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", b"recording")]) == 0
    assert "note:" not in capsys.readouterr().out


def test_a_recording_is_shown_with_what_is_odd_about_it(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.held["a digest"] = footage_pb2.Footage(footage_id=FOOTAGE)
    homeward.footage.findings = ["its clock is set anew 5.0 s from its beginning"]
    assert run(["footage", "show", FOOTAGE]) == 0
    told = capsys.readouterr().out
    assert "  note: its clock is set anew 5.0 s from its beginning\n" in told
    assert re.search(r"pictures for:? +50.0 s", told)


def test_a_recording_arrives_as_it_is(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytes(range(256)) * 1024
    assert run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", content)]) == 0
    header = homeward.footage.headers[0]
    assert (header.camera_id, header.file_name, header.start_time) == ("gate", "gate.mp4", BEGIN)
    assert header.sha256 == hashlib.sha256(content).hexdigest()
    assert bytes(homeward.footage.uploads[header.request_id]) == content
    assert f"footage {FOOTAGE}" in capsys.readouterr().out


def test_an_upload_that_breaks_goes_on_where_it_stopped(
    homeward: Homeward, tmp_path: Path, pauses: list[int]
) -> None:
    content = bytes(range(256)) * 2048
    homeward.footage.break_after = [65536 * 3]
    assert run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", content)]) == 0
    first, second = homeward.footage.headers
    assert (first.offset_bytes, second.offset_bytes) == (0, 65536 * 3)
    assert bytes(homeward.footage.uploads[first.request_id]) == content
    assert pauses == [1]


def test_an_upload_gives_up_after_a_while_and_the_same_command_goes_on(
    homeward: Homeward, tmp_path: Path, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "gate.mp4", bytes(65536 * 4))
    homeward.footage.refusals = {"gate.mp4": LOST}
    assert run([*ADD_FOOTAGE, path]) == 8
    assert pauses == [1, 2, 3, 4, 5]
    assert "run the same command again" in capsys.readouterr().err
    request_id = homeward.footage.headers[0].request_id
    homeward.footage.uploads[request_id] = bytearray(65536)
    homeward.footage.refusals = {}
    assert run([*ADD_FOOTAGE, path]) == 0
    assert homeward.footage.headers[-1].request_id == request_id
    assert homeward.footage.headers[-1].offset_bytes == 65536


def test_the_same_file_again_is_the_same_footage_and_said_so(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "gate.mp4", b"video")
    run([*ADD_FOOTAGE, path])
    assert run([*ADD_FOOTAGE, path]) == 0
    assert f"held already as footage {FOOTAGE}" in capsys.readouterr().out


def test_a_start_without_a_zone_is_refused_with_an_example(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "gate.mp4", b"video")
    start = ("--start", "2026-11-20T10:00:00")
    assert run(["footage", "add", path, "--camera", "gate", *start]) == 2
    assert "2026-11-20T10:00:00Z" in capsys.readouterr().err
    assert homeward.footage.headers == []


def test_several_files_need_a_start_each(homeward: Homeward, tmp_path: Path) -> None:
    first, second = written(tmp_path, "a.mp4", b"a"), written(tmp_path, "b.mp4", b"b")
    assert run([*ADD_FOOTAGE, first, second]) == 2
    assert homeward.footage.headers == []


def test_starts_come_from_names(homeward: Homeward, tmp_path: Path) -> None:
    path = written(tmp_path, "gate-20261120-110000.mp4", b"a")
    pattern = ("--start-from-name", "%Y%m%d-%H%M%S", "--timezone", "Europe/Paris")
    assert run(["footage", "add", path, "--camera", "gate", *pattern]) == 0
    assert homeward.footage.headers[0].start_time == BEGIN


def test_a_refused_file_does_not_hold_up_the_others(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.refusals = {
        "a.mp4": Refusal(grpc.StatusCode.INVALID_ARGUMENT, "FOOTAGE_UNREADABLE", "not a video")
    }
    first, second = written(tmp_path, "a.mp4", b"a"), written(tmp_path, "b.mp4", b"b")
    assert run([*ADD_FOOTAGE, "--start", "2026-11-20T11:00:00Z", first, second]) == 10
    told = capsys.readouterr()
    assert "a.mp4: not a video" in told.err
    assert "b.mp4: footage" in told.out


def test_files_that_cannot_be_read_do_not_hold_up_the_others(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = written(tmp_path, "gate-20261120-100000.mp4", b"a")
    timeless, empty = written(tmp_path, "b.mp4", b"b"), written(tmp_path, "c.mp4", b"")
    missing = str(tmp_path / "d-20261120-100000.mp4")
    names = [missing, str(tmp_path), timeless, good, empty]
    pattern = ("--start-from-name", "%Y%m%d-%H%M%S", "--output", "json")

    assert run(["footage", "add", "--camera", "gate", *pattern, *names]) == 10

    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert [one["fileName"] for one in answer["footage"]] == ["gate-20261120-100000.mp4"]
    assert [one["file"] for one in answer["refused"]] == [missing, str(tmp_path), timeless, empty]
    assert f"error: {missing}: no such file" in told.err
    assert "b.mp4: has no time like %Y%m%d-%H%M%S" in told.err


def test_a_file_that_may_not_be_read_does_not_hold_up_the_others(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = written(tmp_path, "a.mp4", b"a"), written(tmp_path, "b.mp4", b"b")
    opened = Path.open

    def refused(path: Path, *rest: Any) -> Any:  # root may read everything
        if path.name == "a.mp4":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *rest)

    monkeypatch.setattr(Path, "open", refused)
    assert run([*ADD_FOOTAGE, "--start", "2026-11-20T11:00:00Z", first, second]) == 10
    assert [header.file_name for header in homeward.footage.headers] == ["b.mp4"]


def test_when_no_file_can_be_read_the_exit_code_says_why(
    homeward: Homeward, tmp_path: Path
) -> None:
    assert run([*ADD_FOOTAGE, str(tmp_path / "no-such-file.mp4")]) == 4
    assert homeward.footage.headers == []


def test_the_same_bytes_under_another_name_are_another_upload(
    homeward: Homeward, tmp_path: Path
) -> None:
    for name in ("gate.mp4", "copy.mp4", "gate.mp4"):
        assert run([*ADD_FOOTAGE, written(tmp_path, name, b"the same")]) == 0
    gate, copy, again = [header.request_id for header in homeward.footage.headers]
    assert (gate != copy, gate == again) == (True, True)


def command(homeward: Homeward, *arguments: str | bytes) -> list[str | bytes]:
    return [sys.executable, "-m", "homeward.cli", *arguments]


def test_a_name_that_is_not_utf_8_is_written_escaped(homeward: Homeward, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/g\xe4te.mp4"
    Path(os.fsdecode(path)).write_bytes(b"video")

    done = subprocess.run(command(homeward, *ADD_FOOTAGE, path), capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert homeward.footage.headers[0].file_name == r"g\xe4te.mp4"
    assert rb"g\xe4te.mp4: footage" in done.stdout


def test_a_photograph_whose_name_is_not_utf_8_is_enrolled(
    homeward: Homeward, tmp_path: Path
) -> None:
    path = os.fsencode(tmp_path) + b"/J\xfcrgen.jpg"
    Path(os.fsdecode(path)).write_bytes(jpeg(9, 9))
    asked = command(homeward, *ADD_SUBJECT, path, "--output", "json")

    done = subprocess.run(asked, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["photos"][0]["file"].endswith(".jpg")


def test_what_is_not_utf_8_is_an_error_that_names_it(homeward: Homeward) -> None:
    asked = command(homeward, "camera", "add", "gate", "--place", b"Stra\xdfe")

    done = subprocess.run(asked, capture_output=True, check=False)

    assert done.returncode == 4
    assert rb"error: 'Stra\udcdfe' is not text in UTF-8" in done.stderr


def test_a_command_whose_reader_leaves_does_all_that_it_was_asked_to_and_ends_well(
    homeward: Homeward, tmp_path: Path
) -> None:
    names = [written(tmp_path, f"{number}.mp4", bytes([number])) for number in range(3)]
    starts = [part for _ in names[1:] for part in ("--start", "2026-11-20T11:00:00Z")]
    reading, writing = os.pipe()
    os.close(reading)  # as `head` has, once it has its lines
    asked = command(homeward, *ADD_FOOTAGE, *starts, *names)

    done = subprocess.run(asked, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")
    assert len(homeward.footage.headers) == 3


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_list_whose_reader_leaves_ends_well(homeward: Homeward, output: str) -> None:
    # Far more than a pipe holds, so that the writer meets that nobody reads.
    homeward.sightings.more = [f"{number:08d}{ANNA[8:]}" for number in range(1500)]
    asked = shlex.join(command(homeward, "sighting", "list", "--output", output))  # type: ignore[type-var]

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{asked} | head -n 1"], capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1


def test_the_only_file_that_is_refused_decides_the_exit_code(
    homeward: Homeward, tmp_path: Path
) -> None:
    homeward.footage.refusals = {
        "a.mp4": Refusal(grpc.StatusCode.ALREADY_EXISTS, "FOOTAGE_EXISTS_ELSEWHERE")
    }
    assert run([*ADD_FOOTAGE, written(tmp_path, "a.mp4", b"a")]) == 6


@pytest.fixture
def object_store(homeward: Homeward) -> Iterator[list[bytes]]:
    received: list[bytes] = []

    class Put(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(403 if received[-1] == b"refuse" else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("localhost", 0), Put) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        homeward.footage.put_url = f"http://localhost:{server.server_port}/footage?signed"
        yield received
        server.shutdown()
        thread.join()


def test_a_file_goes_straight_into_the_store(
    homeward: Homeward, tmp_path: Path, object_store: list[bytes]
) -> None:
    content = bytes(100_000)
    assert run([*ADD_FOOTAGE, "--via-url", written(tmp_path, "a.mp4", content)]) == 0
    assert object_store == [content]


def test_a_store_that_refuses_is_told(
    homeward: Homeward,
    tmp_path: Path,
    object_store: list[bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*ADD_FOOTAGE, "--via-url", written(tmp_path, "a.mp4", b"refuse")]) == 8
    assert "the object store refused the file: HTTP 403" in capsys.readouterr().err


def test_a_store_that_does_not_answer_is_told(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.put_url = "http://localhost:1/footage"
    assert run([*ADD_FOOTAGE, "--via-url", written(tmp_path, "a.mp4", b"a")]) == 8
    assert "the object store at localhost:1 does not take the file" in capsys.readouterr().err


def test_what_is_held_already_is_not_put_again(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "a.mp4", b"a")
    run([*ADD_FOOTAGE, path])
    assert run([*ADD_FOOTAGE, "--via-url", path]) == 0
    assert "held already" in capsys.readouterr().out


def test_footage_is_listed_shown_and_removed(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", b"video")])
    assert run(["footage", "list"]) == 0
    assert run(["footage", "show", FOOTAGE[:8]]) == 0
    assert run(["footage", "rm", FOOTAGE[:8], "--yes"]) == 0
    assert homeward.footage.held == {}
    assert f"Footage {FOOTAGE} is removed." in capsys.readouterr().out


def test_overdue_footage_has_an_exit_code_of_its_own(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["retention"]) == 0
    homeward.footage.report.overdue_footage_ids.append(FOOTAGE)
    homeward.footage.report.held.add(name="footage", count=1, overdue_count=1)
    assert run(["retention"]) == 3
    assert FOOTAGE in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shortest", "longest", "told"),
    [
        (28, 28, "after 28 days"),
        (3, 28, "after 28 days, some after 3"),
        (0, 0, "never all of them"),
        (3, 0, "never all of them; some after 3 days"),
    ],
)
def test_retention_tells_when_the_store_itself_removes_what(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], shortest: int, longest: int, told: str
) -> None:
    span = homeward.footage.report.lifecycle
    span.shortest_days, span.longest_days = shortest, longest
    homeward.retention.report.lifecycle.longest_days = 7

    assert run(["retention"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith(told) for line in lines if "itself removes footage" in line] == [True]
    assert any("itself removes stills" in line and "after 7 days" in line for line in lines)


def test_retention_tells_the_encryption_of_each_bucket(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.report.encryption.add(bucket="homeward-footage", algorithm="AES256")
    homeward.retention.report.encryption.add(bucket="homeward-subjects")
    homeward.retention.report.encryption.add(bucket="homeward-evidence", algorithm="AES256")

    assert run(["retention"]) == 0

    told = " ".join(capsys.readouterr().out.split())
    assert "AES256: homeward-footage, homeward-evidence" in told
    assert "none that the store tells: homeward-subjects" in told


def test_retention_tells_what_the_store_removed_by_itself(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    for by_store in (True, False):
        homeward.footage.report.erasures.add(
            footage_id=FOOTAGE, erase_time=BEGIN, by_store=by_store
        )

    assert run(["retention"]) == 0

    assert "2 (of which by the store itself: 1), 0 under way" in capsys.readouterr().out


def test_sightings_past_their_deadline_are_a_breach_too(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.retention.report.held.add(name="sightings", count=5, overdue_count=2)
    assert run(["retention"]) == 3
    assert "2 of sightings past the deadline" in capsys.readouterr().err


def test_a_store_that_would_keep_is_told_with_its_remedy(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.report.store_problems.append("bucket b: versioning is on; suspend it")
    assert run(["retention"]) == 3
    assert "versioning is on; suspend it" in capsys.readouterr().err


def test_a_certificate_can_be_had_again_and_as_a_page(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    homeward.subjects.certificate.entries.add(
        data="subjects",
        store="NATS KV SUBJECTS",
        item_count=1,
        outcome=subject_pb2.ErasureEntry.OUTCOME_ERASED,
        verification="reads as <absent>",
    )
    page = tmp_path / "erased.html"
    assert run(["subject", "certificate", ANNA, "--page", str(page)]) == 0
    assert "All of it is gone." in capsys.readouterr().out
    assert ANNA in page.read_text()
    assert "reads as &lt;absent&gt;" in page.read_text()


# search


def test_a_search_tells_candidates_then_coverage(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    homeward.scans.script = [[running(300), candidate(), ended()]]
    window = ("--from", "2026-11-20T10:00:00Z", "--camera", "gate")
    assert run(["search", "--subject", ANNA[:8], *window]) == 0
    scope = homeward.scans.created[0].scope
    assert (list(scope.subject_ids), list(scope.camera_ids)) == ([ANNA], ["gate"])
    assert scope.interval == TimeInterval(start_time=BEGIN)
    told = capsys.readouterr().out
    assert "gate North gate" in told
    assert "2026-11-20 10:00:00Z" in told
    assert "0.612  0.450" in told
    assert "A candidate is a lead for a human reviewer, not an identification." in told
    assert "Coverage: 0:10:00 searched of 0:10:00 of footage asked for." in told


def test_what_was_not_searched_is_never_told_as_not_found(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = scan_pb2.CoverageGap(
        footage_id=FOOTAGE,
        interval=IN_VIEW,
        reason=scan_pb2.COVERAGE_GAP_REASON_UNDECODABLE,
        detail="broken after 10 minutes",
    )
    homeward.scans.script = [[ended(searched=120, gaps=[gap], incomparable=3)]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert "No candidates in the 0:02:00 that were searched." in told
    assert "its pictures do not decode  broken after 10 minutes" in told
    assert "too small or too poor to compare with anybody: 3" in told
    assert "not found" not in told


def face_sizes(
    people: int, *, too_small: int = 0, unclear: int = 0, median: int = 17
) -> scan_pb2.FaceSizes:
    return scan_pb2.FaceSizes(
        least_width_px=24,
        appearance_count=people,
        too_small_appearance_count=too_small,
        unclear_appearance_count=unclear,
        median_width_px=median,
    )


SIZES = face_sizes(50, too_small=31, unclear=2)
TOO_SMALL = (
    "In 62 % of the appearances the face was too small to compare: 24 px wide needed, median 17 px."
)


@pytest.mark.parametrize("command", [["search"], ["scan", "watch", SCAN], ["scan", "show", SCAN]])
def test_a_search_tells_how_many_faces_were_too_small_and_where_to_look(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    homeward.scans.told = {"incomparable": 33, "sizes": SIZES}
    homeward.scans.script = [[ended(**homeward.scans.told)]]

    assert run(command) == 0

    told = capsys.readouterr().out
    assert "too small or too poor to compare with anybody: 33 of 50." in told
    assert TOO_SMALL in told
    assert "In 4 % it was wide enough, but not clear enough" in told
    assert f"`homeward scan stretches {SCAN}` lists when that was, to watch by eye." in told


def test_several_cameras_are_told_apart(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    cameras = [
        scan_pb2.CameraFaceSizes(
            camera_id="gate", face_sizes=face_sizes(20, too_small=1, median=64)
        ),
        scan_pb2.CameraFaceSizes(camera_id="yard", face_sizes=face_sizes(30, too_small=30)),
    ]
    homeward.scans.told = {"incomparable": 31, "sizes": SIZES, "cameras": cameras}

    assert run(["scan", "show", SCAN]) == 0

    told = capsys.readouterr().out
    assert re.search(r"gate +20 +5 % +0 % +64 px or more", told)
    assert re.search(r"yard +30 +100 % +0 % +17 px", told)


def test_where_all_could_be_compared_no_size_is_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.told = {"sizes": face_sizes(50, median=40)}

    assert run(["scan", "show", SCAN]) == 0

    told = capsys.readouterr().out
    assert "px" not in told
    assert "stretches" not in told


def test_a_scan_in_json_has_the_sizes(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.told = {"incomparable": 33, "sizes": SIZES}

    assert run(["scan", "show", SCAN, "--output", "json"]) == 0

    sizes = json.loads(capsys.readouterr().out)["scan"]["coverage"]["faceSizes"]
    assert (sizes["leastWidthPx"], sizes["tooSmallAppearanceCount"]) == (24, "31")


def stretch(start: float, end: float, **changes: Any) -> scan_pb2.IncomparableStretch:
    made = scan_pb2.IncomparableStretch(
        camera_id="gate",
        footage_id=FOOTAGE,
        file_name="gate.mp4",
        peak_person_count=2,
        appearance_count=3,
        too_small_appearance_count=3,
    )
    made.interval.start_time.FromMilliseconds(BEGIN.seconds * 1000 + round(start * 1000))
    made.interval.end_time.FromMilliseconds(BEGIN.seconds * 1000 + round(end * 1000))
    made.start_offset.FromMilliseconds(round(start * 1000))
    made.end_offset.FromMilliseconds(round(end * 1000))
    made.MergeFrom(scan_pb2.IncomparableStretch(**changes))
    return made


FOOTAGE_GONE = scan_pb2.UnlistedFootage(
    footage_id=FOOTAGE, reason=scan_pb2.UNLISTED_REASON_FOOTAGE_GONE, appearance_count=7
)
LOST_GAP = scan_pb2.CoverageGap(
    footage_id="another", interval=IN_VIEW, reason=scan_pb2.COVERAGE_GAP_REASON_UNDECODABLE
)


def test_stretches_are_listed_page_by_page_with_their_place_in_the_file(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.stretches = [
        stretch(12.5, 20),
        stretch(3725.04, 3730, too_small_appearance_count=2, time_uncertain=True),
    ]

    assert run(["scan", "stretches", SCAN[:8]]) == 0

    told = capsys.readouterr().out
    first, second = [line for line in told.splitlines() if line.startswith("gate ")]
    assert first.split() == [
        *("gate", "2026-11-20", "10:00:12Z", "2026-11-20", "10:00:20Z", "0:00:12.5", "0:00:20.0"),
        *("2", "too", "small", "gate.mp4", FOOTAGE),
    ]
    assert "1:02:05.0" in second
    assert "11:02:05Z*" in second
    assert "too small, not clear" in second
    assert "2 stretches, 12.5 s to watch." in told
    assert "* The time is uncertain" in told


def test_why_somebody_could_not_be_compared_is_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    made = stretch(1, 2)
    made.too_small_appearance_count = 0
    mixed = stretch(5, 8)
    mixed.too_small_appearance_count = 1
    homeward.scans.stretches = [made, mixed]

    assert run(["scan", "stretches", SCAN]) == 0

    told = capsys.readouterr().out
    assert "  not clear  " in told
    assert "  too small, not clear  " in told


def test_when_all_could_be_compared_that_is_said(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scan", "stretches", SCAN]) == 0

    told = capsys.readouterr().out
    assert told == (
        "Every face that was found in what was searched could be compared. Whoever showed no face"
        " is not told of.\n"
    )


@pytest.mark.parametrize(
    ("scan", "said"),
    [
        ({"incomparable": 3, "sizes": SIZES}, "is not known: that was in pieces"),
        ({"searched": 0}, "Nothing was searched, so that nothing is known"),
    ],
)
def test_that_nothing_is_listed_does_not_mean_that_all_could_be_compared(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], scan: dict[str, Any], said: str
) -> None:
    homeward.scans.told = scan

    assert run(["scan", "stretches", SCAN]) == 0

    told = capsys.readouterr().out
    assert said in told
    assert "could be compared." not in told


def test_what_is_gone_is_said_instead_of_an_empty_list(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    homeward.scans.unlisted = [
        FOOTAGE_GONE,
        scan_pb2.UnlistedFootage(
            footage_id="another", reason=scan_pb2.UNLISTED_REASON_TIMES_GONE, appearance_count=2
        ),
    ]

    assert run(["scan", "stretches", SCAN]) == 0
    told = capsys.readouterr().out
    assert "could be compared.\n" not in told
    assert re.search(rf"{FOOTAGE} +7 +the recording was removed, or reached its deadline", told)
    assert re.search(r"another +2 +the times are not kept; search the recording again", told)

    assert run(["scan", "stretches", SCAN, "--csv", str(tmp_path / "watch.csv")]) == 7
    assert "no file was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_searched_is_told_apart_from_the_stretches(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.stretches = [stretch(1, 2)]
    homeward.scans.told = {"gaps": [LOST_GAP], "state": scan_pb2.Scan.STATE_RUNNING}

    assert run(["scan", "stretches", SCAN]) == 0

    listed, _, apart = capsys.readouterr().out.partition("1 stretch, 1.0 s to watch.")
    assert "another" not in listed
    assert "The scan has not ended" in apart
    assert re.search(r"Not searched.*\n.*\nanother ", apart)


def test_stretches_in_json_have_gaps_and_what_is_gone_beside_them(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.stretches = [stretch(1, 2), stretch(9, 10)]
    homeward.scans.unlisted = [FOOTAGE_GONE]
    homeward.scans.told = {"gaps": [LOST_GAP]}

    assert run(["scan", "stretches", SCAN, "--output", "json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [each["startOffset"] for each in told["incomparableStretches"]] == ["1s", "9s"]
    assert told["unlistedFootage"][0]["reason"] == "UNLISTED_REASON_FOOTAGE_GONE"
    assert [each["footageId"] for each in told["gaps"]] == ["another"]


def test_stretches_are_written_for_a_spreadsheet_and_for_a_player(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    homeward.scans.stretches = [stretch(12.5, 20, time_uncertain=True)]
    table, playlist = tmp_path / "watch.csv", tmp_path / "watch.m3u8"
    command = ["scan", "stretches", SCAN, "--csv", str(table), "--playlist", str(playlist)]

    assert run(command) == 0

    names, cells = list(csv.reader(table.read_text("utf-8-sig").splitlines()))
    told = dict(zip(names, cells, strict=True))
    assert told == {
        "camera": "gate",
        "footage": FOOTAGE,
        "file": "gate.mp4",
        "from": "2026-11-20T10:00:12.500+00:00",
        "to": "2026-11-20T10:00:20.000+00:00",
        "time uncertain": "yes",
        "start in file": "0:00:12.5",
        "end in file": "0:00:20.0",
        "start in file seconds": "12.500",
        "end in file seconds": "20.000",
        "people at a time": "2",
        "appearances": "3",
        "appearances too small": "3",
    }
    assert playlist.read_text() == (
        "#EXTM3U\n"
        "#EXTINF:8,gate 2026-11-20 10:00:12Z (2 at a time)\n"
        "#EXTVLCOPT:start-time=12.500\n"
        "#EXTVLCOPT:stop-time=20.000\n"
        "gate.mp4\n"
    )
    assert capsys.readouterr().err == ""
    assert run(command) == 4
    assert "--force overwrites it" in capsys.readouterr().err
    assert run([*command, "--force"]) == 0


@pytest.mark.parametrize(
    ("name", "cell", "address"),
    [
        ("=cmd|'/c calc'!A1.mp4", "'=cmd|'/c calc'!A1.mp4", "=cmd%7C'%2Fc calc'!A1.mp4"),
        ("#1 50%?.mp4", "#1 50%?.mp4", "%231 50%25%3F.mp4"),
        ("C:gate.mp4", "C:gate.mp4", "C%3Agate.mp4"),
        (" gäte.mp4", " gäte.mp4", "%20gäte.mp4"),
    ],
)
def test_no_name_of_a_file_is_taken_for_something_else(
    homeward: Homeward, tmp_path: Path, name: str, cell: str, address: str
) -> None:
    homeward.scans.stretches = [stretch(1, 2, file_name=name)]
    table, playlist = tmp_path / "watch.csv", tmp_path / "watch.m3u8"

    run(["scan", "stretches", SCAN, "--csv", str(table), "--playlist", str(playlist)])

    assert list(csv.reader(table.read_text("utf-8-sig").splitlines()))[1][2] == cell
    assert playlist.read_text().splitlines()[-1] == address


def test_recordings_of_one_name_are_told_beside_a_playlist(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    homeward.scans.stretches = [stretch(1, 2), stretch(9, 10), stretch(1, 2, footage_id="another")]

    assert run(["scan", "stretches", SCAN, "--playlist", str(tmp_path / "watch.m3u8")]) == 0

    assert "Several recordings are named gate.mp4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code"),
    [(["--csv", "same", "--playlist", "same"], 2), (["--csv", "no-folder/watch.csv"], 4)],
)
def test_stretches_refuse_files_that_cannot_be_written(
    homeward: Homeward,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: list[str],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(["scan", "stretches", SCAN, *options]) == code
    assert list(tmp_path.iterdir()) == []


def test_a_watch_that_breaks_is_taken_up_without_telling_a_candidate_twice(
    homeward: Homeward, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [
        [running(100), candidate(0.5), LOST],
        [running(100), candidate(0.6), running(600)],
        [ended(), candidate(0.6)],
    ]
    assert run(["scan", "watch", SCAN[:8], "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["score"] for each in document["candidates"]] == [pytest.approx(0.6)]
    assert document["scan"]["state"] == "STATE_SUCCEEDED"
    assert pauses == [1, 1]


def test_a_watch_gives_up_after_a_while_and_says_how_to_go_on(
    homeward: Homeward, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[LOST]] * 10
    assert run(["search"]) == 8
    assert len(pauses) == 9
    assert f"homeward scan watch {SCAN}" in capsys.readouterr().err


def test_candidates_are_told_best_first(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[candidate(0.5, "worse"), candidate(0.7, "better"), ended()]]
    run(["search", "--output", "json"])
    names = [each["sightingId"] for each in json.loads(capsys.readouterr().out)["candidates"]]
    assert names == ["better", "worse"]


def test_candidates_are_told_with_what_their_threshold_is_worth(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    few, many = candidate(0.5, "a", worth(enrolled=11)), candidate(0.6, "b", worth(enrolled=12))
    homeward.scans.script = [[few, many, ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr()
    assert told.out.count(EXPECTATION) == 1
    assert "Policy yunet-sface/1: of people who are not enrolled, about 1 in 4200" in told.out
    assert told.err == ""


def test_candidates_of_a_policy_that_nobody_approved_say_so(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[candidate(figures=worth(approved=False)), ended()]]
    assert run(["search"]) == 0
    assert UNAPPROVED in capsys.readouterr().out


@pytest.mark.parametrize("words", [("search",), ("scan", "watch", SCAN)])
def test_a_search_that_finds_nothing_of_a_child_says_how_little_that_means(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    enrolled(homeward, child=True)
    homeward.scans.script = [[ended()]]
    assert run(words) == 0
    told = capsys.readouterr()
    assert CHILD_WARNING in told.out
    assert (CHILD_WARNING in told.err) is (words == ("search",))  # before the scan, too


def test_a_search_for_somebody_else_does_not_speak_of_the_child(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    other = enrolled(homeward, ANNA.replace("3", "4"))
    homeward.scans.script = [[ended(subject_ids=[other.subject_id])]]
    assert run(["search", "--subject", other.subject_id]) == 0
    told = capsys.readouterr()
    assert "WARNING" not in told.out + told.err


def test_a_scan_is_shown_with_what_it_means_for_a_child(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    assert run(["scan", "show", SCAN]) == 0
    assert CHILD_WARNING in capsys.readouterr().out


def test_a_candidate_of_a_child_is_marked_in_its_line(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    homeward.scans.script = [[candidate(figures=worth()), ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    (line,) = [line for line in told.splitlines() if SIGHTING in line]
    assert "NOT MEASURED ON" in told
    assert line.endswith("child")
    assert told.count(CHILD_WARNING) == 1


def test_a_candidate_of_an_earlier_policy_is_told_by_that(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    homeward.matching.policy.policy_id = "yunet-sface/9"
    homeward.matching.policy.figures.CopyFrom(worth(ages=[CHILDREN]))
    homeward.scans.script = [[candidate(figures=worth()), ended()]]
    assert run(["search", "--output", "json"]) == 0
    measured, warned = json.loads(capsys.readouterr().out)["caveats"]
    assert measured == CHILD_MEASURED
    assert warned.startswith(CHILD_WARNING)


def test_a_candidate_that_is_like_somebody_else_too_is_marked(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[candidate(rival_score=0.59), ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert "0.612 ?" in told
    assert "? Somebody else who is enrolled is nearly as alike" in told


def test_a_search_warns_at_its_start_of_a_policy_that_nobody_approved(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.policy.figures.CopyFrom(worth(approved=False))
    homeward.scans.script = [[ended()]]
    assert run(["search", "--output", "json"]) == 0
    assert UNAPPROVED in capsys.readouterr().err


def test_a_search_warns_at_its_start_when_the_gallery_has_outgrown_the_policy(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.policy.figures.CopyFrom(worth(enrolled=501))
    homeward.scans.script = [[ended()]]
    assert run(["search"]) == 0
    assert "was measured with 500 people, and 501 are compared with" in capsys.readouterr().err


def test_a_search_for_some_asks_what_the_policy_is_worth_for_them(homeward: Homeward) -> None:
    homeward.scans.script = [[ended()], [ended()]]
    run(["search", "--subject", ANNA])
    run(["search"])
    assert homeward.matching.sizes == [1, 0]


def test_candidates_are_told_without_names_when_those_cannot_be_read(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOMEWARD_MATCHING_TARGET", "localhost:1")
    homeward.scans.script = [[candidate(), ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr()
    assert SIGHTING in told.out
    assert "names are left out" in told.err


def test_ctrl_c_leaves_the_scan_running_and_says_how_to_go_on(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: int, __: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(patience, "pause", interrupt)
    homeward.scans.script = [[running(100), LOST]]
    assert run(["search"]) == 130
    told = capsys.readouterr().err
    assert "the scan goes on" in told
    assert f"homeward scan watch {SCAN}" in told
    assert f"homeward scan cancel {SCAN}" in told


def test_a_search_says_what_it_waits_for_where_and_since_when(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = running(0)
    waiting.scan.progress.waiting.CopyFrom(
        scan_pb2.ScanWaiting(
            component="embedding",
            address="h:1",
            since_time=BEGIN,
            message="embedding does not answer at h:1: start it",
        )
    )
    homeward.scans.script = [[running(0), waiting, waiting, running(10), ended()]]

    assert run(["search"]) == 0

    told = capsys.readouterr().err
    line = "Waiting since 2026-11-20 10:00:00Z: embedding does not answer at h:1: start it\n"
    assert told.count(line) == 1
    assert told.count("The search goes on.") == 1


def test_a_scan_that_failed_fails_the_search(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = scan_pb2.Scan(
        scan_id=SCAN,
        state=scan_pb2.Scan.STATE_FAILED,
        error=status_pb2.Status(code=14, message="embedding does not answer"),
    )
    homeward.scans.script = [[scan_service_pb2.WatchScanResponse(scan=failed)]]
    assert run(["search"]) == 8
    assert "error: embedding does not answer" in capsys.readouterr().err


def test_a_search_tells_what_it_passed_over(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.script = [[ended(passed_over=540)]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert "Coverage: 0:10:00 searched of 0:10:00" in told
    assert (
        "Of what was searched, 0:01:00 were looked at picture by picture."
        " 0:09:00 were passed over: the sizes of the pictures and the key pictures among them told"
        " that nobody came into view." in told
    )


def test_a_search_that_passed_nothing_over_says_nothing_of_it(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = effort(scan_pb2.THOROUGHNESS_CONSTANT_RATE, looked_at=600, passed_over=0)
    homeward.scans.script = [[ended(efforts=[everything])]]
    assert run(["search"]) == 0
    assert "passed over" not in capsys.readouterr().out


def test_a_scan_tells_how_each_recording_was_searched(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = (scan_pb2.THOROUGHNESS_GATED, scan_pb2.THOROUGHNESS_CONSTANT_RATE)
    homeward.scans.efforts.append(effort(*ways))
    assert run(["scan", "show", SCAN[:8]]) == 0
    told = capsys.readouterr().out
    assert "How it was searched:" in told
    assert "where something happened; all of it: its bit rate is constant" in told
    assert re.search(r"footage +looked at +passed over +how", told.lower())
    assert re.search(rf"{FOOTAGE} +0:01:00 +0:09:00", told)


def test_a_search_tells_where_a_recording_has_no_pictures(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = scan_pb2.CoverageGap(
        footage_id=FOOTAGE,
        interval=IN_VIEW,
        reason=scan_pb2.COVERAGE_GAP_REASON_NO_PICTURES,
    )
    homeward.scans.script = [[ended(searched=596, gaps=[gap])]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert "Not searched, so that nothing is known of who was there:" in told
    assert "the recording has no pictures there" in told


@pytest.mark.parametrize(("uncertain", "marks"), [(True, 1), (False, 0)])
def test_a_candidate_whose_time_is_uncertain_is_marked(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    *,
    uncertain: bool,
    marks: int,
) -> None:
    found = candidate()
    found.candidate.time_uncertain = uncertain
    homeward.scans.script = [[found, ended()]]
    assert run(["search"]) == 0
    told = capsys.readouterr().out
    assert told.count("Z*") == marks
    assert told.count("* The time is uncertain: the recorder's clock was set before") == marks


# plan


def test_a_plan_tells_what_it_takes_and_what_it_assumes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["plan", "--cameras", "10", "--days", "1"]) == 0
    told = capsys.readouterr().out
    assert "footage in one search:       240 hours" in told
    assert "scanners:" in told
    assert "This takes for granted:" in told


def test_a_plan_as_json_has_plain_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--cameras", "10", "--days", "1", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["footageHours"] == 240
    assert told["storageBytes"] == 10 * 31 * 86400 * 500_000


@pytest.mark.parametrize(
    "wrong",
    [
        ["--cameras", "0"],
        ["--cameras", "1", "--busy", "1.1"],
        ["--cameras", "1", "--days", "32"],
        ["--cameras", "1", "--deadline", "0s"],
    ],
)
def test_a_plan_refuses_what_cannot_be(wrong: list[str]) -> None:
    assert run(["plan", *wrong]) == 2


def test_scans_are_listed_shown_and_cancelled(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scan", "list"]) == 0
    assert run(["scan", "show", SCAN[:8]]) == 0
    assert run(["scan", "cancel", SCAN[:8]]) == 0
    assert f"Scan {SCAN} is cancelled. What it found stands." in capsys.readouterr().out


def test_a_scan_that_scanners_work_on_is_being_cancelled(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.in_hand = True

    assert run(["scan", "cancel", SCAN[:8]]) == 0

    assert "is being cancelled: scanners leave it within seconds" in capsys.readouterr().out


def test_a_scan_that_is_cancelled_already_is_no_error(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.no_cancel = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, "SCAN_ENDED", metadata={"state": "CANCELLED"}
    )
    homeward.scans.told = {"state": scan_pb2.Scan.STATE_CANCELLED}

    assert run(["scan", "cancel", SCAN[:8]]) == 0

    assert f"Scan {SCAN} is cancelled. What it found stands." in capsys.readouterr().out


def test_whether_a_cancel_without_an_answer_took_effect_is_to_be_looked_up(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.no_cancel = Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")

    assert run(["scan", "cancel", SCAN[:8]]) != 0

    assert f"advice: `homeward scan show {SCAN}` tells whether" in capsys.readouterr().err


# sightings


def test_sightings_are_listed_as_asked(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sighting", "list", "--subject", ANNA, "--state", "unreviewed"]) == 0
    request = homeward.sightings.requests[0]
    assert list(request.subject_ids) == [ANNA]
    assert list(request.states) == [sighting_pb2.Sighting.STATE_UNREVIEWED]
    assert "0.612  0.450      unreviewed" in capsys.readouterr().out


def rejection(**changes: Any) -> sighting_pb2.Rejection:
    values = {
        "sighting_id": SIGHTING,
        "subject_id": ANNA,
        "footage_id": FOOTAGE,
        "start_offset": Duration(seconds=10),
        "end_offset": Duration(seconds=14),
        "interval": IN_VIEW,
        "reviewer": "R. Viewer",
        "review_time": BEGIN,
    }
    return sighting_pb2.Rejection(**values | changes)


def test_rejections_are_listed_with_who_and_when_and_how_to_look_again(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.rejections.append(rejection())
    assert run(["sighting", "list", "--rejected", "--subject", ANNA]) == 0
    (request,) = homeward.sightings.requests
    assert list(request.subject_ids) == [ANNA]
    told = capsys.readouterr().out
    assert f"{ANNA}  {FOOTAGE}  10.0 s to 14.0 s" in told
    assert "R. Viewer    2026-11-20 10:00:00Z" in told
    assert "homeward search --include-rejected --subject ID" in told
    assert "A candidate is a lead" not in told


def test_rejections_of_an_earlier_version_say_what_was_not_kept(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.rejections.append(rejection(interval=None, reviewer="", review_time=None))
    assert run(["sighting", "list", "--rejected"]) == 0
    assert capsys.readouterr().out.count("not kept") == 4


@pytest.mark.parametrize(
    ("window", "count"),
    [
        (("--from", "2026-11-20T09:00:00Z"), 1),
        (("--to", "2026-11-20T10:00:00Z"), 0),
        (("--from", "2026-11-21T09:00:00Z"), 0),
    ],
)
def test_rejections_are_listed_by_true_time(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], window: tuple[str, str], count: int
) -> None:
    homeward.sightings.rejections.append(rejection())
    assert run(["sighting", "list", "--rejected", *window, "--output", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rejections"]) == count


def test_rejections_have_no_state_to_ask_for(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sighting", "list", "--rejected", "--state", "confirmed"]) == 2
    assert "leave --state out" in capsys.readouterr().err


def test_a_search_looks_again_where_sightings_were_rejected_if_asked_to(
    homeward: Homeward,
) -> None:
    enrolled(homeward)
    homeward.scans.script = [[running(300), ended()]]
    assert run(["search", "--include-rejected", "--subject", ANNA]) == 0
    assert homeward.scans.created[0].scope.include_rejected


def test_a_search_for_everybody_does_not_look_again_where_sightings_were_rejected(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["search", "--include-rejected"]) == 2
    assert "needs --subject" in capsys.readouterr().err
    assert homeward.scans.created == []


@pytest.mark.parametrize("words", [("list",), ("show", SIGHTING)])
def test_a_sighting_tells_what_its_threshold_is_worth(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    homeward.sightings.sighting.figures.CopyFrom(worth())
    assert run(["sighting", *words]) == 0
    assert EXPECTATION in capsys.readouterr().out


def test_a_sighting_that_nobody_answers_for_says_so(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.sighting.figures.CopyFrom(worth(approved=False))
    assert run(["sighting", "show", SIGHTING]) == 0
    told = capsys.readouterr().out
    assert "0.450 (yunet-sface/1, NOT approved)" in told
    assert "EVALUATION: nobody answers for policy yunet-sface/1" in told


@pytest.mark.parametrize("words", [("list",), ("show", SIGHTING)])
def test_a_sighting_that_is_like_somebody_else_too_is_marked(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    homeward.sightings.sighting.rival_score = homeward.sightings.sighting.score - 0.02
    assert run(["sighting", *words]) == 0
    assert "? Somebody else who is enrolled is nearly as alike" in capsys.readouterr().out


@pytest.mark.parametrize(("uncertain", "marks"), [(True, 1), (False, 0), (None, 0)])
@pytest.mark.parametrize(("words", "times"), [(("list",), 1), (("show", SIGHTING), 3)])
def test_a_sighting_whose_time_is_uncertain_is_marked_as_a_candidate_is(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    times: int,
    *,
    uncertain: bool | None,
    marks: int,
) -> None:
    homeward.sightings.sighting.MergeFrom(sighting_pb2.Sighting(time_uncertain=uncertain))
    assert run(["sighting", *words]) == 0
    told = capsys.readouterr().out
    assert told.count("Z*") == marks * times
    assert told.count("* The time is uncertain: the recorder's clock was set before") == marks


@pytest.mark.parametrize(("uncertain", "unknown"), [(True, 0), (False, 0), (None, 1)])
def test_a_sighting_of_an_earlier_version_tells_that_nobody_knows_whether_its_times_are_certain(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    *,
    uncertain: bool | None,
    unknown: int,
) -> None:
    homeward.sightings.sighting.MergeFrom(sighting_pb2.Sighting(time_uncertain=uncertain))
    assert run(["sighting", "show", SIGHTING]) == 0
    told = capsys.readouterr().out
    assert told.count("did not tell whether they are certain") == unknown


@pytest.mark.parametrize("uncertain", [True, False])
@pytest.mark.parametrize("words", [("list",), ("show", SIGHTING)])
def test_a_sighting_as_json_tells_whether_its_time_is_uncertain(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    *,
    uncertain: bool,
) -> None:
    homeward.sightings.sighting.time_uncertain = uncertain
    assert run(["sighting", *words, "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (told,) = document.get("sightings") or [document["sighting"]]
    assert told["timeUncertain"] is uncertain


@pytest.mark.parametrize(("uncertain", "marks"), [(True, 1), (False, 0)])
def test_an_export_tells_whether_its_time_is_uncertain(
    homeward: Homeward,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    uncertain: bool,
    marks: int,
) -> None:
    to_be_exported(homeward).time_uncertain = uncertain
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["sighting"]["timeUncertain"] is uncertain
    assert capsys.readouterr().out.count("* The time is uncertain") == marks


@pytest.mark.parametrize(("uncertain", "lines"), [(True, 1), (False, 0)])
def test_a_saved_picture_says_that_its_time_is_uncertain(
    homeward: Homeward,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    uncertain: bool,
    lines: int,
) -> None:
    enrolled(homeward)
    homeward.sightings.sighting.time_uncertain = uncertain
    written_under: list[picture.Captions] = []

    def side_by_side(*parts: Any) -> Any:
        written_under.append(parts[3])
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(picture, "side_by_side", side_by_side)
    assert run(["sighting", "show", SIGHTING, "--save", str(tmp_path / "lead.png")]) == 0
    (captions,) = written_under
    assert list(captions.still).count("Time uncertain: clock set, or a long pause") == lines


@pytest.mark.parametrize("words", [("list",), ("show", SIGHTING)])
def test_a_sighting_of_a_child_says_that_children_were_not_measured(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    enrolled(homeward, child=True)
    homeward.sightings.sighting.figures.CopyFrom(worth())
    assert run(["sighting", *words]) == 0
    assert CHILD_WARNING in capsys.readouterr().out
    assert run(["sighting", *words, "--output", "json"]) == 0
    (caveat,) = json.loads(capsys.readouterr().out)["caveats"]
    assert caveat.startswith(CHILD_WARNING)


def test_a_sighting_of_a_child_by_a_policy_of_children_has_no_warning(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    homeward.sightings.sighting.figures.CopyFrom(worth(ages=[CHILDREN]))
    assert run(["sighting", "list"]) == 0
    told = capsys.readouterr().out
    assert "WARNING" not in told
    assert "NOT MEASURED ON" not in told
    assert CHILD_MEASURED in told


def test_sightings_of_many_subjects_are_told_of_whom_as_well(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.more = [f"{number:036}" for number in range(11)]
    for name in homeward.sightings.more:
        enrolled(homeward, name, child=True).label = f"Child {int(name)}"
    assert run(["sighting", "list", "--output", "json"]) == 0
    (caveat,) = json.loads(capsys.readouterr().out)["caveats"]
    assert "Child 4 and 6 more." in caveat


def test_a_sighting_whose_subject_cannot_be_read_is_told_all_the_same(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.subjects.failures = [Refusal(grpc.StatusCode.INTERNAL, message="broken")]
    assert run(["sighting", "list"]) == 0
    told = capsys.readouterr()
    assert SIGHTING in told.out
    assert "who is a child is left out: matching at" in told.err


def test_a_picture_of_a_child_carries_the_warning(homeward: Homeward, tmp_path: Path) -> None:
    paths = [tmp_path / "adult.png", tmp_path / "child.png"]
    enrolled(homeward)
    assert run(["sighting", "show", SIGHTING, "--save", str(paths[0])]) == 0
    enrolled(homeward, child=True)
    assert run(["sighting", "show", SIGHTING, "--save", str(paths[1])]) == 0
    adult, child = map(opened, paths)
    assert child.height > adult.height  # by its lines


def test_an_export_of_a_child_carries_the_warning(homeward: Homeward, tmp_path: Path) -> None:
    to_be_exported(homeward, child=True)
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["caveats"][0].startswith(CHILD_WARNING)


def test_a_sighting_is_shown_without_reading_its_pictures(homeward: Homeward) -> None:
    assert run(["sighting", "show", SIGHTING]) == 0
    assert homeward.sightings.requests[0].view == sighting_service_pb2.SIGHTING_VIEW_BASIC


def test_a_sighting_whose_still_is_gone_says_so_and_writes_no_picture(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.still = b""
    homeward.sightings.sighting.still_gone = True
    path = tmp_path / "lead.png"

    assert run(["sighting", "show", SIGHTING, "--save", str(path)]) == 5
    refused = capsys.readouterr().err
    assert run(["sighting", "show", SIGHTING]) == 0
    shown = capsys.readouterr().out
    assert run(["sighting", "list"]) == 0

    assert f"the still of sighting {SIGHTING} is gone" in refused
    assert not path.exists()
    assert "gone: the object store removed it by its own rule" in shown
    assert "still gone" in capsys.readouterr().out


def test_a_sighting_whose_reference_photograph_is_gone_writes_no_picture(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.reference = b""

    assert run(["sighting", "show", SIGHTING, "--save", str(tmp_path / "lead.png")]) == 5

    assert "the reference photograph of sighting" in capsys.readouterr().err


def test_a_sighting_is_saved_as_a_picture(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    assert run(["sighting", "show", SIGHTING[:8], "--save", str(tmp_path / "lead.png")]) == 0
    assert opened(tmp_path / "lead.png").width > 800
    assert f"Picture: {tmp_path / 'lead.png'}" in capsys.readouterr().out


def test_a_picture_that_is_there_is_not_overwritten_unless_asked(
    homeward: Homeward, tmp_path: Path
) -> None:
    enrolled(homeward)
    path = written(tmp_path, "lead.png", b"old")
    assert run(["sighting", "show", SIGHTING, "--save", path]) == 4
    assert homeward.sightings.requests == []
    assert run(["sighting", "show", SIGHTING, "--save", path, "--force"]) == 0
    assert Path(path).read_bytes().startswith(b"\x89PNG")


def test_a_picture_is_a_png(homeward: Homeward) -> None:
    assert run(["sighting", "show", SIGHTING, "--save", "lead.jpg"]) == 2


def test_a_review_says_who_decided_and_why(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--reason", "scar", "--reviewer", "Jo")
    assert run(["sighting", "review", SIGHTING, "--confirm", *words]) == 0
    request = homeward.sightings.requests[0]
    assert request.decision == sighting_pb2.REVIEW_DECISION_CONFIRM
    assert (request.reason, request.reviewer) == ("scar", "Jo")
    assert f"Sighting {SIGHTING} is confirmed." in capsys.readouterr().out


@pytest.mark.parametrize("words", [(), ("--confirm", "--reject")])
def test_a_review_needs_one_decision(homeward: Homeward, words: tuple[str, ...]) -> None:
    assert run(["sighting", "review", SIGHTING, *words]) == 2
    assert homeward.sightings.requests == []


def test_a_rejection_is_asked_about_first(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["sighting", "review", SIGHTING, "--reject"]) == 130
    assert homeward.sightings.requests == []


def test_only_a_confirmed_sighting_is_exported(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_be_exported(homeward).state = sighting_pb2.Sighting.STATE_UNREVIEWED
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 7
    assert "sighting review ID --confirm" in capsys.readouterr().err
    to_be_exported(homeward)
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["sighting"]["subjectId"] == ANNA
    assert facts["exportTime"] == "2026-11-20T10:00:00Z"
    assert opened(tmp_path / facts["still"]).size == (640, 360)


@pytest.mark.parametrize(
    ("mark", "words"), [("", ()), ("", ("--unapproved",)), ("EVALUATION-", ("--unapproved",))]
)
def test_an_export_that_would_overwrite_is_refused_before_it_is_on_record(
    homeward: Homeward, tmp_path: Path, mark: str, words: tuple[str, ...]
) -> None:
    written(tmp_path, f"{mark}sighting-{SIGHTING}.jpg", b"old")
    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path), *words]) == 4
    assert homeward.sightings.requests == []


def test_an_export_carries_what_it_takes_to_weigh_it_and_find_it_again(
    homeward: Homeward, tmp_path: Path
) -> None:
    sighting = to_be_exported(homeward)
    sighting.footage_id, sighting.footage_sha256 = FOOTAGE, "5b" * 32
    sighting.clock_offset.FromTimedelta(timedelta(seconds=-90))
    sighting.best_shot_offset.FromTimedelta(timedelta(seconds=42))
    sighting.face_height_px = 63.6

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0

    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    still = (tmp_path / facts["still"]).read_bytes()
    assert facts["subject"] == {"subjectId": ANNA, "caseReference": "MP-1", "label": "Anna"}
    assert facts["camera"] == {
        "cameraId": "gate",
        "place": "North gate",
        "clockOffset": "-90s",
        "clockOffsetSource": "",
    }
    assert facts["recording"] == {
        "footageId": FOOTAGE,
        "sha256": "5b" * 32,
        "bestShotOffset": "42s",
    }
    assert facts["policy"]["state"] == "approved"
    assert facts["faceHeightPx"] == 64
    assert facts["stillSha256"] == hashlib.sha256(still).hexdigest()
    assert "notice" not in facts


def test_an_export_of_what_an_earlier_version_found_tells_what_is_still_known(
    homeward: Homeward, tmp_path: Path
) -> None:
    to_be_exported(homeward).footage_id = FOOTAGE
    homeward.footage.sha256 = "5b" * 32

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0

    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["recording"]["sha256"] == "5b" * 32
    assert facts["camera"]["clockOffset"] is None


def test_an_export_says_so_when_nobody_knows_the_digest_any_more(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_be_exported(homeward).footage_id = FOOTAGE
    homeward.footage.refusals["GetFootage"] = Refusal(
        grpc.StatusCode.NOT_FOUND, "FOOTAGE_NOT_FOUND"
    )

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 0

    facts = json.loads((tmp_path / f"sighting-{SIGHTING}.json").read_text())
    assert facts["recording"]["sha256"] is None
    assert "the recording's digest is left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("figures", "state"),
    [
        (worth(approved=False), "NOT APPROVED: found in evaluation mode, nobody may act on it"),
        (None, "unknown: an earlier version of Homeward found it, and did not tell; do not act on"),
    ],
)
def test_what_nobody_answers_for_is_exported_only_if_asked_for_and_marked(
    homeward: Homeward,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    figures: PolicyFigures | None,
    state: str,
) -> None:
    sighting = to_be_exported(homeward)
    sighting.ClearField("figures")
    if figures is not None:
        sighting.figures.CopyFrom(figures)

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path)]) == 7
    assert "--unapproved" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

    assert run(["sighting", "export", SIGHTING, "--save", str(tmp_path), "--unapproved"]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"EVALUATION-sighting-{SIGHTING}.{kind}" for kind in ("jpg", "json")]
    facts = json.loads((tmp_path / names[1]).read_text())
    assert next(iter(facts)) == "notice"
    assert state in facts["notice"]
    assert facts["policy"]["state"].startswith(state)
    assert facts["notice"] in capsys.readouterr().out


# status


def test_status_tells_services_model_and_threshold(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status"]) == 0
    told = capsys.readouterr().out
    assert f"matching   {homeward.address}" in told
    assert "Model: yunet-sface" in told
    assert "0.450 (yunet-sface/1, approved by A. Prover until 2026-11-20 10:00:12Z)" in told
    assert EXPECTATION in told
    assert "Measured on: LFW. Not CCTV." in told


def test_status_tells_evaluation_mode(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.policy.evaluation = True
    homeward.matching.policy.figures.approved = False
    assert run(["status"]) == 0
    told = capsys.readouterr().out
    assert "Threshold: 0.450 (yunet-sface/1, NOT approved, in evaluation mode)" in told
    assert UNAPPROVED in told


def test_status_tells_that_the_gallery_has_outgrown_the_policy(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.policy.figures.gallery_size = 501
    assert run(["status"]) == 0
    assert "WARNING: policy yunet-sface/1 was measured with 500 people" in capsys.readouterr().out


def test_status_tells_why_searches_are_refused(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.matching.refusal = NOT_APPROVED
    assert run(["status"]) == 0
    assert "SEARCHES ARE REFUSED: approve one" in capsys.readouterr().out
    assert run(["status", "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["searchesRefused"] == {
        "reason": "POLICY_NOT_APPROVED",
        "message": "approve one",
    }
    assert "thresholdPolicy" not in document


# policy


def test_policies_are_listed_with_their_rates(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "list"]) == 0
    told = capsys.readouterr().out
    assert "yunet-sface/1  unapproved" in told
    assert "1.0 % (0.5 to 2.0)" in told


def test_a_policy_is_shown_with_its_groups(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "show", "yunet-sface/1"]) == 0
    told = capsys.readouterr().out
    assert "1.0 % (0.5 to 2.0) in 1000 searches" in told
    assert "18 to 30  200" in told
    assert "0, too few to tell" in told
    assert "came with Homeward" in told


def test_a_policy_without_groups_says_that_nothing_is_known_of_any(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.policies.policy.measurement.ClearField("cohorts")
    assert run(["policy", "show", "yunet-sface/1"]) == 0
    assert "nothing is known of how often children" in capsys.readouterr().out


def test_a_policy_that_is_not_there_is_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "show", "yunet-sface/9"]) == 5
    assert "`homeward policy list` shows the policies" in capsys.readouterr().err


def test_a_policy_is_added_from_its_file(homeward: Homeward, tmp_path: Path) -> None:
    assert run(["policy", "add", written(tmp_path, "policy.json", b"{}")]) == 0
    assert homeward.policies.requests[0].file == b"{}"


def test_a_policy_without_its_file_is_a_problem_with_a_file(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "add", "nowhere.json"]) == 4
    assert "nowhere.json: no such file" in capsys.readouterr().err


def test_a_policy_is_approved_by_name_until_the_end_of_a_day(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--by", "A. Prover", "--until", "2026-11-20", "--note", "a pilot")
    assert run(["policy", "approve", "yunet-sface/1", *words]) == 0
    (request,) = homeward.policies.requests
    assert (request.approver, request.note) == ("A. Prover", "a pilot")
    assert request.valid_until_time.ToJsonString() == "2026-11-20T23:59:59Z"
    assert "valid until:        2026-11-20 23:59:59Z" in capsys.readouterr().out


def test_an_approval_may_activate_the_policy_too(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--by", "A. Prover", "--until", "2026-11-20", "--activate", "--output", "json")
    assert run(["policy", "approve", "yunet-sface/1", *words]) == 0
    assert json.loads(capsys.readouterr().out)["policy"]["active"] is True


def test_nobody_approves_a_policy_without_a_name(homeward: Homeward) -> None:
    assert run(["policy", "approve", "yunet-sface/1", "--until", "2026-11-20"]) == 2


def test_a_policy_is_activated(homeward: Homeward, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "activate", "yunet-sface/1"]) == 0
    assert homeward.policies.requests[0].policy_id == "yunet-sface/1"
    assert "active:             yes" in capsys.readouterr().out


def test_the_end_of_an_approval_is_asked_about_first(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["policy", "expire", "yunet-sface/1", "--reason", "flawed data"]) == 130
    assert homeward.policies.requests == []


def test_an_approval_is_ended_with_a_reason(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "expire", "yunet-sface/1", "--reason", "flawed data", "--yes"]) == 0
    assert "because:            flawed data" in capsys.readouterr().out


def test_status_tells_which_service_does_not_answer(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--embedding", "localhost:1", "--output", "json"]) == 8
    states = json.loads(capsys.readouterr().out)["services"]
    assert [each["state"] for each in states] == [
        "serving",
        "serving",
        "embedding at localhost:1 (--embedding) does not answer",
    ]


def test_status_tells_a_service_that_is_not_ready(homeward: Homeward) -> None:
    homeward.health.status = health_pb2.HealthCheckResponse.NOT_SERVING
    assert run(["status"]) == 8


# models


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A folder with the files of a pack."""
    folder = tmp_path / "buffalo"
    folder.mkdir()
    (folder / "det.onnx").write_bytes(b"detector")
    (folder / "w.onnx").write_bytes(b"recogniser")
    return folder


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that packs are installed in."""
    monkeypatch.setenv("HOMEWARD_MODEL_DIR", str(tmp_path / "packs"))
    return tmp_path / "packs"


def test_model_show_tells_digest_runtimes_files_and_licences(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "show"]) == 0
    told = capsys.readouterr().out
    assert "yunet-sface" in told
    assert "d1ge57" in told
    assert "onnxruntime/CPUExecutionProvider" in told
    assert "Apache-2.0" in told
    assert "sface.onnx" in told


def test_model_show_says_of_each_file_what_trained_it(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "show"]) == 0
    told = capsys.readouterr().out
    (sface,) = [line for line in told.splitlines() if "sface.onnx" in line]
    (yunet,) = [line for line in told.splitlines() if "yunet.onnx" in line]
    assert "not documented" in sface
    assert "not documented" in yunet  # of a service that does not say
    assert "Of the recogniser's training data: asked for and not answered." in told
    assert "Of the detector's" not in told


def test_model_show_prints_the_resource(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "show", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["model"]
    assert (told["digest"], told["files"][0]["role"]) == ("d1ge57", "recogniser")


def test_model_install_then_list_shows_the_pack(
    installed: Path, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "install", str(pack), "--licence", "mine"]) == 0
    assert "HOMEWARD_MODEL_PACK=insightface:buffalo," in capsys.readouterr().out
    assert run(["model", "list", "--output", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["packs"]
    assert (told["name"], told["licence"], told["problem"]) == ("buffalo", "mine", "")
    assert told["files"][1] == {
        "name": "w.onnx",
        "sha256": hashlib.sha256(b"recogniser").hexdigest(),
        "sizeBytes": 10,
    }


def test_model_install_keeps_how_a_family_takes_pictures_and_what_is_stated_of_its_training(
    installed: Path, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pack / "det.onnx").unlink()
    words = ("--family", "adaface", "--training-data", "recogniser=WebFace12M")
    assert run(["model", "install", str(pack), *words]) == 0
    told = capsys.readouterr().out
    assert "takes faces as BGR, less 127.5, divided by 127.5, 112 x 112 (adaface)." in told
    assert "The recogniser was trained on: WebFace12M." in told
    assert "The detector" not in told  # there is none
    assert "HOMEWARD_MODEL_PACK=onnx:buffalo," in told
    assert run(["model", "list", "--output", "json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["packs"]
    assert listed["recogniserInput"] == {
        "colourOrder": "BGR",
        "mean": 127.5,
        "scale": 127.5,
        "sidePx": 112,
        "templateSize": 512,
        "normalised": True,
    }
    assert listed["trainingData"] == {
        "detector": {"data": "not documented", "source": ""},
        "recogniser": {"data": "WebFace12M", "source": "stated at the installation"},
    }
    assert run(["model", "list"]) == 0
    assert "BGR" in capsys.readouterr().out


@pytest.mark.parametrize(
    "statement", ["WebFace12M", "landmarks=300W", "recogniser=", f"recogniser={'x' * 501}"]
)
def test_model_install_refuses_a_statement_of_no_role_or_no_data(
    installed: Path, pack: Path, statement: str
) -> None:
    assert run(["model", "install", str(pack), "--training-data", statement]) == 2
    assert not installed.exists()


def test_model_list_tells_a_pack_that_is_damaged(
    installed: Path, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "install", str(pack)]) == 0
    (installed / "buffalo" / "w.onnx").write_bytes(b"something else")
    capsys.readouterr()
    assert run(["model", "list"]) == 4
    assert "w.onnx is not the file that was installed" in capsys.readouterr().out


def test_model_list_of_nothing_says_how_to_install(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "list"]) == 0
    assert "homeward model install" in capsys.readouterr().out


def test_model_install_of_what_is_there_is_a_conflict(
    installed: Path, pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "install", str(pack)]) == 0
    assert run(["model", "install", str(pack)]) == 6
    assert "advice: --force replaces it" in capsys.readouterr().err
    capsys.readouterr()
    assert run(["model", "install", str(pack), "--force", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["pack"]["name"] == "buffalo"


def test_model_install_fetches_nothing_without_its_digest(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "install", "https://models.example/buffalo.zip"]) == 4
    told = capsys.readouterr().err
    assert "error: nothing is fetched without knowing what it should be" in told
    assert "advice: --sha256" in told
    assert not installed.exists()
