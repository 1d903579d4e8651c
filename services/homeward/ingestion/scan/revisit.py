"""Searching again what an earlier scan has searched, by where that found faces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby

import numpy as np

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.choose import INSTANT
from homeward.ingestion.scan.faces import Box, Frame
from homeward.ingestion.scan.follow import is_within
from homeward.ingestion.scan.gate import Profile
from homeward.ingestion.scan.ports import FaceImages, Piece
from homeward.ingestion.scan.presence import PresentPerson
from homeward.ingestion.scan.shots import Shot, Shots
from homeward.ingestion.scan.tracking import Track


class Revisit:
    """People who were found before, whose pictures are shown again."""

    def __init__(
        self, stretch: Stretch, people: Sequence[PresentPerson], images: FaceImages
    ) -> None:
        self._stretch = stretch
        self._images = images
        self._people = people
        self._shown = timedelta.min
        self._shots: dict[int, list[Shot]] = {id(one): [] for one in people}
        self.frames = 0

    @property
    def complete(self) -> bool:
        """Whether all pictures of everybody were shown."""
        return all(len(self._shots[id(one)]) == len(one.shots) for one in self._people)

    def without_shots(self) -> list[Track[Shots]]:
        """Return those of whom there is no picture that could be compared."""
        return [_track(one, []) for one in self._people if not one.shots]

    def take(self, frame: Frame) -> list[Track[Shots]]:
        """Take the next picture in; return those of whom it was the last one."""
        assert frame.offset > self._shown, "each picture comes once"
        self._shown = frame.offset
        self.frames += is_within(self._stretch, frame.offset)
        complete: list[Track[Shots]] = []
        for person in self._people:
            held = self._shots[id(person)]
            for shot in person.shots:
                if shot.offset == frame.offset:
                    portrait = self._images.portrait(frame, shot.box, shot.others)
                    held.append(Shot(shot.offset, shot.quality, shot.box, portrait, shot.others))
                    if len(held) == len(person.shots):
                        complete.append(_track(person, held))
        return complete


def _track(person: PresentPerson, shots: Sequence[Shot]) -> Track[Shots]:
    box = shots[-1].box if shots else Box(0, 0, 0, 0)
    followed_by_nothing = np.zeros((0, 0), np.float32)
    kept = Shots.of(shots, person.widest)
    return Track(person.start, person.end, box, followed_by_nothing, kept, sights=person.sights)


def pieces_at(at: Sequence[timedelta], profile: Profile) -> list[Piece]:
    """Return the groups of pictures that hold pictures of given times, each up to the last one."""
    starts = profile.starts

    def start_of(offset: timedelta) -> timedelta:
        number = int(np.searchsorted(starts, offset // INSTANT, side="right")) - 1
        return int(starts[number]) * INSTANT if number >= 0 else timedelta()

    pieces = ((start, tuple(wanted)) for start, wanted in groupby(at, key=start_of))
    return [Piece(Stretch(start, wanted[-1] + INSTANT), wanted) for start, wanted in pieces]
