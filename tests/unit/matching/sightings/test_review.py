from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sighting_calls import (
    CONFIRM,
    FIGURES,
    INCONCLUSIVE,
    REJECT,
    away,
    followed,
    found,
    recorded,
    review,
    stills,
)

from homeward.core.policy import PolicyFigures
from homeward.matching.sightings.model import Decision, Disposition, Review, SightingState
from homeward.servicekit.errors import (
    FailedPreconditionError,
    NotFoundError,
    Reason,
    UnavailableError,
)


async def test_a_confirmed_sighting_keeps_its_still_in_another_place(
    matching: Any, finding: Any
) -> None:
    sighting = await recorded(matching, finding())

    confirmed = await review(matching, sighting, CONFIRM)

    assert confirmed.state is SightingState.CONFIRMED
    assert confirmed.review == Review(CONFIRM, "the same scar", "R. Viewer", matching.clock.now())
    assert await matching.review.get(sighting.sighting_id) == confirmed
    assert await matching.review.still(confirmed) == b"a still"
    assert await stills(matching) == ["confirmed"]


@pytest.mark.parametrize("decision", [CONFIRM, INCONCLUSIVE])
async def test_a_decided_sighting_takes_findings_in_and_does_not_change(
    matching: Any, finding: Any, decision: Decision
) -> None:
    decided = await review(matching, await recorded(matching, finding(10, 14)), decision)

    again = await matching.recording.record(finding(12, 30, score=0.9))

    assert again == (Disposition.JOINED, decided)
    assert await found(matching) == [decided]


@pytest.mark.parametrize(
    "second",
    [
        {"decision": REJECT},
        {"decision": INCONCLUSIVE},
        {"reviewer": "Somebody Else"},
        {"reason": "another reason"},
    ],
    ids=["reject", "inconclusive", "another reviewer", "another reason"],
)
async def test_a_confirmed_sighting_is_not_decided_again(
    matching: Any, finding: Any, second: dict[str, Any]
) -> None:
    sighting = await recorded(matching, finding())
    confirmed = await review(matching, sighting, CONFIRM)
    first = {"decision": CONFIRM, "reason": "the same scar", "reviewer": "R. Viewer"}

    with pytest.raises(FailedPreconditionError) as refused:
        await matching.review.review(sighting.sighting_id, **first | second)

    assert refused.value.reason is Reason.SIGHTING_REVIEWED
    assert refused.value.metadata == {"sighting_id": sighting.sighting_id, "state": "CONFIRMED"}
    assert await found(matching) == [confirmed]


@pytest.mark.parametrize("decision", [CONFIRM, INCONCLUSIVE])
async def test_the_same_decision_again_gives_the_same_answer(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None], decision: Decision
) -> None:
    sighting = await recorded(matching, finding())
    decided = await review(matching, sighting, decision)
    pass_time(timedelta(minutes=1))

    assert await review(matching, sighting, decision) == decided
    assert await found(matching) == [decided]


