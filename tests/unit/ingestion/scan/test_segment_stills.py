from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from segment_stage import ALICE, BOB, Stage, best_still, seconds

from homeward.ingestion.scan.faces import Box, Face
from homeward.ingestion.scan.model import Drop
from homeward.ingestion.scan.presence_index import StoredPresenceIndex
from homeward.ingestion.scan.shots import MAX_SHOTS
from homeward.servicekit import errors


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


@pytest.fixture
def seen_before(stage: Stage, bucket: Any) -> Stage:
    """A recording with a presence index, as an earlier search leaves it."""
    stage.scanner = stage.scanner_with(presence=StoredPresenceIndex(bucket))
    return stage


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("becomes", ["a sighting", Drop.REJECTED_BEFORE])
async def test_no_stills_are_made_of_whom_an_earlier_search_found(
    seen_before: Stage, becomes: str | Drop
) -> None:
    stage = seen_before
    stage.empty(0, 20)
    stage.walks(ALICE, 2, 3)
    stage.walks(BOB, 12, 13)
    segment = stage.make.segment(0, 20)
    first = await stage.search(segment)
    made = stage.matcher.drafts.copy()
    stage.matcher.drafts.clear()
    stage.matcher.joined = {"subject-1": becomes}

    again = await stage.search(segment)

    alice, bob = made
    assert [one.stills for one in stage.matcher.drafts] == [bob.stills]
    assert again.sighting_ids == tuple(
        [becomes, first.sighting_ids[1]] if isinstance(becomes, str) else first.sighting_ids[1:]
    )
    asked = stage.matcher.unmade
    assert [one.match.subject_id for one in asked] == ["subject-1", "subject-2"]
    assert [one.offset for one in asked[0].stills] == [one.offset for one in alice.stills]
    assert {one.still for draft in asked for one in draft.stills} == {None}


async def test_a_first_search_makes_the_stills_at_once(stage: Stage) -> None:
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)

    await stage.search()

    assert stage.matcher.drafts
    assert not stage.matcher.unmade


@pytest.mark.usefixtures("kept")
async def test_a_recording_that_is_removed_meanwhile_ends_a_second_search(
    seen_before: Stage,
) -> None:
    stage = seen_before
    stage.empty(0, 10)
    stage.walks(ALICE, 2, 3)
    await stage.search()
    stage.matcher.joined = {"subject-1": Drop.FOOTAGE_REMOVED}

    with pytest.raises(errors.NotFoundError):
        await stage.search()
