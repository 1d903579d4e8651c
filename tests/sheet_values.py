"""A contact sheet to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli_values import jpeg
from homeward.cli.sheet.facts import (
    Candidate,
    Gap,
    Person,
    Picture,
    Place,
    Searched,
    Sheet,
    Stretch,
)
from homeward.cli.sheet.spans import Span

NOON = 1_795_176_000.0  # 2026-11-20 12:00:00Z
GATE = Place("gate", "North gate", (51.5308, -0.1238))


def candidate(number: int = 1, at: float = 0, **changes: Any) -> Candidate:
    values: dict[str, Any] = {
        "number": number,
        "sighting_id": "91b5e0c4-2d7e-5f10-a3a4-6f3f6f1f7c22",
        "place": GATE,
        "span": (NOON + at, NOON + at + 5),
        "when": "20 Nov 2026, 12:00:00 to 12:00:05 UTC",
        "state": "unreviewed",
        "judged": "",
        "score": 0.612,
        "threshold": 0.45,
        "policy_id": "yunet-sface/1",
        "doubtful": False,
        "uncertain": False,
        "stills": [Picture(jpeg(64, 48), "12:00:02", "Still of candidate 1")],
        "without_still": "",
        "position": "0:00:02.0",
    }
    return Candidate(**(values | changes))


def searched(
    spans: Mapping[str, Sequence[Span]] | None = None,
    gaps: Sequence[Gap] = (),
    stretches: Sequence[Stretch] = (),
) -> Searched:
    spans = {"gate": [(NOON, NOON + 60)]} if spans is None else spans
    return Searched(1, 60, 50, 9, spans, gaps, stretches)


def sheet(**changes: Any) -> Sheet:
    values: dict[str, Any] = {
        "person": Person("Anna", "MP-1", "3f2a91c0-5b5e-4f9e-9d55-aa3b8c9a1f10", [], 0),
        "candidates": [candidate()],
        "rejected_count": 0,
        "places": [GATE],
        "searched": searched(),
        "worth": ["worth"],
        "warnings": [],
        "unknown": [],
        "made": "29 Nov 2026, 12:00:00 UTC",
        "zone": "UTC",
    }
    return Sheet(**(values | changes))
