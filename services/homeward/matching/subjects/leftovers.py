"""Finding what is still held of subjects whose search has ended, by what is held itself."""

from __future__ import annotations

from dataclasses import dataclass

from homeward.matching.gallery.ports import SubjectIndex
from homeward.matching.sightings.sightings import Sightings
from homeward.matching.subjects.certificates import Certificates
from homeward.matching.subjects.model import Subject
from homeward.servicekit import records
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Subjects of whom something is held that should be gone."""

    ended: frozenset[str] = frozenset()
    """Closed or erased, as a record or a certificate tells: the erasure broke off."""
    unknown: frozenset[str] = frozenset()
    """Those of whom no record tells anything. Where records were lost, these were perhaps open."""

    @property
    def subject_ids(self) -> frozenset[str]:
        """All of them."""
        return self.ended | self.unknown


class LeftoverSearch:
    """Looks through all stores for data of subjects that are not open.

    Args:
        subjects: The records of subjects.
        photos: The reference photographs.
        gallery: Their templates.
        sightings: Sightings, and the ledger of their spans.
        certificates: Tell who was erased.
    """

    def __init__(
        self,
        *,
        subjects: KeyValueStore,
        photos: ObjectStore,
        gallery: SubjectIndex,
        sightings: Sightings,
        certificates: Certificates,
    ) -> None:
        self._subjects = subjects
        self._photos = photos
        self._gallery = gallery
        self._sightings = sightings
        self._certificates = certificates

    async def find(self) -> Leftovers:
        """Return the subjects of whom something is held that should be gone.

        Raises:
            UnavailableError: A store does not answer, so that nobody knows.
        """
        held = {
            *(await self._gallery.contents()).subject_ids,
            *await self._sightings.subject_ids(),
            *(subject_in(item.key) for item in await self._photos.objects("subjects/")),
        }
        # After what is held: a subject has its record before anything else.
        opened = {
            entry.key.removeprefix("open.") for entry in await self._subjects.entries("open.*")
        }
        closed = {
            entry.key.removeprefix("closed."): records.decode(entry.value, Subject)
            for entry in await self._subjects.entries("closed.*")
        }
        erasing = {name for name, shell in closed.items() if shell.to_be_erased}
        stray = held - opened - closed.keys()
        erased = {name for name in stray if await self._certificates.tell_of(name)}
        return Leftovers(
            ended=frozenset(closed.keys() & (held | opened) | erasing | erased),
            unknown=frozenset(stray - erased),
        )


def subject_in(photo_key: str) -> str:
    """Return the id of the subject that a photograph is of."""
    return photo_key.split("/")[1]
