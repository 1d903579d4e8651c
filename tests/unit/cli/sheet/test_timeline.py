from __future__ import annotations

import itertools
from datetime import UTC
from zoneinfo import ZoneInfo

from homeward.cli.sheet import timeline
from homeward.cli.sheet.facts import Gap, Place
from sheet_values import GATE, NOON, candidate, searched, sheet


def test_what_was_not_searched_is_a_gap_and_not_part_of_the_band() -> None:
    gap = Gap("gate", (NOON + 20, NOON + 40), "12:00:20 to 12:00:40", "its pictures do not decode")
    made = sheet(
        searched=searched({"gate": [(NOON, NOON + 20), (NOON + 40, NOON + 60)]}, gaps=[gap])
    )

    [panel], _ = timeline.panels(made, UTC)

    first, second = panel.rows[0].searched
    [drawn] = panel.rows[0].gaps
    assert first.x + first.width <= drawn.x + 0.01
    assert drawn.x + drawn.width <= second.x + 0.01
    assert "its pictures do not decode" in drawn.title


def test_a_camera_without_anything_in_a_panel_has_no_row_there() -> None:
    quay = Place("quay", "Quay", None)
    made = sheet(
        places=[GATE, quay],
        searched=searched({"gate": [(NOON, NOON + 60)], "quay": [(NOON + 9000, NOON + 9060)]}),
    )

    panels, left_out = timeline.panels(made, UTC)

    assert [[row.name for row in panel.rows] for panel in panels] == [["North gate"], ["Quay"]]
    assert left_out == 0


def test_numbers_stand_apart_however_near_the_candidates_are() -> None:
    made = sheet(candidates=[candidate(number, at=55 + number / 10) for number in range(1, 6)])

    [panel], _ = timeline.panels(made, UTC)

    labels = [mark.label_x for mark in panel.rows[0].marks]
    assert min(b - a for a, b in itertools.pairwise(labels)) > 19.9
    assert labels[-1] <= timeline.WIDTH
    assert [mark.number for mark in panel.rows[0].marks] == [1, 2, 3, 4, 5]


def test_of_too_many_panels_those_with_a_candidate_are_drawn() -> None:
    spans = [(NOON + day * 86400, NOON + day * 86400 + 60) for day in range(40)]
    made = sheet(searched=searched({"gate": spans}))

    panels, left_out = timeline.panels(made, UTC)

    assert left_out == 9
    assert panels[0].rows[0].marks[0].number == 1
    assert [bool(panel.rows[0].marks) for panel in panels[1:]] == [False] * 30


def test_times_are_by_the_clocks_of_the_zone() -> None:
    [panel], _ = timeline.panels(sheet(), ZoneInfo("Asia/Kolkata"))

    assert panel.title == "Friday 20 November 2026, 17:30:00 to 17:31:00"
    assert panel.ticks[0].text == "17:30:00"
