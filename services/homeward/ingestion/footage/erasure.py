"""Erasing recordings: removal, proof that they are gone, and a record of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from homeward.core.inventory import FOOTAGE
from homeward.ingestion.footage.counts import FootageCounts
from homeward.ingestion.footage.layout import FootageLayout, is_footage_id, pointer_key
from homeward.ingestion.footage.library import FootageLibrary, footage_not_found
from homeward.ingestion.footage.model import FootageErasure, HeldFootage
from homeward.ingestion.footage.ports import FootageStore, SightingEraser
from homeward.ingestion.footage.records import FootageRecords
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock
from homeward.servicekit.objects import REPLICATED, ObjectInfo, kept_version

log = structlog.get_logger()


class FootageEraser:
    """Removes recordings.

    A record beside the store says that there is a recording, for the store may remove it by its own
    rule: the sweep then removes the rest, and writes the removal down.

    Args:
        store: Holds the recordings.
        library: Reads their manifests.
        sightings: Erases the sightings in removed recordings.
        records: Records of recordings beside the store.
        counts: Counts of recordings, told of each change.
        clock: Tells the time.
    """

    def __init__(
        self,
        *,
        store: FootageStore,
        library: FootageLibrary,
        sightings: SightingEraser,
        records: FootageRecords,
        counts: FootageCounts,
        clock: Clock,
    ) -> None:
        self._store = store
        self._library = library
        self._sightings = sightings
        self._records = records
        self._counts = counts
        self._clock = clock

    async def delete(self, footage_id: str, *, by_store: bool = False) -> None:
        """Remove a recording and its unconfirmed sightings, and prove that it is gone.

        Args:
            footage_id: Names it.
            by_store: Whether the store has removed the file by itself, so that only the rest is
                left.

        Raises:
            NotFoundError: `FOOTAGE_NOT_FOUND`.
            FailedPreconditionError: `RETENTION_UNSAFE`: the store keeps versions of it that it
                refuses to remove, or has copied it elsewhere; `FOOTAGE_DAMAGED`: neither its
                manifest nor a record tells when it came, and the sweep removes it by its age.
            UnavailableError: A store does not answer; repeating the call finishes the work.
        """
        footage = await self._described(footage_id)
        layout = FootageLayout(footage_id)
        begun = await self._begun(
            footage_id, footage.receive_time, footage.delete_time, by_store=by_store
        )
        # The file goes first, so that no scan finds anybody in it after its sightings are erased;
        # the manifest last: while it is there, the deletion can be repeated.
        await self._remove(layout.file, footage_id)
        await self._sightings.erase_footage_sightings(footage_id, received=footage.receive_time)
        if footage.sha256:  # else the round through all pointers finds it
            await self._store.delete(pointer_key(footage.sha256))
        folder = layout.folder
        for item in await self._store.objects(folder):
            if item.key != layout.manifest:
                await self._remove(item.key, footage_id)
        await self._remove(layout.manifest, footage_id)
        # Objects that a running scan wrote before it could see that the manifest is gone, and old
        # versions of objects that were deleted or overwritten before.
        await self._store.purge(folder)
        await self._require_gone(folder, footage_id)
        await self._erased(begun)

    async def _described(self, footage_id: str) -> HeldFootage:
        """Return what its manifest says of a recording, or its record if that is damaged."""
        try:
            footage = await self._library.manifest(footage_id)
        except errors.FailedPreconditionError:
            held = await self._records.get(footage_id)
            if held is None:
                raise
            return held
        if footage is None:
            raise footage_not_found(footage_id)
        return HeldFootage(
            footage_id, footage.receive_time, footage.delete_time, footage.header.sha256
        )

    async def _require_gone(self, folder: str, footage_id: str) -> None:
        """Check that the store, as it is set up now, keeps nothing of a recording."""
        if await self._store.left(folder):
            if keeping := await self._store.keeping():
                raise kept_version(FOOTAGE.place, "; ".join(keeping))
            raise _still_there(footage_id)
        if await self._store.replicated():
            raise kept_version(FOOTAGE.place, REPLICATED)

    async def remember(self, held: HeldFootage) -> None:
        """Write down beside the store that there is to be a recording."""
        await self._records.remember(held)
        await self._counts.mark(held.footage_id)

    async def delete_rest(self, held: HeldFootage, *, by_store: bool = False) -> bool:
        """Remove the rest of a recording without file or manifest, and record the removal.

        Args:
            held: Its record.
            by_store: Whether the store has removed it by itself.

        Returns:
            Whether it was removed now. `finish_erasures` ends a removal that is under way and has
            no object left.

        Raises:
            FailedPreconditionError: As `delete`.
            UnavailableError: A store does not answer; repeating the call finishes the work.
        """
        name = held.footage_id
        layout = FootageLayout(name)
        folder = layout.folder
        left = await self._store.objects(folder)
        if any(item.key in (layout.file, layout.manifest) for item in left):
            return False  # it was uploaded again meanwhile
        if not left and await self._records.begun(name) is not None:
            return False
        begun = await self._begun(name, held.receive_time, held.delete_time, by_store=by_store)
        await self.discard(name, left, received=held.receive_time)
        await self._store.purge(folder)
        await self._require_gone(folder, name)
        await self._erased(begun)
        return True

    async def drop_pointer(self, held: HeldFootage) -> int:
        """Remove the pointer to a recording that is gone; return how many there were."""
        if not held.sha256:  # the round through all pointers finds it
            return 0
        key = pointer_key(held.sha256)
        if await self._store.get(key) != held.footage_id.encode():
            return 0
        await self._store.delete(key)
        return 1

    async def _begun(
        self, footage_id: str, receive_time: datetime, delete_time: datetime, *, by_store: bool
    ) -> FootageErasure:
        """Return the record of a removal that is under way, written now or before it broke off."""
        begun = await self._records.begun(footage_id)
        if begun is not None:
            return begun
        now = self._clock.now()
        begun = FootageErasure(footage_id, receive_time, delete_time, now, by_store=by_store)
        await self._records.begin(begun)
        return begun

    async def finish_erasures(self) -> list[str]:
        """Write down the end of deletions that broke off after their last object was gone.

        Returns:
            The ids of the recordings.
        """
        finished = []
        for begun in await self._records.all_begun():
            folder = FootageLayout(begun.footage_id).folder
            if await self._store.objects(folder):
                continue  # of a deletion that can be repeated
            await self._store.purge(folder)
            try:
                await self._require_gone(folder, begun.footage_id)
            except errors.FailedPreconditionError as error:
                log.warning("not gone", footage_id=begun.footage_id, problem=str(error))
                continue
            await self._erased(begun)
            finished.append(begun.footage_id)
        return finished

    async def discard(
        self,
        footage_id: str,
        objects: Sequence[ObjectInfo],
        *,
        received: datetime | None = None,
    ) -> None:
        """Remove objects that belong to no recording, and prove that they are gone.

        Args:
            footage_id: Id in their keys, of which there may never have been a recording.
            objects: The objects.
            received: When the recording came, if there was one.

        Raises:
            UnavailableError: A store does not answer; repeating the call finishes the work.
        """
        if is_footage_id(footage_id):
            await self._sightings.erase_footage_sightings(footage_id, received=received)
        await self._clear(objects, footage_id)

    async def _clear(self, objects: Sequence[ObjectInfo], footage_id: str) -> None:
        for item in objects:
            await self._remove(item.key, footage_id)

    async def _erased(self, begun: FootageErasure) -> None:
        await self._counts.mark(begun.footage_id)
        await self._records.end(replace(begun, erase_time=self._clock.now()))

    async def _remove(self, key: str, footage_id: str) -> None:
        await self._store.delete(key)
        if await self._store.stat(key) is not None:
            raise _still_there(footage_id)


def _still_there(footage_id: str) -> errors.UnavailableError:
    return errors.UnavailableError(
        f"S3 still has {footage_id} after its deletion",
        reason=errors.Reason.COMPONENT_UNAVAILABLE,
        metadata={"component": "S3", "address": "its bucket"},
        advice="see its log; the sweep tries again",
    )
