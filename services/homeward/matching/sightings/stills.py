"""The stills of sightings, in the store of evidence."""

from __future__ import annotations

from datetime import datetime

from homeward.matching.sightings.model import Sighting, SightingState
from homeward.servicekit import errors
from homeward.servicekit.objects import ObjectInfo, ObjectStore

PENDING, CONFIRMED = "pending", "confirmed"
"""Folders: what is under the first, the store itself removes by a rule."""


class Stills:
    """One JPEG file a sighting, in the folder of its state.

    Args:
        evidence: The store.
    """

    def __init__(self, evidence: ObjectStore) -> None:
        self._evidence = evidence

    async def get(self, sighting: Sighting) -> bytes | None:
        """Return the still of a sighting, or None when it is gone."""
        return await self._evidence.get(key_of(sighting))

    async def is_there(self, sighting: Sighting) -> bool:
        """Tell whether a sighting has its still."""
        return await self._evidence.stat(key_of(sighting)) is not None

    async def put(self, sighting: Sighting, still: bytes, *, until: datetime | None = None) -> None:
        """Write the still of a sighting, for the store to remove on a day if one is given."""
        await self._evidence.put(key_of(sighting), still, content_type="image/jpeg", until=until)

    async def move(
        self, before: Sighting, after: Sighting, *, until: datetime | None = None
    ) -> None:
        """Copy a still to where a sighting in another state has it; the other one stays.

        Args:
            before: The sighting as the still is kept.
            after: As it is to be kept.
            until: When the store itself is to remove the copy; None leaves that to its age.
        """
        if key_of(before) != key_of(after):
            still = await self.get(before)
            if still is not None:
                await self.put(after, still, until=until)

    async def delete_pending(self, sighting_id: str) -> None:
        """Delete the still of a sighting as it was before a decision."""
        await self._evidence.delete(_key(PENDING, sighting_id))

    async def delete_confirmed(self, sighting_id: str) -> None:
        """Delete the still of a sighting as it was while it was confirmed."""
        await self._evidence.delete(_key(CONFIRMED, sighting_id))

    async def delete(self, sighting_id: str) -> None:
        """Delete the still of a sighting, in whatever state it is.

        Raises:
            FailedPreconditionError: `RETENTION_UNSAFE`: the store refuses, if need be for one of
                the folders, after the other was tried.
        """
        refusal: Exception | None = None
        for folder in (PENDING, CONFIRMED):
            try:
                await self._evidence.delete(_key(folder, sighting_id))
            except errors.FailedPreconditionError as error:
                refusal = error
        if refusal is not None:
            raise refusal

    async def remove(self, sighting_id: str) -> bool:
        """Delete the still of a sighting, as `delete` does; return whether there was one."""
        keys = [_key(folder, sighting_id) for folder in (PENDING, CONFIRMED)]
        there = [await self._evidence.stat(key) is not None for key in keys]
        await self.delete(sighting_id)
        return any(there)

    async def left(self, sighting_id: str) -> int:
        """Return how many objects, old versions included, are there of a still."""
        keys = [_key(folder, sighting_id) for folder in (PENDING, CONFIRMED)]
        return sum([await self._evidence.left(key) for key in keys])

    async def of_confirmed(self) -> list[ObjectInfo]:
        """Return the stills of confirmed sightings."""
        return await self._evidence.objects(f"{CONFIRMED}/")

    async def everything(self) -> list[ObjectInfo]:
        """Return all stills that are there."""
        return await self._evidence.objects("")

    async def purge(self, key: str) -> None:
        """Remove a still that belongs to nothing, by its key."""
        await self._evidence.purge(key)


def key_of(sighting: Sighting) -> str:
    """Return where the still of a sighting is."""
    confirmed = sighting.state is SightingState.CONFIRMED
    return _key(CONFIRMED if confirmed else PENDING, sighting.sighting_id)


def sighting_in(key: str) -> str:
    """Return the id of the sighting that a still is of."""
    return key.rpartition("/")[2].removesuffix(".jpg")


def is_pending(key: str) -> bool:
    """Tell whether a still is of a sighting that nobody has confirmed."""
    return key.startswith(f"{PENDING}/")


def _key(folder: str, sighting_id: str) -> str:
    return f"{folder}/{sighting_id}.jpg"
