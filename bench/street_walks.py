"""Who walks where on a street before a camera: groups that cross, meet, come near and go away.

Lengths are metres: X to the right of the camera, Z away from it. A head of 0.23 m is as tall in the
picture as the camera's focal length makes it at its distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from street_truth import HEAD_M

Doubles = NDArray[np.float64]
Kind = Literal["across", "towards", "away", "cross", "meet"]

ABREAST_M = 0.6
ROW_M = 0.85
STEP = 0.02
"""Seconds between the points that a walk is computed at."""
READS = 0.35
"""Share of people who look down for a while, where anybody does."""


@dataclass(frozen=True)
class Manner:
    """How people of a street walk. Angles in degrees, times in seconds, speeds in metres/second."""

    turned: float = 15.0
    """Most that heads are turned to a side."""
    down: float = 12.0
    """Most that heads are bent down."""
    pauses: float = 0.2
    """Share of groups that stand for a while; those who meet always do."""
    pace: tuple[float, float] = (0.8, 1.5)
    crossing: float = 3.5
    """Fewest seconds to cross the picture: who is near walks slowly enough."""
    umbrella_low: tuple[float, float] = (1.0, 2.5)
    """How long an umbrella hides the head."""


@dataclass(frozen=True)
class Camera:
    """A camera that looks along the street."""

    width: int
    height: int
    heads: tuple[float, float]
    """Least and greatest head height, pixels."""

    @property
    def focal(self) -> float:
        """Focal length, pixels."""
        return 1.1 * self.width

    def distance(self, head_px: float) -> float:
        """Return how far away a head of this height is."""
        return self.focal * HEAD_M / head_px

    def edge(self, distance: float) -> float:
        """Return how far from the middle one is out of the picture."""
        return (self.width / 2 / self.focal) * distance + 0.3


@dataclass(frozen=True)
class Walk:
    """One person's walk."""

    group: int
    times: Doubles
    """Seconds, ascending, shape (n,)."""
    x: Doubles
    """Of the head's middle at these times, pixels."""
    y: Doubles
    head: Doubles
    """Height, pixels."""
    yaw: Doubles
    pitch: Doubles
    low: Doubles
    """How far an umbrella is pulled over the head, in [0, 1]; 0 where there is none."""

    def at(self, time: float) -> tuple[float, float, float, float, float, float]:
        """Return x, y, head height, yaw, pitch and umbrella at a time."""
        rows = (self.x, self.y, self.head, self.yaw, self.pitch, self.low)
        x, y, head, yaw, pitch, low = (float(np.interp(time, self.times, row)) for row in rows)
        return x, y, head, yaw, pitch, low

    def velocity(self, time: float) -> tuple[float, float]:
        """Return pixels per second to the right and downwards."""
        around = [time - STEP, time + STEP]
        (x0, x1), (y0, y1) = (np.interp(around, self.times, row) for row in (self.x, self.y))
        return float(x1 - x0) / (2 * STEP), float(y1 - y0) / (2 * STEP)

    def moved(self, later: float) -> Walk:
        """Return the walk some seconds later."""
        return Walk(
            self.group, self.times + later, self.x, self.y, self.head, self.yaw, self.pitch,
            self.low,
        )  # fmt: skip


@dataclass(frozen=True)
class _Route:
    """A group's way: points by the length walked."""

    points: Doubles
    """X and Z, shape (n, 2)."""
    length: Doubles
    """Shape (n,), from 0."""
    pause: tuple[float, float]
    """At what length the group stands, and for how many seconds."""
    pace: float
    middle: float
    """At what length the group is at the time that it is planned for."""


