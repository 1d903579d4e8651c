"""Finding data of closed and erased subjects that is still held, by searching all stores."""

from __future__ import annotations

from dataclasses import dataclass

from homeward.core.inventory import CERTIFICATES_KEPT
from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.sightings.upkeep import SightingUpkeep
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.photos import PREFIX, subject_in
from homeward.matching.subjects.records import SubjectRecords
from homeward.servicekit.clock import Clock
from homeward.servicekit.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Subjects whose data is still held although it should be gone."""

    ended: frozenset[str] = frozenset()
    """Subjects with a record or certificate of their closing: their erasure broke off, perhaps
    before it had a certificate."""
    unknown: frozenset[str] = frozenset()
    """Subjects without a record. If records were lost, these may have been open."""

    @property
    def subject_ids(self) -> frozenset[str]:
        """All of them."""
        return self.ended | self.unknown


class LeftoverSearch:
    """Searches all stores for data of subjects that are not open.

    Args:
        records: Of the subjects.
        photos: The reference photographs.
        gallery: Their templates.
        sightings: SightingUpkeep, and the ledger of their spans.
        certificates: The certificates of erased subjects.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        records: SubjectRecords,
        photos: ObjectStore,
        gallery: SubjectIndex,
        sightings: SightingUpkeep,
        certificates: Certificates,
        clock: Clock,
    ) -> None:
        self._records = records
        self._photos = photos
        self._gallery = gallery
        self._sightings = sightings
        self._certificates = certificates
        self._clock = clock

    async def find(self) -> Leftovers:
        """Return the subjects whose data is still held although it should be gone.

        Raises:
            UnavailableError: A store does not answer, so that this is not known.
        """
        held = {
            *(await self._gallery.contents()).subject_ids,
            *await self._sightings.subject_ids(),
            *(subject_in(item.key) for item in await self._photos.objects(PREFIX)),
        }
        # Records are read after the data: a subject has its record before any other data.
        roll = await self._records.roll()
        opened, closed = roll.opened.keys(), roll.closed.keys()
        erasing = {name for name, shell in roll.closed.items() if shell.value.to_be_erased}
        stray = held - opened - closed
        erased = {name for name in stray if await self._certificates.exists(name)}
        since = self._clock.now() - CERTIFICATES_KEPT
        told = await self._certificates.subject_ids()
        untold = {
            name
            for name, shell in roll.closed.items()
            if name not in told and shell.value.update_time > since
        }
        return Leftovers(
            ended=frozenset(closed & (held | opened) | erasing | erased | untold),
            unknown=frozenset(stray - erased),
        )
