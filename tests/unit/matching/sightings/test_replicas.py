"""Two replicas of matching record and review the same sighting at the same moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homeward.core import policies
from homeward.matching.composition import Choices, UseCases, compose
from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.model import (
    Decision,
    Disposition,
    Finding,
    Sighting,
    SightingState,
    state_after,
)
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.subjects.model import ErasureOutcome
from homeward.servicekit.errors import (
    FailedPreconditionError,
    NotFoundError,
    PermissionDeniedError,
    Reason,
    UnavailableError,
    unavailable,
)

CONFIRM, REJECT, INCONCLUSIVE = Decision.CONFIRM, Decision.REJECT, Decision.INCONCLUSIVE
Make = Callable[..., Finding]


@pytest.fixture
def other(matching: Any) -> UseCases:
    """Another replica, on the same stores."""
    return compose(matching.stores, Choices(shipped=policies.shipped()), matching.clock)


async def review(
    replica: Any, sighting: Sighting, decision: Decision, reviewer: str = "R. Viewer"
) -> Any:
    return await replica.review.review(
        sighting.sighting_id, decision=decision, reason="the same scar", reviewer=reviewer
    )


def first(call: Callable[..., Awaitable[Any]], happens: Callable[[], Awaitable[Any]]) -> Any:
    """Return a call before which something else happens, the first time."""
    left = [happens]

    async def called(*args: Any, **kwargs: Any) -> Any:
        if left:
            await left.pop()()
        return await call(*args, **kwargs)

    return called


async def everything(matching: Any) -> list[Any]:
    return sorted(await matching.index.find(SightingFilter()), key=lambda one: one.start_offset)


@pytest.fixture
async def recorded(matching: Any, finding: Make) -> Sighting:
    _, sighting = await matching.recording.record(finding(10, 14, score=0.5))
    assert sighting is not None
    return sighting


@pytest.fixture(params=[(0.9, "put"), (0.5, "update")])
def record_while(
    matching: Any,
    finding: Make,
    recorded: Sighting,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[UseCases, Decision], Awaitable[Any]]:
    """Records a finding, and has another replica decide just before the index is written.

    One that brings another picture, and one that only makes the sighting longer.
    """
    score, write = request.param

    async def record(other: UseCases, decision: Decision) -> Any:
        async def decided() -> None:
            await review(other, recorded, decision)

        with monkeypatch.context() as meanwhile:
            call = first(getattr(matching.index, write), decided)
            meanwhile.setattr(matching.index, write, call)
            return await matching.recording.record(finding(13, 20, score=score))

    return record


@pytest.mark.parametrize("store", ["put", "get"])
async def test_nothing_is_left_of_a_sighting_that_is_confirmed_while_its_subject_is_closed(
    matching: Any,
    other: UseCases,
    recorded: Sighting,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
) -> None:
    async def closed() -> None:
        await other.closing.close(recorded.subject_id)

    call = first(getattr(matching.evidence, store), closed)
    monkeypatch.setattr(matching.evidence, store, call)
    with pytest.raises(NotFoundError):
        await review(matching, recorded, CONFIRM)

    assert await everything(matching) == []
    assert await matching.evidence.objects("") == []


async def test_a_still_that_is_copied_while_its_sighting_is_erased_goes_too(
    matching: Any, recorded: Sighting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def copied() -> None:  # after the stills were deleted, by who confirms it elsewhere
        await matching.evidence.put(
            f"confirmed/{recorded.sighting_id}.jpg", b"a still", content_type="image/jpeg"
        )

    monkeypatch.setattr(matching.index, "remove", first(matching.index.remove, copied))
    _, certificate = await matching.closing.close(recorded.subject_id)

    assert await matching.evidence.objects("") == []
    assert {one.outcome for one in certificate.entries}.isdisjoint({ErasureOutcome.FAILED})


@pytest.mark.parametrize("decision", [CONFIRM, INCONCLUSIVE])
async def test_a_decision_is_not_overwritten_by_a_finding_that_another_replica_records(
    matching: Any, other: UseCases, record_while: Any, decision: Decision
) -> None:
    told = await record_while(other, decision)

    (held,) = await everything(matching)
    assert held.state is state_after(decision)
    assert (held.review.decision, held.review.reason) == (decision, "the same scar")
    assert told == (Disposition.JOINED, held)
    assert await matching.review.still(held) is not None


async def test_a_rejected_sighting_is_not_brought_back_by_another_replica(
    matching: Any, other: UseCases, record_while: Any
) -> None:
    told = await record_while(other, REJECT)

    assert told == (Disposition.REJECTED_BEFORE, None)
    assert await everything(matching) == []
    assert await matching.evidence.objects("") == []


async def test_a_confirmed_sighting_is_not_removed_by_who_rejects_it_at_the_same_time(
    matching: Any, recorded: Sighting, other: UseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def confirmed() -> None:
        await review(other, recorded, CONFIRM)

    settle = matching.stores.ledger.settle
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(matching.stores.ledger, "settle", first(settle, confirmed))
        with pytest.raises(FailedPreconditionError) as refusal:
            await review(matching, recorded, REJECT, "S. Econd")

    assert refusal.value.reason is Reason.SIGHTING_REVIEWED
    (held,) = await everything(matching)
    assert held.state is SightingState.CONFIRMED


async def test_a_sighting_is_not_said_to_be_confirmed_that_is_rejected_at_the_same_time(
    matching: Any, recorded: Sighting, other: UseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rejected() -> None:
        await review(other, recorded, REJECT, "S. Econd")

    settle = matching.stores.ledger.settle
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(matching.stores.ledger, "settle", first(settle, rejected))
        with pytest.raises(NotFoundError):
            await review(matching, recorded, CONFIRM)

    assert await everything(matching) == []
    assert await matching.evidence.objects("") == []


async def test_a_rejection_that_broke_off_is_finished_by_who_decides_otherwise(
    matching: Any, recorded: Sighting, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise unavailable("Qdrant", "nowhere", "start it")

    with monkeypatch.context() as broken:
        broken.setattr(matching.index, "remove", away)
        with pytest.raises(UnavailableError):
            await review(matching, recorded, REJECT)

    with pytest.raises(NotFoundError):
        await review(matching, recorded, CONFIRM, "S. Econd")

    assert await everything(matching) == []


@pytest.fixture
def two_reviewers(matching: Any) -> tuple[Any, UseCases]:
    """Two replicas that ask for two people."""
    matching.restart(review_rules=ReviewRules(two_reviewers=True, separate_reviewers=True))
    choices = Choices(
        shipped=policies.shipped(),
        review_rules=ReviewRules(two_reviewers=True, separate_reviewers=True),
    )
    return matching, compose(matching.stores, choices, matching.clock)


AT = ["get", "settle", "move", "update"]
"""What a replica does for a decision, before each of which another replica decides."""


async def both(
    replicas: tuple[Any, UseCases],
    recorded: Sighting,
    monkeypatch: pytest.MonkeyPatch,
    *,
    at: str,
    decisions: tuple[Decision, Decision],
) -> list[Any]:
    """Have one replica decide, and another right before a step of it; return both answers."""
    one, other = replicas
    places = {
        "get": one.index,
        "settle": one.stores.ledger,
        "move": one.review._kept.stills,
        "update": one.index,
    }
    answers = []

    async def meanwhile() -> None:
        answers.append(await answer(review(other, recorded, decisions[1], "S. Econd")))

    with monkeypatch.context() as patched:
        patched.setattr(places[at], at, first(getattr(places[at], at), meanwhile))
        answers.append(await answer(review(one, recorded, decisions[0], "R. Viewer")))
    return answers


async def answer(call: Awaitable[Any]) -> Any:
    try:
        return (await call).state
    except (NotFoundError, FailedPreconditionError) as error:
        return error.reason


@pytest.mark.parametrize("at", AT)
async def test_two_who_confirm_at_the_same_time_in_two_replicas_are_counted_both(
    two_reviewers: Any, recorded: Sighting, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = await both(two_reviewers, recorded, monkeypatch, at=at, decisions=(CONFIRM, CONFIRM))

    (held,) = await everything(two_reviewers[0])
    assert held.state is SightingState.CONFIRMED
    assert {one.reviewer for one in held.reviews} == {"R. Viewer", "S. Econd"}
    assert SightingState.CONFIRMED in answers
    assert await two_reviewers[0].review.still(held) is not None
    assert [one.key for one in await two_reviewers[0].evidence.objects("pending/")] == []


@pytest.mark.parametrize("at", AT)
async def test_who_confirms_while_another_rejects_either_comes_first_or_is_refused(
    two_reviewers: Any, recorded: Sighting, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await both(two_reviewers, recorded, monkeypatch, at=at, decisions=(CONFIRM, REJECT))

    held = await everything(two_reviewers[0])
    if at in ("get", "settle"):  # the rejection is counted first
        assert told == [SightingState.REJECTED, Reason.SIGHTING_NOT_FOUND]
        assert held == []
        assert await two_reviewers[0].evidence.objects("") == []
    else:
        assert told == [SightingState.AWAITING_SECOND] * 2
        assert [one.state for one in held] == [SightingState.AWAITING_SECOND]
        assert [one.decision for one in held[0].reviews] == [CONFIRM, REJECT]
        assert await two_reviewers[0].review.still(held[0]) is not None


@pytest.mark.parametrize("at", ["get", "settle"])
async def test_who_rejects_while_another_confirms_erases_nothing(
    two_reviewers: Any, recorded: Sighting, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await both(two_reviewers, recorded, monkeypatch, at=at, decisions=(REJECT, CONFIRM))

    (held,) = await everything(two_reviewers[0])
    assert told == [SightingState.AWAITING_SECOND] * 2
    assert [one.decision for one in held.reviews] == [CONFIRM, REJECT]


async def test_who_asks_for_a_search_meanwhile_does_not_confirm_what_it_found(
    two_reviewers: Any, recorded: Sighting, finding: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two_reviewers
    again = finding(10, 14, requesters=("R. Viewer",))

    async def searched() -> None:
        await other.recording.record(again)

    with monkeypatch.context() as meanwhile:
        settle = first(one.stores.ledger.settle, searched)
        meanwhile.setattr(one.stores.ledger, "settle", settle)
        with pytest.raises(PermissionDeniedError) as refusal:
            await review(one, recorded, CONFIRM)

    assert refusal.value.reason is Reason.REVIEWER_IS_REQUESTER
    (held,) = await everything(one)
    assert (held.state, held.requesters) == (SightingState.UNREVIEWED, ("R. Viewer",))


async def test_a_finding_of_a_half_confirmed_sighting_changes_nothing_but_who_asked(
    two_reviewers: Any, recorded: Sighting, finding: Make
) -> None:
    one, other = two_reviewers
    half = await review(one, recorded, CONFIRM)

    _, joined = await other.recording.record(
        finding(13, 20, score=0.9, requesters=("T. Hird",), still=b"another")
    )

    assert joined == replace(half, requesters=("T. Hird",))
    assert await one.review.still(joined) == b"a still"


async def test_a_half_confirmed_sighting_goes_when_it_is_due(
    two_reviewers: Any, recorded: Sighting, pass_time: Callable[[timedelta], None]
) -> None:
    one, _ = two_reviewers
    half = await review(one, recorded, CONFIRM)

    pass_time(half.delete_time - one.clock.now())

    with pytest.raises(NotFoundError):
        await one.review.get(half.sighting_id)
    await one.upkeep.sweep()
    assert await everything(one) == []
    assert await one.evidence.objects("") == []


async def test_a_half_confirmed_sighting_goes_with_its_recording(
    two_reviewers: Any, recorded: Sighting
) -> None:
    one, _ = two_reviewers
    await review(one, recorded, CONFIRM)

    assert await one.upkeep.erase_footage(recorded.footage_id) == 1


async def test_a_lost_ledger_does_not_make_one_confirmation_two(
    two_reviewers: Any, recorded: Sighting
) -> None:
    one, other = two_reviewers
    await review(one, recorded, CONFIRM)
    await one.stores.ledger.erase_footage(recorded.footage_id)

    with pytest.raises(FailedPreconditionError):
        await one.review.review(
            recorded.sighting_id, decision=CONFIRM, reason="sure", reviewer="R. Viewer"
        )
    held = await review(other, recorded, CONFIRM, "S. Econd")

    assert held.state is SightingState.CONFIRMED
    assert [one.reviewer for one in held.reviews] == ["R. Viewer", "S. Econd"]


async def test_a_still_that_is_missed_does_not_undo_a_decision(
    matching: Any,
    recorded: Sighting,
    other: UseCases,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await matching.evidence.delete(f"pending/{recorded.sighting_id}.jpg")

    async def decided() -> None:
        await review(other, recorded, CONFIRM)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(matching.evidence, "stat", first(matching.evidence.stat, decided))
        await matching.upkeep.sweep()

    (held,) = await everything(matching)
    assert (held.state, held.still_gone) == (SightingState.CONFIRMED, True)


@pytest.fixture
async def bridged(
    matching: Any, finding: Make, monkeypatch: pytest.MonkeyPatch
) -> tuple[Sighting, Finding]:
    """A sighting that a finding took in, which broke off after the ledger was written."""
    await matching.recording.record(finding(10, 14, score=0.5))
    _, second = await matching.recording.record(finding(20, 24, score=0.8))
    bridge = finding(13, 21, score=0.5)

    async def away(*_: Any) -> None:
        raise unavailable("Qdrant", "nowhere", "start it")

    with monkeypatch.context() as broken:
        broken.setattr(matching.index, "put", away)
        broken.setattr(matching.index, "update", away)
        with pytest.raises(Exception, match="Qdrant"):
            await matching.recording.record(bridge)
    return second, bridge


async def test_a_finding_that_broke_off_between_two_sightings_leaves_one(
    matching: Any, bridged: tuple[Sighting, Finding]
) -> None:
    second, bridge = bridged

    await matching.recording.record(bridge)

    (held,) = await everything(matching)
    assert (held.start_offset, held.end_offset) == (timedelta(seconds=10), timedelta(seconds=24))
    assert held.score == 0.8
    assert held.sighting_id != second.sighting_id


async def test_a_confirmed_sighting_is_not_taken_in_by_another(
    matching: Any, bridged: tuple[Sighting, Finding]
) -> None:
    second, bridge = bridged
    await review(matching, second, CONFIRM)

    await matching.recording.record(bridge)

    _, held = await everything(matching)
    assert (held.sighting_id, held.state) == (second.sighting_id, SightingState.CONFIRMED)


async def test_of_sightings_that_begin_alike_those_past_their_deadline_do_not_count(
    matching: Any, finding: Make
) -> None:
    late = matching.clock.now()
    names = sorted(
        [
            (await matching.recording.record(finding(start, start + 1)))[1].sighting_id
            for start in (0, 100, 200)
        ]
    )
    expired = replace(await matching.index.get(names[0]), delete_time=late)
    await matching.index.update(expired)

    listed, last = await matching.review.with_prefix("", size=2)

    assert ([one.sighting_id for one in listed], last) == (names[1:], "")
