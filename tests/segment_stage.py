"""A recording under construction and the scanner that searches it, on fakes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.timeline import Timeline
from homeward.ingestion.scan.faces import Box, Face, Frame, Portrait, Template
from homeward.ingestion.scan.incomparable import IncomparablePeople
from homeward.ingestion.scan.model import Segment
from homeward.ingestion.scan.ports import (
    Closeup,
    FrameFaces,
    Piece,
    SightingDraft,
    Still,
    Undecodable,
)
from homeward.ingestion.scan.segment import CALLS_AT_ONCE, ScannerParts, SegmentScanner
from homeward.ingestion.scan.task import SegmentTask
from homeward.servicekit.executor import BoundedExecutor

NOBODY, ALICE, BOB = 0, 1, 2

RATE = 5.0


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class FakeSource:
    """Plays a list of pictures, and of stretches whose decoding was ended.

    What does not decode is not in the list.
    """

    def __init__(self) -> None:
        self.film: list[Frame | Undecodable] = []
        self.opened: list[tuple[str, Any, Any]] = []
        self.asked: list[list[Piece]] = []
        self.rates: set[float] = set()
        self.played: list[timedelta] = []
        self.closed = False
        self.timeline: Any = None
        """To go by it as the decoder does; a film of pictures 0.2 s apart needs none."""

    @asynccontextmanager
    async def open(self, url: str, video: Any, timeline: Any) -> AsyncGenerator[FakeSource, None]:
        self.opened.append((url, video, timeline))
        try:
            yield self
        finally:
            self.closed = True

    @asynccontextmanager
    async def frames(
        self, pieces: Sequence[Piece], *, rate: float
    ) -> AsyncGenerator[AsyncIterator[Frame | Undecodable], None]:
        self.asked.append(list(pieces))
        self.rates.add(rate)

        async def play() -> AsyncIterator[Frame | Undecodable]:
            for piece in pieces:
                for item in self.film:
                    if self._shows(item, piece):
                        self.played.append(_start(item))
                        yield _within(item, piece.stretch)

        yield play()

    def _shows(self, item: Frame | Undecodable, piece: Piece) -> bool:
        if self.timeline is not None:
            return self._answers(_start(item), piece)
        at, stretch = _start(item), piece.stretch
        if isinstance(item, Undecodable):
            return stretch.start <= at < stretch.end or at < stretch.start < item.end
        rounded = stretch.start - seconds(0.01)  # a decoder may round down by a little
        return at in piece.at if piece.at is not None else rounded <= at < stretch.end

    def _answers(self, at: timedelta, piece: Piece) -> bool:
        """Whether a picture is given as the decoder does: the one that answers for a time."""
        if piece.at is not None:
            return at in map(self.timeline.shown_at, piece.at)
        return self.timeline.shown_at(piece.stretch.start) <= at < piece.stretch.end


def _within(item: Frame | Undecodable, stretch: Stretch) -> Frame | Undecodable:
    if isinstance(item, Frame):
        return item
    start, end = max(item.start, stretch.start), min(item.end, stretch.end)
    return Undecodable(start, end, item.cause)


def _start(item: Frame | Undecodable) -> timedelta:
    return item.start if isinstance(item, Undecodable) else item.offset


@dataclass(frozen=True)
class Shown:
    """The pixels of a fake: who is on them, and when."""

    at: timedelta
    who: int


class FakeFaces:
    """Finds the faces that were put into each picture; a face says itself whose it is."""

    def __init__(self) -> None:
        self.faces: dict[timedelta, list[Face]] = {}
        self.embedded: list[int] = []
        self.closed = False
        self.asked: list[bool] = []
        self.version = "detector-1"
        self.hidden: set[int] = set()
        """Whose faces are not found again on a close-up."""
        self.doubtful: list[Face] = []
        """What is found in each picture of somebody's surroundings."""

    async def detector(self) -> str:
        return self.version

    async def find(
        self, frames: AsyncIterator[Frame | Undecodable], *, thorough: bool
    ) -> AsyncGenerator[list[FrameFaces], None]:
        self.asked.append(thorough)
        try:
            async for item in frames:
                at = None if isinstance(item, Undecodable) else item.offset
                yield [(item, self.faces.get(at, []) if at is not None else [])]
        finally:
            self.closed = True

    async def find_close(self, closeups: Sequence[np.ndarray]) -> list[list[Face]]:
        return [
            []
            if int(image[0, 0, 0]) in self.hidden
            else [Face(Box(0, 0, *image.shape[1::-1]), np.zeros((5, 2), np.float32), 0.9)]
            for image in closeups
        ]

    async def find_everybody(self, pictures: Sequence[np.ndarray]) -> list[list[Face]]:
        return [self.doubtful for _ in pictures]

    async def embed(
        self, aligned: Sequence[np.ndarray], widths_px: Sequence[float]
    ) -> list[Template]:
        assert len(widths_px) == len(aligned)
        self.embedded.append(len(aligned))
        return [
            Template(np.eye(8, dtype=np.float32)[int(crop[0, 0, 0])], "model-1") for crop in aligned
        ]


