"""Heads cut from photographs, turned as on a sphere, at any size and subpixel place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]

MIN_SCORE = 0.7
"""Of the detector: photographs with a less certain face are not walked with."""
LEAST_PHOTO_FACE = 60
"""Width in pixels of the smallest face in a photograph that is walked with."""
DETECTOR_ZERO = 0.5
"""What YuNet says of the centre of the first pixel. Measured: it and the mirror image of a picture
differ by twice 0.3 to 0.7 px, 60 photographs at each of three sizes."""
SOFT = 0.06
"""Width of a head's soft edge, of its half height."""
LEAST_SOFT_PX = 1.2
LEVELS = 12
"""Sizes of a photograph, each a fifth smaller than the one before."""


@dataclass(frozen=True)
class Head:
    """A photograph's head: an ellipse in the photograph, and what lies in it."""

    levels: tuple[tuple[float, Picture], ...]
    """The photograph at falling sizes, each with its scale."""
    centre: Floats
    """Pixels of the photograph, shape (2,)."""
    half_height: float
    """Pixels of the photograph."""
    aspect: float
    """Width of the head over its height."""
    outline: Floats
    """Points around the face as the detector bounds it, pixels of the photograph, shape (n, 2)."""
    landmarks: Floats
    """Pixels of the photograph, shape (5, 2)."""
    skin: tuple[float, float, float]
    """Mean colour of the cheeks, BGR."""


def head_of(photo: Picture, box: Floats, landmarks: Floats) -> Head:
    """Return the head of a face in a photograph.

    Args:
        photo: BGR.
        box: x, y, width, height as YuNet bounds a face: from the forehead to the chin.
        landmarks: Shape (5, 2).
    """
    x, y, width, height = (float(one) for one in box)
    centre = np.array([x + width / 2, y + 0.42 * height], np.float32)
    half = 0.64 * height
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    middle = np.array([x + width / 2, y + height / 2])
    ring = np.stack([np.cos(angles) * width / 2, np.sin(angles) * height / 2], axis=1)
    left, right = landmarks[:2].mean(0), landmarks[3:].mean(0)
    cheeks = photo[int(left[1]) : int(right[1]) + 1, int(x + width / 4) : int(x + width * 3 / 4)]
    mean = cheeks.reshape(-1, 3).mean(0) if cheeks.size else np.array([120.0, 140.0, 180.0])
    return Head(
        levels=_levels(photo),
        centre=centre,
        half_height=half,
        aspect=0.62 * width / half,
        outline=(middle + ring).astype(np.float32),
        landmarks=landmarks.astype(np.float32),
        skin=(float(mean[0]), float(mean[1]), float(mean[2])),
    )


def head_of_file(path: Path, detector: Any) -> Head | None:  # noqa: ANN401 - a `FaceDetector`
    """Return the head of a photograph's middle face; None without one that looks ahead.

    The landmarks are the mean of those found at two sizes of the photograph and its mirror image.
    """
    photo = cv2.imread(str(path))
    if photo is None:
        return None
    size = np.array(photo.shape[1::-1])
    boxes, points = [], []
    for scale in (1.0, 1.5):
        sized = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        for mirror in (False, True):
            look = np.ascontiguousarray(sized[:, ::-1]) if mirror else sized
            found = [
                _placed(one, scale, float(size[0])) if mirror else _placed(one, scale)
                for one in detector.detect(look, MIN_SCORE)
            ]
            if not found:
                return None
            box, five = min(
                found, key=lambda one: np.linalg.norm(one[0][:2] + one[0][2:] / 2 - size / 2)
            )
            boxes.append(box)
            points.append(five)
    box, five = np.mean(boxes, axis=0), np.mean(points, axis=0).astype(np.float32)
    if box[2] < LEAST_PHOTO_FACE or not is_frontal(five):
        return None
    return head_of(np.asarray(photo, np.uint8), box.astype(np.float32), five)


