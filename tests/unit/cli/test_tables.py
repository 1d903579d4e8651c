from __future__ import annotations

import pytest

from homeward.cli import tables

NAMES = ("sighting", "who", "camera", "from", "score", "threshold")
ROW = ("3f2a91c0", "Anna Maria", "gate", "2026-11-20 10:01:37 GMT", "0.612", "0.450")


def laid_out(width: int, *rows: tuple[str, ...], optional: tuple[str, ...] = ()) -> list[str]:
    header, lines = tables.laid_out(NAMES, rows, optional=optional, width=width)
    return [*header, *lines]


def test_cells_stand_below_each_other() -> None:
    assert tables.aligned([["ID", "CASE"], ["long-one", "a"]]) == ["ID        CASE", "long-one  a"]


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(200, set()), (65, {"threshold"}), (54, {"threshold", "camera"})],
)
def test_a_narrow_terminal_goes_without_optional_columns(width: int, left_out: set[str]) -> None:
    header, *lines = laid_out(width, ROW, optional=("threshold", "camera"))
    assert {name for name in NAMES if name not in header} == left_out
    assert max(map(len, [header, *lines])) <= width


def test_a_column_that_is_empty_is_not_kept() -> None:
    header, *_ = laid_out(200, (*ROW[:5], ""))
    assert "threshold" not in header


@pytest.mark.parametrize("width", range(20, 100))
def test_no_time_and_no_word_is_broken_at_any_width(width: int) -> None:
    text = "\n".join(laid_out(width, ROW, optional=("threshold", "camera")))
    assert "2026-11-20 10:01:37 GMT" in text
    assert {"3f2a91c0", "Anna", "Maria", "0.612"} <= set(text.split())


def test_where_no_column_fits_each_row_is_told_line_by_line() -> None:
    lines = laid_out(30, ROW, ROW)
    assert lines[:2] == ["sighting:  3f2a91c0", "who:       Anna Maria"]
    assert "" in lines


def test_letters_that_take_two_columns_of_a_terminal_are_counted_so() -> None:
    header, line = laid_out(200, ("1", "\u5b89\u5a1c", "gate", "", "", ""))
    assert header == "sighting  who   camera"
    assert line == "1         \u5b89\u5a1c  gate"


def test_a_sentence_is_wrapped_between_words_and_commands_stay_whole() -> None:
    lines = tables.wrapped("  note: type `homeward scan list` to see them all", 30)
    assert lines == ["  note: type", "  `homeward scan list` to see", "  them all"]
