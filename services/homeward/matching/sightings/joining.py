"""Which stills a sighting has when a finding joins it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from homeward.matching.sightings.model import MOST_STILLS, Finding, Sighting, SightingStill
from homeward.matching.sightings.stills import Stills

APART = timedelta(seconds=0.5)
"""Stills of two findings nearer to each other than this show the same: the one that is there stays.
A repeated search may choose another picture of the same moment, and must not change what a reviewer
sees."""

CLEARLY_BETTER = 0.05
"""Least gain in quality by which a new still displaces one that is kept, for the same reason."""


@dataclass(frozen=True, slots=True)
class ChosenStill:
    """A still, and where its bytes are."""

    still: SightingStill
    source: Sighting
    """Whose it is: a sighting that is kept, or that of the finding."""


def chosen_stills(best: Sighting, parts: Sequence[Sighting]) -> list[ChosenStill]:
    """Return the stills that a sighting has which several are joined into, in order of time.

    Args:
        best: Which of them its best shot is of. That still is always among them.
        parts: All of them, each with its stills; the finding last.
    """
    chosen = [ChosenStill(still, best) for still in best.given_stills if _is_best(still, best)]
    offered: list[ChosenStill] = []
    for one in (ChosenStill(still, part) for part in parts for still in part.given_stills):
        if not any(_shows_same(one, other) for other in (*chosen, *offered)):
            offered.append(one)

    def rank(one: ChosenStill) -> float:
        return (one.still.quality or 0.0) + CLEARLY_BETTER * (one.source is not parts[-1])

    chosen += sorted(offered, key=rank, reverse=True)[: MOST_STILLS - len(chosen)]
    return [
        # By the clock of the best one: the camera's may have been corrected between two searches.
        replace(one, still=replace(one.still, time=best.best_shot_time + after))
        for one in sorted(chosen, key=lambda each: each.still.offset)
        for after in [one.still.offset - best.best_shot_offset]
    ]


def _is_best(still: SightingStill, sighting: Sighting) -> bool:
    return still.offset == sighting.best_shot_offset


def _shows_same(one: ChosenStill, other: ChosenStill) -> bool:
    apart = abs(one.still.offset - other.still.offset)
    return not apart or (one.source is not other.source and apart < APART)


async def pictures_of(
    chosen: Sequence[ChosenStill], finding: Finding, stills: Stills
) -> dict[timedelta, bytes]:
    """Return the JPEG files of chosen stills, by their offsets, without those that are gone."""
    given = finding.pictures
    found = {
        one.still.offset: given[one.still.offset]
        if one.source is finding.sighting
        else await stills.of(one.source, one.still)
        for one in chosen
    }
    return {offset: picture for offset, picture in found.items() if picture is not None}
