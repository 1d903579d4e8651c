"""Taking recordings in, and giving them up again."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from homeward.core.inventory import (
    ABANDONED_AFTER,
    CAMERAS,
    FOOTAGE,
    INCOMPARABLE,
    PRESENCE,
    UPLOADS,
    DataClass,
    HeldData,
)
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.footage import timeline
from homeward.ingestion.footage.examining import Examinations
from homeward.ingestion.footage.model import (
    Footage,
    FootageErasure,
    FootageHeader,
    HeldFootage,
    Upload,
    footage_folder,
)
from homeward.ingestion.footage.ports import FootageStore, MediaProber, Part
from homeward.ingestion.footage.staging import (
    Staging,
    Unfinished,
    dated_ahead,
    digest_mismatch,
    footage_in,
    new_key,
    upload_not_found,
)
from homeward.ingestion.footage.tails import Tail
from homeward.ingestion.footage.timeline import Timeline
from homeward.ingestion.scan.ports import Matcher
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore
from homeward.servicekit.lifecycle import LifecycleSpan
from homeward.servicekit.objects import REPLICATED, ObjectInfo, kept_version
from homeward.servicekit.store_rules import StoreRules

log = structlog.get_logger()

PART_BYTES = 8 * 1024 * 1024
"""Of an upload that is in memory. S3 takes no part under 5 MiB but the last."""

TIMELINE = f"timeline-{timeline.VERSION}.npz"
"""When each picture of a recording is shown and where it is, beside the recording."""

PICTURES_HELD = 2_000_000
"""Pictures whose timelines are kept in memory for the next segment of their recording; of one that
has more, only its own. A picture takes 73 bytes, or 105 where each is a key picture, so that this
is 146 to 210 MB, and an hour at 25 a second 6.6 to 9.5 MB (`Timeline` with all that is worked out
from it, 2026-11-28, `pytest -k test_a_timeline_takes`)."""

URL_LIFETIME = timedelta(hours=6)
PROBE_URL_LIFETIME = timedelta(hours=1)


ERASURES_SHOWN_DAYS = 7


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What is held, how old it is, and whether any of it is past its deadline."""

    made: datetime
    held: tuple[HeldData, ...]
    overdue: tuple[str, ...]
    """Recordings."""
    lifecycle: LifecycleSpan
    """After how many days the store itself removes recordings."""
    encryption: str
    """The algorithm of the bucket's encryption at rest; "" for none that is told."""
    deviations: tuple[str, ...]
    """What keeps the store from forgetting."""
    erasures: tuple[FootageErasure, ...]
    """Of the last week, and those under way."""


