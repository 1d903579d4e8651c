"""Detect faces, embed faces, analyse a photograph. Synchronous; nothing is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.alignment import align
from homeward.core.vision.quality import FaceQuality, measure_quality
from homeward.core.vision.scaling import shrink
from homeward.embedding.model import (
    Box,
    Detection,
    Face,
    Frame,
    FrameFaces,
    Image,
    PhotoAnalysis,
    PhotoProblem,
)
from homeward.embedding.ports import FaceDetector, FaceRecogniser, PictureDecoder

DEFAULT_DETECTOR_SCORE = 0.6
"""Of a face in a frame."""

PHOTO_DETECTOR_SCORE = 0.7
"""Of a face in a photograph: what is seen below it is often no face, and must not make
`SEVERAL_FACES`. All of 404 photographs of LFW have a face above it."""

GLANCE_SIDES_PX = (160, 320, 640, 1280)
"""Longest sides at which a photograph is looked at, until a face is found. Smallest first, because
the detector sees only parts of a face of more than about 300 pixels: of 150 faces that fill their
picture it finds all at 160 pixels, and half of them at 640."""

BEST_FACE_PX = 128.0
"""Size of the largest face, as the square root of its area, at the second, careful look."""

MIN_EYE_DISTANCE_PX = 15.0
"""Of a reference. Of 404 photographs of LFW the least is 18; shrunk to faces of 40 pixels 96 % stay
above it, at 24 pixels 2 %, at 16 pixels, where half of all comparisons fail, none."""

MIN_SHARPNESS = 0.37
"""Of a reference. Of the same photographs 99.5 % are above it. Blurred with a Gaussian of 3 pixels
0.7 % stay above it, of 4 pixels none that is large enough; enlarged from faces of 16 pixels 7 %."""

MAX_TURN = 0.5
"""Of a reference, about 45 degrees. Of the same photographs 98.5 % stay below it;
profiles in footage measure 0.56 and more."""

SURE_SCORE = 0.85
"""Of a face that is seen only when its photograph is turned, for the advice to turn it."""

SCORE_MARGIN = 0.005
"""By how much the detector must be surer of a face in the photograph as it is than when that is
turned. Of 404 photographs of LFW upright, all are judged as before (least margin 0.021), and of the
1212 turned by 90, 180 and 270 degrees all are refused. Cut to the face (least margin -0.003), 402
of 404 are judged as before, two are refused, and so are all 1212 turned ones (YuNet, 2026-11-28,
`is_upright` on the surest faces of `AnalyzePhoto._find` in all four ways)."""

# With all of the rules 94 % of the photographs are accepted; 4 % show a second person as large as
# the subject, 1.5 % a face turned away, 0.5 % a blurred one.

BYSTANDER_SIZE = 0.75
BYSTANDER_CUT = 0.05
"""Up to which part of the subject's size, or from which part outside of the picture, a face is a
bystander's."""


class DetectFaces:
    """Finds the faces in frames."""

    def __init__(self, decoder: PictureDecoder, detector: FaceDetector) -> None:
        self._decoder = decoder
        self._detector = detector

    def __call__(
        self, frames: Sequence[Frame], min_score: float, *, measured: bool
    ) -> list[FrameFaces]:
        """Return the faces of each frame, in the order of the frames; with quality if `measured`.

        Raises:
            InvalidArgumentError: `IMAGE_UNREADABLE`.
            UnavailableError: `COMPONENT_UNAVAILABLE`: as `PictureDecoder.decode_frames`.
        """
        with closing(self._decoder.decode_frames(frames)) as pictures:
            return [
                FrameFaces(frame.frame_id, self._faces(picture, min_score, measured=measured))
                for frame, picture in zip(frames, pictures, strict=True)
            ]

    def _faces(self, image: Image, min_score: float, *, measured: bool) -> tuple[Face, ...]:
        found = self._detector.detect(image, min_score)
        return _measured(image, found) if measured else tuple(Face(one, None) for one in found)


