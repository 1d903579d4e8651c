"""The one way in which text reaches a terminal.

Labels, reasons, file names, the names of people and the messages of services are written by others.
A terminal obeys some characters instead of showing them: it can be made to hide a line, to write
over one, to show text backwards, or to send something to the shell. So each line is cleaned here,
whoever wrote its parts, and a rule of the linter keeps other modules from printing by themselves.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable

import click

from homeward.cli import tables

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


def width() -> int:
    """Return how many characters a line of the terminal has."""
    return shutil.get_terminal_size().columns


def tell(line: str = "", *, err: bool = False, bold: bool = False, colour: str = "") -> None:
    """Print a sentence: on a terminal, in lines that break between words.

    Args:
        line: What to print, cleaned first.
        err: Print on stderr.
        bold: In bold letters, on a terminal.
        colour: One of `click.style`, on a terminal.
    """
    looked_at = (sys.stderr if err else sys.stdout).isatty()
    text = clean(line)
    for part in tables.wrapped(text, width()) if looked_at else [text]:
        _echo(part, err=err, bold=bold, colour=colour)


def tell_lines(lines: Iterable[str], *, err: bool = False, bold: bool = False) -> None:
    """Print lines as they are, for a file or laid out already."""
    for line in lines:
        _echo(clean(line), err=err, bold=bold)


def tell_rows(rows: Iterable[Iterable[str]]) -> None:
    """Print rows of cells, a line each, with a tab between cells."""
    for row in rows:
        click.echo("\t".join(map(clean, row)))  # noqa: TID251 - the one place


def tell_own(text: str) -> None:
    """Print text on stdout as it is: text that holds nothing of anybody else."""
    click.echo(text)  # noqa: TID251 - the one place


def ask(question: str) -> bool:
    """Return the answer to a question on stderr.

    Raises:
        click.Abort: There is none.
    """
    return click.confirm(_last_line(question, answer=" [y/N]: "), err=True)  # noqa: TID251 - the one place


def ask_for(question: str, *, required: bool = True) -> str:
    """Return what is typed as the answer to a question on stderr.

    Args:
        question: Ends with what it asks for.
        required: Whether it is asked again for an empty answer.

    Raises:
        click.Abort: There is none.
    """
    empty = None if required else ""
    answer: str = click.prompt(  # noqa: TID251 - the one place
        _last_line(question, answer=": "), default=empty, show_default=False, err=True
    )
    return answer.strip()


def _last_line(question: str, *, answer: str) -> str:
    """Print a question on stderr but for its last line, and return that.

    Args:
        question: What to ask.
        answer: What click prints behind it, which stays on the line of the last word.
    """
    if not sys.stderr.isatty():
        return clean(question)
    *lines, last = tables.wrapped(clean(question), width() - len(answer))
    tell_lines(lines, err=True)
    return last


def draw(sequence: str) -> None:
    """Write what has a terminal draw a picture: escapes of our own around base64 or sixels.

    Raises:
        ValueError: It has a character that none of those has.
    """
    if not set(sequence) <= _OF_DRAWINGS:
        raise ValueError("a drawing has printable ASCII, escapes and line ends alone")
    click.echo(sequence, nl=False, color=True)  # noqa: TID251 - the one place


def json_text(content: object, *, indent: int | None = 2) -> str:
    """Return JSON in which everything that does not print is escaped; it reads back the same.

    Args:
        content: What JSON holds.
        indent: Of what is within; None for one line.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    if text.replace("\n", "").isprintable():
        return text
    # Nothing but strings has such characters, and JSON takes an escape for any character in these.
    return "".join(one if one.isprintable() or one == "\n" else _in_json(one) for one in text)


def _echo(text: str, *, err: bool, bold: bool = False, colour: str = "") -> None:
    click.secho(text, err=err, bold=bold or None, fg=colour or None)  # noqa: TID251 - the one place


def _in_json(character: str) -> str:
    # Of those beyond the first 65,536, JSON escapes both halves; it leaves U+007F to a terminal.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() else ascii(character)[1:-1]
