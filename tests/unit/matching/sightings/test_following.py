from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
from sighting_calls import CONFIRM, REJECT, away, followed, found, recorded, rejected_span, review

from homeward.matching.sightings.model import Decision, ErasedSighting, Sighting, SightingState
from homeward.servicekit.errors import FailedPreconditionError, Reason, UnavailableError


def named(sighting: Sighting) -> ErasedSighting:
    return ErasedSighting(sighting.sighting_id, sighting.subject_id)


async def kinds(matching: Any) -> list[str]:
    """Return all changes that were told, with the states that they left."""
    told = []
    async with aclosing(matching.following.follow(from_oldest=True)) as changes:
        async for one in changes:
            if isinstance(one, str):
                break
            change = one.told.change
            told.append(f"{change.kind.value} {change.state.value if change.state else ''}".strip())
    return told


async def test_a_follower_is_told_what_is_recorded_and_reviewed_and_what_it_is_now(
    matching: Any, finding: Any
) -> None:
    async with aclosing(followed(matching)) as changes:
        first = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        sighting = await recorded(matching, finding())
        await asyncio.wait([first])
        await review(matching, sighting, REJECT)

        assert [await first, await anext(changes)] == [
            sighting,
            rejected_span(sighting, matching.clock.now()),
        ]
    assert await kinds(matching) == ["recorded unreviewed", "reviewed rejected"]


async def test_of_a_sighting_that_is_gone_a_follower_is_told_ids_alone(
    matching: Any, finding: Any
) -> None:
    first = await recorded(matching, finding())
    await review(matching, first, CONFIRM)
    await matching.closing.close(first.subject_id)

    async with aclosing(matching.following.follow(from_oldest=True)) as changes:
        told = [await anext(changes) for _ in range(3)]

    assert [one.sighting for one in told] == [named(first)] * 3
    assert await kinds(matching) == [
        "recorded unreviewed",
        "reviewed confirmed",
        "erased",
    ]


@pytest.mark.parametrize("decision", [CONFIRM, REJECT])
async def test_what_whoever_did_it_could_not_tell_is_told_by_the_sweep(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch, decision: Decision
) -> None:
    sighting = await recorded(matching, finding())
    publish = matching.feed.publish
    monkeypatch.setattr(matching.feed, "publish", away)
    with pytest.raises(UnavailableError):
        await review(matching, sighting, decision)
    with pytest.raises(UnavailableError):
        await matching.recording.record(finding(60, 64))
    monkeypatch.setattr(matching.feed, "publish", publish)

    await matching.upkeep.sweep()

    state = "confirmed" if decision is CONFIRM else "rejected"
    assert sorted(await kinds(matching)) == [
        "recorded unreviewed",
        "recorded unreviewed",
        f"reviewed {state}",
    ]
    assert len(await found(matching)) == (2 if decision is CONFIRM else 1)
    await matching.upkeep.sweep()
    assert len(await kinds(matching)) == 3


async def test_a_decision_that_died_before_the_sighting_was_written_is_finished_by_a_restart(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sighting = await recorded(matching, finding())
    update = matching.index.update
    monkeypatch.setattr(matching.index, "update", away)
    with pytest.raises(UnavailableError):
        await review(matching, sighting, CONFIRM)
    monkeypatch.setattr(matching.index, "update", update)
    matching.restart()

    await matching.upkeep.sweep()

    assert (await matching.review.get(sighting.sighting_id)).state is SightingState.CONFIRMED
    assert await kinds(matching) == ["recorded unreviewed", "reviewed confirmed"]


async def test_a_recording_that_died_before_it_was_told_is_told_when_it_is_repeated(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = matching.feed.publish
    monkeypatch.setattr(matching.feed, "publish", away)
    with pytest.raises(UnavailableError):
        await matching.recording.record(finding())
    monkeypatch.setattr(matching.feed, "publish", publish)

    await matching.recording.record(finding())
    await matching.recording.record(finding())

    assert await kinds(matching) == ["recorded unreviewed"]


async def test_a_follower_goes_on_after_a_place(matching: Any, finding: Any) -> None:
    async with aclosing(matching.following.follow()) as changes:
        place = await anext(changes)
    first, second = await recorded(matching, finding()), await recorded(matching, finding(60, 64))

    async with aclosing(matching.following.follow(place)) as changes:
        told = await anext(changes)
    async with aclosing(matching.following.follow(told.told.place)) as changes:
        after = await anext(changes)

    assert [told.sighting, after.sighting] == [first, second]


async def test_a_place_after_which_changes_are_gone_is_refused(matching: Any, finding: Any) -> None:
    async with aclosing(matching.following.follow()) as changes:
        place = await anext(changes)
    await recorded(matching, finding())
    await recorded(matching, finding(60, 64))
    matching.feed.forget(1)

    with pytest.raises(FailedPreconditionError) as refused:
        await anext(matching.following.follow(place))

    assert refused.value.reason is Reason.RESUME_TOKEN_EXPIRED


async def closed(matching: Any, sighting: Sighting, _: Any) -> None:
    await matching.closing.close(sighting.subject_id)


async def without_footage(matching: Any, sighting: Sighting, _: Any) -> None:
    await matching.upkeep.erase_footage(sighting.footage_id)


async def swept(matching: Any, _sighting: Sighting, pass_time: Any) -> None:
    pass_time(timedelta(days=30))
    await matching.upkeep.sweep()


@pytest.mark.parametrize("erase", [closed, without_footage, swept])
async def test_a_follower_is_told_that_a_sighting_was_erased(
    matching: Any, finding: Any, pass_time: Any, erase: Any
) -> None:
    sighting = await recorded(matching, finding())
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)

        await erase(matching, sighting, pass_time)

        assert await asyncio.wait_for(following, 1) == named(sighting)


async def test_a_follower_is_told_of_the_sightings_that_another_one_took_in(
    matching: Any, finding: Any
) -> None:
    await recorded(matching, finding(10, 14))
    second = await recorded(matching, finding(20, 24))
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)

        _, joined = await matching.recording.record(finding(13, 21))

        assert [await following, await asyncio.wait_for(anext(changes), 1)] == [
            joined,
            named(second),
        ]


async def test_a_follower_is_told_again_when_an_erasure_that_broke_off_is_repeated(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sighting = await recorded(matching, finding())
    remove = matching.index.remove
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        monkeypatch.setattr(matching.index, "remove", away)
        with pytest.raises(UnavailableError):
            await matching.upkeep.erase_footage(sighting.footage_id)
        monkeypatch.setattr(matching.index, "remove", remove)

        await matching.upkeep.erase_footage(sighting.footage_id)

        told = [await following, await asyncio.wait_for(anext(changes), 1)]
        assert told == [named(sighting), named(sighting)]


async def test_a_follower_is_not_told_of_what_changed_nothing(matching: Any, finding: Any) -> None:
    await recorded(matching, finding())
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)
        await matching.recording.record(finding())
        other = await recorded(matching, finding(60, 64))

        assert await following == other
