"""Times at which somebody was in view whose face could not be compared: to be watched by eye.

They hold no picture, no box, no width and nothing else that says who it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from homeward.ingestion.footage.media import Stretch

MERGED_WITHIN = timedelta(seconds=5)
"""Longest pause inside of one stretch: a viewer would not skip so little."""


@dataclass(frozen=True, slots=True)
class IncomparablePerson:
    """Somebody who was in view, and could not be compared."""

    start: timedelta
    """From the recording's first picture."""
    end: timedelta
    too_small: bool
    """Whether the face was too small; otherwise it was not clear enough."""


@dataclass(frozen=True, slots=True)
class IncomparablePeople:
    """The people of one segment of one scan who could not be compared."""

    scan_id: str
    stretch: Stretch
    """The segment."""
    people: tuple[IncomparablePerson, ...]


@dataclass(frozen=True, slots=True)
class WatchStretch:
    """A stretch of a recording to watch by eye."""

    start: timedelta
    """From the recording's first picture."""
    end: timedelta
    appearances: int
    too_small: int
    """Of the appearances."""
    peak: int
    """Most people in view at the same time."""


def clipped(
    start: timedelta, end: timedelta, window: Stretch, *, too_small: bool
) -> IncomparablePerson | None:
    """Return somebody with the part of their time that lies in a window; None if none does."""
    start, end = max(start, window.start), min(end, window.end)
    return IncomparablePerson(start, end, too_small) if start < end else None


def joined(people: Iterable[IncomparablePerson], apart: Sequence[Stretch]) -> list[WatchStretch]:
    """Return the stretches in which people were in view, in order.

    Those no more than `MERGED_WITHIN` apart are one, unless a part between them was not searched.

    Args:
        people: Of one recording, in any order.
        apart: What of the recording was not searched.
    """
    groups: list[list[IncomparablePerson]] = []
    end = timedelta()
    for one in sorted(people, key=lambda person: (person.start, person.end)):
        near = one.start - end <= MERGED_WITHIN
        if groups and near and not any(gap.start < one.start and gap.end > end for gap in apart):
            groups[-1].append(one)
            end = max(end, one.end)
        else:
            groups.append([one])
            end = one.end
    return [
        WatchStretch(
            start=group[0].start,
            end=max(one.end for one in group),
            appearances=len(group),
            too_small=sum(one.too_small for one in group),
            peak=_peak(group),
        )
        for group in groups
    ]


def _peak(people: Sequence[IncomparablePerson]) -> int:
    # At one instant those who leave are gone before others come.
    changes = sorted([(one.start, 1) for one in people] + [(one.end, -1) for one in people])
    present = most = 0
    for _, change in changes:
        present += change
        most = max(most, present)
    return most
