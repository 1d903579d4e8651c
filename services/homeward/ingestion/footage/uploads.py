"""Uploads of recordings."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from homeward.core.inventory import ABANDONED_AFTER, FOOTAGE
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.layout import FootageLayout, new_staging_key, pointer_key
from homeward.ingestion.footage.library import FootageLibrary, footage_expired
from homeward.ingestion.footage.model import Footage, FootageHeader, HeldFootage, Upload
from homeward.ingestion.footage.ports import FootageStore, Part
from homeward.ingestion.footage.receiving import (
    LeastProgress,
    PartBuffer,
    UploadSlots,
    first_of,
    progressing,
)
from homeward.ingestion.footage.staging import Staging, digest_mismatch, upload_not_found
from homeward.ingestion.footage.tails import Tail
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore
from homeward.servicekit.store_rules import StoreRules

T = TypeVar("T")

CONCURRENT_UPLOADS = 16
"""Default of the uploads that a process takes at a time: 128 MiB in memory."""

UPLOAD_URL_LIFETIME = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class IntakeTerms:
    """Terms on which recordings are taken in."""

    min_footage_age: timedelta
    """Least time since the end of a recording."""
    keep: timedelta
    """Time for which a recording is held."""
    concurrent_uploads: int = CONCURRENT_UPLOADS
    """Most uploads that are received or checked at a time."""
    least_progress: LeastProgress = field(default_factory=LeastProgress)
    """What must come of an upload, which holds memory."""


class FootageUploads:
    """Uploads, by gRPC or by URL, until they are recordings.

    Args:
        store: Holds the recordings.
        uploads: The records of uploads under way.
        cameras: All cameras.
        library: Finds recordings that are held already, and examines new ones.
        eraser: Removes a recording that an upload has damaged.
        clock: Tells the time.
        terms: Terms on which recordings are taken in.
    """

    def __init__(
        self,
        *,
        store: FootageStore,
        uploads: KeyValueStore,
        cameras: Cameras,
        library: FootageLibrary,
        eraser: FootageEraser,
        clock: Clock,
        terms: IntakeTerms,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._staging = Staging(store, uploads)
        self._cameras = cameras
        self._library = library
        self._eraser = eraser
        self._clock = clock
        self._terms = terms
        self._slots = UploadSlots(terms.concurrent_uploads)
        self._rules = StoreRules(
            store.deviations,
            clock,
            bucket=FOOTAGE.place,
            would_keep="recordings past their deadline",
        )

    async def first(self, messages: AsyncIterator[T]) -> T | None:
        """Return the first message of an upload; None if there is none.

        Raises:
            DeadlineExceededError: `DEADLINE_EXCEEDED`: none has come for a while.
        """
        return await first_of(messages, self._terms.least_progress.within)

    async def upload(
        self,
        request_id: str,
        header: FootageHeader,
        offset: int,
        chunks: AsyncIterator[bytes],
    ) -> tuple[Footage, bool]:
        """Receive a recording, from its beginning or from where an upload broke off.

        Args:
            request_id: The uploader's own id of this upload.
            header: The uploader's statements about the recording.
            offset: Where in the file the first chunk begins.
            chunks: The file's bytes, in order.

        Returns:
            The footage, and whether it was held already.

        Raises:
            ResourceExhaustedError: `QUEUE_FULL`: there are as many uploads as are taken at once.
            DeadlineExceededError: `DEADLINE_EXCEEDED`: too little has come for a while.
        """
        held = await self._admit(header)
        if held is not None:
            return held, True
        with self._slots.slot():
            return await self._take(request_id, header, offset, chunks), False

    async def _take(
        self,
        request_id: str,
        header: FootageHeader,
        offset: int,
        chunks: AsyncIterator[bytes],
    ) -> Footage:
        upload = await self._ticket(request_id, header, multipart=True)
        assert upload.multipart_id is not None, "begun as multipart"
        key = FootageLayout(header.footage_id).file
        parts = await self._store.parts(key, upload.multipart_id)
        committed = await self._committed(upload, parts)
        # The rest of a call that broke off may have been kept since the uploader asked.
        whole = sum(part.size for part in parts)
        if offset not in {committed, whole}:
            raise errors.AbortedError(
                f"the upload continues at byte {committed}, not at {offset}",
                reason=errors.Reason.UPLOAD_OFFSET_MISMATCH,
                metadata={"committed_size_bytes": str(committed)},
            )
        tail = Tail(self._store, upload)
        digest = await self._receive(key, upload, parts, chunks, offset)
        if digest and digest != header.sha256:
            # Before the parts become the object: another upload of the same file may have made it.
            await tail.drop()
            await self._store.abort_multipart(key, upload.multipart_id)
            await self._uploads.erase(request_id)
            _require_digest(header.sha256, digest)
        if parts:  # none when the file was complete before, and only its check broke off
            await self._store.complete_multipart(key, upload.multipart_id, parts)
        await tail.drop()
        return await self._accept(request_id, upload, digest=digest)

    async def _receive(
        self,
        key: str,
        upload: Upload,
        parts: list[Part],
        chunks: AsyncIterator[bytes],
        offset: int,
    ) -> str | None:
        """Store the bytes of a call as further `parts`; return the SHA-256 of the file.

        Returns None for a resumed upload, whose first bytes are not at hand: the stored file is
        read back instead.
        """
        size = upload.header.size_bytes
        digest = hashlib.sha256() if offset == 0 else None
        tail = Tail(self._store, upload)
        rest = await tail.read(len(parts))
        goes_on = offset == sum(part.size for part in parts) + len(rest)
        received = offset
        with PartBuffer(rest if goes_on else b"") as buffer:
            del rest
            try:
                async for chunk in progressing(chunks, self._terms.least_progress):
                    received += len(chunk)
                    if received > size:
                        raise _size_mismatch(size, received)
                    if digest:
                        digest.update(chunk)
                    excess = buffer.add(chunk)
                    if buffer.full:
                        parts.append(await self._put_part(key, upload, parts, buffer.data))
                        buffer.clear()
                        buffer.add(excess)
            finally:
                # Whether the uploader ended the call, left, or was cut off.
                if buffer and received < size:
                    await tail.keep(len(parts), buffer.data)
            if received != size:
                raise _size_mismatch(size, received)
            if buffer:
                parts.append(await self._put_part(key, upload, parts, buffer.data))
        return digest.hexdigest() if digest else None

    async def committed(self, request_id: str) -> int:
        """Return how many bytes of an upload are stored.

        Raises:
            NotFoundError: `UPLOAD_NOT_FOUND`.
        """
        upload = await self._pending(request_id)
        if upload.multipart_id is None:
            return upload.header.size_bytes if upload.done else 0
        parts = await self._store.parts(
            FootageLayout(upload.header.footage_id).file, upload.multipart_id
        )
        return await self._committed(upload, parts)

    async def holds_any_of(self, camera_id: str) -> bool:
        """Return whether a recording of a camera is held or being uploaded."""
        pending = (records.decode(one.value, Upload) for one in await self._uploads.entries())
        return any(
            one.header.camera_id == camera_id and not one.done for one in pending
        ) or await self._library.holds_any_of(camera_id)

    async def upload_url(
        self, request_id: str, header: FootageHeader
    ) -> tuple[str, datetime] | Footage:
        """Return a URL that takes the file, and when it expires; or the footage if it is held."""
        held = await self._admit(header)
        if held is not None:
            return held
        upload = await self._ticket(request_id, header, multipart=False)
        url = await self._store.url_to_put(upload.staging, UPLOAD_URL_LIFETIME)
        return url, self._clock.now() + UPLOAD_URL_LIFETIME

    async def complete_upload(self, request_id: str) -> Footage:
        """Check a file that was put to its URL, and make it footage.

        Raises:
            NotFoundError: `UPLOAD_NOT_FOUND`.
            InvalidArgumentError: The file is not the one announced, or cannot be searched.
            ResourceExhaustedError: `QUEUE_FULL`: there are as many uploads as are taken at once.
        """
        upload = await self._pending(request_id)
        with self._slots.slot():
            return await self._complete(request_id, upload)

    async def _complete(self, request_id: str, upload: Upload) -> Footage:
        header = upload.header
        held = await self._library.manifest(header.footage_id)
        if held is not None:  # the answer to the first call was lost
            await self._end(request_id, upload)
            return held
        if upload.done:  # and then it was removed
            raise upload_not_found(request_id)
        self._require_young(request_id, upload)
        file = FootageLayout(header.footage_id).file
        staged = await self._store.stat(upload.staging) if upload.staging else None
        admitted = await self._store.stat(file)
        if staged is None and admitted is not None and admitted.size == header.size_bytes:
            # It was admitted by an earlier call, of which only the rest broke off.
            return await self._accept(request_id, upload, digest=None)
        if staged is None or staged.size != header.size_bytes:
            raise _size_mismatch(header.size_bytes, staged.size if staged else 0)
        try:
            digest = await self._staging.admit(request_id, upload, file)
        except errors.InvalidArgumentError:
            await self._store.purge(upload.staging)
            await self._staging.give_up(request_id, file)
            raise
        await self._store.purge(upload.staging)
        return await self._accept(request_id, upload, digest=digest)

    async def _admit(self, header: FootageHeader) -> Footage | None:
        """Refuse what cannot become footage; return the footage if the file is held already."""
        await self._rules.require()
        start = await self._true_time(header, header.start_time)
        now = self._clock.now()
        if start > now:
            raise errors.invalid_field(
                "header.start_time",
                f"is in the future ({start.astimezone(UTC):%FT%TZ}); it is now {now:%FT%TZ}",
            )
        self._require_age(start)
        return await self._held(header)

    async def _true_time(self, header: FootageHeader, instant: datetime) -> datetime:
        """Return an instant of the camera's clock as true time."""
        camera, _ = await self._cameras.get(header.camera_id)
        return instant - camera.details.clock_offset

    async def _held(self, header: FootageHeader) -> Footage | None:
        """Return the footage if the file is held; refuse a file that is held as another one."""
        pointer = await self._store.get(pointer_key(header.sha256))
        held = await self._library.manifest(pointer.decode()) if pointer else None
        if held is not None and self._clock.now() >= held.delete_time:
            raise footage_expired(
                held.footage_id
            )  # a second upload must not start its 31 days again
        if held is None or held.footage_id == header.footage_id:
            return held
        raise errors.AlreadyExistsError(
            f"this file is held as footage {held.footage_id}, of camera {held.header.camera_id}"
            f" from {held.header.start_time:%Y-%m-%d %H:%M:%S} UTC; remove that first if it was"
            " wrong",
            reason=errors.Reason.FOOTAGE_EXISTS_ELSEWHERE,
            metadata={
                "footage_id": held.footage_id,
                "camera_id": held.header.camera_id,
                "start_time": held.header.start_time.isoformat(),
            },
        )

    async def _ticket(self, request_id: str, header: FootageHeader, *, multipart: bool) -> Upload:
        """Return the record of an upload, begun now or before."""
        entry = await self._uploads.get(request_id)
        if entry is None or records.decode(entry.value, Upload).done:
            key = FootageLayout(header.footage_id).file
            begun = await self._store.begin_multipart(key) if multipart else None
            upload = Upload(
                header, self._clock.now(), begun, staging="" if multipart else new_staging_key()
            )
            value = records.encode(upload)
            try:
                if entry is None:
                    await self._uploads.create(request_id, value)
                else:
                    await self._uploads.update(request_id, value, revision=entry.revision)
            except ConflictError:  # the same upload, twice at once
                if begun:
                    await self._store.abort_multipart(key, begun)
                return await self._ticket(request_id, header, multipart=multipart)
            return upload
        upload = records.decode(entry.value, Upload)
        if upload.multipart_id is None and not upload.staging:  # begun by an earlier version
            await self._uploads.erase(request_id)
            return await self._ticket(request_id, header, multipart=multipart)
        if upload.header != header or (upload.multipart_id is not None) != multipart:
            raise errors.InvalidArgumentError(
                f"request_id {request_id} came before with another upload; use a new one",
                reason=errors.Reason.REQUEST_ID_REUSED,
                metadata={"request_id": request_id},
            )
        return upload

    async def _pending(self, request_id: str) -> Upload:
        entry = await self._uploads.get(request_id)
        if entry is None:
            raise upload_not_found(request_id)
        upload = records.decode(entry.value, Upload)
        earlier = upload.multipart_id is None and not upload.staging and not upload.done
        if earlier:  # begun by an earlier version
            raise upload_not_found(request_id)
        return upload

    async def _end(self, request_id: str, upload: Upload) -> None:
        """Forget an upload that has become footage; keep one by URL a day for a repeated call.

        A repeated `UploadFootage` needs no record: the file that comes again finds its footage.
        """
        if upload.multipart_id is not None:
            await self._uploads.erase(request_id)
        elif not upload.done:
            await self._uploads.put(
                request_id, records.encode(replace(upload, done=True, staging=""))
            )

    async def _committed(self, upload: Upload, parts: Collection[Part]) -> int:
        """Return how many bytes of an upload are stored, as the whole file or in pieces."""
        header = upload.header
        if not parts:
            stored = await self._store.stat(FootageLayout(header.footage_id).file)
            if stored is not None and stored.size == header.size_bytes:
                return stored.size
        rest = await Tail(self._store, upload).size(len(parts))
        return sum(part.size for part in parts) + rest

    async def _put_part(
        self, key: str, upload: Upload, parts: list[Part], data: memoryview
    ) -> Part:
        assert upload.multipart_id is not None, "begun as multipart"
        return await self._store.put_part(key, upload.multipart_id, len(parts) + 1, data)

    async def _accept(self, request_id: str, upload: Upload, *, digest: str | None) -> Footage:
        """Check a stored file and write its manifest; a file that fails is removed."""
        self._require_young(request_id, upload)
        header = upload.header
        key = FootageLayout(header.footage_id).file
        try:
            _require_digest(header.sha256, digest or await self._read_through(upload, key))
            examined = await self._library.examine(header.footage_id)
            media = examined.media
            self._require_age(await self._true_time(header, header.start_time + media.duration))
            held = await self._held(header)  # it may have come by another upload meanwhile
        except (
            errors.InvalidArgumentError,
            errors.FailedPreconditionError,
            errors.AlreadyExistsError,
        ):
            if await self._library.manifest(header.footage_id) is None:
                await self._store.delete(key)
            await self._staging.give_up(request_id, key)
            raise
        if held is not None:  # its deadline is the earlier one, and stays
            await self._end(request_id, upload)
            return held
        footage = Footage(
            footage_id=header.footage_id,
            header=header,
            media=media,
            receive_time=upload.create_time,
            delete_time=upload.create_time + self._terms.keep,
        )
        await self._store.put(
            pointer_key(header.sha256), header.footage_id.encode(), content_type="text/plain"
        )
        record = HeldFootage(
            footage.footage_id,
            footage.receive_time,
            footage.delete_time,
            header.sha256,
            footage.end_time,
        )
        await self._eraser.remember(record)
        await self._library.write(footage, examined.timeline)
        await self._eraser.remember(record)  # what counted meanwhile did not see its manifest
        await self._end(request_id, upload)
        return footage

    async def _read_through(self, upload: Upload, key: str) -> str:
        """Return the SHA-256 of a stored file."""
        digest = await self._store.sha256(key)
        footage_id = upload.header.footage_id
        if digest != upload.header.sha256 and await self._library.manifest(footage_id) is not None:
            # It was written over the file of a recording that another upload had just finished:
            # better none than one that is not what its manifest says.
            await self._eraser.delete(footage_id)
        return digest

    def _require_young(self, request_id: str, upload: Upload) -> None:
        """Refuse to complete an abandoned upload: the store would count its age from now on."""
        if self._clock.now() - upload.create_time >= ABANDONED_AFTER:
            raise errors.NotFoundError(
                f"upload {request_id} began more than"
                f" {ABANDONED_AFTER / timedelta(hours=1):g} hours ago and is removed; begin it"
                " again, with a new request_id",
                reason=errors.Reason.UPLOAD_NOT_FOUND,
                metadata={"request_id": request_id},
            )

    def _require_age(self, end: datetime) -> None:
        if end + self._terms.min_footage_age > self._clock.now():
            raise errors.FailedPreconditionError(
                f"the recording ends at {end.astimezone(UTC):%FT%TZ}, less than"
                f" {self._terms.min_footage_age.total_seconds() / 60:g} minutes ago: Homeward"
                " searches finished recordings, never live video; check the start time, or wait",
                reason=errors.Reason.FOOTAGE_TOO_RECENT,
                metadata={
                    "end_time": end.isoformat(),
                    "min_footage_age": f"{self._terms.min_footage_age.total_seconds():g}s",
                },
            )


def _require_digest(expected: str, received: str) -> None:
    if received != expected:
        raise digest_mismatch(expected, received)


def _size_mismatch(expected: int, received: int) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(
        f"the upload announced {expected} bytes, {received} came; resume it with the same"
        " request_id",
        reason=errors.Reason.UPLOAD_SIZE_MISMATCH,
        metadata={"expected": str(expected), "received": str(received)},
    )
