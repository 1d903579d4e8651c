"""OpenCV: the pictures of clips, with all faces blurred but those that are shown."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.redaction import redact
from homeward.core.vision.regions import Region
from homeward.ingestion.clip.cover import Cover
from homeward.ingestion.scan.faces import Box, Frame

MOST_SIDE_PX = 1920
"""Longest side of a clip's pictures."""

LINE_PX = 28
"""Height of the line of text below a picture, which hides nothing of it."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.5
_BASELINE_PX = 9


class CvClipImages:
    """`ClipImages` with OpenCV."""

    def scaled(self, frame: Frame, factors: Sequence[float]) -> list[NDArray[np.uint8]]:
        """Return a picture at several sizes, BGR."""
        image = _whole(frame)
        return [image if factor == 1.0 else _resized(image, factor) for factor in factors]

    def redacted(self, frame: Frame, cover: Cover, text: str) -> NDArray[np.uint8]:
        """Return a picture as the clip shows it, BGR."""
        image = painted(_whole(frame), cover)
        width, height = clip_size(image.shape[1], image.shape[0], text=False)
        if (width, height) != (image.shape[1], image.shape[0]):
            image = np.asarray(
                cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8
            )
        return _with_line(image, text) if text else image


def clip_size(width: int, height: int, *, text: bool) -> tuple[int, int]:
    """Return the even size of a clip's pictures.

    Args:
        width: Of the recording's pictures.
        height: Likewise.
        text: Whether there is a line of text below them.
    """
    scale = min(1.0, MOST_SIDE_PX / max(width, height))
    return (
        max(2, int(width * scale) // 2 * 2),
        max(2, int(height * scale) // 2 * 2) + (LINE_PX if text else 0),
    )


def painted(image: NDArray[np.uint8], cover: Cover) -> NDArray[np.uint8]:
    """Return a picture, BGR, in which what a cover names is unrecognisable."""
    if cover.whole:
        return redact(image, None, (), surroundings=True)
    kept = cover.shown[0] if len(cover.shown) == 1 else None
    covered = cover.covered if kept else [*cover.covered, *cover.shown]
    return redact(image, kept, outermost(covered))


def outermost(covered: Sequence[Box]) -> list[Box]:
    """Return what is left of boxes without those that lie in another one, the largest last.

    So nothing finer is left where somebody may be who was lost, and nothing is blurred for nothing.
    """
    kept: list[Box] = []
    for box in sorted(covered, key=lambda one: -one.width * one.height):
        if not any(_holds(one, box) for one in kept):
            kept.append(box)
    return kept[::-1]


def _holds(one: Box, other: Box) -> bool:
    return (
        one.x <= other.x
        and one.y <= other.y
        and other.x + other.width <= one.x + one.width
        and other.y + other.height <= one.y + one.height
    )


def _whole(frame: Frame) -> NDArray[np.uint8]:
    picture = frame.picture
    return picture.cut(Region(0, 0, picture.width, picture.height))


def _resized(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    size = [max(16, round(side * factor)) for side in image.shape[1::-1]]
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _with_line(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    width = image.shape[1]
    line = np.zeros((LINE_PX, width, 3), np.uint8)
    (needed, _), _ = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)
    scale = _FONT_SCALE * min(1.0, (width - 8) / max(1, needed))
    cv2.putText(
        line, text, (4, LINE_PX - _BASELINE_PX), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA
    )
    return np.concatenate([image, line])
