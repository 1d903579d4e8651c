from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from segment_stage import ALICE, BOB, NOBODY, RATE, Stage, best_still, seconds, subjects

from homeward.ingestion.scan.compare import MOST_WAITING
from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX, FaceSizes
from homeward.ingestion.scan.follow import BEGIN_SCORE
from homeward.ingestion.scan.model import Counts, Match, ScanState
from homeward.ingestion.scan.segment import CALLS_AT_ONCE
from homeward.ingestion.scan.shots import MAX_SHOTS
from homeward.servicekit import errors
from homeward.servicekit.executor import BoundedExecutor


class SlowExecutor(BoundedExecutor):
    """Counts its calls, of which none ends before whatever else can begin meanwhile."""

    calls = most = 0
    """Now, and at most."""

    async def run(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        self.most = max(self.most, self.calls)
        for _ in range(100):
            await asyncio.sleep(0)
        self.calls -= 1
        return call(*args, **kwargs)


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
    for number in range(20):  # they go one after the other
        stage.walks(ALICE, 1, 3 + number / RATE, x=400 * number)
    async with SlowExecutor("pictures", workers=1, queue=0) as executor:
        done = await stage.search(scanner=stage.scanner_with(executor=executor))

    assert done.counts.appearances == len(stage.matcher.drafts) == 20
    assert executor.most == CALLS_AT_ONCE


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


async def test_times_after_a_clock_was_set_are_uncertain(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 1, 3)
    stage.walks(BOB, 6, 8)
    stage.media = {"uncertain_from": seconds(5)}

    await stage.search()

    assert [one.time_uncertain for one in stage.matcher.drafts] == [False, True]
