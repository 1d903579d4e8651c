#!/usr/bin/env python3
"""Write the tables of what can be searched into the docs, from the list that the tests run.

    render_footage.py docs/footage.md

A test compares: edit `tests/kinds/catalogue.py`, not the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from marked import between

from homeward.ingestion.limits import (
    MAX_HOLES,
    MAX_PICTURE_PIXELS,
    MAX_PICTURES,
    MAX_SIDE_PX,
    MAX_SPAN,
    MAX_TRACKS,
    MIN_SIDE_PX,
)
from homeward.ingestion.model import MAX_FOOTAGE_BYTES
from kinds.catalogue import KINDS, Kind, Refused, Searched

BEGIN = "<!-- {}: written by tools/render_footage.py -->\n"
END = "<!-- end of {} -->\n"

# Name here each bound that ingestion sets on a recording, from where the code has it.
LIMITS = (
    ("size of a file", f"{MAX_FOOTAGE_BYTES / 2**30:g} GiB"),
    ("pixels of a picture", f"{MAX_PICTURE_PIXELS:,}"),
    ("either side of a picture, at least", f"{MIN_SIDE_PX} pixels"),
    ("longer side of a picture; larger ones are searched shrunk to it", f"{MAX_SIDE_PX} pixels"),
    ("pictures of a file", f"{MAX_PICTURES:,}"),
    ("picture tracks of a file", f"{MAX_TRACKS}"),
    ("from the first to the last picture, holes included", f"{MAX_SPAN.days} days"),
    ("holes in a recording", f"{MAX_HOLES:,}"),
)


def tables() -> dict[str, str]:
    """Return the tables by the name of their marks."""
    kinds = [one for one in KINDS if isinstance(one.right, Searched)]
    refused = [one for one in KINDS if isinstance(one.right, Refused)]
    return {
        "searched": _table("What is told", kinds),
        "refused": _table("Why, and what to do", refused),
        "limits": "\n".join(
            ["| What | Limit |", "|---|---|", *(f"| {a} | {b} |" for a, b in LIMITS)]
        )
        + "\n",
    }


def _table(last: str, kinds: list[Kind]) -> str:
    head = [
        f"| Container | Pictures | What is particular | {last} | Test |",
        "|---|---|---|---|---|",
    ]
    body = [
        f"| {one.container} | {one.codec} | {one.trait} | {one.remark} | `{one.name}` |"
        for one in kinds
    ]
    return "\n".join([*head, *body]) + "\n"


def rendered(text: str) -> str:
    """Return a document with the tables of today between their marks."""
    for name, table in tables().items():
        text = between(text, BEGIN.format(name), END.format(name), table)
    return text


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(rendered(document.read_text(encoding="utf-8")), encoding="utf-8")
