"""What the page about footage says is what the tests run."""

from __future__ import annotations

from pathlib import Path

import pytest
import render_footage

from kinds.catalogue import CONTROL, KINDS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "footage.md"


def test_the_docs_have_the_kinds_that_are_tested() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")

    assert document == render_footage.rendered(document)


@pytest.mark.parametrize("table", render_footage.tables().values(), ids=render_footage.tables())
def test_the_docs_have_each_table(table: str) -> None:
    assert table in DOCUMENT.read_text(encoding="utf-8")


def test_every_kind_has_a_name_of_its_own_and_the_control_is_one() -> None:
    names = [kind.name for kind in KINDS]

    assert len(set(names)) == len(names)
    assert CONTROL in names
