from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click
import pytest

from homeward.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    chain(ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md"), (ROOT / "deploy").rglob("*.md"))
)
_OF_TODAY = [page for page in PAGES if page.parent.name != "decisions" and page.stem != "CHANGELOG"]
_COMMAND = re.compile(r"(?<!-n )\bhomeward +([a-z][^`\n|>;]*)")
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


def commands(page: Path) -> Iterator[str]:
    """Yield what stands behind `homeward` in the code of a page."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    blocks = re.findall(r"(?ms)^ *```.*?^ *```", text)
    spans = re.findall(r"`(homeward [^`]+)`", re.sub(r"(?ms)^ *```.*?^ *```", "", text))
    for code in (*blocks, *(span.replace("\n", " ") for span in spans)):
        yield from _COMMAND.findall(re.sub(r" +# .*", "", code))


def unknown_words(line: str) -> list[str]:
    """Return the commands and options in a command line that there are not."""
    command: click.Command = app
    words = line.split()
    while isinstance(command, click.Group) and words and words[0].isalpha():
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            return [words[0]]
        command, words = inner, words[1:]
    known = {option for each in command.params for option in each.opts} | {"--help"}
    options = [word.partition("=")[0].strip(".,])") for word in words if re.match("-+[a-z]", word)]
    return [option for option in options if option not in known]


@pytest.mark.parametrize("page", _OF_TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_docs_exists_with_its_options(page: Path) -> None:
    wrong = {line: words for line in commands(page) if (words := unknown_words(line))}

    assert wrong == {}


def test_a_command_or_an_option_that_is_not_there_is_found() -> None:
    assert unknown_words("footage put gate.mp4") == ["put"]
    assert unknown_words("footage add gate.mp4 --cam gate --start TIME") == ["--cam"]


def test_the_glossary_names_what_the_api_has() -> None:
    protos = "\n".join(path.read_text("utf-8") for path in (ROOT / "protos").rglob("*.proto"))
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    last_columns = "".join(re.findall(r"^\|.*\|([^|]*)\|$", glossary, re.MULTILINE))
    names = re.findall(r"[A-Za-z_]+", " ".join(re.findall(r"`([^`]+)`", last_columns)))

    assert [name for name in names if not re.search(rf"\b{name}\b", protos)] == []
