"""The stills of sightings, in the store of evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from homeward.matching.sightings.model import Sighting, SightingState, SightingStill
from homeward.servicekit import errors
from homeward.servicekit.objects import ObjectInfo, ObjectStore

PENDING, CONFIRMED = "pending", "confirmed"
"""Folders: what is under the first, the store itself removes by a rule."""

FOLDERS = (PENDING, CONFIRMED)


class Stills:
    """JPEG files of sightings, in the folder of their state.

    The still of the best shot is `FOLDER/SIGHTING.jpg`, as earlier versions wrote it. The others
    are `FOLDER/SIGHTING/MICROSECONDS.jpg`, by where their picture is in the recording. They are
    written before the best one, and go before it: where that is, they are all.

    Args:
        evidence: The store.
    """

    def __init__(self, evidence: ObjectStore) -> None:
        self._evidence = evidence

    async def get(self, sighting: Sighting) -> bytes | None:
        """Return the still of a sighting's best shot, or None when it is gone."""
        return await self._evidence.get(key_of(sighting))

    async def of(self, sighting: Sighting, still: SightingStill) -> bytes | None:
        """Return a still of a sighting, or None when it is gone."""
        other = await self._evidence.get(_other_key(sighting, still.offset))
        # One that became the best still, or was it, may be under both names: its own one is right.
        if other is None and still.offset == sighting.best_shot_offset:
            return await self.get(sighting)
        return other

    async def is_there(self, sighting: Sighting) -> bool:
        """Tell whether a sighting has the still of its best shot."""
        return await self._evidence.stat(key_of(sighting)) is not None

    async def put(
        self,
        sighting: Sighting,
        pictures: Mapping[timedelta, bytes],
        *,
        until: datetime | None = None,
    ) -> None:
        """Write stills of a sighting, by their offsets; that of the best shot last.

        Args:
            sighting: Whose they are; its state and best shot say where they go.
            pictures: JPEG files.
            until: When the store is to remove them; None leaves that to their age.
        """
        best = sighting.best_shot_offset

        async def write(key: str, offset: timedelta) -> None:
            await self._evidence.put(key, pictures[offset], content_type="image/jpeg", until=until)

        # At once: a reviewer waits for it.
        others = [(_other_key(sighting, one), one) for one in pictures if one != best]
        await asyncio.gather(*(write(key, offset) for key, offset in others))
        if best in pictures:
            await write(key_of(sighting), best)

    async def move(
        self, before: Sighting, after: Sighting, *, until: datetime | None = None
    ) -> None:
        """Copy stills to where a sighting in another state has them; the others stay.

        Args:
            before: The sighting as the stills are kept.
            after: As it is to be kept.
            until: When the store itself is to remove the copies; None leaves that to their age.
        """
        if key_of(before) != key_of(after):
            stills = before.given_stills
            found = await asyncio.gather(*(self.of(before, one) for one in stills))
            kept = {
                one.offset: each
                for one, each in zip(stills, found, strict=True)
                if each is not None
            }
            await self.put(after, kept, until=until)

    async def delete_pending(self, sighting_id: str) -> None:
        """Delete the stills of a sighting as they were before a decision."""
        await self._delete_from(PENDING, sighting_id)

    async def delete_unnamed(self, sighting: Sighting) -> None:
        """Delete the stills of a sighting that it had, and does not name any more."""
        named = keys_by_offset(sighting).values()
        for item in await self._evidence.objects(
            _others(folder_of(sighting), sighting.sighting_id)
        ):
            if item.key not in named:
                await self._evidence.delete(item.key)

    async def delete_confirmed(self, sighting_id: str) -> None:
        """Delete the stills of a sighting as they were while it was confirmed."""
        await self._delete_from(CONFIRMED, sighting_id)

    async def delete(self, sighting_id: str) -> None:
        """Delete the stills of a sighting, in whatever state it is.

        Raises:
            FailedPreconditionError: `RETENTION_UNSAFE`: the store refuses, if need be for one of
                the stills, after the others were tried.
        """
        refusal: Exception | None = None
        for folder in FOLDERS:
            try:
                await self._delete_from(folder, sighting_id)
            except errors.FailedPreconditionError as error:
                refusal = error
        if refusal is not None:
            raise refusal

    async def remove(self, sighting_id: str) -> int:
        """Delete the stills of a sighting, as `delete` does; return how many there were."""
        count = await self.count(sighting_id)
        await self.delete(sighting_id)
        return count

    async def count(self, sighting_id: str) -> int:
        """Return how many stills of a sighting are there."""
        return sum([len(await self._evidence.objects(f"{one}/{sighting_id}")) for one in FOLDERS])

    async def left(self, sighting_id: str) -> int:
        """Return how many objects, old versions included, are there of a sighting's stills."""
        return sum([await self._evidence.left(f"{one}/{sighting_id}") for one in FOLDERS])

    async def of_confirmed(self) -> list[ObjectInfo]:
        """Return the stills of confirmed sightings."""
        return await self._evidence.objects(f"{CONFIRMED}/")

    async def everything(self) -> list[ObjectInfo]:
        """Return all stills that are there."""
        return await self._evidence.objects("")

    async def purge(self, key: str) -> None:
        """Remove a still that belongs to nothing, by its key."""
        await self._evidence.purge(key)

    async def _delete_from(self, folder: str, sighting_id: str) -> None:
        """Delete the stills of a sighting from a folder, that of its best shot last."""
        others = _others(folder, sighting_id)
        kept = (await self._evidence.purge(others)).left
        await self._evidence.delete(_best_key(folder, sighting_id))
        for item in await self._evidence.objects(others) if kept else ():
            await self._evidence.delete(item.key)  # says why the store keeps it


def key_of(sighting: Sighting) -> str:
    """Return where the still of a sighting's best shot is."""
    return _best_key(folder_of(sighting), sighting.sighting_id)


def keys_by_offset(sighting: Sighting) -> dict[timedelta, str]:
    """Return where the stills of a sighting are, by where their pictures are in the recording."""
    return {
        one.offset: key_of(sighting)
        if one.offset == sighting.best_shot_offset
        else _other_key(sighting, one.offset)
        for one in sighting.given_stills
    }


def folder_of(sighting: Sighting) -> str:
    """Return the folder that the stills of a sighting are in."""
    return CONFIRMED if sighting.state is SightingState.CONFIRMED else PENDING


def sighting_in(key: str) -> str:
    """Return the id of the sighting that a still is of."""
    return key.partition("/")[2].partition("/")[0].removesuffix(".jpg")


def is_pending(key: str) -> bool:
    """Tell whether a still is of a sighting that nobody has confirmed."""
    return key.startswith(f"{PENDING}/")


def _best_key(folder: str, sighting_id: str) -> str:
    return f"{folder}/{sighting_id}.jpg"


def _others(folder: str, sighting_id: str) -> str:
    """Return the prefix of all stills of a sighting but that of its best shot."""
    return f"{folder}/{sighting_id}/"


def _other_key(sighting: Sighting, offset: timedelta) -> str:
    name = offset // timedelta(microseconds=1)
    return f"{_others(folder_of(sighting), sighting.sighting_id)}{name}.jpg"
