from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from homeward.cli.report import period


def test_a_month_has_all_of_its_days() -> None:
    made = period.month("2028-02")

    assert (made.first, made.last) == (date(2028, 2, 1), date(2028, 2, 29))
    assert made.end == datetime(2028, 3, 1, tzinfo=UTC)
    assert (made.name, made.yearly) == ("February 2028", False)


def test_a_year_has_all_of_its_days() -> None:
    made = period.year("2026")

    assert (made.first, made.last, made.yearly) == (date(2026, 1, 1), date(2026, 12, 31), True)


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "26-11", "November", "0000-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 2026-11"):
        period.month(text)


@pytest.mark.parametrize("text", ["26", "0000", "2026-11"])
def test_what_is_no_year_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 2026"):
        period.year(text)
