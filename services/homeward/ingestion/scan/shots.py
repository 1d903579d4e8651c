"""The best pictures of an appearance, and what becomes of them.

An appearance keeps a few aligned faces and stills in memory, best first. Nothing here reaches a
disk: what matches nobody is dropped with the appearance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np

from homeward.core import fusing
from homeward.ingestion.scan.faces import Box, Portrait, Template

MAX_SHOTS = 6
"""Pictures embedded for one appearance."""

FIRST_WINDOW = timedelta(seconds=0.5)
"""Pictures nearer to each other show the same pose and blur, and add nothing."""

SAME_PERSON = 0.30
"""Pictures of one track less alike than this are not one person: the track has jumped. Of two
pictures of one person in a track 1 % are less alike than 0.37, of two people 1 % more than 0.32
(2346 and 181 pairs, heads of 24 to 200 px; any value from 0.15 to 0.35 finds the same people)."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture of a face."""

    offset: timedelta
    quality: float
    """In [0, 1]; higher is better."""
    box: Box
    """In pixels of the recording."""
    portrait: Portrait
    """What it is compared by, and a still is made of, if it comes to one."""
    others: tuple[Box, ...]
    """The other faces in the picture, doubtful ones included, and where some may be."""

    def with_others(self, more: Sequence[Box]) -> Shot:
        """Return it with more places where other faces may be, pixels of the recording."""
        left, top = self.portrait.face.x - self.box.x, self.portrait.face.y - self.box.y
        moved = tuple(box.moved(left, top) for box in more)
        return replace(
            self,
            portrait=replace(self.portrait, others=(*self.portrait.others, *moved)),
            others=(*self.others, *more),
        )


@dataclass(slots=True)
class Shots:
    """The best picture of each part of an appearance so far.

    Time is cut into equal windows, and the best picture of each is kept. When there are more than
    `MAX_SHOTS`, the windows become twice as long. So the pictures are spread over the appearance,
    however long it is, and if the track has jumped between two people, both have pictures.
    """

    window: timedelta = FIRST_WINDOW
    widest: float = 0.0
    """Width of the face where it was widest, pixels of the recording; of one that is too small to
    be kept too."""
    _held: dict[int, Shot] = field(default_factory=dict)

    @classmethod
    def of(cls, chosen: Sequence[Shot], widest: float) -> Shots:
        """Return pictures that were chosen before."""
        return cls(widest=widest, _held=dict(enumerate(chosen)))

    @property
    def best(self) -> list[Shot]:
        """The pictures, best first."""
        return sorted(self._held.values(), key=lambda shot: (-shot.quality, shot.offset))

    def clear(self) -> None:
        """Let go of all pictures."""
        self._held.clear()

    def see_others(self, missed: Callable[[timedelta, Box], Sequence[Box]]) -> None:
        """Add to each picture where other faces may be that were not detected in it.

        Args:
            missed: Returns these for the picture of a time and the person's own face.
        """
        for place, shot in self._held.items():
            more = missed(shot.offset, shot.box)
            self._held[place] = shot.with_others(more) if more else shot

    def wants(self, offset: timedelta, quality: float) -> bool:
        """Tell whether a picture of this quality would be kept."""
        held = self._held.get(offset // self.window)
        return held is None or quality > held.quality

    def add(self, shot: Shot) -> None:
        """Keep a picture that is wanted, and let go of those that it displaces."""
        self._held[shot.offset // self.window] = shot
        while len(self._held) > MAX_SHOTS:
            self.window *= 2
            # Best first, so that the better one of two claims their common window.
            shots, self._held = self.best, {}
            for one in shots:
                self._held.setdefault(one.offset // self.window, one)


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """One person in view, from when to when, ready to be compared."""

    start: timedelta
    end: timedelta
    shots: tuple[Shot, ...]
    """Best first."""
    templates: tuple[Template, ...]
    """Of the shots, in their order."""
    fused: Template
    """The template of the appearance."""


def fuse(templates: Sequence[Template], qualities: Sequence[float]) -> Template:
    """Return the unit-length mean of templates, weighted by quality.

    Args:
        templates: At least one, all of one model.
        qualities: One weight in [0, 1] each.
    """
    values = np.stack([template.values for template in templates])
    weights = np.maximum(np.asarray(qualities, np.float32), 1e-3)
    return Template(fusing.fuse(values, weights), templates[0].model_digest)


def appearances(
    start: timedelta, end: timedelta, shots: Sequence[Shot], templates: Sequence[Template]
) -> list[Appearance]:
    """Return the people of one track: one, or several where the track jumped between them.

    Args:
        start: When the track begins.
        end: When it ends.
        shots: Its best pictures, best first.
        templates: Their templates, in the same order.
    """
    groups: list[list[int]] = []
    for number, template in enumerate(templates):
        for group in groups:
            fused = fuse([templates[n] for n in group], [shots[n].quality for n in group])
            if float(fused.values @ template.values) >= SAME_PERSON:
                group.append(number)
                break
        else:
            groups.append([number])
    found = [
        Appearance(
            start=start,
            end=end,
            shots=tuple(shots[n] for n in group),
            templates=tuple(templates[n] for n in group),
            fused=fuse([templates[n] for n in group], [shots[n].quality for n in group]),
        )
        for group in groups
    ]
    if len(found) == 1:
        return found
    return [_cut_to_their_time(one, found, start, end) for one in found]


def _cut_to_their_time(
    one: Appearance, all_of_them: Sequence[Appearance], start: timedelta, end: timedelta
) -> Appearance:
    """Return one of the people of a track that has jumped with the time that they were there.

    Nobody knows when it jumped: half-way between a picture of one person and the next picture,
    which is of another.
    """
    first = min(shot.offset for shot in one.shots)
    last = max(shot.offset for shot in one.shots)
    others = [shot.offset for other in all_of_them if other is not one for shot in other.shots]
    before = max((at for at in others if at < first), default=None)
    after = min((at for at in others if at > last), default=None)
    return replace(
        one,
        start=start if before is None else (before + first) / 2,
        end=end if after is None else (last + after) / 2,
    )
