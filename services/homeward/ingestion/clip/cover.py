"""What is blurred in each picture of a clip.

Everybody is covered who is not shown: in the pictures in which a face was found, in those between
two of them, and for a while before the first and after the last one, as a detector loses a face
before it has turned away. What was not found is somewhere near where it was found last: so the
cover grows with the time since then. Where it is not known where somebody is, the whole picture is
blurred.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from homeward.ingestion.clip.following import Following, Run, Sight, Trail
from homeward.ingestion.scan.faces import Box

HELD = timedelta(seconds=0.6)
"""How long somebody is covered before they are first found, and after they are last found."""

LOOSE_HELD = timedelta(seconds=0.25)
"""As `HELD`, of faces that are not certain and are on no track."""

BLUR_MARGIN = 0.2
"""How much larger a face is taken to be on every side than it was found, in sizes of the face: the
cells of the blur are as much coarser. From many pictures of somebody who moves against the cells,
finer ones can be worked out than from a still."""

GROWTH = 1.5
"""By how much a cover grows on every side in a second, in sizes of the face: people walk at three
to eight of their faces' widths a second, and go on as they did for the most part."""

MOST_MET = 0.1
"""Share of the subject's face above which somebody who may be before it has it blurred."""

PART_OF_FACE = 0.8
"""Share of a box that is in the subject's face, from which on it is a part of that face."""

UNSETTLED = timedelta(seconds=0.2)
"""How long pictures are blurred as a whole on both sides of another scene."""

FASTEST = 8.0
"""Sizes of their face that somebody goes in a second, at most: what is faster is a box that jumps,
as where a face is cut off by the edge of the picture."""

ALIKE_FOR = timedelta(seconds=0.4)
"""For how long somebody's face has about one size, and one speed."""

MOST_FACES = 60
"""Faces in a picture above which it is blurred as a whole: a crowd hides some from the detector."""

MOST_COVERED = 0.5
"""Share of a picture above which a single cover blurs all of it."""


@dataclass(slots=True)
class Cover:
    """What is blurred in one picture."""

    whole: bool = False
    covered: list[Box] = field(default_factory=list)
    """Faces that are blurred, with hair and ears, and all that somebody may be in who was not
    found."""
    shown: list[Box] = field(default_factory=list)
    """Faces that are not blurred."""


def covers(found: Following, shown: Collection[Run], *, width: int, height: int) -> list[Cover]:
    """Return what is blurred in each picture.

    Args:
        found: Everybody in the clip.
        shown: Runs that are the subject's for certain.
        width: Of the pictures, pixels.
        height: Likewise.
    """
    made = [Cover() for _ in found.offsets]
    kept = {id(run) for run in shown}
    for trail in found.trails:
        _cover_trail(made, found.offsets, trail, kept)
    for sight in found.loose:
        for number in _around_time(found.offsets, sight.picture, LOOSE_HELD):
            _put(made[number], sight.box, 0.0)
    for number in _unsettled(found):
        made[number].whole = True
    for cover, count in zip(made, found.face_counts, strict=True):
        large = any(one.width * one.height > MOST_COVERED * width * height for one in cover.covered)
        cover.whole = cover.whole or large or count > MOST_FACES
        _cover_who_is_met(cover)
    return made


def _cover_who_is_met(cover: Cover) -> None:
    """Cover the subject too where somebody may be before them who was not found there."""
    met = [
        one
        for one in cover.shown
        if len(cover.shown) > 1 or any(_overlaps(one, other) for other in cover.covered)
    ]
    cover.covered += met
    cover.shown = [one for one in cover.shown if one not in met]


def _overlaps(face: Box, other: Box) -> bool:
    """Whether a part of a face that counts is in another box.

    A box that is found right on the face is of the face: detectors find parts of one.
    """
    across = min(face.x + face.width, other.x + other.width) - max(face.x, other.x)
    down = min(face.y + face.height, other.y + other.height) - max(face.y, other.y)
    common = max(0.0, across) * max(0.0, down)
    own = common >= PART_OF_FACE * other.width * other.height
    return common > MOST_MET * face.width * face.height and not own


