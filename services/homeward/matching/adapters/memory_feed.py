"""The feed of sightings in one process, for tests; the contract suite holds it to NATS'."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime

from homeward.matching.sightings.feed import (
    Change,
    Told,
    place_of,
    position_in,
    require_kept,
)

_NAME = "memory"


class InMemorySightingFeed:
    """A `SightingFeed` in one process."""

    def __init__(self) -> None:
        self._told: list[Told] = []
        self._first = 1
        self._followers: list[asyncio.Event] = []

    async def publish(self, change: Change) -> None:
        """Add a change."""
        number = self._first + len(self._told)
        self._told.append(Told(place_of(_NAME, number), change, datetime.now(UTC)))
        for news in self._followers:
            news.set()

    def forget(self, count: int) -> None:
        """Forget the oldest changes, as time does."""
        self._told = self._told[count:]
        self._first += count

    async def follow(
        self, after: str = "", *, from_oldest: bool = False
    ) -> AsyncGenerator[Told | str, None]:
        """Yield the changes after a place, and places when nothing more is to be told."""
        last = self._first + len(self._told) - 1
        at = self._first - 1 if from_oldest else last
        if after:
            at = position_in(after, _NAME)
            require_kept(at, first=self._first, last=last)
        news = asyncio.Event()
        self._followers.append(news)
        try:
            while True:
                news.clear()
                while (index := at + 1 - self._first) < len(self._told):
                    at += 1
                    yield self._told[index]
                yield place_of(_NAME, at)
                await news.wait()
        finally:
            self._followers.remove(news)

    async def case_digest(self, subject_id: str) -> str:
        """Return the digest of the case that the last change of a subject has."""
        changes = (one.change for one in reversed(self._told))
        return next((one.case_digest for one in changes if one.subject_id == subject_id), "")

    async def count(self, subject_id: str) -> int:
        """Return how many sightings of a subject are in the feed."""
        changes = (one.change for one in self._told)
        return len({one.sighting_id for one in changes if one.subject_id == subject_id})

    async def last(self) -> Mapping[str, Change]:
        """Return the last change of each sighting."""
        return {one.change.sighting_id: one.change for one in self._told}

    async def kept_since(self) -> datetime:
        """Return since when the feed is there."""
        return datetime.fromtimestamp(0, UTC)  # as if for ever
