from __future__ import annotations

from typing import Any

import pytest
from segment_stage import ALICE, BOB, RATE, Stage, seconds, subjects

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.model import Counts, GapReason, ScanState
from homeward.ingestion.scan.ports import Piece, Undecodable
from homeward.ingestion.scan.tracking import TAIL


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


async def test_a_picture_shown_before_a_segment_counts_in_the_segment_before(stage: Stage) -> None:
    stage.source.timeline = stage.timeline = stage.make.timeline_at(range(60))
    stage.source.film = [stage.make.frame(at) for at in range(60)]

    first = await stage.search(stage.make.segment(0, 30.5))
    second = await stage.search(stage.make.segment(30.5, 60))

    assert stage.source.played[0] == seconds(30)
    assert (first.counts.frames, second.counts.frames) == (31, 29)
