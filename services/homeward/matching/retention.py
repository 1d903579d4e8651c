"""Keeping the promises about subjects and sightings: sweeps, rebuilds and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from homeward.core.inventory import HeldData
from homeward.matching.gallery.ports import Purgeable
from homeward.matching.gallery.reenrol import Reenrolment
from homeward.matching.sightings.upkeep import SightingUpkeep
from homeward.matching.subjects.sweep import SubjectSweep
from homeward.servicekit import errors
from homeward.servicekit.audit.acts import ERASURE, Acts
from homeward.servicekit.clock import Clock
from homeward.servicekit.lease import Lease, Proceed
from homeward.servicekit.lifecycle import LifecycleSpan

log = structlog.get_logger()


class LeasedFiles:
    """A `Purgeable` that waits with a rebuild while somebody else replaces its files.

    Args:
        purgeable: What it stands for.
        lease: On replacing collections, which a re-enrolment takes too.
        acts: Writes down that files were purged.
    """

    def __init__(self, purgeable: Purgeable, lease: Lease, acts: Acts) -> None:
        self._acts = acts
        self._purgeable = purgeable
        self._lease = lease

    async def holds_erased(self) -> bool:
        """Tell whether files may hold bytes of what was removed, so that a rebuild is due."""
        return await self._purgeable.holds_erased()

    async def unclean(self) -> tuple[str, ...]:
        """Return where bytes of what was removed may be until a rebuild; nowhere if none is due."""
        return await self._purgeable.unclean()

    async def remains(self, place: str) -> str:
        """Return why files that `Removed` named may be there still; empty when they are gone."""
        return await self._purgeable.remains(place)

    async def unknown(self) -> tuple[str, ...]:
        """Return files of this kind of data that no record names."""
        return await self._purgeable.unknown()

    async def rebuild(self, proceed: Proceed) -> bool:
        """Move what is left to other files, under another key, and drop the old ones.

        Raises:
            UnavailableError: Somebody else replaces them now, or did when it died within the last
                minute: to be tried again soon, and not only with the next sweep.
        """

        async def both() -> bool:
            return await proceed() and await self._lease.held()

        if not await self._lease.held():
            raise errors.UnavailableError(
                "the rebuild waits: a re-enrolment, or another rebuild, is replacing collections",
                reason=errors.Reason.COMPONENT_UNAVAILABLE,
                metadata={"component": "matching", "address": ""},
            )
        try:
            rebuilt = await self._purgeable.rebuild(both)
        finally:
            await self._lease.release()
        if rebuilt:
            await self._acts.record("PurgeTemplates", ERASURE, [])
        return rebuilt


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What is held, and what keeps it from being forgotten."""

    made: datetime
    held: tuple[HeldData, ...]
    deviations: tuple[str, ...]
    """What keeps the buckets from forgetting, each with its remedy."""
    rebuild_due: bool
    """Whether files hold bytes of what was removed."""
    lifecycle: LifecycleSpan
    """After how many days the store itself removes stills that nobody has confirmed."""
    encryption: Mapping[str, str]
    """The algorithm of each bucket's encryption at rest; "" for none that is told."""
    unknown_files: tuple[str, ...]
    """Collections that no record names: nothing removes what they hold."""
    lost_sightings: int
    """Sightings, and stills of confirmed ones without, that were recorded and are lost."""


class Buckets(Protocol):
    """The buckets of photographs and stills, and the rules by which they forget."""

    async def deviations(self) -> list[str]:
        """Return what keeps them from forgetting, each with its remedy."""

    async def remove_old_versions(self) -> int:
        """Remove what deleting and overwriting left in them; return how many versions."""

    async def encryption(self) -> Mapping[str, str]:
        """Return the algorithm of each bucket's encryption at rest; "" for none that is told."""

    async def lifecycle(self) -> LifecycleSpan:
        """Return after how many days the store itself removes stills that nobody has confirmed."""

    async def keep_rules(self) -> None:
        """Set the rules again by which the store removes stills; days pass."""


