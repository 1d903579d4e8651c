"""Reads from the services what stands on a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from homeward.api.common.v1.policy_pb2 import PolicyFigures
from homeward.api.ingestion.v1 import camera_pb2, camera_service_pb2
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.matching.v1 import (
    sighting_pb2,
    sighting_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import caveats, policy_figures, reviews, times
from homeward.cli.errors import CliError, ExitCode, tell
from homeward.cli.options import Session
from homeward.cli.paging import all_pages
from homeward.cli.sheet import pictures, searches, worth
from homeward.cli.sheet.facts import Candidate, Person, Picture, Place, Sheet

MOST_CANDIDATES = 300
"""On one sheet, the most alike; of others their number is told."""
MOST_REFERENCES = 24
"""Reference photographs on one sheet."""


@dataclass
class _Read:
    """What came of a subject's sightings."""

    answers: list[sighting_service_pb2.GetSightingResponse] = field(default_factory=list)
    left_out: int = 0
    erased: int = 0
    lost: sighting_service_pb2.LostSightings = field(
        default_factory=sighting_service_pb2.LostSightings
    )
    rejected: int = 0


def read_sheet(session: Session, subject_id: str, zone: tzinfo | None) -> Sheet:
    """Return the contact sheet of a subject.

    Args:
        session: The command's session.
        subject_id: Whom it is about; a full id.
        zone: Of the times on it; without one, this computer's.

    Raises:
        CliError: There is no such subject, or it is closed.
    """
    subject = _subject(session, subject_id)
    read = _sightings(session, subject_id)
    cameras = _cameras(session)
    answers = sorted(
        read.answers, key=lambda one: times.seconds_of(one.sighting.interval.start_time)
    )
    candidates = [
        _candidate(number, answer, cameras, zone) for number, answer in enumerate(answers, start=1)
    ]
    found = searches.read_searches(session, subject, cameras, zone)
    comparisons = found.searched.comparisons
    used = {one.place.camera_id for one in candidates} | set(found.camera_ids)
    in_force = caveats.in_force(session)
    sightings = [one.sighting for one in answers]
    return Sheet(
        person=_person(session, subject),
        candidates=candidates,
        places=[_place(camera_id, cameras) for camera_id in sorted(used)],
        rejected_count=read.rejected,
        searched=found.searched,
        worth=_worth(sightings, in_force, comparisons),
        warnings=_warnings(sightings, subject, in_force),
        unknown=[
            *_unknown(read, found, sightings),
            *_by_another_clock(sightings, cameras),
            *found.unknown,
        ],
        made=spoken(datetime.now(UTC), zone),
        zone=f"{datetime.now(UTC).astimezone(zone):%Z}",
    )


def spoken(instant: datetime, zone: tzinfo | None) -> str:
    """Return a time to read, by the clocks of a zone."""
    told = instant.astimezone(zone)
    return f"{told.day} {told:%b %Y, %H:%M:%S %Z}"


def _subject(session: Session, subject_id: str) -> subject_pb2.Subject:
    stub = SubjectServiceStub(session.connections.channel("matching"))
    request = subject_service_pb2.GetSubjectRequest(subject_id=subject_id)
    subject = stub.GetSubject(request).subject
    if subject.state == subject_pb2.Subject.STATE_CLOSED:
        raise CliError(
            f"subject {subject_id} is closed: what was held about them is erased",
            exit_code=ExitCode.PRECONDITION,
            reason="SUBJECT_CLOSED",
            advice=f"`homeward subject certificate {subject_id}` tells what became of it",
        )
    return subject


