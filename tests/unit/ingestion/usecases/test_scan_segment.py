from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from homeward.ingestion.model import (
    Counts,
    Face,
    Frame,
    GapReason,
    ScanState,
    Segment,
    Template,
)
from homeward.ingestion.ports import Undecodable
from homeward.ingestion.shots import MAX_SHOTS, MIN_FACE_WIDTH_PX
from homeward.ingestion.usecases.scan_segment import BATCH, BEGIN_SCORE, TAIL, SegmentScanner, Task
from homeward.servicekit import errors
from homeward.servicekit.executor import BoundedExecutor

NOBODY, ALICE, BOB = 0, 1, 2
RATE = 5.0


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class FakeSource:
    """Plays a list of pictures and damaged stretches."""

    def __init__(self) -> None:
        self.film: list[Frame | Undecodable] = []
        self.asked: list[tuple[str, timedelta, timedelta, float]] = []
        self.played = 0
        self.closed = False

    @asynccontextmanager
    async def frames(
        self, url: str, *, start: timedelta, end: timedelta, rate: float
    ) -> AsyncGenerator[AsyncIterator[Frame | Undecodable], None]:
        self.asked.append((url, start, end, rate))

        async def play() -> AsyncIterator[Frame | Undecodable]:
            for item in self.film:
                if isinstance(item, Undecodable) or item.offset < end:
                    self.played += 1
                    yield item

        try:
            yield play()
        finally:
            self.closed = True


class FakeFaces:
    """Finds the faces that were put into each picture; a face says itself whose it is."""

    def __init__(self) -> None:
        self.faces: dict[timedelta, list[Face]] = {}
        self.embedded: list[int] = []
        self.closed = False

    async def find(
        self, frames: AsyncIterator[Frame | Undecodable]
    ) -> AsyncGenerator[tuple[Frame | Undecodable, list[Face]], None]:
        try:
            async for item in frames:
                at = None if isinstance(item, Undecodable) else item.offset
                yield item, self.faces.get(at, []) if at is not None else []
        finally:
            self.closed = True

    async def embed(self, aligned: Sequence[np.ndarray]) -> list[Template]:
        self.embedded.append(len(aligned))
        return [
            Template(np.eye(8, dtype=np.float32)[int(crop[0, 0, 0])], "model-1") for crop in aligned
        ]


class FakeImages:
    """Writes who somebody is into their aligned face, and who else is there into the still."""

    def thumbnail(self, frame: Frame) -> np.ndarray:
        scene = int(frame.image[0, 0, 0])
        return np.random.default_rng(scene).uniform(0, 255, (18, 32)).astype(np.float32)

    def align(self, frame: Frame, face: Face) -> np.ndarray:
        del frame
        return np.full((112, 112, 3), int(face.landmarks[0, 0]), np.uint8)

    def quality(self, aligned: np.ndarray, face: Face) -> float:
        del aligned
        return face.detector_score

    def still(self, frame: Frame, face: Face, others: Sequence[Face]) -> bytes:
        blurred = sorted(int(other.landmarks[0, 0]) for other in others)
        return f"{frame.offset.total_seconds():g} {face.landmarks[0, 0]:g} {blurred}".encode()


class Stage:
    """A recording under construction, and the scanner that searches it."""

    def __init__(self, make: Any, scanner: SegmentScanner, parts: dict[str, Any]) -> None:
        self.make = make
        self.scanner = scanner
        self.source: FakeSource = parts["source"]
        self.faces: FakeFaces = parts["faces"]
        self.matcher: Any = parts["matcher"]
        self.reports: list[Segment] = []
        self.problem: Exception | None = None
        self.length = 60.0

    def empty(self, start: float, end: float, scene: int = 0) -> None:
        """Film from start up to, but without, end."""
        ticks = range(round(start * RATE), round(end * RATE))
        self.source.film += [self.make.frame(tick / RATE, scene) for tick in ticks]

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

    async def search(self, segment: Segment | None = None) -> Segment:
        segment = segment or self.make.segment(0, 10)
        footage = self.make.footage(self.length)
        task = Task("scan-1", ("subject-1", "subject-2"), footage, segment)
        return await self.scanner.scan(task, "url", self.report)


