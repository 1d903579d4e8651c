"""Ingestion's values from and to protobuf. The field rules of the protos are enforced here."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta

from google.rpc import code_pb2, status_pb2

from homeward.api.common.v1 import types_pb2
from homeward.api.ingestion.v1 import (
    camera_pb2,
    footage_pb2,
    footage_service_pb2,
    scan_pb2,
)
from homeward.ingestion.coverage import total
from homeward.ingestion.face_sizes import MIN_FACE_WIDTH_PX, FaceSizes
from homeward.ingestion.limits import MAX_PIXEL_ASPECT
from homeward.ingestion.model import (
    MAX_FOOTAGE_BYTES,
    Camera,
    CameraDetails,
    Candidate,
    Footage,
    FootageEffort,
    FootageHeader,
    FootageProblem,
    Gap,
    GapReason,
    Scan,
    ScanScope,
    ScanState,
    ScanSummary,
    footage_folder,
)
from homeward.ingestion.usecases.footage import RetentionReport
from homeward.ingestion.usecases.incomparable import ListedStretch, Unlisted
from homeward.ingestion.waiting import Waiting
from homeward.inventory import FOOTAGE
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_CHUNK_BYTES = 64 * 1024
MAX_URL_BYTES = 5 * 1024**3
MAX_CLOCK_OFFSET = timedelta(days=1)
MAX_SCOPE = 1000

_CAMERA_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SCAN_STATES = {
    ScanState.PENDING: scan_pb2.Scan.STATE_PENDING,
    ScanState.RUNNING: scan_pb2.Scan.STATE_RUNNING,
    ScanState.SUCCEEDED: scan_pb2.Scan.STATE_SUCCEEDED,
    ScanState.FAILED: scan_pb2.Scan.STATE_FAILED,
    ScanState.CANCELLED: scan_pb2.Scan.STATE_CANCELLED,
}
_GAP_REASONS = {
    GapReason.UNDECODABLE: scan_pb2.COVERAGE_GAP_REASON_UNDECODABLE,
    GapReason.FOOTAGE_GONE: scan_pb2.COVERAGE_GAP_REASON_FOOTAGE_GONE,
    GapReason.GIVEN_UP: scan_pb2.COVERAGE_GAP_REASON_GIVEN_UP,
    GapReason.CANCELLED: scan_pb2.COVERAGE_GAP_REASON_CANCELLED,
    GapReason.NO_PICTURES: scan_pb2.COVERAGE_GAP_REASON_NO_PICTURES,
    GapReason.DECODER_ENDED: scan_pb2.COVERAGE_GAP_REASON_DECODER_ENDED,
}
_PROBLEMS = {
    problem: footage_pb2.FootageProblem.Value(f"FOOTAGE_PROBLEM_{problem.name}")
    for problem in FootageProblem
}


def camera_id_from(value: str, field: str) -> str:
    """Return a camera's id."""
    if not _CAMERA_ID.fullmatch(value):
        raise invalid_field(
            field,
            "must be 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
        )
    return value


def camera_from(camera: camera_pb2.Camera) -> CameraDetails:
    """Return what an operator states about a new camera."""
    return _changed(CameraDetails(), camera, tuple(_CAMERA_FIELDS))


def camera_change(
    camera: camera_pb2.Camera, paths: Collection[str]
) -> Callable[[CameraDetails], CameraDetails]:
    """Return the change that an update makes; its values are checked at once."""
    _changed(CameraDetails(), camera, paths)
    return lambda details: _changed(details, camera, paths)


def _changed(
    details: CameraDetails, camera: camera_pb2.Camera, paths: Collection[str]
) -> CameraDetails:
    values = {path: _CAMERA_FIELDS[path](camera) for path in paths}
    changed = replace(details, **values)  # type: ignore[arg-type]  # each value is its field's
    if (changed.latitude is None) != (changed.longitude is None):
        raise invalid_field("camera.longitude", "must be set together with latitude")
    return changed


def _degrees(camera: camera_pb2.Camera, field: str, most: float) -> float | None:
    if not camera.HasField(field):  # type: ignore[arg-type]  # one of two names
        return None
    value: float = getattr(camera, field)
    return wire.number_between(value, f"camera.{field}", least=-most, most=most)


def _pixel_aspect(camera: camera_pb2.Camera) -> float | None:
    if not camera.HasField("pixel_aspect_ratio"):
        return None
    return wire.number_between(
        camera.pixel_aspect_ratio,
        "camera.pixel_aspect_ratio",
        least=1 / MAX_PIXEL_ASPECT,
        most=MAX_PIXEL_ASPECT,
    )


