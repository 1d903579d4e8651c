from __future__ import annotations

from homeward.cli.sheet.spans import merged, total, within, without


def test_spans_that_touch_are_one() -> None:
    assert merged([(5, 7), (0, 2), (2, 3)]) == [(0, 3), (5, 7)]


def test_spans_as_far_apart_as_allowed_are_one_and_those_further_are_not() -> None:
    assert merged([(0, 1), (3, 4)], apart=2) == [(0, 4)]
    assert merged([(0, 1), (3.01, 4)], apart=2) == [(0, 1), (3.01, 4)]


def test_what_is_cut_out_is_left_out_and_nothing_else() -> None:
    assert without([(0, 10)], [(2, 3), (8, 12), (-5, 0)]) == [(0, 2), (3, 8)]
    assert without([(0, 10)], [(0, 10)]) == []
    assert without([(0, 10)], []) == [(0, 10)]


def test_a_part_has_a_length() -> None:
    assert within([(0, 10), (20, 30)], (10, 25)) == [(20, 25)]


def test_overlaps_count_once() -> None:
    assert total([(0, 10), (5, 12)]) == 12
