"""Handing candidates out, and taking decisions back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homeward.core import policies
from homeward.matching.composition import Choices, UseCases, compose
from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.leasing import HandedOut, LeaseQuery
from homeward.matching.sightings.model import Decision, Finding, Sighting, SightingState
from homeward.matching.sightings.order import in_order
from homeward.matching.sightings.queue import READ_AT_ONCE
from homeward.matching.sightings.taking_back import Withdrawal
from homeward.servicekit.errors import FailedPreconditionError, NotFoundError, Reason

ANNE, BOB = "anne@force", "bob@force"
CONFIRM, REJECT, UNSURE = Decision.CONFIRM, Decision.REJECT, Decision.INCONCLUSIVE
ALL = LeaseQuery()
TWO = ReviewRules(two_reviewers=True)
Make = Callable[..., Finding]


@pytest.fixture
def other(matching: Any) -> UseCases:
    """Another replica, on the same stores."""
    return compose(matching.stores, Choices(shipped=policies.shipped()), matching.clock)


@pytest.fixture
async def recorded(matching: Any, finding: Make) -> list[Sighting]:
    """Three sightings on one camera, minutes from each other, the best one last."""
    found = [
        await matching.recording.record(finding(start, start + 4, score=score))
        for start, score in ((10, 0.5), (200, 0.6), (600, 0.7))
    ]
    return [sighting for _, sighting in found]


def names(handed: HandedOut) -> list[str]:
    return [one.sighting_id for one, _ in handed.sightings]


def ids(*sightings: Sighting) -> list[str]:
    return [one.sighting_id for one in sightings]


async def decide(
    replica: Any, sighting: Sighting, decision: Decision, reviewer: str = ANNE
) -> Sighting:
    done: Sighting = await replica.review.review(
        sighting.sighting_id, decision=decision, reason="", reviewer=reviewer
    )
    return done


def last_of(sighting: Sighting) -> Withdrawal:
    assert sighting.review is not None
    return Withdrawal(sighting.review.reviewer, sighting.review.review_time)


def test_groups_by_camera_and_time_come_by_their_best_score(finding: Make) -> None:
    def at(name: str, camera: str, second: float, score: float) -> Sighting:
        made = finding(second, second + 4, score=score, camera_id=camera).sighting
        return replace(made, sighting_id=name)

    gate = [at("a", "gate", 0, 0.5), at("b", "gate", 60, 0.6)]
    later = [at("c", "gate", 125, 0.55)]  # 61 seconds after the end of what was before
    door = [at("d", "door", 10, 0.9), at("e", "door", 20, 0.4)]
    sightings = [*gate, *later, *door]

    assert "".join(one.sighting_id for one in in_order(sightings)) == "debac"
    assert "".join(one.sighting_id for one in in_order(sightings, begun=["c"])) == "cdeba"


def test_a_group_ends_after_a_quarter_of_an_hour(finding: Make) -> None:
    busy = [
        replace(finding(60 * n, 60 * n + 4, score=0.5 + n / 100).sighting, sighting_id=f"{n:02}")
        for n in range(18)
    ]

    assert ids(*in_order(busy)) == ["17", "16", *(f"{n:02}" for n in range(15, -1, -1))]


async def test_no_candidate_is_handed_to_two(
    matching: Any, other: UseCases, recorded: list[Sighting]
) -> None:
    first, second, best = recorded
    annes = await matching.leasing.hand_out(ALL, ANNE, count=2)
    bobs = await other.leasing.hand_out(ALL, BOB, count=2)
    again = await other.leasing.hand_out(ALL, ANNE, count=2)

    assert names(annes) == ids(best, second)
    assert (names(bobs), bobs.open, bobs.held_by_others) == (ids(first), 3, 2)
    assert again.sightings == annes.sightings


async def test_of_two_replicas_one_hands_a_candidate_out(
    matching: Any, other: UseCases, recorded: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, bobs = matching.stores.review_leases, list[HandedOut]()
    create = store.create

    async def after_the_other(key: str, value: bytes) -> int:
        if not bobs:
            monkeypatch.setattr(store, "create", create)
            bobs.append(await other.leasing.hand_out(ALL, BOB, count=2))
        written: int = await create(key, value)
        return written

    monkeypatch.setattr(store, "create", after_the_other)
    annes = await matching.leasing.hand_out(ALL, ANNE, count=3)

    first, second, best = recorded
    assert (names(bobs[0]), names(annes)) == (ids(best, second), ids(first))
    assert annes.held_by_others == 2


@pytest.mark.parametrize("decision", [CONFIRM, REJECT, UNSURE])
async def test_what_was_decided_meanwhile_is_not_handed_out(
    matching: Any,
    other: UseCases,
    recorded: list[Sighting],
    monkeypatch: pytest.MonkeyPatch,
    decision: Decision,
) -> None:
    find = matching.index.find

    async def then_decided(which: Any) -> list[Sighting]:
        found: list[Sighting] = await find(which)
        monkeypatch.setattr(matching.index, "find", find)
        await decide(other, recorded[2], decision, BOB)
        return found

    monkeypatch.setattr(matching.index, "find", then_decided)
    handed = await matching.leasing.hand_out(ALL, ANNE, count=3)

    assert names(handed) == ids(recorded[1], recorded[0])


async def test_what_the_reviewers_own_search_found_meanwhile_is_not_handed_out(
    matching: Any,
    other: UseCases,
    recorded: list[Sighting],
    finding: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matching.restart(review_rules=ReviewRules(separate_reviewers=True))
    find = matching.index.find

    async def then_found_again(which: Any) -> list[Sighting]:
        found: list[Sighting] = await find(which)
        monkeypatch.setattr(matching.index, "find", find)
        await other.recording.record(finding(600, 604, score=0.7, requesters=(ANNE,)))
        return found

    monkeypatch.setattr(matching.index, "find", then_found_again)
    handed = await matching.leasing.hand_out(ALL, ANNE, count=3)

    assert names(handed) == ids(recorded[1], recorded[0])
    assert names(await matching.leasing.hand_out(ALL, BOB, count=3)) == ids(recorded[2])


async def test_a_lease_that_was_not_renewed_is_anybodys(
    matching: Any, recorded: list[Sighting]
) -> None:
    (name,) = names(await matching.leasing.hand_out(ALL, ANNE, count=1))
    await matching.stores.review_leases.erase(name)  # as the store does after five minutes
    bobs = await matching.leasing.hand_out(ALL, BOB, count=1)
    renewed = await matching.leasing.renew([name], ANNE)
    with pytest.raises(FailedPreconditionError) as refused:
        await decide(matching, recorded[2], CONFIRM, ANNE)

    assert names(bobs) == [name]
    assert renewed == []
    assert refused.value.reason is Reason.SIGHTING_LEASED
    assert ANNE not in refused.value.message
    assert BOB not in refused.value.message


async def test_a_decision_gives_the_lease_back(matching: Any, recorded: list[Sighting]) -> None:
    matching.restart(review_rules=TWO)
    await matching.leasing.hand_out(ALL, ANNE, count=3)
    await decide(matching, recorded[2], CONFIRM, ANNE)
    bobs = await matching.leasing.hand_out(ALL, BOB, count=3)

    assert names(bobs) == ids(recorded[2])
    assert bobs.held_by_others == 2


async def test_what_could_not_be_told_is_handed_out_if_asked_for(
    matching: Any, recorded: list[Sighting]
) -> None:
    await decide(matching, recorded[2], UNSURE, ANNE)
    without = await matching.leasing.hand_out(ALL, BOB, count=3)
    await matching.leasing.give_back(names(without), BOB)
    again = LeaseQuery(include_inconclusive=True)

    assert names(without) == ids(recorded[1], recorded[0])
    assert names(await matching.leasing.hand_out(again, ANNE, count=1)) == ids(recorded[2])


async def test_what_the_reviewer_has_judged_is_not_counted_as_open(
    matching: Any, recorded: list[Sighting]
) -> None:
    two = compose(
        matching.stores, Choices(shipped=policies.shipped(), review_rules=TWO), matching.clock
    )
    await decide(two, recorded[2], CONFIRM, ANNE)
    await decide(two, recorded[1], UNSURE, ANNE)
    again = LeaseQuery(include_inconclusive=True)

    handed = await two.leasing.hand_out(ALL, "Anne@Force", count=3)
    all_handed = await two.leasing.hand_out(again, "Anne@Force", count=3)

    assert (names(handed), handed.open) == (ids(recorded[0]), 1)
    assert (set(names(all_handed)), all_handed.open) == (set(ids(*recorded[:2])), 2)


async def test_the_counts_are_right_where_the_index_leaves_names_out(
    matching: Any, recorded: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server does, of more than a thousand."""
    for name in ("reviewers", "requesters"):
        monkeypatch.setattr(matching.index, name, nobody)
    rules = ReviewRules(two_reviewers=True, separate_reviewers=True)
    two = compose(
        matching.stores, Choices(shipped=policies.shipped(), review_rules=rules), matching.clock
    )
    await decide(two, recorded[2], CONFIRM, ANNE)
    asked = replace(recorded[1], requesters=(ANNE,))
    await matching.index.update(asked)

    handed = await two.leasing.hand_out(ALL, ANNE, count=3)

    assert (names(handed), handed.open, handed.own_searches) == (ids(recorded[0]), 1, 1)


