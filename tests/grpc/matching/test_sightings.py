from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from matching_world import (
    BY_SIGHTING,
    BY_SUBJECT,
    FIELD,
    FOOTAGE,
    NOBODY,
    World,
    confirmed,
    erase_footage,
    fields_at_fault,
    figures,
    record,
    recorded_id,
    refusal,
    review,
)

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import sighting_pb2
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.matching.convert.ids import MAX_SCOPE
from homeward.matching.convert.leases import MOST_CASES, MOST_HELD, USUALLY_HELD
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import Reason
from homeward.servicekit.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from homeward.servicekit.wire import to_duration, to_timestamp


@pytest.fixture
async def confirmed_id(world: World, sighting_id: str) -> str:
    """A confirmed sighting."""
    await world.sightings.ReviewSighting(
        sightings.ReviewSightingRequest(
            sighting_id=sighting_id,
            decision=sighting_pb2.REVIEW_DECISION_CONFIRM,
            reviewer="R. Viewer",
        )
    )
    return sighting_id


async def test_get_sighting_answers_without_pictures(world: World, sighting_id: str) -> None:
    answer = await world.sightings.GetSighting(
        sightings.GetSightingRequest(sighting_id=sighting_id)
    )

    assert answer.sighting.sighting_id == sighting_id
    assert (answer.still, answer.reference_photo) == (b"", b"")


async def test_get_sighting_answers_with_both_pictures_when_asked(
    world: World, finding: Any, subject_id: str
) -> None:
    subject = await BY_SUBJECT["GetSubject"](world, subject_id)
    (photo,) = subject.subject.reference_photos
    answer = await record(world, finding(photo_id=photo.photo_id))

    full = await world.sightings.GetSighting(
        sightings.GetSightingRequest(
            sighting_id=answer.results[0].sighting.sighting_id,
            view=sightings.SIGHTING_VIEW_FULL,
        )
    )

    assert (full.still, full.reference_photo) == (b"a still", b"photo")
    assert full.reference_face_box == photo.face_box


async def test_list_sightings_answers_what_fits(
    world: World, sighting_id: str, subject_id: str
) -> None:
    answer = await world.sightings.ListSightings(
        sightings.ListSightingsRequest(
            subject_ids=[subject_id],
            footage_ids=[FOOTAGE],
            states=[sighting_pb2.Sighting.STATE_UNREVIEWED],
        )
    )

    assert [one.sighting_id for one in answer.sightings] == [sighting_id]


SCOPES = {"subject_ids": NOBODY, "camera_ids": "gate", "footage_ids": "f-1", "scan_ids": NOBODY}


@pytest.mark.parametrize("field", SCOPES)
async def test_list_sightings_takes_a_thousand_names_of_a_kind(world: World, field: str) -> None:
    names = [SCOPES[field]] * MAX_SCOPE

    await world.sightings.ListSightings(sightings.ListSightingsRequest(**{field: names}))
    more = sightings.ListSightingsRequest(**{field: [*names, SCOPES[field]]})

    assert await refusal(world.sightings.ListSightings(more)) == FIELD


@pytest.mark.parametrize(
    ("field", "name", "most"),
    [
        ("subject_ids", NOBODY, MAX_SCOPE),
        ("camera_ids", "gate", MAX_SCOPE),
        ("excluded_sighting_ids", NOBODY, MAX_SCOPE),
        ("case_references", "MP-1", MOST_CASES),
    ],
)
async def test_lease_sightings_takes_so_many_names_of_a_kind(
    world: World, field: str, name: str, most: int
) -> None:
    await lease(world, **{field: [name] * most})

    assert await refusal(lease(world, **{field: [name] * (most + 1)})) == FIELD


async def lease(world: World, **asked: Any) -> Any:
    request = sightings.LeaseSightingsRequest(reviewer="R. Viewer", **asked)
    return await world.sightings.LeaseSightings(request)


