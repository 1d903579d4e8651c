"""A confirmation by two people, known by their tokens, who did not ask for the search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from matching_stores import in_memory
from served_matching import MODEL, Analyzer, Stubs, finding, refusal, stated

from homeward.api.matching.v1 import sighting_pb2
from homeward.api.matching.v1 import sighting_service_pb2 as sightings
from homeward.api.matching.v1 import subject_service_pb2 as subjects
from homeward.matching.adapters.memory import InMemorySightingIndex, InMemorySubjectIndex
from homeward.matching.composition import Choices, compose
from homeward.matching.servicer import services
from homeward.matching.sightings.deciding import ReviewRules
from homeward.servicekit.clock import Clock
from homeward.servicekit.server import GrpcServer
from homeward.servicekit.settings import ServiceSettings
from issuer import Issuer

CONFIRM, REJECT = sighting_pb2.REVIEW_DECISION_CONFIRM, sighting_pb2.REVIEW_DECISION_REJECT
ASKER, ANNE, BOB = "asker@force", "anne@force", "bob@force"
State = sighting_pb2.Sighting


@dataclass(frozen=True, slots=True)
class World:
    """Matching that asks for two reviewers, and a sighting."""

    as_person: Callable[[str], Stubs]
    sighting_id: str

    async def review(
        self, person: str, decision: sighting_pb2.ReviewDecision.ValueType, *, typed: str = ""
    ) -> sighting_pb2.Sighting:
        request = sightings.ReviewSightingRequest(
            sighting_id=self.sighting_id, decision=decision, reason="a scar", reviewer=typed
        )
        answer = await self.as_person(person).call("ReviewSighting", request)
        found: sighting_pb2.Sighting = answer.sighting
        return found


@pytest.fixture
async def world(clock: Clock, tmp_path: Path) -> AsyncIterator[World]:
    stores = in_memory(
        faces=Analyzer(), gallery=InMemorySubjectIndex(MODEL), index=InMemorySightingIndex(MODEL)
    )
    rules = ReviewRules(two_reviewers=True, separate_reviewers=True)
    served = services(compose(stores, Choices([], review_rules=rules), clock), stores, clock)
    issuer = Issuer()
    file = issuer.write(tmp_path / "auth", require_purpose=False)
    settings = ServiceSettings(listen="localhost:0", drain_seconds=0, auth_file=file)
    checked = GrpcServer.configured(settings, served, checks={})
    unchecked = GrpcServer(served, listen="localhost:0", checks={}, grace_seconds=0)
    await checked.start()
    await unchecked.start()

    def as_person(name: str) -> Stubs:
        token = issuer.token("reviewer", "investigator", sub=name)
        return Stubs.on(channel, (("authorization", f"Bearer {token}"),))

    async with (
        grpc.aio.insecure_channel(f"localhost:{checked.port}") as channel,
        grpc.aio.insecure_channel(f"localhost:{unchecked.port}") as behind,
    ):
        inside = Stubs.on(behind)
        enrol = subjects.CreateSubjectRequest(subject=stated("MP/1", clock))
        name = (await inside.call("CreateSubject", enrol)).subject.subject_id
        found = finding(name, clock, requester=ASKER)
        recorded = await inside.call(
            "RecordSightings", sightings.RecordSightingsRequest(findings=[found])
        )
        yield World(as_person, recorded.results[0].sighting.sighting_id)
    await checked.stop()
    await unchecked.stop()


async def test_a_sighting_is_confirmed_by_two_and_tells_who_is_awaited(world: World) -> None:
    request = sightings.GetSightingRequest(sighting_id=world.sighting_id)
    new = (await world.as_person(ANNE).call("GetSighting", request)).sighting
    half = await world.review(ANNE, CONFIRM)
    listed = await world.as_person(BOB).call(
        "ListSightings", sightings.ListSightingsRequest(states=[State.STATE_AWAITING_SECOND])
    )
    confirmed = await world.review(BOB, CONFIRM)

    assert list(new.requesters) == [ASKER]
    assert new.awaited_review == sighting_pb2.AwaitedReview(
        confirmation_count=2, excluded_reviewers=[ASKER]
    )
    assert half.state == State.STATE_AWAITING_SECOND
    assert half.awaited_review == sighting_pb2.AwaitedReview(
        confirmation_count=1, excluded_reviewers=[ANNE, ASKER]
    )
    assert half.HasField("delete_time")
    (told,) = listed.sightings
    assert (told.sighting_id, told.state) == (half.sighting_id, half.state)
    assert confirmed.state == State.STATE_CONFIRMED
    assert not confirmed.HasField("awaited_review")
    assert [one.reviewer for one in confirmed.reviews] == [ANNE, BOB]


async def test_what_is_exported_names_both(world: World) -> None:
    request = sightings.ExportSightingRequest(sighting_id=world.sighting_id, unapproved=True)
    await world.review(ANNE, CONFIRM)
    early = world.as_person(BOB).call("ExportSighting", request)
    assert await refusal(early) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "SIGHTING_NOT_CONFIRMED",
    )
    await world.review(BOB, CONFIRM)

    exported = (await world.as_person(BOB).call("ExportSighting", request)).sighting

    assert [(one.reviewer, one.reason) for one in exported.reviews] == [
        (ANNE, "a scar"),
        (BOB, "a scar"),
    ]


async def test_who_asked_for_the_search_does_not_confirm(world: World) -> None:
    refused = await refusal(world.review(ASKER, CONFIRM))

    assert refused == (grpc.StatusCode.PERMISSION_DENIED, "REVIEWER_IS_REQUESTER")
    assert (await world.review(ASKER, REJECT)).state == State.STATE_REJECTED


async def test_nobody_confirms_twice_by_another_name(world: World) -> None:
    half = await world.review(ANNE, CONFIRM, typed="Somebody Else")
    again = await world.review(ANNE, CONFIRM, typed=BOB)
    refused = await refusal(world.review(ANNE, REJECT, typed=BOB))

    assert [one.reviewer for one in half.reviews] == [ANNE]
    assert again == half
    assert refused == (grpc.StatusCode.FAILED_PRECONDITION, "REVIEWER_DECIDED_BEFORE")


async def test_two_people_reject_what_one_has_confirmed(world: World) -> None:
    await world.review(ANNE, CONFIRM)
    disputed = await world.review(BOB, REJECT)
    rejected = await world.review(ASKER, REJECT)

    assert disputed.state == State.STATE_AWAITING_SECOND
    assert list(disputed.awaited_review.excluded_reviewers) == [BOB, ASKER]
    assert rejected.state == State.STATE_REJECTED


async def test_whoever_may_be_the_second_is_not_told_what_the_first_said(world: World) -> None:
    await world.review(ANNE, CONFIRM)
    wanted = sightings.GetSightingRequest(sighting_id=world.sighting_id)
    leased = await world.as_person(BOB).call("LeaseSightings", sightings.LeaseSightingsRequest())
    read = (await world.as_person(BOB).call("GetSighting", wanted)).sighting
    own = (await world.as_person(ANNE).call("GetSighting", wanted)).sighting
    decided = await world.review(BOB, REJECT)

    assert list(leased.sightings) == [read]
    assert read.state == State.STATE_AWAITING_SECOND
    assert read.reviews_withheld
    assert not read.reviews
    assert not read.HasField("review")
    assert ANNE not in str(read)
    assert read.awaited_review.confirmation_count == 1
    assert not own.reviews_withheld
    assert [one.reviewer for one in own.reviews] == [ANNE]
    # Who has decided could take it back, and decide again.
    assert decided.reviews_withheld
    assert [one.reviewer for one in decided.reviews] == [BOB]
    assert ANNE not in str(decided)


async def test_a_candidate_is_not_handed_to_who_asked_for_it_or_has_decided(world: World) -> None:
    request = sightings.LeaseSightingsRequest()
    asker = await world.as_person(ASKER).call("LeaseSightings", request)
    await world.review(ANNE, CONFIRM)
    anne = await world.as_person(ANNE).call("LeaseSightings", request)

    assert (len(asker.sightings), asker.own_search_count, asker.open_count) == (0, 1, 0)
    assert (len(anne.sightings), anne.own_search_count, anne.open_count) == (0, 0, 0)


async def test_nobody_else_decides_on_what_was_handed_out(world: World) -> None:
    request = sightings.LeaseSightingsRequest()
    held = (await world.as_person(ANNE).call("LeaseSightings", request)).leases
    bobs = await world.as_person(BOB).call("LeaseSightings", request)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.review(BOB, CONFIRM)
    renewed = await world.as_person(ANNE).call(
        "RenewSightingLeases",
        sightings.RenewSightingLeasesRequest(sighting_ids=[world.sighting_id]),
    )
    back = sightings.ReturnSightingsRequest(sighting_ids=[world.sighting_id])
    await world.as_person(BOB).call("ReturnSightings", back)  # not his
    still = await refusal(world.review(BOB, CONFIRM))
    await world.as_person(ANNE).call("ReturnSightings", back)

    assert [one.sighting_id for one in held] == [world.sighting_id]
    assert (len(bobs.sightings), bobs.held_by_others_count, bobs.open_count) == (0, 1, 1)
    assert still == (grpc.StatusCode.FAILED_PRECONDITION, "SIGHTING_LEASED")
    assert ANNE not in str(refused.value)
    assert list(renewed.leases) == list(held)
    assert (await world.review(BOB, CONFIRM)).state == State.STATE_AWAITING_SECOND


async def test_a_reviewer_takes_their_own_decision_back(world: World) -> None:
    half = await world.review(ANNE, CONFIRM)
    request = sightings.WithdrawReviewRequest(
        sighting_id=world.sighting_id, review_time=half.review.review_time
    )
    bobs = await world.as_person(BOB).call("WithdrawReview", request)
    back = await world.as_person(ANNE).call("WithdrawReview", request)
    again = await world.as_person(ANNE).call("WithdrawReview", request)

    assert bobs.sighting.state == State.STATE_AWAITING_SECOND  # not his: it stands
    assert back.sighting.state == State.STATE_UNREVIEWED
    assert not back.sighting.reviews
    assert again.sighting == back.sighting
