"""Telling what nobody was told, because whoever did it died before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from homeward.core.inventory import RECORD_LIMIT
from homeward.matching.sightings.deciding import state_of, with_decisions
from homeward.matching.sightings.feed import Change, ChangeKind
from homeward.matching.sightings.kept import KeptSightings
from homeward.matching.sightings.ledger import LedgerKey
from homeward.matching.sightings.model import ErasedSighting, Sighting, SightingState
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.sightings.spans import Span

log = structlog.get_logger()

COMPARED_EVERY = timedelta(hours=1)
"""How often feed and ledger are compared, besides when a process starts, and when a change could
not be told."""

_MARGIN = timedelta(days=1)
"""Before the end of what the feed keeps, within which a change that is not in it is not missed."""


class UntoldChanges:
    """Compares the feed with the ledger, which is written first, and tells what the feed lacks.

    Args:
        kept: The sightings that are kept.
    """

    def __init__(self, kept: KeptSightings) -> None:
        self._kept = kept
        self._compared: datetime | None = None

    async def tell(self) -> int:
        """Tell what is not told, if it is time to look; return how many changes that were.

        A change that somebody is about to tell at this moment may be told twice.
        """
        now = self._kept.clock.now()
        last = self._compared
        looked = last is not None and timedelta() <= now - last < COMPARED_EVERY
        if looked and not self._kept.untold:
            return 0
        self._kept.untold = False  # set again by what cannot be told meanwhile
        told = await self._kept.feed.last()
        since = max(await self._kept.feed.kept_since(), now - RECORD_LIMIT + _MARGIN)
        count = 0
        decided = await self._decided()
        for key, span in await self._kept.ledger.spans():
            if not _is_told(span, told.get(span.sighting_id), decided):
                count += await self._tell_span(key, span.sighting_id, told, since)
        self._compared = now
        if count:
            log.info("changes told late", count=count)
        return count

    async def _decided(self) -> frozenset[str]:
        """Return the sightings that somebody has decided on, as the index has them."""
        states = [one for one in SightingState if one is not SightingState.UNREVIEWED]
        found = await self._kept.index.find(SightingFilter(states=states))
        return frozenset(one.sighting_id for one in found)

    async def _tell_span(
        self, key: LedgerKey, sighting_id: str, told: Mapping[str, Change], since: datetime
    ) -> bool:
        change = told.get(sighting_id)
        async with self._kept.changing:
            span = await self._kept.ledger.span(key, sighting_id)
            if span is None:
                return False
            if span.rejected:
                return await self._tell_rejected(key, span, change)
            sighting = await self._kept.index.get(sighting_id)
            if sighting is None:
                return False
            decided = with_decisions(sighting, span)
            if change is None or (change.state is None and span.recorded):
                new = sighting.create_time >= since
                if new:
                    await self._kept.tell(ChangeKind.RECORDED, sighting)
                if not any(one.review_time >= since for one in decided.given_reviews):
                    return new
            elif change.state in (None, decided.state):
                return False
            return await self._tell_decided(sighting, decided)

    async def _tell_decided(self, sighting: Sighting, decided: Sighting) -> bool:
        if decided.state is sighting.state:
            await self._kept.tell(ChangeKind.REVIEWED, decided)
        else:  # which tells it too
            await self._kept.as_decided(sighting)
        return True

    async def _tell_rejected(self, key: LedgerKey, span: Span, change: Change | None) -> bool:
        """Finish a rejection: the sighting goes, and the feed says so."""
        if change is None or change.state in (None, SightingState.REJECTED):
            return False
        sighting = await self._kept.index.get(span.sighting_id)
        gone = ErasedSighting(span.sighting_id, key.subject_id)
        if sighting is None:
            await self._kept.tell(ChangeKind.ERASED, gone)
            return True
        rejected = replace(sighting, state=SightingState.REJECTED)
        await self._kept.tell(ChangeKind.REVIEWED, rejected)
        await self._kept.remove([gone])
        return True


def _is_told(span: Span, change: Change | None, decided: Collection[str]) -> bool:
    """Tell whether the last change says what the ledger does: of most spans, without a look.

    Args:
        span: Of the ledger.
        change: The last that was told of its sighting; None if none is known.
        decided: Sightings that somebody has decided on, as the index has them.
    """
    if change is None or change.state is None:
        return change is not None and span.rejected
    if span.rejected:
        return change.state is SightingState.REJECTED
    if span.given_reviews:
        return change.state is state_of(span)
    # Of a span without a decision, the index knows if there is one: the ledger may have been lost.
    return change.state is SightingState.UNREVIEWED and span.sighting_id not in decided