def _clock_offset(camera: camera_pb2.Camera) -> timedelta:
    offset = wire.from_duration(camera.clock_offset, "camera.clock_offset")
    if abs(offset) > MAX_CLOCK_OFFSET:
        raise invalid_field("camera.clock_offset", "must be at most a day either way")
    return offset


_CAMERA_FIELDS: Mapping[str, Callable[[camera_pb2.Camera], object]] = {
    "place": lambda camera: wire.text(camera.place, "camera.place", most=200),
    "latitude": lambda camera: _degrees(camera, "latitude", 90),
    "longitude": lambda camera: _degrees(camera, "longitude", 180),
    "clock_offset": _clock_offset,
    "clock_offset_source": lambda camera: wire.text(
        camera.clock_offset_source, "camera.clock_offset_source", most=500
    ),
    "authority": lambda camera: wire.text(camera.authority, "camera.authority", most=500),
    "pixel_aspect_ratio": _pixel_aspect,
}
UPDATABLE_CAMERA = frozenset(_CAMERA_FIELDS)


def to_camera(camera: Camera, etag: str) -> camera_pb2.Camera:
    """Return a camera as protobuf has it."""
    details = camera.details
    return camera_pb2.Camera(
        camera_id=camera.camera_id,
        place=details.place,
        latitude=details.latitude,
        longitude=details.longitude,
        clock_offset=wire.to_duration(details.clock_offset),
        clock_offset_source=details.clock_offset_source,
        authority=details.authority,
        create_time=wire.to_timestamp(camera.create_time),
        update_time=wire.to_timestamp(camera.update_time),
        etag=etag,
        pixel_aspect_ratio=details.pixel_aspect_ratio,
    )


def header_from(
    header: footage_service_pb2.UploadHeader, *, most: int = MAX_FOOTAGE_BYTES
) -> tuple[str, FootageHeader]:
    """Return the request's id and what is announced."""
    request_id = wire.request_id(header.request_id, "header.request_id", required=True)
    wire.require(header, "start_time", "header.start_time")
    start = wire.from_timestamp(header.start_time, "header.start_time")
    name = wire.text(header.file_name, "header.file_name", least=1, most=255)
    if "/" in name or "\\" in name:
        raise invalid_field("header.file_name", "must be without folders")
    if not 1 <= header.size_bytes <= most:
        raise invalid_field("header.size_bytes", f"must be 1 to {most}, is {header.size_bytes}")
    if not _SHA256.fullmatch(header.sha256):
        raise invalid_field("header.sha256", "must be 64 lower-case hexadecimal digits")
    return request_id, FootageHeader(
        camera_id=camera_id_from(header.camera_id, "header.camera_id"),
        file_name=name,
        start_time=start,
        size_bytes=header.size_bytes,
        sha256=header.sha256,
    )


def chunk_from(request: footage_service_pb2.UploadFootageRequest) -> bytes:
    """Return the bytes of one message of an upload."""
    if request.WhichOneof("payload") != "chunk":
        raise invalid_field("header", "comes first and only once; then chunks")
    if not 1 <= len(request.chunk) <= MAX_CHUNK_BYTES:
        raise invalid_field(
            "chunk", f"must have 1 to {MAX_CHUNK_BYTES} bytes, has {len(request.chunk)}"
        )
    return request.chunk


def footage_id_from(value: str, field: str) -> str:
    """Return a footage id."""
    if not value:
        raise invalid_field(field, "is required")
    if footage_folder(value) is None:
        raise invalid_field(field, "is not an id that Homeward gave")
    return value


def to_footage(footage: Footage) -> footage_pb2.Footage:
    """Return a recording as protobuf has it."""
    header, probe = footage.header, footage.probe
    return footage_pb2.Footage(
        footage_id=footage.footage_id,
        camera_id=header.camera_id,
        file_name=header.file_name,
        start_time=wire.to_timestamp(header.start_time),
        end_time=wire.to_timestamp(footage.end_time),
        duration=wire.to_duration(probe.duration),
        size_bytes=header.size_bytes,
        sha256=header.sha256,
        video=footage_pb2.VideoTrack(
            codec=probe.video.codec,
            width=probe.video.width,
            height=probe.video.height,
            average_frame_rate=probe.video.average_frame_rate,
            frame_count=probe.video.frame_count,
            key_frame_count=probe.video.key_frame_count,
        ),
        receive_time=wire.to_timestamp(footage.receive_time),
        delete_time=wire.to_timestamp(footage.delete_time),
        problems=[_PROBLEMS[problem] for problem in probe.problems],
        findings=[
            footage_pb2.FootageFinding(problem=_PROBLEMS[one.problem], detail=one.detail)
            for one in probe.findings
        ],
        pictured_duration=wire.to_duration(probe.duration - total(probe.holes)),
        uncertain_from_offset=wire.to_duration(probe.uncertain_from)
        if probe.uncertain_from is not None
        else None,
    )


