"""Sightings that were recorded and are not there any more, although nobody had them removed.

Qdrant may come back empty, or with an older state. A list of sightings would be shorter then,
without a word. What should be there is known without Qdrant: the ledger has every sighting that was
recorded in a recording that is held, and the store of evidence has the still of every confirmed
one. A lost sighting is found again by searching its recording again: it comes back under its id,
with the decision that a reviewer has taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass

from homeward.matching.sightings.kept import KeptSightings
from homeward.matching.sightings.ledger import RecordedSpan
from homeward.matching.sightings.stills import sighting_in


@dataclass(frozen=True, slots=True)
class Lost:
    """What the index has lost."""

    sightings: tuple[RecordedSpan, ...] = ()
    """Of recordings that are held, each recording's together."""
    confirmed_stills: int = 0
    """Stills of other confirmed sightings that are not there: of whom, nobody knows."""

    @property
    def count(self) -> int:
        """How many are lost, as far as is known."""
        return len(self.sightings) + self.confirmed_stills


class LostSightings:
    """Finds lost sightings.

    Args:
        kept: The sightings that are kept.
        subject_is_open: Tells whether a subject is looked for.
    """

    def __init__(
        self, kept: KeptSightings, subject_is_open: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._kept = kept
        self._subject_is_open = subject_is_open

    async def find(
        self, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> Lost:
        """Return what is lost, of some subjects in some recordings; an empty filter fits all.

        Stills of confirmed sightings are looked through whatever the filter, and those are counted
        of which the ledger does not say whose they are.
        """
        # In this order: what is recorded meanwhile is not looked for.
        recorded = await self._recorded(subject_ids, footage_ids)
        stills = {sighting_in(one.key) for one in await self._kept.stills.of_confirmed()}
        there = await self._kept.index.holding(recorded.keys() | stills)
        lost = recorded.keys() - there
        if lost:  # what is removed meanwhile is not lost: the ledger knows it before the index
            lost &= (await self._recorded(subject_ids, footage_ids)).keys()
        sightings = await self._of_open(recorded[name] for name in lost)
        others = stills - there - {one.sighting_id for one in sightings}
        if others and (subject_ids or footage_ids):  # of others it is known whose they are
            others -= (await self._recorded((), ())).keys()
        return Lost(
            tuple(sorted(sightings, key=lambda one: (one.footage_id, one.start, one.sighting_id))),
            await self._without(others) if others else 0,
        )

    async def _recorded(
        self, subject_ids: Collection[str], footage_ids: Collection[str]
    ) -> dict[str, RecordedSpan]:
        recorded = self._kept.ledger.recorded(subject_ids=subject_ids, footage_ids=footage_ids)
        return {one.sighting_id: one for one in await recorded}

    async def _of_open(self, spans: Iterable[RecordedSpan]) -> list[RecordedSpan]:
        """Return those of subjects who are looked for: a subject's ledgers go last."""
        given = list(spans)
        wanted = {
            name for name in {one.subject_id for one in given} if await self._subject_is_open(name)
        }
        return [one for one in given if one.subject_id in wanted]

    async def _without(self, names: Collection[str]) -> int:
        """Return how many stills are there still: a still goes before its sighting."""
        now = {sighting_in(one.key) for one in await self._kept.stills.of_confirmed()}
        return len(now.intersection(names))