async def nobody() -> frozenset[str]:
    return frozenset()


async def test_of_many_candidates_few_are_read_to_hand_the_next_ones_out(
    matching: Any, recorded: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1000):
        after = timedelta(minutes=2 * number)
        other = replace(
            recorded[0],
            sighting_id=f"{number:08x}-0000-4000-8000-000000000000",
            start_time=recorded[0].start_time + after,
            end_time=recorded[0].end_time + after,
        )
        await matching.index.put(other, None)
    read: list[Sighting] = []

    def noting(call: Any) -> Any:
        async def noted(*args: Any, **asked: Any) -> Any:
            found = await call(*args, **asked)
            read.extend(found)
            return found

        return noted

    for name in ("find", "page"):
        monkeypatch.setattr(matching.index, name, noting(getattr(matching.index, name)))

    handed = await matching.leasing.hand_out(ALL, ANNE, count=4)

    assert (len(handed.sightings), handed.open) == (4, 1003)
    assert len(read) < 2 * READ_AT_ONCE


async def test_a_query_names_subjects_cases_cameras_and_what_is_put_off(
    matching: Any, recorded: list[Sighting], subject_id: str
) -> None:
    async def handed(**query: Any) -> int:
        return (await matching.leasing.hand_out(LeaseQuery(**query), ANNE, count=3)).open

    assert await handed(case_references=["MP-2026-17"], subject_ids=[subject_id]) == 3
    assert await handed(case_references=["another"]) == 0
    assert await handed(camera_ids=["another"]) == 0
    assert await handed(excluded=ids(recorded[0])) == 2


