"""Subjects on the wire."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import (
    subject_pb2,
)
from homeward.matching.gallery.model import Box
from homeward.matching.subjects.model import (
    AgeGroup,
    ReferencePhoto,
    Subject,
    SubjectDetails,
    SubjectState,
)
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field
from homeward.servicekit.identity.caller import name_of_caller
from homeward.servicekit.keyvalue import Stored

MAX_PHOTO_BYTES = 32 * 1024 * 1024
MAX_REVIEW = timedelta(days=366)
_AGE_GROUPS: Mapping[int, AgeGroup] = {
    subject_pb2.AGE_GROUP_ADULT: AgeGroup.ADULT,
    subject_pb2.AGE_GROUP_CHILD: AgeGroup.CHILD,
}
_SUBJECT_STATES = {
    SubjectState.OPEN: subject_pb2.Subject.STATE_OPEN,
    SubjectState.CLOSED: subject_pb2.Subject.STATE_CLOSED,
}


def details_from(subject: subject_pb2.Subject, *, now: datetime) -> SubjectDetails:
    """Return what a caller states about a new subject; unnamed, the authoriser is the caller."""
    blank = SubjectDetails("", "", AgeGroup.ADULT, "", "", now)
    named = subject_pb2.Subject(authorised_by=subject.authorised_by or name_of_caller(""))
    named.MergeFrom(subject)
    return _changed(blank, named, tuple(_DETAIL_FIELDS), now=now)


def details_change(
    subject: subject_pb2.Subject, paths: tuple[str, ...], *, now: datetime
) -> Callable[[SubjectDetails], SubjectDetails]:
    """Return the change that an update makes; its values are checked at once."""
    _changed(SubjectDetails("", "", AgeGroup.ADULT, "", "", now), subject, paths, now=now)
    return lambda details: _changed(details, subject, paths, now=now)


def _changed(
    details: SubjectDetails,
    subject: subject_pb2.Subject,
    paths: Collection[str],
    *,
    now: datetime,
) -> SubjectDetails:
    values = {path: _DETAIL_FIELDS[path](subject, now) for path in paths}
    return replace(details, **values)  # type: ignore[arg-type]  # each value is its field's


def _age_group(subject: subject_pb2.Subject, _: datetime) -> AgeGroup:
    group = _AGE_GROUPS.get(subject.age_group)
    if group is None:
        raise invalid_field("subject.age_group", "is required: adult or child")
    return group


def _review_time(subject: subject_pb2.Subject, now: datetime) -> datetime:
    wire.require(subject, "review_time", "subject.review_time")
    review = wire.from_timestamp(subject.review_time, "subject.review_time")
    if not now < review <= now + MAX_REVIEW:
        raise invalid_field("subject.review_time", "must be in the future, within 366 days")
    return review


_DETAIL_FIELDS: Mapping[str, Callable[[subject_pb2.Subject, datetime], object]] = {
    "case_reference": lambda subject, _: wire.text(
        subject.case_reference, "subject.case_reference", least=1, most=100
    ),
    "label": lambda subject, _: wire.text(subject.label, "subject.label", most=100),
    "age_group": _age_group,
    "legal_basis": lambda subject, _: wire.text(
        subject.legal_basis, "subject.legal_basis", least=1, most=500
    ),
    "authorised_by": lambda subject, _: wire.text(
        subject.authorised_by, "subject.authorised_by", least=1, most=200
    ),
    "review_time": _review_time,
}
UPDATABLE_DETAILS = frozenset(_DETAIL_FIELDS)


def photo_from(photo: bytes) -> bytes:
    """Return a photograph of a size that is accepted."""
    if not photo:
        raise invalid_field("photo", "is empty; send a picture file")
    if len(photo) > MAX_PHOTO_BYTES:
        raise invalid_field(
            "photo", f"has {len(photo)} bytes, at most {MAX_PHOTO_BYTES} (32 MiB) are allowed"
        )
    return photo


def to_subject(held: Stored[Subject], *, unusable: Collection[str] = ()) -> subject_pb2.Subject:
    """Return a subject as protobuf has it; `unusable` are ids of photographs."""
    subject = held.value
    message = subject_pb2.Subject(
        subject_id=subject.subject_id,
        state=_SUBJECT_STATES[subject.state],
        reference_photos=[
            to_photo(photo, unusable=photo.photo_id in unusable) for photo in subject.photos
        ],
        create_time=wire.to_timestamp(subject.create_time),
        update_time=wire.to_timestamp(subject.update_time),
        etag=held.etag,
    )
    if subject.details:
        details = subject.details
        message.case_reference = details.case_reference
        message.label = details.label
        message.age_group = (
            subject_pb2.AGE_GROUP_CHILD
            if details.age_group is AgeGroup.CHILD
            else subject_pb2.AGE_GROUP_ADULT
        )
        message.legal_basis = details.legal_basis
        message.authorised_by = details.authorised_by
        message.review_time.CopyFrom(wire.to_timestamp(details.review_time))
    return message


def to_photo(photo: ReferencePhoto, *, unusable: bool = False) -> subject_pb2.ReferencePhoto:
    """Return a reference photograph as protobuf has it."""
    return subject_pb2.ReferencePhoto(
        photo_id=photo.photo_id,
        face_box=to_box(photo.face_box),
        quality=photo.quality,
        create_time=wire.to_timestamp(photo.create_time),
        unusable=unusable,
    )


def to_box(box: Box) -> types_pb2.BoundingBox:
    """Return a rectangle as protobuf has it."""
    return types_pb2.BoundingBox(x=box.x, y=box.y, width=box.width, height=box.height)
