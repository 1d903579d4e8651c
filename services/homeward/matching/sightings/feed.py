"""The feed: what happened to sightings, in order, kept for a while."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from homeward.matching.sightings.model import ErasedSighting, Sighting, SightingState
from homeward.servicekit import errors

LONGEST_PLACE = 100
"""Characters of a place in the feed."""


class ChangeKind(StrEnum):
    """What happened to a sighting."""

    RECORDED = "recorded"
    """A scan found it."""
    ALTERED = "altered"
    """It was found again, or its still went: score, picture, times or policy may be others."""
    REVIEWED = "reviewed"
    """A reviewer decided on it."""
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Change:
    """What is kept of a change.

    Nothing of where and when somebody was seen: not even the id of the recording, which has both.
    """

    kind: ChangeKind
    sighting_id: str
    subject_id: str
    state: SightingState | None
    """That the change left the sighting in; None where it was erased."""
    case_digest: str
    """Of the subject's case (`case_digest`), by which it is known who may hear of a subject that is
    gone since; empty where no case is known."""

    @classmethod
    def of(cls, kind: ChangeKind, sighting: Sighting | ErasedSighting, digest: str) -> Change:
        """Return what is kept of a change of a sighting."""
        state = sighting.state if isinstance(sighting, Sighting) else None
        return cls(kind, sighting.sighting_id, sighting.subject_id, state, digest)


@dataclass(frozen=True, slots=True)
class Told:
    """A change in the feed."""

    place: str
    """Where it is in the feed: names this change alone."""
    change: Change
    time: datetime


class SightingFeed(Protocol):
    """What happened to sightings, in one order for all replicas, kept for 31 days.

    All calls raise `UnavailableError` when the store does not answer.
    """

    async def publish(self, change: Change) -> None:
        """Add a change; when this returns, it is stored."""

    def follow(
        self, after: str = "", *, from_oldest: bool = False
    ) -> AsyncGenerator[Told | str, None]:
        """Yield the changes after a place as they come.

        Where nothing more is to be told, the place up to which all was is yielded alone: at once,
        and then now and then.

        Args:
            after: A place that was yielded; empty to begin now.
            from_oldest: Begin with the oldest change that is kept.

        Raises:
            InvalidArgumentError: `FIELD_INVALID`: it is no place.
            FailedPreconditionError: `RESUME_TOKEN_EXPIRED`: what came after it is gone, or what
                came after the last one that was yielded.
        """

    async def case_digest(self, subject_id: str) -> str:
        """Return the digest of the case that the last change of a subject has; empty for none."""

    async def count(self, subject_id: str) -> int:
        """Return how many sightings of a subject are in the feed."""

    async def last(self) -> Mapping[str, Change]:
        """Return the last change of each sighting that is kept."""

    async def kept_since(self) -> datetime:
        """Return since when the feed is there."""


def case_digest(case_reference: str) -> str:
    """Return what stands for a case in the feed."""
    return hashlib.sha256(case_reference.encode()).hexdigest()[:16]


def no_place() -> errors.InvalidArgumentError:
    """Return the error for what is no place in a feed."""
    return errors.invalid_field("resume_token", "is not one that a watch has given")


def place_expired(why: str) -> errors.FailedPreconditionError:
    """Return the error for a place after which changes are gone."""
    return errors.FailedPreconditionError(
        f"what happened to sightings after this place is not all kept: {why}",
        reason=errors.Reason.RESUME_TOKEN_EXPIRED,
    )


def position_in(place: str, feed: str) -> int:
    """Return the number of the change that a place names.

    Args:
        place: As `place_of` made it.
        feed: Name of the feed that it must be of.

    Raises:
        InvalidArgumentError: It is no place.
        FailedPreconditionError: `RESUME_TOKEN_EXPIRED`: it is of another feed.
    """
    name, _, number = place.partition("-")
    if len(place) > LONGEST_PLACE or not name.isalnum() or not number.isdecimal():
        raise no_place()
    if name != feed:
        raise place_expired("the feed was made anew since, as after a loss of NATS' data")
    return int(number)


def place_of(feed: str, number: int) -> str:
    """Return the place of a change."""
    return f"{feed}-{number}"


def require_kept(number: int, *, first: int, last: int) -> None:
    """Refuse a place after which changes are missing.

    Args:
        number: Of the change at that place.
        first: Number of the oldest change that is kept; one more than `last` if there is none.
        last: Number of the newest change that there ever was.

    Raises:
        FailedPreconditionError: `RESUME_TOKEN_EXPIRED`.
    """
    if number > last:
        raise place_expired("the feed came back with an older state")
    if number + 1 < first:
        raise place_expired("it is too long ago")
