"""The one way in which text reaches a terminal.

Labels, reasons, file names, the names of people and the messages of services are written by others.
A terminal obeys some characters instead of showing them: it can be made to hide a line, to write
over one, to show text backwards, or to send something to the shell. So each line is cleaned here,
whoever wrote its parts, and a rule of the linter keeps other modules from printing by themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

_JOINERS = "\u200c\u200d"
"""Join letters, or keep them apart, in Persian, in the scripts of India and in emoji."""


_OF_DRAWINGS = frozenset(map(chr, range(0x20, 0x7F))) | {"\x1b", "\x07", "\n"}


def clean(text: str) -> str:
    r"""Return text as one line that a terminal shows as it is.

    White space, line ends included, becomes a space each. What else does not print is escaped, so
    that it shows: U+001B as `\x1b`, U+202E as `\u202e`.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def tell(line: str = "", *, err: bool = False, bold: bool = False, colour: str = "") -> None:
    """Print one line.

    Args:
        line: What to print, cleaned first.
        err: Print on stderr.
        bold: In bold letters, on a terminal.
        colour: One of `click.style`, on a terminal.
    """
    click.secho(clean(line), err=err, bold=bold or None, fg=colour or None)  # noqa: TID251 - the one place


def tell_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Print lines."""
    for line in lines:
        tell(line, err=err)


def tell_own(text: str) -> None:
    """Print text on stdout as it is: text that holds nothing of anybody else."""
    click.echo(text)  # noqa: TID251 - the one place


def ask(question: str) -> bool:
    """Return the answer to a question on stderr.

    Raises:
        click.Abort: There is none.
    """
    return click.confirm(clean(question), err=True)  # noqa: TID251 - the one place


def ask_line(question: str) -> str:
    """Return a line that is typed; empty for none.

    Raises:
        click.Abort: There is none.
    """
    typed: str = click.prompt(clean(question), default="", show_default=False)  # noqa: TID251 - the one place
    return typed.strip()


def draw(sequence: str) -> None:
    """Write what has a terminal draw a picture: escapes of our own around base64 or sixels.

    Raises:
        ValueError: It has a character that none of those has.
    """
    if not set(sequence) <= _OF_DRAWINGS:
        raise ValueError("a drawing has printable ASCII, escapes and line ends alone")
    click.echo(sequence, nl=False)  # noqa: TID251 - the one place


def json_text(content: object) -> str:
    """Return JSON in which everything that does not print is escaped; it reads back the same."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    # Nothing but strings has such characters, and JSON takes an escape for any character in these.
    return "".join(one if one.isprintable() or one == "\n" else _in_json(one) for one in text)


def _in_json(character: str) -> str:
    # Of those beyond the first 65,536, JSON escapes both halves; it leaves U+007F to a terminal.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() else ascii(character)[1:-1]