def to_report(report: RetentionReport) -> footage_service_pb2.GetRetentionReportResponse:
    """Return a retention report as protobuf has it."""
    footage = report.held[0]
    return footage_service_pb2.GetRetentionReportResponse(
        footage_count=footage.count,
        footage_size_bytes=footage.size_bytes or 0,
        oldest_receive_time=wire.to_timestamp(footage.oldest) if footage.oldest else None,
        overdue_footage_ids=report.overdue,
        lifecycle_days=report.lifecycle.longest_days,
        report_time=wire.to_timestamp(report.made),
        held=[wire.to_held(one) for one in report.held],
        store_problems=report.deviations,
        lifecycle=wire.to_lifecycle(report.lifecycle),
        encryption=wire.to_encryption({FOOTAGE.place: report.encryption}),
        erasures=[
            footage_service_pb2.FootageErasure(
                footage_id=one.footage_id,
                receive_time=wire.to_timestamp(one.receive_time),
                delete_time=wire.to_timestamp(one.delete_time),
                begin_time=wire.to_timestamp(one.begin_time),
                erase_time=wire.to_timestamp(one.erase_time) if one.erase_time else None,
                by_store=one.by_store,
            )
            for one in report.erasures
        ],
    )


def scope_from(scope: scan_pb2.ScanScope) -> ScanScope:
    """Return what is to be searched, and for whom."""
    for field in ("subject_ids", "camera_ids", "footage_ids"):
        wire.count_between(len(getattr(scope, field)), f"scope.{field}", least=0, most=MAX_SCOPE)
    start, end = wire.from_interval(scope, "interval", within="scope.")
    if scope.include_rejected and not scope.subject_ids:
        raise invalid_field(
            "scope.include_rejected",
            "needs scope.subject_ids: name the subjects whose rejected sightings to look for again",
        )
    return ScanScope(
        subject_ids=tuple(
            wire.uuid_text(name, f"scope.subject_ids[{index}]")
            for index, name in enumerate(scope.subject_ids)
        ),
        camera_ids=tuple(
            camera_id_from(name, f"scope.camera_ids[{index}]")
            for index, name in enumerate(scope.camera_ids)
        ),
        start_time=start,
        end_time=end,
        footage_ids=tuple(
            footage_id_from(name, f"scope.footage_ids[{index}]")
            for index, name in enumerate(scope.footage_ids)
        ),
        include_rejected=scope.include_rejected,
    )


def to_scan(scan: Scan, summary: ScanSummary) -> scan_pb2.Scan:
    """Return a scan as protobuf has it."""
    scope = scan.scope
    has_interval = scope.start_time or scope.end_time
    sizes = summary.counts.sizes
    return scan_pb2.Scan(
        scan_id=scan.scan_id,
        scope=scan_pb2.ScanScope(
            subject_ids=scope.subject_ids,
            camera_ids=scope.camera_ids,
            interval=wire.to_interval(scope.start_time, scope.end_time) if has_interval else None,
            footage_ids=scope.footage_ids,
            include_rejected=scope.include_rejected,
        ),
        state=_SCAN_STATES[summary.state],
        progress=scan_pb2.ScanProgress(
            footage_count=summary.footage_count,
            segment_count=summary.segment_count,
            segment_done_count=summary.segments_done,
            total_duration=wire.to_duration(summary.total),
            done_duration=wire.to_duration(summary.done),
            frame_count=summary.counts.frames,
            face_count=summary.counts.faces,
            appearance_count=summary.counts.appearances,
            discarded_appearance_count=summary.counts.discarded,
            candidate_count=summary.candidate_count,
            dropped_match_count=summary.counts.dropped,
            closed_subject_match_count=summary.counts.closed,
            crowded_appearance_count=summary.counts.crowded,
            waiting=_to_waiting(summary.waiting) if summary.waiting else None,
        ),
        coverage=scan_pb2.ScanCoverage(
            requested_duration=wire.to_duration(summary.total),
            searched_duration=wire.to_duration(summary.searched),
            looked_at_duration=wire.to_duration(summary.looked_at),
            passed_over_duration=wire.to_duration(summary.passed_over),
            gaps=[_to_gap(gap) for gap in summary.gaps],
            incomparable_appearance_count=summary.counts.incomparable,
            footage_efforts=[_to_effort(effort) for effort in summary.efforts],
            face_sizes=_to_sizes(sizes) if sizes.total else None,
            camera_face_sizes=[
                scan_pb2.CameraFaceSizes(camera_id=camera_id, face_sizes=_to_sizes(one))
                for camera_id, one in summary.camera_sizes
            ],
        ),
        error=_error(summary),
        create_time=wire.to_timestamp(scan.create_time),
        end_time=wire.to_timestamp(summary.end_time) if summary.end_time else None,
    )


