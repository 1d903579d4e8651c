"""What an erasure certificate says of objects, which an object store has deleted or has not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from homeward.inventory import DataClass
from homeward.matching.model import ErasureEntry, ErasureOutcome
from homeward.servicekit.clock import Clock
from homeward.servicekit.objects import REPLICATED, ObjectStore

NOTHING_THERE = "there was none"


class ObjectErasures:
    """Tells what became of objects that were to be deleted, by what their store says now.

    Args:
        clock: Tells the time.
        frees_after: Within what time the object store frees the bytes of what was deleted; None if
            nobody has stated it.
    """

    def __init__(self, clock: Clock, frees_after: timedelta | None) -> None:
        self._clock = clock
        self._frees_after = frees_after

    async def entry(
        self, data: DataClass, store: ObjectStore, *, count: int, left: int, versions: int = 0
    ) -> ErasureEntry:
        """Return the entry of a certificate.

        Args:
            data: What was to be deleted.
            store: Where that was.
            count: How many objects there were.
            left: Objects and versions that are still there.
            versions: Versions that were removed by their ids.
        """
        told = ErasureEntry(
            data.name, f"{data.engine} {data.place}", count, ErasureOutcome.PENDING, ""
        )
        if left:
            why = "; ".join([f"{left} are still there", *await store.keeping()])
            return replace(
                told,
                outcome=ErasureOutcome.FAILED,
                verification=f"{why}; then close the subject again",
            )
        if not count:
            return replace(told, outcome=ErasureOutcome.ERASED, verification=NOTHING_THERE)
        gone = "the store says of each that it is not there"
        if versions:
            gone += f", after {versions} versions were removed by their ids"
        if await store.replicated():
            return replace(told, verification=f"{gone}; but the bucket: {REPLICATED}")
        if self._frees_after is None:
            unknown = "when it frees their bytes, nobody has stated (HOMEWARD_S3_FREES_MINUTES)"
            return replace(told, verification=f"{gone}; {unknown}")
        until = self._clock.now() + self._frees_after
        return replace(
            told,
            verification=f"{gone}; it frees their bytes by {until:%Y-%m-%d %H:%M:%S} UTC",
            until=until,
        )
