"""What a street camera sees: the empty street, people in front of each other, sensor noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from street_heads import Head, Picture, Pose, lay, project, render
from street_truth import Person
from street_walks import Walk

NOISE_FRAMES = 5
OWN = 100
"""In the map of who is seen where, a person's umbrella is the person's number and this."""


@dataclass(frozen=True)
class Optics:
    """What a camera sees with."""

    size: tuple[int, int]
    """Width and height of the picture."""
    seed: int
    light: float
    """Brightness of the scene, in (0, 1]."""
    noise: float
    """Standard deviation, grey levels."""
    shutter: float
    """Seconds that each frame is exposed."""
    defocus: float
    """Standard deviation of the blur of heads, pixels."""


@dataclass(frozen=True)
class Member:
    """One of the cast."""

    identity: str
    is_subject: bool
    photo: Path
    references: tuple[Path, ...]
    head: Head
    gain: float
    colour: tuple[int, int, int]
    legs: tuple[int, int, int]


def scene(optics: Optics) -> Picture:
    """Return the empty street: a wall with windows, a pavement."""
    rng = np.random.default_rng([optics.seed, 2])
    width, height = optics.size
    horizon = int(0.3 * height)
    picture = np.empty((height, width, 3), np.float32)
    picture[:horizon] = np.linspace(150, 120, horizon)[:, None, None] * np.array([1.0, 0.98, 0.93])
    floor = np.linspace(95, 135, height - horizon)[:, None, None]
    picture[horizon:] = floor * np.array([0.95, 0.97, 1.0])
    for _ in range(30):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, horizon))
        x1, y1 = x + int(rng.integers(20, width // 8)), y + int(rng.integers(15, height // 7))
        picture[y : min(y1, horizon), x:x1] = rng.integers(60, 190, 3)
    rough = rng.normal(0, 8, (height // 8, width // 8)).astype(np.float32)
    picture += cv2.resize(rough, (width, height))[..., None]
    blurred = cv2.GaussianBlur(picture, (0, 0), 1.2)
    return np.asarray(np.clip(blurred * optics.light, 0, 255), np.uint8)


@dataclass(frozen=True)
class Seen:
    """Somebody who is drawn in a frame."""

    person: int
    pose: Pose
    velocity: tuple[float, float]
    low: float
    umbrella: bool


def noise(optics: Optics) -> Iterator[NDArray[np.int8]] | None:
    """Return sensor noise for one frame after another; None without any."""
    if not optics.noise:
        return None
    rng = np.random.default_rng([optics.seed, 3])
    width, height = optics.size
    shape = (NOISE_FRAMES, height + 64, width + 64)
    field = rng.standard_normal(shape, np.float32) * np.float32(optics.noise)
    grain = np.clip(np.rint(field), -127, 127).astype(np.int8)

    def forever() -> Iterator[NDArray[np.int8]]:
        while True:
            which, dy, dx = rng.integers(0, [NOISE_FRAMES, 64, 64])
            yield grain[which, dy : dy + height, dx : dx + width]

    return forever()


def in_view(optics: Optics, walks: Sequence[Walk], at: float) -> list[Seen]:
    """Return who is in the picture, farthest first."""
    found = []
    for person, walk in enumerate(walks):
        if not walk.times[0] <= at <= walk.times[-1]:
            continue
        x, y, head, yaw, pitch, low = walk.at(at)
        if -head < x < optics.size[0] + head:
            pose = Pose(x, y, head, yaw, pitch)
            has = bool(walk.low.any())
            found.append(Seen(person, pose, walk.velocity(at), low, has))
    return sorted(found, key=lambda one: (one.pose.height, one.person))


def draw(
    optics: Optics,
    canvas: Picture,
    cast: Sequence[Member],
    seen: Sequence[Seen],
) -> Picture:
    """Draw people into a picture; return who is seen where, see `labels_of`."""
    for one in seen:
        member, pose = cast[one.person], one.pose
        gain = optics.light * member.gain
        skin = tuple(0.8 * channel for channel in member.head.skin)
        for colour, (middle, axes) in zip(
            (member.legs, member.colour, skin), _body(pose), strict=True
        ):
            _ellipse(canvas, middle, axes, [channel * gain for channel in colour])
        blur = (one.velocity[0] * optics.shutter, one.velocity[1] * optics.shutter)
        patch = render(member.head, pose, blur, optics.defocus)
        lay(canvas, patch, gain)
        if one.umbrella:
            dark = [channel * 0.5 * gain for channel in member.colour]
            _ellipse(canvas, *_umbrella(one), dark, sweep=HALF)
    return labels_of(optics.size, [cast[one.person].head.aspect for one in seen], seen)


def labels_of(size: tuple[int, int], aspects: Sequence[float], seen: Sequence[Seen]) -> Picture:
    """Return who is seen where: 0, or a place in `seen` from 1, and `OWN` more for umbrellas.

    Args:
        size: Width and height of the picture.
        aspects: Width of each head over its height.
        seen: Who is in the picture, farthest first.
    """
    labels = np.zeros((size[1], size[0]), np.uint8)
    for place, (one, aspect) in enumerate(zip(seen, aspects, strict=True), 1):
        pose = one.pose
        head = ((pose.x, pose.y), (aspect * pose.height / 2, pose.height / 2))
        for middle, axes in (*_body(pose), head):
            _ellipse(labels, middle, axes, place)
        if one.umbrella:
            _ellipse(labels, *_umbrella(one), OWN + place, sweep=HALF)
    return labels


HALF = (180, 360)
"""Degrees of an umbrella's outline: the upper half of an ellipse."""


