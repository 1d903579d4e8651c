"""Certificates and what is held, on the wire."""

from __future__ import annotations

from homeward.api.matching.v1 import (
    retention_service_pb2,
    subject_pb2,
)
from homeward.common import convert as common_convert
from homeward.matching.retention import RetentionReport
from homeward.matching.subjects.model import (
    ErasureCertificate,
    ErasureOutcome,
)
from homeward.servicekit import wire

_OUTCOMES = {
    ErasureOutcome.ERASED: subject_pb2.ErasureEntry.OUTCOME_ERASED,
    ErasureOutcome.PENDING: subject_pb2.ErasureEntry.OUTCOME_PENDING,
    ErasureOutcome.FAILED: subject_pb2.ErasureEntry.OUTCOME_FAILED,
}


def to_certificate(certificate: ErasureCertificate) -> subject_pb2.ErasureCertificate:
    """Return an erasure certificate as protobuf has it."""
    return subject_pb2.ErasureCertificate(
        subject_id=certificate.subject_id,
        scan_id=certificate.scan_id,
        erase_time=wire.to_timestamp(certificate.erase_time),
        entries=[
            subject_pb2.ErasureEntry(
                data=entry.data,
                store=entry.store,
                item_count=entry.item_count,
                outcome=_OUTCOMES[entry.outcome],
                verification=entry.verification,
                until_time=wire.to_timestamp(entry.until) if entry.until else None,
            )
            for entry in certificate.entries
        ],
    )


def to_report(report: RetentionReport) -> retention_service_pb2.GetRetentionReportResponse:
    """Return a retention report as protobuf has it."""
    return retention_service_pb2.GetRetentionReportResponse(
        report_time=wire.to_timestamp(report.made),
        held=[common_convert.to_held(one) for one in report.held],
        store_problems=report.deviations,
        rebuild_due=report.rebuild_due,
        lifecycle=common_convert.to_lifecycle(report.lifecycle),
        encryption=common_convert.to_encryption(report.encryption),
        unknown_collections=report.unknown_files,
        lost_sighting_count=report.lost_sightings,
    )
