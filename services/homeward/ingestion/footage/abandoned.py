"""Abandoned uploads, and removing their bytes."""

from __future__ import annotations

import structlog

from homeward.core.inventory import ABANDONED_AFTER
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.model import Upload
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.footage.tails import Tail
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import KeyValueStore

log = structlog.get_logger()


class AbandonedUploads:
    """Removes uploads that were not done within `ABANDONED_AFTER`.

    Args:
        store: The bucket of recordings.
        uploads: The records of uploads under way.
        clock: Tells the time.
    """

    def __init__(self, store: FootageStore, uploads: KeyValueStore, clock: Clock) -> None:
        self._store = store
        self._uploads = uploads
        self._clock = clock

    async def claimed(self) -> list[str]:
        """Return the ids of the recordings that are being uploaded, once for each upload."""
        uploads = [records.decode(entry.value, Upload) for entry in await self._uploads.entries()]
        return [upload.header.footage_id for upload in uploads if not upload.done]

    async def sweep(self) -> int:
        """Remove the abandoned uploads and their bytes; return how many."""
        count = 0
        for entry in await self._uploads.entries():
            upload = records.decode(entry.value, Upload)
            if self._clock.now() - upload.create_time < ABANDONED_AFTER:
                continue
            try:
                await self._drop_parts(upload)
                if not upload.done:
                    await self._abandon(upload)
            except errors.DomainError as error:  # must not keep the sweep from any recording
                log.warning("upload not removed", request_id=entry.key, problem=str(error))
                continue
            await self._uploads.erase(entry.key)
            count += not upload.done
        return count

    async def _drop_parts(self, upload: Upload) -> None:
        """Remove parts that became no object, also of a completed upload that broke off before."""
        key = FootageLayout(upload.header.footage_id).file
        for multipart in filter(None, [upload.multipart_id, *upload.admissions]):
            await self._store.abort_multipart(key, multipart)
            if await self._store.parts(key, multipart):
                raise errors.unavailable("S3", "its bucket", "parts are still there; see its log")

    async def _abandon(self, upload: Upload) -> None:
        key = FootageLayout(upload.header.footage_id).file
        if upload.multipart_id is not None:
            await Tail(self._store, upload).drop()
        if upload.staging:
            await self._store.delete(upload.staging)
        name = upload.header.footage_id
        others = (await self.claimed()).count(name) - 1
        if not others and await self._store.stat(FootageLayout(name).manifest) is None:
            await self._store.delete(key)
