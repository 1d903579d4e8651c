"""What is printed on a terminal of 80 columns."""

from __future__ import annotations

import sys

import click
import pytest

from homeward.cli import errors, terminal

LONG = (
    "Reject sighting 9ec1? It is erased, unless somebody has confirmed it, and not shown again"
    " unless asked for."
)


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stderr be a terminal of 80 columns; not in a fixture, which has another stderr."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_a_question_breaks_between_words_and_leaves_room_for_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow(monkeypatch)
    asked: list[str] = []
    monkeypatch.setattr(click, "confirm", lambda text, **_: asked.append(text))

    terminal.ask(LONG)

    lines = [*click.unstyle(capsys.readouterr().err).splitlines(), *asked]
    assert " ".join(lines) == LONG
    assert max(map(len, lines)) <= 80 - len(" [y/N]: ")


def test_what_is_wrong_with_a_command_line_breaks_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow(monkeypatch)

    assert errors.report(click.UsageError(LONG)) == 2

    lines = click.unstyle(capsys.readouterr().err).splitlines()
    assert " ".join(lines) == f"Error: {LONG}"
    assert max(map(len, lines)) <= 80
