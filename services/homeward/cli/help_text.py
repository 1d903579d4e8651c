"""How `--help` is laid out: lines break between words, and never within an option or a role."""

from __future__ import annotations

from collections.abc import Iterable

import click

_HYPHEN = "\ue000"
"""Stands for a hyphen while lines are broken: a character that no text has."""


class Formatter(click.HelpFormatter):
    """Breaks no line at a hyphen, so that what is to be typed stays in one piece."""

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(_kept(text))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write terms, each beside what it means."""
        kept = [(term, _kept(meaning)) for term, meaning in rows]
        super().write_dl(kept, col_max, col_spacing)

    def write(self, string: str) -> None:
        """Write text that is laid out."""
        super().write(string.replace(_HYPHEN, "-"))


class Context(click.Context):
    """A context whose help has that layout."""

    formatter_class = Formatter


def _kept(text: str) -> str:
    return text.replace("-", _HYPHEN)
