"""What a clip is asked for by, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from homeward.ingestion.footage.media import Stretch

DEFAULT_MARGIN = timedelta(seconds=5)
"""Before an appearance and after it."""

MOST_MARGIN = timedelta(seconds=30)

MOST_LENGTH = timedelta(seconds=90)
"""Longest clip: the longest margins around half a minute. Making it takes minutes, and its file has
at most 68 MB (`clip_encoder.MOST_BITS`)."""

CLIP_RATE = 30.0
"""Most pictures a second of a clip."""


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """A clip that somebody asks for."""

    sighting_id: str
    margin: timedelta = DEFAULT_MARGIN
    around_still: bool = False
    """Whether the margin is around the still, and not around the whole appearance."""
    burn_time: bool = False


@dataclass(frozen=True, slots=True)
class SightingPlace:
    """Where in which recording a sighting is, and whose."""

    sighting_id: str
    subject_id: str
    footage_id: str
    footage_sha256: str
    start: timedelta
    """From the recording's first picture."""
    end: timedelta
    best_shot: timedelta
    true_start: datetime
    """True time of the recording's first picture, as it was taken to be when it was found."""
    time_uncertain: bool = False

    def stretch(self, request: ClipRequest, duration: timedelta) -> Stretch:
        """Return what of the recording a clip shows.

        Args:
            request: The clip.
            duration: Of the recording.
        """
        first, last = self.start, self.end
        if request.around_still:
            first = last = self.best_shot
        return Stretch(
            max(timedelta(), first - request.margin), min(duration, last + request.margin)
        )


class Step(Enum):
    """What is being done for a clip."""

    FINDING = "finding"
    COMPARING = "comparing"
    ENCODING = "encoding"


@dataclass(frozen=True, slots=True)
class ClipProgress:
    """How far it is."""

    step: Step
    done: int
    """Pictures."""
    total: int


@dataclass(frozen=True, slots=True)
class ClipSeal:
    """What is said of a clip, and its signature."""

    record: bytes
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class FinishedClip:
    """A clip, and what is told of it."""

    sighting_id: str
    footage_sha256: str
    start_time: datetime
    """True time of its first picture."""
    end_time: datetime
    file: bytes
    """MP4."""
    sha256: str
    width: int
    height: int
    picture_count: int
    blurred_picture_count: int
    """Pictures that are blurred as a whole."""
    subject_picture_count: int
    """Pictures in which the subject's face is not blurred."""
    problems: tuple[str, ...] = ()
    """Stretches that could not be decoded, in words."""
    seal: ClipSeal | None = None
    """None where nobody has a key to sign with."""
