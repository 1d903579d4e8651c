"""A candidate, and what a reviewer decided."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from homeward.core.policy import PolicyFigures
from homeward.matching.gallery.model import Box, Template

MOST_STILLS = 6
"""Stills of a sighting."""


class SightingState(StrEnum):
    """Where a sighting is in its life."""

    UNREVIEWED = "unreviewed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    AWAITING_SECOND = "awaiting_second"
    """Somebody has confirmed it, and a second person must."""


class Decision(StrEnum):
    """A reviewer's decision."""

    CONFIRM = "confirm"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"


_STATES = {
    Decision.CONFIRM: SightingState.CONFIRMED,
    Decision.REJECT: SightingState.REJECTED,
    Decision.INCONCLUSIVE: SightingState.INCONCLUSIVE,
}


def state_after(decision: Decision) -> SightingState:
    """Return the state of a sighting that was decided so."""
    return _STATES[decision]


def each_once(*names: Iterable[str]) -> tuple[str, ...]:
    """Return names of several lists, each once, in their order."""
    return tuple(dict.fromkeys(itertools.chain(*names)))


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
class SightingStill:
    """What is known of a still of a sighting; its bytes are in the store of evidence."""

    offset: timedelta
    time: datetime
    score: float | None
    """Of its picture alone; None when below the threshold."""
    face_height_px: float
    """Pixels of the recording."""
    face_box: Box | None = None
    """The person's face, pixels of the still; None when an earlier version of Homeward found it."""
    quality: float | None = None
    """In [0, 1]; higher is better. None when an earlier version of Homeward found it."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A place and time at which somebody alike to a subject was in view."""

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
    """Score of the best single picture; None when below the threshold."""
    threshold: float
    policy_id: str
    model_digest: str
    face_height_px: float
    create_time: datetime
    delete_time: datetime
    figures: PolicyFigures | None = None
    """Error rates of the threshold at that time; None when the scanner did not state them."""
    rival_score: float | None = None
    """Of whoever else is enrolled and most alike; None when nobody else comes near."""
    time_uncertain: bool | None = None
    """Whether the recorder's clock had been set before its end, so that no true time is known; None
    when the scanner did not state it."""
    still_gone: bool = False
    """Whether the store has removed its still by itself."""
    state: SightingState = SightingState.UNREVIEWED
    review: Review | None = None
    """The last decision."""
    footage_sha256: str = ""
    """SHA-256 of the recording's file; empty when the scanner did not state it."""
    clock_offset: timedelta | None = None
    """Offset of the camera's clock, already subtracted from the times; None when the scanner did
    not state it."""
    reviews: tuple[Review, ...] = ()
    """The decisions that count, one of each person, oldest first. An earlier version of Homeward
    wrote `review` alone: see `given_reviews`."""
    requesters: tuple[str, ...] = ()
    """Who asked for the scans that found it, as far as is known."""
    stills: tuple[SightingStill, ...] = ()
    """In order of time, `MOST_STILLS` at most, that of the best shot among them. An earlier version
    of Homeward kept one, and nothing here: see `given_stills`."""

    @property
    def given_stills(self) -> tuple[SightingStill, ...]:
        """Its stills, whichever version found it."""
        return self.stills or (
            SightingStill(
                self.best_shot_offset,
                self.best_shot_time,
                self.best_shot_score,
                self.face_height_px,
            ),
        )

    @property
    def given_reviews(self) -> tuple[Review, ...]:
        """The decisions that count, whichever version wrote them."""
        return self.reviews or ((self.review,) if self.review else ())

    @property
    def approved(self) -> bool:
        """Whether somebody answered for the policy that it was found by."""
        return self.figures is not None and self.figures.approved


@dataclass(frozen=True, slots=True)
class ErasedSighting:
    """Names a sighting that is not there any more."""

    sighting_id: str
    subject_id: str


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a scan found, before it is recorded. Its sighting has no id yet."""

    sighting: Sighting
    template: Template
    stills: tuple[bytes, ...] | None
    """JPEG files, of its sighting's `given_stills`, in their order; everybody else is
    unrecognisable in them. None before they are made."""
    include_rejected_before: datetime | None = None
    """Record it even where a sighting was rejected before then."""
    still_until: datetime | None = None
    """When the store itself is to remove the still; None leaves that to the still's age."""
    received: datetime | None = None
    """When the first byte of the recording came; None when the scanner did not state it."""

    @property
    def pictures(self) -> Mapping[timedelta, bytes]:
        """The stills that are made, by where their pictures are in the recording."""
        if self.stills is None:
            return {}
        offsets = (one.offset for one in self.sighting.given_stills)
        return dict(zip(offsets, self.stills, strict=True))


class Disposition(Enum):
    """Result of recording a finding."""

    RECORDED = "recorded"
    JOINED = "joined"
    REJECTED_BEFORE = "rejected before"
    SUBJECT_CLOSED = "subject closed"
    FOOTAGE_REMOVED = "footage removed"
    SCAN_REFUSED = "scan refused"
    STILLS_NEEDED = "stills needed"
    """Of a finding whose stills are not made: nothing became of it yet."""
