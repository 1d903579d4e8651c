"""The document that is exported with a sighting, for another body to judge it by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeward.api.ingestion.v1 import camera_pb2, camera_service_pb2, footage_service_pb2
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.api.matching.v1 import (
    sighting_pb2,
    sighting_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import caveats, policy_figures, reviews, times
from homeward.cli.errors import CliError, ExitCode, tell
from homeward.cli.options import Session

MARK = "EVALUATION-"
"""Begins the names of files that nobody may act on."""

APPROVED = "approved"
NOT_APPROVED = "NOT APPROVED: found in evaluation mode; do not act on it"
UNKNOWN = "unknown: an earlier version of Homeward found it, and did not tell; do not act on it"


def is_approved(sighting: sighting_pb2.Sighting) -> bool:
    """Whether a sighting was found by a policy that somebody had approved."""
    return sighting.HasField("figures") and sighting.figures.approved


def policy_state(sighting: sighting_pb2.Sighting) -> str:
    """Return what the policy was worth that a sighting was found by."""
    if is_approved(sighting):
        return APPROVED
    return NOT_APPROVED if sighting.HasField("figures") else UNKNOWN


def paths(folder: Path, sighting_id: str, *, marked: bool) -> tuple[Path, Path]:
    """Return the paths of the still and of the document."""
    mark = MARK if marked else ""
    name = f"{mark}sighting-{sighting_id}"
    return folder / f"{name}.jpg", folder / f"{name}.json"


@dataclass(frozen=True, slots=True)
class Context:
    """Facts beside a sighting, read before the export, which is recorded as a disclosure."""

    subject: subject_pb2.Subject
    camera: camera_pb2.Camera | None
    """None when it cannot be read."""
    footage_sha256: str
    """Empty when it is not known any more."""


def context_of(session: Session, sighting: sighting_pb2.Sighting) -> Context:
    """Read the facts beside a sighting.

    Raises:
        CliError: Its subject cannot be read.
    """
    stub = SubjectServiceStub(session.connections.channel("matching"))
    request = subject_service_pb2.GetSubjectRequest(subject_id=sighting.subject_id)
    return Context(
        stub.GetSubject(request).subject,
        _camera(session, sighting.camera_id),
        sighting.footage_sha256 or _digest(session, sighting.footage_id),
    )


def document(
    answer: sighting_service_pb2.ExportSightingResponse, context: Context, *, still: str
) -> dict[str, Any]:
    """Return the document to write beside the still.

    Args:
        answer: The exported sighting.
        context: Facts beside it.
        still: Name of the still's file.
    """
    sighting = answer.sighting
    state = policy_state(sighting)
    known = {sighting.subject_id: context.subject}
    camera = context.camera
    return {
        **({} if is_approved(sighting) else {"notice": f"Policy {sighting.policy_id} is {state}."}),
        "sighting": sighting,
        "exportTime": answer.export_time.ToJsonString(),
        "subject": {
            "subjectId": sighting.subject_id,
            "caseReference": context.subject.case_reference,
            "label": context.subject.label,
        },
        "camera": {
            "cameraId": sighting.camera_id,
            "place": camera.place if camera else None,
            # Which the times of the sighting are corrected by.
            "clockOffset": sighting.clock_offset if sighting.HasField("clock_offset") else None,
            "clockOffsetSource": camera.clock_offset_source if camera else None,
        },
        "recording": {
            "footageId": sighting.footage_id,
            "sha256": context.footage_sha256 or None,
            "bestShotOffset": sighting.best_shot_offset,
        },
        "confirmedBy": reviews.confirmers(sighting),
        "policy": {"policyId": sighting.policy_id, "threshold": sighting.threshold, "state": state},
        "faceHeightPx": round(sighting.face_height_px),
        "caveats": caveats.beside([sighting], known) + policy_figures.notes([sighting]),
        "still": still,
        "stillSha256": hashlib.sha256(answer.still).hexdigest(),
    }


def _camera(session: Session, camera_id: str) -> camera_pb2.Camera | None:
    stub = CameraServiceStub(session.connections.channel("ingestion"))
    try:
        return stub.GetCamera(camera_service_pb2.GetCameraRequest(camera_id=camera_id)).camera
    except CliError as error:
        tell(error, about="the camera's place and the source of its clock's offset are left out")
        return None


def _digest(session: Session, footage_id: str) -> str:
    """Return the digest of a recording, for a sighting that does not tell it."""
    stub = FootageServiceStub(session.connections.channel("ingestion"))
    try:
        request = footage_service_pb2.GetFootageRequest(footage_id=footage_id)
        return stub.GetFootage(request).footage.sha256
    except CliError as error:
        if error.exit_code is not ExitCode.NOT_FOUND:
            raise
        tell(error, about="the recording's digest is left out: nobody knows it any more")
        return ""


def require_pictures(answer: sighting_service_pb2.GetSightingResponse) -> None:
    """Refuse to make a picture when the still or the reference photograph is gone.

    Raises:
        CliError: The still or the reference photograph is gone.
    """
    sighting = answer.sighting
    if not answer.still:
        raise CliError(
            f"the still of sighting {sighting.sighting_id} is gone, so that there is no picture to"
            " write: the object store does not have it any more, or its subject is being closed",
            exit_code=ExitCode.NOT_FOUND,
            advice=f"watch footage {sighting.footage_id} at"
            f" {times.position(sighting.best_shot_offset)}, if it is still held, or search it"
            " again",
        )
    if not answer.reference_photo:
        raise CliError(
            f"the reference photograph of sighting {sighting.sighting_id} is gone, so that there is"
            " no picture to write: its subject is being closed, or the photograph was removed",
            exit_code=ExitCode.NOT_FOUND,
        )