def _to_waiting(waiting: Waiting) -> scan_pb2.ScanWaiting:
    return scan_pb2.ScanWaiting(
        component=waiting.component,
        address=waiting.address,
        since_time=wire.to_timestamp(waiting.since),
        message=waiting.problem,
    )


def _to_sizes(sizes: FaceSizes) -> scan_pb2.FaceSizes:
    return scan_pb2.FaceSizes(
        least_width_px=int(MIN_FACE_WIDTH_PX),
        appearance_count=sizes.total,
        too_small_appearance_count=sizes.too_small,
        unclear_appearance_count=sizes.unclear,
        median_width_px=sizes.median,
        width_counts=[
            scan_pb2.FaceWidthCount(width_px=width, appearance_count=count)
            for width, count in enumerate(sizes.counts)
            if count
        ],
    )


def to_stretch(listed: ListedStretch) -> scan_pb2.IncomparableStretch:
    """Return a stretch as protobuf has it."""
    footage, stretch = listed.footage, listed.stretch
    return scan_pb2.IncomparableStretch(
        camera_id=footage.header.camera_id,
        footage_id=footage.footage_id,
        file_name=footage.header.file_name,
        interval=wire.to_interval(
            listed.true_start + stretch.start, listed.true_start + stretch.end
        ),
        start_offset=wire.to_duration(stretch.start),
        end_offset=wire.to_duration(stretch.end),
        peak_person_count=stretch.peak,
        appearance_count=stretch.appearances,
        too_small_appearance_count=stretch.too_small,
        time_uncertain=listed.time_uncertain,
    )


def to_unlisted(unlisted: Unlisted) -> scan_pb2.UnlistedFootage:
    """Return a recording whose stretches are not known as protobuf has it."""
    return scan_pb2.UnlistedFootage(
        footage_id=unlisted.footage_id,
        reason=scan_pb2.UnlistedReason.Value(f"UNLISTED_REASON_{unlisted.reason.name}"),
        appearance_count=unlisted.appearances,
    )


def _to_effort(effort: FootageEffort) -> scan_pb2.FootageEffort:
    return scan_pb2.FootageEffort(
        footage_id=effort.footage_id,
        decoded_duration=wire.to_duration(effort.looked_at),
        passed_over_duration=wire.to_duration(effort.passed_over),
        thoroughness=[
            scan_pb2.Thoroughness.Value(f"THOROUGHNESS_{way.name}") for way in effort.thoroughness
        ],
    )


def _to_gap(gap: Gap) -> scan_pb2.CoverageGap:
    return scan_pb2.CoverageGap(
        footage_id=gap.footage_id,
        interval=wire.to_interval(gap.start_time, gap.end_time),
        reason=_GAP_REASONS[gap.reason],
        detail=gap.detail,
    )


def _error(summary: ScanSummary) -> status_pb2.Status | None:
    if summary.state is not ScanState.FAILED:
        return None
    details = sorted({gap.detail for gap in summary.gaps})
    return status_pb2.Status(
        code=code_pb2.FAILED_PRECONDITION,
        message="nothing could be searched: " + "; ".join(details),
    )


def to_candidate(candidate: Candidate) -> scan_pb2.ScanCandidate:
    """Return a candidate as protobuf has it."""
    return scan_pb2.ScanCandidate(
        sighting_id=candidate.sighting_id,
        subject_id=candidate.subject_id,
        camera_id=candidate.camera_id,
        footage_id=candidate.footage_id,
        interval=types_pb2.TimeInterval(
            start_time=wire.to_timestamp(candidate.start_time),
            end_time=wire.to_timestamp(candidate.end_time),
        ),
        score=candidate.score,
        threshold=candidate.threshold,
        policy_id=candidate.policy_id,
        figures=wire.to_figures(candidate.figures) if candidate.figures else None,
        rival_score=candidate.rival_score,
        time_uncertain=candidate.time_uncertain,
    )