def plan(
    sizes: Sequence[Sequence[int]],
    kinds: Sequence[Kind],
    *,
    camera: Camera,
    manner: Manner,
    seconds: float,
    umbrellas: Sequence[bool],
    rng: np.random.Generator,
) -> list[Walk]:
    """Return everybody's walk.

    Args:
        sizes: Of each event, one after another, the sizes of its groups: one, or two that cross or
            meet.
        kinds: Of each event.
        camera: Where people are seen from.
        manner: How they walk.
        seconds: Length of the recording.
        umbrellas: By person, whether he has one; as many as the sizes come to.
        rng: Decides the rest.
    """
    walks: list[Walk] = []
    group = 0
    for number, (event, kind) in enumerate(zip(sizes, kinds, strict=True)):
        time = 4 + (seconds - 8) * (number + 0.5 + rng.uniform(-0.25, 0.25)) / len(sizes)
        side = rng.choice([-1.0, 1.0])
        near = float(np.exp(rng.uniform(*np.log(camera.heads))))
        wait = float(rng.uniform(1.5, 4.0))
        for order, size in enumerate(event):
            rows = (size + 2) // 3
            route = _route(
                kind, camera, manner, side=side * (-1) ** order, near=near, rows=rows, wait=wait,
                rng=rng,
            )  # fmt: skip
            for member in range(size):
                umbrella = umbrellas[len(walks)]
                walks.append(
                    _walk(
                        route,
                        member,
                        size=size,
                        group=group,
                        time=time,
                        camera=camera,
                        manner=manner,
                        umbrella=umbrella,
                        rng=rng,
                    )
                )
            group += 1
    return walks


def _route(
    kind: Kind,
    camera: Camera,
    manner: Manner,
    *,
    side: float,
    near: float,
    rows: int,
    wait: float,
    rng: np.random.Generator,
) -> _Route:
    small, large = camera.heads
    if kind in {"towards", "away"}:
        low = float(rng.uniform(small, small * (large / small) ** 0.3))
        high = float(rng.uniform(small * (large / small) ** 0.7, large))
        z0, z1 = camera.distance(low), camera.distance(high)
        through = z0 * 0.45 + z1 * 0.55
        knots = np.array(
            [
                [side * camera.edge(z0) * 0.9, z0],
                [rng.uniform(-0.35, 0.35) * camera.edge(through), through],
                [-side * camera.edge(z1), z1],
            ]
        )
        if kind == "away":
            knots = knots[::-1]
        u = np.linspace(0, 1, 200)[:, None]
        points = (1 - u) ** 2 * knots[0] + 2 * u * (1 - u) * knots[1] + u**2 * knots[2]
        slowest = 2.5 * manner.crossing
    else:
        z = camera.distance(float(np.clip(near * rng.uniform(0.85, 1.18), small, large)))
        z1 = float(
            np.clip(z * rng.uniform(0.85, 1.18), camera.distance(large), camera.distance(small))
        )
        u = np.linspace(0, 1, 50)[:, None]
        start, end = np.array([side * camera.edge(z), z]), np.array([-side * camera.edge(z1), z1])
        points = start + u * (end - start)
        slowest = manner.crossing
    inside = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
    # The first of a group must not stand in the picture while the last is not yet in it.
    lead = ROW_M * rows + 1.0
    before, after = points[0].copy(), points[-1].copy()
    before[0] += np.sign(before[0]) * lead
    after[0] += np.sign(after[0]) * lead
    points = np.vstack([before, points, after])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    pauses = kind == "meet" or rng.random() < manner.pauses
    middle = lead + inside * (0.47 if kind == "meet" else 0.5)
    return _Route(
        points=points,
        length=length,
        pause=(
            middle if kind == "meet" else lead + inside * rng.uniform(0.35, 0.65),
            wait * pauses,
        ),
        pace=min(float(rng.uniform(*manner.pace)), inside / slowest),
        middle=middle,
    )


