"""The ports of a scan."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.footage.media import Stretch, VideoTrack
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.timeline import Timeline
from homeward.ingestion.scan.faces import Box, Face, Frame, Portrait, Template
from homeward.ingestion.scan.incomparable import IncomparablePeople
from homeward.ingestion.scan.model import Candidate, Drop, Match, MatchPolicy
from homeward.ingestion.scan.presence import Presence


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A stretch of a recording whose decoding was ended."""

    start: timedelta
    end: timedelta
    cause: str
    """Why, as part of a sentence."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a recording to decode, best from a key picture on, and what to return."""

    stretch: Stretch
    at: tuple[timedelta, ...] | None = None
    """Times of the pictures to return, in order; None for the rate that is asked for."""
    small: bool = False
    """Whether only the small copy of each picture is needed: its `picture` is then the copy too."""


class Recording(Protocol):
    """A recording that is open for decoding."""

    def frames(
        self, pieces: Sequence[Piece], *, rate: float
    ) -> AbstractAsyncContextManager[AsyncIterator[Frame | Undecodable]]:
        """Decode pieces of the recording and yield their pictures in the order of their times.

        Several pieces are decoded at a time. Pictures that do not decode are left out; the caller
        sees by the times which pictures are missing.

        Args:
            pieces: In order, without overlap.
            rate: Pictures a second, at most, of pieces that name none.

        Raises:
            UnavailableError: The file cannot be reached.
        """


class FrameSource(Protocol):
    """Decodes recordings."""

    def open(
        self, url: str, video: VideoTrack, timeline: Timeline
    ) -> AbstractAsyncContextManager[Recording]:
        """Open the recording whose file is at `url`."""


class PresenceIndex(Protocol):
    """Where faces were found in recordings by earlier scans."""

    async def find(self, footage_id: str, version: str, piece: Stretch) -> Presence | None:
        """Return the presence of a piece of a recording, if a scan has stored it."""

    async def keep(self, footage: Footage, presence: Presence) -> None:
        """Store a presence, unless the recording has been deleted meanwhile.

        A presence that cannot be written is dropped: a later search detects the faces again.
        """


class IncomparableTimes(Protocol):
    """Times at which somebody was in view whose face could not be compared, by scan."""

    async def keep(self, footage: Footage, found: IncomparablePeople) -> None:
        """Store the times of a segment, unless the recording has been deleted meanwhile."""

    async def find(
        self, footage_id: str, scan_id: str, piece: Stretch
    ) -> IncomparablePeople | None:
        """Return the times of a segment; None when they are not stored."""


FrameFaces = tuple[Frame | Undecodable, Sequence[Face]]
"""A picture and its faces; or a stretch without any, whose decoding was ended."""


