"""OpenCV: faces cut out of pictures, and stills with everybody else blurred."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.model import Box, Face, Frame
from homeward.vision import quality
from homeward.vision.alignment import align
from homeward.vision.scaling import shrink

THUMBNAIL_SIZE = (32, 18)
"""Width and height, pixels: enough to tell scenes apart, too small to show anybody."""

STILL_FACE_WIDTHS = 5.0
"""Width of a still, in widths of its face: head, shoulders and clothes."""

STILL_SIDE_PX = 720
STILL_JPEG_QUALITY = 88

BLUR_MARGIN = 0.35
"""How far beyond a face it is blurred, in parts of its size: hair and ears identify too."""

BLUR_CELLS = 6
"""A blurred face is this many cells across: no recogniser finds anything in it."""


class CvFaceImages:
    """`FaceImages` with OpenCV."""

    def thumbnail(self, frame: Frame) -> NDArray[np.float32]:
        """Return the picture very small: grey levels 0 to 255, the same shape for a recording."""
        few = cv2.resize(frame.image[::4, ::4], THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(few, cv2.COLOR_BGR2GRAY), np.float32)

    def align(self, frame: Frame, face: Face) -> NDArray[np.uint8]:
        """Return the face upright, as the recogniser takes it: BGR, shape (112, 112, 3)."""
        return align(frame.image, face.landmarks)

    def quality(self, aligned: NDArray[np.uint8], face: Face) -> float:
        """Return how well the face serves recognition, in [0, 1]; higher is better."""
        return quality.fuse(
            eye_distance_px=quality.eye_distance(face.landmarks),
            sharpness=quality.sharpness(aligned),
            turn=quality.turn(face.landmarks),
            detector_score=face.detector_score,
        )

    def still(self, frame: Frame, face: Face, others: Sequence[Face]) -> bytes:
        """Return the JPEG of a person, cut around the face, with every other face blurred."""
        left, top, right, bottom = _surroundings(face.box, frame.image)
        picture = frame.image[top:bottom, left:right].copy()
        kept = _cells(face.box, left, top, picture, margin=0.1)
        own = picture[kept].copy()
        for other in others:
            region = _cells(other.box, left, top, picture, margin=BLUR_MARGIN)
            if picture[region].size:
                picture[region] = _unrecognisable(picture[region])
        picture[kept] = own  # somebody close by must not blur the person themselves
        small, _ = shrink(picture, STILL_SIDE_PX)
        done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, STILL_JPEG_QUALITY])
        assert done, "a picture with pixels encodes"
        return data.tobytes()


def _surroundings(face: Box, image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a still: more below the face than above it."""
    height, width = image.shape[:2]
    x, y = face.centre
    half = face.width * STILL_FACE_WIDTHS / 2
    return (
        int(np.clip(x - half, 0, width - 1)),
        int(np.clip(y - 0.7 * half, 0, height - 1)),
        int(np.clip(x + half, 1, width)),
        int(np.clip(y + 1.5 * half, 1, height)),
    )


def _cells(
    box: Box, left: int, top: int, picture: NDArray[np.uint8], *, margin: float
) -> tuple[slice, slice]:
    """Return where a face and a margin around it are in a picture that begins at left, top."""
    height, width = picture.shape[:2]
    dx, dy = box.width * margin, box.height * margin
    x0 = int(np.clip(box.x - left - dx, 0, width))
    y0 = int(np.clip(box.y - top - dy, 0, height))
    x1 = int(np.clip(box.x - left + box.width + dx, 0, width))
    y1 = int(np.clip(box.y - top + box.height + dy, 0, height))
    return slice(y0, y1), slice(x0, x1)


def _unrecognisable(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = face.shape[:2]
    few = cv2.resize(face, (BLUR_CELLS, BLUR_CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
