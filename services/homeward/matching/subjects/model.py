"""Subjects, and the certificates of their erasure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from homeward.matching.gallery.model import Box
from homeward.servicekit.keyvalue import Stored

MAX_PHOTOS_PER_SUBJECT = 20
"""Most photographs of a subject: more gave no measured gain, and each costs every search."""


class AgeGroup(StrEnum):
    """Whether a person is a child."""

    ADULT = "adult"
    CHILD = "child"


class SubjectState(StrEnum):
    """Where a subject is in its life."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ReferencePhoto:
    """A photograph that a subject is looked for with."""

    photo_id: str
    face_box: Box
    quality: float
    create_time: datetime
    unusable_with: tuple[str, ...] = ()
    """Digests of the model packs that can make no template of it, because it is refused or missing.
    A gallery of one of these packs is complete without it."""


@dataclass(frozen=True, slots=True)
class SubjectDetails:
    """What a caller states about a subject."""

    case_reference: str
    label: str
    age_group: AgeGroup
    legal_basis: str
    authorised_by: str
    review_time: datetime


@dataclass(frozen=True, slots=True)
class Subject:
    """A missing or vulnerable person. `details` is None once closed: no personal data is left."""

    subject_id: str
    state: SubjectState
    create_time: datetime
    update_time: datetime
    details: SubjectDetails | None
    photos: tuple[ReferencePhoto, ...] = ()
    created_as: SubjectDetails | None = None
    """The details as first stated, to recognise a retry of the creation."""
    to_be_erased: bool = False
    """Whether the record of the closed subject is to go as well."""


@dataclass(frozen=True, slots=True)
class PhotoOffer:
    """Result of offering a photograph."""

    subject: Stored[Subject]
    photo_id: str
    """Empty when the photograph was not added, because of a warning."""
    already_held: bool = False
    """Whether the subject had it before, with its template."""


class ErasureOutcome(StrEnum):
    """How far an erasure has come."""

    ERASED = "erased"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ErasureEntry:
    """Outcome of erasing such data in one store."""

    data: str
    store: str
    item_count: int
    outcome: ErasureOutcome
    verification: str
    places: tuple[str, ...] = ()
    """Files of an engine that may hold its bytes; the outcome is erased once they are gone."""
    until: datetime | None = None
    """Latest time at which the engine itself will have removed it."""


@dataclass(frozen=True, slots=True)
class ErasureCertificate:
    """Outcome of erasing a subject's data, or what a refused scan found, store by store."""

    subject_id: str
    """Empty in the certificate of a scan."""
    erase_time: datetime
    entries: tuple[ErasureEntry, ...] = field(default_factory=tuple)
    scan_id: str = ""
    """Empty in the certificate of a subject."""
    searched_ids: tuple[str, ...] = ()
    """Whom the scan was for; empty for everybody, and where an earlier version wrote it."""
