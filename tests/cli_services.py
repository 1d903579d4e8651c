"""Services that answer as a test of the command line tells them to."""

# ruff: noqa: N802 - gRPC names the methods
# ruff: noqa: ARG002 - fakes take what gRPC gives
# mypy: disable-error-code="abstract"

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli_values import (
    ANNA,
    BEGIN,
    FOOTAGE,
    IN_VIEW,
    LATER,
    LOST,
    PHOTO,
    SCAN,
    SIGHTING,
    Refusal,
    ended,
    jpeg,
    worth,
)
from homeward.api.common.v1.policy_pb2 import ErrorRate
from homeward.api.common.v1.types_pb2 import BoundingBox
from homeward.api.embedding.v1 import embedding_service_pb2, embedding_service_pb2_grpc, model_pb2
from homeward.api.ingestion.v1 import (
    camera_pb2,
    camera_service_pb2,
    camera_service_pb2_grpc,
    clip_service_pb2,
    clip_service_pb2_grpc,
    footage_pb2,
    footage_service_pb2,
    footage_service_pb2_grpc,
    scan_pb2,
    scan_service_pb2,
    scan_service_pb2_grpc,
)
from homeward.api.matching.v1 import (
    export_service_pb2,
    export_service_pb2_grpc,
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
        self.images: dict[str, bytes] = {}
        """Reference photographs by their ids."""
        self.same_case: list[str] = []
        self.not_compared = ""
        self.caller = "Anna Archer"
        """Who calls, as the service knows them."""

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
        made.authorised_by = made.authorised_by or self.caller
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

    def GetReferencePhoto(self, request: Any, context: Any) -> Any:
        self._get(request.subject_id, context)
        if request.photo_id not in self.images:
            Refusal(grpc.StatusCode.NOT_FOUND, "PHOTO_NOT_FOUND", "gone").abort(context)
        return subject_service_pb2.GetReferencePhotoResponse(
            image=self.images[request.photo_id],
            face_box=BoundingBox(x=100, y=100, width=100, height=120),
        )

    def ListSubjects(self, request: Any, context: Any) -> Any:
        names = sorted(name for name in self.held if name.startswith(request.id_prefix))
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
        self.clock_offset = Duration()
        self.listed = [camera_pb2.Camera(camera_id="gate", place="North gate")]
        self.no_removal: Refusal | None = None

    def CreateCamera(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return camera_service_pb2.CreateCameraResponse(camera=request.camera)

    def UpdateCamera(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return camera_service_pb2.UpdateCameraResponse(camera=request.camera)

    def DeleteCamera(self, request: Any, context: Any) -> Any:
        if self.no_removal is not None:
            self.no_removal.abort(context)
        self.requests.append(request)
        return camera_service_pb2.DeleteCameraResponse()

    def GetCamera(self, request: Any, context: Any) -> Any:
        camera = camera_pb2.Camera(
            camera_id=request.camera_id, place="North gate", clock_offset=self.clock_offset
        )
        return camera_service_pb2.GetCameraResponse(camera=camera)

    def ListCameras(self, request: Any, context: Any) -> Any:
        return camera_service_pb2.ListCamerasResponse(cameras=self.listed)


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
        self.deleted: list[str] = []
        self.duration = Duration(seconds=60)
        self.recording: footage_pb2.Footage | None = None
        """What every id names; None makes one up."""

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
        for message in request_iterator:
            kept.extend(message.chunk)
            if limit is not None and len(kept) - header.offset_bytes >= limit:
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
            duration=self.duration,
            end_time=Timestamp(seconds=header.start_time.seconds + self.duration.seconds),
            receive_time=LATER,
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
        if self.recording is not None:
            return footage_service_pb2.GetFootageResponse(footage=self.recording)
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
        if refusal := self.refusals.get("ListFootage"):
            refusal.abort(context)
        return footage_service_pb2.ListFootageResponse(footage=self.held.values())

    def DeleteFootage(self, request: Any, context: Any) -> Any:
        self.held = {}
        self.deleted.append(request.footage_id)
        return footage_service_pb2.DeleteFootageResponse()

    def GetRetentionReport(self, request: Any, context: Any) -> Any:
        return self.report


class Clips(clip_service_pb2_grpc.ClipServiceServicer):
    """Makes every clip of the same bytes."""

    def __init__(self) -> None:
        self.content = b"a clip"
        self.sha256 = ""
        """Of what comes, as it is told; the true one unless it is set."""
        self.told: dict[str, Any] = {}
        """More of the clip."""
        self.refusals: list[Refusal] = []
        """One a call, before anything is told."""
        self.requests: list[Any] = []

    def RenderClip(self, request: Any, context: Any) -> Iterator[Any]:
        self.requests.append(request)
        if self.refusals:
            self.refusals.pop(0).abort(context)
        finding = clip_service_pb2.ClipProgress.STEP_FINDING
        yield clip_service_pb2.RenderClipResponse(
            progress=clip_service_pb2.ClipProgress(step=finding, done_count=1, total_count=2)
        )
        yield clip_service_pb2.RenderClipResponse(
            clip=clip_service_pb2.Clip(
                sighting_id=request.sighting_id,
                size_bytes=len(self.content),
                sha256=self.sha256 or hashlib.sha256(self.content).hexdigest(),
                interval=IN_VIEW,
                picture_count=250,
                width=640,
                height=360,
                **self.told,
            )
        )
        for byte in self.content:
            yield clip_service_pb2.RenderClipResponse(chunk=bytes([byte]))


class Exports(export_service_pb2_grpc.ExportServiceServicer):
    """Signs the same package for everybody."""

    def __init__(self) -> None:
        self.sealed = export_service_pb2.SealPackageResponse()
        self.requests: list[Any] = []

    def SealPackage(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return self.sealed


class Scans(scan_service_pb2_grpc.ScanServiceServicer):
    """Tells what its script says; each watch takes the next part of it."""

    def __init__(self) -> None:
        self.script: list[list[Any]] = []
        self.created: list[Any] = []
        self.asked_states: list[list[int]] = []
        self.all_listed: list[scan_pb2.Scan] | None = None
        """What a list tells; None for `listed` alone."""
        self.efforts: list[scan_pb2.FootageEffort] = []
        self.told: dict[str, Any] = {}
        """More of the scan that is read."""
        self.told_in_turn: list[dict[str, Any]] = []
        """The same of several scans, the first one first."""
        self.stretches: list[scan_pb2.IncomparableStretch] = []
        """A page each."""
        self.unlisted: list[scan_pb2.UnlistedFootage] = []
        self.listed = scan_pb2.Scan(scan_id=SCAN)
        self.cancelled = scan_pb2.Scan.STATE_CANCELLED
        """How a scan is that was told to stop."""
        self.no_cancel: Refusal | None = None
        self.no_scan: Refusal | None = None
        self.decisions: list[Any] = []
        self.no_decision: Refusal | None = None
        self.authorisation = scan_pb2.ScanAuthorisation()
        self.justification = scan_pb2.ScanJustification()
        self.requester = ""
        self.record = (b"", "", "")
        """The use record, its note, and the key that verifies that."""

    def GetUseRecord(self, request: Any, context: Any) -> Any:
        record, note, key = self.record
        return scan_service_pb2.GetUseRecordResponse(record=record, note=note, verifier_key=key)

    def AuthoriseScan(self, request: Any, context: Any) -> Any:
        return scan_service_pb2.AuthoriseScanResponse(scan=self._decided(request, context))

    def RefuseScan(self, request: Any, context: Any) -> Any:
        return scan_service_pb2.RefuseScanResponse(scan=self._decided(request, context))

    def _decided(self, request: Any, context: Any) -> scan_pb2.Scan:
        self.decisions.append(request)
        if self.no_decision is not None:
            self.no_decision.abort(context)
        return scan_pb2.Scan(scan_id=request.scan_id, authorisation=self.authorisation)

    def CreateScan(self, request: Any, context: Any) -> Any:
        self.created.append(request)
        if self.no_scan is not None:
            self.no_scan.abort(context)
        scan = scan_pb2.Scan(scan_id=SCAN, authorisation=self.authorisation)
        return scan_service_pb2.CreateScanResponse(scan=scan)

    def WatchScan(self, request: Any, context: Any) -> Iterator[Any]:
        for update in self.script.pop(0):
            if isinstance(update, Refusal):
                update.abort(context)
            yield update

    def ListScans(self, request: Any, context: Any) -> Any:
        self.asked_states.append(list(request.states))
        if self.all_listed is not None:
            return scan_service_pb2.ListScansResponse(scans=self.all_listed)
        return scan_service_pb2.ListScansResponse(
            scans=[self.listed] * max(1, len(self.told_in_turn))
        )

    def GetScan(self, request: Any, context: Any) -> Any:
        told = self.told_in_turn.pop(0) if self.told_in_turn else self.told
        scan = ended(efforts=self.efforts, **told).scan
        scan.authorisation.CopyFrom(self.authorisation)
        scan.justification.CopyFrom(self.justification)
        scan.requester = self.requester
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
        scan = scan_pb2.Scan(scan_id=request.scan_id, state=self.cancelled)
        return scan_service_pb2.CancelScanResponse(scan=scan)


class Sightings(sighting_service_pb2_grpc.SightingServiceServicer):
    """Has one sighting."""

    def __init__(self) -> None:
        self.lost = sighting_service_pb2.LostSightings()
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
        self.stills: list[bytes] = []
        self.requests: list[Any] = []
        self.more: list[str] = []
        """Other subjects, each of whom has one as well."""
        self.rejections: list[sighting_pb2.Rejection] = []
        self.reviewed: sighting_pb2.Sighting | Refusal | None = None
        """What a review makes of it; None confirms it."""
        self.gone = False
        self.watches: list[list[Any]] = []
        """What each watch tells, in turn."""
        self.watched: list[Any] = []

    def WatchSightings(self, request: Any, context: Any) -> Iterator[Any]:
        self.watched.append(request)
        for one in self.watches.pop(0):
            if isinstance(one, Refusal):
                one.abort(context)
            yield one

    def GetSighting(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        if self.gone:
            Refusal(grpc.StatusCode.NOT_FOUND, "SIGHTING_NOT_FOUND", "no sighting").abort(context)
        return sighting_service_pb2.GetSightingResponse(
            sighting=self.sighting,
            still=self.still,
            reference_photo=self.reference,
            stills=self.stills,
            reference_face_box=BoundingBox(x=100, y=100, width=100, height=120),
        )

    def ListSightings(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        others = [sighting_pb2.Sighting(sighting_id=name, subject_id=name) for name in self.more]
        held = [] if self.gone else [self.sighting]
        return sighting_service_pb2.ListSightingsResponse(
            sightings=[*held, *others], lost=self.lost
        )

    def LeaseSightings(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        left_out = self.gone or self.sighting.sighting_id in request.excluded_sighting_ids
        open_now = self.sighting.state == sighting_pb2.Sighting.STATE_UNREVIEWED
        held = [self.sighting] if open_now and not left_out else []
        return sighting_service_pb2.LeaseSightingsResponse(sightings=held, open_count=len(held))

    def ReturnSightings(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return sighting_service_pb2.ReturnSightingsResponse()

    def WithdrawReview(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.sighting.state = sighting_pb2.Sighting.STATE_UNREVIEWED
        return sighting_service_pb2.WithdrawReviewResponse(sighting=self.sighting)

    def ListRejections(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return sighting_service_pb2.ListRejectionsResponse(rejections=self.rejections)

    def ReviewSighting(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        if self.gone:
            Refusal(grpc.StatusCode.NOT_FOUND, "SIGHTING_NOT_FOUND", "no sighting").abort(context)
        if isinstance(self.reviewed, Refusal):
            self.reviewed.abort(context)
        if self.reviewed is not None:
            self.sighting.MergeFrom(self.reviewed)
        else:
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

    def GetScanErasureCertificate(self, request: Any, context: Any) -> Any:
        certificate = subject_pb2.ErasureCertificate()
        certificate.CopyFrom(self.subjects.certificate)
        certificate.subject_id, certificate.scan_id = "", request.scan_id
        return retention_service_pb2.GetScanErasureCertificateResponse(certificate=certificate)


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
        self.clips, self.exports = Clips(), Exports()


def enrolled(
    homeward: Homeward, subject_id: str = ANNA, *, child: bool = False
) -> subject_pb2.Subject:
    subject = subject_pb2.Subject(
        subject_id=subject_id,
        case_reference="MP-1",
        label="Anna",
        age_group=subject_pb2.AGE_GROUP_CHILD if child else subject_pb2.AGE_GROUP_ADULT,
        state=subject_pb2.Subject.STATE_OPEN,
        reference_photos=[subject_pb2.ReferencePhoto(photo_id=PHOTO)],
    )
    homeward.subjects.held[subject_id] = subject
    return subject
