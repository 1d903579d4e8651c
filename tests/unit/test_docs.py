from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    chain(ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md"), (ROOT / "deploy").rglob("*.md"))
)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", re.sub(r"(?ms)^ *```.*?^ *```", "", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    found = []
    for path, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(f"{path}#{anchor}" if anchor else path)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}

    assert {page for page in pages if f"({page}" not in index} == set()


def test_the_glossary_names_what_the_api_has() -> None:
    protos = "\n".join(path.read_text("utf-8") for path in (ROOT / "protos").rglob("*.proto"))
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    last_columns = "".join(re.findall(r"^\|.*\|([^|]*)\|$", glossary, re.MULTILINE))
    names = re.findall(r"[A-Za-z_]+", " ".join(re.findall(r"`([^`]+)`", last_columns)))

    assert [name for name in names if not re.search(rf"\b{name}\b", protos)] == []
