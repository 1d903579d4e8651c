from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import render_inventory

from homeward import inventory
from homeward.inventory import BACKSTOP_DAYS, FOOTAGE_LIMIT, INVENTORY, Engine

ROOT = Path(__file__).resolve().parents[2]


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


def test_a_lifecycle_rule_keeps_the_promise_however_s3_rounds() -> None:
    # Rounded up to midnight, and a scanner that comes by once a day.
    assert timedelta(days=BACKSTOP_DAYS + 2) <= FOOTAGE_LIMIT


@pytest.mark.parametrize("one", INVENTORY, ids=lambda one: one.name)
def test_an_engine_removes_no_later_than_the_limit(one: inventory.DataClass) -> None:
    assert one.limit is None or one.engine_limit is None or one.engine_limit <= one.limit