class EmbedFaces:
    """Turns aligned faces into templates."""

    def __init__(self, recogniser: FaceRecogniser) -> None:
        self._recogniser = recogniser

    def __call__(
        self, faces: NDArray[np.uint8], widths_px: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return unit-length templates, shape (n, d); see `FaceRecogniser.embed`."""
        return self._recogniser.embed(faces, widths_px)


class AnalyzePhoto:
    """Judges whether a photograph can serve as a reference, and makes its template if so."""

    def __init__(
        self, decoder: PictureDecoder, detector: FaceDetector, recogniser: FaceRecogniser
    ) -> None:
        self._decoder = decoder
        self._detector = detector
        self._recogniser = recogniser

    def __call__(self, photo: bytes) -> PhotoAnalysis:
        """Return the verdict on a photograph file.

        Detection runs on a shrunk copy; quality and alignment use the full resolution.

        Raises:
            InvalidArgumentError: `FIELD_INVALID` for too many pixels, `IMAGE_UNREADABLE`.
        """
        given = self._decoder.decode_photo(photo)
        analysis = self.judge(given.image)
        factor = given.width / given.image.shape[1]
        faces = tuple(
            replace(face, detection=_enlarged(face.detection, factor)) for face in analysis.faces
        )
        return replace(analysis, faces=faces, width=given.width, height=given.height)

    def judge(self, image: Image) -> PhotoAnalysis:
        """Return the verdict on a photograph that is decoded, and turned as its file says.

        It may still be upside down or on its side. The detector finds such a face too, and puts its
        eyes where the mouth is, but it is surer of the same face upright: so all four ways are
        looked at. A photograph that is not upright is refused, not turned, because a reviewer is
        shown the file and must see the face upright as well.
        """
        height, width = image.shape[:2]
        found = sorted(self._find(image), key=lambda face: _side(face.box), reverse=True)
        faces = _measured(image, found)
        if is_upright(_surest(found), self._turned_score(image)):
            problems = company_problems([detection.box for detection in found], width, height)
            if faces and faces[0].quality:
                problems += quality_problems(faces[0].quality)
        else:
            problems = (PhotoProblem.NOT_UPRIGHT,)
        template = None
        if not problems:
            aligned = align(image, faces[0].detection.landmarks)
            template = self._recogniser.embed(aligned[None])[0]
        return PhotoAnalysis(problems, faces, template, width, height)

    def _turned_score(self, image: Image) -> float:
        """Return how sure the detector is of a face in the picture, turned in the three ways."""
        copy, _ = shrink(image, GLANCE_SIDES_PX[-1])
        return max(
            _surest(self._find(np.ascontiguousarray(np.rot90(copy, quarters))))
            for quarters in (1, 2, 3)
        )

    def _find(self, image: Image) -> list[Detection]:
        for side in GLANCE_SIDES_PX:
            glimpsed = self._detect_at(image, side)
            if glimpsed:
                scale = BEST_FACE_PX / max(_side(face.box) for face in glimpsed)
                careful = min(round(max(image.shape[:2]) * scale), GLANCE_SIDES_PX[-1])
                return self._detect_at(image, careful) or glimpsed
        return []

    def _detect_at(self, image: Image, side: int) -> list[Detection]:
        copy, scale = shrink(image, side)
        found = self._detector.detect(copy, PHOTO_DETECTOR_SCORE)
        return [_enlarged(face, 1 / scale) for face in found]


def is_upright(score: float, turned_score: float) -> bool:
    """Return whether a photograph is upright, or has no face that is surely seen in another way.

    Args:
        score: Of the surest face in the photograph as it is; 0 where there is none.
        turned_score: Of the surest face when it is turned; 0 where there is none.
    """
    if score == 0:
        return turned_score < SURE_SCORE
    return score >= turned_score + SCORE_MARGIN


def company_problems(boxes: Sequence[Box], width: int, height: int) -> tuple[PhotoProblem, ...]:
    """Return what is wrong with the number of faces in a photograph.

    The largest face is the photograph's subject. Another face is a bystander's, which does no harm,
    if it is farther from the middle of the picture than the subject's, and either much smaller
    (less than `BYSTANDER_SIZE` of the subject's, as the square root of the area) or cut off by the
    edge (more than `BYSTANDER_CUT` of its area is outside). Any other makes `SEVERAL_FACES`: the
    photograph could be meant to show that person.

    Args:
        boxes: The faces, largest first, pixels.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
    """
    if not boxes:
        return (PhotoProblem.NO_FACE,)
    subject, *others = boxes

    def is_bystander(box: Box) -> bool:
        farther = _eccentricity(box, width, height) > _eccentricity(subject, width, height)
        smaller = _side(box) < BYSTANDER_SIZE * _side(subject)
        return farther and (smaller or _cut_off(box, width, height) > BYSTANDER_CUT)

    return () if all(map(is_bystander, others)) else (PhotoProblem.SEVERAL_FACES,)


def quality_problems(quality: FaceQuality) -> tuple[PhotoProblem, ...]:
    """Return why a face cannot serve as a reference; a small one is not called blurred as well."""
    too_small = quality.eye_distance_px < MIN_EYE_DISTANCE_PX
    found = {
        PhotoProblem.TOO_SMALL: too_small,
        PhotoProblem.BLURRED: not too_small and quality.sharpness < MIN_SHARPNESS,
        PhotoProblem.TURNED_AWAY: quality.turn > MAX_TURN,
    }
    return tuple(problem for problem, applies in found.items() if applies)


def _measured(image: Image, detections: Sequence[Detection]) -> tuple[Face, ...]:
    return tuple(
        Face(detection, measure_quality(image, detection.landmarks, detection.score))
        for detection in detections
    )


def _surest(detections: Sequence[Detection]) -> float:
    return max((detection.score for detection in detections), default=0.0)


def _enlarged(detection: Detection, factor: float) -> Detection:
    box = detection.box
    return Detection(
        box=Box(box.x * factor, box.y * factor, box.width * factor, box.height * factor),
        landmarks=detection.landmarks * np.float32(factor),
        score=detection.score,
    )


def _side(box: Box) -> float:
    return math.sqrt(box.width * box.height)


def _eccentricity(box: Box, width: int, height: int) -> float:
    return math.hypot(box.x + box.width / 2 - width / 2, box.y + box.height / 2 - height / 2)


def _cut_off(box: Box, width: int, height: int) -> float:
    """Return the part of a box's area that is outside of its picture."""
    across = max(0.0, min(box.x + box.width, width) - max(box.x, 0.0))
    down = max(0.0, min(box.y + box.height, height) - max(box.y, 0.0))
    return 1 - across * down / (box.width * box.height)
