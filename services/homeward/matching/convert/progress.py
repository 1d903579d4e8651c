"""How far re-enrolments and rebuilds of the gallery are, as protobuf has it."""

from __future__ import annotations

from collections.abc import Sequence

from homeward.api.matching.v1 import subject_service_pb2
from homeward.matching.gallery.rebuild import RebuildStage, Rebuilt
from homeward.matching.gallery.reenrol import Reenrolled, Stage
from homeward.matching.subjects.model import RefusedPhoto

_STAGES = {
    Stage.WAITING: subject_service_pb2.ReenrolSubjectsResponse.STAGE_WAITING,
    Stage.EMBEDDING: subject_service_pb2.ReenrolSubjectsResponse.STAGE_EMBEDDING,
    Stage.MOVING_SIGHTINGS: subject_service_pb2.ReenrolSubjectsResponse.STAGE_MOVING_SIGHTINGS,
    Stage.DONE: subject_service_pb2.ReenrolSubjectsResponse.STAGE_DONE,
}
_REBUILD_STAGES = {
    RebuildStage.WAITING: subject_service_pb2.RebuildGalleryResponse.STAGE_WAITING,
    RebuildStage.EMBEDDING: subject_service_pb2.RebuildGalleryResponse.STAGE_EMBEDDING,
    RebuildStage.DONE: subject_service_pb2.RebuildGalleryResponse.STAGE_DONE,
}


def to_reenrolled(told: Reenrolled) -> subject_service_pb2.ReenrolSubjectsResponse:
    """Return how far a re-enrolment is as protobuf has it."""
    return subject_service_pb2.ReenrolSubjectsResponse(
        stage=_STAGES[told.stage],
        model_name=told.model.name,
        model_digest=told.model.digest,
        done_photo_count=told.done,
        total_photo_count=told.total,
        unusable_photos=_to_unusable(told.refused),
        lost_subject_ids=told.lost,
    )


def to_rebuilt(told: Rebuilt) -> subject_service_pb2.RebuildGalleryResponse:
    """Return how far a rebuild of the gallery is as protobuf has it."""
    return subject_service_pb2.RebuildGalleryResponse(
        stage=_REBUILD_STAGES[told.stage],
        model_name=told.model.name,
        model_digest=told.model.digest,
        done_photo_count=told.done,
        total_photo_count=told.total,
        unusable_photos=_to_unusable(told.refused),
        lost_subject_ids=told.lost,
    )


def _to_unusable(refused: Sequence[RefusedPhoto]) -> list[subject_service_pb2.UnusablePhoto]:
    return [
        subject_service_pb2.UnusablePhoto(
            subject_id=one.photo.subject_id, photo_id=one.photo.photo_id, problems=one.problems
        )
        for one in refused
    ]
