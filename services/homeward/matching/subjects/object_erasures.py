"""The entries of an erasure certificate about objects in an object store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from homeward.core.inventory import STILLS, DataClass
from homeward.matching.subjects.model import ErasureEntry, ErasureOutcome
from homeward.servicekit.clock import Clock
from homeward.servicekit.objects import REPLICATED, ObjectStore

NOTHING_THERE = "there was none"
_GONE = "the object store was asked for each one and has none of them"
_GONE_THEN = "the object store was asked for each one when it was deleted, and had none of them"


class ObjectErasures:
    """Makes certificate entries about deleted objects, from the present answers of their store.

    Args:
        buckets: Buckets of the objects, by the name of the data.
        clock: Tells the time.
        frees_after: Time within which the object store frees the bytes of deleted objects; None if
            the operator has not stated it.
    """

    def __init__(
        self, buckets: Mapping[str, ObjectStore], clock: Clock, frees_after: timedelta | None
    ) -> None:
        self._buckets = buckets
        self._clock = clock
        self._frees_after = frees_after

    async def entry(
        self, data: DataClass, *, count: int, left: int, versions: int = 0
    ) -> ErasureEntry:
        """Return the entry of a certificate.

        Args:
            data: Kind of the objects.
            count: Number of objects before.
            left: Objects and versions that are still there.
            versions: Versions that were removed by their ids.
        """
        store = self._buckets[data.name]
        pending = ErasureEntry(
            data.name, f"{data.engine} {data.place}", count, ErasureOutcome.PENDING, ""
        )
        if left:
            return await self._kept(pending, left)
        if not count:
            return replace(pending, outcome=ErasureOutcome.ERASED, verification=NOTHING_THERE)
        by_id = f", after {versions} versions were removed by their ids" if versions else ""
        if await store.replicated():
            return replace(pending, verification=f"{_GONE}{by_id}; but the bucket: {REPLICATED}")
        return self._freeing(pending, f"{_GONE}{by_id}")

    async def entry_now(self, entry: ErasureEntry) -> ErasureEntry | None:
        """Return an entry brought up to date: its bytes may be free by now, or objects be back.

        Returns:
            The entry; None when it is not about objects.
        """
        store = self._buckets.get(entry.data)
        if store is None:
            return None
        if entry.data == STILLS.name and entry.places:
            if any([await store.left(place) for place in entry.places]):
                return entry
            entry = replace(entry, places=(), verification=f"{_GONE}, of unknown ones too")
        if left := sum([await store.left(place) for place in entry.places]):
            return replace(
                entry,
                outcome=ErasureOutcome.FAILED,
                verification=f"{left} are there again, as after a copy of the bucket was put back;"
                " a sweep that looks through all data removes them, within little more than an"
                " hour",
            )
        if entry.until is None or self._clock.now() < entry.until:
            return entry
        return replace(
            entry,
            outcome=ErasureOutcome.ERASED,
            verification=f"{_GONE if entry.places else _GONE_THEN}, and the time within which it"
            " frees their bytes has passed",
        )

    def with_unknown(self, entry: ErasureEntry, keys: tuple[str, ...]) -> ErasureEntry:
        """Return the entry of stills, where there are others of which nobody knows whose they are.

        Args:
            entry: Of those that were known.
            keys: Of the others, of confirmed sightings that the index has lost.
        """
        if not keys or entry.outcome is ErasureOutcome.FAILED:
            return entry
        doubt = (
            f"the bucket has {len(keys)} stills of confirmed sightings that were lost, and some may"
            " be of this person: somebody has to look at them, and remove those that are not needed"
        )
        erased = entry.outcome is ErasureOutcome.ERASED
        return replace(
            entry,
            outcome=ErasureOutcome.PENDING,
            verification=f"{entry.verification}; but {doubt}",
            places=keys,
            until=self._clock.now() if erased else entry.until,
        )

    def concerns(self, entry: ErasureEntry) -> bool:
        """Return whether an entry is about objects."""
        return entry.data in self._buckets

    async def merge(self, former: ErasureEntry, entry: ErasureEntry) -> ErasureEntry:
        """Return the entry of a repeated erasure, merged with that of the erasure before.

        Args:
            former: Entry of the erasure before.
            entry: Entry of this erasure.
        """
        if entry.data not in self._buckets:
            return entry
        if former.outcome is ErasureOutcome.FAILED and entry.verification == NOTHING_THERE:
            # The earlier call broke off after it had deleted the objects; this one found none.
            gone = "nothing is there after an erasure that broke off"
            if await self._buckets[entry.data].replicated():
                pending = replace(entry, outcome=ErasureOutcome.PENDING)
                return replace(pending, verification=f"{gone}; but the bucket: {REPLICATED}")
            return self._freeing(entry, gone)
        if former.outcome is ErasureOutcome.PENDING and former.until is None:
            return replace(entry, verification=former.verification, until=None)
        return entry

    def _freeing(self, entry: ErasureEntry, gone: str) -> ErasureEntry:
        pending = replace(entry, outcome=ErasureOutcome.PENDING)
        if self._frees_after is None:
            unknown = (
                "the operator has not stated when it frees their bytes (HOMEWARD_S3_FREES_MINUTES)"
            )
            return replace(pending, verification=f"{gone}; {unknown}")
        until = self._clock.now() + self._frees_after
        by = f"it frees their bytes by {until:%Y-%m-%d %H:%M:%S} UTC"
        return replace(pending, verification=f"{gone}; {by}", until=until)

    async def _kept(self, entry: ErasureEntry, left: int) -> ErasureEntry:
        why = "; ".join([f"{left} are still there", *await self._buckets[entry.data].keeping()])
        return replace(
            entry,
            outcome=ErasureOutcome.FAILED,
            verification=f"{why}; the next sweep tries again",
        )
