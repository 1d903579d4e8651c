"""How far re-enrolments and rebuilds of the gallery are, as protobuf has it."""

from __future__ import annotations

from collections.abc import Sequence

from homeward.api.matching.v1 import subject_service_pb2
from homeward.matching.gallery.model import RefusedPhoto
from homeward.matching.gallery.rebuild import RebuildProgress, RebuildStage
from homeward.matching.gallery.reenrol import ReenrolmentProgress, ReenrolmentStage

_Reenrolled = subject_service_pb2.ReenrolSubjectsResponse
_STAGES = {
    ReenrolmentStage.WAITING: _Reenrolled.STAGE_WAITING,
    ReenrolmentStage.EMBEDDING: _Reenrolled.STAGE_EMBEDDING,
    ReenrolmentStage.MOVING_SIGHTINGS: _Reenrolled.STAGE_MOVING_SIGHTINGS,
    ReenrolmentStage.DONE: _Reenrolled.STAGE_DONE,
}

_REBUILD_STAGES = {
    RebuildStage.WAITING: subject_service_pb2.RebuildGalleryResponse.STAGE_WAITING,
    RebuildStage.EMBEDDING: subject_service_pb2.RebuildGalleryResponse.STAGE_EMBEDDING,
    RebuildStage.DONE: subject_service_pb2.RebuildGalleryResponse.STAGE_DONE,
}


def to_reenrolled(part: ReenrolmentProgress) -> subject_service_pb2.ReenrolSubjectsResponse:
    """Return how far a re-enrolment is as protobuf has it."""
    return subject_service_pb2.ReenrolSubjectsResponse(
        stage=_STAGES[part.stage],
        model_name=part.model.name,
        model_digest=part.model.digest,
        done_photo_count=part.done,
        total_photo_count=part.total,
        unusable_photos=_to_unusable(part.refused),
        lost_subject_ids=part.lost,
    )


def to_rebuilt(part: RebuildProgress) -> subject_service_pb2.RebuildGalleryResponse:
    """Return how far a rebuild of the gallery is as protobuf has it."""
    return subject_service_pb2.RebuildGalleryResponse(
        stage=_REBUILD_STAGES[part.stage],
        model_name=part.model.name,
        model_digest=part.model.digest,
        done_photo_count=part.done,
        total_photo_count=part.total,
        unusable_photos=_to_unusable(part.refused),
        lost_subject_ids=part.lost,
    )


def _to_unusable(refused: Sequence[RefusedPhoto]) -> list[subject_service_pb2.UnusablePhoto]:
    return [
        subject_service_pb2.UnusablePhoto(
            subject_id=one.photo.subject_id, photo_id=one.photo.photo_id, problems=one.problems
        )
        for one in refused
    ]
