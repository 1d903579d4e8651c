"""A scan, its segments, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from homeward.core.policy import PolicyFigures
from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.authorisation import Authorisation, Justification
from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.waiting import Waiting


class Thoroughness(StrEnum):
    """How a piece of footage was searched: where something happens, or all of it, and why."""

    GATED = "gated"
    """Decoded where packet sizes or key pictures show somebody."""
    PRESENCE = "presence"
    """Decoded where an earlier scan had found faces."""
    NO_PROFILE = "no profile"
    """All of it: its packet sizes are not known."""
    TOO_SHORT = "too short"
    """All of it: too little of it to tell quiet from active."""
    INTRA_ONLY = "intra only"
    """All of it: every picture is a key picture."""
    CONSTANT_RATE = "constant rate"
    """All of it: packets have the same size, whatever the pictures show."""
    RESTLESS = "restless"
    """All of it: packet sizes vary so much that a small person would not stand out."""
    PACKETS_BLIND = "packets blind"
    """All of it: key pictures showed faces where packet sizes did not rise."""
    SWITCHED_OFF = "switched off"
    """All of it: the operator wants it so."""


@dataclass(frozen=True, slots=True)
class Match:
    """A subject that an appearance is alike to."""

    subject_id: str
    photo_id: str
    score: float


@dataclass(frozen=True, slots=True)
class MatchPolicy:
    """The operating point that matches were chosen by."""

    policy_id: str
    threshold: float
    figures: PolicyFigures | None = None
    """Error rates of the threshold; None where matching does not report them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sighting that a scan recorded, or added to, as the ledger of sightings has it now.

    A scan stores ids of sightings alone and reads the rest from matching, so that a sighting that
    is erased there exists nowhere else.
    """

    sighting_id: str
    subject_id: str
    camera_id: str
    footage_id: str
    start_time: datetime
    end_time: datetime
    score: float
    threshold: float
    policy_id: str = ""
    figures: PolicyFigures | None = None
    """Error rates of the threshold; None where an earlier version of Homeward found it."""
    rival_score: float | None = None
    """Of whoever else is enrolled and most alike; None when nobody else comes near."""
    time_uncertain: bool = False
    """Whether the recorder's clock had been set before, so that nothing tells the true time."""


