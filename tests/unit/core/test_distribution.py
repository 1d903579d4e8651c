from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from homeward.core.distribution import NAME, how_to_install

ROOT = Path(__file__).resolve().parents[3]
TEXTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("deploy/**/*.*"),
    *ROOT.glob("services/**/*.py"),
]
SOMEBODY_ELSES = re.compile(r"pip install[^\n`]*\bhomeward(?!-cctv)\b(?=[\s\[`'\",.;]|$)")


def test_the_name_is_the_one_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["name"] == NAME


def test_no_text_says_to_install_somebody_elses_package() -> None:
    said = {path: SOMEBODY_ELSES.findall(path.read_text(encoding="utf-8")) for path in TEXTS}

    assert len(said) > 100
    assert {str(path): texts for path, texts in said.items() if texts} == {}


@pytest.mark.parametrize(
    "text", ["pip install homeward", "`pip install 'homeward[server]'`", "pip install homeward, or"]
)
def test_the_search_for_such_texts_finds_them(text: str) -> None:
    assert SOMEBODY_ELSES.search(text)


def test_extras_are_named_in_the_advice() -> None:
    assert how_to_install() == f"pip install '{NAME}'"
    assert how_to_install("server", "demo") == f"pip install '{NAME}[server,demo]'"
