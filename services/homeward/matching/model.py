"""The values of matching. No wire, no vendor."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum

import numpy as np
from numpy.typing import NDArray

from homeward.policy import Measurement, PolicyFigures, PolicyFile

MAX_PHOTOS_PER_SUBJECT = 20
"""More photographs than this add nothing that was measured, and each costs every search."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A face as a vector. Templates of different models cannot be compared."""

    values: NDArray[np.float32]
    """Shape (d,), unit length."""
    model_digest: str
    """Of the pack that made it."""


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle, pixels of the upright picture."""

    x: float
    y: float
    width: float
    height: float


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
class PhotoAnalysis:
    """What the embedding service says of a photograph."""

    problems: tuple[str, ...]
    """Why it cannot serve as a reference, as names of `PhotoProblem`; empty when it can."""
    box: Box | None
    quality: float
    template: Template | None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model pack of an embedding service, or of what holds its templates."""

    name: str
    digest: str
    template_size: int


@dataclass(frozen=True, slots=True, order=True)
class PhotoKey:
    """Names a reference photograph."""

    subject_id: str
    photo_id: str


@dataclass(frozen=True, slots=True)
class RefusedPhoto:
    """A kept photograph that another model cannot use."""

    photo: PhotoKey
    problems: tuple[str, ...]
    """As of a `PhotoAnalysis`; `IMAGE_UNREADABLE` or `PHOTO_GONE` too."""


class PolicyState(StrEnum):
    """Where a policy is in its life."""

    UNAPPROVED = "unapproved"
    APPROVED = "approved"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Approval:
    """Who vouched for a policy, and for how long."""

    approver: str
    note: str
    approve_time: datetime
    valid_until: datetime
    expire_time: datetime | None = None
    """When somebody ended it before `valid_until`."""
    expire_reason: str = ""

    @property
    def end(self) -> datetime:
        """When it ends, or has ended."""
        return self.expire_time or self.valid_until


@dataclass(frozen=True, slots=True)
class Policy:
    """An operating point, and whether it may be used."""

    file: PolicyFile
    sha256: str
    """Of the file, hexadecimal."""
    shipped: bool
    """Whether it came with this version of Homeward."""
    active: bool
    """Whether candidates are to be chosen by it."""
    approval: Approval | None
    """The newest, whether or not it has ended."""

    def state_at(self, now: datetime) -> PolicyState:
        """Return where it is in its life."""
        if self.approval is None:
            return PolicyState.UNAPPROVED
        return PolicyState.APPROVED if now < self.approval.end else PolicyState.EXPIRED


@dataclass(frozen=True, slots=True)
class ThresholdPolicy:
    """The operating point that candidates are chosen by."""

    policy_id: str
    model_digest: str
    threshold: float
    """Least cosine similarity of a candidate, in [-1, 1]."""
    measurement: Measurement
    figures: PolicyFigures
    approval: Approval | None
    """None without one that is in force."""
    evaluation: bool
    """Whether a policy need not be approved."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that an appearance is alike to: a lead for a human, not an identification."""

    subject_id: str
    photo_id: str
    score: float
    """Cosine similarity, in [-1, 1]; higher is more alike."""


class SightingState(StrEnum):
    """Where a sighting is in its life."""

    UNREVIEWED = "unreviewed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"


class Decision(StrEnum):
    """A reviewer's decision."""

    CONFIRM = "confirm"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Review:
    """A reviewer's judgement."""

    decision: Decision
    reason: str
    reviewer: str
    review_time: datetime

    @property
    def judgement(self) -> tuple[Decision, str, str]:
        """What the reviewer said: decision, reason and name."""
        return (self.decision, self.reason, self.reviewer)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A place and time where somebody was seen who is like a subject."""

    sighting_id: str
    subject_id: str
    photo_id: str
    footage_id: str
    camera_id: str
    scan_id: str
    start_time: datetime
    end_time: datetime
    best_shot_time: datetime
    start_offset: timedelta
    end_offset: timedelta
    best_shot_offset: timedelta
    score: float
    best_shot_score: float | None
    """Of the best single picture; None when below the threshold."""
    threshold: float
    policy_id: str
    model_digest: str
    face_height_px: float
    create_time: datetime
    delete_time: datetime
    figures: PolicyFigures | None = None
    """What the threshold was worth then; None when whoever found it did not tell."""
    rival_score: float | None = None
    """Of whoever else is enrolled and most alike; None when nobody else comes near."""
    time_uncertain: bool | None = None
    """Whether the recorder's clock had been set before its end, so that no true time is known; None
    when whoever found it did not tell."""
    still_gone: bool = False
    """Whether the store has removed its still by itself."""
    state: SightingState = SightingState.UNREVIEWED
    review: Review | None = None
    footage_sha256: str = ""
    """Of the recording's file; empty when whoever found it did not tell."""
    clock_offset: timedelta | None = None
    """By which the times are less than what the camera's clock showed; None when whoever found it
    did not tell."""

    @property
    def approved(self) -> bool:
        """Whether somebody answered for the policy that it was found by."""
        return self.figures is not None and self.figures.approved


@dataclass(frozen=True, slots=True)
class ErasedSighting:
    """Names a sighting that is not there any more."""

    sighting_id: str
    subject_id: str
    footage_id: str


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a scan found, before it is recorded. Its sighting has no id yet."""

    sighting: Sighting
    template: Template
    still: bytes
    """JPEG, every other face blurred."""
    include_rejected_before: datetime | None = None
    """Record it even where a sighting was rejected before then."""
    still_until: datetime | None = None
    """When the store itself is to remove the still; None leaves that to the still's age."""


class Disposition(Enum):
    """What became of a finding."""

    RECORDED = "recorded"
    JOINED = "joined"
    REJECTED_BEFORE = "rejected before"
    SUBJECT_CLOSED = "subject closed"


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
