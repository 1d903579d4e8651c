"""Tracking faces through the pictures of a segment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import structlog
from numpy.typing import NDArray

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX
from homeward.ingestion.scan.faces import Box, Face, Frame
from homeward.ingestion.scan.neighbours import Neighbours, Sight
from homeward.ingestion.scan.ports import FaceImages, FrameFaces, Undecodable
from homeward.ingestion.scan.presence import PresentPerson, PresentShot
from homeward.ingestion.scan.shots import Shot, Shots
from homeward.ingestion.scan.tracking import Track, Tracker, is_cut

BEGIN_SCORE = 0.6
"""Least detector score of a face that begins an appearance; doubtful ones only continue one, and
are blurred in stills."""

MOST_ENDED = 3
"""Pieces of a segment whose decoding was ended, after which the rest of it is given up."""

REST_GIVEN_UP = f"; the rest was given up after {MOST_ENDED} tries"

log = structlog.get_logger()


class SegmentSearch:
    """The state of tracking a segment: open tracks, and counts."""

    def __init__(self, stretch: Stretch, images: FaceImages) -> None:
        self._stretch = stretch
        self._images = images
        self._tracker: Tracker[Shots] = Tracker()
        self._thumbnail: NDArray[np.float32] | None = None
        self._numbers: dict[int, int] = {}
        """Of the tracks under way, by their identities: from 1."""
        self._begun = 0
        self._near = Neighbours()
        self._sights: Counter[int] = Counter()
        """How often those under way were in view in the stretch, by the identities of their tracks:
        what is seen of them beyond it, the next segment counts."""
        self.frames = 0
        self.faces = 0
        self.looked_at: list[timedelta] = []
        """Times of the pictures that were searched, also beyond the stretch."""
        self.ended: list[tuple[Stretch, str]] = []
        """Stretches whose decoding was ended, each with its cause."""
        self.people: list[PresentPerson] = []
        """Those whose tracks have ended."""
        self.over = False
        """Whether the stretch is behind, and nobody is followed beyond it."""

    def take(self, pictures: Sequence[FrameFaces]) -> list[Track[Shots]]:
        """Take the next pictures in; return the tracks that have ended."""
        ended: list[Track[Shots]] = []
        for item, faces in pictures:
            if isinstance(item, Undecodable):
                self._end(item)
            elif not self.over:
                ended += self._follow(item, faces)
                self.over = item.offset >= self._stretch.end and not self._tracker.open
        return self._kept(ended)

    def _end(self, item: Undecodable) -> None:
        """Take in that decoding was ended; give the rest up when that goes on."""
        cause = f"decoding was ended: {item.cause}"
        end = item.end
        log.warning("decoding ended", cause=item.cause)
        if len(self.ended) + 1 >= MOST_ENDED:
            self.over, end = True, max(item.end, self._stretch.end)
            cause += REST_GIVEN_UP
        self.ended.append((Stretch(item.start, end), cause))

    def finish(self) -> list[Track[Shots]]:
        """Return the tracks that are still open."""
        return self._kept(self._tracker.finish())

    def _kept(self, ended: list[Track[Shots]]) -> list[Track[Shots]]:
        for track in ended:
            del self._numbers[id(track)]
            track.kept.see_others(self._near.missed)
            self.people.append(_present(track, self._sights.pop(id(track), 0)))
        return ended

    def _follow(self, frame: Frame, faces: Sequence[Face]) -> list[Track[Shots]]:
        assert not self.looked_at or frame.offset > self.looked_at[-1], "each picture comes once"
        self.looked_at.append(frame.offset)
        before, self._thumbnail = self._thumbnail, self._images.thumbnail(frame)
        cut = before is not None and is_cut(before, self._thumbnail)
        ended = self._tracker.finish() if cut else self._tracker.ended(frame.offset)
        if cut:
            self._near.cut()
        seen: list[Sight] = []
        within = frame.offset < self._stretch.end
        counted = is_within(self._stretch, frame.offset)
        self.frames += counted
        patches = [self._images.patch(frame, face.box) for face in faces]
        for number, (face, patch, track) in enumerate(
            zip(faces, patches, self._tracker.assign(frame.offset, faces, patches), strict=True)
        ):
            sure = face.detector_score >= BEGIN_SCORE
            if track is None and sure and within:
                track = self._begin(frame, face, patch)  # noqa: PLW2901 - a new one
            seen.append(Sight(self._numbers[id(track)] if track is not None else 0, face.box))
            if track is not None and counted:
                self._sights[id(track)] += 1
                self.faces += 1
            if track is not None:
                track.kept.widest = max(track.kept.widest, face.box.width)
            if track is not None and face.box.width >= MIN_FACE_WIDTH_PX:
                others = [other.box for other in (*faces[:number], *faces[number + 1 :])]
                _consider(self._images, track.kept, frame, face, others)
        self._near.add(frame.offset, seen)
        return ended

    def _begin(self, frame: Frame, face: Face, patch: NDArray[np.float32]) -> Track[Shots]:
        track = self._tracker.begin(frame.offset, face.box, patch, Shots())
        self._begun += 1
        self._numbers[id(track)] = self._begun
        return track


def _consider(
    images: FaceImages, shots: Shots, frame: Frame, face: Face, others: Sequence[Box]
) -> None:
    """Keep a picture of somebody, if it is a better one."""
    if not shots.wants(frame.offset, images.selection_quality(frame, face, sharpness=False)):
        return  # not even if it were quite sharp
    quality = images.selection_quality(frame, face, sharpness=True)
    if shots.wants(frame.offset, quality):
        shots.add(
            Shot(
                offset=frame.offset,
                quality=quality,
                box=face.box,
                portrait=images.portrait(frame, face.box, others),
                others=tuple(others),
            )
        )


def _present(track: Track[Shots], sights: int) -> PresentPerson:
    return PresentPerson(
        track.start,
        track.end,
        sights,
        track.kept.widest,
        tuple(
            PresentShot(shot.offset, shot.box, shot.others, shot.quality)
            for shot in track.kept.best
        ),
    )


def is_within(stretch: Stretch, at: timedelta) -> bool:
    """Whether a picture is a segment's to count: one that is shown before it is another's."""
    return stretch.start <= at < stretch.end