def _body(pose: Pose) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return the middles and half axes of legs, clothes and neck."""
    size = pose.height
    return [
        ((pose.x, pose.y + down * size), (wide * size, tall * size))
        for down, wide, tall in ((4.2, 0.7, 2.6), (1.95, 0.9, 1.4), (0.5, 0.22, 0.22))
    ]


def _umbrella(one: Seen) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the middle and half axes of an umbrella: from above the head to over the chin."""
    pose = one.pose
    drop = (-1.0 + 1.55 * one.low) * pose.height
    return (pose.x, pose.y + drop), (2.0 * pose.height, 1.15 * pose.height)


def _ellipse(
    picture: Picture,
    middle: tuple[float, float],
    axes: tuple[float, float],
    value: Sequence[float] | int,
    *,
    sweep: tuple[int, int] = (0, 360),
) -> None:
    """Fill an ellipse with a colour, smoothly, or with a label."""
    shift = 16  # sixteenths of a pixel
    centre = (round(middle[0] * shift), round(middle[1] * shift))
    half = (max(1, round(axes[0] * shift)), max(1, round(axes[1] * shift)))
    line = cv2.LINE_8 if isinstance(value, int) else cv2.LINE_AA
    cv2.ellipse(picture, centre, half, 0, *sweep, value, -1, line, 4)


def people_of(
    optics: Optics,
    cast: Sequence[Member],
    walks: Sequence[Walk],
    seen: Sequence[Seen],
    labels: Picture,
) -> list[Person]:
    """Return everybody some of whose head is in the picture, see `draw`."""
    width, height = optics.size
    people = []
    for place, one in enumerate(seen, 1):
        member, pose = cast[one.person], one.pose
        wide = member.head.aspect * pose.height
        left, top = pose.x - wide / 2, pose.y - pose.height / 2
        if left >= width or left + wide <= 0 or top >= height or top + pose.height <= 0:
            continue
        outline = project(member.head, member.head.outline, pose)
        low, high = outline.min(0), outline.max(0)
        inside, hidden, covered = _visibility(labels, low, high, place)
        people.append(
            Person(
                person=one.person,
                identity=member.identity,
                is_subject=member.is_subject,
                group=walks[one.person].group,
                head=np.array([left, top, wide, pose.height], np.float32),
                face=np.array([*low, *(high - low)], np.float32),
                landmarks=project(member.head, member.head.landmarks, pose),
                inside=inside,
                hidden=hidden,
                covered=covered,
                yaw=pose.yaw,
                pitch=pose.pitch,
                velocity=np.array(one.velocity, np.float32),
                blur_px=float(np.hypot(*one.velocity)) * optics.shutter,
            )
        )
    return people


def _visibility(
    labels: Picture, low: NDArray[np.float32], high: NDArray[np.float32], place: int
) -> tuple[float, float, float]:
    """Return the shares of a face inside the picture, hidden by others, and by an own umbrella."""
    x0, y0 = (int(one) for one in np.floor(low))
    x1, y1 = (int(one) + 1 for one in np.ceil(high))
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    _ellipse(mask, tuple((low + high) / 2 - [x0, y0]), tuple((high - low) / 2), 1)
    whole = int(np.count_nonzero(mask))
    height, width = labels.shape
    left, right = (min(max(one, 0), width) for one in (x0, x1))
    top, bottom = (min(max(one, 0), height) for one in (y0, y1))
    mask = mask[top - y0 : bottom - y0, left - x0 : right - x0]
    within = int(np.count_nonzero(mask))
    if not within:
        return 0.0, 0.0, 0.0
    seen = labels[top:bottom, left:right][mask > 0]
    own = int(np.count_nonzero(seen == OWN + place))
    shown = int(np.count_nonzero(seen == place))
    return within / whole, (within - own - shown) / within, own / within
