"""Rows under their columns, laid out for the width of a terminal.

No word, time or amount is broken: what does not fit into a line beside the others goes under it, a
column that is worth less is left out, and at last each row is told line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_GAP = 2
_SHORT = 10
"""Characters that may stand in as many lines as they have words."""
_UNITS = r"s|h|%|px|pixels|B|KiB|MiB|GiB|TiB|PiB"
_WHOLE = re.compile(
    r"`[^`]*`"  # what to type
    r"|\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} \S+"
    rf"|\d[\d.,:]* (?:{_UNITS})\b"
    r"|\b1 in \d+"
)
"""What is not broken at its spaces."""
_KEPT = "\N{NO-BREAK SPACE}"
"""Stands for such a space while lines are laid out."""


def laid_out(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    optional: Sequence[str],
    width: int,
) -> tuple[list[str], list[str]]:
    """Return the lines of the header and those of the rows.

    Columns that are empty in each row are left out.

    Args:
        columns: Their names.
        rows: Their cells, each one line.
        optional: Columns that are left out where the width does not do, the first one first.
        width: Of the terminal, in characters.
    """
    filled = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    cells = {number: [_pieces(row[number]) for row in rows] for number in filled}
    heads = {number: _pieces(columns[number]) for number in filled}
    least = {
        number: max(map(_width, [*heads[number], *(one for cell in cells[number] for one in cell)]))
        for number in filled
    }
    for number in filled:
        if columns[number] in optional:  # it is left out rather than told in more than two lines
            whole = max(_width(row[number]) for row in rows)
            least[number] = max(least[number], -(-whole // 2) + _GAP if whole > _SHORT else 0)
    shown = list(filled)
    for name in optional:
        if _total(least[number] for number in shown) <= width:
            break
        shown = [number for number in shown if columns[number] != name]
    if _total(least[number] for number in shown) > width:
        return [], _stacked(columns, rows, filled)
    widths = _spread({number: least[number] for number in shown}, heads, cells, width)
    header = _lines([heads[number] for number in shown], widths)
    body = [
        line
        for place in range(len(rows))
        for line in _lines([cells[number][place] for number in shown], widths)
    ]
    return header, body


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines whose cells stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def wrapped(text: str, width: int) -> list[str]:
    """Return text as lines of at most a width, unless a word is longer than that."""
    if _width(text) <= width:
        return [text]
    indent = text[: len(text) - len(text.lstrip())]
    lines = _folded(_pieces(text), max(1, width - len(indent)))
    return [f"{indent}{line}" for line in lines]


def _pieces(text: str) -> list[str]:
    """Return the words of a text, or what counts as one."""
    joined = _WHOLE.sub(lambda found: found[0].replace(" ", _KEPT), text)
    return [piece.replace(_KEPT, " ") for piece in joined.split(" ") if piece] or [""]


def _folded(pieces: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for piece in pieces:
        longer = f"{line} {piece}" if line else piece
        if line and _width(longer) > width:
            lines.append(line)
            longer = piece
        line = longer
    return [*lines, line]


def _spread(
    least: dict[int, int],
    heads: dict[int, list[str]],
    cells: dict[int, list[list[str]]],
    width: int,
) -> list[int]:
    """Return the widths of columns: what they need at least, and of the rest what each can use."""
    wanted = {
        number: max(_width(" ".join(cell)) for cell in [heads[number], *cells[number]])
        for number in least
    }
    spare = width - _total(least.values())
    given = dict(least)
    open_ones = sorted(given, key=lambda number: wanted[number] - least[number])
    for place, number in enumerate(open_ones):
        share = min(wanted[number] - least[number], spare // (len(open_ones) - place))
        given[number] += share
        spare -= share
    return list(given.values())


def _lines(row: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    folded = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
    return [
        (" " * _GAP)
        .join(
            _padded(lines[number] if number < len(lines) else "", width)
            for lines, width in zip(folded, widths, strict=True)
        )
        .rstrip()
        for number in range(max(map(len, folded), default=0))
    ]


def _stacked(
    columns: Sequence[str], rows: Sequence[Sequence[str]], filled: Sequence[int]
) -> list[str]:
    name_width = max(len(columns[number]) for number in filled) + 1
    lines: list[str] = []
    for row in rows:
        lines += [""] if lines else []
        lines += [
            f"{columns[number] + ':':{name_width}} {row[number]}"
            for number in filled
            if row[number]
        ]
    return lines


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _total(widths: Iterable[int]) -> int:
    listed = list(widths)
    return sum(listed) + _GAP * max(0, len(listed) - 1)


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - for other letters alone

    return cell_len(text)
