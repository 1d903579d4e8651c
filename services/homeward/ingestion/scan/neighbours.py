"""Where faces were just before and after a picture, to blur those that were not detected in it.

A detector misses a face in one picture and finds it in the next: when it is turned for a moment, or
half behind somebody.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from homeward.ingestion.scan.faces import Box
from homeward.ingestion.scan.tracking import LOST_AFTER, MAX_LENGTH

REACH = timedelta(seconds=0.45)
"""How long before and after a picture faces count: two pictures, of five a second."""

REMEMBERED = MAX_LENGTH + LOST_AFTER + 2 * REACH
"""How long pictures are asked for: until the track has ended that has them."""

WIDENED = 0.2
"""By how much of its size a box is larger on each side that was measured in another picture."""

SAME_PLACE = 1.0
"""How far apart, in widths, the middles of two boxes of one face may be in pictures this near."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A face in a picture."""

    who: int
    """Number of its track; 0 of a doubtful one that no track has."""
    box: Box


@dataclass(frozen=True, slots=True)
class _Seen:
    offset: timedelta
    scene: int
    sights: tuple[Sight, ...]


class Neighbours:
    """The faces of the last pictures: boxes alone."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque()
        self._scene = 0

    def cut(self) -> None:
        """Take in that the next picture shows another scene."""
        self._scene += 1

    def add(self, offset: timedelta, sights: Sequence[Sight]) -> None:
        """Take the faces of the next picture in."""
        self._seen.append(_Seen(offset, self._scene, tuple(sights)))
        while offset - self._seen[0].offset > REMEMBERED:
            self._seen.popleft()

    def missed(self, offset: timedelta, own: Box) -> list[Box]:
        """Return where faces may be in a picture that were found right before or after it alone.

        Args:
            offset: Of the picture. One that is not remembered any more has none.
            own: Face of the person whom the picture is of.
        """
        at = next((one for one in self._seen if one.offset == offset), None)
        if at is None:
            return []
        who = next((one.who for one in at.sights if one.box == own), 0)
        # By the person, the nearest place before and after; of those without a track each one.
        before: dict[int, tuple[timedelta, Box]] = {}
        after: dict[int, tuple[timedelta, Box]] = {}
        loose: list[Box] = []
        known = {one.who for one in at.sights if one.who}
        for seen in self._seen:
            if seen.scene != at.scene or not timedelta() < abs(seen.offset - offset) <= REACH:
                continue
            for sight in _others(seen.sights, who, own):
                if sight.who in known:
                    continue
                if not sight.who:
                    loose.append(sight.box)
                elif seen.offset < offset:
                    before[sight.who] = (seen.offset, sight.box)
                else:
                    after.setdefault(sight.who, (seen.offset, sight.box))
        tracked = [
            _between(offset, [one[name] for one in (before, after) if name in one])
            for name in {**before, **after}
        ]
        there = [one.box for one in at.sights]
        free = [box for box in loose if not any(_is_same(box, other) for other in there)]
        return [_widened(box) for box in (*tracked, *free)]


def _others(sights: Sequence[Sight], who: int, own: Box) -> list[Sight]:
    """Return the faces of a picture that are not the person's, who may have another track in it."""
    if any(one.who == who for one in sights if who):
        return [one for one in sights if one.who != who]
    mine = min(sights, key=lambda one: _apart(one.box, own), default=None)
    if mine is not None and not _is_same(mine.box, own):
        mine = None
    return [one for one in sights if one is not mine]


def _between(offset: timedelta, places: Sequence[tuple[timedelta, Box]]) -> Box:
    """Return where a face was in between, or where it was near to that."""
    if len(places) == 1:
        return places[0][1]
    (first, start), (last, end) = places
    part = (offset - first) / (last - first)
    return Box(
        start.x + part * (end.x - start.x),
        start.y + part * (end.y - start.y),
        start.width + part * (end.width - start.width),
        start.height + part * (end.height - start.height),
    )


def _widened(box: Box) -> Box:
    right, down = box.width * WIDENED, box.height * WIDENED
    return Box(box.x - right, box.y - down, box.width + 2 * right, box.height + 2 * down)


def _apart(one: Box, other: Box) -> float:
    (x, y), (left, top) = one.centre, other.centre
    return math.hypot(x - left, y - top)


def _is_same(one: Box, other: Box) -> bool:
    return _apart(one, other) <= SAME_PLACE * max(one.width, other.width)
