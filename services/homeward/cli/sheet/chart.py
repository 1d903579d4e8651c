"""The map of a contact sheet, as shapes: cameras by their coordinates, without tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from homeward.cli.sheet.facts import Place, Sheet

WIDTH = 640.0
HEIGHT = 420.0
_EDGE = 60.0
_METRES_PER_DEGREE = 111_195.0
"""Of latitude, on a sphere of 6371 km."""
_LEAST_METRES = 200.0
"""What the map shows at least, so that one camera alone has surroundings."""
_TOGETHER_PIXELS = 26.0
"""Cameras nearer than this are one marker."""
_BAR_PIXELS = 150.0
_FULL_CIRCLE = 360.0
_HALF_CIRCLE = 180.0


@dataclass(frozen=True, slots=True)
class Marker:
    """A camera, or several that are too near each other to be drawn apart."""

    x: float
    y: float
    numbers: str
    candidates: int
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The map."""

    markers: Sequence[Marker]
    bar_width: float
    bar_text: str
    legend: Sequence[tuple[int, str, int]]
    """Of each camera its number, its name, and how many candidates it has."""
    unplaced: Sequence[str]
    """Names of cameras without coordinates."""


def chart(sheet: Sheet) -> Chart | None:
    """Return the map; None if no camera has coordinates."""
    placed = [one for one in sheet.places if one.coordinates is not None]
    unplaced = [one.name for one in sheet.places if one.coordinates is None]
    if not placed:
        return None
    counts = {one.camera_id: 0 for one in placed}
    for candidate in sheet.candidates:
        if candidate.place.camera_id in counts:
            counts[candidate.place.camera_id] += 1
    metres = _metres(placed)
    scale = _scale(metres)
    points = [(WIDTH / 2 + x * scale, HEIGHT / 2 - y * scale) for x, y in metres]
    length = _round(_BAR_PIXELS / scale)
    return Chart(
        markers=_markers(placed, points, counts),
        bar_width=length * scale,
        bar_text=f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m",  # noqa: PLR2004 - a kilometre
        legend=[
            (number, one.name, counts[one.camera_id]) for number, one in enumerate(placed, start=1)
        ],
        unplaced=unplaced,
    )


def _metres(placed: Sequence[Place]) -> list[tuple[float, float]]:
    """Return each camera's place east and north of their middle, metres."""
    found = [one.coordinates for one in placed if one.coordinates is not None]
    norths = [north for north, _ in found]
    easts = [east for _, east in found]
    if max(easts) - min(easts) > _HALF_CIRCLE:  # they lie on both sides of the 180th meridian
        easts = [east + _FULL_CIRCLE if east < 0 else east for east in easts]
    north = (max(norths) + min(norths)) / 2
    east = (max(easts) + min(easts)) / 2
    shrunk = max(math.cos(math.radians(north)), 0.01)
    return [
        ((own_east - east) * _METRES_PER_DEGREE * shrunk, (own_north - north) * _METRES_PER_DEGREE)
        for own_north, own_east in zip(norths, easts, strict=True)
    ]


def _scale(metres: Sequence[tuple[float, float]]) -> float:
    wide = max(2 * max(abs(x) for x, _ in metres), _LEAST_METRES)
    high = max(2 * max(abs(y) for _, y in metres), _LEAST_METRES)
    return min((WIDTH - 2 * _EDGE) / wide, (HEIGHT - 2 * _EDGE) / high)


def _markers(
    placed: Sequence[Place], points: Sequence[tuple[float, float]], counts: dict[str, int]
) -> list[Marker]:
    groups: list[list[int]] = []
    for index, (x, y) in enumerate(points):
        near = next(
            (
                group
                for group in groups
                if math.hypot(x - points[group[0]][0], y - points[group[0]][1]) < _TOGETHER_PIXELS
            ),
            None,
        )
        if near is None:
            groups.append([index])
        else:
            near.append(index)
    markers = []
    for group in groups:
        found = sum(counts[placed[index].camera_id] for index in group)
        names = ", ".join(placed[index].name for index in group)
        numbers = ", ".join(str(index + 1) for index in group)
        x, y = points[group[0]]
        title = f"{names}: {found} candidate{'' if found == 1 else 's'}"
        markers.append(Marker(x, y, numbers, found, title))
    return markers


def _round(metres: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is no longer."""
    power = math.pow(10, math.floor(math.log10(metres)))
    return max(step * power for step in (1, 2, 5) if step * power <= metres)