class FaceFinder(Protocol):
    """Finds and embeds faces: the embedding service."""

    async def detector(self) -> str:
        """Return the SHA-256 of the detector, hexadecimal: another detector finds other faces."""

    def find(
        self,
        frames: AsyncIterator[Frame | Undecodable],
        *,
        thorough: bool,
    ) -> AsyncGenerator[list[FrameFaces], None]:
        """Yield the pictures with their faces, in order, a few at a time.

        Faces come in pixels of the picture, doubtful ones included. Stretches pass through without
        any.

        Args:
            frames: Of one fixed camera.
            thorough: Search all of each picture. Otherwise only changed parts are searched, and
                unchanged parts keep the faces that were found before.
        """

    async def find_close(self, closeups: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Return the faces in each of some small pictures, BGR, in their pixels."""

    async def find_everybody(self, pictures: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Return whatever may be a face in each of some pictures, BGR, in their pixels.

        Much of it is none: this is for blurring.
        """

    async def embed(
        self, aligned: Sequence[NDArray[np.uint8]], widths_px: Sequence[float]
    ) -> list[Template]:
        """Return one template for each aligned face.

        Args:
            aligned: BGR, shape (112, 112, 3) each.
            widths_px: Of the faces in the pictures that they were cut out of.
        """


@dataclass(frozen=True, slots=True)
class DraftStill:
    """A still of somebody, everybody else unrecognisable."""

    offset: timedelta
    score: float | None
    """Of its picture alone; None when below the threshold."""
    face_height_px: float
    """Pixels of the recording."""
    quality: float
    """In [0, 1]; higher is better."""
    still: Still | None
    """None before it is made."""


@dataclass(frozen=True, slots=True, eq=False)
class SightingDraft:
    """What a scan found, to be recorded as a sighting."""

    scan_id: str
    footage: Footage
    match: Match
    best_shot_score: float | None
    rival_score: float | None
    """Of whoever else is enrolled and most alike; None when nobody else comes near."""
    policy: MatchPolicy
    true_start: datetime
    """True time of the recording's first picture."""
    start: timedelta
    end: timedelta
    best_shot: timedelta
    face_height_px: float
    template: Template
    stills: tuple[DraftStill, ...]
    """In order of time; that of `best_shot` is among them. Before they are made, of all pictures
    that there may be one of."""
    include_rejected_before: datetime | None = None
    """Record the finding even if a reviewer rejected a sighting there before this time."""
    requester: str = ""
    """Who asked for the scan; empty if that is not known."""

    @property
    def time_uncertain(self) -> bool:
        """Whether the recorder's clock had been set before its end, so that its time is a guess."""
        uncertain_from = self.footage.media.uncertain_from
        return uncertain_from is not None and self.end > uncertain_from


MOST_LISTED = 10
"""Subjects that an appearance is listed for, the most alike ones."""


class Matcher(Protocol):
    """Compares with the gallery and records sightings: the matching service."""

    async def match(
        self, probes: Sequence[Template], subject_ids: Sequence[str], *, margin: float = 0.0
    ) -> tuple[list[list[Match]], MatchPolicy]:
        """Return the matches of each probe, most alike first, and the policy in force.

        There are `MOST_LISTED` of a probe and one more, at most.

        Args:
            probes: Templates, all of one model.
            subject_ids: Whom to compare with; empty for all who are looked for.
            margin: Matches up to this much below the policy's threshold are returned too.
        """

    async def join(self, drafts: Sequence[SightingDraft]) -> list[str | Drop | None]:
        """Record sightings whose stills are not made, where none of these is needed.

        Returns:
            For each its id, or why it was not recorded; None if its stills are needed.
        """

    async def record(self, drafts: Sequence[SightingDraft]) -> list[str | Drop]:
        """Record sightings; return for each its id, or why it was not recorded."""

    async def candidates(self, sighting_ids: Sequence[str]) -> list[Candidate]:
        """Return the sightings with these ids that exist, in no order."""

    async def case_references(self, subject_ids: Collection[str]) -> Mapping[str, str]:
        """Return the case references of those of some subjects who are looked for."""

    async def require_searchable(self, subject_ids: Sequence[str]) -> None:
        """Refuse a search without a policy, for subjects that are not open, or for nobody at all.

        Args:
            subject_ids: Whom to look for; empty for all that are open.

        Raises:
            NotFoundError: `SUBJECT_NOT_FOUND`.
            FailedPreconditionError: `SUBJECT_CLOSED`, `NO_OPEN_SUBJECTS`, `POLICY_NOT_APPROVED`,
                `POLICY_EXPIRED`, `POLICY_MODEL_MISMATCH`, `EMBEDDING_MODEL_MISMATCH`,
                `GALLERY_INCOMPLETE`.
        """


class ScanSightingEraser(Protocol):
    """Erases what scans found: the matching service."""

    async def erase_scan_sightings(self, scan_id: str, *, subject_ids: Sequence[str]) -> bool:
        """Erase what a refused scan found, and have nothing recorded that it finds after this.

        Args:
            scan_id: The scan.
            subject_ids: Whom it was for; empty for everybody.

        Returns:
            Whether all of it is erased.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Closeup:
    """A face and a little around it."""

    image: NDArray[np.uint8]
    """BGR, shape (height, width, 3)."""
    left: float
    """Where its left edge is in the picture that it is cut from, pixels of that."""
    top: float
    scale: float
    """Its pixels per pixel of that picture."""


@dataclass(frozen=True, slots=True)
class Still:
    """A picture of somebody to look at."""

    picture: bytes
    """JPEG, everybody else unrecognisable."""
    face: Box
    """Of the person, pixels of the picture."""
    covered: float = 0.0
    """Share of it, in [0, 1], that is behind or before somebody else's face."""


class Work(Protocol):
    """A segment to search, taken from the queue."""

    @property
    def scan_id(self) -> str:
        """The scan that it belongs to."""

    @property
    def recording(self) -> int:
        """Number of its recording in the scan, from 0."""

    @property
    def segment(self) -> int:
        """Its own number in the scan, from 0."""

    @property
    def attempt(self) -> int:
        """How often it was taken, from 1."""

    @property
    def trace(self) -> Mapping[str, str]:
        """The trace that the scan was asked for in, see `tracing.carried`; empty without one."""

    async def done(self) -> None:
        """Remove it from the queue."""

    async def retry(self, *, at_once: bool = False) -> None:
        """Give it back, to be taken again in a moment, or at once."""

    async def extend(self) -> None:
        """Say that it is still being worked on."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Amount of queued work."""

    waiting: int
    """Segments that nobody has taken, or that were given back."""
    in_flight: int
    """Segments that a scanner has."""


class WorkQueue(Protocol):
    """Segments that wait for a scanner. Delivered at least once; each scan has its turn."""

    async def put(self, scan_id: str, recording: int, segments: Sequence[int]) -> None:
        """Add segments of a recording; the same ones again within the hour are dropped.

        Args:
            scan_id: The scan that they belong to.
            recording: Number of the recording in the scan.
            segments: Numbers of the segments in the scan.
        """

    async def take(self) -> Work | None:
        """Wait a few seconds for a segment; None when there is none.

        The scans that have some take turns, whenever they were created and however large they are.
        """

    async def drop(self, scan_id: str) -> list[int]:
        """Remove queued segments of a scan, all or many of them; return their numbers."""

    async def backlog(self) -> Backlog:
        """Return the amount of queued work."""

    async def ping(self) -> None:
        """Return when the queue answers."""


class PlanWork(Protocol):
    """A scan to plan, taken from the queue."""

    @property
    def scan_id(self) -> str:
        """The scan."""

    @property
    def attempt(self) -> int:
        """How often it was taken, from 1."""

    @property
    def trace(self) -> Mapping[str, str]:
        """The trace that the scan was asked for in, see `tracing.carried`; empty without one."""

    async def done(self) -> None:
        """Remove it from the queue."""

    async def retry(self) -> None:
        """Give it back, to be taken again in a moment."""

    async def extend(self) -> None:
        """Say that it is still being worked on."""


class PlanQueue(Protocol):
    """Scans that wait to be planned, in the order in which they came. Delivered at least once."""

    async def put(
        self, scan_id: str, revision: int, *, trace: Mapping[str, str] | None = None
    ) -> None:
        """Add a scan, behind those that wait; the same once more within the hour is dropped.

        Args:
            scan_id: The scan.
            revision: Of its plan, which the next one goes on from.
            trace: That it belongs to, see `tracing.carried`; None for the current one.
        """

    async def take(self) -> PlanWork | None:
        """Wait a few seconds for a scan; None when there is none."""


class FaceImages(Protocol):
    """Operations on pixels."""

    def thumbnail(self, frame: Frame) -> NDArray[np.float32]:
        """Return the picture very small: grey levels 0 to 255, the same shape for a recording."""

    def patch(self, frame: Frame, face: Box) -> NDArray[np.float32]:
        """Return somebody's head and shoulders very small: grey levels 0 to 255, of one shape."""

    def selection_quality(self, frame: Frame, face: Face, *, sharpness: bool) -> float:
        """Return how well a face serves recognition, in [0, 1]; higher is better.

        Args:
            frame: The picture.
            face: The face in it.
            sharpness: Whether to measure the sharpness; otherwise the face counts as sharp.
        """

    def portrait(self, frame: Frame, face: Box, others: Sequence[Box]) -> Portrait:
        """Return a person's surroundings, to compare them and to make a still of."""

    def closeup(self, portrait: Portrait, *, wide: bool) -> Closeup:
        """Return the face of a portrait and a little around it, at a size that suits a detector.

        Args:
            portrait: What it is cut from.
            wide: Whether to include more around it, for a face that was not detected before.
        """

    def aligned(self, portrait: Portrait, face: Face) -> NDArray[np.uint8]:
        """Return a face upright, as the recogniser takes it: BGR, shape (112, 112, 3).

        Args:
            portrait: What it is in.
            face: In pixels of the portrait's picture.
        """

    def quality(self, aligned: NDArray[np.uint8], face: Face) -> float:
        """Return how well an aligned face serves recognition, in [0, 1]; higher is better."""

    def surroundings(self, portrait: Portrait) -> Sequence[Closeup]:
        """Return all of a portrait, at sizes at which a detector finds faces small and large."""

    def still(self, portrait: Portrait) -> Still:
        """Return the still of a person, with every other face blurred."""
