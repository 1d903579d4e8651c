"""Following every face through all pictures of a clip.

The scanner follows faces through five pictures a second, and it does no harm there if two people
come to one appearance now and then. In a clip, whoever is taken for the subject is shown. So a
track is cut into runs: of one person for certain, because the face was seen all along, moved little
from one picture to the next, and came near nobody else. Each run is compared by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX
from homeward.ingestion.scan.faces import Box, Face, Frame
from homeward.ingestion.scan.ports import FaceImages
from homeward.ingestion.scan.shots import Shot, Shots
from homeward.ingestion.scan.tracking import Tracker, is_cut

BEGIN_SCORE = 0.5
"""Least detector score of a face that begins a track. A less certain one goes on with a track, or
is blurred by itself."""

BROKEN_AFTER = timedelta(seconds=0.2)
"""A face that is not found for this long may be somebody else's when it is found again."""

BROKEN_BY_JUMP = 0.6
"""Farthest that a face moves from one sight to the next within a run, in parts of its size."""

LONGEST_RUN = timedelta(seconds=3)
"""A longer run is cut, so that each part of it is compared, and little depends on one."""

LARGE_SHARE = 0.2
"""Of a picture. The detector takes whole scenes for faces now and then, with little certainty."""

NEAR_SIZES = 3.0
"""As many times as large as another one a face may be to be taken for it."""

NEAR = 0.25
"""Two faces are near each other whose boxes, each enlarged by this part of its size on every side,
overlap: from then on nobody knows for certain which is which."""


BLANK_CONTRAST = 4.0
"""Standard deviation of a thumbnail, grey levels, below which a picture shows nothing to go by."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A face in a picture of a clip."""

    picture: int
    """Number of the picture in the clip, from 0."""
    box: Box


@dataclass(slots=True, eq=False)
class Run:
    """A face that was followed without doubt."""

    sights: list[Sight] = field(default_factory=list)
    shots: Shots = field(default_factory=Shots)
    shared: bool = False
    """Whether another face was near: it may be of either person."""
    continues: bool = False
    """Whether it goes on with the run before it in the trail, and was cut for its length alone."""
    begun: timedelta = timedelta()
    seen: timedelta = timedelta()
    """When it was seen last."""


@dataclass(slots=True, eq=False)
class Trail:
    """All runs of one track, in order."""

    runs: list[Run] = field(default_factory=list)

    @property
    def sights(self) -> list[Sight]:
        """All sights, in order."""
        return [sight for run in self.runs for sight in run.sights]


