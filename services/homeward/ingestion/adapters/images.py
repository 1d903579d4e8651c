"""OpenCV: faces cut out of pictures, and stills with everybody else blurred."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.core.vision import quality
from homeward.core.vision.alignment import align
from homeward.core.vision.redaction import bystanders, redact, share_covered
from homeward.core.vision.regions import Region
from homeward.core.vision.scaling import shrink
from homeward.ingestion.scan.faces import Box, Face, Frame, Picture, Portrait
from homeward.ingestion.scan.ports import Closeup, Still

THUMBNAIL_SIZE = (32, 18)
"""Width and height, pixels: enough to tell scenes apart, too small to show anybody."""

PATCH_SIZE = (6, 8)
"""Width and height, pixels, of somebody's head and shoulders: enough to tell those apart who are in
view together, too small to recognise anybody."""

ALIGNMENT_REACH = 2.5
"""How far beyond the landmarks alignment samples, at most, in parts of their extent: the aligned
face is 3.2 times as wide as its eyes are apart, and may stand on a corner."""

PORTRAIT_FACE_WIDTHS = 5.0
"""Width of a portrait, in widths of its face: head, shoulders and clothes."""

STILL_MARGIN_FACE_WIDTHS = 0.35
"""How much of each side of a portrait its still does not show, in widths of its face: a face that
the portrait's edge cuts, the detector does not find."""

CLOSEUP_SIDES = 2.0
"""Sides of a close-up, in sides of its face: a detector needs a face's surroundings."""

CLOSEUP_MIN_PX, CLOSEUP_MAX_PX = 72.0, 96.0
"""Side of a face in a close-up: smaller ones are enlarged, larger ones shrunk. Landmarks found on a
face enlarged to 72 pixels are as good as true ones; on one of more than some 300 pixels the
detector sees only parts."""

CLOSEUP_LEAST_PX = 16
"""Least side of a picture that the embedding service takes."""

SURROUNDINGS_FACE_PX = 96.0
"""Side of the person's face in a copy of their surroundings: faces from a fifth of that to three
times of it are found then."""

SURROUNDINGS_MOST_SCALE, SURROUNDINGS_MOST_PX = 3.0, 1280.0
"""Most that a copy is enlarged, and the most of its longer side."""

STILL_SIDE_PX = 720
STILL_JPEG_QUALITY = 88


class CvFaceImages:
    """`FaceImages` with OpenCV."""

    def thumbnail(self, frame: Frame) -> NDArray[np.float32]:
        """Return the picture very small: grey levels 0 to 255, the same shape for a recording."""
        few = cv2.resize(frame.grey, THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA)
        return np.asarray(few, np.float32)

    def patch(self, frame: Frame, face: Box) -> NDArray[np.float32]:
        """Return a face, twice as wide as it is, and its shoulders, very small: grey levels."""
        x, _ = face.centre
        around = Box(x - face.width, face.y - 0.3 * face.height, 2 * face.width, 2.5 * face.height)
        shown = frame.grey[_cells(around.scaled(frame.scale), frame.grey, margin=0)]
        if not shown.size:  # at the very edge, by rounding
            shown = frame.grey[:1, :1]
        few = cv2.resize(np.ascontiguousarray(shown), PATCH_SIZE, interpolation=cv2.INTER_AREA)
        return np.asarray(few, np.float32)

    def selection_quality(self, frame: Frame, face: Face, *, sharpness: bool) -> float:
        """Return a face's quality, in [0, 1]; without `sharpness`, that of a sharp face."""
        return _quality(_aligned(frame.picture, face) if sharpness else None, face)

    def portrait(self, frame: Frame, face: Box, others: Sequence[Box]) -> Portrait:
        """Return a person's surroundings, to compare them and to make a still of."""
        x, y = face.centre
        half = face.width * PORTRAIT_FACE_WIDTHS / 2
        # More below the face than above it.
        region = _inside(frame.picture, x - half, y - 0.7 * half, x + half, y + 1.5 * half).even()
        left, top = region.left, region.top
        return Portrait(
            picture=frame.picture.part(region),
            face=face.moved(-left, -top),
            others=tuple(other.moved(-left, -top) for other in others),
        )

    def closeup(self, portrait: Portrait, *, wide: bool) -> Closeup:
        """Return the face of a portrait and a little around it, at a size that suits a detector."""
        face = portrait.face
        x, y = face.centre
        side = max(face.width, face.height)
        half = side * CLOSEUP_SIDES / 2 * (2 if wide else 1)
        region = _inside(portrait.picture, x - half, y - half, x + half, y + half)
        most = CLOSEUP_MAX_PX / (2 if wide else 1)
        scale = min(max(1.0, CLOSEUP_MIN_PX / side), most / side)
        resized = _resized(portrait.picture.cut(region), scale)
        return replace(resized, left=region.left, top=region.top)

    def aligned(self, portrait: Portrait, face: Face) -> NDArray[np.uint8]:
        """Return a face upright, as the recogniser takes it: BGR, shape (112, 112, 3)."""
        return _aligned(portrait.picture, face)

    def quality(self, aligned: NDArray[np.uint8], face: Face) -> float:
        """Return how well an aligned face serves recognition, in [0, 1]; higher is better."""
        return _quality(aligned, face)

    def surroundings(self, portrait: Portrait) -> Sequence[Closeup]:
        """Return all of a portrait, at sizes at which a detector finds faces small and large."""
        picture = portrait.picture
        width, height = picture.width, picture.height
        whole = picture.cut(Region(0, 0, width, height))
        side = max(portrait.face.width, portrait.face.height)
        most = SURROUNDINGS_MOST_PX / max(width, height)
        shown = min(1.0, STILL_SIDE_PX / max(width, height))
        scales = {min(SURROUNDINGS_FACE_PX / side, SURROUNDINGS_MOST_SCALE, most), shown}
        return [_resized(whole, scale) for scale in sorted(scales)]

    def still(self, portrait: Portrait) -> Still:
        """Return the still of a person, with every other face blurred."""
        region = shown_region(portrait)
        small, scale = shrink(portrait.picture.cut(region), STILL_SIDE_PX)

        def placed(box: Box) -> Box:
            return box.moved(-region.left, -region.top).scaled(scale)

        face = placed(portrait.face)
        others = bystanders(face, map(placed, portrait.others))
        behind = map(placed, portrait.behind)
        redacted = redact(small, face, others, behind=behind, surroundings=True)
        done, data = cv2.imencode(".jpg", redacted, [cv2.IMWRITE_JPEG_QUALITY, STILL_JPEG_QUALITY])
        assert done, "a picture with pixels encodes"
        covered = max((share_covered(face, other) for other in others), default=0.0)
        return Still(data.tobytes(), face, covered)


