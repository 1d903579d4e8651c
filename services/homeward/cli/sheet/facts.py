"""What stands on a contact sheet, in plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeward.cli.sheet.spans import Span


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG file, and what to say of it."""

    content: bytes
    caption: str
    alternative: str
    """For those who do not see it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A camera."""

    camera_id: str
    name: str
    """In words; its id where it has none."""
    coordinates: tuple[float, float] | None
    """Degrees north and east."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sighting to judge."""

    number: int
    """On this sheet, in order of time."""
    sighting_id: str
    place: Place
    span: Span
    when: str
    state: str
    judged: str
    """Who has judged it and when; empty if nobody has."""
    score: float
    threshold: float
    policy_id: str
    doubtful: bool
    uncertain: bool
    stills: Sequence[Picture]
    without_still: str
    """Why it has no still."""
    position: str
    """Where in its recording."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What was not searched, in no search."""

    camera_id: str
    span: Span
    when: str
    why: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """When somebody was in view whose face could not be compared."""

    camera_id: str
    span: Span
    when: str
    position: str
    people: int
    why: str
    file_name: str


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the sheet is about."""

    label: str
    case_reference: str
    subject_id: str
    references: Sequence[Picture]
    not_shown: int
    """Reference photographs that could not be shown."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What the searches for them have covered."""

    scan_count: int
    asked_seconds: float
    """Footage asked for, added up over the searches."""
    searched_seconds: float
    comparisons: int
    spans: Mapping[str, Sequence[Span]]
    """Spans of true time that were searched, by camera, as far as it is known."""
    gaps: Sequence[Gap]
    stretches: Sequence[Stretch]


@dataclass(frozen=True, slots=True)
class Sheet:
    """All of it."""

    person: Person
    candidates: Sequence[Candidate]
    rejected_count: int
    """Candidates that a reviewer has rejected, as far as that is remembered."""
    places: Sequence[Place]
    """The cameras that were searched or have a candidate."""
    searched: Searched
    worth: Sequence[str]
    """What the threshold is worth, in sentences."""
    warnings: Sequence[str]
    unknown: Sequence[str]
    """What is not known, in sentences."""
    made: str
    zone: str