def _placed(
    found: Any,  # noqa: ANN401 - a `Detection`
    scale: float,
    mirrored: float | None = None,
) -> tuple[Floats, Floats]:
    """Return a detection's box and landmarks in pixels of a photograph, `DETECTOR_ZERO` less.

    `mirrored` is the width of the photograph if the detector saw its mirror image.
    """
    box = np.array([found.box.x, found.box.y, found.box.width, found.box.height]) / scale
    five = found.landmarks / scale
    if mirrored is not None:
        box[0] = mirrored - box[0] - box[2]
        five = np.column_stack([mirrored - five[:, 0], five[:, 1]])[[1, 0, 2, 4, 3]]
    box[:2] -= DETECTOR_ZERO
    return box.astype(np.float32), (five - DETECTOR_ZERO).astype(np.float32)


def _levels(photo: Picture) -> tuple[tuple[float, Picture], ...]:
    height, width = photo.shape[:2]
    levels = []
    for level in range(LEVELS):
        scale = 0.8**level
        size = (max(4, round(width * scale)), max(4, round(height * scale)))
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if level else photo
        levels.append((scale, np.asarray(small, np.uint8)))
    return tuple(levels)


def is_frontal(landmarks: Floats) -> bool:
    """Tell whether the nose tip is well between the eyes and between the mouth corners."""
    nose = landmarks[2, 0]
    for left, right in (landmarks[[0, 1], 0], landmarks[[3, 4], 0]):
        if not left + 0.2 * (right - left) < nose < right - 0.2 * (right - left):
            return False
    return True


def with_cap(head: Head, colour: tuple[int, int, int]) -> Head:
    """Return the head in a peaked cap, which hides the forehead and shades the eyes."""
    photo = head.levels[0][1].astype(np.float32)
    eyes, mouth = head.landmarks[:2].mean(0), head.landmarks[3:].mean(0)
    down = float(mouth[1] - eyes[1])
    brim = float(eyes[1] - 0.42 * down)
    rows = np.arange(photo.shape[0], dtype=np.float32)[:, None, None]
    shade = 1 - 0.3 * np.clip((eyes[1] + 0.5 * down - rows) / down, 0, 1)
    photo *= shade
    photo = np.clip(photo, 0, 255).astype(np.uint8)
    x, half = float(head.centre[0]), head.half_height
    top = (int(x), int(brim - half * 0.25))
    axes = (int(half * head.aspect * 1.1), int(half * 0.95))
    cv2.ellipse(photo, top, axes, 0, 180, 360, colour, -1, cv2.LINE_AA)
    cv2.rectangle(photo, (top[0] - axes[0], top[1]), (top[0] + axes[0], int(brim)), colour, -1)
    dark = tuple(int(one * 0.6) for one in colour)
    peak = (int(half * head.aspect * 0.95), max(2, int(down * 0.22)))
    cv2.ellipse(photo, (int(x), int(brim)), peak, 0, 0, 360, dark, -1, cv2.LINE_AA)
    return replace(head, levels=_levels(np.asarray(photo, np.uint8)))


