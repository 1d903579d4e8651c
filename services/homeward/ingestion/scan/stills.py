"""The stills of candidates: the pictures that somebody was compared by, fit to be looked at.

They are made of candidates alone. Pictures of people who match nobody are dropped with their
appearance, as `shots` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from homeward.core.vision.redaction import bystanders, overlap
from homeward.ingestion.scan.faces import Box, Face, Portrait, nearest
from homeward.ingestion.scan.ports import Closeup, DraftStill, FaceFinder, FaceImages, Still
from homeward.ingestion.scan.shots import Appearance
from homeward.ingestion.scan_metrics import stage
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.in_order import in_order

STILLS_AT_ONCE = 2
"""Batches of pictures whose stills are made at a time: at the end of a segment no other work would
keep a second processor busy."""

STILLS_TOGETHER = 3
"""Pictures of a batch: half of those of an appearance, so that it has two."""

LEAST_SURE = 0.15
"""Least score of what is blurred, although it may be no face. Surroundings are coarse anyway."""

SURE_NEAR_HEAD = 0.3
"""Least score of what is blurred close to the person's own face, where their own ears and collars
look a little like faces; elsewhere whatever may be a face is blurred."""

SURE_ON_HEAD = 0.5
"""Least score of what is blurred in the person's own hair, which a detector takes for a face now
and then: with up to 0.45, and somebody who looks over a head with 0.7 and more (a street arcade and
groups of `bench/street.py`, 2026-11-29)."""

NEAR_HEAD = 1.5
"""How far the middle of a box is from the person's face that is close to it, in widths."""

MOST_UNSURE = 2.0
"""How many times as wide as the person's own a face is at most that is not surely one."""

SURE = 0.6
"""Score of a face that is one."""

FOUND = 0.2
"""Overlap of where a face may be with one that is found there."""

MOST_COVERED = 0.1
"""Share of the person's face that somebody else's may cover, where other pictures show them."""


class StillMaker:
    """Makes the stills of appearances.

    Args:
        faces: Finds who else is in a picture.
        images: Makes a still, in a thread of `executor`.
        executor: Threads.
    """

    def __init__(self, *, faces: FaceFinder, images: FaceImages, executor: BoundedExecutor) -> None:
        self._faces = faces
        self._images = images
        self._executor = executor

    async def make(self, found: Sequence[Appearance]) -> list[list[Still]]:
        """Return a still of each picture of each appearance, in the order of the pictures."""
        portraits = [shot.portrait for one in found for shot in one.shots]
        batches = [
            portraits[place : place + STILLS_TOGETHER]
            for place in range(0, len(portraits), STILLS_TOGETHER)
        ]
        async with aclosing(in_order(self._stills_of, batches, at_once=STILLS_AT_ONCE)) as made:
            stills = [still async for batch in made for still in batch]
        left = iter(stills)
        return [[next(left) for _ in one.shots] for one in found]

    async def _stills_of(self, portraits: Sequence[Portrait]) -> list[Still]:
        """Return a still of each of some pictures.

        Everybody else is looked for once more, at the full resolution and with whatever score: a
        search sees a smaller copy of the picture, and wants faces to follow.
        """
        with stage("stills", {"pictures": len(portraits)}):
            views = await self._executor.run(
                lambda: list(map(self._images.surroundings, portraits))
            )
            pictures = [one.image for each in views for one in each]
            found = iter(await self._faces.find_everybody(pictures) if pictures else ())
            seen = [
                tell_apart(portrait, _faces(view, found))
                for portrait, view in zip(portraits, views, strict=True)
            ]
            return await self._executor.run(lambda: list(map(self._images.still, seen)))


