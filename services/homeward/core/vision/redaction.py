"""Pictures in which nobody can be recognised but one person, or nobody at all.

Faces that are known are made coarse, with soft edges. A detector misses some, so the surroundings
of the person who is kept may be made coarse as well: then nobody is recognisable whom it missed,
unless they stand before the person's body.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 3.5
"""How many cells a face that is made coarse is wide: no recogniser finds anything in it, and no
person who knows somebody recognises them."""

SURROUNDING_CELLS = 4.0
"""How many cells of the surroundings a face is wide that is as wide as the one that is kept."""


SAME_FACE = 0.4
"""Overlap, as intersection over union, from which on a box is of the kept face if it is at
`SAME_PLACE` too."""

SAME_PLACE = 0.22
"""How far the middle of a box of the kept face is from that face's own at most, in sides of the
face. When a face is found again, its box is up to 0.16 off (624 faces in groups of
`bench/street.py`, 2026-11-29). A box that is farther off is of somebody behind or in front."""

BOX_MARGIN = 1.1
"""How many times as large as its box a face is at most: boxes are off by a tenth of a face."""

BEYOND = 1.2
"""From how many times the size of somebody else's box on the kept face is whole beside it."""

TOO_LARGE = 2.0
"""How many times as wide as the kept face a box is that is no face if it has that one in it."""


class Rectangle(Protocol):
    """The box of a face, as a detector bounds it: from chin to brow, and from ear to ear."""

    @property
    def x(self) -> float:
        """Left edge, pixels of the picture; may be outside of it."""

    @property
    def y(self) -> float:
        """Top edge."""

    @property
    def width(self) -> float:
        """Pixels."""

    @property
    def height(self) -> float:
        """Pixels."""


@dataclass(frozen=True, slots=True)
class _Ellipse:
    """An ellipse around the middle of a face, in parts of the face's width and height."""

    across: float
    down: float
    up: float = 0.0
    """How far its middle is above the face's."""
    fade: float = 1.0
    """How many times as large it is where its weight is 0; inside of it the weight is 1."""

    def weights(self, face: Rectangle, area: _Area) -> NDArray[np.float32]:
        """Return weights in [0, 1] in an area of the picture, of its shape."""
        return _falling(self.distances(face, area), 1.0, self.fade)

    def distances(self, face: Rectangle, area: _Area) -> NDArray[np.float32]:
        """Return how far each pixel is from its middle, 1 at its edge."""
        middle_x, middle_y = face.x + face.width / 2, face.y + face.height * (0.5 - self.up)
        right = (area.columns - middle_x) / (self.across * face.width)
        below = (area.rows - middle_y) / (self.down * face.height)
        return np.asarray(np.sqrt(right[None, :] ** 2 + below[:, None] ** 2), np.float32)

    def area(self, face: Rectangle, width: int, height: int) -> _Area:
        """Return where its weight may be more than 0, inside a picture of this size."""
        across, down = (part * self.fade for part in (self.across, self.down))
        middle_x, middle_y = face.x + face.width / 2, face.y + face.height * (0.5 - self.up)
        return _Area(
            _inside(middle_x - across * face.width, width, down=True),
            _inside(middle_y - down * face.height, height, down=True),
            _inside(middle_x + across * face.width, width),
            _inside(middle_y + down * face.height, height),
        )


@dataclass(frozen=True, slots=True)
class _Area:
    """A part of a picture, whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def place(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def columns(self) -> NDArray[np.float32]:
        """The middles of its columns of pixels."""
        return np.arange(self.left, self.right, dtype=np.float32) + np.float32(0.5)

    @property
    def rows(self) -> NDArray[np.float32]:
        return np.arange(self.top, self.bottom, dtype=np.float32) + np.float32(0.5)

    @property
    def empty(self) -> bool:
        return self.left >= self.right or self.top >= self.bottom


_WHOLE = _Ellipse(across=0.5, down=0.5)
"""The face as it fills its box."""

_FACE = _Ellipse(across=0.66, down=0.66, fade=1.15)
"""Of somebody else: all of this is coarse, but for the kept person's own face beside theirs."""

_AROUND = _Ellipse(across=0.95, down=1.0, up=0.1, fade=1.3)
"""Of somebody else: hair and ears identify too. The kept person's head comes before it."""

