"""How well a face serves recognition, from what can be measured without a model of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.alignment import align


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """How well a face serves recognition."""

    score: float
    """All of it in one figure in [0, 1]; higher is better. Not a probability."""
    eye_distance_px: float
    """Distance between the eyes, pixels of the picture it was measured on."""
    sharpness: float
    """Sharpness in [0, 1]; higher is sharper."""
    turn: float
    """How far the face is turned away, in [0, 1]: 0 faces the camera, 1 is in profile."""


def measure_quality(
    image: NDArray[np.uint8], landmarks: NDArray[np.floating], detector_score: float
) -> FaceQuality:
    """Measure a face in a picture; sharpness is that of the aligned face.

    Args:
        image: Picture, BGR, shape (height, width, 3).
        landmarks: Five points as `align` takes them, pixels of `image`, shape (5, 2).
        detector_score: How sure the detector is, in [0, 1].
    """
    distance = eye_distance(landmarks)
    sharp = sharpness(align(image, landmarks))
    away = turn(landmarks)
    return FaceQuality(
        score=fuse(
            eye_distance_px=distance, sharpness=sharp, turn=away, detector_score=detector_score
        ),
        eye_distance_px=distance,
        sharpness=sharp,
        turn=away,
    )


def eye_distance(landmarks: NDArray[np.floating]) -> float:
    """Return the distance between the first two of the landmarks, shape (5, 2), in pixels."""
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def sharpness(face: NDArray[np.uint8]) -> float:
    """Return how sharp an aligned face is, in [0, 1]; higher is sharper.

    One minus the blur of Crété et al., "The blur effect: perception and estimation with a new
    no-reference perceptual blur metric", SPIE 6492, 2007: how much of the difference between
    neighbouring pixels a further blur takes away, which does not depend on contrast. The larger
    blur of the two directions counts, so that motion blur does.

    Measured on the aligned face, it is comparable between faces of all sizes, and a small face,
    which alignment enlarges, is as blurred as the recogniser sees it. Only the part from the brows
    to the chin counts: neither a sharp background nor the edge of the picture makes a face sharp.

    Args:
        face: Aligned face, BGR, shape (side, side, 3), side at least 16.
    """
    side = face.shape[0]
    inner = face[side * 3 // 10 : side * 19 // 20, side // 5 : side * 4 // 5]
    grey = cv2.cvtColor(inner, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return min(_kept_variation(grey, axis=0), _kept_variation(grey, axis=1))


def _kept_variation(grey: NDArray[np.float32], axis: int) -> float:
    kernel = (9, 1) if axis == 1 else (1, 9)
    blurred = cv2.blur(grey, kernel, borderType=cv2.BORDER_REPLICATE)
    before = _differences(grey, axis)
    lost = np.maximum(0, cv2.subtract(before, _differences(blurred, axis)))
    total = float(np.sum(before))
    return float(lost.sum()) / total if total > 0 else 0.0


def _differences(grey: cv2.typing.MatLike, axis: int) -> cv2.typing.MatLike:
    """Return how much each pixel differs from the one before it."""
    return cv2.absdiff(grey[1:], grey[:-1]) if axis == 0 else cv2.absdiff(grey[:, 1:], grey[:, :-1])


def turn(landmarks: NDArray[np.floating]) -> float:
    """Return how far a face is turned away to a side, in [0, 1].

    With `d` the distance of the nose tip from the line between the middle of the eyes and the
    middle of the mouth, and `e` half of the distance between the eyes, the result is
    `atan(d / e) / 90°`. The tip stands about as far in front of a face as the eyes are from its
    middle, so this is about the yaw angle as a part of 90°. A full profile measures 0.55 to 0.75,
    because a detector puts the hidden eye beside the seen one. Tilting the head to a shoulder or
    moving the camera up does not change it.

    Args:
        landmarks: Five points as `align` takes them, shape (5, 2).
    """
    eyes = (landmarks[0] + landmarks[1]) / 2
    down = (landmarks[3] + landmarks[4]) / 2 - eyes
    nose = landmarks[2] - eyes
    aside = abs(float(down[0] * nose[1] - down[1] * nose[0]))
    length = float(np.linalg.norm(down))
    return math.atan2(aside, length * eye_distance(landmarks) / 2) / (math.pi / 2)


_LOST_EYE_DISTANCE_PX = 5.0
_ENOUGH_EYE_DISTANCE_PX = 20.0


def fuse(*, eye_distance_px: float, sharpness: float, turn: float, detector_score: float) -> float:
    """Return one figure in [0, 1] that ranks faces by their use for recognition.

    The geometric mean of four numbers in [0, 1], so that one that is hopeless cannot be made up for
    by the others: size, sharpness, 1 - turn, detector score. Size is 0 up to 5 pixels between the
    eyes, where nine in ten comparisons fail, and 1 from 20, where size no longer matters (SFace on
    faces of LFW scaled down; a face is about twice as wide as its eyes are apart).
    """
    span = _ENOUGH_EYE_DISTANCE_PX - _LOST_EYE_DISTANCE_PX
    size = min(max((eye_distance_px - _LOST_EYE_DISTANCE_PX) / span, 0.0), 1.0)
    return float((size * sharpness * (1 - turn) * detector_score) ** 0.25)
