"""Recording what scans find, and what reviewers make of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from homeward.core import inventory
from homeward.core.inventory import HeldData
from homeward.matching.gallery.ports import Removed
from homeward.matching.sightings.model import (
    Decision,
    Disposition,
    ErasedSighting,
    Finding,
    Review,
    Sighting,
    SightingState,
)
from homeward.matching.sightings.ports import SightingFeed, SightingIndex
from homeward.matching.sightings.rejections import RejectedSpan, find_rejected
from homeward.matching.sightings.spans import Placement, Rejection, Span, place
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import KeyValueStore, edit
from homeward.servicekit.objects import ObjectInfo, ObjectStore

log = structlog.get_logger()

CLEARLY_BETTER = 0.01
"""By how much a finding has to be more alike to replace the picture of a sighting: a search that is
repeated finds faces again a fraction of a pixel away, and must not change what a reviewer sees."""

STRAY_AFTER = timedelta(days=1)
"""A still without a sighting is of one that is being recorded, or was left by what broke off."""

_STATE_AFTER = {
    Decision.CONFIRM: SightingState.CONFIRMED,
    Decision.REJECT: SightingState.REJECTED,
    Decision.INCONCLUSIVE: SightingState.INCONCLUSIVE,
}
_Spans = tuple[Span, ...]


class Sightings:
    """Candidate sightings, from finding to decision.

    The ledger (`spans.place`) decides what a finding is part of and is written first; sighting and
    still follow under the id that it gave. Whatever breaks off in between is completed by the
    retry, because each step gives the same result again.
    """

    def __init__(
        self,
        *,
        index: SightingIndex,
        ledger: KeyValueStore,
        evidence: ObjectStore,
        feed: SightingFeed,
        subject_is_open: Callable[[str], Awaitable[bool]],
        clock: Clock,
    ) -> None:
        self._index = index
        self._ledger = ledger
        self._evidence = evidence
        self._feed = feed
        self._subject_is_open = subject_is_open
        self._clock = clock
        # Joining reads a sighting and writes it back. Between replicas the ledger's span is safe
        # all the same; the worse of two scores could win, which the next rescan mends.
        self._joining = asyncio.Lock()

    async def record(self, finding: Finding) -> tuple[Disposition, Sighting | None]:
        """Record a finding, or make it part of the sighting that it overlaps.

        Raises:
            FailedPreconditionError: `EMBEDDING_MODEL_MISMATCH`.
        """
        sighting = finding.sighting
        await self._index.require_model(finding.template.model_digest, finding.template.values.size)
        if not await self._subject_is_open(sighting.subject_id):
            return Disposition.SUBJECT_CLOSED, None
        async with self._joining:
            placement = await self._place(finding)
            if placement.span.rejected:
                return Disposition.REJECTED_BEFORE, None
            held = await self._index.get(placement.span.sighting_id)
            if held is not None and held.state is not SightingState.UNREVIEWED:
                return Disposition.JOINED, await self._vouch(held, sighting)
            joined = await self._join(held, finding, placement)
            await self._forget([_erased(sighting, name) for name in placement.absorbed])
            if not await self._subject_is_open(sighting.subject_id):
                # Closed meanwhile, perhaps after its sightings were erased: this one goes too.
                await self._forget([_erased(joined)])
                await self._ledger.erase(_ledger_key(sighting))
                return Disposition.SUBJECT_CLOSED, None
        new = placement.is_new or held is None
        return (Disposition.RECORDED if new else Disposition.JOINED), joined

    async def get(self, sighting_id: str) -> Sighting:
        """Return a sighting.

        Raises:
            NotFoundError: `SIGHTING_NOT_FOUND`; an undecided one past its deadline too.
        """
        sighting = await self._index.get(sighting_id)
        if sighting is None or self._expired(sighting):
            raise errors.NotFoundError(
                f"there is no sighting {sighting_id}: it was rejected, or went with its footage or"
                " its subject",
                reason=errors.Reason.SIGHTING_NOT_FOUND,
                metadata={"sighting_id": sighting_id},
            )
        return sighting

    async def still(self, sighting: Sighting) -> bytes | None:
        """Return the still of a sighting, a JPEG file, or None when it is gone."""
        return await self._evidence.get(_still(sighting))

    async def find(
        self,
        *,
        subject_ids: Collection[str],
        footage_ids: Collection[str],
        states: Collection[SightingState],
        start: datetime | None,
        end: datetime | None,
    ) -> list[Sighting]:
        """Return the sightings that fit, most alike first; an empty filter fits all."""
        found = await self._index.find(subject_ids=subject_ids, footage_ids=footage_ids)
        fitting = [
            sighting
            for sighting in found
            if not self._expired(sighting)
            and (not states or sighting.state in states)
            and (start is None or sighting.end_time > start)
            and (end is None or sighting.start_time < end)
        ]
        return sorted(fitting, key=lambda sighting: (-sighting.score, sighting.sighting_id))

    async def review(
        self, sighting_id: str, *, decision: Decision, reason: str, reviewer: str
    ) -> Sighting | RejectedSpan:
        """Record a reviewer's decision. A rejected sighting is erased at once.

        Returns:
            The sighting as decided. What the same reviewer has decided so before is answered again,
            for whoever lost the first answer: of a rejection, what is remembered.

        Raises:
            NotFoundError: `SIGHTING_NOT_FOUND`.
            FailedPreconditionError: `SIGHTING_REVIEWED`, when it was confirmed before.
        """
        async with self._joining:
            if decision is Decision.REJECT:
                before = await self._rejected_before(sighting_id, reviewer)
                if before is not None:
                    return before
            sighting = await self.get(sighting_id)
            if sighting.review and (decision, reason, reviewer) == sighting.review.judgement:
                await self._finish(sighting)
                return sighting
            if sighting.state is SightingState.CONFIRMED:
                raise errors.FailedPreconditionError(
                    f"sighting {sighting_id} was confirmed before; a confirmed sighting stays",
                    reason=errors.Reason.SIGHTING_REVIEWED,
                    metadata={"sighting_id": sighting_id, "state": sighting.state.name},
                )
            decided = replace(
                sighting,
                state=_STATE_AFTER[decision],
                review=Review(decision, reason, reviewer, self._clock.now()),
            )
            await self._decide(sighting, decided)
        return decided

    async def rejections(
        self, *, subject_ids: Collection[str], footage_ids: Collection[str]
    ) -> list[RejectedSpan]:
        """Return what is remembered of rejected sightings, newest first; no filter fits all."""
        return await find_rejected(self._ledger, subject_ids=subject_ids, footage_ids=footage_ids)

    async def export(self, sighting_id: str, *, unapproved: bool = False) -> tuple[Sighting, bytes]:
        """Return a confirmed sighting and its still, to disclose.

        Args:
            sighting_id: Of the sighting.
            unapproved: Also one that was found by a policy that nobody answered for.

        Raises:
            NotFoundError: `SIGHTING_NOT_FOUND`.
            FailedPreconditionError: `SIGHTING_NOT_CONFIRMED`, `POLICY_NOT_APPROVED`.
        """
        sighting = await self.get(sighting_id)
        if sighting.state is not SightingState.CONFIRMED:
            raise errors.FailedPreconditionError(
                f"sighting {sighting_id} is {sighting.state.value}; only a confirmed one may be"
                " given out",
                reason=errors.Reason.SIGHTING_NOT_CONFIRMED,
                metadata={"sighting_id": sighting_id, "state": sighting.state.name},
            )
        if not (sighting.approved or unapproved):
            raise errors.FailedPreconditionError(
                f"sighting {sighting_id} was found by policy {sighting.policy_id}, which nobody had"
                " approved: nobody may act on it, so it is not given out",
                reason=errors.Reason.POLICY_NOT_APPROVED,
                metadata={"policy_id": sighting.policy_id},
            )
        still = await self.still(sighting)
        if still is None:
            raise errors.NotFoundError(
                f"the still of sighting {sighting_id} is gone: "
                + (
                    "the object store removed it by its own rule"
                    if sighting.still_gone
                    else "its subject is being closed, or the object store has lost it"
                ),
                reason=errors.Reason.SIGHTING_NOT_FOUND,
                metadata={"sighting_id": sighting_id},
            )
        return sighting, still

    def follow(self) -> AsyncGenerator[Sighting | ErasedSighting, None]:
        """Yield sightings as they are recorded, reviewed and erased, from now on."""
        return self._feed.follow()

    async def erase_footage(self, footage_id: str) -> int:
        """Erase the unconfirmed sightings of a recording and its ledger; return how many."""
        async with self._joining:
            found = await self._index.find(footage_ids=[footage_id])
            going = [item for item in found if item.state is not SightingState.CONFIRMED]
            await self._forget([_erased(item) for item in going])
            for entry in await self._ledger.entries(f"{footage_id}.*"):
                await self._ledger.erase(entry.key)
        return len(going)

    async def remove_subject(self, subject_id: str) -> tuple[Removed, int]:
        """Erase every sighting of a subject, confirmed ones too.

        Returns:
            What was removed, and how many of their stills, old versions included, are still there.
        """
        async with self._joining:
            found = await self._index.find(subject_ids=[subject_id])
            removed = await self._forget([_erased(item) for item in found])
            for entry in await self._ledger.entries(f"*.{subject_id}"):
                await self._ledger.erase(entry.key)
        left = [await self._evidence.left(_still(item)) for item in found]
        return removed, sum(left)

    async def sweep(self) -> int:
        """Erase unconfirmed sightings past their deadline, and stills that belong to nothing.

        Both go with their footage; this is for what went without it, by a rule of the store. A
        sighting whose still went so is marked.

        Returns:
            How many sightings and stills were erased.
        """
        async with self._joining:
            found = await self._index.find()
            due = [item for item in found if self._expired(item)]
            try:
                await self._forget([_erased(item) for item in due])
            except errors.FailedPreconditionError as error:  # it must not keep what else is due
                log.warning("stills not removed", problem=error.message)
        held = {item.sighting_id for item in found}.difference(item.sighting_id for item in due)
        stills = await self._evidence.objects("")
        there = {item.key for item in stills}
        for sighting in found:
            if sighting.sighting_id in held and _still(sighting) not in there:
                await self._mark_still_gone(sighting.sighting_id)
        strays = [
            item
            for item in stills
            # A confirmed one goes with its sighting alone: the index may have lost that.
            if item.key.startswith("pending/")
            and _sighting_in(item.key) not in held
            and self._clock.now() - item.modified >= STRAY_AFTER  # not one being recorded
        ]
        for item in strays:
            await self._evidence.purge(item.key)
        return len(due) + len(strays)

    async def _mark_still_gone(self, sighting_id: str) -> None:
        async with self._joining:  # it may be reviewed, or recorded anew, at this moment
            sighting = await self._index.get(sighting_id)
            if sighting is None or sighting.still_gone:
                return
            if await self._evidence.stat(_still(sighting)) is not None:
                return
            marked = replace(sighting, still_gone=True)
            await self._index.update(marked)
        await self._feed.publish(marked)

    async def subject_ids(self) -> frozenset[str]:
        """Return of whom there are sightings, or a record of them in the ledger."""
        found = {one.subject_id for one in await self._index.find()}
        return frozenset(found | {_subject_in(entry.key) for entry in await self._ledger.entries()})

    async def held(self, unfinished: Collection[str] = ()) -> tuple[HeldData, HeldData, HeldData]:
        """Return how many sightings, stills and ledger records there are.

        Args:
            unfinished: Subjects of whom nothing should be held any more: what is, is overdue.
        """
        found = await self._index.find()
        stills = await self._evidence.objects("")
        spans = await self._ledger.entries()
        lapsed = {one.sighting_id for one in found if one.subject_id in unfinished}
        names = {one.sighting_id for one in found}

        def is_overdue(item: ObjectInfo) -> bool:
            # One that no sighting has is kept until somebody has looked: see `sweep`.
            name = _sighting_in(item.key)
            lost = item.key.startswith("confirmed/") and name not in names
            age = self._clock.now() - item.modified
            return name in lapsed or (lost and age >= STRAY_AFTER)

        return (
            HeldData(
                inventory.SIGHTINGS.name,
                count=len(found),
                oldest=min((one.create_time for one in found), default=None),
                overdue=sum(one.sighting_id in lapsed or self._expired(one) for one in found),
            ),
            HeldData(
                inventory.STILLS.name,
                count=len(stills),
                size_bytes=sum(item.size for item in stills),
                oldest=min((item.modified for item in stills), default=None),
                overdue=sum(map(is_overdue, stills)),
            ),
            HeldData(
                inventory.SPANS.name,
                count=len(spans),
                overdue=sum(_subject_in(entry.key) in unfinished for entry in spans),
            ),
        )

    async def _place(self, finding: Finding) -> Placement:
        sighting, placed = finding.sighting, list[Placement]()

        async def change(value: bytes | None) -> bytes:
            spans, placement = place(
                records.decode(value, _Spans) if value else (),
                footage_id=sighting.footage_id,
                subject_id=sighting.subject_id,
                start=sighting.start_offset,
                end=sighting.end_offset,
                include_rejected_before=finding.include_rejected_before,
            )
            placed.append(placement)
            return records.encode(spans)

        await edit(self._ledger, _ledger_key(sighting), change)
        return placed[-1]

    async def _join(
        self, held: Sighting | None, finding: Finding, placement: Placement
    ) -> Sighting:
        """Write the sighting of all that belongs together, with the best score and picture.

        Scores of different models cannot be compared: a finding stands before those of a former
        one, however high they were.
        """
        parts = [await self._index.get(name) for name in placement.absorbed]
        known = [part for part in (held, *parts) if part is not None]
        comparable = [part for part in known if part.model_digest == finding.template.model_digest]
        best = max(comparable, key=lambda part: part.score, default=finding.sighting)
        if finding.sighting.score - best.score >= CLEARLY_BETTER or best.still_gone:
            best = finding.sighting
        first = min(known, key=lambda part: part.create_time) if known else None
        vouched = _vouched(best, finding.sighting)
        joined = replace(
            _stretched(best, placement.span),
            scan_id=first.scan_id if first else best.scan_id,
            create_time=first.create_time if first else self._clock.now(),
            threshold=vouched.threshold,
            policy_id=vouched.policy_id,
            figures=vouched.figures,
            rival_score=_rival_score(best, finding.sighting),
            time_uncertain=_time_uncertain(*known, finding.sighting),
        )
        if joined == held:
            return joined
        if best is held:
            await self._index.update(joined)
        else:
            found = best is finding.sighting
            still = finding.still if found else await self._evidence.get(_still(best))
            template = finding.template if found else await self._index.template(best.sighting_id)
            if still is None:  # the store has removed it by itself
                joined = replace(joined, still_gone=True)
            else:
                await self._evidence.put(
                    _still(joined), still, content_type="image/jpeg", until=finding.still_until
                )
            await self._index.put(joined, template)
        await self._feed.publish(joined)
        return joined

    async def _vouch(self, decided: Sighting, again: Sighting) -> Sighting:
        """Let a decided sighting rest on an approved policy, once it is found by one."""
        vouched = _vouched(decided, again)
        if vouched is decided:
            return decided
        resting = replace(
            decided,
            threshold=vouched.threshold,
            policy_id=vouched.policy_id,
            figures=vouched.figures,
        )
        await self._index.update(resting)
        await self._feed.publish(resting)
        return resting

    async def _decide(self, sighting: Sighting, decided: Sighting) -> None:
        assert decided.review is not None, "it was decided"
        rejected = decided.state is SightingState.REJECTED
        rejection = Rejection(
            decided.review.reviewer,
            decided.review.review_time,
            decided.start_time,
            decided.time_uncertain,
        )

        async def settle(value: bytes | None) -> bytes | None:
            if value is None:
                return None
            return records.encode(
                tuple(
                    replace(
                        span,
                        rejected=rejected,
                        settled=not rejected,
                        rejection=rejection if rejected else None,
                    )
                    if span.sighting_id == sighting.sighting_id
                    else span
                    for span in records.decode(value, _Spans)
                )
            )

        await edit(self._ledger, _ledger_key(sighting), settle)
        if rejected:
            await self._feed.publish(decided)
            await self._remove([_erased(sighting)])
            return
        if _still(decided) != _still(sighting):
            still = await self._evidence.get(_still(sighting))
            if still is not None:
                await self._evidence.put(_still(decided), still, content_type="image/jpeg")
        await self._index.update(decided)
        await self._finish(decided)

    async def _finish(self, decided: Sighting) -> None:
        """Do what is left once a decision is written; again, where that broke off."""
        if decided.state is SightingState.CONFIRMED:
            await self._evidence.delete(f"pending/{decided.sighting_id}.jpg")
        await self._feed.publish(decided)

    async def _rejected_before(self, sighting_id: str, reviewer: str) -> RejectedSpan | None:
        """Return a sighting that the reviewer has rejected, if all of it is gone."""
        if await self._index.get(sighting_id) is not None:
            return None
        for one in await find_rejected(self._ledger):
            known = one.rejection is not None and one.rejection.reviewer == reviewer
            if known and one.sighting_id == sighting_id:
                return one
        return None

    async def _forget(self, going: list[ErasedSighting]) -> Removed:
        # Told first: if this breaks off, it is repeated for what is still there, and told again.
        for item in going:
            await self._feed.publish(item)
        return await self._remove(going)

    async def _remove(self, going: list[ErasedSighting]) -> Removed:
        if not going:
            return Removed(0)
        kept: dict[str, errors.FailedPreconditionError] = {}
        for item in going:
            for folder in ("pending", "confirmed"):
                try:
                    await self._evidence.delete(f"{folder}/{item.sighting_id}.jpg")
                except errors.FailedPreconditionError as error:
                    kept[item.sighting_id] = error
        # One whose still the store keeps stays, so that it is tried again.
        removed = await self._index.remove(
            [item.sighting_id for item in going if item.sighting_id not in kept]
        )
        if kept:
            raise next(iter(kept.values()))
        return removed

    def _expired(self, sighting: Sighting) -> bool:
        kept = sighting.state is SightingState.CONFIRMED
        return not kept and self._clock.now() >= sighting.delete_time


def _vouched(best: Sighting, again: Sighting) -> Sighting:
    """Return whose policy a sighting rests on: an approved one, if it was ever found by one."""
    return (
        again
        if (best.approved, again.approved) == (False, True) and best.score >= again.threshold
        else best
    )


def _rival_score(*parts: Sighting) -> float | None:
    """Return that of the nearest one: whoever is enrolled later may be alike as well."""
    told = [one.rival_score for one in parts if one.rival_score is not None]
    return max(told, default=None)


def _time_uncertain(*parts: Sighting) -> bool | None:
    """Return whether any part's time is uncertain; None when none is, and of one nobody knows."""
    told = [one.time_uncertain for one in parts]
    return True if True in told else None if None in told else False


def _stretched(sighting: Sighting, span: Span) -> Sighting:
    """Return the sighting under the span's id and bounds; times follow the offsets."""
    return replace(
        sighting,
        sighting_id=span.sighting_id,
        start_time=sighting.start_time - (sighting.start_offset - span.start),
        end_time=sighting.end_time + (span.end - sighting.end_offset),
        start_offset=span.start,
        end_offset=span.end,
    )


def _erased(sighting: Sighting, sighting_id: str = "") -> ErasedSighting:
    """Return what names a sighting, or another one of the same subject in the same recording."""
    name = sighting_id or sighting.sighting_id
    return ErasedSighting(name, sighting.subject_id, sighting.footage_id)


def _still(sighting: Sighting) -> str:
    folder = "confirmed" if sighting.state is SightingState.CONFIRMED else "pending"
    return f"{folder}/{sighting.sighting_id}.jpg"


def _sighting_in(still: str) -> str:
    """Return the id of the sighting that a still is of."""
    return still.rpartition("/")[2].removesuffix(".jpg")


def _subject_in(ledger_key: str) -> str:
    return ledger_key.rpartition(".")[2]


def _ledger_key(sighting: Sighting) -> str:
    return f"{sighting.footage_id}.{sighting.subject_id}"
