"""The values of ingestion. No wire, no vendor."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from operator import attrgetter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.face_sizes import FaceSizes
from homeward.ingestion.waiting import Waiting
from homeward.policy import PolicyFigures
from homeward.vision.regions import Region

MAX_FOOTAGE_BYTES = 50 * 1024**3
_DIGEST_DIGITS = 16
_FOOTAGE_ID = re.compile(
    r"(?P<camera>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)-(?P<start>\d{8}t\d{12}z)-[0-9a-f]{16}"
)
_START_FORMAT = "%Y%m%dt%H%M%S%fz"


@dataclass(frozen=True, slots=True)
class CameraDetails:
    """What an operator states about a camera."""

    place: str = ""
    latitude: float | None = None
    longitude: float | None = None
    clock_offset: timedelta = timedelta()
    """How far its clock is ahead of true time."""
    clock_offset_source: str = ""
    authority: str = ""
    pixel_aspect_ratio: float | None = None
    """Width of a pixel in parts of its height, for a recorder that does not store it; None to go by
    what its recordings say."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera whose recordings may be searched."""

    camera_id: str
    details: CameraDetails
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture is turned upright."""

    transpose: bool = False
    """Rows become columns,"""
    mirror_x: bool = False
    """then left and right are exchanged,"""
    mirror_y: bool = False
    """and top and bottom."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """Which pictures of a file are searched, and how they are shown."""

    track: int = 0
    """Among all tracks of the file."""
    orientation: Orientation = Orientation()
    pixel_aspect: float = 1.0
    """Width of a stored pixel, in parts of its height."""


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The picture track of a recording."""

    codec: str
    width: int
    """As shown: upright, with square pixels."""
    height: int
    average_frame_rate: float
    frame_count: int
    key_frame_count: int
    anchor_rate: float = 0.0
    """Pictures a second that are decoded without those predicted from both sides (B pictures),
    measured where the recording begins; 0 when it is not known."""
    steady: bool = False
    """Whether its pictures come at one rate; False when that is not known."""
    presentation: Presentation = Presentation()


class FootageProblem(StrEnum):
    """Something odd about a recording that does not prevent searching it."""

    TRUNCATED = "truncated"
    CLOCK_STEPPED = "clock stepped"
    PICTURES_MISSING = "pictures missing"
    TIMES_IGNORED = "times ignored"
    NO_TIMES = "no times"
    BEGINNING_LOST = "beginning lost"
    OTHER_TRACKS = "other tracks"
    SHRUNK = "shrunk"
    PICTURES_RARE = "pictures rare"
    KEY_PICTURES_RARE = "key pictures rare"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd about a recording, and where."""

    problem: FootageProblem
    detail: str
    """For a reader; no name of a file or machine."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file turned out to be."""

    video: VideoTrack
    duration: timedelta
    """From the first to the end of the last picture."""
    problems: tuple[FootageProblem, ...] = ()
    missing: timedelta = timedelta()
    """How much longer the file says that it is than it plays."""
    findings: tuple[Finding, ...] = ()
    """What is odd about it."""
    holes: tuple[Stretch, ...] = ()
    """The times that none of its pictures answers for."""
    keyless: tuple[Stretch, ...] = ()
    """From a key picture to the next one or the end, where more than `RARE_KEY_PICTURES` lie
    between: a search that begins inside decodes from the key picture on."""
    uncertain_from: timedelta | None = None
    """From where on its times are uncertain, because its clock was set; None if they are not."""
    version: int = 0
    """Of how it was made; `timeline.VERSION`."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a recording."""

    start: timedelta
    """From the recording's first picture."""
    end: timedelta
    """Without this instant itself."""

    @property
    def duration(self) -> timedelta:
        """How long it plays."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class PacketGroup:
    """How large a key picture, and the pictures up to the next one, are in the file.

    What moves makes pictures larger than what stands still, so that this tells where something
    happens without decoding anything.
    """

    start: float
    """Presentation time of the key picture, seconds from the recording's first picture."""
    key_bytes: int
    sizes: tuple[int, ...]
    """Bytes of the pictures after it, by the second in which they are shown, from `start`."""
    pictures: tuple[int, ...]
    """How many pictures that are."""


class Thoroughness(StrEnum):
    """How a piece of footage was searched: where something happens, or all of it, and why."""

    GATED = "gated"
    """Decoded where packets or key pictures told of somebody."""
    PRESENCE = "presence"
    """Decoded where an earlier scan had found faces."""
    NO_PROFILE = "no profile"
    """All of it: nothing is known of its packets."""
    TOO_SHORT = "too short"
    """All of it: too little of it to tell quiet from active."""
    INTRA_ONLY = "intra only"
    """All of it: every picture is a key picture."""
    CONSTANT_RATE = "constant rate"
    """All of it: packets have the same sizes whatever they show."""
    RESTLESS = "restless"
    """All of it: packet sizes vary so much that somebody small would not stand out."""
    PACKETS_BLIND = "packets blind"
    """All of it: key pictures showed faces that packets had not told of."""
    SWITCHED_OFF = "switched off"
    """All of it: the operator wants it so."""


