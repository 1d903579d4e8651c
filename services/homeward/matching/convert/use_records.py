"""Use records on the wire."""

from __future__ import annotations

import json

from homeward.api.matching.v1 import sighting_service_pb2
from homeward.matching.use_records import ScanPart, SealedRecord
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field


def part_from(request: sighting_service_pb2.SealUseRecordRequest) -> ScanPart:
    """Return what ingestion knows of a scan."""
    try:
        content = json.loads(request.scan)
    except ValueError as error:
        raise invalid_field("scan", "is no JSON") from error
    if not isinstance(content, dict):
        raise invalid_field("scan", "is no JSON object")
    wire.require(request, "create_time", "create_time")
    return ScanPart(
        scan_id=wire.uuid_text(request.scan_id, "scan_id"),
        create_time=wire.from_timestamp(request.create_time, "create_time"),
        subject_ids=frozenset(
            wire.uuid_text(name, f"subject_ids[{index}]")
            for index, name in enumerate(request.subject_ids)
        ),
        sighting_ids=tuple(
            wire.uuid_text(name, f"sighting_ids[{index}]")
            for index, name in enumerate(request.sighting_ids)
        ),
        content=content,
    )


def to_sealed(sealed: SealedRecord) -> sighting_service_pb2.SealUseRecordResponse:
    """Return a signed record as protobuf has it."""
    return sighting_service_pb2.SealUseRecordResponse(
        record=sealed.record, note=sealed.note, verifier_key=sealed.verifier_key
    )
