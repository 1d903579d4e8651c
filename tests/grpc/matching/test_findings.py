from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import grpc
import pytest
from matching_world import (
    FOOTAGE,
    OTHER_MODEL,
    World,
    confirmed,
    fields_at_fault,
    figures,
    record,
    recorded_id,
    refusal,
    review,
)

from homeward.api.common.v1 import types_pb2
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.servicekit.errors import Reason
from homeward.servicekit.wire import to_duration, to_timestamp


async def test_record_sightings_answers_what_became_of_each(world: World, finding: Any) -> None:
    answer = await record(world, finding(), finding())

    first, second = answer.results
    kinds = sightings.RecordedSighting
    assert (first.disposition, second.disposition) == (
        kinds.DISPOSITION_RECORDED,
        kinds.DISPOSITION_JOINED,
    )
    assert first.sighting == second.sighting


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"still": b""}, "still"),
        ({"still": bytes(1024 * 1024 + 1)}, "still"),
        ({"subject_id": ""}, "sighting.subject_id"),
        ({"photo_id": "x"}, "sighting.photo_id"),
        ({"scan_id": ""}, "sighting.scan_id"),
        ({"footage_id": ""}, "sighting.footage_id"),
        ({"footage_id": "a.b"}, "sighting.footage_id"),
        ({"camera_id": ""}, "sighting.camera_id"),
        ({"interval": None}, "sighting.interval.start_time"),
        ({"best_shot_time": None}, "sighting.best_shot_time"),
        ({"start_offset": None}, "sighting.start_offset"),
        ({"end_offset": to_duration(timedelta(0))}, "sighting.end_offset"),
        ({"best_shot_offset": None}, "sighting.best_shot_offset"),
        ({"delete_time": None}, "sighting.delete_time"),
        ({"score": 1.5}, "sighting.score"),
        ({"best_shot_score": -1.5}, "sighting.best_shot_score"),
        ({"rival_score": 1.5}, "sighting.rival_score"),
        ({"threshold": float("nan")}, "sighting.threshold"),
        ({"policy_id": ""}, "sighting.policy_id"),
        ({"figures": figures(gallery_size=-1)}, "sighting.figures.gallery_size"),
        ({"footage_sha256": "5b" * 31}, "sighting.footage_sha256"),
        ({"figures": figures(expected_fpir=None)}, "sighting.figures.expected_fpir"),
        ({"figures": figures(fnir={"value": 2, "trial_count": 1})}, "sighting.figures.fnir"),
        ({"figures": figures(fnir={"value": float("nan")})}, "sighting.figures.fnir"),
        ({"model": ""}, "template.model_digest"),
        ({"requesters": ["A", "B"]}, "sighting.requesters"),
        ({"requesters": [""]}, "sighting.requesters[0]"),
        ({"requesters": ["x" * 201]}, "sighting.requesters[0]"),
    ],
)
async def test_record_sightings_names_the_field_of_the_finding_that_breaks_its_rule(
    world: World, finding: Any, changes: dict[str, Any], field: str
) -> None:
    call = record(world, finding(), finding(**changes))

    assert await fields_at_fault(call) == [f"findings[1].{field}"]


async def join(world: World, *findings: sightings.SightingFinding) -> Any:
    request = sightings.JoinSightingsRequest(findings=findings)
    return await world.sightings.JoinSightings(request)


def before_stills(made: sightings.SightingFinding) -> sightings.SightingFinding:
    unmade = sightings.SightingFinding()
    unmade.CopyFrom(made)
    unmade.ClearField("still")
    unmade.ClearField("stills")
    return unmade


async def test_join_sightings_answers_which_findings_need_their_stills(
    world: World, finding: Any
) -> None:
    (first,) = (await record(world, finding())).results
    new = finding(footage_id="another-recording")

    answer = await join(world, before_stills(finding()), before_stills(new))

    kinds = sightings.RecordedSighting
    assert [one.disposition for one in answer.results] == [
        kinds.DISPOSITION_JOINED,
        kinds.DISPOSITION_STILLS_NEEDED,
    ]
    assert answer.results[0].sighting == first.sighting
    assert not answer.results[1].HasField("sighting")
    assert (await record(world, new)).results[0].disposition == kinds.DISPOSITION_RECORDED


