"""Erasing sightings: with their footage, their subject, or when they are due."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from homeward.core import inventory
from homeward.core.inventory import HeldData
from homeward.matching.gallery.ports import Removed
from homeward.matching.sightings.feed import ChangeKind
from homeward.matching.sightings.kept import KeptSightings, erased, ledger_key
from homeward.matching.sightings.lost import Lost, LostSightings
from homeward.matching.sightings.model import SightingState
from homeward.matching.sightings.ports import SightingFilter
from homeward.matching.sightings.stills import is_pending, key_of, keys_by_offset, sighting_in
from homeward.matching.sightings.untold import UntoldChanges
from homeward.servicekit import errors
from homeward.servicekit.audit.acts import ERASURE, Acts
from homeward.servicekit.objects import ObjectInfo

log = structlog.get_logger()

STRAY_AFTER = timedelta(days=1)
"""Age at which a still that no sighting names is removed: a younger one may be of a sighting that
is being recorded."""

COMPARED_EVERY = timedelta(hours=1)
"""How often stills and sightings are compared with each other. The rules of an object store remove
stills once a day. Sweeps in between read what is due and nothing else."""


@dataclass(frozen=True, slots=True)
class RemovedSightings:
    """What was removed of a subject's sightings."""

    sightings: Removed
    stills: int
    """How many were removed."""
    stills_left: int
    """How many of these, old versions included, are still there."""
    unknown_stills: tuple[str, ...]
    """Keys of stills of confirmed sightings that the index has lost, of whomever."""
    told: int
    """How many sightings of the subject the feed names, rejected ones included."""