@pytest.fixture
async def many(world: World, sighting_id: str) -> None:
    """More sightings than a page has, some minutes after each other."""
    index = world.stores[-2].store
    held = await index.get(sighting_id)
    for number in range(MAX_PAGE_SIZE):
        after = timedelta(minutes=number)
        one = replace(
            held,
            sighting_id=f"{number:08x}-0000-4000-8000-000000000000",
            start_time=held.start_time + after,
            end_time=held.end_time + after,
        )
        await index.put(one, None)


@pytest.mark.usefixtures("many")
async def test_a_page_has_as_many_sightings_as_are_asked_for_up_to_a_thousand(
    world: World,
) -> None:
    async def told(size: int, **asked: Any) -> tuple[int, bool]:
        request = sightings.ListSightingsRequest(page_size=size, **asked)
        page = await world.sightings.ListSightings(request)
        return len(page.sightings), bool(page.next_page_token)

    assert await told(0) == (DEFAULT_PAGE_SIZE, True)
    assert await told(MAX_PAGE_SIZE) == (MAX_PAGE_SIZE, True)
    assert await told(MAX_PAGE_SIZE + 1) == (MAX_PAGE_SIZE, True)
    assert await told(MAX_PAGE_SIZE + 1, id_prefix="00000") == (MAX_PAGE_SIZE, False)


@pytest.mark.usefixtures("many")
async def test_a_reviewer_holds_four_candidates_or_up_to_twenty(world: World) -> None:
    held = [len((await lease(world, count=count)).sightings) for count in (0, 20, 21, 1)]

    assert held == [USUALLY_HELD, MOST_HELD, MOST_HELD, 1]


async def test_sightings_whose_ids_begin_alike_come_page_by_page_to_the_last(
    world: World, sighting_id: str
) -> None:
    index = world.stores[-2].store
    held = await index.get(sighting_id)
    names = [f"{number:08x}-0000-4000-8000-000000000000" for number in (0x10, 0x11, 0x12, 0x20)]
    for name in names:
        await index.put(replace(held, sighting_id=name), None)
    found: list[list[str]] = []
    request = sightings.ListSightingsRequest(id_prefix="0000001", page_size=2)

    while not found or request.page_token:
        answer = await world.sightings.ListSightings(request)
        found.append([one.sighting_id for one in answer.sightings])
        request.page_token = answer.next_page_token

    assert found == [names[:2], names[2:3]]


@pytest.mark.parametrize(
    "asked",
    [
        {"states": [sighting_pb2.Sighting.STATE_UNSPECIFIED]},
        {"states": [99]},
        {"subject_ids": ["no id"]},
        {"interval": types_pb2.TimeInterval(start_time={"seconds": 2}, end_time={"seconds": 1})},
    ],
)
async def test_list_sightings_refuses_a_filter_that_fits_nothing(
    world: World, asked: dict[str, Any]
) -> None:
    call = world.sightings.ListSightings(sightings.ListSightingsRequest(**asked))

    assert await refusal(call) == FIELD


async def test_review_sighting_answers_the_decision(world: World, sighting_id: str) -> None:
    answer = await review(world, sighting_id, reason="another person")

    assert answer.sighting.state == sighting_pb2.Sighting.STATE_REJECTED
    assert answer.sighting.review.reason == "another person"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"decision": sighting_pb2.REVIEW_DECISION_UNSPECIFIED}, "decision"),
        ({"reviewer": ""}, "reviewer"),
        ({"reviewer": "x" * 201}, "reviewer"),
        ({"reason": "x" * 1001}, "reason"),
    ],
)
async def test_review_sighting_refuses_a_field_that_breaks_its_rule(
    world: World, sighting_id: str, changes: dict[str, Any], field: str
) -> None:
    assert await fields_at_fault(review(world, sighting_id, **changes)) == [field]


async def test_review_sighting_refuses_a_confirmed_one(world: World, confirmed_id: str) -> None:
    assert await refusal(review(world, confirmed_id)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.SIGHTING_REVIEWED,
    )