@pytest.mark.parametrize("field", ["still", "stills", "sighting.subject_id"])
async def test_join_sightings_names_the_field_of_the_finding_that_breaks_its_rule(
    world: World, finding: Any, field: str
) -> None:
    wrong = before_stills(finding())
    if field == "still":
        wrong.still = b"a still"
    elif field == "stills":
        wrong.stills.append(b"a still")
    else:
        wrong.sighting.subject_id = ""

    call = join(world, before_stills(finding()), wrong)

    assert await fields_at_fault(call) == [f"findings[1].{field}"]


async def test_a_sighting_keeps_what_its_threshold_was_worth(world: World, finding: Any) -> None:
    answer = await record(world, finding(figures=figures()))

    assert answer.results[0].sighting.figures == figures()


async def test_a_sighting_keeps_what_it_was_found_in_and_by_which_clock(
    world: World, finding: Any
) -> None:
    behind = to_duration(timedelta(seconds=-90))
    (told,) = (await record(world, finding(footage_sha256="5b" * 32, clock_offset=behind))).results
    (silent,) = (await record(world, finding(footage_id="another-recording"))).results

    assert (told.sighting.footage_sha256, told.sighting.clock_offset) == ("5b" * 32, behind)
    assert silent.sighting.footage_sha256 == ""
    assert not silent.sighting.HasField("clock_offset")


async def test_a_sighting_keeps_how_alike_somebody_else_is(world: World, finding: Any) -> None:
    (told,) = (await record(world, finding(rival_score=0.25))).results
    (silent,) = (await record(world, finding(footage_id="another-recording"))).results

    assert told.sighting.rival_score == 0.25
    assert not silent.sighting.HasField("rival_score")


async def get(world: World, sighting_id: str) -> Any:
    return (
        await world.sightings.GetSighting(sightings.GetSightingRequest(sighting_id=sighting_id))
    ).sighting


async def listed(world: World, sighting_id: str) -> Any:
    answer = await world.sightings.ListSightings(sightings.ListSightingsRequest())
    return next(one for one in answer.sightings if one.sighting_id == sighting_id)


async def exported(world: World, sighting_id: str) -> Any:
    await confirmed(world, sighting_id)
    request = sightings.ExportSightingRequest(sighting_id=sighting_id, unapproved=True)
    return (await world.sightings.ExportSighting(request)).sighting


@pytest.mark.parametrize("uncertain", [True, False])
@pytest.mark.parametrize("returned", [get, listed, confirmed, exported])
async def test_whoever_returns_a_sighting_tells_whether_its_time_is_uncertain(
    world: World, finding: Any, returned: Callable[[World, str], Any], *, uncertain: bool
) -> None:
    sighting_id = await recorded_id(world, finding(time_uncertain=uncertain))

    told = await returned(world, sighting_id)

    assert told.HasField("time_uncertain")
    assert told.time_uncertain is uncertain


@pytest.mark.parametrize("returned", [get, listed, confirmed, exported])
async def test_of_a_finding_that_does_not_tell_nobody_knows_whether_its_time_is_uncertain(
    world: World, finding: Any, returned: Callable[[World, str], Any]
) -> None:
    told = await returned(world, await recorded_id(world, finding()))

    assert not told.HasField("time_uncertain")


@pytest.mark.parametrize("count", [0, 65])
async def test_record_sightings_refuses_too_few_or_too_many(
    world: World, finding: Any, count: int
) -> None:
    assert await fields_at_fault(record(world, *[finding()] * count)) == ["findings"]


async def test_record_sightings_refuses_a_template_from_another_model(
    world: World, finding: Any
) -> None:
    assert await refusal(record(world, finding(model=OTHER_MODEL))) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.EMBEDDING_MODEL_MISMATCH,
    )


@pytest.mark.parametrize(
    ("later", "disposition"),
    [
        (0, sightings.RecordedSighting.DISPOSITION_REJECTED_BEFORE),
        (1, sightings.RecordedSighting.DISPOSITION_RECORDED),
    ],
)
async def test_a_finding_may_take_back_what_was_rejected_before_a_time(
    world: World, finding: Any, sighting_id: str, later: int, disposition: Any
) -> None:
    rejected = (await review(world, sighting_id)).sighting.review.review_time
    before = to_timestamp(rejected.ToDatetime(UTC) + timedelta(seconds=later))
    again = finding()
    again.include_rejected_before_time.CopyFrom(before)

    answer = await record(world, again)

    assert answer.results[0].disposition == disposition


