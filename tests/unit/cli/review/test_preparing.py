from __future__ import annotations

from typing import Any

from homeward.api.matching.v1.sighting_pb2 import Sighting
from homeward.cli.review.evidence import Evidence
from homeward.cli.review.graphics import Cell, Drawing
from homeward.cli.review.preparing import Preparing


class TwoNearEachOther:
    """Reads each sighting with another one beside, as both were when it was read."""

    def read(self, listed: Sighting) -> Evidence:
        other = Sighting(sighting_id="b", camera_id="gate", state=Sighting.STATE_UNREVIEWED)
        return Evidence(listed, near=[other])

    def name_of(self, _: str) -> str:
        return "Anna"


def test_what_was_decided_since_a_candidate_was_read_is_told() -> None:
    answered: dict[str, Sighting] = {}
    reader: Any = TwoNearEachOther()
    preparing = Preparing(reader, Drawing(None, Cell()), answered)
    prepared = preparing.prepare(Sighting(sighting_id="a", camera_id="gate"))
    before = " ".join(prepared.card(80, ""))

    answered["b"] = Sighting(sighting_id="b", state=Sighting.STATE_REJECTED)

    assert "(0.000, unreviewed)." in before
    assert "(0.000, rejected)." in " ".join(prepared.card(80, ""))