def rotation(yaw: float, pitch: float) -> NDArray[np.float64]:
    """Return the matrix that turns a head: degrees to the right, then downwards."""
    a, b = np.deg2rad(yaw), np.deg2rad(pitch)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    nod = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    return np.asarray(nod @ turn)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a head is in a picture, and how turned."""

    x: float
    """Of its middle, pixels."""
    y: float
    height: float
    """Pixels, hair to chin."""
    yaw: float = 0.0
    """Degrees to the right of the picture."""
    pitch: float = 0.0
    """Degrees downwards."""


def project(head: Head, points: Floats, pose: Pose) -> Floats:
    """Return where points of the photograph are in the picture, shape (n, 2).

    A point lies on the sphere that the head's ellipse is the picture of; one outside of the ellipse
    on its rim.
    """
    flat = (points - head.centre) / head.half_height / [head.aspect, 1.0]
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = flat / np.maximum(length, 1.0)
    depth = np.sqrt(np.maximum(1 - (flat**2).sum(1), 0))
    turned = np.column_stack([flat, depth]) @ rotation(pose.yaw, pose.pitch).T
    half = pose.height / 2
    return np.asarray(turned[:, :2] * [head.aspect * half, half] + [pose.x, pose.y], np.float32)


@dataclass(frozen=True)
class Patch:
    """A piece to lay over a picture."""

    x: int
    y: int
    colours: Floats
    """BGR times opacity, shape (h, w, 3)."""
    opacity: Floats
    """In [0, 1], shape (h, w)."""


def render(
    head: Head, pose: Pose, blur: tuple[float, float] = (0.0, 0.0), defocus: float = 0.0
) -> Patch:
    """Return a head as the camera sees it.

    Args:
        head: Whose.
        pose: Where in the picture, and how turned.
        blur: How far it moves while the frame is exposed, pixels to the right and down.
        defocus: Standard deviation of the lens's blur, pixels.
    """
    half = pose.height / 2
    wide = half * head.aspect
    margin_x, margin_y = (2 + 3 * defocus + abs(one) / 2 for one in blur)
    x0, x1 = int(np.floor(pose.x - wide - margin_x)), int(np.ceil(pose.x + wide + margin_x)) + 1
    y0, y1 = int(np.floor(pose.y - half - margin_y)), int(np.ceil(pose.y + half + margin_y)) + 1
    across = (np.arange(x0, x1, dtype=np.float32) - pose.x) / wide
    down = (np.arange(y0, y1, dtype=np.float32) - pose.y) / half
    u, v = np.meshgrid(across, down)
    squared = u * u + v * v
    soft = max(SOFT, LEAST_SOFT_PX / half)
    opacity = np.clip((1 - np.sqrt(squared)) / soft, 0, 1)
    if pose.yaw or pose.pitch:
        u, v = _turned_back(u, v, squared, rotation(pose.yaw, pose.pitch))
    scale, level = next(
        one for one in reversed(head.levels) if one[0] * head.half_height >= half or one[0] == 1
    )
    # The centre of pixel (0, 0) of a smaller copy is not that of the photograph.
    at_x = (u * (head.aspect * head.half_height) + (head.centre[0] + 0.5)) * scale - 0.5
    at_y = (v * head.half_height + (head.centre[1] + 0.5)) * scale - 0.5
    colours = cv2.remap(
        level, at_x.astype(np.float32), at_y.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)  # fmt: skip
    patch = np.dstack([colours * opacity[..., None], opacity]).astype(np.float32)
    if np.hypot(*blur) > 0.3:  # noqa: PLR2004 - less is not to be seen
        patch = cv2.filter2D(patch, -1, streak(blur), borderType=cv2.BORDER_CONSTANT)
    if defocus:
        patch = cv2.GaussianBlur(patch, (0, 0), defocus, borderType=cv2.BORDER_CONSTANT)
    return Patch(x0, y0, patch[..., :3], patch[..., 3])


def _turned_back(
    u: Floats, v: Floats, squared: Floats, turn: NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """Return which points of an unturned unit sphere are seen at u and v of a turned one."""
    depth = np.sqrt(np.maximum(1 - squared, 0))
    back = turn.T.astype(np.float32)
    x, y, z = (row[0] * u + row[1] * v + row[2] * depth for row in back)
    # What the photograph does not show is filled with its rim.
    rim = np.where(z < 0, 0.97 / np.maximum(np.hypot(x, y), 1e-6), 1.0)
    return x * rim, y * rim


def streak(move: tuple[float, float]) -> Floats:
    """Return the kernel of a straight motion in pixels; its sum is 1, its middle the centre."""
    reach = int(np.ceil(max(abs(move[0]), abs(move[1])) / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    steps = max(9, 4 * reach + 1)
    for part in (np.arange(steps) + 0.5) / steps - 0.5:
        x, y = part * move[0] + reach, part * move[1] + reach
        left, top = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - left, y - top
        kernel[top : top + 2, left : left + 2] += np.outer([1 - fy, fy], [1 - fx, fx])
    return np.asarray(kernel / kernel.sum(), np.float32)


def lay(canvas: Picture, patch: Patch, gain: float) -> None:
    """Lay a patch over a picture in place; `gain` is how bright it is."""
    height, width = patch.opacity.shape
    x0, y0 = max(patch.x, 0), max(patch.y, 0)
    x1, y1 = min(patch.x + width, canvas.shape[1]), min(patch.y + height, canvas.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    part = (slice(y0 - patch.y, y1 - patch.y), slice(x0 - patch.x, x1 - patch.x))
    under = canvas[y0:y1, x0:x1].astype(np.float32)
    mixed = under * (1 - patch.opacity[part])[..., None] + patch.colours[part] * gain
    canvas[y0:y1, x0:x1] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