def _sightings(session: Session, subject_id: str) -> _Read:
    stub = SightingServiceStub(session.connections.channel("matching"))
    read = _Read()

    def page(
        request: sighting_service_pb2.ListSightingsRequest,
    ) -> sighting_service_pb2.ListSightingsResponse:
        response = stub.ListSightings(request)
        read.lost.MergeFrom(response.lost)
        return response

    request = sighting_service_pb2.ListSightingsRequest(subject_ids=[subject_id])
    listed = all_pages(page, request, lambda answer: answer.sightings)
    read.left_out = max(0, len(listed) - MOST_CANDIDATES)
    for one in listed[:MOST_CANDIDATES]:
        full = sighting_service_pb2.GetSightingRequest(
            sighting_id=one.sighting_id, view=sighting_service_pb2.SIGHTING_VIEW_FULL
        )
        try:
            read.answers.append(stub.GetSighting(full))
        except CliError as error:
            if error.exit_code is not ExitCode.NOT_FOUND:
                raise
            read.erased += 1  # rejected, or erased with its footage, since it was listed
    remembered = sighting_service_pb2.ListRejectionsRequest(subject_ids=[subject_id])
    read.rejected = len(all_pages(stub.ListRejections, remembered, lambda told: told.rejections))
    return read


def _cameras(session: Session) -> Mapping[str, camera_pb2.Camera]:
    stub = CameraServiceStub(session.connections.channel("ingestion"))
    request = camera_service_pb2.ListCamerasRequest()
    cameras = all_pages(stub.ListCameras, request, lambda answer: answer.cameras)
    return {one.camera_id: one for one in cameras}


def _place(camera_id: str, cameras: Mapping[str, camera_pb2.Camera]) -> Place:
    camera = cameras.get(camera_id, camera_pb2.Camera())
    placed = camera.HasField("latitude") and camera.HasField("longitude")
    coordinates = (camera.latitude, camera.longitude) if placed else None
    return Place(camera_id, camera.place or camera_id, coordinates)


def _candidate(
    number: int,
    answer: sighting_service_pb2.GetSightingResponse,
    cameras: Mapping[str, camera_pb2.Camera],
    zone: tzinfo | None,
) -> Candidate:
    sighting = answer.sighting
    place = _place(sighting.camera_id, cameras)
    span = searches.span_of(sighting.interval)
    when = searches.spoken_span(span, zone)
    shown, without = _stills(number, answer, place, zone)
    return Candidate(
        number=number,
        sighting_id=sighting.sighting_id,
        place=place,
        span=span,
        when=when,
        state=reviews.state(sighting),
        judged=_judged(sighting, zone),
        score=sighting.score,
        threshold=sighting.threshold,
        policy_id=sighting.policy_id,
        doubtful=policy_figures.doubtful(sighting),
        uncertain=sighting.time_uncertain,
        stills=shown,
        without_still=without,
        position=times.position(sighting.best_shot_offset),
    )


def _judged(sighting: sighting_pb2.Sighting, zone: tzinfo | None) -> str:
    judged = (
        f"by {one.reviewer}, {spoken(one.review_time.ToDatetime(UTC), zone)}"
        for one in reviews.given(sighting)
    )
    return "; ".join(judged)


def _stills(
    number: int,
    answer: sighting_service_pb2.GetSightingResponse,
    place: Place,
    zone: tzinfo | None,
) -> tuple[list[Picture], str]:
    """Return the stills of a candidate in order of time, or why there are none."""
    sighting = answer.sighting
    told = list(zip(sighting.stills, answer.stills, strict=False))
    gone = "Its still is not in the object store any more."
    if not any(file for _, file in told):  # an earlier version found it
        alone = sighting_pb2.SightingStill(
            time=sighting.best_shot_time, face_height_px=sighting.face_height_px
        )
        told = [] if sighting.still_gone or not answer.still else [(alone, answer.still)]
    shown, problems = [], []
    for still, file in told:
        if not file:
            continue
        clock = still.time.ToDatetime(UTC).astimezone(zone)
        alternative = (
            f"Still of candidate {number}: a person at {place.name},"
            f" {spoken(still.time.ToDatetime(UTC), zone)}; every other face blurred."
        )
        caption = f"{clock:%H:%M:%S}, {still.face_height_px:.0f} px"
        try:
            shown.append(Picture(pictures.still(file), caption, alternative))
        except pictures.PictureError as error:
            problems.append(str(error))
    if shown:
        return shown, ""
    return [], f"Its still cannot be shown: {problems[0]}." if problems else gone


