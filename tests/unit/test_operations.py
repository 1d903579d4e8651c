"""What the page for operators says is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import render_settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "operations.md"


def test_the_docs_have_the_settings_of_today() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")

    assert document == render_settings.rendered(document)
    assert render_settings.tables() in document


@pytest.mark.parametrize("settings", render_settings.CLASSES.values())
def test_every_setting_says_what_it_is_for(settings: Any) -> None:
    silent = [name for name, field in settings.model_fields.items() if not field.description]

    assert silent == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize(
    ("page", "target"),
    [
        (page, target)
        for page in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy" / "k8s" / "README.md"]
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ],
    ids=lambda one: getattr(one, "stem", one),
)
def test_a_link_of_the_docs_leads_somewhere(page: Path, target: str) -> None:
    name, _, anchor = target.partition("#")
    found = (page.parent / name).resolve() if name else page

    assert found.exists()
    assert not anchor or anchor in anchors(found)