class SightingUpkeep:
    """Erases sightings, and counts what is held.

    Args:
        kept: The sightings that are kept.
        lost: Finds those that are lost.
        acts: Writes down what a sweep has erased.
    """

    def __init__(self, kept: KeptSightings, lost: LostSightings, acts: Acts) -> None:
        self._kept = kept
        self._lost = lost
        self._acts = acts
        self._compared: datetime | None = None
        self._untold = UntoldChanges(kept)

    async def erase_footage(self, footage_id: str, *, received: datetime | None = None) -> int:
        """Erase the unconfirmed sightings of a recording and its ledger; return how many.

        Args:
            footage_id: The recording.
            received: When it came: findings that a scanner had under way are not recorded then.
                None when that is not known, as of a recording that never was complete.
        """
        async with self._kept.changing:
            # In this order: what a finding that comes now has written is found below, or the
            # finding sees that the recording is removed, and removes it (`record`).
            if received is not None:
                await self._kept.ledger.close(footage_id, received=received)
            which = SightingFilter(footage_ids=[footage_id])
            for item in await self._kept.index.find(which):
                # Somebody may have died between the ledger, which goes now, and the index: a
                # confirmation that was taken back would stay, and one that was made would go.
                await self._kept.as_decided(item)
            await self._kept.ledger.erase_footage(footage_id)
            found = await self._kept.index.find(which)
            going = [item for item in found if item.state is not SightingState.CONFIRMED]
            await self._kept.forget([erased(item) for item in going])
        return len(going)

    async def remove_subject(self, subject_id: str) -> RemovedSightings:
        """Erase every sighting of a subject, confirmed ones too.

        The index may have lost some, whose stills are there: the ledger names them for a while.
        """
        async with self._kept.changing:
            found = await self._kept.index.find(SightingFilter(subject_ids=[subject_id]))
            names = {item.sighting_id for item in found}
            lost = await self._kept.ledger.sighting_ids(subject_id) - names
            count = sum([await self._kept.stills.count(name) for name in names])
            removed = await self._kept.forget([erased(item) for item in found])
            lost_stills = [await self._kept.stills.remove(name) for name in sorted(lost)]
            await self._kept.ledger.erase_subject(subject_id)
        return RemovedSightings(
            sightings=removed,
            stills=count + sum(lost_stills),
            stills_left=sum([await self._kept.stills.left(name) for name in names | lost]),
            unknown_stills=await self._unknown_stills(),
            told=await self._kept.feed.count(subject_id),
        )

    async def _unknown_stills(self) -> tuple[str, ...]:
        """Return the keys of stills of confirmed sightings that the index does not have."""
        stills = await self._kept.stills.of_confirmed()
        confirmed = SightingFilter(states=[SightingState.CONFIRMED])
        # One that is being confirmed has its still before its state.
        for which in (confirmed, SightingFilter()):
            if stills:
                known = {one.sighting_id for one in await self._kept.index.find(which)}
                stills = [item for item in stills if sighting_in(item.key) not in known]
        return tuple(item.key for item in stills)

    async def sweep(self) -> int:
        """Erase unconfirmed sightings past their deadline, and stills that belong to nothing.

        Both go with their footage; this is for what went without it, by a rule of the store. A
        sighting whose still went so is marked.

        Returns:
            How many sightings and stills were erased.
        """
        await self._kept.ledger.forget_erased()
        await self._untold.tell()
        now = self._kept.clock.now()
        async with self._kept.changing:
            due = await self._kept.index.find(SightingFilter(expired_at=now))
            for item in due:  # or else they would count as lost
                await self._kept.ledger.note_recorded(
                    ledger_key(item), item.sighting_id, recorded=False
                )
            try:
                await self._kept.forget([erased(item) for item in due])
            except errors.FailedPreconditionError as error:  # it must not keep what else is due
                log.warning("stills not removed", problem=str(error))
        if due:
            names = [f"sighting/{item.sighting_id}" for item in due]
            await self._acts.record("EraseSightings", ERASURE, names)
        if self._is_compared(now):
            return len(due)
        strays = await self._compare(now, {item.sighting_id for item in due})
        self._compared = now
        return len(due) + strays

    def _is_compared(self, now: datetime) -> bool:
        return self._compared is not None and timedelta() <= now - self._compared < COMPARED_EVERY

    async def _compare(self, now: datetime, due: Collection[str]) -> int:
        """Mark sightings whose stills are gone, and remove stills that no sighting names."""
        found = await self._kept.index.find(SightingFilter())
        held = {item.sighting_id for item in found}.difference(due)
        named = set[str]().union(
            *(keys_by_offset(one).values() for one in found if one.sighting_id in held)
        )
        stills = await self._kept.stills.everything()
        there = {item.key for item in stills}
        for sighting in found:
            if sighting.sighting_id in held and key_of(sighting) not in there:
                await self._mark_still_gone(sighting.sighting_id)
        strays = [
            item
            for item in stills
            # A confirmed one goes with its sighting alone: the index may have lost that.
            if is_pending(item.key)
            and item.key not in named
            and now - item.modified >= STRAY_AFTER  # not one being recorded
        ]
        for item in strays:
            await self._kept.stills.purge(item.key)
        if strays:
            names = [f"sighting/{name}" for item in strays if (name := sighting_in(item.key))]
            await self._acts.record("EraseStrayStills", ERASURE, names)
        return len(strays)

    async def _mark_still_gone(self, sighting_id: str) -> None:
        async with self._kept.changing:  # it may be reviewed, or recorded anew, at this moment
            sighting = await self._kept.index.get(sighting_id)
            if (
                sighting is None
                or sighting.still_gone
                or await self._kept.stills.is_there(sighting)
            ):
                return
            await self._kept.index.mark_still_gone(sighting_id)
            marked = await self._kept.index.get(sighting_id)
        if marked is not None:
            await self._kept.tell(ChangeKind.ALTERED, marked)

    async def subject_ids(self) -> frozenset[str]:
        """Return of whom there are sightings, or a record of them in the ledger."""
        found = {one.subject_id for one in await self._kept.index.find(SightingFilter())}
        return frozenset(found | {key.subject_id for key in await self._kept.ledger.keys()})

    async def lost(self) -> Lost:
        """Return what is lost, of everybody."""
        return await self._lost.find()

    async def held(self, unfinished: Collection[str] = ()) -> tuple[HeldData, HeldData, HeldData]:
        """Return how many sightings, stills and ledger records there are.

        Args:
            unfinished: Subjects of whom nothing should be held any more: what is, is overdue.
        """
        found = await self._kept.index.find(SightingFilter())
        stills = await self._kept.stills.everything()
        ledgers = await self._kept.ledger.keys()
        lapsed = {one.sighting_id for one in found if one.subject_id in unfinished}
        names = {one.sighting_id for one in found}

        def is_overdue(item: ObjectInfo) -> bool:
            # One that no sighting has is kept until somebody has looked: see `sweep`.
            name = sighting_in(item.key)
            lost = not is_pending(item.key) and name not in names
            age = self._kept.clock.now() - item.modified
            return name in lapsed or (lost and age >= STRAY_AFTER)

        return (
            HeldData(
                inventory.SIGHTINGS.name,
                count=len(found),
                oldest=min((one.create_time for one in found), default=None),
                overdue=sum(
                    one.sighting_id in lapsed or self._kept.is_expired(one) for one in found
                ),
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
                count=len(ledgers),
                overdue=sum(key.subject_id in unfinished for key in ledgers),
            ),
        )
