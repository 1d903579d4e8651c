"""Counting what becomes of candidates."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from homeward.common.activity import CANDIDATES, CandidateFigure, of_policy
from homeward.matching.sightings.model import ErasedSighting, Sighting
from homeward.matching.sightings.ports import SightingFeed
from homeward.servicekit.activity import ActivityCounts


class CountedSightingFeed:
    """A feed of sightings whose states are counted before they are told.

    Whatever changes a sighting tells so, again if it breaks off in between: so what is told is
    counted, and once.

    Args:
        feed: Tells of changes.
        counts: Counts.
    """

    def __init__(self, feed: SightingFeed, counts: ActivityCounts) -> None:
        self._feed = feed
        self._counts = counts

    async def publish(self, change: Sighting | ErasedSighting) -> None:
        """Count the state that a sighting has now, and tell of it."""
        if isinstance(change, Sighting):
            await self._counts.state(
                CANDIDATES, change.sighting_id, change.create_time, _figures(change)
            )
        await self._feed.publish(change)

    def follow(self) -> AsyncGenerator[Sighting | ErasedSighting, None]:
        """Yield sightings as they change."""
        return self._feed.follow()


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
