"""Ids in requests: which subjects and which recordings are meant."""

from __future__ import annotations

import re
from collections.abc import Collection

from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_SCOPE = 1000
"""Subjects, scans, cameras or recordings that a request may name of each, at most."""

_FOOTAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


def scope_from(subject_ids: Collection[str], field: str) -> frozenset[str]:
    """Return the subjects of a scope; empty for all."""
    wire.count_between(len(subject_ids), field, least=0, most=MAX_SCOPE)
    return frozenset(
        wire.uuid_text(name, f"{field}[{index}]") for index, name in enumerate(subject_ids)
    )


def footage_id_from(value: str, field: str) -> str:
    """Return a recording's id, which is one token of a ledger key: no `.`, no `*`, no `>`."""
    if not _FOOTAGE_ID.fullmatch(value):
        raise invalid_field(field, "is not an id that Homeward gave")
    return value
