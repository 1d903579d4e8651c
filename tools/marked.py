"""Documents with a part between two marks that a tool writes."""

from __future__ import annotations


def between(text: str, begin: str, end: str, content: str) -> str:
    """Return a document with this content between its marks."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"