async def test_a_confirmation_that_broke_off_after_it_was_written_is_finished_by_the_retry(
    matching: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sighting = await recorded(matching, finding())
    delete = matching.evidence.delete
    monkeypatch.setattr(matching.evidence, "delete", away)
    with pytest.raises(UnavailableError):
        await review(matching, sighting, CONFIRM)
    monkeypatch.setattr(matching.evidence, "delete", delete)
    async with aclosing(followed(matching)) as changes:
        following = asyncio.create_task(anext(changes))
        await asyncio.sleep(0)

        confirmed = await review(matching, sighting, CONFIRM)

        assert await asyncio.wait_for(following, 1) == confirmed
    assert await stills(matching) == ["confirmed"]


@pytest.mark.parametrize(
    ("later", "state"),
    [
        (CONFIRM, SightingState.CONFIRMED),
        (REJECT, SightingState.REJECTED),
        (INCONCLUSIVE, SightingState.INCONCLUSIVE),
    ],
)
async def test_an_inconclusive_sighting_may_be_decided_later(
    matching: Any, finding: Any, later: Decision, state: SightingState
) -> None:
    sighting = await recorded(matching, finding())
    await review(matching, sighting, INCONCLUSIVE)

    assert (await review(matching, sighting, later)).state is state


@pytest.mark.parametrize("decisions", [(), (INCONCLUSIVE,)])
async def test_an_undecided_sighting_past_its_deadline_is_not_found(
    matching: Any,
    finding: Any,
    pass_time: Callable[[timedelta], None],
    decisions: tuple[Decision, ...],
) -> None:
    sighting = await recorded(matching, finding())
    await asyncio.gather(*(review(matching, sighting, decision) for decision in decisions))
    pass_time(timedelta(days=30))

    with pytest.raises(NotFoundError) as refused:
        await matching.review.get(sighting.sighting_id)

    assert refused.value.reason is Reason.SIGHTING_NOT_FOUND
    assert await found(matching) == []


async def test_a_confirmed_sighting_has_no_deadline(
    matching: Any, finding: Any, pass_time: Callable[[timedelta], None]
) -> None:
    confirmed = await review(matching, await recorded(matching, finding()), CONFIRM)
    pass_time(timedelta(days=3000))

    assert await found(matching) == [confirmed]


async def test_a_confirmed_sighting_is_given_out_with_its_still(
    matching: Any, finding: Any
) -> None:
    found = finding(figures=replace(FIGURES, approved=True))
    confirmed = await review(matching, await recorded(matching, found), CONFIRM)

    assert await matching.review.export(confirmed.sighting_id) == (confirmed, b"a still")


@pytest.mark.parametrize("figures", [FIGURES, None], ids=["evaluation", "of an earlier version"])
async def test_a_sighting_that_nobody_answers_for_is_given_out_only_if_asked_for(
    matching: Any, finding: Any, figures: PolicyFigures | None
) -> None:
    found = await recorded(matching, finding(figures=figures))
    confirmed = await review(matching, found, CONFIRM)

    with pytest.raises(FailedPreconditionError) as refused:
        await matching.review.export(confirmed.sighting_id)

    assert refused.value.reason is Reason.POLICY_NOT_APPROVED
    assert refused.value.metadata == {"policy_id": confirmed.policy_id}
    given = await matching.review.export(confirmed.sighting_id, unapproved=True)
    assert given == (confirmed, b"a still")


async def test_a_confirmed_sighting_that_an_approved_policy_finds_again_is_given_out(
    matching: Any, finding: Any
) -> None:
    found = await recorded(matching, finding(figures=FIGURES, policy_id="p/1"))
    confirmed = await review(matching, found, CONFIRM)
    approved = replace(FIGURES, approved=True)

    again = finding(figures=approved, policy_id="p/2", threshold=0.4, score=0.9)
    disposition, held = await matching.recording.record(again)

    assert disposition is Disposition.JOINED
    assert held == replace(confirmed, policy_id="p/2", threshold=0.4, figures=approved)
    assert await matching.review.export(held.sighting_id) == (held, b"a still")


async def test_an_unreviewed_sighting_is_not_given_out(matching: Any, finding: Any) -> None:
    sighting = await recorded(matching, finding())

    with pytest.raises(FailedPreconditionError) as refused:
        await matching.review.export(sighting.sighting_id)

    assert refused.value.reason is Reason.SIGHTING_NOT_CONFIRMED
    assert refused.value.metadata == {"sighting_id": sighting.sighting_id, "state": "UNREVIEWED"}


async def test_sightings_are_found_most_alike_first(matching: Any, finding: Any) -> None:
    await recorded(matching, finding(10, 14, score=0.5))
    await recorded(matching, finding(30, 34, score=0.75))
    await recorded(matching, finding(50, 54, score=0.6))

    assert [one.score for one in await found(matching)] == [0.75, 0.6, 0.5]


@pytest.mark.parametrize(
    ("after", "before", "count"),
    [(None, None, 1), (14, None, 0), (13, None, 1), (None, 10, 0), (None, 11, 1), (11, 12, 1)],
)
async def test_sightings_are_found_by_the_time_that_they_overlap(
    matching: Any, finding: Any, after: int | None, before: int | None, count: int
) -> None:
    sighting = await recorded(matching, finding(10, 14))
    origin = sighting.start_time - timedelta(seconds=10)
    at = {None: None} | {number: origin + timedelta(seconds=number) for number in range(20)}

    assert len(await found(matching, start=at[after], end=at[before])) == count


async def test_sightings_are_found_by_their_state(matching: Any, finding: Any) -> None:
    confirmed = await review(matching, await recorded(matching, finding(10, 14)), CONFIRM)
    await recorded(matching, finding(60, 64))

    assert await found(matching, states={SightingState.CONFIRMED}) == [confirmed]