class Following:
    """Follows the faces of a clip, one picture after the other.

    Args:
        images: Processes pixels.
    """

    def __init__(self, images: FaceImages) -> None:
        self._images = images
        self._tracker: Tracker[Trail] = Tracker()
        self._thumbnail: NDArray[np.float32] | None = None
        self._compared: set[int] = set()
        """Runs that were given out, by identity."""
        self.trails: list[Trail] = []
        self.loose: list[Sight] = []
        """Faces that are not certain, and are on no track."""
        self.offsets: list[timedelta] = []
        """Of the pictures, from the recording's beginning."""
        self.cuts: list[int] = []
        """Pictures with which another scene begins."""
        self.blank: list[int] = []
        """Pictures in which nothing can be told from anything: dark, or covered."""
        self.face_counts: list[int] = []
        """Of each picture."""

    def take(self, frame: Frame, faces: Sequence[Face]) -> list[Run]:
        """Take the next picture in; return the runs that have ended and can be compared."""
        number = len(self.offsets)
        self.offsets.append(frame.offset)
        faces = [face for face in faces if _is_possible(face, frame)]
        self.face_counts.append(len(faces))
        before, self._thumbnail = self._thumbnail, self._images.thumbnail(frame)
        if float(self._thumbnail.std()) < BLANK_CONTRAST:
            self.blank.append(number)
        if before is not None and is_cut(before, self._thumbnail):
            self.cuts.append(number)
            self._tracker.finish()
        self._let_go(frame.offset)
        patches = [self._images.patch(frame, face.box) for face in faces]
        tracks = self._tracker.assign(frame.offset, faces, patches)
        for index, (face, patch, found) in enumerate(zip(faces, patches, tracks, strict=True)):
            track = found
            if track is None and face.detector_score >= BEGIN_SCORE:
                track = self._tracker.begin(frame.offset, face.box, patch, Trail())
                self.trails.append(track.kept)
            if track is None:
                self.loose.append(Sight(number, face.box))
                continue
            others = [
                other.box
                for other in (*faces[:index], *faces[index + 1 :])
                if other.detector_score >= BEGIN_SCORE
            ]
            self._continue(track.kept, number, frame, face, others)
        return self._ended(frame.offset)

    def finish(self) -> list[Run]:
        """Return the runs that are still open."""
        return self._ended(None)

    def _let_go(self, at: timedelta) -> None:
        """End tracks that were not seen lately. None is cut for its length: runs are."""
        for track in self._tracker.open:
            track.start = at
        self._tracker.ended(at)

    def _continue(
        self, trail: Trail, number: int, frame: Frame, face: Face, others: Sequence[Box]
    ) -> None:
        near = any(_are_near(face.box, other) for other in others)
        run = trail.runs[-1] if trail.runs else None
        if run is None or self._is_other(run, frame.offset, face.box, near=near):
            longest = run is not None and not self._is_broken(run, frame.offset, face.box, near)
            run = Run(shared=near, continues=longest, begun=frame.offset)
            trail.runs.append(run)
        run.sights.append(Sight(number, face.box))
        run.seen = frame.offset
        if not near and face.box.width >= MIN_FACE_WIDTH_PX:
            _consider(self._images, run.shots, frame, face)

    def _is_other(self, run: Run, at: timedelta, box: Box, *, near: bool) -> bool:
        return self._is_broken(run, at, box, near) or (
            not run.shared and at - run.begun >= LONGEST_RUN
        )

    @staticmethod
    def _is_broken(run: Run, at: timedelta, box: Box, near: bool) -> bool:  # noqa: FBT001 - private
        last = run.sights[-1].box
        (x0, y0), (x1, y1) = last.centre, box.centre
        size = max(
            1.0, (math.hypot(last.width, last.height) + math.hypot(box.width, box.height)) / 2
        )
        return (
            near is not run.shared
            or at - run.seen > BROKEN_AFTER
            or math.hypot(x1 - x0, y1 - y0) > BROKEN_BY_JUMP * size
        )

    def _ended(self, at: timedelta | None) -> list[Run]:
        """Return the runs that nothing is added to any more and that were not returned before."""
        ended = []
        for trail in self.trails:
            for run in trail.runs:
                is_last = run is trail.runs[-1]
                over = not is_last or at is None or at - run.seen > BROKEN_AFTER
                if over and id(run) not in self._compared:
                    self._compared.add(id(run))
                    ended.append(run)
        return ended


def _consider(images: FaceImages, shots: Shots, frame: Frame, face: Face) -> None:
    """Keep a picture of somebody, if it is a better one."""
    if not shots.wants(frame.offset, images.selection_quality(frame, face, sharpness=False)):
        return
    quality = images.selection_quality(frame, face, sharpness=True)
    if shots.wants(frame.offset, quality):
        portrait = images.portrait(frame, face.box, ())
        shots.add(Shot(frame.offset, quality, face.box, portrait, ()))


def _is_possible(face: Face, frame: Frame) -> bool:
    """Whether it may be a face: one that fills a picture is certain, or is none."""
    share = face.box.width * face.box.height / (frame.picture.width * frame.picture.height)
    return face.detector_score >= BEGIN_SCORE or share < LARGE_SHARE


def _are_near(one: Box, other: Box) -> bool:
    larger, smaller = sorted((one.width * one.height, other.width * other.height), reverse=True)
    if larger > NEAR_SIZES**2 * smaller:
        return False
    across = abs(one.centre[0] - other.centre[0]) - (0.5 + NEAR) * (one.width + other.width)
    down = abs(one.centre[1] - other.centre[1]) - (0.5 + NEAR) * (one.height + other.height)
    return across < 0 and down < 0
