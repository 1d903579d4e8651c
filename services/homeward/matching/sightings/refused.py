"""Erasing what scans found whose authorisation was refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from homeward.matching.gallery.ports import Removed
from homeward.matching.sightings.feed import ChangeKind
from homeward.matching.sightings.kept import KeptSightings, ledger_key
from homeward.matching.sightings.ledger import LedgerKey
from homeward.matching.sightings.model import ErasedSighting, Sighting
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.sightings.spans import Span
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore


@dataclass(frozen=True, slots=True)
class RemovedFindings:
    """What was removed of what a scan found."""

    sightings: Removed
    sightings_left: int
    """How many of these are still returned."""
    stills: int
    """How many were removed."""
    stills_left: int
    """How many of these, old versions included, are still there."""
    spans: int
    """Spans of the ledger that were removed, of rejected sightings too."""
    spans_left: int
    """Spans that still name the scan."""


class RefusedScans:
    """The scans that were refused, and what they found.

    A refusal is written down before anything is erased. Whoever records a finding of the scan reads
    it before and after, so that nothing outlasts the erasure.

    Args:
        kept: The sightings that are kept.
        store: Says which scans were refused, under `refused.<id>`.
    """

    def __init__(self, kept: KeptSightings, store: KeyValueStore) -> None:
        self._kept = kept
        self._store = store

    async def has(self, scan_id: str) -> bool:
        """Return whether a scan was refused."""
        return await self._store.get(_key(scan_id)) is not None

    async def add(self, scan_id: str) -> bool:
        """Write down that a scan was refused; return whether that was so before."""
        with suppress(ConflictError):
            await self._store.create(_key(scan_id), b"{}")
            return False
        return True

    async def erase_found(self, scan_id: str) -> RemovedFindings:
        """Erase what a scan found, confirmed sightings too, unless another scan found it as well.

        Sightings and stills go before the ledger, by which an erasure that broke off is repeated. A
        scan that finds the same in another replica at this moment may lose its sighting; it comes
        back with the next search, as the ledger does not count it as decided.
        """
        async with self._kept.changing:
            spans = await self._kept.ledger.found_by(scan_id)
            going = await self._going(scan_id, spans)
            names = [one.sighting_id for one in going]
            held = await self._held(names)
            for key, span in spans:  # or else they would count as lost
                if _alone(scan_id, span):
                    await self._kept.ledger.note_recorded(key, span.sighting_id, recorded=False)
            stills = sum([await self._kept.stills.count(name) for name in names])
            removed = await self._kept.forget(going)
            await self._hand_over(scan_id, spans)
            for key in dict.fromkeys(key for key, _ in spans):
                await self._kept.ledger.forget_scan(key, scan_id)
        left = await self._kept.ledger.found_by(scan_id)
        return RemovedFindings(
            sightings=replace(removed, count=len(held)),
            sightings_left=len(await self._held(held)),
            stills=stills,
            stills_left=sum([await self._kept.stills.left(name) for name in names]),
            spans=sum(_alone(scan_id, span) for _, span in spans),
            spans_left=len(left),
        )

    async def _held(self, sighting_ids: Sequence[str]) -> list[str]:
        """Return the sightings that the index has."""
        return sorted(await self._kept.index.holding(sighting_ids))

    async def _going(
        self, scan_id: str, spans: Sequence[tuple[LedgerKey, Span]]
    ) -> list[ErasedSighting]:
        """Return what names the sightings that the scan alone found."""
        names: dict[str, ErasedSighting] = {}
        shared: defaultdict[LedgerKey, set[str]] = defaultdict(set)
        for key, span in spans:
            for name in (span.sighting_id, *span.absorbed):
                if _alone(scan_id, span):
                    names[name] = ErasedSighting(name, key.subject_id)
                else:
                    shared[key].add(name)
        # Those too of which the ledger does not say who found them: it is older, or was lost.
        for one in await self._first_found(scan_id):
            if one.sighting_id not in shared[ledger_key(one)]:
                names[one.sighting_id] = ErasedSighting(one.sighting_id, one.subject_id)
        return list(names.values())

    async def _hand_over(self, scan_id: str, spans: Sequence[tuple[LedgerKey, Span]]) -> None:
        """Have sightings that other scans found too be theirs."""
        others = {span.sighting_id: span for _, span in spans if not _alone(scan_id, span)}
        for one in await self._first_found(scan_id):
            if (span := others.get(one.sighting_id)) is not None:
                heir = next(name for name in span.scan_ids if name != scan_id)
                await self._kept.index.update(replace(one, scan_id=heir))
                await self._kept.tell(ChangeKind.ALTERED, replace(one, scan_id=heir))

    async def _first_found(self, scan_id: str) -> list[Sighting]:
        return await self._kept.index.find(SightingFilter(scan_ids=[scan_id]))


def _alone(scan_id: str, span: Span) -> bool:
    return span.scan_ids == (scan_id,)


def _key(scan_id: str) -> str:
    return f"refused.{scan_id}"