class GapReason(StrEnum):
    """Why a stretch of footage was not searched."""

    UNDECODABLE = "undecodable"
    NO_PICTURES = "no pictures"
    DECODER_ENDED = "decoder ended"
    FOOTAGE_GONE = "footage gone"
    GIVEN_UP = "given up"
    CANCELLED = "cancelled"
    FOOTAGE_DAMAGED = "footage damaged"
    CAMERA_UNKNOWN = "camera unknown"


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of footage that was not searched, in true time."""

    footage_id: str
    start_time: datetime
    end_time: datetime
    reason: GapReason
    detail: str = ""

    @property
    def duration(self) -> timedelta:
        """How long it is."""
        return self.end_time - self.start_time


@dataclass(frozen=True, slots=True)
class ScanScope:
    """What a scan searches, and for whom. Empty means all."""

    subject_ids: tuple[str, ...] = ()
    camera_ids: tuple[str, ...] = ()
    start_time: datetime | None = None
    end_time: datetime | None = None
    footage_ids: tuple[str, ...] = ()
    include_rejected: bool = False
    """List candidates where a reviewer has rejected one before the scan was created, too."""


class ScanState(StrEnum):
    """Where a scan is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether it is a last state."""
        return self not in (ScanState.PENDING, ScanState.RUNNING)


class Drop(Enum):
    """Why a match was not recorded."""

    REJECTED_BEFORE = "a reviewer has rejected it before"
    SUBJECT_CLOSED = "its subject was closed meanwhile"
    FOOTAGE_REMOVED = "its recording was removed meanwhile"
    SCAN_REFUSED = "the scan's authorisation was refused"


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of what a scan has searched and found."""

    frames: int = 0
    faces: int = 0
    appearances: int = 0
    discarded: int = 0
    """Appearances that matched nobody, and were forgotten."""
    incomparable: int = 0
    """Appearances too small or too poor to compare."""
    dropped: int = 0
    """Matches not recorded: rejected by a reviewer before, or of a subject closed meanwhile."""
    crowded: int = 0
    """Appearances that match more subjects than are listed."""
    sizes: FaceSizes = field(default_factory=FaceSizes)
    """Face widths of all tracks, compared or not. An earlier version of Homeward kept none."""
    closed: int = 0
    """Of `dropped`, those of a subject that was closed meanwhile."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.frames + other.frames,
            self.faces + other.faces,
            self.appearances + other.appearances,
            self.discarded + other.discarded,
            self.incomparable + other.incomparable,
            self.dropped + other.dropped,
            self.crowded + other.crowded,
            self.sizes + other.sizes,
            self.closed + other.closed,
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of one recording for one scanner, and how far the search of it has come."""

    footage_id: str
    camera_id: str
    start: timedelta
    """From the recording's first picture."""
    end: timedelta
    true_start: datetime
    """True time of the recording's first picture."""
    window: Stretch | None = None
    """Part of the recording that was asked for; None for all. The segment is searched as a whole,
    so that a search of a window finds the same as a search of all of it; only people in view in the
    window are reported. A segment that begins after the window is for those who stay in view."""
    pixel_aspect: float | None = None
    """Pixel aspect ratio that the camera is set to; None to use that of the recording."""
    state: ScanState = ScanState.PENDING
    position: timedelta | None = None
    """End of the searched part; None before the first picture."""
    counts: Counts = field(default_factory=Counts)
    sighting_ids: tuple[str, ...] = ()
    """Sightings that the search has recorded. They are stored with the scan, not with the segment,
    whose place and time would say where somebody was: `ScanRecords.save_segment` removes them."""
    gaps: tuple[Gap, ...] = ()
    thoroughness: Thoroughness | None = None
    """How it was searched; None before that is known."""
    looked_at: timedelta = timedelta()
    """Duration of the part asked for that was searched picture by picture."""
    passed_over: timedelta = timedelta()
    """Duration of the part asked for that was passed over, because packet sizes and key pictures,
    or an earlier scan, showed that nobody is in view."""
    update_time: datetime | None = None
    handed_back: int = 0
    """Times that a scanner that was asked to stop gave it back: these are no failures."""
    waiting: Waiting | None = None
    """What the search waits for, until it has ended."""
    recording: int = 0
    """Number of its recording in the scan, from 0."""
    number: int = 0
    """Its own number in the scan, from 0."""

    @property
    def stretch(self) -> Stretch:
        """The part of the recording that it covers."""
        return Stretch(self.start, self.end)

    @property
    def asked_for(self) -> Stretch:
        """The part of it that was asked for."""
        if self.window is None:
            return self.stretch
        start = min(max(self.start, self.window.start), self.end)
        return Stretch(start, max(start, min(self.end, self.window.end)))

    @property
    def duration(self) -> timedelta:
        """Duration of the part that was asked for."""
        return self.asked_for.duration

    @property
    def done(self) -> timedelta:
        """Duration of that part that was dealt with: searched, passed over, or a gap."""
        if self.state.ended:
            return self.duration
        reached = min(self.position or self.start, self.asked_for.end)
        return max(reached - self.asked_for.start, timedelta())

    @property
    def searched(self) -> timedelta:
        """Duration that was searched picture by picture, or passed over on evidence."""
        return self.looked_at + self.passed_over

    def gap(self, reason: GapReason, detail: str) -> Gap:
        """Return the whole part that was asked for as a gap."""
        return self.gap_over(self.asked_for, reason, detail)

    def gap_over(self, stretch: Stretch, reason: GapReason, detail: str) -> Gap:
        """Return a stretch of the recording as a gap."""
        start, end = self.true_start + stretch.start, self.true_start + stretch.end
        return Gap(self.footage_id, start, end, reason, detail)

    def given_up(self, reason: GapReason, detail: str, now: datetime | None) -> Segment:
        """Return the segment as not searched."""
        return replace(
            self,
            state=ScanState.CANCELLED if reason is GapReason.CANCELLED else ScanState.FAILED,
            gaps=(self.gap(reason, detail),) if self.duration else (),
            looked_at=timedelta(),
            passed_over=timedelta(),
            update_time=now,
        )


