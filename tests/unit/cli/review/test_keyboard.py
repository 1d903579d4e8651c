"""Keys of a terminal, on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import sys
import termios
from collections.abc import Iterator

import pytest

from homeward.cli import terminal
from homeward.cli.review import keyboard


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where somebody types; this process reads from the other end."""
    main, child = pty.openpty()
    with os.fdopen(child, "r") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield main
    os.close(main)


def echoes() -> bool:
    attributes: int = termios.tcgetattr(sys.stdin.fileno())[3]
    return bool(attributes & termios.ECHO)


@pytest.mark.usefixtures("main")
def test_keys_are_not_printed_while_it_is_quiet_but_for_lines() -> None:
    with keyboard.quiet():
        quiet = echoes()
        with keyboard.typing():
            typing = echoes()
        again = echoes()

    assert (quiet, typing, again, echoes()) == (False, True, False, True)


def test_a_key_that_was_pressed_before_is_forgotten(main: int) -> None:
    with keyboard.quiet():
        os.write(main, b"c")
        keyboard.forget_pressed()
        os.write(main, b"S")

        assert keyboard.key() == "s"


def test_a_terminal_is_asked_and_answers(main: int, capsys: pytest.CaptureFixture[str]) -> None:
    with keyboard.quiet():
        os.write(main, b"\x1b[?62;4c")

        assert keyboard.answer("\x1b[c") == "\x1b[?62;4c"
    assert capsys.readouterr().out == "\x1b[c"


@pytest.mark.usefixtures("main")
def test_a_terminal_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyboard, "_ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(terminal, "draw", lambda _: None)
    with keyboard.quiet():
        assert keyboard.answer("\x1b[c") == ""
