"""What commands print: tables on a terminal, rows with tabs in a pipe, protobuf JSON on demand."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from homeward.cli import tables, terminal
from homeward.cli.terminal import clean

SENTENCE = "A candidate is a lead for a human reviewer, not an identification."
_SHORTEST_ID = 8
_TO_THE_MINUTE = re.compile(r".+-\d{8}t\d{4}")
_LEAST_ROOM = 20
"""Characters beside the name of a property."""
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
        r"""Print rows under their columns.

        In a pipe each row is one line, all columns are there, and a tab parts them: what `cut` and
        `awk -F '\t'` take.

        Args:
            columns: Their names.
            rows: Their cells.
            optional: Columns that a narrow terminal goes without, the first one first; words, times
                and ids are never broken.
        """
        cleaned = [[clean(cell) for cell in row] for row in rows]
        if not on_terminal():
            terminal.tell_rows([[name.upper() for name in columns], *cleaned])
            return
        width = terminal.width()
        header, lines = tables.laid_out(columns, cleaned, optional=optional, width=width)
        terminal.tell_lines(header, bold=True)
        terminal.tell_lines([*lines, ""])

    def details(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print one thing, a line a property; empty ones are left out."""
        rows = [(f"{name}:", clean(value)) for name, value in pairs if value]
        names = max((len(name) for name, _ in rows), default=0)
        room = max(terminal.width() - names - 2, _LEAST_ROOM) if on_terminal() else sys.maxsize
        for name, value in rows:
            first, *rest = tables.wrapped(value, room)
            terminal.tell_lines(
                [f"{name:{names}}  {first}", *(" " * (names + 2) + one for one in rest)]
            )

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


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return each id's beginning, long enough to tell it from the others.

    Of a recording it has the camera and the minute that it begins, so that it mostly tells it from
    recordings that are not among `ids` as well.
    """
    unique = set(ids)
    shortest = max((found.end() for found in map(_TO_THE_MINUTE.match, unique) if found), default=0)
    longest = max(map(len, unique), default=0)
    length = next(
        (
            length
            for length in range(max(shortest, _SHORTEST_ID), longest)
            if len({name[:length] for name in unique}) == len(unique)
        ),
        longest,
    )
    return {name: name[:length] for name in unique}


def some_of(names: Sequence[str], most: int = 5) -> str:
    """Return names to read: the first ones, and how many there are beside them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
