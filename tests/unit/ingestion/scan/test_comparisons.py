from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from homeward.ingestion.scan.compare import TRACKS_BESIDE, Compared, Comparisons
from homeward.ingestion.scan.model import Counts

TRACK: Any = None


class HeldComparer:
    """Compares once it is let go on; remembers how many tracks came together."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go_on = asyncio.Event()

    async def compare(self, task: Any, tracks: Sequence[Any]) -> Compared:
        del task
        self.batches.append(len(tracks))
        await self.go_on.wait()
        return Compared(Counts(appearances=len(tracks)))


async def taken(comparisons: Comparisons, comparer: HeldComparer, tracks: int) -> list[int]:
    """Return the batches that have begun once further tracks are queued."""
    await comparisons.take([TRACK] * tracks)
    await asyncio.sleep(0)  # a turn, in which a batch begins
    return comparer.batches.copy()


@pytest.fixture
def comparer() -> HeldComparer:
    return HeldComparer()


async def test_a_track_is_compared_at_once_where_no_other_is(comparer: Any) -> None:
    async with Comparisons(comparer, TRACK) as comparisons:
        assert await taken(comparisons, comparer, 1) == [1]


async def test_few_tracks_wait_until_those_before_are_compared(comparer: Any) -> None:
    async with Comparisons(comparer, TRACK) as comparisons:
        assert await taken(comparisons, comparer, 1) == [1]
        assert await taken(comparisons, comparer, TRACKS_BESIDE - 1) == [1]
        comparer.go_on.set()
        await comparisons.finish()

    assert comparer.batches == [1, TRACKS_BESIDE - 1]
    assert comparisons.counts.appearances == TRACKS_BESIDE


async def test_many_tracks_are_compared_beside_others(comparer: Any) -> None:
    async with Comparisons(comparer, TRACK) as comparisons:
        assert await taken(comparisons, comparer, 1) == [1]
        assert await taken(comparisons, comparer, TRACKS_BESIDE) == [1, TRACKS_BESIDE]


async def test_the_last_tracks_are_compared_beside_others(comparer: Any) -> None:
    async with Comparisons(comparer, TRACK) as comparisons:
        await taken(comparisons, comparer, 1)
        await taken(comparisons, comparer, 1)
        finished = asyncio.create_task(comparisons.finish())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert comparer.batches == [1, 1]
        comparer.go_on.set()
        await finished

    assert comparisons.counts.appearances == 2
