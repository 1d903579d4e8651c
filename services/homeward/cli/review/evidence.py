"""What a reviewer judges a candidate by: pictures, and what is known of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from homeward.api.common.v1.types_pb2 import BoundingBox, TimeInterval
from homeward.api.ingestion.v1 import camera_pb2, camera_service_pb2, scan_pb2, scan_service_pb2
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub
from homeward.api.matching.v1 import (
    sighting_pb2,
    sighting_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli.errors import CliError
from homeward.cli.options import Session

_NEAR = timedelta(minutes=10)
"""Before and after a candidate, within which others are shown."""
_WIDELY = timedelta(minutes=40)
_LISTED_SECONDS = 60.0
_MOST_NEAR = 200
_FULL = sighting_service_pb2.SIGHTING_VIEW_FULL


@dataclass(frozen=True, slots=True)
class Photograph:
    """A reference photograph."""

    file: bytes
    face: BoundingBox | None
    name: str
    """Whose it is, and which of how many."""


@dataclass(frozen=True, slots=True)
class Still:
    """A still of the appearance."""

    file: bytes
    """A JPEG file; empty where it is gone."""
    name: str
    """Which of how many, and how alike."""
    best: bool = False
    """Whether it is the one that is most alike, or serves best."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A candidate with all that it is judged by."""

    sighting: sighting_pb2.Sighting
    stills: Sequence[Still] = ()
    references: Sequence[Photograph] = ()
    """The one that is most alike first."""
    rivals: Sequence[Photograph] = ()
    """Of others whom the same appearance is a candidate for too."""
    subject: subject_pb2.Subject | None = None
    camera: camera_pb2.Camera | None = None
    scan: scan_pb2.Scan | None = None
    near: Sequence[sighting_pb2.Sighting] = ()
    """Others near in time: of this camera, or of this subject."""

    @property
    def sighting_id(self) -> str:
        """The id of the candidate."""
        return self.sighting.sighting_id


@dataclass(frozen=True, slots=True)
class _List:
    """Sightings that were listed."""

    interval: TimeInterval
    listed: float
    """When, by the monotonic clock."""
    sightings: Sequence[sighting_pb2.Sighting] = ()

    def serves(self, needed: TimeInterval) -> bool:
        """Whether it has what is in an interval, as it was a minute ago at most."""
        begins, ends = (
            self.interval.start_time.ToNanoseconds() <= needed.start_time.ToNanoseconds(),
            self.interval.end_time.ToNanoseconds() >= needed.end_time.ToNanoseconds(),
        )
        return begins and ends and time.monotonic() - self.listed < _LISTED_SECONDS