class FakeImages:
    """Writes who somebody is into their close-up, and who else is there into the still."""

    def __init__(self, faces: FakeFaces) -> None:
        self._faces = faces

    def patch(self, frame: Frame, face: Box) -> np.ndarray:  # noqa: ARG002 - all look the same
        return np.zeros((8, 6), np.float32)

    def thumbnail(self, frame: Frame) -> np.ndarray:
        scene = int(frame.grey[0, 0])
        return np.random.default_rng(scene).uniform(0, 255, (18, 32)).astype(np.float32)

    def selection_quality(self, frame: Frame, face: Face, *, sharpness: bool) -> float:
        del frame, sharpness
        return face.detector_score

    def portrait(self, frame: Frame, face: Box, others: Sequence[Box]) -> Portrait:
        there = {one.box: int(one.landmarks[0, 0]) for one in self._faces.faces[frame.offset]}
        shown: Any = Shown(frame.offset, there[face])
        return Portrait(shown, face, tuple(others))

    def closeup(self, portrait: Portrait, *, wide: bool) -> Closeup:  # noqa: ARG002 - the same for both
        face, shown = portrait.face, _shown(portrait)
        pixels = np.full((round(face.height), round(face.width), 3), shown.who, np.uint8)
        return Closeup(pixels, left=face.x, top=face.y, scale=1.0)

    def aligned(self, portrait: Portrait, face: Face) -> np.ndarray:
        del face
        return np.full((112, 112, 3), _shown(portrait).who, np.uint8)

    def quality(self, aligned: np.ndarray, face: Face) -> float:
        del aligned
        return face.detector_score

    def surroundings(self, portrait: Portrait) -> Sequence[Closeup]:
        del portrait
        return [Closeup(np.zeros((40, 60, 3), np.uint8), left=0, top=0, scale=2.0)]

    def still(self, portrait: Portrait) -> Still:
        shown = _shown(portrait)
        blurred = sorted(int(one.x) for one in (*portrait.others, *portrait.behind))
        told = f"{shown.at.total_seconds():g} {shown.who} {blurred}"
        return Still(told.encode(), portrait.face)


def best_still(draft: SightingDraft) -> bytes:
    """Return the still of the best shot."""
    still = next(one.still for one in draft.stills if one.offset == draft.best_shot)
    assert still is not None
    return still.picture


def _shown(portrait: Portrait) -> Shown:
    assert isinstance(portrait.picture, Shown)
    return portrait.picture


def new_scanner(*, sample_rate: float, gated: bool, **parts: Any) -> SegmentScanner:
    return SegmentScanner(ScannerParts(**parts), sample_rate=sample_rate, gated=gated)


def subjects(segment: Segment) -> list[str]:
    """Whom a search has recorded; the fake's ids of sightings begin with them."""
    return [one.partition("@")[0] for one in segment.sighting_ids]


