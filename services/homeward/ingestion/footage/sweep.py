"""Removing recordings before their deadline, and whatever uploads and deletions left behind."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

import msgspec
import structlog

from homeward.core.inventory import ABANDONED_AFTER
from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.layout import POINTERS, RECORDINGS, FootageLayout, is_footage_id
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.model import Footage, HeldFootage, Upload
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.footage.staging import Staging, dated_ahead
from homeward.ingestion.footage.tails import Tail
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.lease import Proceed
from homeward.servicekit.objects import ObjectInfo

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did."""

    footage_ids: tuple[str, ...] = ()
    """Recordings that were removed."""
    uploads: int = 0
    """Abandoned uploads that were removed."""
    leftovers: int = 0
    """Objects that belonged to no recording."""
    failed: tuple[str, ...] = ()
    """Recordings that could not be removed; the next sweep tries again."""
    versions: int = 0
    """Old versions that were removed, of a bucket that has or had versioning."""
    by_store: tuple[str, ...] = ()
    """Recordings that the store had removed by itself, or their file, of which the rest was."""


@dataclass(frozen=True, slots=True)
class _Recording:
    """What a sweep needs of a manifest."""

    receive_time: datetime
    delete_time: datetime
    sha256: str


@dataclass(frozen=True, slots=True)
class _Folder:
    """What is there of a recording, or of what was to be one."""

    footage_id: str
    objects: Sequence[ObjectInfo]
    manifest: ObjectInfo | None
    recording: _Recording | None
    has_file: bool


@dataclass(slots=True)
class _Tally:
    """What a sweep has done so far."""

    removed: list[str] = field(default_factory=list)
    by_store: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    leftovers: int = 0
    versions: int = 0

    @asynccontextmanager
    async def failures(self, footage_id: str) -> AsyncGenerator[None, None]:
        """Go on after a recording that cannot be removed: it must not keep the others."""
        try:
            yield
        except errors.NotFoundError:  # another replica was faster
            pass
        except errors.DomainError as error:
            log.warning("not removed", footage_id=footage_id, problem=error.message)
            self.failed.append(footage_id)

    def swept(self, uploads: int) -> Swept:
        """Return what was done, and log it if that is anything."""
        done = Swept(
            tuple(self.removed),
            uploads,
            self.leftovers,
            tuple(self.failed),
            self.versions,
            tuple(self.by_store),
        )
        if done != Swept():
            log.info(
                "swept",
                footage=len(self.removed),
                by_store=len(self.by_store),
                uploads=uploads,
                leftovers=self.leftovers,
                failed=len(self.failed),
                versions=self.versions,
            )
        return done


