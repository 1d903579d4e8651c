"""Enrolment's answers to protobuf."""

from __future__ import annotations

from collections.abc import Iterable

from homeward.api.matching.v1 import subject_service_pb2
from homeward.matching.convert import subjects as convert_subjects
from homeward.matching.subjects.second_look import AddedPhoto, EnrolmentWarning, WarningKind

_KINDS = {
    WarningKind.UNLIKE_OWN: subject_service_pb2.EnrolmentWarning.KIND_UNLIKE_OTHER_PHOTOS,
    WarningKind.LIKE_ANOTHER: subject_service_pb2.EnrolmentWarning.KIND_LIKE_ANOTHER_SUBJECT,
    WarningKind.SAME_FILE: subject_service_pb2.EnrolmentWarning.KIND_SAME_FILE,
    WarningKind.SAME_CASE: subject_service_pb2.EnrolmentWarning.KIND_SAME_CASE,
    WarningKind.OTHER_FACES: subject_service_pb2.EnrolmentWarning.KIND_OTHER_FACES,
}


def to_warnings(
    warnings: Iterable[EnrolmentWarning],
) -> list[subject_service_pb2.EnrolmentWarning]:
    """Return what a clerk should look at as protobuf has it."""
    return [
        subject_service_pb2.EnrolmentWarning(
            kind=_KINDS[one.kind],
            subject_id=one.subject_id,
            score=one.score,
            threshold=one.policy.threshold if one.policy else None,
            policy_id=one.policy.policy_id if one.policy else "",
            other_face_count=one.other_faces,
        )
        for one in warnings
    ]


def to_added(added: AddedPhoto) -> subject_service_pb2.AddReferencePhotoResponse:
    """Return what became of a photograph as protobuf has it."""
    photos = added.subject.value.photos
    photo = next((one for one in photos if one.photo_id == added.photo_id), None)
    return subject_service_pb2.AddReferencePhotoResponse(
        reference_photo=convert_subjects.to_photo(photo) if photo else None,
        subject=convert_subjects.to_subject(added.subject),
        already_held=added.already_held,
        warnings=to_warnings(added.warnings),
        not_compared_reason=added.not_compared,
    )
