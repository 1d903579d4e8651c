"""The server says what is wrong and where; only the client says what to type."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICES = Path(__file__).resolve().parents[2] / "services" / "homeward"
ROOMS = ("common", "core", "embedding", "ingestion", "matching", "servicekit")
COMMAND = re.compile(r"\bhomeward (?:[a-z]+\b|--)")
"""A command, such as `homeward footage list`."""


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string that a program may say, so no docstring."""
    tree = ast.parse(source)
    silent = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in silent
        ):
            yield node.lineno, node.value


def commands(source: str) -> list[tuple[int, str]]:
    return [(line, text) for line, text in texts(source) if COMMAND.search(text)]


@pytest.mark.parametrize("room", ROOMS)
def test_no_service_says_what_to_type(room: str) -> None:
    found = {
        f"{path.relative_to(SERVICES)}:{line}": text
        for path in sorted((SERVICES / room).rglob("*.py"))
        for line, text in commands(path.read_text())
    }

    assert found == {}, "say what is wrong and where; cli/errors.py has what to type, by reason"


@pytest.mark.parametrize(
    "source",
    [
        "raise Error(f'there is no {x}; `homeward policy list` shows them')",
        "advice = ('run'\n    ' homeward --help')",
    ],
)
def test_a_command_in_a_text_is_found(source: str) -> None:
    assert len(commands(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""`homeward policy list` is the client\'s."""',
        "import homeward.core.policy",
        "domain = 'homeward'",
        "bucket = 'homeward-footage'",
    ],
)
def test_what_is_no_command_or_no_text_is_let_be(source: str) -> None:
    assert commands(source) == []