@dataclass(frozen=True, slots=True)
class FootageEffort:
    """How a recording was searched."""

    footage_id: str
    looked_at: timedelta
    passed_over: timedelta
    """Not decoded, because packet sizes and key pictures, or an earlier scan, showed that nobody is
    in view."""
    thoroughness: tuple[Thoroughness, ...]
    """Of its segments, each once."""
    true_start: datetime
    """True time of its first picture, by the clock offset of when the scan was planned."""


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """A scan as its plan, its tally and the segments in hand show it."""

    state: ScanState
    footage_count: int
    segment_count: int
    segments_done: int
    total: timedelta
    done: timedelta
    searched: timedelta
    """Duration searched picture by picture, or passed over on evidence."""
    counts: Counts
    candidate_count: int
    gaps: tuple[Gap, ...] = ()
    """Of a summary that was asked for with details, as the next two."""
    efforts: tuple[FootageEffort, ...] = ()
    """Once it has ended, by recording."""
    end_time: datetime | None = None
    passed_over: timedelta = timedelta()
    """Of what was searched, what was not looked at."""
    camera_sizes: tuple[tuple[str, FaceSizes], ...] = ()
    """How wide faces were by camera, in the order of their ids."""
    waiting: Waiting | None = None
    """What its searches wait for, if they do: the one that began first."""
    planning: bool = False
    """Whether recordings of its scope are not counted yet, or never were as it was cancelled."""
    problems: tuple[str, ...] = ()
    """Some of the reasons why footage was not searched, each once."""
    came_later: int = 0
    """Recordings that were left out, as by the clock they came after the scan was created."""

    @property
    def looked_at(self) -> timedelta:
        """Of what was searched, what pictures answer for that were looked at."""
        return self.searched - self.passed_over


@dataclass(frozen=True, slots=True)
class Scan:
    """A search of footage for missing people."""

    scan_id: str
    scope: ScanScope
    create_time: datetime
    cancelled: bool = False
    cancel_time: datetime | None = None
    """When it was cancelled. An earlier version of Homeward did not keep it."""
    final: ScanSummary | None = None
    """Once it has ended, without details: so that lists need not read more."""
    justification: Justification = field(default_factory=Justification)
    requester: str = ""
    """Who asked for it; empty when that is not known."""
    authorisation: Authorisation = field(default_factory=Authorisation)


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """How far the scope of a scan is cut into segments."""

    recordings: int = 0
    """Number of recordings that belong to the scan. Records beyond it are ignored."""
    queued: int = 0
    """Number of these whose segments are queued."""
    segments: int = 0
    total: timedelta = timedelta()
    """What was asked for of these recordings."""
    camera_id: str = ""
    """Camera from which the planner goes on."""
    place: str = ""
    """Place in its recordings after which the planner goes on; empty for the first one."""
    complete: bool = False
    """Whether all recordings of the scope belong to the scan."""
    stopped: bool = False
    """Whether the scan was cancelled, so that no recording is added."""
    came_later: int = 0
    """Recordings that were left out, as by the clock they came after the scan was created."""

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do for the planner."""
        return self.stopped or (self.complete and self.queued == self.recordings)


@dataclass(frozen=True, slots=True)
class ScanTally:
    """Totals of the ended segments that were added up."""

    revision: int = 0
    """Segments whose record is older are in it."""
    segments: int = 0
    done: timedelta = timedelta()
    looked_at: timedelta = timedelta()
    passed_over: timedelta = timedelta()
    counts: Counts = field(default_factory=Counts)
    problems: tuple[str, ...] = ()
    """Reasons why footage was not searched, `MOST_PROBLEMS` at most."""
    update_time: datetime | None = None
    """When the last of them ended."""
