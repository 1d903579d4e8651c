"""The stored sightings: the index, their stills, and the feed of their changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime

from homeward.matching.gallery.ports import Removed
from homeward.matching.sightings.counted import CandidateCounts
from homeward.matching.sightings.deciding import with_decisions
from homeward.matching.sightings.feed import Change, ChangeKind, SightingFeed, case_digest
from homeward.matching.sightings.ledger import LedgerKey, SightingLedger
from homeward.matching.sightings.model import ErasedSighting, Sighting, SightingState
from homeward.matching.sightings.ports import SightingIndex
from homeward.matching.sightings.stills import Stills
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock

CaseOf = Callable[[str], Awaitable[str]]
"""Tells the case of a subject; empty of one that is closed."""


class KeptSightings:
    """The parts that recording, reviewing and erasing sightings share.

    Args:
        index: The sightings.
        ledger: Of their spans.
        stills: Of the sightings.
        feed: Of what happens to them.
        case_of: Tells the case of a subject.
        clock: Tells the time.
        counts: Of candidates; None counts none.

    Attributes:
        changing: Lock to hold while a sighting is read and written back. Replicas do not share it:
            spans and decisions are safe by the ledger (`as_decided`), but the worse of two scores
            could win, until the next rescan.
        untold: Whether a change could not be told since the feed was last compared with the ledger.
    """

    def __init__(
        self,
        *,
        index: SightingIndex,
        ledger: SightingLedger,
        stills: Stills,
        feed: SightingFeed,
        case_of: CaseOf,
        clock: Clock,
        counts: CandidateCounts | None = None,
    ) -> None:
        self.index = index
        self.ledger = ledger
        self.stills = stills
        self.feed = feed
        self._case_of = case_of
        self.clock = clock
        self._counts = counts
        self.changing = asyncio.Lock()
        self.untold = True

    async def tell(self, kind: ChangeKind, sighting: Sighting | ErasedSighting) -> None:
        """Count a change that is done, and add it to the feed; an erasure before it is done.

        What could not be told is told again: so it is counted again too, which changes nothing.
        """
        try:
            if self._counts is not None and isinstance(sighting, Sighting):
                await self._counts.count(sighting)
            case = await self._case_of(sighting.subject_id)
            # The record goes before its sightings do: then the last change says it.
            digest = case_digest(case) if case else await self.feed.case_digest(sighting.subject_id)
            await self.feed.publish(Change.of(kind, sighting, digest))
        except errors.UnavailableError:
            self.untold = True
            raise

    def is_expired(self, sighting: Sighting) -> bool:
        """Return whether a sighting is undecided, and past its deadline."""
        kept = sighting.state is SightingState.CONFIRMED
        return not kept and self.clock.now() >= sighting.delete_time

    async def as_decided(self, written: Sighting) -> Sighting | None:
        """Give a sighting that was just written the state that a reviewer has decided on.

        A decision is written to the ledger, by compare-and-set, before it is written to the index.
        After a sighting is written, the ledger is read: so the last writer has read a decision that
        was taken in another replica meanwhile, and does not undo it.

        Returns:
            The sighting as it is now; None when it was rejected, and is erased.
        """
        span = await self.ledger.span(ledger_key(written), written.sighting_id)
        if span is not None and span.rejected:
            await self.forget([erased(written)])
            return None
        decided = with_decisions(written, span) if span is not None else written
        if span is None or decided == written:
            return written
        if not await self.write(written, decided):
            return None
        if span.is_confirmed:
            await self.stills.delete_pending(decided.sighting_id)
        elif written.state is SightingState.CONFIRMED:  # it was taken back
            await self.stills.delete_confirmed(decided.sighting_id)
        await self.tell(ChangeKind.REVIEWED, decided)
        return decided

    async def write(
        self, before: Sighting, after: Sighting, *, until: datetime | None = None
    ) -> bool:
        """Write a sighting in another state, with its stills, unless it is not there any more.

        Args:
            before: The sighting as its stills are kept.
            after: As it is to be kept.
            until: When the store itself is to remove the stills; None leaves that to their age.

        Returns:
            Whether it is there. Another replica may have erased it after it was read, before its
            stills were copied to where they would have stayed: then these are gone again.
        """
        await self.stills.move(before, after, until=until)
        await self.index.update(after)
        if await self.index.get(after.sighting_id) is not None:
            return True
        await self.stills.delete(after.sighting_id)
        return False

    async def forget(self, going: Collection[ErasedSighting]) -> Removed:
        """Erase sightings, and publish that."""
        # Published first: if this breaks off, the erasure is repeated and published again.
        for item in going:
            await self.tell(ChangeKind.ERASED, item)
        return await self.remove(going)

    async def remove(self, going: Collection[ErasedSighting]) -> Removed:
        """Erase sightings with their stills.

        Raises:
            FailedPreconditionError: `RETENTION_UNSAFE`: the store keeps a still. Its sighting stays
                too, so that it is tried again; the others are gone.
        """
        if not going:
            return Removed(0)
        refusals: dict[str, errors.FailedPreconditionError] = {}
        for item in going:
            try:
                await self.stills.delete(item.sighting_id)
            except errors.FailedPreconditionError as error:
                refusals[item.sighting_id] = error
        names = [item.sighting_id for item in going if item.sighting_id not in refusals]
        removed = await self.index.remove(names)
        for name in names:
            # Whoever was about to write it (`write`) either sees now that it is gone, or had copied
            # its stills before.
            if await self.stills.count(name):
                await self.stills.delete(name)
        if refusals:
            raise next(iter(refusals.values()))
        return removed


def erased(sighting: Sighting, sighting_id: str = "") -> ErasedSighting:
    """Return what names a sighting, or another one of the same subject in the same recording."""
    name = sighting_id or sighting.sighting_id
    return ErasedSighting(name, sighting.subject_id)


def ledger_key(sighting: Sighting) -> LedgerKey:
    """Return the key of the ledger that a sighting is in."""
    return LedgerKey(sighting.footage_id, sighting.subject_id)
