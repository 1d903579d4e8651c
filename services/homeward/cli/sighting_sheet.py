"""What is written and shown on the picture of a sighting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from homeward.api.common.v1 import types_pb2
from homeward.api.ingestion.v1 import camera_pb2
from homeward.api.matching.v1 import (
    sighting_pb2,
    sighting_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import policy_figures, reviews, times
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.options import Session
from homeward.cli.terminal import clean

if TYPE_CHECKING:
    from homeward.cli.picture import Box, Reference, Sheet, Shown


def sheet_of(
    session: Session,
    answer: sighting_service_pb2.GetSightingResponse,
    camera: camera_pb2.Camera | None,
    warned: Sequence[str],
) -> Sheet:
    """Return what is on the picture of a sighting, with all photographs of the subject.

    Args:
        session: Reads the subject and the photographs.
        answer: The sighting with its pictures.
        camera: Its camera; None when it cannot be read.
        warned: What to mind.
    """
    from homeward.cli.picture import Sheet  # noqa: PLC0415 - Pillow, which only this needs

    sighting = answer.sighting
    stub = SubjectServiceStub(session.connections.channel("matching"))
    request = subject_service_pb2.GetSubjectRequest(subject_id=sighting.subject_id)
    subject = stub.GetSubject(request).subject
    return Sheet(
        title=clean(subject.label or subject.case_reference),
        about=_cleaned(*_about(sighting, subject, camera)),
        references=_references(stub, answer, subject),
        stills=_stills(answer),
        notes=_cleaned(*_notes(sighting, warned)),
    )


def _about(
    sighting: sighting_pb2.Sighting,
    subject: subject_pb2.Subject,
    camera: camera_pb2.Camera | None,
) -> list[str]:
    place = camera.place if camera else ""
    start, end = sighting.interval.start_time, sighting.interval.end_time
    first, last = times.position(sighting.start_offset), times.position(sighting.end_offset)
    return [
        f"Case {subject.case_reference}",
        f"{place} (camera {sighting.camera_id})" if place else f"Camera {sighting.camera_id}",
        f"In view from {times.shown(start)} to {times.shown(end)}",
        *(["Time uncertain: clock set, or a long pause"] if sighting.time_uncertain else []),
        f"In the file from {first} to {last}",
    ]


def _notes(sighting: sighting_pb2.Sighting, warned: Sequence[str]) -> list[str]:
    rival = (
        f"{sighting.rival_score:.3f}"
        + (" - look twice" if policy_figures.doubtful(sighting) else "")
        if sighting.HasField("rival_score")
        else "no other enrolled person comes close"
    )
    # A printed picture is passed on without the sentences below it.
    unapproved = sighting.HasField("figures") and not sighting.figures.approved
    return [
        f"Score {sighting.score:.3f}, threshold {sighting.threshold:.3f}",
        f"Policy {sighting.policy_id}{', NOT approved' if unapproved else ''}",
        f"Score of another person: {rival}",
        *warned,
        "Everybody else on the stills, and what is around them, was made unrecognisable.",
        f"State: {reviews.state(sighting)} {reviews.summary(sighting)}".rstrip(),
        f"Sighting {sighting.sighting_id}",
        f"Recording {sighting.footage_id}",
        f"Subject {sighting.subject_id}",
    ]


def _references(
    stub: SubjectServiceStub,
    answer: sighting_service_pb2.GetSightingResponse,
    subject: subject_pb2.Subject,
) -> list[Reference]:
    """Return all photographs of the subject, the one that is most alike first."""
    from homeward.cli.picture import Reference  # noqa: PLC0415 - as above

    best = answer.sighting.photo_id
    count = len(subject.reference_photos)
    shown = []
    for number, photo in enumerate(subject.reference_photos, 1):
        image, box = answer.reference_photo, photo.face_box
        if photo.photo_id != best:
            image = _photo(stub, subject.subject_id, photo.photo_id)
        lines = [f"Photograph {number} of {count}"]
        if photo.photo_id == best:
            lines.append("Most alike")
        if photo.unusable:
            lines.append("Not compared")
        shown.append(Reference(image, _box(box), lines, best=photo.photo_id == best))
    if not any(one.best for one in shown):
        box = answer.reference_face_box
        lines = ["Photograph that is most alike"]
        shown.append(Reference(answer.reference_photo, _box(box), lines, best=True))
    return sorted(shown, key=lambda one: not one.best)


def _box(box: types_pb2.BoundingBox) -> Box:
    from homeward.cli.picture import Box  # noqa: PLC0415 - as above

    return Box(box.x, box.y, box.width, box.height)


def _photo(stub: SubjectServiceStub, subject_id: str, photo_id: str) -> bytes:
    """Return a photograph; nothing when it is gone."""
    request = subject_service_pb2.GetReferencePhotoRequest(subject_id=subject_id, photo_id=photo_id)
    try:
        return stub.GetReferencePhoto(request).image
    except CliError as error:
        if error.exit_code is not ExitCode.NOT_FOUND:
            raise
        return b""


def _stills(answer: sighting_service_pb2.GetSightingResponse) -> list[Shown]:
    from homeward.cli.picture import Shown  # noqa: PLC0415 - as above

    sighting = answer.sighting
    if not answer.stills:  # of a service of an earlier version
        return [
            Shown(answer.still, sighting.face_height_px, [times.shown(sighting.best_shot_time)])
        ]
    return [
        Shown(
            image,
            still.face_height_px,
            _cleaned(
                times.shown(still.time),
                f"In the file at {times.position(still.offset)}",
                f"Score {still.score:.3f}"
                if still.HasField("score")
                else "Score below the threshold",
            ),
            best=still.offset == sighting.best_shot_offset and len(answer.stills) > 1,
            face=_box(still.face_box) if still.HasField("face_box") else None,
        )
        for still, image in zip(sighting.stills, answer.stills, strict=True)
    ]


def _cleaned(*lines: str) -> list[str]:
    return [clean(line) for line in lines]
