from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.footage.layout import footage_folder
from homeward.ingestion.footage.media import Presentation, Stretch
from homeward.ingestion.footage.timeline import VERSION, Spans, Timeline
from homeward.ingestion.scan.compare import MOST_WAITING
from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX, FaceSizes
from homeward.ingestion.scan.faces import Box, Face, Frame, Portrait, Template
from homeward.ingestion.scan.follow import BEGIN_SCORE
from homeward.ingestion.scan.incomparable import IncomparablePeople, IncomparablePerson
from homeward.ingestion.scan.model import Counts, GapReason, Match, ScanState, Segment, Thoroughness
from homeward.ingestion.scan.ports import (
    Closeup,
    FrameFaces,
    Piece,
    SightingDraft,
    Still,
    Undecodable,
)
from homeward.ingestion.scan.presence_index import StoredPresenceIndex
from homeward.ingestion.scan.segment import CALLS_AT_ONCE, ScannerParts, SegmentScanner
from homeward.ingestion.scan.shots import MAX_SHOTS
from homeward.ingestion.scan.task import SegmentTask
from homeward.ingestion.scan.tracking import TAIL
from homeward.servicekit import errors
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
    return next(one.picture for one in draft.stills if one.offset == draft.best_shot)


def _shown(portrait: Portrait) -> Shown:
    assert isinstance(portrait.picture, Shown)
    return portrait.picture


def new_scanner(*, sample_rate: float, gated: bool, **parts: Any) -> SegmentScanner:
    return SegmentScanner(ScannerParts(**parts), sample_rate=sample_rate, gated=gated)


def subjects(segment: Segment) -> list[str]:
    """Whom a search has recorded; the fake's ids of sightings begin with them."""
    return [one.partition("@")[0] for one in segment.sighting_ids]


class CountingExecutor(BoundedExecutor):
    """Counts the calls that are in a thread or wait for one."""

    most = 0
    """At a time."""
    _calls = 0

    async def run(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        self._calls += 1
        self.most = max(self.most, self._calls)
        try:
            return await super().run(call, *args, **kwargs)
        finally:
            self._calls -= 1


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


@pytest.fixture
async def stage(make: Any, matcher: Any, clock: Any) -> AsyncIterator[Stage]:
    async with built(make, matcher, clock) as stage:
        yield stage


async def test_one_appearance_is_one_sighting(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)

    done = await stage.search()

    (sighted,) = stage.matcher.drafts
    assert (sighted.start, sighted.end) == (seconds(2), seconds(5.8 + 1 / 25))
    assert (sighted.match.subject_id, sighted.scan_id) == ("subject-1", "scan-1")
    assert subjects(done) == ["subject-1"]
    widths = FaceSizes.of([40])
    assert done.counts == Counts(frames=50, faces=20, appearances=1, sizes=widths)


async def test_a_sighting_carries_what_rejections_it_takes_back_and_who_asked(stage: Stage) -> None:
    stage.include_rejected_before = stage.make.now
    stage.requester = "anne@force"
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)

    await stage.search()

    (sighted,) = stage.matcher.drafts
    assert sighted.include_rejected_before == stage.make.now
    assert sighted.requester == "anne@force"


async def test_a_sighting_carries_its_best_shot(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 4, sure=0.7)
    stage.walks(ALICE, 4, 4.2, sure=0.95, width=48)
    stage.walks(ALICE, 4.2, 6, sure=0.7)

    await stage.search()

    (sighted,) = stage.matcher.drafts
    assert (sighted.best_shot, best_still(sighted)) == (seconds(4), b"4 1 []")
    assert (sighted.face_height_px, sighted.best_shot_score) == (60, 0.8)


async def test_the_others_in_the_picture_are_named_to_be_blurred(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    stage.walks(BOB, 2, 3, x=600)
    stage.walks(NOBODY, 2, 3, x=900, sure=0.35)

    await stage.search()

    told = [best_still(one) for one in stage.matcher.drafts]
    assert told == [b"2 1 [600, 900]", b"2 2 [100, 900]"]


async def test_who_matches_nobody_leaves_only_a_count(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(NOBODY, 2, 6)

    done = await stage.search()

    assert stage.matcher.drafts == []
    assert done.sighting_ids == ()
    assert (done.counts.appearances, done.counts.discarded) == (1, 1)


async def test_a_sighting_that_was_rejected_before_is_no_candidate(stage: Stage) -> None:
    stage.matcher.rejected.add("subject-1")
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)

    done = await stage.search()

    assert done.sighting_ids == ()
    assert (done.counts.appearances, done.counts.discarded) == (1, 0)
    assert (done.counts.dropped, done.counts.closed) == (1, 0)


async def test_a_match_of_a_subject_that_was_closed_is_not_counted_as_rejected(
    stage: Stage,
) -> None:
    stage.matcher.closed.add("subject-1")
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)

    done = await stage.search()

    assert done.sighting_ids == ()
    assert (done.counts.dropped, done.counts.closed) == (1, 1)


async def test_a_recording_that_was_removed_meanwhile_was_not_searched(stage: Stage) -> None:
    stage.matcher.footage_removed = True
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)

    with pytest.raises(errors.NotFoundError) as refused:
        await stage.search()

    assert refused.value.reason is errors.Reason.FOOTAGE_NOT_FOUND