async def test_a_confirmation_is_taken_back(matching: Any, recorded: list[Sighting]) -> None:
    sighting = recorded[2]
    confirmed = await decide(matching, sighting, CONFIRM)
    back, lease = await matching.withdrawal.withdraw(sighting.sighting_id, last_of(confirmed))
    again, _ = await matching.withdrawal.withdraw(sighting.sighting_id, last_of(confirmed))

    assert (back, again) == (sighting, sighting)
    assert await matching.review.get(sighting.sighting_id) == sighting
    assert lease.sighting_id == sighting.sighting_id
    assert await matching.review.still(back) is not None
    stills = [one.key for one in await matching.evidence.objects("")]
    assert stills.count(f"confirmed/{sighting.sighting_id}.jpg") == 0
    assert (await decide(matching, back, REJECT)).state is SightingState.REJECTED


async def test_the_second_confirmation_is_taken_back_and_the_first_stays(
    matching: Any, recorded: list[Sighting]
) -> None:
    matching.restart(review_rules=TWO)
    half = await decide(matching, recorded[2], CONFIRM, ANNE)
    whole = await decide(matching, recorded[2], CONFIRM, BOB)
    back, _ = await matching.withdrawal.withdraw(half.sighting_id, last_of(whole))

    assert whole.state is SightingState.CONFIRMED
    assert back == half
    assert (await decide(matching, back, CONFIRM, BOB)).state is SightingState.CONFIRMED


async def test_a_decision_stands_once_somebody_else_has_decided(
    matching: Any, recorded: list[Sighting]
) -> None:
    matching.restart(review_rules=TWO)
    half = await decide(matching, recorded[2], CONFIRM, ANNE)
    await decide(matching, recorded[2], UNSURE, BOB)
    with pytest.raises(FailedPreconditionError) as refused:
        await matching.withdrawal.withdraw(half.sighting_id, last_of(half))

    assert refused.value.reason is Reason.REVIEW_STANDS


async def test_a_decision_stands_once_the_sighting_was_given_out(
    matching: Any, recorded: list[Sighting]
) -> None:
    confirmed = await decide(matching, recorded[2], CONFIRM)
    await matching.review.export(confirmed.sighting_id, unapproved=True)
    with pytest.raises(FailedPreconditionError) as refused:
        await matching.withdrawal.withdraw(confirmed.sighting_id, last_of(confirmed))

    assert refused.value.reason is Reason.REVIEW_STANDS


async def test_what_could_not_be_given_out_can_be_taken_back(
    matching: Any, recorded: list[Sighting]
) -> None:
    confirmed = await decide(matching, recorded[2], CONFIRM)
    await matching.evidence.delete(f"confirmed/{confirmed.sighting_id}.jpg")
    with pytest.raises(NotFoundError):
        await matching.review.export(confirmed.sighting_id, unapproved=True)
    back, _ = await matching.withdrawal.withdraw(confirmed.sighting_id, last_of(confirmed))

    assert back.state is SightingState.UNREVIEWED