def _walk(
    route: _Route,
    member: int,
    *,
    size: int,
    group: int,
    time: float,
    camera: Camera,
    manner: Manner,
    umbrella: bool,
    rng: np.random.Generator,
) -> Walk:
    row, column = divmod(member, 3)
    along = -ROW_M * row + rng.uniform(-0.25, 0.25) * (size > 1)
    in_row = min(3, size - 3 * row)
    beside = ((column - (in_row - 1) / 2) * ABREAST_M + rng.uniform(-0.15, 0.15)) * (size > 1)
    whole = route.length[-1] / route.pace + route.pause[1]
    local = np.arange(0, whole + 2, STEP)
    walked = _walked(route, local)
    phase = rng.uniform(0, 2 * np.pi, 5)
    # Members fall behind and catch up, so that neighbours pass each other.
    drift = 0.35 * np.sin(2 * np.pi * local / rng.uniform(6, 10) + phase[0]) * (size > 1)
    at = walked + along + drift
    x, z = (np.interp(at, route.length, column) for column in route.points.T)
    ahead = [
        np.interp(at + 0.2, route.length, column) - np.interp(at - 0.2, route.length, column)
        for column in route.points.T
    ]
    norm = np.maximum(np.hypot(*ahead), 1e-6)
    sway = beside + 0.06 * np.sin(2 * np.pi * local / rng.uniform(2, 4) + phase[1])
    x, z = x - ahead[1] / norm * sway, z + ahead[0] / norm * sway
    small, large = camera.heads
    z = np.clip(z, camera.distance(large), camera.distance(small))
    head = camera.focal * HEAD_M / z
    horizon = 0.2 * camera.height
    most = (0.97 * camera.height - horizon - large / 2) / large
    drop = min((0.35 + rng.uniform(-0.1, 0.12)) / HEAD_M, most)
    stride = np.gradient(walked, STEP) / max(route.pace, 1e-6)
    bob = 0.018 / HEAD_M * head * np.sin(2 * np.pi * 1.9 * local + phase[2]) * stride
    yaw, pitch = _look(local, ahead[0] / norm, manner, phase[3:], rng)
    low = np.zeros_like(local)
    duration, when = rng.uniform(*manner.umbrella_low), rng.uniform(0.35, 0.6)
    if umbrella:
        off = np.abs(local - np.interp(route.length[-1] * when, walked, local))
        low = np.clip(1 - (off - duration / 2) / 0.4, 0, 1)
    arrives = float(np.interp(route.middle, walked, local))
    return Walk(
        group=group,
        times=local - arrives + time,
        x=camera.width / 2 + camera.focal * x / z,
        y=horizon + drop * head + bob,
        head=head,
        yaw=yaw,
        pitch=pitch,
        low=low,
    )


def _walked(route: _Route, local: Doubles) -> Doubles:
    """Return the length walked by the time: with a pause, and no sudden start or stop."""
    until = route.pause[0] / route.pace
    speed = np.where((local > until) & (local < until + route.pause[1]), 0.0, route.pace)
    window = round(0.5 / STEP) | 1
    padded = np.pad(speed, window // 2, mode="edge")
    smooth = np.convolve(padded, np.full(window, 1 / window), mode="valid")
    return np.asarray(np.cumsum(smooth) * STEP)


def _look(
    local: Doubles, across: Doubles, manner: Manner, phase: Doubles, rng: np.random.Generator
) -> tuple[Doubles, Doubles]:
    """Return yaw and pitch: along the way and about, and down at something for a while."""
    turned = manner.turned * rng.uniform(0.2, 0.8)
    glance = manner.turned * rng.uniform(0.2, 0.6)
    yaw = turned * across + glance * np.sin(2 * np.pi * local / rng.uniform(2.5, 6) + phase[0])
    nod = manner.down * 0.25 * np.sin(2 * np.pi * local / rng.uniform(2, 5) + phase[1])
    pitch = manner.down * rng.uniform(0.0, 0.5) + nod
    reads, spell, gap = rng.random() < READS, rng.uniform(1.5, 4), rng.uniform(0, 1)
    if reads:
        wave = np.sin(2 * np.pi * (local / (2 * spell) + gap))
        share = np.clip(0.5 + 2 * wave, 0, 1)
        pitch = pitch * (1 - share) + manner.down * share
    most = manner.down
    return np.clip(yaw, -manner.turned, manner.turned), np.clip(pitch, -most / 2, most)
