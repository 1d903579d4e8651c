"""Handing candidates out to reviewers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, replace

from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.kept import KeptSightings
from homeward.matching.sightings.leases import ReviewLeases, SightingLease
from homeward.matching.sightings.model import Decision, Sighting, SightingState
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.sightings.queue import ReviewQueue
from homeward.servicekit.identity.caller import is_same_person

SubjectsOfCases = Callable[[Collection[str]], Awaitable[Collection[str] | None]]
"""Tells the ids of those who are looked for in some cases, or in all where none is named, and whom
the current caller may see; None for everybody."""

_OPEN = (SightingState.UNREVIEWED, SightingState.AWAITING_SECOND)


@dataclass(frozen=True, slots=True)
class LeaseQuery:
    """Which candidates to hand out; what is empty fits all."""

    subject_ids: Collection[str] = ()
    case_references: Collection[str] = ()
    camera_ids: Collection[str] = ()
    excluded: Collection[str] = ()
    """Not these sightings."""
    include_inconclusive: bool = False
    """Also what others, or the reviewer, could not tell."""

    @property
    def states(self) -> Collection[SightingState]:
        """The states of what may be handed out."""
        return (*_OPEN, SightingState.INCONCLUSIVE) if self.include_inconclusive else _OPEN


@dataclass(frozen=True, slots=True)
class HandedOut:
    """What a reviewer has been handed, and how much there is."""

    sightings: tuple[tuple[Sighting, SightingLease], ...] = ()
    open: int = 0
    """How many fit that the reviewer may judge, whoever holds them."""
    held_by_others: int = 0
    own_searches: int = 0
    """How many fit that the reviewer asked for, and may not confirm."""


class SightingLeasing:
    """Hands candidates out, each to one reviewer at a time.

    Args:
        kept: The sightings that are kept.
        leases: Who has which.
        visible: Tells whom the caller may see, of some cases or of all.
        rules: What is asked of those who review.
    """

    def __init__(
        self,
        kept: KeptSightings,
        leases: ReviewLeases,
        visible: SubjectsOfCases,
        rules: ReviewRules,
    ) -> None:
        self._kept = kept
        self._leases = leases
        self._visible = visible
        self._rules = rules

    async def hand_out(self, query: LeaseQuery, reviewer: str, *, count: int) -> HandedOut:
        """Hand out the next candidates, those first that the reviewer holds already.

        Args:
            query: Which.
            reviewer: Who is to judge them.
            count: How many the reviewer is to hold of them at most.
        """
        which = await self._scope(query)
        if which is None:
            return HandedOut()
        judged = await self._spellings(reviewer, self._kept.index.reviewers)
        asked: Collection[str] = ()
        if self._rules.separate_reviewers:
            asked = await self._spellings(reviewer, self._kept.index.requesters)
        fitting = replace(
            which,
            but_requesters=asked,
            # What they could not tell, they may be asked again.
            but_reviewers=() if query.include_inconclusive else judged,
        )
        queue = ReviewQueue(
            self._kept.index,
            fitting,
            lambda one: (
                self._may_judge(one, query, reviewer) and not self._asked_for(one, reviewer)
            ),
        )
        holders = await self._leases.holders()
        held = await self._read(queue, holders)
        mine = [one for one in held if is_same_person(holders[one.sighting_id], reviewer)]
        others = {one.sighting_id for one in held} - {one.sighting_id for one in mine}
        handed: list[tuple[Sighting, SightingLease]] = []
        async with aclosing(queue.ordered(mine)) as ordered:
            async for one in ordered:
                if len(handed) == count:
                    break
                if one.sighting_id in others:
                    continue
                lease = await self._leases.take(one.sighting_id, reviewer)
                if lease is None:  # another replica has handed it out since
                    others.add(one.sighting_id)
                elif (now := await self._as_it_is(one, queue)) is None:
                    await self._leases.give_back(one.sighting_id, reviewer)
                else:
                    handed.append((now, lease))
        return HandedOut(
            tuple(handed),
            await self._count(queue, judged),
            len(others),
            await self._kept.index.count(replace(which, requesters=asked)) if asked else 0,
        )

    async def renew(self, sighting_ids: Collection[str], reviewer: str) -> list[SightingLease]:
        """Renew leases, or take those again that have ended.

        What others have is left out, and so is what is not there, or not for the caller: nobody
        keeps what they may not see from those who may.
        """
        visible = await self._visible(())
        taken = [
            await self._leases.take(name, reviewer)
            for name in sighting_ids
            if await self._is_open_to(visible, name)
        ]
        return [lease for lease in taken if lease is not None]

    async def _is_open_to(self, visible: Collection[str] | None, sighting_id: str) -> bool:
        """Return whether a sighting of visible subjects, None for all, can be decided on."""
        found = await self._kept.index.get(sighting_id)
        return (
            found is not None
            and (visible is None or found.subject_id in visible)
            and found.state in (*_OPEN, SightingState.INCONCLUSIVE)
            and not self._kept.is_expired(found)
        )

    async def give_back(self, sighting_ids: Collection[str], reviewer: str) -> None:
        """Give leases back."""
        for name in sighting_ids:
            await self._leases.give_back(name, reviewer)

    async def _scope(self, query: LeaseQuery) -> SightingFilter | None:
        """Return which sightings are asked for, whoever may judge them; None for nobody's."""
        visible = await self._visible(query.case_references)
        subject_ids = query.subject_ids
        if visible is not None:
            named = set(query.subject_ids)
            subject_ids = [one for one in visible if not named or one in named]
            if not subject_ids:
                return None
        return SightingFilter(
            subject_ids=subject_ids,
            camera_ids=query.camera_ids,
            states=query.states,
            unexpired_at=self._kept.clock.now(),
            but_sighting_ids=query.excluded,
        )

    @staticmethod
    async def _read(queue: ReviewQueue, sighting_ids: Collection[str]) -> list[Sighting]:
        """Return those of some sightings that are in a queue."""
        if not sighting_ids:
            return []
        found = await queue.index.find(replace(queue.which, sighting_ids=sighting_ids))
        return [one for one in found if queue.fits(one)]

    @staticmethod
    async def _count(queue: ReviewQueue, reviewers: Collection[str]) -> int:
        """Return how many are in a queue.

        Args:
            queue: Of the reviewer.
            reviewers: The reviewer's name, as it is written where they have decided.
        """
        count = await queue.index.count(queue.which)
        if queue.which.but_reviewers:
            return count
        # Of what the reviewer has judged, that which no filter tells from what they may judge.
        judged = await queue.index.find(replace(queue.which, reviewers=reviewers))
        return count - sum(not queue.fits(one) for one in judged)

    @staticmethod
    async def _spellings(
        reviewer: str, names: Callable[[], Awaitable[Collection[str]]]
    ) -> Collection[str]:
        """Return the name of a reviewer as it is given, and as it is written among others.

        As it is given in any case: of very many names the index does not tell all.
        """
        return {reviewer, *(name for name in await names() if is_same_person(name, reviewer))}

    async def _as_it_is(self, listed: Sighting, queue: ReviewQueue) -> Sighting | None:
        """Return a sighting that was leased as it is now; None if it is in the queue no more.

        Who held the lease before may have decided after the list was read, or the reviewer's own
        search has found it too. The ledger knows of what has not reached the index yet.
        """
        async with self._kept.changing:
            now = await self._kept.index.get(listed.sighting_id)
            if now is not None:
                now = await self._kept.as_decided(now)
        if now is None or now.state not in queue.which.states or self._kept.is_expired(now):
            return None
        return now if queue.fits(now) else None

    def _asked_for(self, sighting: Sighting, reviewer: str) -> bool:
        return self._rules.separate_reviewers and any(
            is_same_person(one, reviewer) for one in sighting.requesters
        )

    @staticmethod
    def _may_judge(sighting: Sighting, query: LeaseQuery, reviewer: str) -> bool:
        own = [one for one in sighting.given_reviews if is_same_person(one.reviewer, reviewer)]
        unsure = all(one.decision is Decision.INCONCLUSIVE for one in own)
        return not own or (unsure and query.include_inconclusive)