async def test_only_the_subjects_of_the_scan_are_looked_for(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    looked_for = ("subject-1", "subject-2")
    # Of a candidate alone it is asked who else is alike to it, whoever that is.
    assert stage.matcher.asked_for == [looked_for, looked_for, ()]


async def test_a_sighting_tells_how_alike_somebody_else_is(stage: Stage) -> None:
    stage.matcher.near = [Match("subject-7", "photo-7", 0.4), Match("subject-8", "photo-8", 0.3)]
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    (sighted,) = stage.matcher.drafts
    assert (sighted.match.subject_id, sighted.rival_score) == ("subject-1", 0.4)


async def test_where_nobody_else_is_near_a_sighting_tells_of_nobody(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    assert [one.rival_score for one in stage.matcher.drafts] == [None]


async def test_without_faces_nobody_is_asked(stage: Stage) -> None:
    stage.empty(0, 10)

    done = await stage.search()

    assert (stage.matcher.asked_for, stage.faces.embedded) == ([], [])
    assert (done.state, done.position, done.counts) == (
        ScanState.SUCCEEDED,
        seconds(10),
        Counts(frames=50),
    )


async def test_somebody_who_comes_back_later_appears_twice(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 1, 3)
    stage.walks(ALICE, 6, 8)

    done = await stage.search()

    assert [one.start for one in stage.matcher.drafts] == [seconds(1), seconds(6)]
    assert done.counts.appearances == 2


async def test_a_cut_ends_every_appearance(stage: Stage) -> None:
    stage.empty(0, 5, scene=1)
    stage.empty(5, 10, scene=2)
    stage.walks(ALICE, 4, 5)
    stage.walks(BOB, 5, 6)

    await stage.search()

    assert [(one.match.subject_id, one.start) for one in stage.matcher.drafts] == [
        ("subject-1", seconds(4)),
        ("subject-2", seconds(5)),
    ]


async def test_a_person_in_view_across_the_end_is_one_appearance(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 8, 13)

    done = await stage.search()

    (sighted,) = stage.matcher.drafts
    assert (sighted.start, sighted.end) == (seconds(8), seconds(12.8 + 1 / 25))
    assert (done.position, done.counts) == (
        seconds(10),
        Counts(frames=50, faces=10, appearances=1, sizes=FaceSizes.of([40])),
    )


async def test_a_person_who_begins_after_the_end_belongs_to_the_next_segment(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 8, 13)
    stage.walks(BOB, 11, 12, x=600)

    await stage.search()

    assert [one.match.subject_id for one in stage.matcher.drafts] == ["subject-1"]


async def test_nothing_is_looked_at_beyond_the_end_when_nobody_is_in_view(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    assert len(stage.source.played) == 51


async def test_nothing_is_decoded_beyond_the_end_after_a_gap(stage: Stage) -> None:
    stage.length = 120
    stage.empty(0, 75)
    stage.walks(ALICE, 57, 59.6)
    stage.walks(ALICE, 64, 66)
    stage.quiet(active=[56, 58, 60, 64], until=120)

    await stage.search(stage.make.segment(0, 60))

    assert stage.source.asked[-1][-1].stretch.end == seconds(62)
    assert len(stage.matcher.drafts) == 1


async def test_a_person_who_stays_is_followed_only_so_far_beyond_the_end(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(ALICE, 8, 60)

    await stage.search()

    assert stage.source.asked[-1] == [Piece(Stretch(seconds(0), seconds(10) + TAIL))]
    assert stage.source.rates == {RATE}
    assert seconds(10) < stage.matcher.drafts[0].end <= seconds(10) + TAIL


async def test_nothing_is_asked_for_beyond_the_recording(stage: Stage) -> None:
    stage.length = 12

    await stage.search()

    assert stage.source.asked[-1] == [Piece(Stretch(seconds(0), seconds(12)))]


@pytest.mark.parametrize(
    ("width", "counts"),
    [
        (MIN_FACE_WIDTH_PX, Counts(50, 20, 1, 0, 0, sizes=FaceSizes.of([24]))),
        (MIN_FACE_WIDTH_PX - 0.5, Counts(50, 20, 0, 0, 1, sizes=FaceSizes.of([23]))),
    ],
)
async def test_who_is_seen_only_too_small_is_not_compared(
    stage: Stage, width: float, counts: Counts
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6, width=width)

    done = await stage.search()

    assert done.counts == counts


async def test_a_doubtful_face_begins_no_appearance(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6, sure=BEGIN_SCORE - 0.01)

    done = await stage.search()

    assert done.counts == Counts(frames=50)


async def test_a_doubtful_face_continues_an_appearance(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3, sure=0.9)
    stage.walks(ALICE, 3, 6, sure=0.4)

    await stage.search()

    assert stage.matcher.drafts[0].end == seconds(5.8 + 1 / 25)


async def test_the_people_of_a_track_that_jumped_are_compared_apart(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 4)
    stage.walks(BOB, 4, 6)

    done = await stage.search()

    found = [(one.match.subject_id, one.start, one.end) for one in stage.matcher.drafts]
    # Half-way between the last picture of one and the first of the other, and to a picture's end.
    assert found == [
        ("subject-1", seconds(2), seconds(3.52)),
        ("subject-2", seconds(3.5), seconds(5.84)),
    ]
    assert done.counts.appearances == 2


async def test_a_long_appearance_is_embedded_from_few_pictures(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 0, 10)

    await stage.search()

    assert 2 < sum(stage.faces.embedded) <= MAX_SHOTS


async def test_who_is_like_nobody_is_embedded_from_two_pictures(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(NOBODY, 0, 10)

    await stage.search()

    assert stage.faces.embedded == [2]


async def test_appearances_that_end_together_are_compared_together(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.crowd(NOBODY, MOST_WAITING + 1)
    stage.walks(ALICE, 5, 5.2)

    done = await stage.search()

    assert sorted(stage.faces.embedded) == [1, MOST_WAITING + 1]
    assert done.counts.appearances == MOST_WAITING + 2


async def test_what_a_search_does_at_a_time_has_room(stage: Stage) -> None:
    stage.empty(0, 20)
    for start in range(1, 10):
        stage.walks(ALICE, start, start + 0.4, x=400 * (start % 3))
        stage.walks(ALICE, start, start + 0.4, x=400 * (start % 3) + 200)
    async with CountingExecutor("pictures", workers=1, queue=CALLS_AT_ONCE - 1) as executor:
        done = await stage.search(scanner=stage.scanner_with(executor=executor))

    assert done.counts.appearances == len(stage.matcher.drafts) == 18
    assert 2 < executor.most <= CALLS_AT_ONCE  # a scanner had room for two


async def test_a_damaged_stretch_is_a_gap_in_true_time(stage: Stage) -> None:
    stage.empty(0, 4)
    stage.empty(7, 10)

    done = await stage.search()

    ((start, end, reason),) = [(gap.start_time, gap.end_time, gap.reason) for gap in done.gaps]
    assert (start, end) == (stage.make.recorded + seconds(4), stage.make.recorded + seconds(7))
    assert reason is GapReason.UNDECODABLE
    assert done.state is ScanState.SUCCEEDED
    assert (done.looked_at, done.passed_over) == (seconds(7), seconds(0))


async def test_a_gap_tells_why_decoding_was_ended(stage: Stage) -> None:
    stage.empty(0, 4)
    stage.source.film.append(Undecodable(seconds(4), seconds(7), "it crashed the decoder"))
    stage.empty(7, 10)

    done = await stage.search()

    assert [(gap.duration, gap.detail) for gap in done.gaps] == [
        (seconds(3), "decoding was ended: it crashed the decoder")
    ]


async def test_where_the_recording_has_no_pictures_it_has_a_gap(stage: Stage) -> None:
    stage.empty(0, 4)
    stage.empty(7, 10)
    pictures = [number / 25 for number in range(250) if not 100 <= number < 175]
    stage.timeline = stage.make.timeline_at(pictures)

    done = await stage.search()

    ((reason, start, length),) = [(gap.reason, gap.start_time, gap.duration) for gap in done.gaps]
    assert reason is GapReason.NO_PICTURES
    assert (start, length) == (stage.make.recorded + seconds(4), seconds(3))


@pytest.mark.parametrize(
    ("film", "gap"),
    [([(7, 10)], (5, 7)), ([(5, 8)], (8, 10)), ([], (5, 10))],
    ids=["from before", "to after", "all of it"],
)
@pytest.mark.parametrize("ended", [[], [Undecodable(seconds(0), seconds(14), "it crashed")]])
async def test_a_gap_ends_where_its_segment_ends(
    stage: Stage, film: Any, gap: tuple[float, float], ended: Any
) -> None:
    stage.source.film += ended
    stage.films(film)

    done = await stage.search(stage.make.segment(5, 10))

    assert [(one.start_time, one.end_time) for one in done.gaps] == [
        tuple(stage.make.recorded + seconds(at) for at in gap)
    ]


@pytest.mark.parametrize("stretch", [(0, 5), (10, 12)])
async def test_damage_outside_of_a_segment_is_no_gap_of_it(
    stage: Stage, stretch: tuple[float, float]
) -> None:
    stage.empty(5, 10)
    stage.source.film.append(Undecodable(*map(seconds, stretch), "it crashed"))

    done = await stage.search(stage.make.segment(5, 10))

    assert (done.gaps, done.looked_at) == ((), seconds(5))


async def test_progress_is_reported_after_each_picture(stage: Stage) -> None:
    stage.empty(0, 1)
    stage.walks(ALICE, 0.4, 1)

    await stage.search()

    positions = [report.position for report in stage.reports]
    assert positions == [seconds(tick / RATE) for tick in range(5)]
    assert [report.counts.faces for report in stage.reports] == [0, 0, 1, 2, 3]
    assert {report.state for report in stage.reports} == {ScanState.RUNNING}


async def test_progress_never_goes_beyond_the_segment(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 8, 13)

    await stage.search()

    assert max(report.done for report in stage.reports) == seconds(10)


async def test_progress_never_begins_before_the_segment(stage: Stage) -> None:
    stage.source.film.append(stage.make.frame(4.995))

    await stage.search(stage.make.segment(5, 10))

    assert stage.reports[0].done == seconds(0)


async def test_candidates_are_reported_as_they_are_found(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.crowd(ALICE, 3)

    await stage.search()

    assert stage.reports[-1].sighting_ids


async def test_what_a_report_raises_ends_the_search(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 0, 10)
    stage.problem = RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        await stage.search()

    assert stage.source.closed
    assert stage.faces.closed
    assert stage.matcher.drafts == []


async def test_a_matcher_that_does_not_answer_ends_the_search(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)
    stage.matcher.problem = errors.unavailable("matching", "somewhere", "start it")

    with pytest.raises(errors.UnavailableError):
        await stage.search()


async def test_a_segment_that_is_searched_again_counts_only_once(stage: Stage) -> None:
    stage.empty(0, 4)
    stage.empty(7, 10)
    stage.walks(NOBODY, 1, 2)
    first = await stage.search()

    broke_off = replace(first, state=ScanState.RUNNING, position=seconds(9))
    again = await stage.search(broke_off)

    assert (again.counts, again.gaps) == (first.counts, first.gaps)


def passed_over(stage: Stage) -> list[float]:
    """Seconds of the film whose pictures were not played in the last search."""
    played = {int(at.total_seconds()) for at in stage.source.played}
    return [second for second in range(60) if second not in played]


async def test_only_where_packets_rise_is_decoded(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(ALICE, 21, 23)
    stage.quiet(active=[20, 22])

    done = await stage.search(stage.make.segment(0, 60))

    (sighted,) = stage.matcher.drafts
    assert (sighted.start, sighted.end) == (seconds(21), seconds(22.8 + 1 / 25))
    assert (done.thoroughness, done.looked_at) == (Thoroughness.GATED, seconds(4))
    assert done.passed_over == seconds(56)
    assert stage.source.asked[-1] == [
        Piece(Stretch(seconds(20), seconds(22))),
        Piece(Stretch(seconds(22), seconds(24))),
    ]


async def test_what_was_passed_over_counts_as_searched(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.quiet(active=[20])

    done = await stage.search(stage.make.segment(0, 60))

    assert (done.state, done.position, done.gaps) == (ScanState.SUCCEEDED, seconds(60), ())
    assert len(passed_over(stage)) > 40


async def test_who_stands_still_is_found_by_a_look(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(ALICE, 30, 36)
    stage.quiet()

    done = await stage.search(stage.make.segment(0, 60))

    assert subjects(done) == ["subject-1"]
    assert done.looked_at < seconds(20)
    assert done.searched == seconds(60)


async def test_a_poster_is_looked_at_once(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(NOBODY, 0, 60)
    stage.quiet()

    done = await stage.search(stage.make.segment(0, 60))

    assert seconds(0) < done.looked_at <= seconds(8)


async def test_a_look_that_does_not_decode_is_decoded_in_full_and_told(stage: Stage) -> None:
    stage.empty(0, 16)
    stage.empty(24, 60)
    stage.quiet()

    done = await stage.search(stage.make.segment(0, 60))

    (gap,) = done.gaps
    assert (gap.start_time, gap.end_time) == (
        stage.make.recorded + seconds(16),
        stage.make.recorded + seconds(24),
    )


async def test_without_the_gate_all_of_every_picture_is_searched(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.quiet()
    scanner = stage.scanner_with(gated=False)

    done = await stage.search(stage.make.segment(0, 60), scanner)

    assert (done.thoroughness, done.looked_at) == (Thoroughness.SWITCHED_OFF, seconds(60))
    assert passed_over(stage) == []
    assert stage.faces.asked == [True]


async def test_of_intra_only_footage_only_the_sampled_pictures_are_decoded(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.length = 10
    stage.timeline = stage.make.timeline(10, gop=1 / 25, key_bytes=(90_000,))

    done = await stage.search()

    assert done.thoroughness is Thoroughness.INTRA_ONLY
    pieces = stage.source.asked[-1]
    assert len(pieces) == 50
    assert all(piece.at == (piece.stretch.start,) for piece in pieces)


@pytest.fixture
def presence(stage: Stage, bucket: Any) -> StoredPresenceIndex:
    """The index of a recording that is there."""
    index = StoredPresenceIndex(bucket)
    stage.scanner = stage.scanner_with(presence=index)
    return index


@pytest.fixture
async def kept(bucket: Any, make: Any) -> str:
    """The folder of a recording whose manifest is in the store."""
    folder = footage_folder(make.footage().footage_id)
    await bucket.put(f"{folder}manifest.json", b"{}", content_type="application/json")
    return f"{folder}"


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_decodes_only_where_faces_were(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(NOBODY, 4, 6)
    stage.walks(ALICE, 20.6, 21.6)
    stage.quiet(active=[4, 20])
    segment = stage.make.segment(0, 60)
    first = await stage.search(segment)

    again = await stage.search(segment)

    assert again.thoroughness is Thoroughness.PRESENCE
    assert 0 < again.counts.frames < first.counts.frames
    assert again.sighting_ids == first.sighting_ids
    assert again.counts == replace(first.counts, frames=again.counts.frames)
    asked = {at for piece in stage.source.asked[-1] for at in piece.at or ()}
    assert asked == set(stage.source.played)
    assert asked < set(stage.faces.faces)


def presence_failures() -> float:
    return REGISTRY.get_sample_value("homeward_scan_presence_failures_total") or 0.0


@pytest.mark.usefixtures("presence", "kept")
@pytest.mark.parametrize("call", ["put", "stat"])
async def test_a_store_that_is_full_makes_no_search_fail_for_the_index(
    stage: Stage, bucket: Any, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    async def is_full(*_: object, **__: object) -> None:
        raise errors.unavailable("S3", "http://s3:1", "it is full")

    before = presence_failures()
    monkeypatch.setattr(bucket, call, is_full)
    done = await stage.search()
    monkeypatch.undo()

    assert done.state is ScanState.SUCCEEDED
    assert len(done.sighting_ids) == 1
    assert presence_failures() == before + 1


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_covers_what_the_first_one_did(stage: Stage) -> None:
    stage.empty(0, 40)
    stage.empty(43, 60)
    stage.walks(ALICE, 20.6, 21.6)
    stage.quiet(active=[20, 38, 40, 42])
    segment = stage.make.segment(0, 60)
    first = await stage.search(segment)

    again = await stage.search(segment)

    assert first.gaps
    assert (again.looked_at, again.passed_over, again.gaps) == (
        first.looked_at,
        first.passed_over,
        first.gaps,
    )


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_detects_nobody_anew(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)
    await stage.search()
    stage.faces.asked.clear()

    done = await stage.search()

    assert stage.faces.asked == []
    assert subjects(done) == ["subject-1"]


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_finds_somebody_who_was_not_looked_for(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(BOB, 2, 6)
    known = stage.matcher.match
    stage.matcher.match = stage.matcher.nobody
    await stage.search()
    stage.matcher.match = known

    done = await stage.search()

    (sighted,) = stage.matcher.drafts
    assert (sighted.start, sighted.end) == (seconds(2), seconds(5.8 + 1 / 25))
    assert subjects(done) == ["subject-2"]


async def test_whatever_may_be_a_face_beside_a_candidate_is_blurred(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    landmarks = np.zeros((5, 2), np.float32)
    stage.faces.doubtful = [
        Face(Box(1400, 300, 40, 50), landmarks, 0.16),
        Face(Box(240, 200, 60, 80), landmarks, 0.2),  # at her own ear
        Face(Box(200, 120, 80, 100), landmarks, 0.4),  # her own hair
    ]

    await stage.search()

    assert [best_still(one) for one in stage.matcher.drafts] == [b"2 1 [700]"]


async def test_who_surely_looks_over_a_candidates_head_is_blurred(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    stage.faces.doubtful = [Face(Box(200, 120, 80, 100), np.zeros((5, 2), np.float32), 0.7)]

    await stage.search()

    assert [best_still(one) for one in stage.matcher.drafts] == [b"2 1 [100]"]


async def test_who_is_missed_in_a_picture_is_blurred_where_they_were(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 2.2, sure=0.7)
    stage.walks(ALICE, 2.2, 2.4, sure=0.95)
    stage.walks(ALICE, 2.4, 2.6, sure=0.7)
    stage.walks(BOB, 2, 2.2, x=600)
    stage.walks(BOB, 2.4, 2.6, x=620)

    await stage.search()

    alice = next(one for one in stage.matcher.drafts if one.match.subject_id == "subject-1")
    blurred = 610 - 0.2 * 40
    assert best_still(alice) == f"2.2 1 [{int(blurred)}]".encode()


async def test_somebody_has_up_to_six_stills_in_order_of_time(stage: Stage) -> None:
    stage.empty(0, 20)
    stage.walks(ALICE, 2, 12)

    await stage.search()

    (sighted,) = stage.matcher.drafts
    offsets = [one.offset for one in sighted.stills]
    assert offsets == sorted(offsets)
    assert 3 <= len(offsets) <= MAX_SHOTS
    assert offsets[-1] - offsets[0] > seconds(5)
    assert sighted.best_shot in offsets


@pytest.mark.usefixtures("presence", "kept")
async def test_the_others_are_blurred_in_a_second_search_too(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    stage.walks(NOBODY, 2, 3, x=900, sure=0.35)
    await stage.search()

    await stage.search()

    assert [best_still(one) for one in stage.matcher.drafts] == [b"2 1 [900]"] * 2


@pytest.mark.usefixtures("presence")
async def test_the_index_holds_times_and_boxes_and_nothing_else(
    stage: Stage, bucket: Any, kept: str
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    (item,) = await bucket.objects(f"{kept}presence/")
    written = json.loads(await bucket.get(item.key))
    (person,) = written["people"]
    assert set(written) == {"version", "stretch", "people", "coverage"}
    assert set(written["coverage"]) == {"looked_at", "passed_over", "gaps"}
    assert set(person) == {"start", "end", "sights", "widest", "shots"}
    assert {frozenset(shot) for shot in person["shots"]} == {
        frozenset({"offset", "box", "others", "quality"})
    }


@pytest.mark.usefixtures("presence", "kept")
async def test_gaps_and_small_faces_are_told_again(stage: Stage) -> None:
    stage.empty(0, 4)
    stage.empty(7, 10)
    stage.walks(NOBODY, 1, 2, width=MIN_FACE_WIDTH_PX - 1)
    first = await stage.search()

    again = await stage.search()

    assert again.thoroughness is Thoroughness.PRESENCE
    assert (again.gaps, again.counts.incomparable) == (first.gaps, 1)
    assert again.counts.sizes == first.counts.sizes == FaceSizes.of([23])


@pytest.mark.usefixtures("presence", "kept")
@pytest.mark.parametrize(
    "change",
    [
        lambda stage: setattr(stage.faces, "version", "detector-2"),
        lambda stage: setattr(
            stage, "scanner", stage.scanner_with(presence=stage.index, sample_rate=4.0)
        ),
        lambda stage: stage.media.update(version=VERSION + 1),
        lambda stage: stage.media.update(
            video=replace(stage.make.media().video, presentation=Presentation(pixel_aspect=2.0))
        ),
    ],
    ids=["another detector", "another rate", "another timeline", "another shape of pixels"],
)
async def test_an_index_of_other_makings_is_ignored(stage: Stage, change: Any) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    await stage.search()

    change(stage)
    done = await stage.search()

    assert done.thoroughness is not Thoroughness.PRESENCE


@pytest.mark.usefixtures("presence", "kept")
async def test_an_index_of_another_piece_is_ignored(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 2, 3)
    stage.walks(BOB, 12, 13)
    await stage.search(stage.make.segment(0, 20))

    more = await stage.search(stage.make.segment(0, 30))
    less = await stage.search(stage.make.segment(10, 20))

    assert more.thoroughness is not Thoroughness.PRESENCE
    assert less.thoroughness is not Thoroughness.PRESENCE


@pytest.mark.usefixtures("presence", "kept")
async def test_an_index_serves_every_window_of_its_piece(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 2, 3)
    stage.walks(BOB, 12, 13)
    await stage.search(stage.make.segment(0, 30, window=(0, 5)))

    other = await stage.search(stage.make.segment(0, 30, window=(10, 20)))

    assert other.thoroughness is Thoroughness.PRESENCE
    assert subjects(other) == ["subject-2"]
    assert (other.looked_at, other.counts.faces) == (seconds(10), 5)


@pytest.mark.usefixtures("presence", "kept")
@pytest.mark.parametrize("instead", [[], [Undecodable(seconds(2), seconds(2.2), "it crashed")]])
async def test_a_search_that_misses_somebody_it_knows_of_is_done_in_full(
    stage: Stage, instead: list[Any]
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    await stage.search()
    stage.source.film[10:11] = instead

    done = await stage.search()

    assert done.thoroughness is not Thoroughness.PRESENCE
    assert subjects(done) == ["subject-1"]


@pytest.mark.usefixtures("presence")
async def test_nothing_is_written_beside_a_recording_that_is_gone(
    stage: Stage, bucket: Any
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    assert await bucket.objects("") == []


@pytest.mark.usefixtures("presence")
async def test_a_search_that_broke_off_writes_nothing(stage: Stage, bucket: Any, kept: str) -> None:
    stage.empty(0, 10)
    stage.problem = RuntimeError("enough")
    with pytest.raises(RuntimeError):
        await stage.search()

    assert await bucket.objects(f"{kept}presence/") == []


async def test_who_is_found_on_no_close_up_is_incomparable(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)
    stage.walks(BOB, 2, 6, x=600)
    stage.faces.hidden.add(ALICE)

    done = await stage.search()

    assert subjects(done) == ["subject-2"]
    assert (done.counts.appearances, done.counts.incomparable) == (1, 1)
    assert done.counts.sizes == FaceSizes.of([40, 40]) + FaceSizes(unclear=1)


async def test_somebody_counts_with_their_widest_face_wherever_the_best_picture_is(
    stage: Stage,
) -> None:
    stage.empty(0, 10)
    stage.walks(NOBODY, 2, 4, width=30, sure=0.95)
    stage.walks(NOBODY, 4, 6, width=36, sure=0.7)

    done = await stage.search()

    assert done.counts.sizes == FaceSizes.of([36])


@pytest.mark.usefixtures("presence", "kept")
async def test_a_second_search_knows_the_widest_face_that_no_kept_picture_shows(
    stage: Stage,
) -> None:
    stage.empty(0, 10)
    stage.walks(NOBODY, 2, 3, width=30, sure=0.95)
    stage.walks(NOBODY, 3, 3.2, width=36, sure=0.7)
    stage.walks(NOBODY, 3.2, 4, width=30, sure=0.95)

    first = await stage.search()
    again = await stage.search()

    assert again.thoroughness is Thoroughness.PRESENCE
    assert first.counts.sizes == again.counts.sizes == FaceSizes.of([36])


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


@pytest.fixture
def times(stage: Stage) -> TimesKept:
    kept = TimesKept()
    stage.parts["incomparable"] = kept
    stage.scanner = stage.scanner_with()
    return kept


async def test_it_is_kept_when_somebody_could_not_be_compared(
    stage: Stage, times: TimesKept
) -> None:
    stage.empty(0, 10)
    stage.walks(BOB, 1, 2, x=600)
    stage.walks(NOBODY, 2, 3, width=MIN_FACE_WIDTH_PX - 1)
    stage.walks(ALICE, 5, 6)
    stage.faces.hidden.add(ALICE)

    await stage.search()

    assert times.times == [(2, 2.84, True), (5, 5.84, False)]
    assert (times.found[0].scan_id, times.found[0].stretch) == (
        "scan-1",
        Stretch(seconds(0), seconds(10)),
    )


async def test_where_all_could_be_compared_nothing_is_kept(stage: Stage, times: TimesKept) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    assert times.found == []


@pytest.mark.usefixtures("kept")
async def test_a_second_search_keeps_the_same_times(
    stage: Stage, times: TimesKept, bucket: Any
) -> None:
    stage.scanner = stage.scanner_with(presence=StoredPresenceIndex(bucket))
    stage.empty(0, 10)
    stage.walks(NOBODY, 2, 3, width=MIN_FACE_WIDTH_PX - 1)
    stage.walks(ALICE, 5, 6)
    stage.faces.hidden.add(ALICE)
    await stage.search()

    again = await stage.search()

    first, second = times.found
    assert again.thoroughness is Thoroughness.PRESENCE
    assert first == second


async def test_times_are_of_what_was_asked_for_alone(stage: Stage, times: TimesKept) -> None:
    stage.empty(0, 60)
    stage.walks(NOBODY, 2, 4, width=12)
    stage.walks(NOBODY, 18, 22, width=12)

    done = await stage.search(stage.make.segment(0, 60, window=(20, 40)))

    assert times.times == [(20, 21.84, True)]
    assert done.counts.sizes == FaceSizes.of([12])


async def test_what_is_seen_beyond_a_segment_the_next_one_tells(
    stage: Stage, times: TimesKept
) -> None:
    stage.empty(0, 30)
    stage.walks(NOBODY, 8, 13, width=12)

    await stage.search(stage.make.segment(0, 10))
    await stage.search(stage.make.segment(10, 20))

    assert [one.people for one in times.found] == [
        (IncomparablePerson(seconds(8), seconds(10), too_small=True),),
        (IncomparablePerson(seconds(10), seconds(12.84), too_small=True),),
    ]


async def test_times_after_a_clock_was_set_are_uncertain(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 1, 3)
    stage.walks(BOB, 6, 8)
    stage.media = {"uncertain_from": seconds(5)}

    await stage.search()

    assert [one.time_uncertain for one in stage.matcher.drafts] == [False, True]


async def test_of_a_window_its_whole_segment_is_searched(stage: Stage) -> None:
    stage.empty(0, 60)

    await stage.search(stage.make.segment(0, 60, window=(20, 40)))

    assert stage.source.asked[-1] == [Piece(Stretch(seconds(0), seconds(60)))]


async def test_a_window_tells_of_those_alone_who_are_in_view_in_it(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(ALICE, 2, 6)
    stage.walks(BOB, 30, 34)
    stage.walks(ALICE, 50, 54)

    done = await stage.search(stage.make.segment(0, 60, window=(20, 40)))

    assert [one.start for one in stage.matcher.drafts] == [seconds(30)]
    assert subjects(done) == ["subject-2"]
    assert (done.counts.appearances, done.counts.faces) == (1, 20)


async def test_a_window_covers_what_was_asked_for_and_no_more(stage: Stage) -> None:
    stage.empty(0, 18)
    stage.empty(23, 60)
    stage.quiet(active=[16, 18, 20, 22, 30])

    done = await stage.search(stage.make.segment(0, 60, window=(20, 40)))

    (gap,) = done.gaps
    assert (gap.start_time, gap.duration) == (stage.make.recorded + seconds(20), seconds(3))
    assert (done.looked_at, done.passed_over) == (seconds(3), seconds(14))


@pytest.mark.parametrize(
    ("window", "found"),
    [
        ((0, 15), []),
        ((0, 15.001), ["subject-1"]),
        ((18, 22), ["subject-1"]),
        ((24.839, 40), ["subject-1"]),
        ((24.84, 40), []),
    ],
    ids=["before", "comes at its end", "within", "their last picture answers", "gone"],
)
async def test_who_is_in_view_for_a_part_of_a_window_is_found_in_it(
    stage: Stage, window: tuple[float, float], found: list[str]
) -> None:
    stage.empty(0, 60)
    stage.walks(ALICE, 15, 25)

    done = await stage.search(stage.make.segment(0, 60, window=window))

    assert subjects(done) == found
    assert (done.counts.faces > 0) is bool(found)


async def test_a_window_tells_the_same_of_somebody_as_a_search_of_all(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(ALICE, 15, 25)

    whole = await stage.search(stage.make.segment(0, 60))
    part = await stage.search(stage.make.segment(0, 60, window=(20, 40)))

    assert part.sighting_ids == whole.sighting_ids
    first, second = stage.matcher.drafts
    assert (first.start, first.end, first.best_shot) == (second.start, second.end, second.best_shot)


async def test_a_picture_that_a_look_and_the_search_both_see_counts_once(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.quiet(active=[20])
    stage.walks(ALICE, 29, 31)  # whom the look at 30 s shows

    done = await stage.search(stage.make.segment(0, 60))

    assert len(stage.source.played) > len(set(stage.source.played))
    assert done.counts.frames == len(set(stage.source.played))


async def test_a_picture_shown_before_a_segment_counts_in_the_segment_before(stage: Stage) -> None:
    stage.source.timeline = stage.timeline = stage.make.timeline_at(range(60))
    stage.source.film = [stage.make.frame(at) for at in range(60)]

    first = await stage.search(stage.make.segment(0, 30.5))
    second = await stage.search(stage.make.segment(30.5, 60))

    assert stage.source.played[0] == seconds(30)
    assert (first.counts.frames, second.counts.frames) == (31, 29)


class OtherTwice(FakeSource):
    """Gives a picture a second time."""

    @asynccontextmanager
    async def frames(
        self, pieces: Sequence[Piece], *, rate: float
    ) -> AsyncGenerator[AsyncIterator[Frame | Undecodable], None]:
        async with super().frames(pieces, rate=rate) as frames:

            async def play() -> AsyncIterator[Frame | Undecodable]:
                async for item in frames:
                    yield item
                    yield item

            yield play()


async def test_a_search_stops_where_a_picture_comes_twice(stage: Stage) -> None:
    source = OtherTwice()
    source.film = [stage.make.frame(tick / RATE) for tick in range(50)]

    with pytest.raises(AssertionError, match="each picture comes once"):
        await stage.search(scanner=stage.scanner_with(source=source))


async def test_a_search_stops_where_a_sighting_would_lie_beyond_the_recording(
    stage: Stage,
) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 6, 8)
    stage.media = {"duration": seconds(6.82)}  # the picture at 6.8 s answers until 6.84

    with pytest.raises(AssertionError, match="inside the recording"):
        await stage.search()


async def test_a_search_stops_where_an_earlier_one_would_tell_of_more_than_there_is(
    stage: Stage, bucket: Any
) -> None:
    scanner = stage.scanner_with(presence=StoredPresenceIndex(bucket))
    await bucket.put(
        f"{footage_folder(stage.make.footage().footage_id)}manifest.json", b"{}", content_type=""
    )
    stage.empty(0, 10)
    await stage.search(scanner=scanner)
    stage.timeline = stage.make.timeline(5)

    with pytest.raises(AssertionError, match="no more than the time that pictures answer for"):
        await stage.search(scanner=scanner)


@dataclass(frozen=True)
class Filmed:
    """A recording, who walks through it, and how it is searched; times in microseconds."""

    times: list[int]
    """When its pictures are shown."""
    keys: list[int]
    """Numbers of those that others can be decoded from."""
    large: list[int]
    """Numbers of those that are large in the file."""
    lost: list[int]
    """Numbers of those that do not decode."""
    walks: list[tuple[int, int, int]]
    """Who, from when to when."""
    widths: list[float]
    """How wide the faces of those who walk are."""
    borders: list[int]
    """Where segments end and begin."""
    gated: bool


@st.composite
def films(draw: Any) -> Filmed:
    steady = st.lists(st.just(200_000), min_size=300, max_size=400)
    waits = st.sampled_from([200_000, 210_000, 1_000_000, 2_000_000, 7_000_000, 20_000_000])
    mixed = st.lists(waits, min_size=1, max_size=40)
    times = np.cumsum([0, *draw(st.one_of(steady, steady, mixed))]).tolist()
    numbers = st.integers(0, len(times) - 1)
    instants = st.integers(0, times[-1])
    some = st.lists(numbers, max_size=12)
    pair = st.tuples(instants, st.one_of(instants, st.just(times[-1]))).map(sorted)
    walks = st.tuples(st.sampled_from([ALICE, BOB]), pair).map(lambda one: (one[0], *one[1]))
    often = draw(st.sampled_from([10, 10, 10, 5, 1, 1000]))
    shown = draw(st.lists(walks, max_size=3))
    return Filmed(
        times=times,
        keys=list(range(0, len(times), often)),
        large=[at + more for at in draw(some) for more in range(10) if at + more < len(times)],
        lost=draw(some),
        walks=shown,
        widths=[draw(st.sampled_from([40, 24, 23.9, 12])) for _ in shown],
        borders=sorted({0, *draw(st.lists(instants, max_size=3))}),
        gated=draw(st.sampled_from([True, True, True, False])),
    )


def filmed(stage: Stage, film: Filmed) -> list[Segment]:
    """Put a recording on stage; return the segments to search."""
    # Key pictures vary, or all of it would look like a constant bit rate.
    key_bytes = dict(zip(film.keys, cycle([50_000, 70_000, 90_000]), strict=False))
    sizes = [
        key_bytes.get(number, 3000 if number in film.large else 1000)
        for number in range(len(film.times))
    ]
    at = [one / 1e6 for one in film.times]
    stage.timeline = stage.make.timeline_at(at, keys=film.keys, sizes=sizes)
    stage.source.timeline = stage.timeline
    shown = [one for number, one in enumerate(film.times) if number not in film.lost]
    stage.source.film = [stage.make.frame(one / 1e6) for one in shown]
    for place, ((who, start, end), width) in enumerate(zip(film.walks, film.widths, strict=True)):
        for one in (one for one in shown if start <= one <= end):
            face = stage.make.face(who=who, x=300 * place, width=width)
            stage.faces.faces.setdefault(timedelta(microseconds=one), []).append(face)
    stage.length = stage.timeline.duration.total_seconds()
    stage.media = {"duration": stage.timeline.duration}
    ends = [*film.borders[1:], stage.timeline.duration // timedelta(microseconds=1)]
    pieces = zip(film.borders, ends, strict=True)
    return [stage.make.segment(start / 1e6, end / 1e6) for start, end in pieces]


@dataclass(frozen=True)
class Told:
    """What searches told of a segment, and the times of the pictures that they were given."""

    segment: Segment
    played: set[timedelta]
    incomparable: tuple[IncomparablePerson, ...]


async def told_of(
    film: Filmed, make: Any, new_matcher: Any, clock: Any
) -> tuple[Stage, list[Told]]:
    """Search a recording for the first time, then for a second one where faces were."""
    async with built(make, new_matcher(), clock) as stage:
        segments = filmed(stage, film)
        store = InMemoryFootageStore(lifecycle_days=29, clock=clock)
        folder = footage_folder(make.footage().footage_id)
        await store.put(f"{folder}manifest.json", b"{}", content_type="")
        presence = StoredPresenceIndex(store)
        times = TimesKept()
        scanner = stage.scanner_with(presence=presence, incomparable=times, gated=film.gated)
        told = []
        for segment in [*segments, *segments]:
            times.found.clear()
            done = await stage.search(segment, scanner=scanner)
            people = tuple(person for found in times.found for person in found.people)
            told.append(Told(done, set(stage.source.played), people))
        return stage, told


some_films = settings(max_examples=30, deadline=None, derandomize=True)
"""As many examples as find something, and the same ones each time."""


@given(film=films())
@some_films
def test_no_search_tells_of_more_time_than_pictures_answer_for(
    make: Any, new_matcher: Any, new_clock: Any, film: Filmed
) -> None:
    stage, told = asyncio.run(told_of(film, make, new_matcher, new_clock()))

    pictured = stage.timeline.pictured
    most = [(pictured & Spans.among([one.segment.stretch])).total for one in told]
    assert all(one.segment.searched <= time for one, time in zip(told, most, strict=True)), told
    assert all(
        one.segment.searched + sum((gap.duration for gap in one.segment.gaps), timedelta())
        == one.segment.duration
        for one in told
    )


@given(film=films())
@some_films
def test_no_search_counts_a_picture_twice(
    make: Any, new_matcher: Any, new_clock: Any, film: Filmed
) -> None:
    stage, told = asyncio.run(told_of(film, make, new_matcher, new_clock()))

    first, again = told[: len(told) // 2], told[len(told) // 2 :]
    counted = [one.segment.counts.frames for one in told]
    assert counted == [
        sum(one.segment.start <= at < one.segment.end for at in one.played) for one in told
    ]
    assert sum(one.segment.counts.frames for one in first) <= len(stage.source.film)
    assert sum(one.segment.counts.frames for one in again) <= len(stage.source.film)
    faces = sum(map(len, stage.faces.faces.values()))
    assert sum(one.segment.counts.faces for one in first) <= faces


@given(film=films())
@some_films
def test_a_second_search_tells_of_the_same_people_who_could_not_be_compared(
    make: Any, new_matcher: Any, new_clock: Any, film: Filmed
) -> None:
    _, told = asyncio.run(told_of(film, make, new_matcher, new_clock()))

    first, again = told[: len(told) // 2], told[len(told) // 2 :]
    counts = [one.segment.counts for one in first]
    assert [one.segment.counts.sizes for one in again] == [one.sizes for one in counts]
    assert [one.segment.counts.incomparable for one in again] == [
        one.incomparable for one in counts
    ]
    assert [one.incomparable for one in again] == [one.incomparable for one in first]
    assert all(one.sizes.too_small + one.sizes.unclear == one.incomparable for one in counts)
    assert all(
        one.segment.start <= person.start < person.end <= one.segment.end
        for one in told
        for person in one.incomparable
    )


@given(film=films())
@some_films
def test_every_sighting_lies_inside_the_recording(
    make: Any, new_matcher: Any, new_clock: Any, film: Filmed
) -> None:
    stage, _ = asyncio.run(told_of(film, make, new_matcher, new_clock()))

    end = stage.timeline.duration
    assert all(
        timedelta() <= one.start <= one.best_shot <= one.end <= end for one in stage.matcher.drafts
    )