async def test_what_is_taken_back_while_it_is_given_out_is_not_given_out(
    matching: Any, other: UseCases, recorded: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed = await decide(matching, recorded[2], CONFIRM)
    get = matching.index.get

    async def then_taken_back(name: str) -> Sighting | None:
        found: Sighting | None = await get(name)
        monkeypatch.setattr(matching.index, "get", get)
        await other.withdrawal.withdraw(name, last_of(confirmed))
        return found

    monkeypatch.setattr(matching.index, "get", then_taken_back)
    with pytest.raises(FailedPreconditionError) as refused:
        await matching.review.export(confirmed.sighting_id, unapproved=True)

    assert refused.value.reason is Reason.SIGHTING_NOT_CONFIRMED


async def test_a_confirmation_stands_once_its_recording_has_gone(
    matching: Any, recorded: list[Sighting], clock: Any
) -> None:
    confirmed = await decide(matching, recorded[2], CONFIRM)
    clock.pass_time(timedelta(days=30))
    with pytest.raises(FailedPreconditionError) as refused:
        await matching.withdrawal.withdraw(confirmed.sighting_id, last_of(confirmed))

    assert refused.value.reason is Reason.REVIEW_STANDS


async def test_a_confirmation_that_is_taken_back_while_its_recording_goes_goes_with_it(
    matching: Any, other: UseCases, recorded: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed = await decide(matching, recorded[2], CONFIRM)
    update = matching.index.update

    async def after_its_recording(sighting: Sighting) -> None:
        monkeypatch.setattr(matching.index, "update", update)
        await other.upkeep.erase_footage(confirmed.footage_id)
        await update(sighting)

    monkeypatch.setattr(matching.index, "update", after_its_recording)
    with pytest.raises(NotFoundError):
        await matching.withdrawal.withdraw(confirmed.sighting_id, last_of(confirmed))

    assert await matching.index.count() == 0
    assert await matching.evidence.objects("") == []


@pytest.mark.parametrize("left", [0, 1], ids=["taken back", "made"])
async def test_who_died_between_ledger_and_index_changes_nothing_of_what_goes_with_a_recording(
    matching: Any,
    other: UseCases,
    recorded: list[Sighting],
    monkeypatch: pytest.MonkeyPatch,
    left: int,
) -> None:
    sighting = recorded[2] if left else await decide(matching, recorded[2], CONFIRM)

    async def dies(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(matching.index, "update", dies)
        with pytest.raises(ConnectionError):
            await (
                decide(matching, sighting, CONFIRM)
                if left
                else matching.withdrawal.withdraw(sighting.sighting_id, last_of(sighting))
            )
    await other.upkeep.erase_footage(sighting.footage_id)

    assert await matching.index.count() == left
    assert len(await matching.evidence.objects("")) == left


async def test_a_rejection_is_not_taken_back(matching: Any, recorded: list[Sighting]) -> None:
    rejected = await decide(matching, recorded[2], REJECT)
    with pytest.raises(NotFoundError):
        await matching.withdrawal.withdraw(rejected.sighting_id, last_of(rejected))


@pytest.mark.parametrize("breaks_at", ["index", "still"])
async def test_taking_back_goes_on_where_it_broke_off(
    matching: Any,
    recorded: list[Sighting],
    monkeypatch: pytest.MonkeyPatch,
    breaks_at: str,
) -> None:
    confirmed = await decide(matching, recorded[2], CONFIRM)

    async def breaks(*_: Any) -> None:
        raise ConnectionError

    store, name = {"index": (matching.index, "update"), "still": (matching.evidence, "delete")}[
        breaks_at
    ]
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(store, name, breaks)
        with pytest.raises(ConnectionError):
            await matching.withdrawal.withdraw(confirmed.sighting_id, last_of(confirmed))
    await matching.withdrawal.withdraw(confirmed.sighting_id, last_of(confirmed))

    assert await matching.review.get(confirmed.sighting_id) == recorded[2]
    stills = [one.key for one in await matching.evidence.objects("confirmed/")]
    assert stills == []


async def test_a_sweep_asks_for_no_sighting_by_itself_whose_last_change_is_told(
    matching: Any, recorded: list[Sighting], other: UseCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    await decide(matching, recorded[0], CONFIRM)
    await decide(matching, recorded[1], REJECT)
    asked: list[Any] = []
    span = matching.stores.ledger.span

    async def noted(key: Any, sighting_id: str) -> Any:
        asked.append(sighting_id)
        return await span(key, sighting_id)

    monkeypatch.setattr(matching.stores.ledger, "span", noted)

    await other.upkeep.sweep()

    assert asked == []
