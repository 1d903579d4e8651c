#!/usr/bin/env python3
"""Write the table of what is stored into the docs, from `homeward.core.inventory`.

    render_inventory.py docs/retention.md

A test compares: edit the inventory, not the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

from marked import between

from homeward.core.inventory import table

BEGIN = "<!-- inventory: written by tools/render_inventory.py -->\n"
END = "<!-- end of inventory -->\n"


def rendered(text: str) -> str:
    """Return a document with the table of today between its marks."""
    return between(text, BEGIN, END, table())


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(rendered(document.read_text(encoding="utf-8")), encoding="utf-8")
