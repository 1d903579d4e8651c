from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
import render_inventory

from homeward.core import inventory
from homeward.core.inventory import (
    ABANDONED_AFTER,
    BACKSTOP_DAYS,
    COMES_BY,
    FOOTAGE_LIMIT,
    INVENTORY,
    Engine,
    backstop_days,
    backstop_time,
    swept_after,
)
from homeward.servicekit.lifecycle import removal_day

ROOT = Path(__file__).resolve().parents[3]


def test_the_docs_have_the_table_of_today() -> None:
    document = (ROOT / "docs" / "retention.md").read_text(encoding="utf-8")

    assert document == render_inventory.rendered(document)
    assert inventory.table() in document


def test_every_kind_of_data_has_a_name_of_its_own_and_an_end() -> None:
    assert len({one.name for one in INVENTORY}) == len(INVENTORY)
    assert [one.name for one in INVENTORY if not (one.kept and one.removed_by)] == []
    assert [
        one.name for one in INVENTORY if one.engine is not Engine.MEMORY and not one.place
    ] == []


KEEP = [timedelta(days=days) for days in (0.01, 0.5, 1, 1.5, 2, 7, 27.9, 28, 28.5, 29, 30, 31)]
DAY = timedelta(days=1)


@pytest.mark.parametrize("keep", KEEP, ids=str)
def test_the_sweep_comes_first_and_the_store_within_the_limit(keep: timedelta) -> None:
    backstop = timedelta(days=backstop_days(keep))
    longest_interval = timedelta(seconds=3600)

    # The store counts from the first byte, and a midnight is next.
    assert timedelta() < swept_after(keep) < keep
    assert swept_after(keep) + longest_interval < backstop
    # An upload that took a day and is stamped at its end, rounded up to midnight, and a day to come
    # by.
    assert ABANDONED_AFTER + backstop + DAY + COMES_BY <= FOOTAGE_LIMIT


@pytest.mark.parametrize("keep", KEEP, ids=str)
@pytest.mark.parametrize("hour", [0, 0.001, 12, 23.999])
def test_what_goes_with_a_recording_goes_after_the_sweep_and_within_the_limit(
    keep: timedelta, hour: float
) -> None:
    received = datetime(2026, 3, 4, tzinfo=UTC) + timedelta(hours=hour)
    until = backstop_time(received, received + keep)
    midnight = datetime.combine(removal_day(until), time(), UTC)

    assert received + swept_after(keep) < midnight
    assert midnight + COMES_BY <= received + FOOTAGE_LIMIT
    assert midnight - until < DAY


def test_with_the_longest_time_to_keep_the_figures_are_those_of_the_docs() -> None:
    assert (BACKSTOP_DAYS, swept_after(FOOTAGE_LIMIT)) == (28, timedelta(days=27.75))


@pytest.mark.parametrize("one", INVENTORY, ids=lambda one: one.name)
def test_an_engine_removes_no_later_than_the_limit(one: inventory.DataClass) -> None:
    assert one.limit is None or one.engine_limit is None or one.engine_limit <= one.limit
