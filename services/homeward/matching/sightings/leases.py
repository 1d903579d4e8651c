"""Leases on sightings: two reviewers are never handed the same one at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from homeward.core.inventory import REVIEW_LEASES
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock
from homeward.servicekit.identity.caller import is_same_person
from homeward.servicekit.keyvalue import ConflictError, Entry, KeyValueStore

LEASED_FOR = REVIEW_LEASES.engine_limit or timedelta()
"""How long a lease lasts that is not renewed: as long as the store keeps it."""


@dataclass(frozen=True, slots=True)
class SightingLease:
    """A sighting that a reviewer has been handed."""

    sighting_id: str
    expire_time: datetime


class ReviewLeases:
    """Who has been handed which sighting.

    A lease is taken by a conditional write, so of two replicas one alone hands a sighting out. The
    store itself removes a lease that was not renewed, by its own clock.

    Args:
        store: Holds the reviewer's name under the id of the sighting, and nothing else.
        clock: Tells until when a lease lasts.
    """

    def __init__(self, store: KeyValueStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def take(self, sighting_id: str, reviewer: str) -> SightingLease | None:
        """Take or renew a lease; return None while another reviewer has it."""
        while True:
            entry = await self._store.get(sighting_id)
            try:
                if entry is None:
                    await self._store.create(sighting_id, reviewer.encode())
                elif _is_of_another(entry, reviewer):
                    return None
                else:
                    await self._store.update(
                        sighting_id, reviewer.encode(), revision=entry.revision
                    )
            except ConflictError:  # another call came first: who has it now?
                continue
            return SightingLease(sighting_id, self._clock.now() + LEASED_FOR)

    async def give_back(self, sighting_id: str, reviewer: str) -> None:
        """End a lease; one that another reviewer has stays."""
        while True:
            entry = await self._store.get(sighting_id)
            if entry is None or not entry.value or _is_of_another(entry, reviewer):
                return
            try:
                # Removed unconditionally, it could be the lease of who has taken it just now.
                await self._store.update(sighting_id, b"", revision=entry.revision)
            except ConflictError:
                continue
            return

    async def holders(self) -> Mapping[str, str]:
        """Return who holds which sighting."""
        entries = await self._store.entries()
        return {entry.key: entry.value.decode() for entry in entries if entry.value}

    async def require_free(self, sighting_id: str, reviewer: str) -> None:
        """Refuse a decision while another reviewer has been handed the sighting.

        Raises:
            FailedPreconditionError: `SIGHTING_LEASED`.
        """
        entry = await self._store.get(sighting_id)
        if entry is not None and _is_of_another(entry, reviewer):
            # Who it is, is not told: whoever may be the second reviewer must not know the first.
            raise errors.FailedPreconditionError(
                f"another reviewer has sighting {sighting_id} before them; if they do not decide on"
                f" it, it is free {LEASED_FOR.seconds // 60} minutes after their program has"
                " stopped",
                reason=errors.Reason.SIGHTING_LEASED,
                metadata={"sighting_id": sighting_id},
            )


def _is_of_another(entry: Entry, reviewer: str) -> bool:
    return bool(entry.value) and not is_same_person(entry.value.decode(), reviewer)
