"""Which faces of a clip are the subject's for certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from homeward.ingestion.clip.following import Run, Trail

SAME_TRACK_MARGIN = 0.12
"""How far below the threshold a run may be that goes on, unbroken, with one that is at or above it:
as much as the scanner gives a first comparison (`compare.CLOSER_MARGIN`)."""

RIVAL_MARGIN = 0.10
"""How much more alike than another run at the same time the subject's must be, where both are at or
above the threshold. Otherwise neither is shown: nobody is in two places."""


def shown_runs(trails: Sequence[Trail], scores: Mapping[int, float], threshold: float) -> list[Run]:
    """Return the runs that are the subject's for certain.

    Args:
        trails: Everybody.
        scores: How alike to the subject runs are, by their identities; of those that were compared
            and came near.
        threshold: Of the policy in force.
    """
    sure = {
        id(run)
        for trail in trails
        for run in trail.runs
        if not run.shared and scores.get(id(run), -1.0) >= threshold
    }
    for trail in trails:
        sure |= _continued(trail, scores, sure, threshold - SAME_TRACK_MARGIN)
    chosen = [(trail, run) for trail in trails for run in trail.runs if id(run) in sure]
    return [
        run
        for trail, run in chosen
        if all(
            scores[id(run)] >= scores[id(other)] + RIVAL_MARGIN
            for other_trail, other in chosen
            if other_trail is not trail and _at_once(run, other)
        )
    ]


def _continued(trail: Trail, scores: Mapping[int, float], sure: set[int], least: float) -> set[int]:
    """Return the runs of a trail that go on, unbroken, with one that is certain."""
    added: set[int] = set()
    pairs = list(pairwise(trail.runs))
    for before, after in pairs:
        if after.continues and id(before) in sure | added and _comes_near(after, scores, least):
            added.add(id(after))
    for before, after in reversed(pairs):
        if after.continues and id(after) in sure | added and _comes_near(before, scores, least):
            added.add(id(before))
    return added


def _comes_near(run: Run, scores: Mapping[int, float], least: float) -> bool:
    return not run.shared and scores.get(id(run), -1.0) >= least


def _at_once(one: Run, other: Run) -> bool:
    return (
        one.sights[0].picture <= other.sights[-1].picture
        and other.sights[0].picture <= one.sights[-1].picture
    )
