"""Pictures as a person sees them: upright, with square pixels, in planes of limited range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from homeward.ingestion.footage.limits import MAX_PIXEL_ASPECT, MAX_SIDE_PX
from homeward.ingestion.footage.media import Orientation

PLAIN = "yuv420p"

COMBED = 1.35
"""How much more neighbouring lines of an interlaced picture differ than lines of one field do, from
which on its two fields show different moments."""

Planes = list[NDArray[np.uint8]]


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return what the display matrix of a picture says, to the nearest right angle.

    The matrix maps a stored point (x, y) to (a x + c y, b x + d y), ISO/IEC 14496-12, 8.3.2.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
    return Orientation(transpose=False, mirror_x=a < 0, mirror_y=d < 0)


def pixel_aspect(width: int, height: int) -> float:
    """Return a stated shape of pixels as width over height; 1 where it is unknown or absurd."""
    if width <= 0 or height <= 0:
        return 1.0
    aspect = width / height
    return aspect if 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT else 1.0


def shown_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Return the even size of a stored picture with square pixels, before it is turned.

    The shorter measure is enlarged, so that nothing that was recorded is lost.
    """
    across, down = width * max(aspect, 1.0), height * max(1 / aspect, 1.0)
    scale = min(1.0, MAX_SIDE_PX / max(across, down))
    if aspect == 1.0 and scale == 1.0:
        return width // 2 * 2, height // 2 * 2
    return max(2, round(across * scale / 2) * 2), max(2, round(down * scale / 2) * 2)


def upright(frame: VideoFrame, orientation: Orientation, aspect: float) -> Planes:
    """Return a decoded picture as planes Y, U and V, the latter two of half the size.

    Nearly all CCTV is in such planes already; they are then views of the frame's.
    """
    combed = frame.interlaced_frame and _is_combed(frame)
    if frame.format.name != PLAIN or frame.color_range == ColorRange.JPEG:
        frame = frame.reformat(format=PLAIN, dst_color_range=ColorRange.MPEG)
    planes: Planes = [
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : plane.height, : plane.width
        ]
        for plane in frame.planes
    ]
    width, height = shown_size(frame.width, frame.height, aspect)
    if combed:
        planes = [plane[::2] for plane in planes]
    if combed or (width, height) != (frame.width // 2 * 2, frame.height // 2 * 2):
        sizes = [(width, height), (width // 2, height // 2), (width // 2, height // 2)]
        planes = [_sized(plane, size) for plane, size in zip(planes, sizes, strict=True)]
    else:
        # Colour comes in squares of 2 x 2 pixels: an odd last row or column is left out.
        planes = [planes[0][:height, :width]] + [
            plane[: height // 2, : width // 2] for plane in planes[1:]
        ]
    return _turned(planes, orientation)


def _turned(planes: Planes, orientation: Orientation) -> Planes:
    if orientation.transpose:
        planes = [plane.T for plane in planes]
    step_x, step_y = -1 if orientation.mirror_x else 1, -1 if orientation.mirror_y else 1
    return [plane[::step_y, ::step_x] for plane in planes]


def _sized(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    smaller = size[0] * size[1] < plane.size
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(plane), size, interpolation=how), np.uint8)


def _is_combed(frame: VideoFrame) -> bool:
    """Tell whether the two fields of a picture show different moments.

    Many recordings are marked as interlaced and are not; dropping a field of those would lose half
    of what they show.
    """
    plane = frame.planes[0]
    bytes_each = plane.line_size // max(1, frame.width)
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    luma = luma[: frame.height, bytes_each - 1 : frame.width * max(1, bytes_each) : 2]
    rows = luma[: luma.shape[0] // 4 * 4].astype(np.int16)
    if len(rows) < 8:  # noqa: PLR2004 - too few to tell
        return False
    across_fields = np.abs(rows[1:-2:2] - rows[0:-3:2])
    in_a_field = np.abs(rows[2:-1:2] - rows[0:-3:2])
    return _most(across_fields) > COMBED * (_most(in_a_field) / 2 + 1) + 2


def _most(differences: NDArray[np.int16]) -> float:
    """Return what all but a hundredth of the places differ by at most: that is where things move.

    By a partition: NumPy's percentile imports a module when it is first called; a cage forbids it.
    """
    place = differences.size * 99 // 100
    return float(np.partition(differences, place, axis=None)[place])


def copied(planes: Sequence[NDArray[np.uint8]], side_px: int) -> tuple[Planes, int, int]:
    """Return a copy of a picture that is no longer than so much, as planes; and its size."""
    height, width = planes[0].shape
    longest = max(width, height)
    scale = min(1.0, max(side_px, longest // 2) / longest)
    width, height = (max(2, round(side * scale / 2) * 2) for side in (width, height))
    sizes = [(width, height), (width // 2, height // 2), (width // 2, height // 2)]
    return (
        [
            plane
            if plane.shape == size[::-1]
            else np.asarray(
                cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA),
                np.uint8,
            )
            for plane, size in zip(planes, sizes, strict=True)
        ],
        width,
        height,
    )
