"""Reading sightings, deciding on them, and exporting confirmed ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from homeward.matching.sightings.deciding import (
    ReviewRules,
    Verdict,
    decided,
    span_of_sighting,
    with_decisions,
)
from homeward.matching.sightings.feed import ChangeKind
from homeward.matching.sightings.kept import KeptSightings, erased, ledger_key
from homeward.matching.sightings.leases import ReviewLeases
from homeward.matching.sightings.ledger import RejectedSpan
from homeward.matching.sightings.lost import Lost, LostSightings
from homeward.matching.sightings.model import (
    Decision,
    Review,
    Sighting,
    SightingState,
)
from homeward.matching.sightings.ports import SightingCursor, SightingFilter
from homeward.matching.sightings.spans import Rejection
from homeward.servicekit import errors

VisibleSubjects = Callable[[], Awaitable[Collection[str] | None]]
"""Tells the ids of the subjects whom the current caller may see; None for all."""


class SightingReview:
    """Reads sightings, takes decisions on them, and gives confirmed ones out.

    Sightings of subjects whom the current caller may not see are not there.

    Args:
        kept: The sightings that are kept.
        lost: Finds those that are lost.
        visible: Tells whom the caller may see.
        rules: What is asked of those who review.
        leases: Who has been handed which sighting.
    """

    def __init__(
        self,
        kept: KeptSightings,
        lost: LostSightings,
        visible: VisibleSubjects,
        rules: ReviewRules,
        leases: ReviewLeases,
    ) -> None:
        self._leases = leases
        self._kept = kept
        self._lost = lost
        self._visible = visible
        self._rules = rules

    @property
    def rules(self) -> ReviewRules:
        """What is asked of those who review."""
        return self._rules

    async def get(self, sighting_id: str) -> Sighting:
        """Return a sighting.

        Raises:
            NotFoundError: `SIGHTING_NOT_FOUND`; an undecided one past its deadline too.
        """
        sighting = await self._kept.index.get(sighting_id)
        if (
            sighting is None
            or self._kept.is_expired(sighting)
            or not await self._may_see(sighting.subject_id)
        ):
            raise _not_found(sighting_id)
        return sighting

    async def still(self, sighting: Sighting) -> bytes | None:
        """Return the still of a sighting, a JPEG file, or None when it is gone."""
        return await self._kept.stills.get(sighting)

    async def stills(self, sighting: Sighting) -> list[bytes]:
        """Return the JPEG files of `given_stills`; empty bytes for those that are gone."""
        read = (self._kept.stills.of(sighting, one) for one in sighting.given_stills)
        return [still or b"" for still in await asyncio.gather(*read)]

    async def page(
        self, which: SightingFilter, *, size: int, after: SightingCursor | None = None
    ) -> tuple[list[Sighting], SightingCursor | None]:
        """Return some of the sightings that fit, most alike first.

        Args:
            which: Sightings to list; those past their deadline are left out.
            size: How many at most.
            after: How far the list was told; None for its beginning.

        Returns:
            The sightings, and how far the list is told with them; None after the last.
        """
        subject_ids = await self._visible_among(which.subject_ids)
        if subject_ids is None:
            return [], None
        listed = replace(which, subject_ids=subject_ids, unexpired_at=self._kept.clock.now())
        found = await self._kept.index.page(listed, size=size + 1, after=after)
        page = sorted(found[:size], key=lambda one: (-one.score, one.sighting_id))
        if len(found) <= size:
            return page, None
        return page, SightingCursor.behind(page, after)

    async def lost(self, which: SightingFilter) -> Lost:
        """Return what was recorded of the listed subjects and recordings, and is lost.

        The other filters do not count: what is not there has no camera and no score.
        """
        subject_ids = await self._visible_among(which.subject_ids)
        if subject_ids is None:
            return Lost()
        return await self._lost.find(subject_ids=subject_ids, footage_ids=which.footage_ids)

    async def with_prefix(
        self, prefix: str, *, size: int, after: str = ""
    ) -> tuple[list[Sighting], str]:
        """Return some of the sightings whose ids begin so, in the order of their ids.

        Args:
            prefix: As of `SightingIndex.with_prefix`.
            size: How many at most.
            after: The last that was told; empty for the beginning.

        Returns:
            The sightings, and the id of the last of them; no id after the last of all.
        """
        subject_ids = await self._visible_among(())
        if subject_ids is None:
            return [], ""
        listed = SightingFilter(subject_ids=subject_ids, unexpired_at=self._kept.clock.now())
        found = await self._kept.index.with_prefix(prefix, listed, size=size + 1, after=after)
        return found[:size], found[size - 1].sighting_id if len(found) > size else ""

    async def review(
        self, sighting_id: str, *, decision: Decision, reason: str, reviewer: str
    ) -> Sighting | RejectedSpan:
        """Record a reviewer's decision; how decisions add up, `deciding.decided` says.

        A rejected sighting is erased at once.

        Returns:
            The sighting as decided. A repeated decision by the same reviewer is answered again; of
            a rejection, the answer has only what is remembered.

        Raises:
            NotFoundError: `SIGHTING_NOT_FOUND`.
            FailedPreconditionError: `SIGHTING_REVIEWED`, when it was confirmed before;
                `REVIEWER_DECIDED_BEFORE`; `SIGHTING_LEASED`, to another reviewer.
            PermissionDeniedError: `REVIEWER_IS_REQUESTER`.
        """
        async with self._kept.changing:
            if decision is Decision.REJECT:
                before = await self._rejected_before(sighting_id, reviewer)
                if before is not None:
                    return before
            sighting = await self.get(sighting_id)
            review = Review(decision, reason, reviewer, self._kept.clock.now())
            if sighting.state is SightingState.CONFIRMED:
                _require_counted(sighting.given_reviews, review, sighting_id)
                await self._finish(sighting)
                return sighting
            await self._leases.require_free(sighting_id, reviewer)
            decided = await self._decide(sighting, review)
            await self._leases.give_back(sighting_id, reviewer)
            return decided

    async def rejections(
        self, *, subject_ids: Collection[str], footage_ids: Collection[str]
    ) -> list[RejectedSpan]:
        """Return what is remembered of rejected sightings, newest first; no filter fits all."""
        seen = await self._visible_among(subject_ids)
        if seen is None:
            return []
        return await self._kept.ledger.rejections(subject_ids=seen, footage_ids=footage_ids)

    async def export(self, sighting_id: str, *, unapproved: bool = False) -> tuple[Sighting, bytes]:
        """Return a confirmed sighting and its still, to disclose.

        Args:
            sighting_id: Of the sighting.
            unapproved: Export it even if it was found by a policy that nobody approved.

        Raises:
            NotFoundError: `SIGHTING_NOT_FOUND`.
            FailedPreconditionError: `SIGHTING_NOT_CONFIRMED`, `POLICY_NOT_APPROVED`.
        """
        sighting = await self.get(sighting_id)
        _require_exportable(sighting, unapproved=unapproved)
        still = await self.still(sighting)
        if still is None:  # before it is noted as given out
            # It may have been taken back at this moment.
            _require_exportable(await self.get(sighting_id), unapproved=unapproved)
            raise errors.NotFoundError(
                f"the still of sighting {sighting_id} is gone: "
                + (
                    "the object store does not have it any more"
                    if sighting.still_gone
                    else "its subject is being closed, or the object store has lost it"
                ),
                reason=errors.Reason.SIGHTING_NOT_FOUND,
                metadata={"sighting_id": sighting_id},
            )
        return await self._exported(sighting, unapproved=unapproved), still

    async def _exported(self, listed: Sighting, *, unapproved: bool) -> Sighting:
        """Return a confirmed sighting, after noting that it is given out.

        Who confirmed it may take that back until then, in another replica too: the ledger decides.
        """
        span = await self._kept.ledger.note_exported(ledger_key(listed), listed.sighting_id)
        sighting = with_decisions(listed, span) if span is not None else listed
        _require_exportable(sighting, unapproved=unapproved)
        return sighting

    async def _may_see(self, subject_id: str) -> bool:
        visible = await self._visible()
        return visible is None or subject_id in visible

    async def _visible_among(self, subject_ids: Collection[str]) -> Collection[str] | None:
        """Return which of some subjects to list for the caller, of all if none are named.

        Returns:
            Ids, none for every subject; None where there is nobody to list.
        """
        visible = await self._visible()
        if visible is None:
            return subject_ids
        listed = [one for one in subject_ids if one in visible] if subject_ids else visible
        return listed or None

    async def _decide(self, sighting: Sighting, review: Review) -> Sighting:
        """Write a decision down, unless another replica has written one that stands against it."""
        rejection = Rejection(
            review.reviewer, review.review_time, sighting.start_time, sighting.time_uncertain
        )
        verdict = Verdict(review, self._rules, rejection)
        span = await self._kept.ledger.settle(ledger_key(sighting), sighting.sighting_id, verdict)
        if span is None:
            span = decided(span_of_sighting(sighting), verdict)
        if span.rejected:
            if review.decision is not Decision.REJECT:
                await self._kept.forget([erased(sighting)])  # if whoever rejected it broke off
                raise _not_found(sighting.sighting_id)
            rejected = replace(sighting, state=SightingState.REJECTED, review=review)
            await self._kept.tell(ChangeKind.REVIEWED, rejected)
            await self._kept.remove([erased(sighting)])
            return rejected
        if span.is_confirmed:
            _require_counted(span.given_reviews, review, sighting.sighting_id)
        reviewed = with_decisions(sighting, span)
        if not await self._kept.write(sighting, reviewed):
            raise _not_found(sighting.sighting_id)
        await self._finish(reviewed)
        return await self._kept.as_decided(reviewed) or reviewed

    async def _finish(self, decided: Sighting) -> None:
        """Finish a decision that is written; repeated where it broke off."""
        if decided.state is SightingState.CONFIRMED:
            await self._kept.stills.delete_pending(decided.sighting_id)
        await self._kept.tell(ChangeKind.REVIEWED, decided)

    async def _rejected_before(self, sighting_id: str, reviewer: str) -> RejectedSpan | None:
        """Return a sighting that the reviewer has rejected, if all of it is gone."""
        if await self._kept.index.get(sighting_id) is not None:
            return None
        for one in await self._kept.ledger.rejections():
            known = one.rejection is not None and one.rejection.reviewer == reviewer
            seen = known and one.sighting_id == sighting_id and await self._may_see(one.subject_id)
            if seen:
                return one
        return None


def _require_exportable(sighting: Sighting, *, unapproved: bool) -> None:
    if sighting.state is not SightingState.CONFIRMED:
        raise errors.FailedPreconditionError(
            f"sighting {sighting.sighting_id} is {_described(sighting.state)}; only a confirmed one"
            " may be given out",
            reason=errors.Reason.SIGHTING_NOT_CONFIRMED,
            metadata={"sighting_id": sighting.sighting_id, "state": sighting.state.name},
        )
    if not (sighting.approved or unapproved):
        raise errors.FailedPreconditionError(
            f"sighting {sighting.sighting_id} was found by policy {sighting.policy_id}, which"
            " nobody had approved: nobody may act on it, so it is not given out",
            reason=errors.Reason.POLICY_NOT_APPROVED,
            metadata={"policy_id": sighting.policy_id},
        )


def _described(state: SightingState) -> str:
    if state is SightingState.AWAITING_SECOND:
        return "confirmed by one person and awaits another"
    return state.value


def _not_found(sighting_id: str) -> errors.NotFoundError:
    return errors.NotFoundError(
        f"there is no sighting {sighting_id}: it was rejected, or went with its footage or"
        " its subject, or the store has lost it, as a list of sightings says",
        reason=errors.Reason.SIGHTING_NOT_FOUND,
        metadata={"sighting_id": sighting_id},
    )


def _require_counted(given: Collection[Review], review: Review, sighting_id: str) -> None:
    """Refuse a decision on a confirmed sighting, unless it is among those that count."""
    if review.judgement not in [one.judgement for one in given]:
        raise _confirmed(sighting_id)


def _confirmed(sighting_id: str) -> errors.FailedPreconditionError:
    return errors.FailedPreconditionError(
        f"sighting {sighting_id} was confirmed before; a confirmed sighting stays",
        reason=errors.Reason.SIGHTING_REVIEWED,
        metadata={"sighting_id": sighting_id, "state": SightingState.CONFIRMED.name},
    )
