"""Single keys, and what a terminal answers to a query."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import click

from homeward.cli import terminal

_MOST_PRESSED = 32
_ANSWER_SECONDS = 1.0
"""Time for a terminal's answer, which may come over a slow line."""


def somebody_is_there() -> bool:
    """Whether keys can be read, and somebody sees what is printed."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def quiet() -> AbstractContextManager[None]:
    """Have the terminal not print the keys that are pressed; Ctrl-C still interrupts."""
    return _by_lines(on=False)


def typing() -> AbstractContextManager[None]:
    """Have the terminal print what is typed, within `quiet`."""
    return _by_lines(on=True)


@contextmanager
def _by_lines(*, on: bool) -> Iterator[None]:
    """Have the terminal print what is typed and hand it over by lines, or neither."""
    try:
        import termios  # noqa: PLC0415 - Windows has none
    except ImportError:
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    changed = termios.tcgetattr(descriptor)
    flags = termios.ECHO | termios.ICANON
    changed[3] = changed[3] | flags if on else changed[3] & ~flags
    termios.tcsetattr(descriptor, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def key() -> str:
    """Wait for a key within `quiet` and return it, in small letters; several that are pasted, too.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        EOFError: The terminal has gone.
    """
    if not hasattr(os, "openpty"):
        return click.getchar().lower()
    # click.getchar would drop a key that is pressed after the question and before it reads.
    pressed = os.read(sys.stdin.fileno(), _MOST_PRESSED)
    if not pressed:
        raise EOFError
    return pressed.decode("utf-8", "replace").lower()


def line(question: str) -> str:
    """Return a line that is typed."""
    with typing():
        return terminal.ask_for(question, required=False)


def answer(query: str) -> str:
    """Return what the terminal answers to a query, up to a `c`; empty if nothing in time."""
    if not hasattr(os, "openpty"):  # Windows: its consoles cannot be waited for like this
        return ""
    terminal.draw(query)
    sys.stdout.flush()
    descriptor, given = sys.stdin.fileno(), b""
    until = time.monotonic() + _ANSWER_SECONDS
    while not given.endswith(b"c") and (left := until - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            break
        given += os.read(descriptor, 4096)
    return given.decode("ascii", "replace")


def forget_pressed() -> None:
    """Forget keys that were pressed before: nobody decides on what they have not seen."""
    try:
        import termios  # noqa: PLC0415 - Windows has none
    except ImportError:
        return
    termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