def _person(session: Session, subject: subject_pb2.Subject) -> Person:
    stub = SubjectServiceStub(session.connections.channel("matching"))
    shown = []
    for number, photo in enumerate(subject.reference_photos[:MOST_REFERENCES], start=1):
        request = subject_service_pb2.GetReferencePhotoRequest(
            subject_id=subject.subject_id, photo_id=photo.photo_id
        )
        try:
            answer = stub.GetReferencePhoto(request)
            content = pictures.around_face(answer.image, _box(answer))
        except (CliError, pictures.PictureError) as error:
            tell(CliError(f"reference photograph {number} is left out: {error}"))
            continue
        alternative = f"Reference photograph {number} of {subject.label or 'the person'}."
        shown.append(Picture(content, f"Reference {number}", alternative))
    return Person(
        label=subject.label or subject.case_reference,
        case_reference=subject.case_reference,
        subject_id=subject.subject_id,
        references=shown,
        not_shown=max(0, len(subject.reference_photos) - len(shown)),
    )


def _box(
    answer: subject_service_pb2.GetReferencePhotoResponse,
) -> tuple[float, float, float, float] | None:
    box = answer.face_box
    return (box.x, box.y, box.width, box.height) if answer.HasField("face_box") else None


def _worth(
    sightings: Sequence[sighting_pb2.Sighting], in_force: caveats.Worth, comparisons: int
) -> list[str]:
    """Return what the thresholds are worth that candidates were found by, or the one in force."""
    largest: dict[str, PolicyFigures] = {}
    for one in sightings:
        if one.HasField("figures"):
            held = largest.setdefault(one.policy_id, one.figures)
            if one.figures.gallery_size > held.gallery_size:
                largest[one.policy_id] = one.figures
    if not largest and in_force.policy_id:
        largest[in_force.policy_id] = in_force.figures
    alone = len(largest) == 1
    lines = [
        line
        for policy_id, figures in largest.items()
        for line in worth.sentences(policy_id, figures, comparisons if alone else 0)
    ]
    return lines or ["What the threshold is worth is not known: no policy is in force."]


def _warnings(
    sightings: Sequence[sighting_pb2.Sighting],
    subject: subject_pb2.Subject,
    in_force: caveats.Worth,
) -> list[str]:
    """Return why the error rates may not hold, or nobody may act on a candidate."""
    known = {subject.subject_id: subject}
    figures = [(one.policy_id, one.figures) for one in sightings if one.HasField("figures")]
    lines = [line for one in figures for line in policy_figures.warnings(*one, found=True)]
    lines += caveats.beside(sightings, known) or caveats.of_subjects([subject], in_force)
    return list(dict.fromkeys(lines))


def _by_another_clock(
    sightings: Sequence[sighting_pb2.Sighting], cameras: Mapping[str, camera_pb2.Camera]
) -> list[str]:
    off = sum(
        one.HasField("clock_offset")
        and one.camera_id in cameras
        and times.seconds(one.clock_offset) != times.seconds(cameras[one.camera_id].clock_offset)
        for one in sightings
    )
    if not off:
        return []
    line = (
        f"What is known of the clock of their camera was corrected since {off} of the candidates"
        " were found: their times are by what was known before. Searching again tells the corrected"
        " times."
    )
    return [line]


def _unknown(
    read: _Read, found: searches.Found, sightings: Sequence[sighting_pb2.Sighting]
) -> Iterator[str]:
    if read.lost.sighting_count:
        yield (
            f"{read.lost.sighting_count} sightings that were recorded are not in the store any"
            " more, although nobody removed them. They are not on this sheet; searching their"
            " recordings again brings them back."
        )
    if read.left_out:
        yield (
            f"{read.left_out} further candidates, less alike than those here, are left out:"
            f" a sheet has {MOST_CANDIDATES} at most."
        )
    if read.erased:
        yield f"{read.erased} candidates were erased while this sheet was made."
    old = sum(one.scan_id not in found.scan_ids for one in sightings)
    if old:
        yield (
            f"{old} of the candidates were found by searches whose records are erased (they are"
            " kept for 31 days): it is not known any more what else was searched, and what could"
            " not be."
        )
    if any(one.time_uncertain for one in sightings):
        yield (
            "Times marked * are uncertain: the recorder's clock was set anew in the recording, or"
            " nothing was recorded for an hour or more."
        )