@dataclass(frozen=True, slots=True)
class FootageHeader:
    """What an uploader states about a recording."""

    camera_id: str
    file_name: str
    start_time: datetime
    """By the camera's clock."""
    size_bytes: int
    sha256: str

    @property
    def footage_id(self) -> str:
        """The id of this recording: camera, start and content, so that it is always the same."""
        start = self.start_time.astimezone(UTC).strftime(_START_FORMAT)
        return f"{self.camera_id}-{start}-{self.sha256[:_DIGEST_DIGITS]}"


@dataclass(frozen=True, slots=True)
class Footage:
    """A finished recording of one camera: the manifest that lies beside its file."""

    footage_id: str
    header: FootageHeader
    probe: Probe
    receive_time: datetime
    delete_time: datetime

    @property
    def end_time(self) -> datetime:
        """When the recording ends, by the camera's clock."""
        return self.header.start_time + self.probe.duration


def footage_folder(footage_id: str) -> str | None:
    """Return the prefix of a recording's objects, or None when the id is none."""
    match = _FOOTAGE_ID.fullmatch(footage_id)
    if match is None:
        return None
    day = match["start"][:8]
    return f"footage/{match['camera']}/{day[:4]}/{day[4:6]}/{day[6:]}/{footage_id}/"


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way: what was announced, and where its bytes go."""

    header: FootageHeader
    create_time: datetime
    """When its first byte may have come: the 31 days count from here."""
    multipart_id: str | None
    """Of the store's multipart upload; None for an upload by URL."""
    staging: str = ""
    """Key that the URL writes to. Empty for an upload by gRPC, and for one by URL that an earlier
    version began: its URL writes to the recording's own key, and it has to be begun again."""
    admissions: tuple[str, ...] = ()
    """Multipart uploads by which a staged file is copied to its recording's key."""
    done: bool = False
    """Whether an upload by URL has become footage: kept to answer whoever lost the answer."""


@dataclass(frozen=True, slots=True)
class FootageErasure:
    """That a recording was removed; nothing about what it showed."""

    footage_id: str
    receive_time: datetime
    delete_time: datetime
    begin_time: datetime
    erase_time: datetime | None = None
    """When the store said of every object that it is not there; None while that is under way."""
    by_store: bool = False
    """Whether the store had removed it, or its file, by itself before that."""


@dataclass(frozen=True, slots=True)
class HeldFootage:
    """That there is a recording, beside the store: it may remove one by itself."""

    footage_id: str
    receive_time: datetime
    delete_time: datetime


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle, pixels of the picture that it is in."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle, as x and y."""
        return self.x + self.width / 2, self.y + self.height / 2

    def moved(self, right: float, down: float) -> Box:
        """Return the rectangle so much further on."""
        return Box(self.x + right, self.y + down, self.width, self.height)

    def scaled(self, factor: float) -> Box:
        """Return the rectangle in a picture that is `factor` times as large."""
        return Box(self.x * factor, self.y * factor, self.width * factor, self.height * factor)


