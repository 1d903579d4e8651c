"""Deadlines of calls, and which calls gRPC may repeat."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

from homeward.core.idempotency import idempotent_calls

FILES: Mapping[str, Sequence[str]] = {
    "embedding": ("embedding_service",),
    "ingestion": ("camera_service", "clip_service", "footage_service", "scan_service"),
    "matching": (
        "activity_service",
        "export_service",
        "matching_service",
        "policy_service",
        "retention_service",
        "sighting_service",
        "subject_service",
    ),
}
"""The protos with the RPCs of each service."""

_USUAL_SECONDS = 30.0
LONGER_SECONDS: Mapping[str, float] = {
    "homeward.api.common.v1.AuditService/ListAuditEvents": 120.0,
    "homeward.api.common.v1.AuditService/VerifyAuditTrail": 600.0,
    "homeward.api.ingestion.v1.ClipService/RenderClip": 3600.0,  # finds faces in every picture
    "homeward.api.ingestion.v1.FootageService/CompleteUpload": 600.0,  # reads the whole file
    "homeward.api.ingestion.v1.FootageService/DeleteFootage": 120.0,
    "homeward.api.ingestion.v1.FootageService/UploadFootage": 21600.0,
    "homeward.api.ingestion.v1.ScanService/CreateScan": 120.0,
    "homeward.api.ingestion.v1.ScanService/ListIncomparableStretches": 120.0,
    "homeward.api.ingestion.v1.ScanService/GetUseRecord": 150.0,  # reads photographs and the trail
    "homeward.api.ingestion.v1.ScanService/RefuseScan": 150.0,  # erases all that was found
    "homeward.api.ingestion.v1.ScanService/WatchScan": 3600.0,  # then watched anew
    "homeward.api.matching.v1.ExportService/SealPackage": 120.0,  # reads the audit trail
    "homeward.api.matching.v1.SightingService/ReviewSighting": 120.0,
    "homeward.api.matching.v1.SightingService/WatchSightings": 3600.0,  # then watched anew
    "homeward.api.matching.v1.SubjectService/AddReferencePhoto": 120.0,
    "homeward.api.matching.v1.SubjectService/CloseSubject": 120.0,
    "homeward.api.matching.v1.SubjectService/EraseSubject": 120.0,
    "homeward.api.matching.v1.SubjectService/RebuildGallery": 21600.0,
    "homeward.api.matching.v1.SubjectService/ReenrolSubjects": 21600.0,
}
"""Deadlines of the calls that may need more than the usual time; generous for the work."""


def deadline_seconds(method: str) -> float:
    """Return how long a call may take.

    Args:
        method: Its path in gRPC, `/package.Service/Method`.
    """
    return LONGER_SECONDS.get(method.removeprefix("/"), _USUAL_SECONDS)


def repeatable_calls(service: str) -> tuple[str, ...]:
    """Return the calls of a service that gRPC may repeat, because they are idempotent.

    Streams are left out: the commands repeat them themselves, and go on where the stream broke.
    """
    # Only the protos of the service that a command calls are imported: it starts sooner.
    modules = (
        importlib.import_module(f"homeward.api.{service}.v1.{name}_pb2") for name in FILES[service]
    )
    return idempotent_calls(*(module.DESCRIPTOR for module in modules), streams=False)