class FootageLibrary:
    """The recordings.

    A recording is a folder of the bucket: its file, and a manifest that is written last, so that
    footage is there if and only if its manifest is. A pointer under the file's digest finds a file
    that comes again. A record beside the store says that there is one, for the store may remove it
    by its own rule: the sweep then removes the rest, and writes the removal down.

    Args:
        store: Holds them.
        uploads: Holds what is known of uploads under way.
        cameras: That they are by.
        prober: Examines them.
        matcher: Forgets the sightings of those that are given up.
        erasures: Holds what is known of those.
        executor: Packs and unpacks timelines: two seconds of work for a million pictures.
        clock: Tells the time.
        min_footage_age: How long ago a recording must have ended to be taken in.
        keep: How long one is held.
    """

    def __init__(
        self,
        *,
        store: FootageStore,
        uploads: KeyValueStore,
        cameras: Cameras,
        prober: MediaProber,
        matcher: Matcher,
        erasures: KeyValueStore,
        executor: BoundedExecutor,
        clock: Clock,
        min_footage_age: timedelta,
        keep: timedelta,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._staging = Staging(store, uploads)
        self._erasures = erasures
        self._keep = keep
        self._rules = StoreRules(
            store.deviations,
            clock,
            bucket=FOOTAGE.place,
            would_keep="recordings past their deadline",
        )
        self._executor = executor
        self._reading = asyncio.Lock()
        self._examinations = Examinations(self._examine_again)
        self._timelines: OrderedDict[tuple[str, int], Timeline] = OrderedDict()
        """By recording, and version of its examination: another one makes another timeline."""
        self._cameras = cameras
        self._prober = prober
        self._matcher = matcher
        self._clock = clock
        self._min_age = min_footage_age

    async def upload(
        self,
        request_id: str,
        header: FootageHeader,
        offset: int,
        chunks: AsyncIterator[bytes],
    ) -> tuple[Footage, bool]:
        """Take a recording in, from its beginning or from where an upload broke off.

        Args:
            request_id: The uploader's own id of this upload.
            header: What is to come.
            offset: Where in the file the first chunk begins.
            chunks: The file's bytes, in order.

        Returns:
            The footage, and whether it was held already.
        """
        held = await self._admit(header)
        if held is not None:
            return held, True
        upload = await self._ticket(request_id, header, multipart=True)
        assert upload.multipart_id is not None, "begun as multipart"
        key = _file(header.footage_id)
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
        return await self._accept(request_id, upload, digest=digest), False

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
        buffer = bytearray(rest if goes_on else b"")
        received = offset
        try:
            async for chunk in chunks:
                received += len(chunk)
                if received > size:
                    raise _size_mismatch(size, received)
                buffer += chunk
                if digest:
                    digest.update(chunk)
                if len(buffer) >= PART_BYTES:
                    parts.append(await self._put_part(key, upload, parts, bytes(buffer)))
                    buffer.clear()
        finally:
            # Whether the uploader ended the call, left, or was cut off.
            if buffer and received < size:
                await tail.keep(len(parts), bytes(buffer))
        if received != size:
            raise _size_mismatch(size, received)
        if buffer:
            parts.append(await self._put_part(key, upload, parts, bytes(buffer)))
        return digest.hexdigest() if digest else None

    async def committed(self, request_id: str) -> int:
        """Return how many bytes of an upload are stored.

        Raises:
            NotFoundError: `UPLOAD_NOT_FOUND`.
        """
        upload = await self._pending(request_id)
        if upload.multipart_id is None:
            return upload.header.size_bytes if upload.done else 0
        parts = await self._store.parts(_file(upload.header.footage_id), upload.multipart_id)
        return await self._committed(upload, parts)

    async def upload_url(
        self, request_id: str, header: FootageHeader
    ) -> tuple[str, datetime] | Footage:
        """Return a URL that takes the file, and when it expires; or the footage if it is held."""
        held = await self._admit(header)
        if held is not None:
            return held
        upload = await self._ticket(request_id, header, multipart=False)
        url = await self._store.url_to_put(upload.staging, URL_LIFETIME)
        return url, self._clock.now() + URL_LIFETIME

    async def complete_upload(self, request_id: str) -> Footage:
        """Check a file that was put to its URL, and make it footage.

        Raises:
            NotFoundError: `UPLOAD_NOT_FOUND`.
            InvalidArgumentError: The file is not the one announced, or cannot be searched.
        """
        upload = await self._pending(request_id)
        header = upload.header
        held = await self._manifest(header.footage_id)
        if held is not None:  # the answer to the first call was lost
            await self._end(request_id, upload)
            return held
        if upload.done:  # and then it was removed
            raise upload_not_found(request_id)
        self._require_young(request_id, upload)
        file = _file(header.footage_id)
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

    async def get(self, footage_id: str) -> Footage:
        """Return a recording.

        Raises:
            NotFoundError: `FOOTAGE_NOT_FOUND`.
            FailedPreconditionError: `FOOTAGE_EXPIRED`.
        """
        footage = await self._manifest(footage_id)
        if footage is None or not await self.has_file(footage_id):
            raise _gone(footage_id)
        if self._clock.now() >= footage.delete_time:
            raise _expired(footage_id)
        return footage

    async def has_file(self, footage_id: str) -> bool:
        """Tell whether a recording's file is there; the store may have removed it by itself."""
        return await self._store.stat(_file(footage_id)) is not None

    async def find(
        self,
        *,
        camera_ids: Collection[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[Footage]:
        """Return the recordings by camera and start; empty or None means no bound.

        Args:
            camera_ids: Of these cameras.
            start: Ending after this instant of the camera's clock.
            end: Starting before this one.
        """
        now = self._clock.now()
        return [
            footage
            for footage in await self._manifests(sorted(set(camera_ids)))
            if now < footage.delete_time
            and (start is None or footage.end_time > start)
            and (end is None or footage.header.start_time < end)
        ]

    async def delete(self, footage_id: str, *, by_store: bool = False) -> None:
        """Remove a recording and its unconfirmed sightings, and prove that it is gone.

        Args:
            footage_id: Names it.
            by_store: Whether the store has removed its file by itself, and this is for the rest.

        Raises:
            NotFoundError: `FOOTAGE_NOT_FOUND`.
            FailedPreconditionError: `RETENTION_UNSAFE`: the store keeps versions of it that it
                refuses to remove, or has copied it elsewhere.
            UnavailableError: A store does not answer; repeating the call finishes the work.
        """
        footage = await self._manifest(footage_id)
        if footage is None:
            raise _gone(footage_id)
        begun = await self._begun(
            footage_id, footage.receive_time, footage.delete_time, by_store=by_store
        )
        # The file goes first, so that no scan finds anybody in it after its sightings are erased;
        # the manifest last: while it is there, the deletion can be repeated.
        await self._remove(_file(footage_id), footage_id)
        await self._matcher.erase_footage_sightings(footage_id)
        await self._store.delete(_pointer(footage.header.sha256))
        folder = f"{footage_folder(footage_id)}"
        for item in await self._store.objects(folder):
            if item.key != manifest_key(footage_id):
                await self._remove(item.key, footage_id)
        await self._remove(manifest_key(footage_id), footage_id)
        # What a scan under way wrote down before it could see that the manifest is gone, and old
        # versions of what was deleted or written over before.
        await self._store.purge(folder)
        await self._require_gone(folder, footage_id)
        await self._erased(begun)

    async def _require_gone(self, folder: str, footage_id: str) -> None:
        """Ask the store, as it is set up now, whether it keeps anything of a recording."""
        if await self._store.left(folder):
            if keeping := await self._store.keeping():
                raise kept_version(FOOTAGE.place, "; ".join(keeping))
            raise _still_there(footage_id)
        if await self._store.replicated():
            raise kept_version(FOOTAGE.place, REPLICATED)

    async def held(self) -> dict[str, HeldFootage]:
        """Return the recordings that are to be there, by what is known beside the store."""
        entries = await self._erasures.entries("held.*")
        found = (records.decode(entry.value, HeldFootage) for entry in entries)
        return {one.footage_id: one for one in found}

    async def remember(self, held: HeldFootage) -> None:
        """Write down beside the store that there is a recording, for `held`."""
        await self._erasures.put(f"held.{held.footage_id}", records.encode(held))

    async def delete_rest(self, held: HeldFootage, *, by_store: bool = False) -> bool:
        """Remove what is left of a recording without file or manifest, and write that down.

        Args:
            held: What is known of it.
            by_store: Whether the store has removed it by itself.

        Returns:
            Whether it was removed now: one whose removal is under way, and of which nothing is left
            to remove, is for `finish_erasures`.

        Raises:
            FailedPreconditionError: As `delete`.
            UnavailableError: A store does not answer; repeating the call finishes the work.
        """
        name, folder = held.footage_id, f"{footage_folder(held.footage_id)}"
        left = await self._store.objects(folder)
        if any(item.key in (_file(name), manifest_key(name)) for item in left):
            return False  # it has come again meanwhile
        if not left and await self._erasures.get(f"begun.{name}") is not None:
            return False
        begun = await self._begun(name, held.receive_time, held.delete_time, by_store=by_store)
        await self.discard(name, left)
        await self._store.purge(folder)
        await self._require_gone(folder, name)
        await self._erased(begun)
        return True

    async def _begun(
        self, footage_id: str, receive_time: datetime, delete_time: datetime, *, by_store: bool
    ) -> FootageErasure:
        """Return the record of a removal that is under way, written now or before it broke off."""
        key = f"begun.{footage_id}"
        entry = await self._erasures.get(key)
        if entry is not None:
            return records.decode(entry.value, FootageErasure)
        now = self._clock.now()
        begun = FootageErasure(footage_id, receive_time, delete_time, now, by_store=by_store)
        await self._erasures.put(key, records.encode(begun))
        return begun

    async def finish_erasures(self) -> None:
        """Write down the end of deletions that broke off after their last object was gone."""
        for entry in await self._erasures.entries("begun.*"):
            begun = records.decode(entry.value, FootageErasure)
            folder = footage_folder(begun.footage_id)
            if folder is None or await self._store.objects(folder):
                continue  # of a deletion that can be repeated
            await self._store.purge(folder)
            try:
                await self._require_gone(folder, begun.footage_id)
            except errors.FailedPreconditionError as error:
                log.warning("not gone", footage_id=begun.footage_id, problem=error.message)
                continue
            await self._erased(begun)

    async def discard(self, footage_id: str, objects: Sequence[ObjectInfo]) -> None:
        """Remove what is left of something that is no recording, or none any more, and prove it.

        Args:
            footage_id: Of what it seems to belong to; anything may have been put into the bucket.
            objects: What is left.

        Raises:
            UnavailableError: A store does not answer; repeating the call finishes the work.
        """
        if footage_folder(footage_id) is not None:
            await self._matcher.erase_footage_sightings(footage_id)
        await self._clear(objects, footage_id)

    async def _clear(self, objects: Sequence[ObjectInfo], footage_id: str) -> None:
        for item in objects:
            await self._remove(item.key, footage_id)

    async def _erased(self, begun: FootageErasure) -> None:
        now = self._clock.now()
        await self._erasures.put(
            f"footage.{now:%Y-%m-%d}.{begun.footage_id}",
            records.encode(replace(begun, erase_time=now)),
        )
        await self._erasures.erase(f"held.{begun.footage_id}")
        await self._erasures.erase(f"begun.{begun.footage_id}")

    async def _remove(self, key: str, footage_id: str) -> None:
        await self._store.delete(key)
        if await self._store.stat(key) is not None:
            raise _still_there(footage_id)

    async def url(self, footage: Footage) -> str:
        """Return a URL to read a recording's file by, which ends with the recording's deadline.

        Raises:
            FailedPreconditionError: `FOOTAGE_EXPIRED`.
        """
        left = footage.delete_time - self._clock.now()
        if left <= timedelta(seconds=1):  # the least that a signed URL can last
            raise _expired(footage.footage_id)
        return await self._store.url_to_get(_file(footage.footage_id), min(URL_LIFETIME, left))

    async def timeline(self, footage: Footage) -> Timeline:
        """Return when each picture of a recording is shown, and where it is in the file.

        Raises:
            NotFoundError: `FOOTAGE_NOT_FOUND`: it has been deleted meanwhile.
        """
        held = footage.footage_id, footage.probe.version
        if held not in self._timelines:
            async with self._reading:  # once, for all segments that begin together
                if held not in self._timelines:
                    self._timelines[held] = await self._read(*held)
                    self._forget_others(held)
        self._timelines.move_to_end(held)
        return self._timelines[held]

    async def _read(self, footage_id: str, version: int) -> Timeline:
        data = await self._store.get(_timeline(footage_id, version))
        if data is None:  # lost, or the recording is gone, which the examination finds out
            await self._examinations.of(footage_id)
            data = await self._store.get(_timeline(footage_id, timeline.VERSION))
        if data is None:
            raise _gone(footage_id)
        return await self._executor.run(_prepared, data)

    def _forget_others(self, needed: tuple[str, int]) -> None:
        """Forget the timelines that were needed longest ago, down to `PICTURES_HELD`."""
        pictures = sum(len(line) for line in self._timelines.values())
        for other in list(self._timelines):
            if pictures > PICTURES_HELD and other != needed:
                pictures -= len(self._timelines.pop(other))

    async def up_to_date(self, footage: Footage) -> Footage:
        """Return a recording as it is examined today: one that came earlier is examined again.

        Raises:
            InvalidArgumentError: `FOOTAGE_UNREADABLE`: it could not be taken in today.
        """
        if footage.probe.version == timeline.VERSION:
            return footage
        return await self._examinations.of(footage.footage_id)

    async def close(self) -> None:
        """End what is being examined again."""
        await self._examinations.close()

    async def _examine_again(self, footage_id: str) -> Footage:
        """Examine a recording and write what was found out, unless that has been done meanwhile."""
        footage = await self.get(footage_id)
        timeline_held = await self._store.stat(_timeline(footage_id, timeline.VERSION))
        if footage.probe.version == timeline.VERSION and timeline_held is not None:
            return footage
        if await self._store.stat(_file(footage_id)) is None:
            raise _gone(footage_id)
        examined = await self._prober.probe(await self.url(footage))
        current = replace(footage, probe=examined.probe)
        await self._write(current, examined.timeline)
        if await self._store.stat(_file(footage.footage_id)) is None:  # deleted meanwhile
            for key in (manifest_key(footage_id), _timeline(footage_id, timeline.VERSION)):
                await self._store.delete(key)
            raise _gone(footage_id)
        return current

    async def _write(self, footage: Footage, line: Timeline) -> None:
        """Write a recording's timeline, and then its manifest: by that it is there."""
        name = footage.footage_id
        await self._store.put(
            _timeline(name, footage.probe.version),
            await self._executor.run(timeline.encode, line),
            content_type="application/octet-stream",
        )
        await self._store.put(
            manifest_key(name), records.encode(footage), content_type="application/json"
        )

    async def report(self) -> RetentionReport:
        """Report what is held and whether anything is past its deadline."""
        now = self._clock.now()
        objects = await self._store.objects("")
        footage = await self._manifests_among(objects)
        uploads = [records.decode(entry.value, Upload) for entry in await self._uploads.entries()]
        # What says that it is of the future would never be old enough for the store's own rule.
        ahead = {footage_in(item.key) for item in objects if dated_ahead(item, now)}
        overdue = tuple(
            one.footage_id for one in footage if now >= one.delete_time or one.footage_id in ahead
        )
        limit = now - (UPLOADS.limit or timedelta.max)
        held = (
            HeldData(
                FOOTAGE.name,
                count=len(footage),
                size_bytes=sum(one.header.size_bytes for one in footage),
                oldest=min((one.receive_time for one in footage), default=None),
                overdue=len(overdue),
            ),
            self._held_beside(PRESENCE, objects, "presence", now),
            self._held_beside(INCOMPARABLE, objects, "incomparable", now),
            HeldData(
                UPLOADS.name,
                count=len(uploads),
                oldest=min((one.create_time for one in uploads), default=None),
                overdue=sum(one.create_time <= limit for one in uploads),
            ),
            *Unfinished.among(objects, footage, [one for one in uploads if not one.done]).held(now),
            HeldData(CAMERAS.name, count=len(await self._cameras.find())),
        )
        return RetentionReport(
            made=now,
            held=held,
            overdue=overdue,
            lifecycle=await self._store.lifecycle("footage/"),
            encryption=await self._store.encryption(),
            deviations=tuple(await self._store.deviations()),
            erasures=tuple(await self._recent_erasures(now)),
        )

    def _held_beside(
        self, kind: DataClass, objects: Sequence[ObjectInfo], folder: str, now: datetime
    ) -> HeldData:
        """Return how much there is of what scans keep beside recordings, in a folder of each."""
        held = [item for item in objects if f"/{folder}/" in item.key]
        return HeldData(
            kind.name,
            count=len(held),
            size_bytes=sum(item.size for item in held),
            oldest=min((item.modified for item in held), default=None),
            overdue=sum(now - item.modified >= self._keep for item in held),
        )

    async def _recent_erasures(self, now: datetime) -> list[FootageErasure]:
        days = [f"{now - timedelta(days=ago):%Y-%m-%d}" for ago in range(ERASURES_SHOWN_DAYS)]
        patterns = ["begun.*", *(f"footage.{day}.*" for day in days)]
        return [
            records.decode(entry.value, FootageErasure)
            for pattern in patterns
            for entry in await self._erasures.entries(pattern)
        ]

    async def _admit(self, header: FootageHeader) -> Footage | None:
        """Refuse what cannot become footage; return the footage if the file is held already."""
        await self._rules.require()
        start = await self._true_time(header, header.start_time)
        now = self._clock.now()
        if start > now:
            raise errors.invalid_field(
                "header.start_time",
                f"is in the future ({start.isoformat()}); it is now {now:%FT%TZ}",
            )
        self._require_age(start)
        return await self._held(header)

    async def _true_time(self, header: FootageHeader, instant: datetime) -> datetime:
        """Return an instant of the camera's clock as true time."""
        camera, _ = await self._cameras.get(header.camera_id)
        return instant - camera.details.clock_offset

    async def _held(self, header: FootageHeader) -> Footage | None:
        """Return the footage if the file is held; refuse a file that is held as another one."""
        pointer = await self._store.get(_pointer(header.sha256))
        held = await self._manifest(pointer.decode()) if pointer else None
        if held is not None and self._clock.now() >= held.delete_time:
            raise _expired(held.footage_id)  # a second upload must not start its 31 days again
        if held is None or held.footage_id == header.footage_id:
            return held
        raise errors.AlreadyExistsError(
            f"this file is held as footage {held.footage_id}, of camera {held.header.camera_id}"
            f" from {held.header.start_time.isoformat()}; remove that first if it was wrong",
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
            key = _file(header.footage_id)
            begun = await self._store.begin_multipart(key) if multipart else None
            upload = Upload(
                header, self._clock.now(), begun, staging="" if multipart else new_key()
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
            stored = await self._store.stat(_file(header.footage_id))
            if stored is not None and stored.size == header.size_bytes:
                return stored.size
        rest = await Tail(self._store, upload).size(len(parts))
        return sum(part.size for part in parts) + rest

    async def _put_part(self, key: str, upload: Upload, parts: list[Part], data: bytes) -> Part:
        assert upload.multipart_id is not None, "begun as multipart"
        return await self._store.put_part(key, upload.multipart_id, len(parts) + 1, data)

    async def _accept(self, request_id: str, upload: Upload, *, digest: str | None) -> Footage:
        """Check a stored file and write its manifest; a file that fails is removed."""
        self._require_young(request_id, upload)
        header = upload.header
        key = _file(header.footage_id)
        try:
            _require_digest(header.sha256, digest or await self._read_through(upload, key))
            url = await self._store.url_to_get(key, PROBE_URL_LIFETIME)
            examined = await self._prober.probe(url)
            probe = examined.probe
            self._require_age(await self._true_time(header, header.start_time + probe.duration))
            held = await self._held(header)  # it may have come by another upload meanwhile
        except (
            errors.InvalidArgumentError,
            errors.FailedPreconditionError,
            errors.AlreadyExistsError,
        ):
            if await self._manifest(header.footage_id) is None:
                await self._store.delete(key)
            await self._staging.give_up(request_id, key)
            raise
        if held is not None:  # its deadline is the earlier one, and stays
            await self._end(request_id, upload)
            return held
        footage = Footage(
            footage_id=header.footage_id,
            header=header,
            probe=probe,
            receive_time=upload.create_time,
            delete_time=upload.create_time + self._keep,
        )
        await self._store.put(
            _pointer(header.sha256), header.footage_id.encode(), content_type="text/plain"
        )
        await self.remember(
            HeldFootage(footage.footage_id, footage.receive_time, footage.delete_time)
        )
        await self._write(footage, examined.timeline)
        await self._end(request_id, upload)
        return footage

    async def _read_through(self, upload: Upload, key: str) -> str:
        """Return the SHA-256 of a stored file."""
        digest = await self._store.sha256(key)
        footage_id = upload.header.footage_id
        if digest != upload.header.sha256 and await self._manifest(footage_id) is not None:
            # It was written over the file of a recording that another upload had just finished:
            # better none than one that is not what its manifest says.
            await self.delete(footage_id)
        return digest

    def _require_young(self, request_id: str, upload: Upload) -> None:
        """Refuse to complete what the sweep is to remove: the store would count from now on."""
        if self._clock.now() - upload.create_time >= ABANDONED_AFTER:
            raise errors.NotFoundError(
                f"upload {request_id} began more than"
                f" {ABANDONED_AFTER / timedelta(hours=1):g} hours ago and is removed; begin it"
                " again, with a new request_id",
                reason=errors.Reason.UPLOAD_NOT_FOUND,
                metadata={"request_id": request_id},
            )

    def _require_age(self, end: datetime) -> None:
        if end + self._min_age > self._clock.now():
            raise errors.FailedPreconditionError(
                f"the recording ends at {end.isoformat()}, less than"
                f" {self._min_age.total_seconds() / 60:g} minutes ago: Homeward searches finished"
                " recordings, never live video; check the start time, or wait",
                reason=errors.Reason.FOOTAGE_TOO_RECENT,
                metadata={
                    "end_time": end.isoformat(),
                    "min_footage_age": f"{self._min_age.total_seconds():g}s",
                },
            )

    async def _manifest(self, footage_id: str) -> Footage | None:
        folder = footage_folder(footage_id)
        data = await self._store.get(f"{folder}manifest.json") if folder else None
        return records.decode(data, Footage) if data else None

    async def _manifests(self, camera_ids: Collection[str]) -> list[Footage]:
        """Return the manifests of recordings whose file is there."""
        prefixes = [f"footage/{camera}/" for camera in camera_ids] or ["footage/"]
        objects = [item for prefix in prefixes for item in await self._store.objects(prefix)]
        keys = {item.key for item in objects}
        found = await self._manifests_among(objects)
        return [one for one in found if _file(one.footage_id) in keys]

    async def _manifests_among(self, objects: Sequence[ObjectInfo]) -> list[Footage]:
        found = []
        for item in objects:
            if item.key.endswith("/manifest.json"):
                data = await self._store.get(item.key)
                if data is not None:  # not deleted since it was listed
                    found.append(records.decode(data, Footage))
        return sorted(found, key=lambda one: (one.header.camera_id, one.header.start_time))


def _gone(footage_id: str) -> errors.NotFoundError:
    return errors.NotFoundError(
        f"there is no footage {footage_id}; it may have been deleted",
        reason=errors.Reason.FOOTAGE_NOT_FOUND,
        metadata={"footage_id": footage_id},
    )


def _still_there(footage_id: str) -> errors.UnavailableError:
    return errors.unavailable(
        "S3", "its bucket", f"{footage_id} is still there after its deletion; repeat it"
    )


def _expired(footage_id: str) -> errors.FailedPreconditionError:
    return errors.FailedPreconditionError(
        f"footage {footage_id} is past its deadline and is no longer readable",
        reason=errors.Reason.FOOTAGE_EXPIRED,
        metadata={"footage_id": footage_id},
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


def _file(footage_id: str) -> str:
    return f"{footage_folder(footage_id)}original"


def _prepared(data: bytes) -> Timeline:
    line = timeline.decode(data)
    line.prepare()
    return line


def _timeline(footage_id: str, version: int) -> str:
    return f"{footage_folder(footage_id)}timeline-{version}.npz"


def manifest_key(footage_id: str) -> str:
    """Return where a recording's manifest is: while it is there, so is the recording."""
    return f"{footage_folder(footage_id)}manifest.json"


def _pointer(sha256: str) -> str:
    return f"by-sha256/{sha256}"