def _cover_trail(
    made: list[Cover], offsets: Sequence[timedelta], trail: Trail, kept: Collection[int]
) -> None:
    runs = [run for run in trail.runs for _ in run.sights]
    sights = list(zip(_sized(offsets, trail.sights), runs, strict=True))
    for (sight, run), found in zip(sights, trail.sights, strict=True):
        if id(run) in kept:
            made[sight.picture].shown.append(found.box)
        else:
            _put(made[sight.picture], sight.box, 0.0)
    for (one, run), (other, next_run) in pairwise(sights):
        if not (id(run) in kept and id(next_run) in kept):
            _bridge(made, offsets, one, other)
    (first, first_run), (last, last_run) = sights[0], sights[-1]
    if id(first_run) not in kept:
        speed = _speed(offsets, [one for one, _ in sights], first)
        _hold(made, offsets, first, speed, HELD, forward=False)
    if id(last_run) not in kept:
        speed = _speed(offsets, [one for one, _ in sights], last)
        _hold(made, offsets, last, speed, HELD, forward=True)


def _sized(offsets: Sequence[timedelta], sights: Sequence[Sight]) -> list[Sight]:
    """Return sights as large as those around them.

    Of somebody who is half hidden, only a part may be found.
    """
    sized = []
    times = [offsets[sight.picture] for sight in sights]
    for sight, at in zip(sights, times, strict=True):
        first, last = bisect_left(times, at - ALIKE_FOR), bisect_right(times, at + ALIKE_FOR)
        near = [one.box for one in sights[first:last]]
        width, height = max(one.width for one in near), max(one.height for one in near)
        x, y = sight.box.centre
        box = Box(x - width / 2, y - height / 2, width, height)
        sized.append(Sight(sight.picture, _around(box, sight.box)))
    return sized


def _speed(
    offsets: Sequence[timedelta], sights: Sequence[Sight], end: Sight
) -> tuple[float, float]:
    """Return how fast somebody went at an end of a trail, pixels a second to the right and down."""
    near = [one for one in sights if abs(offsets[one.picture] - offsets[end.picture]) <= ALIKE_FOR]
    first, last = near[0], near[-1]
    span = (offsets[last.picture] - offsets[first.picture]).total_seconds()
    if span <= 0:
        return 0.0, 0.0
    (x0, y0), (x1, y1) = first.box.centre, last.box.centre
    right, down = (x1 - x0) / span, (y1 - y0) / span
    most = FASTEST * max(end.box.width, end.box.height)
    slower = min(1.0, most / max(math.hypot(right, down), 1e-9))
    return right * slower, down * slower


def _bridge(made: list[Cover], offsets: Sequence[timedelta], one: Sight, other: Sight) -> None:
    """Cover somebody in the pictures between two in which they were found."""
    begin, end = offsets[one.picture], offsets[other.picture]
    for number in range(one.picture + 1, other.picture):
        at = offsets[number]
        share = (at - begin) / (end - begin)
        gap = min(at - begin, end - at).total_seconds()
        _put(made[number], _between(one.box, other.box, share), gap)


def _hold(
    made: list[Cover],
    offsets: Sequence[timedelta],
    sight: Sight,
    speed: tuple[float, float],
    held: timedelta,
    *,
    forward: bool,
) -> None:
    """Cover somebody where they were, and where they would be, beyond a sight."""
    numbers = (
        range(sight.picture + 1, len(offsets)) if forward else range(sight.picture - 1, -1, -1)
    )
    for number in numbers:
        gap = (offsets[number] - offsets[sight.picture]).total_seconds()
        if abs(gap) > held.total_seconds():
            return
        moved = sight.box.moved(speed[0] * gap, speed[1] * gap)
        _put(made[number], _around(sight.box, moved), abs(gap))


def _put(cover: Cover, box: Box, gap: float) -> None:
    margin = (BLUR_MARGIN + GROWTH * gap) * max(box.width, box.height)
    cover.covered.append(
        Box(box.x - margin, box.y - margin, box.width + 2 * margin, box.height + 2 * margin)
    )


def _between(one: Box, other: Box, share: float) -> Box:
    def mixed(first: float, second: float) -> float:
        return first + (second - first) * share

    return Box(
        mixed(one.x, other.x),
        mixed(one.y, other.y),
        mixed(one.width, other.width),
        mixed(one.height, other.height),
    )


def _around(one: Box, other: Box) -> Box:
    left, top = min(one.x, other.x), min(one.y, other.y)
    right = max(one.x + one.width, other.x + other.width)
    bottom = max(one.y + one.height, other.y + other.height)
    return Box(left, top, right - left, bottom - top)


def _unsettled(found: Following) -> set[int]:
    """Return the pictures near another scene, and those in which nothing can be told apart."""
    near = {number for cut in found.cuts for number in _around_time(found.offsets, cut, UNSETTLED)}
    return near | set(found.blank)


def _around_time(offsets: Sequence[timedelta], number: int, span: timedelta) -> range:
    """Return the numbers of the pictures that are this near to one."""
    at = offsets[number]
    return range(bisect_left(offsets, at - span), bisect_right(offsets, at + span))
