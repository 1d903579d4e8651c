"""Recordings on the wire."""

from __future__ import annotations

import re

from homeward.api.ingestion.v1 import (
    footage_pb2,
    footage_service_pb2,
)
from homeward.common import convert as common_convert
from homeward.core.inventory import FOOTAGE
from homeward.core.recordings import MAX_FOOTAGE_BYTES
from homeward.ingestion.convert.cameras import camera_id_from
from homeward.ingestion.footage.finding import DamagedFootage
from homeward.ingestion.footage.layout import FootageLayout, is_footage_id
from homeward.ingestion.footage.media import FootageProblem
from homeward.ingestion.footage.model import (
    Footage,
    FootageHeader,
)
from homeward.ingestion.footage.report import RetentionReport
from homeward.ingestion.scan.coverage import total
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_CHUNK_BYTES = 256 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PROBLEMS = {
    problem: footage_pb2.FootageProblem.Value(f"FOOTAGE_PROBLEM_{problem.name}")
    for problem in FootageProblem
}


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
    if not is_footage_id(value):
        raise invalid_field(field, "is not an id that Homeward gave")
    return value


def to_listed(footage: Footage | DamagedFootage) -> footage_pb2.Footage:
    """Return a recording of a list as protobuf has it; of one that is damaged what its id tells."""
    if isinstance(footage, Footage):
        return to_footage(footage)
    layout = FootageLayout(footage.footage_id)
    return footage_pb2.Footage(
        footage_id=footage.footage_id,
        camera_id=layout.camera_id,
        start_time=wire.to_timestamp(layout.start_time),
        problems=[footage_pb2.FOOTAGE_PROBLEM_DAMAGED],
    )


def to_footage(footage: Footage) -> footage_pb2.Footage:
    """Return a recording as protobuf has it."""
    header, media = footage.header, footage.media
    return footage_pb2.Footage(
        footage_id=footage.footage_id,
        camera_id=header.camera_id,
        file_name=header.file_name,
        start_time=wire.to_timestamp(header.start_time),
        end_time=wire.to_timestamp(footage.end_time),
        duration=wire.to_duration(media.duration),
        size_bytes=header.size_bytes,
        sha256=header.sha256,
        video=footage_pb2.VideoTrack(
            codec=media.video.codec,
            width=media.video.width,
            height=media.video.height,
            average_frame_rate=media.video.average_frame_rate,
            frame_count=media.video.frame_count,
            key_frame_count=media.video.key_frame_count,
        ),
        receive_time=wire.to_timestamp(footage.receive_time),
        delete_time=wire.to_timestamp(footage.delete_time),
        problems=[_PROBLEMS[problem] for problem in media.problems],
        findings=[
            footage_pb2.FootageFinding(problem=_PROBLEMS[one.problem], detail=one.detail)
            for one in media.findings
        ],
        pictured_duration=wire.to_duration(media.duration - total(media.holes)),
        uncertain_from_offset=wire.to_duration(media.uncertain_from)
        if media.uncertain_from is not None
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
        held=[common_convert.to_held(one) for one in report.held],
        store_problems=report.deviations,
        lifecycle=common_convert.to_lifecycle(report.lifecycle),
        encryption=common_convert.to_encryption({FOOTAGE.place: report.encryption}),
        erased_count=report.erased_count,
        erased_by_store_count=report.erased_by_store_count,
        count_time=wire.to_timestamp(report.count_time) if report.count_time else None,
        uncounted_days=report.uncounted_days,
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
