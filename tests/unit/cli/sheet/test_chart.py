from __future__ import annotations

import math

from homeward.cli.sheet import chart
from homeward.cli.sheet.facts import Place
from sheet_values import GATE, candidate, sheet


def test_a_map_is_to_scale_and_north_is_up() -> None:
    north = Place("north", "North", (51.5398, -0.1238))  # 0.009 degrees: 1000.8 m
    made = chart.chart(sheet(places=[GATE, north]))

    assert made is not None
    gate, other = made.markers
    pixels_per_metre = made.bar_width / float(made.bar_text.removesuffix(" m"))
    assert other.y < gate.y
    assert math.isclose((gate.y - other.y) / pixels_per_metre, 1000.8, rel_tol=0.001)
    assert math.isclose(gate.x, other.x)


def test_a_degree_of_longitude_is_half_as_wide_at_60_degrees() -> None:
    places = [Place("a", "A", (60.0, 10.0)), Place("b", "B", (60.0, 10.018))]
    made = chart.chart(sheet(places=places, candidates=[]))

    assert made is not None
    a, b = made.markers
    metres = (b.x - a.x) / made.bar_width * float(made.bar_text.removesuffix(" m"))
    assert math.isclose(metres, 1000.8, rel_tol=0.001)


def test_cameras_on_both_sides_of_the_180th_meridian_are_near_each_other() -> None:
    places = [Place("a", "A", (0.0, 179.999)), Place("b", "B", (0.0, -179.999))]
    made = chart.chart(sheet(places=places, candidates=[]))

    assert made is not None
    a, b = made.markers
    assert 0 < b.x - a.x < chart.WIDTH


def test_cameras_at_one_place_are_one_marker_with_both_numbers() -> None:
    twin = Place("twin", "Twin", GATE.coordinates)
    made = chart.chart(
        sheet(places=[GATE, twin], candidates=[candidate(), candidate(2, place=twin)])
    )

    assert made is not None
    [marker] = made.markers
    assert (marker.numbers, marker.candidates) == ("1, 2", 2)
    assert made.bar_text == "100 m"


def test_cameras_without_coordinates_are_named() -> None:
    bus = Place("bus", "Bus 7", None)
    made = chart.chart(sheet(places=[GATE, bus]))

    assert made is not None
    assert made.unplaced == ["Bus 7"]
    assert chart.chart(sheet(places=[bus])) is None