def with_stills(found: sightings.SightingFinding, *seconds: int) -> sightings.SightingFinding:
    """Return a finding with stills of these places in the recording; its best shot is at 10 s."""
    for at in seconds:
        found.sighting.stills.add(
            offset=to_duration(timedelta(seconds=at)),
            time=found.sighting.best_shot_time,
            face_height_px=40,
            face_box=types_pb2.BoundingBox(x=1, y=2, width=3, height=4),
            quality=0.5,
        )
        found.stills.append(b"still %d" % at)
    return found


async def full_view(world: World, sighting_id: str) -> Any:
    return await world.sightings.GetSighting(
        sightings.GetSightingRequest(sighting_id=sighting_id, view=sightings.SIGHTING_VIEW_FULL)
    )


async def test_a_sighting_has_the_stills_of_its_finding_in_order(
    world: World, finding: Any
) -> None:
    sighting_id = await recorded_id(world, with_stills(finding(), 9, 10, 12))

    told = await full_view(world, sighting_id)

    assert list(told.stills) == [b"still 9", b"still 10", b"still 12"]
    assert told.still == b"still 10"
    offsets = [one.offset.ToTimedelta().total_seconds() for one in told.sighting.stills]
    assert offsets == [9, 10, 12]
    assert told.sighting.stills[0].face_box == types_pb2.BoundingBox(x=1, y=2, width=3, height=4)


async def test_a_finding_of_an_earlier_scanner_has_one_still(world: World, finding: Any) -> None:
    told = await full_view(world, await recorded_id(world, finding(face_height_px=30)))

    (still,) = told.sighting.stills
    assert list(told.stills) == [b"a still"]
    assert still.offset == told.sighting.best_shot_offset
    assert still.time == told.sighting.best_shot_time
    assert still.face_height_px == 30
    assert not still.HasField("face_box")
    assert not still.HasField("quality")


@pytest.mark.parametrize(
    ("stills", "field"),
    [
        ((10, 9), "findings[0].sighting.stills"),
        ((10, 10), "findings[0].sighting.stills"),
        ((9, 11), "findings[0].sighting.stills"),
        ((10, 11, 12, 13, 14, 15, 16), "findings[0].sighting.stills"),
    ],
    ids=["not in order", "one twice", "without the best", "more than six"],
)
async def test_stills_are_of_pictures_in_order(
    world: World, finding: Any, stills: tuple[int, ...], field: str
) -> None:
    assert await fields_at_fault(record(world, with_stills(finding(), *stills))) == [field]


async def test_as_many_stills_come_as_are_described(world: World, finding: Any) -> None:
    found = with_stills(finding(), 10, 11)
    del found.stills[1:]

    assert await fields_at_fault(record(world, found)) == ["findings[0].stills"]


async def test_a_face_in_a_still_has_a_size(world: World, finding: Any) -> None:
    found = with_stills(finding(), 10)
    found.sighting.stills[0].face_box.width = 0

    assert await fields_at_fault(record(world, found)) == [
        "findings[0].sighting.stills[0].face_box"
    ]


async def test_a_still_has_at_most_a_mebibyte(world: World, finding: Any) -> None:
    found = with_stills(finding(), 10, 11)
    found.stills[1] = b"x" * (1024 * 1024 + 1)

    assert await fields_at_fault(record(world, found)) == ["findings[0].stills[1]"]


async def test_a_finding_of_a_removed_recording_is_dropped_by_when_it_came(
    world: World, finding: Any, clock: Any
) -> None:
    received = to_timestamp(clock.now())
    await world.sightings.EraseFootageSightings(
        sightings.EraseFootageSightingsRequest(footage_id=FOOTAGE, footage_receive_time=received)
    )
    found = finding()
    found.footage_receive_time.CopyFrom(received)

    answer = await record(world, found)

    gone = sightings.RecordedSighting.DISPOSITION_FOOTAGE_REMOVED
    assert [(one.disposition, one.HasField("sighting")) for one in answer.results] == [
        (gone, False)
    ]