class AuditedBuckets:
    """`Buckets` that write down that versions were removed.

    Args:
        buckets: What it stands for.
        acts: The audit trail.
    """

    def __init__(self, buckets: Buckets, acts: Acts) -> None:
        self._buckets = buckets
        self._acts = acts

    async def deviations(self) -> list[str]:
        """Return what keeps them from forgetting, each with its remedy."""
        return await self._buckets.deviations()

    async def encryption(self) -> Mapping[str, str]:
        """Return the algorithm of each bucket's encryption at rest; "" for none that is told."""
        return await self._buckets.encryption()

    async def lifecycle(self) -> LifecycleSpan:
        """Return after how many days the store itself removes stills that nobody has confirmed."""
        return await self._buckets.lifecycle()

    async def keep_rules(self) -> None:
        """Set the rules again by which the store removes stills; days pass."""
        await self._buckets.keep_rules()

    async def remove_old_versions(self) -> int:
        """Remove what deleting and overwriting left in them; return how many versions."""
        removed = await self._buckets.remove_old_versions()
        if removed:
            await self._acts.record("EraseOldVersions", ERASURE, [])
        return removed


class Retention:
    """What is to be removed without anybody asking, and how much there is.

    Args:
        subjects: Closes those whose review date has passed, and finishes erasures.
        sightings: Erases those whose deadline has passed.
        files: What keeps bytes of what was removed until it is rebuilt.
        reenrolment: Goes on with one that broke off, and makes templates that the gallery lacks.
        buckets: Of photographs and stills.
        clock: Tells the time.
        grace: How long after its review date a subject is closed.
    """

    def __init__(
        self,
        *,
        subjects: SubjectSweep,
        sightings: SightingUpkeep,
        files: Sequence[Purgeable],
        reenrolment: Reenrolment,
        buckets: Buckets,
        clock: Clock,
        grace: timedelta,
    ) -> None:
        self._subjects = subjects
        self._sightings = sightings
        self._files = files
        self._reenrolment = reenrolment
        self._buckets = buckets
        self._clock = clock
        self._grace = grace

    async def sweep(self, proceed: Proceed) -> int:
        """Remove what is due, then have the files rebuilt that hold bytes of what was removed.

        Goes on with a re-enrolment that broke off as well, and makes templates that the gallery
        lacks.

        Args:
            proceed: Asked now and then; False ends this, to be gone on with later.

        Returns:
            How many subjects, sightings, stills and files were removed.
        """
        try:
            return await self._remove_due(proceed)
        finally:
            # Days pass, whatever does not answer; and a rule that cannot be set must keep nothing.
            await self._buckets.keep_rules()

    async def _remove_due(self, proceed: Proceed) -> int:
        removed = await self._subjects.sweep(grace=self._grace) + await self._sightings.sweep()
        removed += await self._buckets.remove_old_versions()
        for files in self._files:
            if await files.holds_erased():
                removed += await files.rebuild(proceed)
        if removed:
            log.info("swept", removed=removed)
        # Last: it takes minutes when there is much to make, and nothing is kept too long for it.
        await self._reenrolment.sweep(proceed)
        return removed

    async def report(self) -> RetentionReport:
        """Report what is held."""
        left = (await self._subjects.leftovers()).subject_ids
        lost = await self._sightings.lost()
        unknown = [name for files in self._files for name in await files.unknown()]
        if lost:
            log.warning("sightings are lost", count=lost.count)
        if unknown:
            log.warning("no record names these collections", collections=unknown)
        return RetentionReport(
            made=self._clock.now(),
            held=(
                *await self._subjects.held(grace=self._grace, unfinished=left),
                *await self._sightings.held(left),
            ),
            deviations=tuple(await self._buckets.deviations()),
            rebuild_due=any([await files.holds_erased() for files in self._files]),
            lifecycle=await self._buckets.lifecycle(),
            encryption=await self._buckets.encryption(),
            unknown_files=tuple(unknown),
            lost_sightings=lost.count,
        )
