from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from following import Followers
from matching_world import FIELD, NOBODY, World, confirmed, record, recorded_id, refusal

from homeward.api.matching.v1 import sighting_pb2
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.servicekit.errors import Reason


async def test_watch_sightings_tells_that_a_time_has_become_uncertain(
    world: World, finding: Any
) -> None:
    followers = Followers()
    world.stores[-1].store._followers = followers
    watch = world.sightings.WatchSightings(sightings.WatchSightingsRequest())
    await asyncio.wait_for(followers.came.acquire(), 5)
    await record(world, finding(time_uncertain=False))
    first = await watch.read()
    await record(world, finding(time_uncertain=True))
    second = await watch.read()
    watch.cancel()

    assert first.sighting.sighting_id == second.sighting.sighting_id
    assert [one.sighting.time_uncertain for one in (first, second)] == [False, True]


async def test_watch_sightings_follows_the_subjects_asked_for(
    world: World, finding: Any, subject_id: str
) -> None:
    followers = Followers()
    world.stores[-1].store._followers = followers
    mine = world.sightings.WatchSightings(sightings.WatchSightingsRequest(subject_ids=[subject_id]))
    others = world.sightings.WatchSightings(sightings.WatchSightingsRequest(subject_ids=[NOBODY]))
    await asyncio.wait_for(followers.came.acquire(), 5)
    await asyncio.wait_for(followers.came.acquire(), 5)
    answer = await record(world, finding())

    seen = await mine.read()
    nothing, _ = await asyncio.wait([asyncio.ensure_future(others.read())], timeout=0.05)
    mine.cancel()
    others.cancel()

    assert seen.sighting == answer.results[0].sighting
    assert nothing == set()


async def test_watch_sightings_names_what_was_erased_with_its_subject_and_no_more(
    world: World, finding: Any, subject_id: str
) -> None:
    followers = Followers()
    world.stores[-1].store._followers = followers
    watch = world.sightings.WatchSightings(sightings.WatchSightingsRequest())
    await asyncio.wait_for(followers.came.acquire(), 5)
    answer = await record(world, finding())
    held = answer.results[0].sighting

    await world.subjects.CloseSubject(subjects.CloseSubjectRequest(subject_id=subject_id))
    told = [await asyncio.wait_for(watch.read(), 5) for _ in range(2)]
    watch.cancel()

    assert [one.sighting for one in told] == [
        held,
        sighting_pb2.Sighting(
            sighting_id=held.sighting_id,
            subject_id=held.subject_id,
            state=sighting_pb2.Sighting.STATE_ERASED,
        ),
    ]


def watch(world: World, **request: Any) -> Any:
    return world.sightings.WatchSightings(sightings.WatchSightingsRequest(**request))


async def test_watch_sightings_goes_on_after_a_token(world: World, finding: Any) -> None:
    first = watch(world, send_places=True)
    began = await asyncio.wait_for(first.read(), 5)
    first.cancel()
    sighting_id = await recorded_id(world, finding())
    await confirmed(world, sighting_id)

    again = [watch(world, resume_token=began.resume_token) for _ in range(2)]
    told = [[await asyncio.wait_for(one.read(), 5) for _ in range(2)] for one in again]
    after = watch(world, resume_token=told[0][0].resume_token)
    second = await asyncio.wait_for(after.read(), 5)
    for one in (*again, after):
        one.cancel()

    assert began == sightings.WatchSightingsResponse(resume_token=began.resume_token)
    assert told[0] == told[1]
    assert second == told[0][1]
    assert [(one.change, one.state) for one in told[0]] == [
        (sightings.WatchSightingsResponse.CHANGE_RECORDED, sighting_pb2.Sighting.STATE_UNREVIEWED),
        (sightings.WatchSightingsResponse.CHANGE_REVIEWED, sighting_pb2.Sighting.STATE_CONFIRMED),
    ]
    assert {one.sighting.state for one in told[0]} == {sighting_pb2.Sighting.STATE_CONFIRMED}


async def test_watch_sightings_refuses_a_token_after_which_changes_are_gone(
    world: World, finding: Any
) -> None:
    first = watch(world, send_places=True)
    began = await asyncio.wait_for(first.read(), 5)
    first.cancel()
    await record(world, finding())
    world.stores[-1].store.forget(1)

    assert await refusal(watch(world, resume_token=began.resume_token).read()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.RESUME_TOKEN_EXPIRED,
    )


@pytest.mark.parametrize(
    "request_fields",
    [
        {"resume_token": "somewhere"},
        {"resume_token": "m" * 101},
        {"resume_token": "memory-1", "from_oldest": True},
    ],
    ids=["no token", "too long", "both"],
)
async def test_watch_sightings_refuses_what_is_no_token(
    world: World, request_fields: dict[str, Any]
) -> None:
    assert await refusal(watch(world, **request_fields).read()) == FIELD


async def test_watch_sightings_refuses_what_is_no_subject(world: World) -> None:
    call = world.sightings.WatchSightings(sightings.WatchSightingsRequest(subject_ids=["x"]))

    assert await refusal(call.read()) == FIELD