_OWN_FACE = _Ellipse(across=0.44, down=0.48, fade=1.12)
"""Of the person who is kept: eyes, nose, mouth and cheeks, where somebody else's face is not."""

_OWN_HEAD = _Ellipse(across=0.76, down=0.98, up=0.14, fade=1.12)
"""Of the person who is kept, with hair and ears."""

_OWN_SURROUNDINGS = _Ellipse(across=0.7, down=1.05, up=0.16, fade=1.22)
"""Of the person who is kept and is alone: a hat, and what is right beside the head, stays."""

_OWN_FACE_ONLY = _Ellipse(across=0.48, down=0.56, up=0.06, fade=1.15)
"""Of the person who is kept and has others nearby: the face. Beside the hair there may be a part of
somebody's face who is behind them, which no detector finds."""


def redact(
    picture: NDArray[np.uint8],
    keep: Rectangle | None,
    others: Iterable[Rectangle],
    *,
    behind: Iterable[Rectangle] = (),
    surroundings: bool = False,
) -> NDArray[np.uint8]:
    """Return a copy of a picture in which nobody is recognisable but one person.

    Args:
        picture: BGR, shape (height, width, 3); it stays as it is.
        keep: The face of the person who stays as they are; None for nobody.
        others: All other faces, those too that may be there, with or without parts outside of the
            picture; see `bystanders`.
        behind: Where faces may be that were not found in the picture, although that of the person
            who is kept was: they are behind it, if they are there.
        surroundings: Make all coarse but the head and the body of the person who is kept, for those
            whom no detector finds; without `keep`, the whole picture.
    """
    result = picture.copy()
    faces, hidden = bystanders(keep, others), bystanders(keep, behind)
    if surroundings and keep:
        alone = not _any_near(picture, keep, (*faces, *hidden))
        _make_surroundings_coarse(result, keep, alone=alone)
    elif surroundings:
        _make_all_coarse(result)
    for other in faces:
        _make_face_coarse(result, other, keep)
    for other in hidden:
        _make_face_coarse(result, other, keep, kept_first=True)
    return result


def bystanders(keep: Rectangle | None, found: Iterable[Rectangle]) -> list[Rectangle]:
    """Return those of the boxes that a detector found that can be of somebody else.

    What is found where the kept face is, is that face. What is much larger and has that face in it
    is none: a face so near to the camera would hide it.
    """
    return [
        one
        for one in found
        if one.width > 0
        and one.height > 0
        and not (keep and (_is_same(keep, one) or _holds(one, keep)))
    ]


def _any_near(picture: NDArray[np.uint8], keep: Rectangle, faces: Iterable[Rectangle]) -> bool:
    """Tell whether there is a face in a picture, or less than the kept face's width beside it."""
    height, width = picture.shape[:2]
    return any(
        -keep.width < one.x + one.width
        and one.x < width + keep.width
        and -keep.width < one.y + one.height
        and one.y < height + keep.width
        for one in faces
    )


def share_covered(face: Rectangle, other: Rectangle) -> float:
    """Return how much of a face's box another box covers, in [0, 1]."""
    return _common(face, other) / (face.width * face.height)


def _is_same(keep: Rectangle, found: Rectangle) -> bool:
    right = (found.x + found.width / 2 - keep.x - keep.width / 2) / keep.width
    down = (found.y + found.height / 2 - keep.y - keep.height / 2) / keep.height
    return overlap(keep, found) >= SAME_FACE and math.hypot(right, down) <= SAME_PLACE


def _holds(large: Rectangle, face: Rectangle) -> bool:
    nearly_all = 0.9
    return large.width >= TOO_LARGE * face.width and share_covered(face, large) > nearly_all


def _common(one: Rectangle, other: Rectangle) -> float:
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(0.0, across) * max(0.0, down)


def overlap(one: Rectangle, other: Rectangle) -> float:
    """Return the intersection of two boxes over their union, in [0, 1]."""
    common = _common(one, other)
    whole = one.width * one.height + other.width * other.height - common
    return common / whole if whole > 0 else 0.0


