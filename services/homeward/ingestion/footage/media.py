"""Facts about a media file: its picture tracks, times and findings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


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
    """The track of a file that is searched, and how its pictures are shown."""

    track: int = 0
    """Index of the track among all tracks of the file."""
    orientation: Orientation = Orientation()
    pixel_aspect: float = 1.0
    """Width of a stored pixel, in parts of its height."""


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The picture track of a recording."""

    codec: str
    width: int
    """Width as shown, upright and with square pixels."""
    height: int
    average_frame_rate: float
    frame_count: int
    key_frame_count: int
    anchor_rate: float = 0.0
    """Pictures a second that are decoded without those predicted from both sides (B pictures),
    measured where the recording begins; 0 when it is not known."""
    reference_rate: float = 0.0
    """Pictures a second that others are decoded from, likewise."""
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
    REST_UNREAD = "rest unread"
    PICTURES_DAMAGED = "pictures damaged"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd about a recording, and where."""

    problem: FootageProblem
    detail: str
    """For a reader; no name of a file or machine."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Facts about a file, found by examining it."""

    video: VideoTrack
    duration: timedelta
    """From the first to the end of the last picture."""
    problems: tuple[FootageProblem, ...] = ()
    missing: timedelta = timedelta()
    """How much longer the file says that it is than it plays."""
    findings: tuple[Finding, ...] = ()
    """Oddities of the file."""
    holes: tuple[Stretch, ...] = ()
    """Stretches without a picture."""
    keyless: tuple[Stretch, ...] = ()
    """Stretches from a key picture to the next one or the end with more than `RARE_KEY_PICTURES`
    pictures: a search that begins inside one decodes from its key picture on."""
    uncertain_from: timedelta | None = None
    """From where on its times are uncertain, because its clock was set; None if they are not."""
    version: int = 0
    """Version of the examination; `timeline.VERSION`."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a recording."""

    start: timedelta
    """From the recording's first picture."""
    end: timedelta
    """Exclusive end, from the recording's first picture."""

    @property
    def duration(self) -> timedelta:
        """How long it plays."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class PacketGroup:
    """Sizes in the file of a key picture and of the pictures up to the next one.

    Movement makes pictures larger, so the sizes show where something happens, without decoding.
    """

    start: float
    """Presentation time of the key picture, seconds from the recording's first picture."""
    key_bytes: int
    sizes: tuple[int, ...]
    """Bytes of the pictures after it, by the second in which they are shown, from `start`."""
    pictures: tuple[int, ...]
    """How many pictures that are."""