class Stage:
    """A recording under construction, and the scanner that searches it."""

    def __init__(self, make: Any, scanner: SegmentScanner, parts: dict[str, Any]) -> None:
        self.make = make
        self.scanner = scanner
        self.parts = parts
        self.source: FakeSource = parts["source"]
        self.faces: FakeFaces = parts["faces"]
        self.matcher: Any = parts["matcher"]
        self.reports: list[Segment] = []
        self.problem: Exception | None = None
        self.length = 60.0
        self.media: dict[str, Any] = {}
        self.include_rejected_before: datetime | None = None
        """What is special about the recording."""
        self.requester = ""
        self.timeline: Timeline = make.timeline(self.length, gop=120)

    def empty(self, start: float, end: float, scene: int = 0) -> None:
        """Film from start up to, but without, end."""
        ticks = range(round(start * RATE), round(end * RATE))
        self.source.film += [self.make.frame(tick / RATE, scene) for tick in ticks]

    def films(self, stretches: Sequence[tuple[float, float]]) -> None:
        for start, end in stretches:
            self.empty(start, end)

    def walks(self, who: int, start: float, end: float, **face: Any) -> None:
        """Put somebody into the pictures from start up to, but without, end."""
        for tick in range(round(start * RATE), round(end * RATE)):
            at = seconds(tick / RATE)
            self.faces.faces.setdefault(at, []).append(self.make.face(who=who, **face))

    def crowd(self, who: int, people: int) -> None:
        """Put many who look alike into one picture, a second into the film."""
        for place in range(people):
            self.walks(who, 1, 1.2, x=200 * place)

    async def report(self, segment: Segment) -> None:
        self.reports.append(segment)
        if self.problem is not None:
            raise self.problem

    async def search(
        self, segment: Segment | None = None, scanner: SegmentScanner | None = None
    ) -> Segment:
        self.source.played.clear()
        segment = segment or self.make.segment(0, 10)
        footage = self.make.footage(self.length)
        footage = replace(footage, media=replace(footage.media, **self.media))
        task = SegmentTask(
            "scan-1",
            ("subject-1", "subject-2"),
            footage,
            self.timeline,
            segment,
            self.include_rejected_before,
            self.requester,
        )
        return await (scanner or self.scanner).scan(task, "url", self.report)

    def scanner_with(self, **changes: Any) -> SegmentScanner:
        """The scanner with other settings."""
        self.index = changes.get("presence")
        return new_scanner(**{**self.parts, **changes})

    def quiet(self, active: Sequence[float] = (), until: float = 60) -> None:
        """Give the recording groups of two seconds each, with large pictures where `active`."""
        self.timeline = self.make.timeline(
            until,
            # Key pictures vary, or all of it would look like a constant bit rate.
            key_bytes=(50_000, 70_000, 90_000),
            sizes=lambda at: 3000 if at // 2 * 2 in active else 1000,
        )


@asynccontextmanager
async def built(make: Any, matcher: Any, clock: Any) -> AsyncGenerator[Stage, None]:
    async with BoundedExecutor("pictures", workers=1, queue=CALLS_AT_ONCE - 1) as executor:
        faces = FakeFaces()
        parts = {
            "source": FakeSource(),
            "faces": faces,
            "matcher": matcher,
            "images": FakeImages(faces),
            "presence": None,
            "incomparable": None,
            "executor": executor,
            "clock": clock,
            "sample_rate": RATE,
            "gated": True,
        }
        scanner = new_scanner(**parts)
        yield Stage(make, scanner, parts)


class TimesKept:
    """Takes when somebody was in view who could not be compared."""

    def __init__(self) -> None:
        self.found: list[IncomparablePeople] = []

    async def keep(self, footage_id: str, found: IncomparablePeople) -> None:
        del footage_id
        self.found.append(found)

    async def find(self, footage_id: str, scan_id: str, piece: Stretch) -> None:
        raise NotImplementedError

    @property
    def times(self) -> list[tuple[float, float, bool]]:
        """Of the last search."""
        people = self.found[-1].people
        return [
            (one.start.total_seconds(), one.end.total_seconds(), one.too_small) for one in people
        ]