def shown_region(portrait: Portrait) -> Region:
    """Return the part of a portrait that its still shows: all of the person's head is in it."""
    face, width, height = portrait.face, portrait.picture.width, portrait.picture.height
    margin = STILL_MARGIN_FACE_WIDTHS * face.width

    def cut(room: float) -> int:
        return int(np.clip(room, 0, margin))

    return Region(
        cut(face.x - 0.5 * face.width),
        cut(face.y - 0.8 * face.height),
        width - cut(width - face.x - 1.5 * face.width),
        height - cut(height - face.y - 1.5 * face.height),
    )


def _resized(image: NDArray[np.uint8], scale: float) -> Closeup:
    size = [max(CLOSEUP_LEAST_PX, round(length * scale)) for length in image.shape[1::-1]]
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    sized = image if scale == 1.0 else cv2.resize(image, size, interpolation=how)
    return Closeup(
        np.asarray(sized, np.uint8),
        left=0,
        top=0,
        scale=size[0] / image.shape[1] if scale != 1.0 else 1.0,
    )


def _aligned(picture: Picture, face: Face) -> NDArray[np.uint8]:
    # Only the part of the picture that alignment samples, with room for its interpolation.
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    reach = ALIGNMENT_REACH * float((high - low).max()) + 2
    region = _inside(picture, *(low - reach), *(high + reach))
    corner = np.array([region.left, region.top], np.float32)
    return align(picture.cut(region), face.landmarks - corner)


def _quality(aligned: NDArray[np.uint8] | None, face: Face) -> float:
    return quality.fuse(
        eye_distance_px=quality.eye_distance(face.landmarks),
        sharpness=1.0 if aligned is None else quality.sharpness(aligned),
        turn=quality.turn(face.landmarks),
        detector_score=face.detector_score,
    )


def _inside(picture: Picture, left: float, top: float, right: float, bottom: float) -> Region:
    """Return the part of an area that is in a picture; at least a pixel at its edge."""
    width, height = picture.width, picture.height
    return Region(
        int(np.clip(left, 0, width - 1)),
        int(np.clip(top, 0, height - 1)),
        int(np.clip(math.ceil(right), 1, width)),
        int(np.clip(math.ceil(bottom), 1, height)),
    )


def _cells(box: Box, picture: NDArray[np.uint8], *, margin: float) -> tuple[slice, slice]:
    """Return where a face and a margin around it are in a picture."""
    height, width = picture.shape[:2]
    dx, dy = box.width * margin, box.height * margin
    x0 = int(np.clip(box.x - dx, 0, width))
    y0 = int(np.clip(box.y - dy, 0, height))
    x1 = int(np.clip(box.x + box.width + dx, 0, width))
    y1 = int(np.clip(box.y + box.height + dy, 0, height))
    return slice(y0, y1), slice(x0, x1)
