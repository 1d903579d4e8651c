from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from matching_world import FOOTAGE, World, fields_at_fault, record, rejections, review

from homeward.api.matching.v1 import sighting_pb2
from homeward.servicekit.clock import Clock
from homeward.servicekit.wire import to_duration, to_timestamp


async def test_list_rejections_answers_what_is_remembered_of_one(
    world: World, sighting_id: str, subject_id: str, clock: Clock
) -> None:
    sighting = (await review(world, sighting_id, reason="another person")).sighting

    (told,) = (await rejections(world)).rejections

    assert told == sighting_pb2.Rejection(
        sighting_id=sighting_id,
        subject_id=subject_id,
        footage_id=FOOTAGE,
        start_offset=sighting.start_offset,
        end_offset=sighting.end_offset,
        interval=sighting.interval,
        reviewer="R. Viewer",
        review_time=to_timestamp(clock.now()),
    )


async def test_list_rejections_pages(world: World, finding: Any) -> None:
    answer = await record(
        world,
        finding(),
        finding(
            start_offset=to_duration(timedelta(seconds=60)),
            end_offset=to_duration(timedelta(seconds=64)),
        ),
    )
    for one in answer.results:
        await review(world, one.sighting.sighting_id)

    first = await rejections(world, page_size=1)
    second = await rejections(world, page_size=1, page_token=first.next_page_token)

    found = {one.sighting_id for one in (*first.rejections, *second.rejections)}
    assert found == {one.sighting.sighting_id for one in answer.results}
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"subject_ids": ["x"]}, "subject_ids[0]"), ({"footage_ids": ["a", "*"]}, "footage_ids[1]")],
)
async def test_list_rejections_refuses_what_is_no_id(
    world: World, asked: dict[str, Any], field: str
) -> None:
    assert await fields_at_fault(rejections(world, **asked)) == [field]


async def test_the_same_rejection_again_gives_the_same_answer_but_for_what_is_erased(
    world: World, sighting_id: str
) -> None:
    first = (await review(world, sighting_id)).sighting

    again = (await review(world, sighting_id)).sighting

    assert again == sighting_pb2.Sighting(
        sighting_id=first.sighting_id,
        subject_id=first.subject_id,
        footage_id=first.footage_id,
        interval=first.interval,
        start_offset=first.start_offset,
        end_offset=first.end_offset,
        state=sighting_pb2.Sighting.STATE_REJECTED,
        review=first.review,
    )
