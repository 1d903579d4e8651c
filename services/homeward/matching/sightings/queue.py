"""What is to be reviewed, in its order, read no further than somebody asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from homeward.matching.sightings.model import Sighting
from homeward.matching.sightings.order import GROUP_LONGEST, best_first, group_of, in_order
from homeward.matching.sightings.ports import SightingCursor, SightingFilter, SightingIndex

READ_AT_ONCE = 50
"""Candidates, the most alike first, that are read to find the next groups."""

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """Candidates in groups, as `order.in_order` says, of however many there are.

    The most alike candidate that is left is the best one of the next group. So it is read first,
    then what is near it on its camera, and what comes later is read when somebody asks for it.

    Args:
        index: The sightings.
        which: Which of them are candidates.
        fits: Tells of one that was read whether it is, where a filter cannot.
    """

    index: SightingIndex
    which: SightingFilter
    fits: Callable[[Sighting], bool]

    async def ordered(self, begun: Sequence[Sighting]) -> AsyncGenerator[Sighting, None]:
        """Yield the candidates: those that were begun, their groups to the end, then the others.

        Args:
            begun: Candidates that the reviewer holds.
        """
        mine = {one.sighting_id for one in begun}
        told: set[str] = set()
        for one in await self._begun_groups(begun, mine):
            told.add(one.sighting_id)
            yield one
        after: SightingCursor | None = None
        while True:
            page = await self.index.page(self.which, size=READ_AT_ONCE, after=after)
            for best in sorted(page, key=best_first):
                if best.sighting_id in told or not self.fits(best):
                    continue
                for one in await self._group_of(best):
                    if one.sighting_id not in told:
                        told.add(one.sighting_id)
                        yield one
            if len(page) < READ_AT_ONCE:
                return
            after = SightingCursor.behind(page, after)

    async def _begun_groups(self, begun: Sequence[Sighting], mine: set[str]) -> list[Sighting]:
        groups = [await self._group_of(one) for one in begun]
        near = {one.sighting_id: one for group in groups for one in group}
        ordered = in_order(near.values(), begun=mine)
        return sorted(ordered, key=lambda one: one.sighting_id not in mine)

    async def _group_of(self, one: Sighting) -> list[Sighting]:
        """Return the group of a candidate; where one follows another for long, all are read."""
        span = GROUP_LONGEST
        while True:
            since = one.start_time - span
            near = replace(
                self.which,
                camera_ids=[one.camera_id],
                start=since,
                end=one.start_time + GROUP_LONGEST + _INSTANT,
            )
            found = [each for each in await self.index.find(near) if self.fits(each)]
            group = group_of(one, found, since=since)
            if group is not None:
                return group
            span *= 2
