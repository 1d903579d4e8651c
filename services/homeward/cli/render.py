"""What commands print: tables on a terminal, aligned text in a pipe, protobuf JSON on demand."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from homeward.cli import terminal
from homeward.cli.terminal import clean

SENTENCE = "A candidate is a lead for a human reviewer, not an identification."
_SHORTEST_ID = 8
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True, slots=True)
class View:
    """Prints results on stdout.

    Args:
        output: `text` or `json`.
    """

    output: str

    @property
    def json(self) -> bool:
        """Whether only JSON goes to stdout."""
        return self.output == "json"

    def document(self, content: Mapping[str, Any]) -> None:
        """Print the one JSON document of a command."""
        terminal.tell_own(document_text(content))

    def say(self, text: str = "") -> None:
        """Print a sentence; beside stdout when that is JSON."""
        terminal.tell(text, err=self.json)

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        optional: Sequence[str] = (),
    ) -> None:
        """Print rows under their columns.

        Args:
            columns: Their names.
            rows: Their cells.
            optional: Columns that a narrow terminal goes without, the first one first; ids and
                times are never broken.
        """
        cleaned = [[clean(cell) for cell in row] for row in rows]
        if on_terminal():
            _rich_table(columns, cleaned, optional)
        else:
            terminal.tell_lines(aligned([[name.upper() for name in columns], *cleaned]))

    def details(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print one thing, a line a property; empty ones are left out."""
        rows = [[f"{name}:", clean(value)] for name, value in pairs if value]
        terminal.tell_lines(aligned(rows))

    def ids(self, ids: Sequence[str]) -> dict[str, str]:
        """Return how to print ids: short but telling on a terminal, in full elsewhere."""
        if not on_terminal():
            return {name: name for name in ids}
        return short_ids(ids)


def document_text(content: Mapping[str, Any]) -> str:
    """Return JSON; messages anywhere in it are resources, in protobuf JSON."""
    return terminal.json_text(_plain(content))


def line_text(content: Mapping[str, Any] | Message) -> str:
    """Return JSON as `document_text` does, in one line."""
    return terminal.json_text(_plain(content), indent=None)


def on_terminal() -> bool:
    """Whether somebody looks at stdout."""
    return sys.stdout.isatty()


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines whose cells stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return each id's beginning, long enough to tell it from the others."""
    unique = set(ids)
    longest = max(map(len, unique), default=0)
    length = next(
        (
            length
            for length in range(_SHORTEST_ID, longest)
            if len({name[:length] for name in unique}) == len(unique)
        ),
        longest,
    )
    return {name: name[:length] for name in unique}


def enum_word(name: str, prefix: str) -> str:
    """Return an enum value's name to read: `STATE_UNREVIEWED` is `unreviewed`."""
    return name.removeprefix(prefix).replace("_", " ").lower()


def size(count: float) -> str:
    """Return a number of bytes to read."""
    step = 0
    while count >= 1024 and step < len(_UNITS) - 1:  # noqa: PLR2004 - binary units
        count, step = count / 1024, step + 1
    return f"{count:.0f} {_UNITS[step]}" if step == 0 else f"{count:.1f} {_UNITS[step]}"


def _plain(content: Any) -> Any:  # noqa: ANN401 - anything that JSON holds, and messages
    if isinstance(content, Message):
        from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - slow to import

        return MessageToDict(content)
    if isinstance(content, Mapping):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content


def fitting(
    columns: Sequence[str], rows: Sequence[Sequence[str]], optional: Sequence[str], width: int
) -> list[int]:
    """Return which columns to show so that no word of theirs is broken, if that can be.

    A column is at least as wide as its longest word, and has a frame of three characters.
    """
    words = _longest_words(columns, rows)
    shown = list(range(len(columns)))
    for name in optional:
        if sum(words[number] + 3 for number in shown) + 1 <= width:
            break
        shown.remove(list(columns).index(name))
    return shown


def _longest_words(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max(len(word) for cell in cells for word in (cell.split() or [""]))
        for cells in zip(columns, *rows, strict=True)
    ]


def _rich_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], optional: Sequence[str]
) -> None:
    from rich import box  # noqa: PLC0415 - slow to import, and only for people
    from rich.console import Console  # noqa: PLC0415, TID251 - as above; all is cleaned
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console()
    shown = fitting(columns, rows, optional, console.width) if rows else range(len(columns))
    table = Table(box=box.ROUNDED, header_style="bold")
    words = _longest_words(columns, rows)
    for number in shown:
        one_word = not any(" " in row[number] for row in rows)
        table.add_column(
            # Without a least width, Rich breaks a date rather than the spaces of another column.
            columns[number],
            overflow="fold",
            no_wrap=one_word,
            min_width=words[number],
        )
    for row in rows:
        table.add_row(*(Text(row[number]) for number in shown))  # as Text, nothing is markup
    console.print(table)
