"""How often candidates were wrong of late, beside what was promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from homeward.common.activity import (
    CANDIDATES,
    SEARCHES,
    CandidateFigure,
    SearchFigure,
    by_policy,
)
from homeward.core.promise import Comparison, Interval, Outcomes, compare
from homeward.matching.policies.catalogue import Policies
from homeward.matching.sightings.model import SightingState
from homeward.servicekit import errors
from homeward.servicekit.activity import ActivityCounts
from homeward.servicekit.clock import Clock

DAYS = 30
"""How many days are judged together, of UTC and with today: about as many as a monthly report."""

_OPEN = (SightingState.UNREVIEWED, SightingState.INCONCLUSIVE, SightingState.AWAITING_SECOND)


async def compare_last_days(counts: ActivityCounts, policies: Policies, clock: Clock) -> Comparison:
    """Return wrong candidates of the last `DAYS` beside what was promised.

    Raises:
        UnavailableError: The records do not answer.
    """
    last = clock.now().date()
    first = last - timedelta(days=DAYS - 1)
    searches = await counts.totals(SEARCHES, first, last)
    candidates = Counter[str]()
    for day in await counts.totals(CANDIDATES, first, last):
        candidates.update(day.figures)
    return compare(
        round(sum(day.figures.get(SearchFigure.APPEARANCES, 0) for day in searches)),
        [_outcomes(name, figures) for name, figures in by_policy(candidates).items()],
        in_force=await _in_force(policies),
    )


def _outcomes(policy_id: str, figures: Mapping[str, float]) -> Outcomes:
    count = figures.get(CandidateFigure.PROMISED, 0)
    names = (
        CandidateFigure.PROMISED_VALUE,
        CandidateFigure.PROMISED_LOW,
        CandidateFigure.PROMISED_HIGH,
    )
    return Outcomes(
        wrong=round(figures.get(SightingState.REJECTED, 0)),
        open=round(sum(figures.get(state, 0) for state in _OPEN)),
        promised=Interval(*(figures.get(one, 0) / count for one in names)) if count else None,
        promised_count=round(count),
        policy_id=policy_id,
    )


async def _in_force(policies: Policies) -> Interval | None:
    try:
        rate = (await policies.in_force()).figures.expected_fpir
    except errors.FailedPreconditionError:  # none is, and nothing is searched either
        return None
    return Interval(rate.value, rate.low, rate.high) if rate.high else None