class Picture(Protocol):
    """The pixels of a decoded picture, as recorded; its size is even."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    def cut(self, region: Region) -> NDArray[np.uint8]:
        """Return a part of it, BGR, shape (height, width, 3)."""

    def part(self, region: Region) -> Picture:
        """Return a part of it, of even borders, which does not hold on to the rest."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture of a recording."""

    offset: timedelta
    """From the recording's first picture, by its presentation time stamp."""
    picture: Picture
    copy: NDArray[np.uint8]
    """A copy of bounded size to look for faces on: planes Y, U, V below each other (I420), shape
    (height * 3 / 2, width), both even."""
    scale: float
    """Pixels of the copy per pixel of the picture, in (0, 1]."""

    @property
    def grey(self) -> NDArray[np.uint8]:
        """Brightness of the copy, shape (height, width)."""
        return self.copy[: self.copy.shape[0] * 2 // 3]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a picture, in pixels of the picture as recorded."""

    box: Box
    landmarks: NDArray[np.float32]
    """Eyes, nose tip, mouth corners; pairs from left to right in the picture; shape (5, 2)."""
    detector_score: float
    """In [0, 1]; higher is surer."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A person's surroundings in a picture, to make a still of when it comes to that."""

    picture: Picture
    face: Box
    """Of the person, pixels of `picture`."""
    others: tuple[Box, ...]
    """Of all other faces; they may lie outside of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A face as a vector, shape (d,), unit length."""

    values: NDArray[np.float32]
    model_digest: str


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
    """What the threshold is worth; None where matching does not tell."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sighting that a scan recorded, or added to, as this scan found it."""

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
    """What the threshold was worth; None where an earlier version of Homeward found it."""
    rival_score: float | None = None
    """Of whoever else is enrolled and most alike; None when nobody else comes near."""
    time_uncertain: bool = False
    """Whether the recorder's clock had been set before, so that nothing tells the true time."""

    def joined(self, other: Candidate) -> Candidate:
        """Return what two findings of one sighting are together: in view as either tells."""
        best = max(self, other, key=lambda one: one.score)
        return replace(
            best,
            start_time=min(self.start_time, other.start_time),
            end_time=max(self.end_time, other.end_time),
            time_uncertain=self.time_uncertain or other.time_uncertain,
        )


class GapReason(StrEnum):
    """Why a stretch of footage was not searched."""

    UNDECODABLE = "undecodable"
    NO_PICTURES = "no pictures"
    DECODER_ENDED = "decoder ended"
    FOOTAGE_GONE = "footage gone"
    GIVEN_UP = "given up"
    CANCELLED = "cancelled"


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


@dataclass(frozen=True, slots=True)
class Counts:
    """What a scan has looked at."""

    frames: int = 0
    faces: int = 0
    appearances: int = 0
    discarded: int = 0
    """Matched nobody, and were forgotten."""
    incomparable: int = 0
    """Too small or too poor to compare."""
    dropped: int = 0
    """Matches not recorded: rejected by a reviewer before, or of a subject closed meanwhile."""
    crowded: int = 0
    """Alike to more subjects than are listed."""
    sizes: FaceSizes = field(default_factory=FaceSizes)
    """Of all who were followed, compared or not. An earlier version of Homeward kept none."""
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
    """A piece of one recording for one scanner, and how far it has come."""

    footage_id: str
    camera_id: str
    start: timedelta
    """From the recording's first picture."""
    end: timedelta
    true_start: datetime
    """True time of the recording's first picture."""
    window: Stretch | None = None
    """What of the recording was asked for; None for all. The segment is searched as a whole, so
    that a search of a window finds what a search of all of it does; only those are told of who were
    in view in the window. One that begins after it is for those who stay in view until then."""
    pixel_aspect: float | None = None
    """As the camera is set; None to go by what the recording says."""
    state: ScanState = ScanState.PENDING
    position: timedelta | None = None
    """How far it is searched; None before the first picture."""
    counts: Counts = field(default_factory=Counts)
    candidates: tuple[Candidate, ...] = ()
    gaps: tuple[Gap, ...] = ()
    thoroughness: Thoroughness | None = None
    """How it was searched; None before that is known."""
    looked_at: timedelta = timedelta()
    """How much of what was asked for pictures answer for that were looked at."""
    passed_over: timedelta = timedelta()
    """How much of it was passed over, because packets and key pictures, or an earlier scan, told
    that nobody is in view."""
    update_time: datetime | None = None
    handed_back: int = 0
    """How often a scanner that was asked to stop gave it back: none of these was a failure."""
    waiting: Waiting | None = None
    """What keeps the search from going on, until it has ended."""

    @property
    def stretch(self) -> Stretch:
        """What of the recording it is."""
        return Stretch(self.start, self.end)

    @property
    def asked_for(self) -> Stretch:
        """What of it was asked for."""
        if self.window is None:
            return self.stretch
        start = min(max(self.start, self.window.start), self.end)
        return Stretch(start, max(start, min(self.end, self.window.end)))

    @property
    def duration(self) -> timedelta:
        """How much was asked for."""
        return self.asked_for.duration

    @property
    def done(self) -> timedelta:
        """How much of that was dealt with."""
        if self.state.ended:
            return self.duration
        reached = min(self.position or self.start, self.asked_for.end)
        return max(reached - self.asked_for.start, timedelta())

    @property
    def searched(self) -> timedelta:
        """How much of it was looked at, or passed over on evidence."""
        return self.looked_at + self.passed_over

    def gap(self, reason: GapReason, detail: str) -> Gap:
        """Return the gap that all that was asked for is."""
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
    """Not decoded, because packets and key pictures, or an earlier scan, told that nobody is in
    view."""
    thoroughness: tuple[Thoroughness, ...]
    """Of its segments, each once."""


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """A scan as its segments show it."""

    state: ScanState
    footage_count: int
    segment_count: int
    segments_done: int
    total: timedelta
    done: timedelta
    searched: timedelta
    """Looked at, or passed over on evidence."""
    counts: Counts
    candidate_count: int
    candidates: tuple[Candidate, ...]
    gaps: tuple[Gap, ...]
    efforts: tuple[FootageEffort, ...] = ()
    """Once it has ended, by recording."""
    end_time: datetime | None = None
    passed_over: timedelta = timedelta()
    """Of what was searched, what was not looked at."""
    camera_sizes: tuple[tuple[str, FaceSizes], ...] = ()
    """How wide faces were by camera, in the order of their ids."""
    waiting: Waiting | None = None
    """What its searches wait for, if they do: what they have waited for longest."""

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
    segment_count: int
    cancelled: bool = False
    final: ScanSummary | None = None
    """Once it has ended, without gaps and candidates: so that lists need not read its segments."""


def summarise(scan: Scan, segments: tuple[Segment, ...]) -> ScanSummary:
    """Fold the segments of a scan into what is told about it.

    Coverage counts what is certain: of a segment that no scanner has ended nothing is searched, and
    once all have ended, what was searched and the gaps are what was asked for.
    """
    ended = [_accounted(segment) for segment in segments if segment.state.ended]
    gaps = merged(gap for segment in ended for gap in segment.gaps)
    looked_at = sum((segment.looked_at for segment in ended), timedelta())
    passed_over = sum((segment.passed_over for segment in ended), timedelta())
    counts = Counts()
    sizes: dict[str, FaceSizes] = {}
    candidates: dict[str, Candidate] = {}
    for segment in segments:
        counts += segment.counts
        if segment.counts.sizes.total:
            held_sizes = sizes.get(segment.camera_id, FaceSizes())
            sizes[segment.camera_id] = held_sizes + segment.counts.sizes
        for candidate in segment.candidates:
            held = candidates.get(candidate.sighting_id)
            candidates[candidate.sighting_id] = held.joined(candidate) if held else candidate
    waiting = [one.waiting for one in segments if one.waiting and not one.state.ended]
    complete = len(ended) == scan.segment_count and len(segments) == scan.segment_count
    if complete and scan.cancelled:
        state = ScanState.CANCELLED
    elif complete:
        state = ScanState.SUCCEEDED if looked_at + passed_over > timedelta() else ScanState.FAILED
    elif any(segment.state is not ScanState.PENDING for segment in segments):
        state = ScanState.RUNNING
    else:
        state = ScanState.PENDING
    times = [segment.update_time for segment in ended if segment.update_time]
    return ScanSummary(
        state=state,
        footage_count=len({segment.footage_id for segment in segments}),
        segment_count=scan.segment_count,
        segments_done=len(ended),
        total=sum((segment.duration for segment in segments), timedelta()),
        done=sum((segment.done for segment in segments), timedelta()),
        searched=looked_at + passed_over,
        passed_over=passed_over,
        counts=counts,
        candidate_count=len(candidates),
        candidates=tuple(sorted(candidates.values(), key=lambda found: found.start_time)),
        gaps=gaps,
        efforts=_efforts(segments) if complete else (),
        end_time=max(times) if complete and times else None,
        camera_sizes=tuple(sorted(sizes.items())),
        waiting=min(waiting, key=attrgetter("since")) if waiting else None,
    )


def _accounted(segment: Segment) -> Segment:
    """Return a segment; as a gap, if it is of an earlier version, which kept no evidence."""
    told = segment.searched + sum((gap.duration for gap in segment.gaps), timedelta())
    if told == segment.duration:
        return segment
    why = (
        "an earlier version of Homeward searched it, and kept no evidence of that; search it again"
    )
    return segment.given_up(GapReason.GIVEN_UP, why, segment.update_time)


def merged(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return gaps by time; those of a recording that follow each other, for one reason, as one."""
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda one: (one.footage_id, one.start_time)):
        last = joined[-1] if joined else None
        if (
            last is not None
            and (last.footage_id, last.reason, last.detail)
            == (gap.footage_id, gap.reason, gap.detail)
            and gap.start_time <= last.end_time
        ):
            joined[-1] = replace(last, end_time=max(last.end_time, gap.end_time))
        else:
            joined.append(gap)
    return tuple(sorted(joined, key=lambda gap: (gap.start_time, gap.footage_id)))


def _efforts(segments: tuple[Segment, ...]) -> tuple[FootageEffort, ...]:
    searched: dict[str, list[Segment]] = {}
    for segment in segments:
        if segment.state is ScanState.SUCCEEDED and segment.thoroughness is not None:
            searched.setdefault(segment.footage_id, []).append(segment)
    return tuple(
        FootageEffort(
            footage_id=name,
            looked_at=sum((one.looked_at for one in pieces), timedelta()),
            passed_over=sum((one.passed_over for one in pieces), timedelta()),
            thoroughness=tuple(
                dict.fromkeys(one.thoroughness for one in pieces if one.thoroughness)
            ),
        )
        for name, pieces in searched.items()
    )