@pytest.fixture
async def stage(make: Any, matcher: Any, clock: Any) -> AsyncIterator[Stage]:
    async with BoundedExecutor("look", workers=1, queue=4) as executor:
        parts = {"source": FakeSource(), "faces": FakeFaces(), "matcher": matcher}
        scanner = SegmentScanner(
            **parts, images=FakeImages(), executor=executor, clock=clock, sample_rate=RATE
        )
        yield Stage(make, scanner, parts)


async def test_one_appearance_is_one_sighting(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)

    done = await stage.search()

    (sighted,) = stage.matcher.sighted
    assert (sighted.start, sighted.end) == (seconds(2), seconds(5.8 + 1 / 25))
    assert (sighted.match.subject_id, sighted.scan_id) == ("subject-1", "scan-1")
    assert [one.subject_id for one in done.candidates] == ["subject-1"]
    assert done.counts == Counts(frames=50, faces=20, appearances=1)


async def test_a_sighting_carries_its_best_shot(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 4, sure=0.7)
    stage.walks(ALICE, 4, 4.2, sure=0.95, width=48)
    stage.walks(ALICE, 4.2, 6, sure=0.7)

    await stage.search()

    (sighted,) = stage.matcher.sighted
    assert (sighted.best_shot, sighted.still) == (seconds(4), b"4 1 []")
    assert (sighted.face_height_px, sighted.best_shot_score) == (60, 0.8)


