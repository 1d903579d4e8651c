"""A person who is looked for, and what a certificate says of their erasure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from homeward.matching.gallery.model import Box
from homeward.servicekit.keyvalue import Stored

MAX_PHOTOS_PER_SUBJECT = 20
"""More photographs than this add nothing that was measured, and each costs every search."""


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
    """Digests of the model packs that no template of it could be made with: it was refused, or was
    gone. A gallery of one of them is whole without it."""


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
    """What became of a photograph that was offered."""

    subject: Stored[Subject]
    photo_id: str
    """Empty when it was left out, because a second look spoke against it."""
    already_held: bool = False
    """Whether the subject had it before, with its template."""


class ErasureOutcome(StrEnum):
    """How far an erasure has come."""

    ERASED = "erased"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ErasureEntry:
    """What became of a subject's data in one store."""

    data: str
    store: str
    item_count: int
    outcome: ErasureOutcome
    verification: str
    places: tuple[str, ...] = ()
    """Files of an engine that may hold bytes of it; erased once these are gone."""
    until: datetime | None = None
    """When the engine itself will have removed it, at the latest."""


@dataclass(frozen=True, slots=True)
class ErasureCertificate:
    """What became of a subject's data, store by store."""

    subject_id: str
    erase_time: datetime
    entries: tuple[ErasureEntry, ...] = field(default_factory=tuple)
