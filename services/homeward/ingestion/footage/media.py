"""What a file holds: its picture tracks, times and oddities."""

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
class MediaInfo:
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
