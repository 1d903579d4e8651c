"""Handing candidates out to reviewers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.kept import KeptSightings
from homeward.matching.sightings.leases import ReviewLeases, SightingLease
from homeward.matching.sightings.model import Decision, Sighting, SightingState
from homeward.matching.sightings.order import in_order
from homeward.matching.sightings.ports import SightingFilter
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
        found = await self._found(query)
        own = [one for one in found if self._asked_for(one, reviewer)]
        fitting = [one for one in found if one not in own and self._may_judge(one, query, reviewer)]
        holders = await self._leases.holders()
        mine = {name for name, holder in holders.items() if is_same_person(holder, reviewer)}
        ordered = in_order(fitting, begun=mine)
        ordered.sort(key=lambda one: one.sighting_id not in mine)  # stable
        handed: list[tuple[Sighting, SightingLease]] = []
        others = {one.sighting_id for one in fitting} & (holders.keys() - mine)
        for one in ordered:
            if len(handed) == count:
                break
            if one.sighting_id in others:
                continue
            lease = await self._leases.take(one.sighting_id, reviewer)
            if lease is None:  # another replica has handed it out since
                others.add(one.sighting_id)
            elif (now := await self._as_it_is(one, query, reviewer)) is None:
                await self._leases.give_back(one.sighting_id, reviewer)
            else:
                handed.append((now, lease))
        return HandedOut(tuple(handed), len(fitting), len(others), len(own))

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

    async def _found(self, query: LeaseQuery) -> list[Sighting]:
        visible = await self._visible(query.case_references)
        subject_ids = query.subject_ids
        if visible is not None:
            named = set(query.subject_ids)
            subject_ids = [one for one in visible if not named or one in named]
            if not subject_ids:
                return []
        which = SightingFilter(
            subject_ids=subject_ids,
            camera_ids=query.camera_ids,
            states=query.states,
            unexpired_at=self._kept.clock.now(),
        )
        found = await self._kept.index.find(which)
        return [one for one in found if one.sighting_id not in query.excluded]

    async def _as_it_is(
        self, listed: Sighting, query: LeaseQuery, reviewer: str
    ) -> Sighting | None:
        """Return a sighting that was leased as it is now; None if it is not to be judged any more.

        Who held the lease before may have decided after the list was read. The ledger knows of a
        decision that has not reached the index yet.
        """
        async with self._kept.changing:
            now = await self._kept.index.get(listed.sighting_id)
            if now is not None:
                now = await self._kept.as_decided(now)
        if now is None or now.state not in query.states or self._kept.is_expired(now):
            return None
        return now if self._may_judge(now, query, reviewer) else None

    def _asked_for(self, sighting: Sighting, reviewer: str) -> bool:
        return self._rules.separate_reviewers and any(
            is_same_person(one, reviewer) for one in sighting.requesters
        )

    @staticmethod
    def _may_judge(sighting: Sighting, query: LeaseQuery, reviewer: str) -> bool:
        own = [one for one in sighting.given_reviews if is_same_person(one.reviewer, reviewer)]
        unsure = all(one.decision is Decision.INCONCLUSIVE for one in own)
        return not own or (unsure and query.include_inconclusive)