async def test_the_others_in_the_picture_are_named_to_be_blurred(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    stage.walks(BOB, 2, 3, x=600)
    stage.walks(NOBODY, 2, 3, x=900, sure=0.35)

    await stage.search()

    assert [one.still for one in stage.matcher.sighted] == [b"2 1 [0, 2]", b"2 2 [0, 1]"]


async def test_who_matches_nobody_leaves_only_a_count(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(NOBODY, 2, 6)

    done = await stage.search()

    assert stage.matcher.sighted == []
    assert done.candidates == ()
    assert (done.counts.appearances, done.counts.discarded) == (1, 1)


async def test_a_sighting_that_was_rejected_before_is_no_candidate(stage: Stage) -> None:
    stage.matcher.rejected.add("subject-1")
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)

    done = await stage.search()

    assert done.candidates == ()
    assert (done.counts.appearances, done.counts.discarded) == (1, 0)


async def test_only_the_subjects_of_the_scan_are_looked_for(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    assert stage.matcher.asked_for == [("subject-1", "subject-2")]


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

    assert [one.start for one in stage.matcher.sighted] == [seconds(1), seconds(6)]
    assert done.counts.appearances == 2


async def test_a_cut_ends_every_appearance(stage: Stage) -> None:
    stage.empty(0, 5, scene=1)
    stage.empty(5, 10, scene=2)
    stage.walks(ALICE, 4, 5)
    stage.walks(BOB, 5, 6)

    await stage.search()

    assert [(one.match.subject_id, one.start) for one in stage.matcher.sighted] == [
        ("subject-1", seconds(4)),
        ("subject-2", seconds(5)),
    ]


async def test_a_person_in_view_across_the_end_is_one_appearance(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 8, 13)

    done = await stage.search()

    (sighted,) = stage.matcher.sighted
    assert (sighted.start, sighted.end) == (seconds(8), seconds(12.8 + 1 / 25))
    assert (done.position, done.counts) == (
        seconds(10),
        Counts(frames=50, faces=10, appearances=1),
    )


async def test_a_person_who_begins_after_the_end_belongs_to_the_next_segment(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 8, 13)
    stage.walks(BOB, 11, 12, x=600)

    await stage.search()

    assert [one.match.subject_id for one in stage.matcher.sighted] == ["subject-1"]


async def test_nothing_is_looked_at_beyond_the_end_when_nobody_is_in_view(stage: Stage) -> None:
    stage.empty(0, 30)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    assert stage.source.played == 51


async def test_a_person_who_stays_is_followed_only_so_far_beyond_the_end(stage: Stage) -> None:
    stage.empty(0, 60)
    stage.walks(ALICE, 8, 60)

    await stage.search()

    ((_, start, end, rate),) = stage.source.asked
    assert (start, end, rate) == (seconds(0), seconds(10) + TAIL, RATE)
    assert seconds(10) < stage.matcher.sighted[0].end <= seconds(10) + TAIL


async def test_nothing_is_asked_for_beyond_the_recording(stage: Stage) -> None:
    stage.length = 12

    await stage.search()

    assert stage.source.asked[0][2] == seconds(12)


@pytest.mark.parametrize(
    ("width", "counts"),
    [
        (MIN_FACE_WIDTH_PX, Counts(50, 20, 1, 0, 0)),
        (MIN_FACE_WIDTH_PX - 0.5, Counts(50, 20, 0, 0, 1)),
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

    assert stage.matcher.sighted[0].end == seconds(5.8 + 1 / 25)


async def test_the_people_of_a_track_that_jumped_are_compared_apart(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 4)
    stage.walks(BOB, 4, 6)

    done = await stage.search()

    found = [(one.match.subject_id, one.start) for one in stage.matcher.sighted]
    assert found == [("subject-1", seconds(2)), ("subject-2", seconds(4))]
    assert done.counts.appearances == 2


async def test_a_long_appearance_is_embedded_from_few_pictures(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 0, 10)

    await stage.search()

    (embedded,) = stage.faces.embedded
    assert 1 < embedded <= MAX_SHOTS


async def test_appearances_are_compared_in_batches(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.crowd(NOBODY, BATCH + 1)
    stage.walks(ALICE, 5, 5.2)

    done = await stage.search()

    assert stage.faces.embedded == [BATCH + 1, 1]
    assert done.counts.appearances == BATCH + 2


async def test_a_damaged_stretch_is_a_gap_in_true_time(stage: Stage) -> None:
    stage.empty(0, 4)
    stage.source.film.append(Undecodable(seconds(4), seconds(7)))
    stage.empty(7, 10)

    done = await stage.search()

    ((start, end, reason),) = [(gap.start_time, gap.end_time, gap.reason) for gap in done.gaps]
    assert (start, end) == (stage.make.recorded + seconds(4), stage.make.recorded + seconds(7))
    assert reason is GapReason.UNDECODABLE
    assert done.state is ScanState.SUCCEEDED


@pytest.mark.parametrize(
    ("stretch", "gap"),
    [((0, 7), (5, 7)), ((8, 14), (8, 10)), ((0, 14), (5, 10))],
    ids=["from before", "to after", "all of it"],
)
async def test_a_gap_ends_where_its_segment_ends(
    stage: Stage, stretch: tuple[float, float], gap: tuple[float, float]
) -> None:
    stage.source.film.append(Undecodable(*map(seconds, stretch)))

    done = await stage.search(stage.make.segment(5, 10))

    assert [(one.start_time, one.end_time) for one in done.gaps] == [
        tuple(stage.make.recorded + seconds(at) for at in gap)
    ]


@pytest.mark.parametrize("stretch", [(0, 5), (10, 12)])
async def test_damage_outside_of_a_segment_is_no_gap_of_it(
    stage: Stage, stretch: tuple[float, float]
) -> None:
    stage.source.film.append(Undecodable(*map(seconds, stretch)))

    done = await stage.search(stage.make.segment(5, 10))

    assert done.gaps == ()


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
    stage.source.film.append(stage.make.frame(4.995))  # a decoder may round down by a little

    await stage.search(stage.make.segment(5, 10))

    assert stage.reports[0].done == seconds(0)


async def test_candidates_are_reported_as_they_are_found(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.crowd(ALICE, BATCH)

    await stage.search()

    assert stage.reports[-1].candidates


async def test_what_a_report_raises_ends_the_search(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 0, 10)
    stage.problem = RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        await stage.search()

    assert stage.source.closed
    assert stage.faces.closed
    assert stage.matcher.sighted == []


async def test_a_matcher_that_does_not_answer_ends_the_search(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 6)
    stage.matcher.problem = errors.unavailable("matching", "somewhere", "start it")

    with pytest.raises(errors.UnavailableError):
        await stage.search()


async def test_a_segment_that_is_searched_again_counts_only_once(stage: Stage) -> None:
    stage.empty(0, 4)
    stage.source.film.append(Undecodable(seconds(4), seconds(7)))
    stage.empty(7, 10)
    stage.walks(NOBODY, 1, 2)
    first = await stage.search()

    broke_off = replace(first, state=ScanState.RUNNING, position=seconds(9))
    again = await stage.search(broke_off)

    assert (again.counts, again.gaps) == (first.counts, first.gaps)


async def test_a_segment_that_is_searched_again_keeps_what_was_found(stage: Stage) -> None:
    before = stage.make.candidate()

    again = await stage.search(stage.make.segment(0, 10, candidates=(before,)))

    assert again.candidates == (before,)