def _make_face_coarse(
    result: NDArray[np.uint8],
    face: Rectangle,
    keep: Rectangle | None,
    *,
    kept_first: bool = False,
) -> None:
    height, width = result.shape[:2]
    area = _AROUND.area(face, width, height)
    if area.empty:
        return
    weights, around = _FACE.weights(face, area), _AROUND.weights(face, area)
    if keep is not None:
        mine = _OWN_FACE.weights(keep, area)
        # Nobody knows who is in front, so the other's face comes before the person's own. One that
        # is far larger is nearer and would hide that: it is not there.
        if not kept_first and face.width < TOO_LARGE * keep.width:
            mine = mine * _falling(-_WHOLE.distances(face, area), -BEYOND, -BOX_MARGIN)
        weights = weights * (1 - mine)
        around = around * (1 - _OWN_HEAD.weights(keep, area))
    # Of the result: what is coarse already must not become finer again by a smaller face.
    coarse = _coarse(result[area.place], face.width / CELLS)
    _blend(result, area, coarse, np.maximum(weights, around))


def _make_all_coarse(result: NDArray[np.uint8]) -> None:
    # As for a face that fills the picture: no smaller one is left either.
    result[:] = _coarse(result, max(result.shape[:2]) / CELLS / 4)


def _make_surroundings_coarse(result: NDArray[np.uint8], keep: Rectangle, *, alone: bool) -> None:
    height, width = result.shape[:2]
    coarse = _coarse(result, keep.width / SURROUNDING_CELLS)
    kept = np.zeros((height, width), np.float32)
    ellipse = _OWN_SURROUNDINGS if alone else _OWN_FACE_ONLY
    head, body = ellipse.area(keep, width, height), _body_area(keep, width, height)
    kept[head.place] = ellipse.weights(keep, head)
    np.maximum(kept[body.place], _body(keep, body), out=kept[body.place])
    _blend(result, _Area(0, 0, width, height), coarse, 1 - kept)


def _body_area(face: Rectangle, width: int, height: int) -> _Area:
    """Return where `_body` may be more than 0, inside a picture of this size."""
    middle, reach = face.x + face.width / 2, 1.45 * face.width
    return _Area(
        _inside(middle - reach, width, down=True),
        _inside(face.y + face.height, height, down=True),
        _inside(middle + reach, width),
        height,
    )


def _body(face: Rectangle, area: _Area) -> NDArray[np.float32]:
    """Return weights of the shoulders and what is below them, of an area's shape.

    Beside the neck there is no more of the person to see, and may be somebody behind them.
    """
    top = face.y + 1.2 * face.height
    down = np.clip((area.rows - top) / face.height, 0, 1)
    reach = face.width * (0.45 + 0.8 * np.sqrt(down))  # half of the body's width
    aside = np.abs(area.columns - (face.x + face.width / 2))
    far = (aside[None, :] - reach[:, None]) / np.float32(face.width)
    below = np.clip((area.rows - top) / (0.2 * face.height) + 1, 0, 1).astype(np.float32)
    return np.asarray(_falling(far, 0.0, 0.2) * below[:, None], np.float32)


def _blend(
    result: NDArray[np.uint8],
    area: _Area,
    coarse: NDArray[np.uint8],
    weights: NDArray[np.float32],
) -> None:
    """Put a coarse picture over an area, as far as the weights say."""
    shown = result[area.place]
    shown[:] = cv2.blendLinear(shown, coarse, 1 - weights, weights)


def _coarse(picture: NDArray[np.uint8], cell: float) -> NDArray[np.uint8]:
    """Return a picture that has one colour a cell, with smooth steps between them."""
    height, width = picture.shape[:2]
    size = (max(1, math.floor(width / cell)), max(1, math.floor(height / cell)))
    few = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _falling(far: NDArray[np.float32], full: float, nothing: float) -> NDArray[np.float32]:
    """Return 1 up to a distance, and less the farther from there, to 0 at another one, smoothly."""
    part = nothing - far
    part /= nothing - full
    np.clip(part, 0, 1, out=part)
    smooth = 3 - 2 * part
    smooth *= part
    smooth *= part
    return np.asarray(smooth, np.float32)


def _inside(place: float, length: int, *, down: bool = False) -> int:
    return min(max(math.floor(place) if down else math.ceil(place), 0), length)