class FootageSweeper:
    """Removes what is due.

    Everything that it does may be done twice, by another replica too, and taken up again after it
    broke off anywhere: each step looks at what is there.

    Args:
        library: Tells whether a recording's file is there.
        eraser: Deletes a recording, with its sightings, and proves it.
        store: The bucket of recordings.
        uploads: The records of uploads under way.
        clock: Tells the time.
        limit: How long a recording may be kept, from its first byte.
        ahead: How long before its deadline a recording is removed.
    """

    def __init__(
        self,
        *,
        library: FootageLibrary,
        eraser: FootageEraser,
        store: FootageStore,
        uploads: KeyValueStore,
        clock: Clock,
        limit: timedelta,
        ahead: timedelta,
    ) -> None:
        self._library = library
        self._eraser = eraser
        self._store = store
        self._uploads = uploads
        self._staging = Staging(store, uploads)
        self._clock = clock
        self._limit = limit
        self._ahead = ahead
        self._known: dict[ObjectInfo, _Recording] = {}
        """What the manifests of the last sweep say; none is ever written again."""

    async def sweep(self, proceed: Proceed) -> Swept:
        """Remove all that is due; stops early when `proceed` says that somebody else sweeps.

        Raises:
            UnavailableError: A store does not answer; the next sweep goes on.
        """
        uploads = await self._abandoned_uploads()
        tally = _Tally(leftovers=await self._staging.sweep())
        known, self._known = self._known, {}
        # Before the objects are listed: of a recording that is written down, the file is there.
        held = await self._eraser.held()
        for folder, objects in _folders(await self._store.objects(RECORDINGS)):
            if not await proceed():
                return tally.swept(uploads)
            found = await self._found(folder, objects, known)
            record = held.get(found.footage_id)
            if found.manifest or found.has_file:
                held.pop(found.footage_id, None)
            async with tally.failures(found.footage_id):
                await self._sweep_folder(found, record, tally)
        for record in held.values():  # neither file nor manifest is there
            if not await proceed():
                return tally.swept(uploads)
            async with tally.failures(record.footage_id):
                if await self._eraser.delete_rest(record, by_store=True):
                    tally.by_store.append(record.footage_id)
        tally.leftovers += await self._pointers_to_nothing()
        tally.versions = await self._store.remove_old_versions()
        await self._eraser.finish_erasures()
        # Last: a rule that cannot be set must keep nothing.
        await self._store.keep_rules()
        return tally.swept(uploads)

    async def _found(
        self, folder: str, objects: Sequence[ObjectInfo], known: Mapping[ObjectInfo, _Recording]
    ) -> _Folder:
        manifest = next((item for item in objects if item.key.endswith("manifest.json")), None)
        recording = (known.get(manifest) or await self._read(manifest)) if manifest else None
        if manifest and recording:
            self._known[manifest] = recording
        has_file = any(item.key == f"{folder}/original" for item in objects)
        return _Folder(folder.rpartition("/")[2], objects, manifest, recording, has_file)

    async def _sweep_folder(
        self, found: _Folder, record: HeldFootage | None, tally: _Tally
    ) -> None:
        name, manifest, recording = found.footage_id, found.manifest, found.recording
        if manifest is None and not found.has_file and record:
            return  # what the store has removed, to be finished with the others of that kind
        if manifest is None or recording is None:
            removed = await self._left_over(name, found.objects, manifest)
            if removed and record:
                await self._eraser.delete_rest(record)
            tally.leftovers += removed
            return
        if record is None:  # it came before there were such records
            await self._eraser.remember(
                HeldFootage(name, recording.receive_time, recording.delete_time)
            )
        if not found.has_file and not await self._library.has_file(name):
            await self._eraser.delete(name, by_store=True)
            tally.by_store.append(name)
        elif self._is_due(manifest, recording):
            await self._eraser.delete(name)
            tally.removed.append(name)

    async def _read(self, manifest: ObjectInfo) -> _Recording | None:
        data = await self._store.get(manifest.key)
        try:
            footage = records.decode(data, Footage) if data else None
        except msgspec.DecodeError:
            log.warning("a manifest is damaged; its recording goes by its age", key=manifest.key)
            return None
        if footage is None:
            return None
        return _Recording(footage.receive_time, footage.delete_time, footage.header.sha256)

    def _is_due(self, manifest: ObjectInfo, recording: _Recording) -> bool:
        """Tell whether a recording is to go now.

        Its age is counted from its first byte, or from when the store wrote its manifest if that is
        said to be earlier: one of the two clocks was wrong then, and the promise holds by either.
        """
        deadline = min(recording.delete_time, manifest.modified + self._limit)
        return self._clock.now() >= deadline - self._ahead

    async def _abandoned_uploads(self) -> int:
        """Remove uploads that were not done in time, and the bytes that came of them."""
        count = 0
        for entry in await self._uploads.entries():
            upload = records.decode(entry.value, Upload)
            if not self._is_old(upload.create_time):
                continue
            try:
                await self._drop_parts(upload)
                if not upload.done:
                    await self._abandon(upload)
            except errors.DomainError as error:  # it must not keep any recording
                log.warning("upload not removed", request_id=entry.key, problem=error.message)
                continue
            await self._uploads.erase(entry.key)
            count += not upload.done
        return count

    async def _drop_parts(self, upload: Upload) -> None:
        """Remove parts that became no object: of one that is done too, what broke off before."""
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
        others = await self._coming(upload.header.footage_id) - 1
        if (
            not others
            and await self._store.stat(FootageLayout(upload.header.footage_id).manifest) is None
        ):
            await self._store.delete(key)

    async def _left_over(
        self, footage_id: str, objects: Sequence[ObjectInfo], manifest: ObjectInfo | None
    ) -> int:
        """Remove what is there without a manifest that can be read, if its time has come.

        Without any, it is of a deletion or an upload that broke off, or of an upload under way.
        """
        now = self._clock.now()
        age = now - max(item.modified for item in objects)
        ahead = any(dated_ahead(item, now) for item in objects)
        if age < (self._limit - self._ahead if manifest else ABANDONED_AFTER) and not ahead:
            return 0
        if manifest is None and await self._coming(footage_id):
            return 0  # its end is by the record of its upload
        await self._eraser.discard(footage_id, objects)
        return len(objects)

    async def _coming(self, footage_id: str) -> int:
        """Return how many uploads of a recording are under way."""
        uploads = [records.decode(entry.value, Upload) for entry in await self._uploads.entries()]
        return sum(one.header.footage_id == footage_id and not one.done for one in uploads)

    async def _pointers_to_nothing(self) -> int:
        count = 0
        held = {recording.sha256 for recording in self._known.values()}
        for item in await self._store.objects(POINTERS):
            ahead = dated_ahead(item, self._clock.now())
            if item.key.rpartition("/")[2] in held or not (ahead or self._is_old(item.modified)):
                continue
            data = await self._store.get(item.key)
            if data is None or await self._is_held(data.decode()):
                continue
            try:
                await self._store.delete(item.key)
            except errors.FailedPreconditionError as error:
                log.warning("pointer not removed", problem=error.message)
                continue
            count += 1
        return count

    async def _is_held(self, footage_id: str) -> bool:
        if not is_footage_id(footage_id):
            return False
        return await self._store.stat(FootageLayout(footage_id).manifest) is not None

    def _is_old(self, written: datetime) -> bool:
        return self._clock.now() - written >= ABANDONED_AFTER


def _folders(objects: Sequence[ObjectInfo]) -> Iterator[tuple[str, list[ObjectInfo]]]:
    """Group objects, in the order of their keys, by the recording whose folder they are in."""

    def folder(item: ObjectInfo) -> str:
        return "/".join(item.key.split("/")[:6])  # footage/{camera}/{yyyy}/{mm}/{dd}/{footage_id}

    for name, items in groupby(objects, key=folder):
        yield name, list(items)
