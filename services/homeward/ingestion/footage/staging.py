"""Files uploaded by URL: each has a key of its own, and is admitted once it is read through.

A client may write to the key of its URL for as long as the URL lives, also after the upload is
done, and with any time stamp. So a staged file is read only to admit it, and a file that belongs to
no upload under way is removed, whatever its age.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from homeward.ingestion.footage.layout import STAGING
from homeward.ingestion.footage.model import Upload
from homeward.ingestion.footage.ports import FootageStore, Part
from homeward.servicekit import errors, records
from homeward.servicekit.keyvalue import KeyValueStore, edit
from homeward.servicekit.objects import ObjectInfo

COPIED_BYTES = 8 * 1024 * 1024
"""What of a file is in memory at a time, twice. S3 takes no part under 5 MiB but the last."""

CLOCKS_APART = timedelta(minutes=15)
"""Difference that S3 allows between two clocks. An object dated further ahead has a false date."""


def dated_ahead(item: ObjectInfo, now: datetime) -> bool:
    """Return whether an object is dated in the future, so that it would never get old."""
    return item.modified - now > CLOCKS_APART


class Staging:
    """The files that came by URL and are not recordings yet.

    Args:
        store: The bucket of recordings.
        uploads: The records of uploads under way.
    """

    def __init__(self, store: FootageStore, uploads: KeyValueStore) -> None:
        self._store = store
        self._uploads = uploads

    async def admit(self, request_id: str, upload: Upload, key: str) -> str:
        """Copy a staged file to `key`, which no URL writes to, if it is the one announced.

        It is copied as it is read through, in parts that become an object only if their digest is
        right: writing to the staging key meanwhile, or doing this twice at once, changes nothing.

        Returns:
            The file's SHA-256.

        Raises:
            NotFoundError: `UPLOAD_NOT_FOUND`: the upload was given up meanwhile.
            InvalidArgumentError: `UPLOAD_DIGEST_MISMATCH`: it is another file.
        """
        header = upload.header
        admission = await self._store.begin_multipart(key)
        done = False
        try:
            await self._record_admission(request_id, admission)
            digest, parts = await self._copy(upload, key, admission)
            if digest != header.sha256:
                raise digest_mismatch(header.sha256, digest)
            await self._store.complete_multipart(key, admission, parts)
            done = True
        finally:
            if not done:
                # If the store does not answer, the sweep finds it by the upload's record.
                with contextlib.suppress(errors.UnavailableError):
                    await self._store.abort_multipart(key, admission)
        return digest

    async def _copy(self, upload: Upload, key: str, admission: str) -> tuple[str, list[Part]]:
        size = upload.header.size_bytes
        digest = hashlib.sha256()
        parts: list[Part] = []
        offset = 0
        block = await self._store.read(upload.staging, 0, min(COPIED_BYTES, size))
        while block:
            offset += len(block)
            digest.update(block)
            part, block = await asyncio.gather(
                self._store.put_part(key, admission, len(parts) + 1, block),
                self._read_next(upload.staging, offset, size),
            )
            parts.append(part)
        return digest.hexdigest(), parts

    async def _read_next(self, key: str, offset: int, size: int) -> bytes:
        length = min(COPIED_BYTES, size - offset)
        return await self._store.read(key, offset, length) if length else b""

    async def _record_admission(self, request_id: str, admission: str) -> None:
        """Add an admission to its upload's record before it has a part, for the sweep to find."""

        async def add(value: bytes | None) -> bytes:
            upload = records.decode(value, Upload) if value else None
            if upload is None or upload.done:
                raise upload_not_found(request_id)
            return records.encode(replace(upload, admissions=(*upload.admissions, admission)))

        await edit(self._uploads, request_id, add)

    async def give_up(self, request_id: str, key: str) -> None:
        """Forget an upload with all parts that were copied to `key` and became no object.

        Raises:
            UnavailableError: The store does not answer; the sweep does it by the upload's record.
        """
        entry = await self._uploads.get(request_id)
        admissions = records.decode(entry.value, Upload).admissions if entry else ()
        for admission in admissions:
            await self._store.abort_multipart(key, admission)
        await self._uploads.erase(request_id)

    async def sweep(self) -> int:
        """Remove what was put to a URL and belongs to no upload under way; return how much.

        It goes by the records of uploads, which are written before their URL is given out. What the
        store says of an object's age is what its writer told it.
        """
        staged = await self._store.objects(STAGING)
        if not staged:
            return 0
        awaited = await self._awaited_keys()  # after the list: each had its record by then
        count = 0
        for item in staged:
            if item.key not in awaited:
                count += (await self._store.purge(item.key)).keys
        return count

    async def _awaited_keys(self) -> frozenset[str]:
        found = [records.decode(entry.value, Upload) for entry in await self._uploads.entries()]
        return frozenset(upload.staging for upload in found if upload.staging and not upload.done)


def digest_mismatch(expected: str, received: str) -> errors.InvalidArgumentError:
    """Return the error for a file that is not the one announced."""
    return errors.InvalidArgumentError(
        "the bytes that came are not those that were announced; upload the file again",
        reason=errors.Reason.UPLOAD_DIGEST_MISMATCH,
        metadata={"expected": expected, "received": received},
    )


def upload_not_found(request_id: str) -> errors.NotFoundError:
    """Return the error for an upload that is not under way."""
    return errors.NotFoundError(
        f"no upload {request_id} is under way; begin it again",
        reason=errors.Reason.UPLOAD_NOT_FOUND,
        metadata={"request_id": request_id},
    )
