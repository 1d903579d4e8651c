"""What the page for operators says is so."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "operations.md"


def tool(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_docs_have_the_settings_of_today() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    render = tool("render_settings")

    assert document == render.rendered(document)
    assert render.tables() in document


@pytest.mark.parametrize("settings", tool("render_settings").CLASSES.values())
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