def tell_apart(portrait: Portrait, found: Sequence[Face]) -> Portrait:
    """Return a portrait with the person's own face and those of the others, as found in it.

    The first search sees a smaller picture, and may have made one face of two beside each other. A
    face that it knew for somebody else's is never taken for the person's. Somebody who is known to
    be near and is not found in the portrait is behind the person, but for what was taken for a face
    in the person's hair: if that is one, it is found.
    """
    sure = [one for one in found if one.detector_score >= SURE]
    again = nearest(portrait.face, [one for one in sure if not _is_known_other(portrait, one.box)])
    own = again.box if again is not None else portrait.face
    counted = [one.box for one in found if _counts(own, one)]
    others = [one for one in counted if bystanders(own, [one])]
    known = [one for one in portrait.others if not is_on_head(own, one)]
    return replace(
        portrait,
        face=own,
        others=(*others, *(one for one in known if _is_found(one, others))),
        behind=tuple(one for one in known if not _is_found(one, others)),
    )


def _is_known_other(portrait: Portrait, box: Box) -> bool:
    own = overlap(box, portrait.face)
    return any(overlap(box, one) > own for one in portrait.others)


def _is_found(box: Box, found: Sequence[Box]) -> bool:
    return any(overlap(box, one) >= FOUND for one in found)


def is_on_head(own: Box, box: Box) -> bool:
    """Whether the middle of a box is in the hair above a face."""
    (x, y), (own_x, own_y) = box.centre, own.centre
    up = (own_y - y) / own.height
    return abs(x - own_x) <= own.width / 2 and 0.25 <= up <= 1.1  # noqa: PLR2004 - brow to crown


def _faces(views: Sequence[Closeup], found: Iterator[list[Face]]) -> list[Face]:
    """Return what may be faces in a portrait; takes what was found in the views of it."""
    return [
        replace(face, box=face.box.scaled(1 / view.scale)) for view in views for face in next(found)
    ]


def _counts(own: Box, face: Face) -> bool:
    box = face.box
    (x, y), (own_x, own_y) = box.centre, own.centre
    if box.width > MOST_UNSURE * own.width:
        least = SURE
    elif is_on_head(own, box):
        least = SURE_ON_HEAD
    elif math.hypot(x - own_x, y - own_y) <= NEAR_HEAD * own.width:
        least = SURE_NEAR_HEAD
    else:
        least = LEAST_SURE
    return face.detector_score >= least


def clearest(stills: Sequence[Still | None], scores: Sequence[float | None]) -> int:
    """Return the number of the picture that stands for a finding.

    It is the most alike one in which nobody else's face is before or behind the person's own; if
    there is none, the most alike one of all; and the first one if none is alike by itself.

    Args:
        stills: Of the pictures of an appearance, of which the first is the best; None of one that
            is not made.
        scores: Of each alone, with the subject of the finding; None of those below the threshold.
    """
    alike = [(-score, number) for number, score in enumerate(scores) if score is not None]
    clear = [one for one in alike if not _is_covered(stills[one[1]])]
    return min(clear or alike, default=(0.0, 0))[1]


def _is_covered(still: Still | None) -> bool:
    """Tell whether somebody else's face covers the person's own, as far as is known."""
    return still is not None and still.covered > MOST_COVERED


def draft_stills(
    appearance: Appearance,
    stills: Sequence[Still | None],
    scores: Sequence[float | None],
    *,
    best: int,
) -> tuple[DraftStill, ...]:
    """Return the stills of a finding, in order of time.

    One in which somebody else's face is before or behind the person's own is left out: both cannot
    be told apart there, and others show the person as well.

    Args:
        appearance: Whom they show: at most `MAX_SHOTS` pictures, spread over its time.
        stills: Of its pictures; None of one that is not made.
        scores: Of these alone, with the subject of the finding; None of those below the threshold.
        best: Number of the picture that stands for it, of which there is a still in any case.
    """
    made = [
        DraftStill(
            offset=shot.offset,
            score=score,
            face_height_px=shot.box.height,
            quality=shot.quality,
            still=still,
        )
        for number, (shot, still, score) in enumerate(
            zip(appearance.shots, stills, scores, strict=True)
        )
        if number == best or not _is_covered(still)
    ]
    return tuple(sorted(made, key=lambda one: one.offset))
