from __future__ import annotations

from typing import Any

import pytest
from segment_stage import ALICE, BOB, NOBODY, Stage, TimesKept, seconds, subjects

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX, FaceSizes
from homeward.ingestion.scan.incomparable import IncomparablePerson
from homeward.ingestion.scan.model import Thoroughness
from homeward.ingestion.scan.presence_index import StoredPresenceIndex


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
