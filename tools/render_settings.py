#!/usr/bin/env python3
"""Write the tables of settings into the docs, from the settings classes of the services.

    render_settings.py docs/operations.md

A test compares: edit the descriptions in the classes, not the tables.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from marked import between
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from homeward.embedding.settings import EmbeddingSettings
from homeward.ingestion.settings import IngestionSettings, ScannerSettings
from homeward.matching.settings import MatchingSettings
from homeward.servicekit.settings import EngineSettings, ServiceSettings

BEGIN = "<!-- settings: written by tools/render_settings.py -->\n"
END = "<!-- end of settings -->\n"

CLASSES: dict[str, type[BaseSettings]] = {
    "Every service": ServiceSettings,
    "Ingestion, scanner and matching": EngineSettings,
    "Ingestion and scanner": IngestionSettings,
    "Scanner": ScannerSettings,
    "Embedding": EmbeddingSettings,
    "Matching": MatchingSettings,
}

_BOUNDS = {"gt": "more than {}", "ge": "at least {}", "lt": "less than {}", "le": "at most {}"}


def tables() -> str:
    """Return a table for each settings class, of the settings that it adds."""
    parts = []
    for heading, settings in CLASSES.items():
        parts += [f"#### {heading}\n", "| variable | default | meaning |", "|---|---|---|"]
        added = [name for name in settings.model_fields if name in settings.__annotations__]
        parts += [_row(name, settings.model_fields[name]) for name in added]
        parts.append("")
    return "\n".join(parts)


def _row(name: str, field: FieldInfo) -> str:
    bounds = [
        words.format(getattr(rule, bound))
        for rule in field.metadata
        for bound, words in _BOUNDS.items()
        if getattr(rule, bound, None) is not None
    ]
    meaning = " ".join(
        filter(None, [field.description, f"({', '.join(bounds)})" if bounds else ""])
    ).replace("|", "\\|")
    return f"| `HOMEWARD_{name.upper()}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default_factory is not None:
        return "of the machine"
    return f"`{_text(field.default)}`" if field.default not in (None, "", ()) else "none"


def _text(value: Any) -> str:  # noqa: ANN401 - a setting of any kind
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))
        case timedelta():
            return f"{value.total_seconds():g}"
        case float():
            return f"{value:g}"
    return str(value)


def rendered(text: str) -> str:
    """Return a document with the tables of today between its marks."""
    return between(text, BEGIN, END, tables())


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(rendered(document.read_text(encoding="utf-8")), encoding="utf-8")
