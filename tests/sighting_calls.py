"""Recording, reviewing and following sightings, as several tests of them do."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from homeward.core.policy import PolicyFigures, Rate
from homeward.matching.gallery.model import Box
from homeward.matching.sightings.ledger import RejectedSpan
from homeward.matching.sightings.model import (
    Decision,
    Disposition,
    Finding,
    Sighting,
    SightingStill,
)
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.sightings.spans import Rejection
from homeward.servicekit.errors import unavailable

NOBODY = "00000000-0000-4000-8000-00000000ffff"
RATE = Rate(0.01, 0.005, 0.02, trials=1000)
FIGURES = PolicyFigures(
    approved=False, gallery_size=1, expected_fpir=RATE, fnir=RATE, measured_gallery_size=500
)
CONFIRM, REJECT, INCONCLUSIVE = Decision.CONFIRM, Decision.REJECT, Decision.INCONCLUSIVE


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def with_stills(found: Finding, qualities: dict[float, float], *, name: str = "") -> Finding:
    """Return a finding with a still a second of `qualities`; its best shot is the first one."""
    sighting = found.sighting
    first = seconds(next(iter(qualities)))
    begin = sighting.start_time - sighting.start_offset
    stills = tuple(
        SightingStill(seconds(at), begin + seconds(at), 0.5, 40.0, Box(1, 2, 3, 4), quality)
        for at, quality in sorted(qualities.items())
    )
    return replace(
        found,
        sighting=replace(
            sighting, stills=stills, best_shot_offset=first, best_shot_time=begin + first
        ),
        stills=tuple(f"{name}{at:g}".encode() for at in sorted(qualities)),
    )


async def recorded(matching: Any, finding: Any) -> Sighting:
    disposition, sighting = await matching.recording.record(finding)
    assert disposition is Disposition.RECORDED
    return sighting


async def review(matching: Any, sighting: Sighting, decision: Decision) -> Sighting:
    return await matching.review.review(
        sighting.sighting_id, decision=decision, reason="the same scar", reviewer="R. Viewer"
    )


async def away(*_: Any) -> None:
    raise unavailable("Qdrant", "nowhere", "start it")


async def followed(matching: Any, after: str = "") -> AsyncGenerator[Any, None]:
    """Yield the sightings that changes are told of, as they are when they are told."""
    async with aclosing(matching.following.follow(after)) as changes:
        async for one in changes:
            if not isinstance(one, str):
                yield one.sighting


def rejected_span(sighting: Sighting, when: datetime) -> RejectedSpan:
    return RejectedSpan(
        sighting.sighting_id,
        sighting.subject_id,
        sighting.footage_id,
        sighting.start_offset,
        sighting.end_offset,
        Rejection("R. Viewer", when, sighting.start_time, sighting.time_uncertain),
    )


async def found(matching: Any, **changes: Any) -> list[Sighting]:
    listed, cursor = await matching.review.page(SightingFilter(**changes), size=1000)
    assert cursor is None
    return list(listed)


async def stills(matching: Any) -> list[str]:
    return [info.key.partition("/")[0] for info in await matching.evidence.objects("")]
