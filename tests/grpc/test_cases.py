"""Who is restricted to cases meets subjects and sightings of these alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from following import Followers
from google.protobuf.field_mask_pb2 import FieldMask
from matching_stores import in_memory
from served_matching import MODEL, NOBODY, Analyzer, Stubs, finding, refusal, stated

from homeward.api.matching.v1 import (
    sighting_pb2,
    subject_pb2,
)
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.core.caller_metadata import CASE, PURPOSE
from homeward.matching.adapters.memory import (
    InMemorySightingIndex,
    InMemorySubjectIndex,
)
from homeward.matching.adapters.memory_feed import InMemorySightingFeed
from homeward.matching.composition import Choices, compose
from homeward.matching.servicer import services
from homeward.servicekit.clock import Clock
from homeward.servicekit.identity.caller import Role
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.settings import ServiceSettings
from issuer import Issuer

OURS, THEIRS = "MP/1", "MP/2"
ROLES = [role.value for role in Role if role is not Role.SERVICE]
SUBJECT_GONE = (grpc.StatusCode.NOT_FOUND, "SUBJECT_NOT_FOUND")
SIGHTING_GONE = (grpc.StatusCode.NOT_FOUND, "SIGHTING_NOT_FOUND")
NOT_ASSIGNED = (grpc.StatusCode.PERMISSION_DENIED, "CASE_NOT_ASSIGNED")


@dataclass(frozen=True, slots=True)
class World:
    """Matching with a subject and a sighting of each of two cases."""

    unchecked: Stubs
    seen_by: Callable[..., Stubs]
    subject_ids: dict[str, str]
    sighting_ids: dict[str, str]
    feed: InMemorySightingFeed


@pytest.fixture
async def world(clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    feed = InMemorySightingFeed()
    stores = in_memory(
        faces=Analyzer(),
        gallery=InMemorySubjectIndex(MODEL),
        index=InMemorySightingIndex(MODEL),
        feed=feed,
    )
    served = services(compose(stores, Choices(shipped=[]), clock), stores, clock)
    issuer = Issuer()
    file = issuer.write(tmp_path / "auth", restrict_to_cases=True)
    settings = ServiceSettings(listen="localhost:0", drain_seconds=0, auth_file=file)
    checked = GrpcServer.configured(settings, served, checks={})
    unchecked = GrpcServer(served, listen="localhost:0", checks={}, grace_seconds=0)
    await checked.start()
    await unchecked.start()

    def seen_by(*cases: str) -> Stubs:
        token = issuer.token(*ROLES, cases=list(cases))
        stated = (cases or ("",))[0].replace("*", OURS)
        return Stubs.on(
            channel,
            (("authorization", f"Bearer {token}"), (PURPOSE, "search"), (CASE, stated)),
        )

    async with (
        grpc.aio.insecure_channel(f"localhost:{checked.port}") as channel,
        grpc.aio.insecure_channel(f"localhost:{unchecked.port}") as behind,
    ):
        made = World(Stubs.on(behind), seen_by, {}, {}, feed)
        for case in (OURS, THEIRS):
            await enrol(made, case, clock)
        yield made
    await checked.stop()
    await unchecked.stop()


async def enrol(world: World, case: str, clock: Clock) -> None:
    """Enrol somebody of a case, and record a sighting of them."""
    request = subjects.CreateSubjectRequest(subject=stated(case, clock))
    name = (await world.unchecked.call("CreateSubject", request)).subject.subject_id
    found = finding(name, clock)
    recorded = await world.unchecked.call(
        "RecordSightings", sightings.RecordSightingsRequest(findings=[found])
    )
    world.subject_ids[case] = name
    world.sighting_ids[case] = recorded.results[0].sighting.sighting_id


def confirming(sighting_id: str) -> sightings.ReviewSightingRequest:
    return sightings.ReviewSightingRequest(
        sighting_id=sighting_id,
        decision=sighting_pb2.REVIEW_DECISION_CONFIRM,
        reviewer="R. Viewer",
    )


def rejecting(sighting_id: str) -> sightings.ReviewSightingRequest:
    return sightings.ReviewSightingRequest(
        sighting_id=sighting_id,
        decision=sighting_pb2.REVIEW_DECISION_REJECT,
        reviewer="R. Viewer",
    )


BY_SUBJECT: dict[str, Callable[[str], Any]] = {
    "GetSubject": lambda name: subjects.GetSubjectRequest(subject_id=name),
    "AddReferencePhoto": lambda name: subjects.AddReferencePhotoRequest(
        subject_id=name, photo=b"photo"
    ),
    "UpdateSubject": lambda name: subjects.UpdateSubjectRequest(
        subject=subject_pb2.Subject(subject_id=name, label="X"),
        update_mask=FieldMask(paths=["label"]),
    ),
    "CloseSubject": lambda name: subjects.CloseSubjectRequest(subject_id=name),
    "EraseSubject": lambda name: subjects.EraseSubjectRequest(subject_id=name),
}
BY_SIGHTING: dict[str, Callable[[str], Any]] = {
    "GetSighting": lambda name: sightings.GetSightingRequest(
        sighting_id=name, view=sightings.SIGHTING_VIEW_FULL
    ),
    "ReviewSighting": confirming,
    "ExportSighting": lambda name: sightings.ExportSightingRequest(
        sighting_id=name, unapproved=True
    ),
}


@pytest.mark.parametrize("rpc", BY_SUBJECT)
async def test_a_subject_of_another_case_is_not_there(world: World, rpc: str) -> None:
    request = BY_SUBJECT[rpc](world.subject_ids[THEIRS])
    nobody = BY_SUBJECT[rpc](NOBODY)
    caller = world.seen_by(OURS)

    assert await refusal(caller.call(rpc, request)) == SUBJECT_GONE
    assert await refusal(caller.call(rpc, nobody)) == SUBJECT_GONE
    kept = await world.unchecked.call(
        "GetSubject", subjects.GetSubjectRequest(subject_id=world.subject_ids[THEIRS])
    )
    assert kept.subject.state == subject_pb2.Subject.STATE_OPEN
    assert kept.subject.label == "Anna Example"


async def test_a_photograph_of_another_case_is_not_there(world: World) -> None:
    name = world.subject_ids[THEIRS]
    added = await world.unchecked.call("AddReferencePhoto", BY_SUBJECT["AddReferencePhoto"](name))
    request = subjects.GetReferencePhotoRequest(
        subject_id=name, photo_id=added.reference_photo.photo_id
    )

    assert await refusal(world.seen_by(OURS).call("GetReferencePhoto", request)) == SUBJECT_GONE
    assert (await world.seen_by(THEIRS).call("GetReferencePhoto", request)).image == b"photo"


@pytest.mark.parametrize("rpc", BY_SUBJECT)
async def test_a_subject_of_the_callers_case_is_there(world: World, rpc: str) -> None:
    await world.seen_by(OURS).call(rpc, BY_SUBJECT[rpc](world.subject_ids[OURS]))


@pytest.mark.parametrize("rpc", BY_SIGHTING)
async def test_a_sighting_of_another_case_is_not_there(world: World, rpc: str) -> None:
    request = BY_SIGHTING[rpc](world.sighting_ids[THEIRS])

    assert await refusal(world.seen_by(OURS).call(rpc, request)) == SIGHTING_GONE


async def test_a_sighting_of_the_callers_case_is_there(world: World) -> None:
    caller, name = world.seen_by(OURS), world.sighting_ids[OURS]
    for rpc in ("GetSighting", "ReviewSighting", "ExportSighting"):
        await caller.call(rpc, BY_SIGHTING[rpc](name))


async def test_a_sighting_of_another_case_is_kept_from_nobody(world: World) -> None:
    request = sightings.RenewSightingLeasesRequest(
        sighting_ids=[world.sighting_ids[THEIRS], world.sighting_ids[OURS], NOBODY]
    )
    renewed = await world.seen_by(OURS).call("RenewSightingLeases", request)
    held = await world.unchecked.call(
        "LeaseSightings", sightings.LeaseSightingsRequest(reviewer="somebody else")
    )

    assert [one.sighting_id for one in renewed.leases] == [world.sighting_ids[OURS]]
    assert [one.sighting_id for one in held.leases] == [world.sighting_ids[THEIRS]]


@pytest.mark.parametrize(
    ("cases", "seen"),
    [
        ((OURS,), {OURS}),
        ((OURS, THEIRS), {OURS, THEIRS}),
        (("*",), {OURS, THEIRS}),
        (("MP/3",), set()),
        (("mp/1",), set()),
    ],
)
async def test_lists_have_what_is_of_the_callers_cases(
    world: World, cases: tuple[str, ...], seen: set[str]
) -> None:
    caller = world.seen_by(*cases)
    people = await caller.call("ListSubjects", subjects.ListSubjectsRequest(show_closed=True))
    found = await caller.call("ListSightings", sightings.ListSightingsRequest())
    named = [
        one.sighting_id
        for name in world.sighting_ids.values()
        for one in (
            await caller.call("ListSightings", sightings.ListSightingsRequest(id_prefix=name[:8]))
        ).sightings
    ]

    assert {one.case_reference for one in people.subjects} == seen
    assert {one.subject_id for one in found.sightings} == {world.subject_ids[one] for one in seen}
    assert set(named) == {world.sighting_ids[one] for one in seen}


async def test_a_list_that_is_asked_of_others_is_empty(world: World) -> None:
    request = sightings.ListSightingsRequest(subject_ids=[world.subject_ids[THEIRS]])

    found = await world.seen_by(OURS).call("ListSightings", request)

    assert list(found.sightings) == []


async def test_rejections_of_others_are_not_told(world: World) -> None:
    for name in world.sighting_ids.values():
        await world.unchecked.call("ReviewSighting", rejecting(name))
    theirs = [world.subject_ids[THEIRS]]
    caller = world.seen_by(OURS)
    every = await caller.call("ListRejections", sightings.ListRejectionsRequest())
    asked = await caller.call("ListRejections", sightings.ListRejectionsRequest(subject_ids=theirs))
    again = caller.call("ReviewSighting", rejecting(world.sighting_ids[THEIRS]))

    assert [one.subject_id for one in every.rejections] == [world.subject_ids[OURS]]
    assert list(asked.rejections) == []
    assert await refusal(again) == SIGHTING_GONE


async def test_nobody_is_enrolled_for_or_moved_to_a_case_of_others(
    world: World, clock: Clock
) -> None:
    caller, ours = world.seen_by(OURS), world.subject_ids[OURS]
    create = subjects.CreateSubjectRequest(subject=stated(THEIRS, clock))
    move = subjects.UpdateSubjectRequest(
        subject=subject_pb2.Subject(subject_id=ours, case_reference=THEIRS),
        update_mask=FieldMask(paths=["case_reference"]),
    )

    assert await refusal(caller.call("CreateSubject", create)) == NOT_ASSIGNED
    assert await refusal(caller.call("UpdateSubject", move)) == NOT_ASSIGNED
    kept = await caller.call("GetSubject", subjects.GetSubjectRequest(subject_id=ours))
    assert kept.subject.case_reference == OURS


async def test_a_watch_tells_of_the_callers_cases_and_what_of_them_is_erased(
    world: World, clock: Clock
) -> None:
    world.feed._followers = followers = Followers()
    watching = world.seen_by(OURS).call("WatchSightings", sightings.WatchSightingsRequest())
    told = asyncio.create_task(anext(aiter(watching)))
    await asyncio.wait_for(followers.came.acquire(), 10)
    for case in (THEIRS, OURS):
        found = finding(world.subject_ids[case], clock, hours_ago=5)
        await world.unchecked.call(
            "RecordSightings", sightings.RecordSightingsRequest(findings=[found])
        )
    first = (await told).sighting
    for case in (THEIRS, OURS):
        await world.unchecked.call(
            "CloseSubject", subjects.CloseSubjectRequest(subject_id=world.subject_ids[case])
        )
    erased = [(await anext(aiter(watching))).sighting for _ in range(2)]
    watching.cancel()

    late = world.seen_by(OURS).call(
        "WatchSightings", sightings.WatchSightingsRequest(from_oldest=True, send_places=True)
    )
    later = [await anext(aiter(late)) for _ in range(5)]
    late.cancel()

    # What belongs to nobody any more is still told to those of its case, and to nobody else.
    assert [one.sighting.subject_id for one in later] == [*[world.subject_ids[OURS]] * 4, ""]
    assert first.subject_id == world.subject_ids[OURS]
    assert {one.subject_id for one in erased} == {world.subject_ids[OURS]}
    assert {one.state for one in erased} == {sighting_pb2.Sighting.STATE_ERASED}