async def test_only_a_sighting_that_is_not_confirmed_says_when_it_is_erased(
    world: World, finding: Any
) -> None:
    sighting_id = await recorded_id(world, finding())
    request = sightings.GetSightingRequest(sighting_id=sighting_id)
    before = (await world.sightings.GetSighting(request)).sighting
    await confirmed(world, sighting_id)
    after = (await world.sightings.GetSighting(request)).sighting

    assert (before.HasField("delete_time"), after.HasField("delete_time")) == (True, False)


async def test_export_sighting_answers_sighting_and_still(
    world: World, confirmed_id: str, clock: Clock
) -> None:
    answer = await world.sightings.ExportSighting(
        sightings.ExportSightingRequest(sighting_id=confirmed_id)
    )

    assert (answer.sighting.sighting_id, answer.still) == (confirmed_id, b"a still")
    assert answer.export_time == to_timestamp(clock.now())


async def test_export_sighting_refuses_what_nobody_answers_for_unless_asked_for(
    world: World, finding: Any
) -> None:
    sighting_id = await recorded_id(world, finding(figures=figures(approved=False)))
    await confirmed(world, sighting_id)
    request = sightings.ExportSightingRequest(sighting_id=sighting_id)

    assert await refusal(world.sightings.ExportSighting(request)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.POLICY_NOT_APPROVED,
    )
    request.unapproved = True
    answer = await world.sightings.ExportSighting(request)
    assert answer.still == b"a still"
    assert not answer.sighting.figures.approved


async def test_export_sighting_refuses_one_that_is_not_confirmed(
    world: World, sighting_id: str
) -> None:
    call = world.sightings.ExportSighting(sightings.ExportSightingRequest(sighting_id=sighting_id))

    assert await refusal(call) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.SIGHTING_NOT_CONFIRMED,
    )


@pytest.mark.parametrize("rpc", BY_SIGHTING)
async def test_a_sighting_that_is_not_there_is_not_found(world: World, rpc: str) -> None:
    assert await refusal(BY_SIGHTING[rpc](world, NOBODY)) == (
        grpc.StatusCode.NOT_FOUND,
        Reason.SIGHTING_NOT_FOUND,
    )


@pytest.mark.parametrize("rpc", BY_SIGHTING)
async def test_a_sighting_is_named_by_an_id(world: World, rpc: str) -> None:
    assert await refusal(BY_SIGHTING[rpc](world, "no id")) == FIELD


@pytest.mark.usefixtures("sighting_id")
async def test_erase_footage_sightings_answers_how_many(world: World) -> None:
    assert (await erase_footage(world, FOOTAGE)).erased_count == 1


@pytest.mark.parametrize("footage_id", ["", "*", ">", "a.b", "x" * 201])
async def test_erase_footage_sightings_takes_one_recording(world: World, footage_id: str) -> None:
    assert await refusal(erase_footage(world, footage_id)) == FIELD


async def test_the_first_page_of_sightings_tells_what_is_lost(
    world: World, sighting_id: str, finding: Any, subject_id: str
) -> None:
    later = finding(
        start_offset=to_duration(timedelta(seconds=60)),
        end_offset=to_duration(timedelta(seconds=64)),
    )
    await record(world, later)
    ask = sightings.ListSightingsRequest
    whole = await world.sightings.ListSightings(ask())
    assert (whole.HasField("lost"), whole.lost) == (True, sightings.LostSightings())

    del world.stores[-2].store._held[sighting_id]  # Qdrant came back with an older state
    first = await world.sightings.ListSightings(ask(page_size=1))

    assert len(first.sightings) == 1
    assert first.lost == sightings.LostSightings(
        sightings=[
            sightings.LostSighting(
                sighting_id=sighting_id,
                subject_id=subject_id,
                footage_id=FOOTAGE,
                start_offset=to_duration(timedelta(seconds=10)),
                end_offset=to_duration(timedelta(seconds=14)),
            )
        ],
        sighting_count=1,
    )
    others = await world.sightings.ListSightings(ask(subject_ids=[NOBODY]))
    assert others.lost.sighting_count == 0
    without = await world.sightings.ListSightings(ask(leave_out_lost=True))
    assert not without.HasField("lost")
