"""`SightingFeed`: the fake and NATS, held to the same rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from homeward.matching.adapters.feed import NatsSightingFeed
from homeward.matching.adapters.memory import InMemorySightingFeed
from homeward.matching.sightings.model import ErasedSighting, Sighting
from homeward.matching.sightings.ports import SightingFeed
from homeward.servicekit.nats import connection

ERASED = ErasedSighting("sighting-1", "subject-1", "footage-1")


@pytest.fixture(params=["memory", "nats"])
async def feed(request: pytest.FixtureRequest) -> AsyncIterator[SightingFeed]:
    opened = {"memory": _memory, "nats": _nats}[request.param]
    async with opened(request) as feed:
        yield feed


@asynccontextmanager
async def _memory(_: pytest.FixtureRequest) -> AsyncIterator[SightingFeed]:
    yield InMemorySightingFeed()


@asynccontextmanager
async def _nats(request: pytest.FixtureRequest) -> AsyncIterator[SightingFeed]:
    async with connection(request.getfixturevalue("nats_url"), "test") as bus:
        yield NatsSightingFeed(bus)


def sighting() -> Sighting:
    noon, start = datetime(2026, 3, 4, 12, tzinfo=UTC), timedelta(seconds=10)
    return Sighting(
        sighting_id="sighting-1",
        subject_id="subject-1",
        photo_id="photo-1",
        footage_id="footage-1",
        camera_id="gate",
        scan_id="scan-1",
        start_time=noon,
        end_time=noon + start,
        best_shot_time=noon,
        start_offset=start,
        end_offset=2 * start,
        best_shot_offset=start,
        score=0.5,
        best_shot_score=None,
        threshold=0.4,
        policy_id="yunet-sface/1",
        model_digest="a" * 64,
        face_height_px=40,
        create_time=noon,
        delete_time=noon + timedelta(days=30),
    )


async def told(
    feed: SightingFeed, changes: Sequence[Sighting | ErasedSighting]
) -> list[Sighting | ErasedSighting]:
    async with aclosing(feed.follow()) as following:
        first = asyncio.create_task(anext(following))
        await asyncio.sleep(0)
        for change in changes:
            await feed.publish(change)
        return [await first, *[await anext(following) for _ in pairwise(changes)]]


@pytest.mark.parametrize(
    "changes",
    [(sighting(), ERASED), (ERASED, sighting()), (ERASED,) * 100 + (sighting(),) * 100],
    ids=["erased", "recorded again", "many"],
)
async def test_changes_come_as_they_were_told_and_in_their_order(
    feed: SightingFeed, changes: Sequence[Sighting | ErasedSighting]
) -> None:
    assert await asyncio.wait_for(told(feed, changes), 10) == list(changes)
