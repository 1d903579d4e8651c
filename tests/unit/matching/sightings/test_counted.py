"""What becomes of candidates is counted from what is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homeward.core import policies
from homeward.core.policy import PolicyFigures, Rate
from homeward.matching.composition import Choices, compose
from homeward.matching.sightings.counted import CandidateCounts
from homeward.matching.sightings.model import Decision
from homeward.servicekit.activity import ActivityCounts
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

RATE = Rate(0.01, 0.005, 0.02, trials=1000)
FIGURES = PolicyFigures(
    approved=True, gallery_size=1, expected_fpir=RATE, fnir=RATE, measured_gallery_size=500
)


@pytest.fixture
def counts(matching: Any, clock: Any) -> ActivityCounts:
    """Of what matching tells from now on."""
    made = ActivityCounts(InMemoryKeyValueStore(), clock)
    stores = replace(matching.stores, candidates=CandidateCounts(made))
    matching.does = compose(stores, Choices(shipped=policies.shipped()), clock)
    return made


async def states(counts: ActivityCounts, clock: Any) -> dict[str, float]:
    today = clock.now().astimezone(UTC).date()
    [day] = await counts.totals("candidates", today, today)
    return {name: value for name, value in day.figures.items() if "promised" not in name}


async def decide(matching: Any, sighting: Any, decision: Decision) -> None:
    await matching.review.review(
        sighting.sighting_id, decision=decision, reason="", reviewer="R. Viewer"
    )


async def test_each_candidate_counts_in_the_state_that_it_has(
    matching: Any, finding: Any, counts: ActivityCounts, clock: Any
) -> None:
    recorded = [
        (await matching.recording.record(finding(start, start + 4)))[1]
        for start in (10, 30, 50, 70)
    ]
    for sighting, decision in zip(recorded, Decision, strict=False):
        await decide(matching, sighting, decision)

    policy = recorded[0].policy_id
    assert await states(counts, clock) == {
        f"unreviewed {policy}": 1,
        f"confirmed {policy}": 1,
        f"rejected {policy}": 1,
        f"inconclusive {policy}": 1,
    }


async def test_what_is_repeated_counts_once_and_a_later_decision_replaces(
    matching: Any, finding: Any, counts: ActivityCounts, clock: Any
) -> None:
    _, sighting = await matching.recording.record(finding())
    await matching.recording.record(finding())
    await decide(matching, sighting, Decision.INCONCLUSIVE)
    await decide(matching, sighting, Decision.REJECT)
    await decide(matching, sighting, Decision.REJECT)

    assert await states(counts, clock) == {f"rejected {sighting.policy_id}": 1}


async def test_a_rejected_one_that_is_looked_for_again_is_another_one(
    matching: Any, finding: Any, counts: ActivityCounts, clock: Any
) -> None:
    _, sighting = await matching.recording.record(finding())
    await decide(matching, sighting, Decision.REJECT)
    clock.pass_time(timedelta(minutes=1))
    again = replace(finding(), include_rejected_before=clock.now())
    await matching.recording.record(again)

    policy = sighting.policy_id
    assert await states(counts, clock) == {f"rejected {policy}": 1, f"unreviewed {policy}": 1}


async def test_a_call_that_broke_off_before_it_counted_counts_when_repeated(
    matching: Any,
    finding: Any,
    counts: ActivityCounts,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, sighting = await matching.recording.record(finding())
    whole = counts.state

    async def away(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(counts, "state", away)
    with pytest.raises(ConnectionError):
        await decide(matching, sighting, Decision.REJECT)
    monkeypatch.setattr(counts, "state", whole)
    await decide(matching, sighting, Decision.REJECT)

    assert await states(counts, clock) == {f"rejected {sighting.policy_id}": 1}


async def test_what_the_policy_promised_is_kept_with_how_many_it_was_promised_of(
    matching: Any, finding: Any, counts: ActivityCounts, clock: Any
) -> None:
    _, sighting = await matching.recording.record(finding(figures=FIGURES))

    today = datetime.date(clock.now())
    [day] = await counts.totals("candidates", today, today)
    policy = sighting.policy_id
    assert day.figures[f"promised {policy}"] == 1
    assert day.figures[f"promised_high {policy}"] == 0.02
    assert day.figures[f"approved {policy}"] == 1
