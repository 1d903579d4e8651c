"""Following what happens to sightings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass

from homeward.matching.sightings.feed import Change, ChangeKind, Told, case_digest
from homeward.matching.sightings.kept import KeptSightings
from homeward.matching.sightings.ledger import RejectedSpan
from homeward.matching.sightings.model import ErasedSighting, Sighting, SightingState
from homeward.matching.subjects.records import SubjectRecords, is_visible
from homeward.servicekit.identity.caller import visible_cases

Now = Sighting | RejectedSpan | ErasedSighting
"""A sighting as it is now; of a rejected one what is remembered, of an erased one its ids."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A change, and the sighting as it is now."""

    told: Told
    sighting: Now


class SightingFollowing:
    """Follows the feed, and reads each sighting when its change is told.

    So nothing has to be kept in the feed that must go with a person: of a sighting that is gone, no
    change tells more than ids.

    Args:
        kept: The sightings that are kept.
        records: Of the subjects.
    """

    def __init__(self, kept: KeptSightings, records: SubjectRecords) -> None:
        self._kept = kept
        self._records = records

    async def follow(
        self,
        after: str = "",
        *,
        from_oldest: bool = False,
        subject_ids: Collection[str] = (),
    ) -> AsyncGenerator[Followed | str, None]:
        """Yield the changes after a place that the current caller may hear of, as they come.

        Where nothing more is to be told, the place up to which all was is yielded alone.

        Args:
            after: A place; empty to begin now.
            from_oldest: Begin with the oldest change that is kept.
            subject_ids: Only of these subjects; none for all.

        Raises:
            InvalidArgumentError: `FIELD_INVALID`: it is no place.
            FailedPreconditionError: `RESUME_TOKEN_EXPIRED`.
        """
        async with aclosing(self._kept.feed.follow(after, from_oldest=from_oldest)) as feed:
            async for told in feed:
                if isinstance(told, str):
                    yield told
                elif (
                    not subject_ids or told.change.subject_id in subject_ids
                ) and await self._may_hear(told.change):
                    yield Followed(told, await self._now(told.change))

    async def _may_hear(self, change: Change) -> bool:
        """Tell whether the caller may hear of a subject: as it is now, or was when it was there."""
        cases = visible_cases()
        if cases is None:
            return True
        roll = await self._records.roll()
        held = roll.opened.get(change.subject_id)
        if held is not None and change.subject_id not in roll.closed:
            return is_visible(held.value)
        return change.case_digest in {case_digest(one) for one in cases}

    async def _now(self, change: Change) -> Now:
        gone = ErasedSighting(change.sighting_id, change.subject_id)
        if change.kind is ChangeKind.ERASED:  # told before it is done
            return gone
        if change.state is not SightingState.REJECTED:
            sighting = await self._kept.index.get(change.sighting_id)
            if sighting is not None and not self._kept.is_expired(sighting):
                return sighting
        # Told before the sighting goes, and after the ledger has it.
        remembered = await self._kept.ledger.rejections(subject_ids=[change.subject_id])
        return next((one for one in remembered if one.sighting_id == change.sighting_id), gone)
