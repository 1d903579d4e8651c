"""Counting what becomes of candidates."""

from __future__ import annotations

from homeward.common.activity import CANDIDATES, CandidateFigure, of_policy
from homeward.matching.sightings.model import Sighting
from homeward.servicekit.activity import ActivityCounts


class CandidateCounts:
    """Counts candidates by the state that they have now, on the day on which they were recorded.

    Args:
        counts: Keeps the counts.
    """

    def __init__(self, counts: ActivityCounts) -> None:
        self._counts = counts

    async def count(self, sighting: Sighting) -> None:
        """Count a sighting in its state, in place of the one that it had before.

        One that was rejected and is recorded again, because a search asked for it, is another one
        under the same id: the rejection stays counted.

        Raises:
            UnavailableError: The store does not answer.
        """
        name = f"{sighting.sighting_id} {sighting.create_time.isoformat()}"
        await self._counts.state(CANDIDATES, name, sighting.create_time, _figures(sighting))


def _figures(sighting: Sighting) -> dict[str, float]:
    figures: dict[str, float] = {sighting.state.value: 1}
    if sighting.figures is not None:
        promised = sighting.figures.expected_fpir
        figures |= {
            CandidateFigure.PROMISED: 1,
            CandidateFigure.PROMISED_VALUE: promised.value,
            CandidateFigure.PROMISED_LOW: promised.low,
            CandidateFigure.PROMISED_HIGH: promised.high,
            CandidateFigure.APPROVED: int(sighting.figures.approved),
        }
    return {of_policy(sighting.policy_id, name): value for name, value in figures.items()}
