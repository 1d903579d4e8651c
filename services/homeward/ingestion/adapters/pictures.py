"""Decoded pictures: converted only as far as somebody looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Self

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from homeward.ingestion.model import Frame
from homeward.vision.planes import stack, within
from homeward.vision.regions import Region

COPY_SIDE_PX = 960
"""Longest side of the copy that faces are looked for on, unless that is less than half of the
picture: a face of 24 pixels, the least that is compared, has 12 or more on it."""

_PLAIN = "yuv420p"


class VideoPicture:
    """A `Picture` in planes, as decoders leave it; what is asked for becomes BGR.

    Args:
        planes: Y, U and V, the latter two of half the size; shape (height, width) each.
        colorspace: FFmpeg's number for what the colours mean.
    """

    def __init__(self, planes: Sequence[NDArray[np.uint8]], colorspace: int) -> None:
        self.planes = planes
        self._colorspace = colorspace
        # Colour comes in squares of 2 x 2 pixels: an odd last row or column is left out.
        self.height, self.width = (side // 2 * 2 for side in planes[0].shape)

    @classmethod
    def of(cls, frame: VideoFrame) -> Self:
        """Return a decoded picture; nearly all CCTV is in such planes, anything else is made so."""
        if frame.format.name != _PLAIN or frame.color_range == ColorRange.JPEG:
            frame = frame.reformat(format=_PLAIN, dst_color_range=ColorRange.MPEG)
        planes = [
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
                : plane.height, : plane.width
            ]
            for plane in frame.planes
        ]
        return cls(planes, frame.colorspace)

    def cut(self, region: Region) -> NDArray[np.uint8]:
        """Return a part of it, BGR, shape (height, width, 3)."""
        even = region.even()
        stacked = stack(within(self.planes, even))
        if self._colorspace == Colorspace.ITU709:
            part = VideoFrame.from_ndarray(stacked, format=_PLAIN)
            part.colorspace = self._colorspace
            image = np.asarray(part.to_ndarray(format="bgr24"), np.uint8)
        else:  # what OpenCV means by it, and FFmpeg if the recording does not say; a tenth the time
            image = np.asarray(cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420), np.uint8)
        left, top = region.left - even.left, region.top - even.top
        return image[
            top : top + region.bottom - region.top, left : left + region.right - region.left
        ]

    def part(self, region: Region) -> VideoPicture:
        """Return a part of it, of even borders, which does not hold on to the rest."""
        return VideoPicture(
            [plane.copy() for plane in within(self.planes, region)], self._colorspace
        )


def looked_at(offset: timedelta, frame: VideoFrame) -> Frame:
    """Return a decoded picture with the copy that faces are looked for on."""
    picture = VideoPicture.of(frame)
    longest = max(picture.width, picture.height)
    scale = min(1.0, max(COPY_SIDE_PX, longest // 2) / longest)
    width, height = (round(side * scale / 2) * 2 for side in (picture.width, picture.height))
    luma, blue, red = picture.planes
    copy = stack(
        [
            _shrunk(luma, width, height),
            _shrunk(blue, width // 2, height // 2),
            _shrunk(red, width // 2, height // 2),
        ]
    )
    return Frame(offset, picture, copy, scale)


def _shrunk(plane: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if plane.shape == (height, width):
        return plane
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
