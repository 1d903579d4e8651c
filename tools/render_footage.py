#!/usr/bin/env python3
"""Write the tables of what can be searched into the docs, from the list that the tests run.

    render_footage.py docs/footage.md

A test compares: edit `tests/kinds/catalogue.py`, not the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from marked import between

from homeward.core.recordings import MAX_FOOTAGE_BYTES
from homeward.ingestion.adapters.caged import BUDGET_PICTURES, DECODING, EXAMINING
from homeward.ingestion.adapters.probe import TOO_LONG, WALL_SECONDS
from homeward.ingestion.footage.limits import (
    MAX_HOLES,
    MAX_KEY_PICTURES,
    MAX_PICTURE_PIXELS,
    MAX_PICTURES,
    MAX_SEGMENT,
    MAX_SIDE_PX,
    MAX_SPAN,
    MAX_TRACKS,
    MIN_SIDE_PX,
    RARE_KEY_PICTURES,
    RARE_RATE,
)
from homeward.ingestion.footage.timeline import MAX_ANSWER
from homeward.ingestion.scan.follow import MOST_ENDED, REST_GIVEN_UP
from homeward.ingestion.scan.work import FAILED_TOO_OFTEN, MAX_ATTEMPTS
from homeward.servicekit.cage import Breakage, cause_of
from kinds.catalogue import KINDS, Kind, Refused, Searched

BEGIN = "<!-- {}: written by tools/render_footage.py -->\n"
END = "<!-- end of {} -->\n"
SECOND = timedelta(seconds=1)

# Name here each bound that ingestion sets on a recording, from where the code has it.
LIMITS = (
    ("size of a file", f"{MAX_FOOTAGE_BYTES / 2**30:g} GiB", "refused: split it"),
    ("pixels of a picture", f"{MAX_PICTURE_PIXELS:,}", "refused: convert it to smaller pictures"),
    ("either side of a picture, at least", f"{MIN_SIDE_PX} pixels", "refused: it shows no face"),
    ("longer side of a picture", f"{MAX_SIDE_PX} pixels", "searched shrunk to it, and told"),
    ("pictures of a file", f"{MAX_PICTURES:,}", "refused: split it"),
    ("picture tracks of a file", f"{MAX_TRACKS}", "refused: copy one to a file of its own"),
    (
        "from the first to the last picture, holes included",
        f"{MAX_SPAN.days} days",
        "refused: split it",
    ),
    ("holes in a recording", f"{MAX_HOLES:,}", "refused: split it"),
    (
        "time that a picture answers for",
        f"{MAX_ANSWER / SECOND:g} s",
        "told as a hole, which is not searched",
    ),
    (
        "pictures a second, on average, at least",
        f"{RARE_RATE:g}",
        "searched, and told: whoever passes may be on no picture",
    ),
    (
        "pictures in a row without a key picture, searched as usual",
        f"{RARE_KEY_PICTURES:,}",
        "searched in one go, and told: it takes longer",
    ),
    (
        "pictures in a row without a key picture, at all",
        f"{MAX_KEY_PICTURES:,}",
        "refused: convert it, with key pictures",
    ),
    (
        "pictures in a segment, where pictures or key pictures are rare",
        f"{MAX_SEGMENT / SECOND / 3600:g} h",
        "the segment ends; the next one decodes from the key picture before it",
    ),
)

EXAMINED, DECODED = "reading it was ended: {}", "decoding was ended: {}"

# Of a decoder, with the words of the code.
BOUNDS = (
    *(
        (f"{what}, to examine a file", limit, EXAMINED.format(cause_of(why, EXAMINING)))
        for what, limit, why in (
            ("memory", f"{EXAMINING.memory_bytes / 2**30:g} GiB", Breakage.MEMORY),
            ("processor time", f"{EXAMINING.cpu_seconds} s", Breakage.PROCESSOR_TIME),
            ("silence", f"{EXAMINING.silence_seconds:g} s", Breakage.SILENCE),
        )
    ),
    ("time in all, to examine a file", f"{WALL_SECONDS / 60:g} min", EXAMINED.format(TOO_LONG)),
    *(
        (f"{what}, to decode", limit, DECODED.format(cause_of(why, DECODING)))
        for what, limit, why in (
            ("memory", f"{DECODING.memory_bytes / 2**30:g} GiB", Breakage.MEMORY),
            (
                f"processor time for {BUDGET_PICTURES:,} pictures, or the fewer of a piece",
                f"{DECODING.cpu_seconds} s",
                Breakage.PROCESSOR_TIME,
            ),
            ("silence", f"{DECODING.silence_seconds:g} s", Breakage.SILENCE),
        )
    ),
    (
        "pieces of a segment whose decoding was ended",
        f"{MOST_ENDED}",
        DECODED.format("...") + REST_GIVEN_UP,
    ),
    ("scanners that failed on a segment, or died", f"{MAX_ATTEMPTS}", FAILED_TOO_OFTEN),
)


def tables() -> dict[str, str]:
    """Return the tables by the name of their marks."""
    kinds = [one for one in KINDS if isinstance(one.right, Searched)]
    refused = [one for one in KINDS if isinstance(one.right, Refused)]
    return {
        "searched": _table("What is told", kinds),
        "refused": _table("Why, and what to do", refused),
        "limits": _limits("Beyond it", LIMITS),
        "bounds": _limits("What is said beyond it", BOUNDS),
    }


def _limits(last: str, rows: Sequence[tuple[str, str, str]]) -> str:
    lines = [f"| What | Limit | {last} |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


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