@dataclass(slots=True)
class Reader:
    """Reads what a candidate is judged by; what is the same for several is read once.

    Args:
        session: The command's session.
    """

    session: Session
    _cameras: dict[str, camera_pb2.Camera] = field(default_factory=dict)
    _scans: dict[str, scan_pb2.Scan] = field(default_factory=dict)
    _subjects: dict[str, subject_pb2.Subject] = field(default_factory=dict)
    _photos: dict[tuple[str, str], Photograph] = field(default_factory=dict)
    _lists: dict[Sequence[str], _List] = field(default_factory=dict)

    def read(self, listed: sighting_pb2.Sighting) -> Evidence:
        """Return a candidate with its pictures and what is known of it.

        What cannot be read beside the candidate itself is left out.

        Raises:
            CliError: The candidate cannot be read.
        """
        answer = self._sightings().GetSighting(
            sighting_service_pb2.GetSightingRequest(sighting_id=listed.sighting_id, view=_FULL)
        )
        sighting = answer.sighting
        subject = self._subject(sighting.subject_id)
        near = self._near(sighting)
        return Evidence(
            sighting,
            stills=stills_of(answer),
            references=self._references(answer, subject),
            rivals=self._rivals(sighting, near),
            subject=subject,
            camera=self._camera(sighting.camera_id),
            scan=self._scan(sighting.scan_id),
            near=near,
        )

    def _references(
        self,
        answer: sighting_service_pb2.GetSightingResponse,
        subject: subject_pb2.Subject | None,
    ) -> list[Photograph]:
        """Return the reference photographs, the one that is most alike first."""
        if not answer.reference_photo:
            return []
        ids = [one.photo_id for one in subject.reference_photos] if subject else []
        most_alike = answer.sighting.photo_id
        which = f" {ids.index(most_alike) + 1} of {len(ids)}" if most_alike in ids else ""
        face = answer.reference_face_box if answer.HasField("reference_face_box") else None
        others = [
            self._photo(answer.sighting.subject_id, photo_id, f"{number} of {len(ids)}")
            for number, photo_id in enumerate(ids, 1)
            if photo_id != most_alike
        ]
        first = Photograph(answer.reference_photo, face, f"Reference{which}")
        return [first, *filter(None, others)]

    def _photo(self, subject_id: str, photo_id: str, name: str) -> Photograph | None:
        """Return a reference photograph, unless it cannot be read."""
        key = (subject_id, photo_id)
        if key not in self._photos:
            stub = SubjectServiceStub(self.session.connections.channel("matching"))
            request = subject_service_pb2.GetReferencePhotoRequest(
                subject_id=subject_id, photo_id=photo_id
            )
            with suppress(CliError):
                read = stub.GetReferencePhoto(request)
                face = read.face_box if read.HasField("face_box") else None
                self._photos[key] = Photograph(read.image, face, name)
        return self._photos.get(key)

    def _rivals(
        self, sighting: sighting_pb2.Sighting, near: Sequence[sighting_pb2.Sighting]
    ) -> list[Photograph]:
        """Return a photograph of each other subject whom the same appearance is alike to."""
        return [
            Photograph(answer.reference_photo, answer.reference_face_box, f"Also alike: {name}")
            for one in near
            if is_rival(one, sighting)
            for answer in self._full(one.sighting_id)
            for name in [self.name_of(one.subject_id)]
            if answer.reference_photo
        ]

    def _full(self, sighting_id: str) -> list[sighting_service_pb2.GetSightingResponse]:
        request = sighting_service_pb2.GetSightingRequest(sighting_id=sighting_id, view=_FULL)
        with suppress(CliError):
            return [self._sightings().GetSighting(request)]
        return []

    def name_of(self, subject_id: str) -> str:
        """Return how a subject is called."""
        subject = self._subject(subject_id)
        return (subject.label or subject.case_reference) if subject else subject_id[:8]

    def _near(self, sighting: sighting_pb2.Sighting) -> list[sighting_pb2.Sighting]:
        """Return others of its camera or its subject, by time; some may be a minute old."""
        around = _around(sighting, _NEAR)
        lists = (
            self._listed(sighting, camera_ids=[sighting.camera_id]),
            self._listed(sighting, subject_ids=[sighting.subject_id]),
        )
        found = {
            one.sighting_id: one
            for one in itertools.chain(*lists)
            if one.sighting_id != sighting.sighting_id and _overlap(one.interval, around)
        }
        return sorted(found.values(), key=lambda one: one.interval.start_time.ToNanoseconds())

    def _listed(
        self,
        sighting: sighting_pb2.Sighting,
        *,
        camera_ids: Sequence[str] = (),
        subject_ids: Sequence[str] = (),
    ) -> Sequence[sighting_pb2.Sighting]:
        """Return sightings about as late as one, at most a minute old.

        Those of a group are asked for once.
        """
        key, needed = (*camera_ids, *subject_ids), _around(sighting, _NEAR)
        held = self._lists.get(key)
        if held is None or not held.serves(needed):
            wider = _around(sighting, _WIDELY)
            request = sighting_service_pb2.ListSightingsRequest(
                camera_ids=camera_ids,
                subject_ids=subject_ids,
                interval=wider,
                page_size=_MOST_NEAR,
                leave_out_lost=True,
            )
            held = _List(wider, time.monotonic())
            with suppress(CliError):
                held = replace(held, sightings=self._sightings().ListSightings(request).sightings)
            self._lists[key] = held
        return held.sightings

    def _subject(self, subject_id: str) -> subject_pb2.Subject | None:
        if subject_id not in self._subjects:
            stub = SubjectServiceStub(self.session.connections.channel("matching"))
            request = subject_service_pb2.GetSubjectRequest(subject_id=subject_id)
            with suppress(CliError):
                self._subjects[subject_id] = stub.GetSubject(request).subject
        return self._subjects.get(subject_id)

    def _camera(self, camera_id: str) -> camera_pb2.Camera | None:
        if camera_id not in self._cameras:
            with suppress(CliError):
                stub = CameraServiceStub(self.session.connections.channel("ingestion"))
                request = camera_service_pb2.GetCameraRequest(camera_id=camera_id)
                self._cameras[camera_id] = stub.GetCamera(request).camera
        return self._cameras.get(camera_id)

    def _scan(self, scan_id: str) -> scan_pb2.Scan | None:
        if scan_id not in self._scans:
            with suppress(CliError):
                stub = ScanServiceStub(self.session.connections.channel("ingestion"))
                request = scan_service_pb2.GetScanRequest(scan_id=scan_id)
                self._scans[scan_id] = stub.GetScan(request).scan
        return self._scans.get(scan_id)

    def _sightings(self) -> SightingServiceStub:
        return SightingServiceStub(self.session.connections.channel("matching"))


def stills_of(answer: sighting_service_pb2.GetSightingResponse) -> list[Still]:
    """Return the stills of a sighting, in order of time; none when they are gone."""
    described = answer.sighting.stills
    if len(described) <= 1 or len(answer.stills) != len(described):
        return [Still(answer.still, "Still", best=True)] if answer.still else []
    best = answer.sighting.best_shot_offset
    return [
        Still(file, f"{number} of {len(described)}{_alike(one)}", best=one.offset == best)
        for number, (file, one) in enumerate(zip(answer.stills, described, strict=True), 1)
    ]


def _alike(still: sighting_pb2.SightingStill) -> str:
    return f": {still.score:.2f}" if still.HasField("score") else ""


def is_rival(one: sighting_pb2.Sighting, sighting: sighting_pb2.Sighting) -> bool:
    """Whether the same appearance is a candidate for somebody else."""
    return (
        one.subject_id != sighting.subject_id
        and one.footage_id == sighting.footage_id
        and one.start_offset.ToNanoseconds() < sighting.end_offset.ToNanoseconds()
        and one.end_offset.ToNanoseconds() > sighting.start_offset.ToNanoseconds()
    )


def _around(sighting: sighting_pb2.Sighting, by: timedelta) -> TimeInterval:
    return TimeInterval(
        start_time=_shifted(sighting.interval.start_time, -by),
        end_time=_shifted(sighting.interval.end_time, by),
    )


def _overlap(one: TimeInterval, other: TimeInterval) -> bool:
    return (
        one.start_time.ToNanoseconds() <= other.end_time.ToNanoseconds()
        and one.end_time.ToNanoseconds() >= other.start_time.ToNanoseconds()
    )


def _shifted(stamp: Timestamp, by: timedelta) -> Timestamp:
    shifted = Timestamp()
    shifted.FromNanoseconds(stamp.ToNanoseconds() + int(by.total_seconds() * 1e9))
    return shifted
