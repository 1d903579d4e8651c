"""Removing what is due among listed objects: recordings, and remains of uploads and removals."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby

import msgspec
import structlog

from homeward.core.inventory import ABANDONED_AFTER
from homeward.ingestion.footage.abandoned import AbandonedUploads
from homeward.ingestion.footage.counts import RetentionTerms
from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.layout import DEPTH, is_footage_id, is_manifest
from homeward.ingestion.footage.manifests import decode_manifest
from homeward.ingestion.footage.model import HeldFootage
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.footage.staging import dated_ahead
from homeward.servicekit import errors
from homeward.servicekit.audit.acts import ERASURE, Acts
from homeward.servicekit.clock import Clock
from homeward.servicekit.lease import Proceed
from homeward.servicekit.objects import ObjectInfo

log = structlog.get_logger()


@dataclass(slots=True)
class SweepTally:
    """Progress of a sweep."""

    proceed: Proceed
    """Called before each step; False ends the sweep."""
    stopped: bool = False
    """Whether it said no."""
    removed: list[str] = field(default_factory=list)
    by_store: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    leftovers: int = 0
    versions: int = 0

    @property
    def changes(self) -> int:
        """How much has been removed of recordings and what broke off."""
        return len(self.removed) + len(self.by_store) + self.leftovers

    async def goes_on(self) -> bool:
        """Ask whether to go on."""
        self.stopped = self.stopped or not await self.proceed()
        return not self.stopped

    @asynccontextmanager
    async def failures(self, footage_id: str) -> AsyncGenerator[None, None]:
        """Go on after a recording that cannot be removed: it must not keep the others."""
        try:
            yield
        except errors.NotFoundError:  # another replica came first
            pass
        except errors.DomainError as error:
            log.warning("not removed", footage_id=footage_id, problem=str(error))
            if footage_id not in self.failed:
                self.failed.append(footage_id)


@dataclass(frozen=True, slots=True)
class _Folder:
    """The objects and the record of a recording, or of an upload."""

    footage_id: str
    objects: Sequence[ObjectInfo]
    manifest: ObjectInfo | None
    held: HeldFootage | None
    has_file: bool


class Remains:
    """Removes what is due among some objects.

    Each step reads the present state, so it may be repeated, by another replica too, and after the
    sweep broke off anywhere.

    Args:
        store: The bucket of recordings.
        eraser: Deletes a recording, with its sightings, and proves it.
        uploads: Tells what is being uploaded.
        clock: Tells the time.
        acts: Writes down what was removed.
        terms: How long recordings are held.
    """

    def __init__(
        self,
        *,
        store: FootageStore,
        eraser: FootageEraser,
        uploads: AbandonedUploads,
        clock: Clock,
        acts: Acts,
        terms: RetentionTerms,
    ) -> None:
        self._store = store
        self._eraser = eraser
        self._uploads = uploads
        self._clock = clock
        self._acts = acts
        self._terms = terms

    async def sweep(
        self, objects: Sequence[ObjectInfo], held: Mapping[str, HeldFootage], tally: SweepTally
    ) -> bool:
        """Remove what is due; return whether there is something else now than was listed.

        Args:
            objects: All that is in the folders of some recordings, in the order of their keys.
            held: What is known of these beside the store, read before they were listed.
            tally: Takes what was done.
        """
        changes = tally.changes
        remembered = False
        missing = dict(held)
        for folder, items in _folders(objects):
            if not await tally.goes_on():
                return True
            found = _found(folder, items, held)
            if found.manifest or found.has_file:
                missing.pop(found.footage_id, None)
            async with tally.failures(found.footage_id):
                remembered = await self._sweep_folder(found, tally) or remembered
        for record in missing.values():  # neither file nor manifest is there
            if not await tally.goes_on():
                return True
            async with tally.failures(record.footage_id):
                await self._eraser.drop_pointer(record)
                if await self._eraser.delete_rest(record, by_store=True):
                    await self._record("EraseRestOfFootage", record.footage_id)
                    tally.by_store.append(record.footage_id)
        return remembered or tally.changes != changes

    async def _sweep_folder(self, found: _Folder, tally: SweepTally) -> bool:
        """Remove a folder if it is due; return whether its recording was written down anew."""
        name, manifest, held = found.footage_id, found.manifest, found.held
        if manifest is None and not found.has_file and held:
            return False  # what the store has removed, to be finished with the others of that kind
        remembered = False
        if manifest and (held is None or dated_ahead(manifest, self._clock.now())):
            # It came before there were such records, is damaged, or was written by somebody else.
            held = await self._read(manifest)
            if held and found.held is None:
                await self._eraser.remember(held)
                remembered = True
        if manifest is None or held is None:
            await self._remove_rest(found, tally)
        elif not found.has_file and not await self._has_file(found):
            await self._eraser.delete(name, by_store=True)
            await self._record("EraseRestOfFootage", name)
            tally.by_store.append(name)
        elif self._is_due(held, manifest):
            await self._remove(found, manifest, tally)
        return remembered

    async def _remove(self, found: _Folder, manifest: ObjectInfo, tally: SweepTally) -> None:
        """Remove a recording; one whose manifest cannot be read goes as what is left over."""
        if await self._read(manifest) is not None:
            await self._eraser.delete(found.footage_id)
            await self._record("EraseFootage", found.footage_id)
            tally.removed.append(found.footage_id)
        else:
            await self._remove_rest(found, tally)

    async def _remove_rest(self, found: _Folder, tally: SweepTally) -> None:
        removed = await self._left_over(found.footage_id, found.objects, found.manifest)
        tally.leftovers += removed
        if removed:
            await self._record("EraseLeftovers", found.footage_id)
        if removed and found.held:
            tally.leftovers += await self._eraser.drop_pointer(found.held)
            await self._eraser.delete_rest(found.held)

    async def _record(self, act: str, footage_id: str) -> None:
        # Of what is no recording's folder nothing is known, not even that its name is no name.
        named = [f"footage/{footage_id}"] if is_footage_id(footage_id) else []
        await self._acts.record(act, ERASURE, named)

    async def _has_file(self, found: _Folder) -> bool:
        file = f"{_folder_of(found.objects[0])}/original"
        return await self._store.stat(file) is not None

    async def _read(self, manifest: ObjectInfo) -> HeldFootage | None:
        data = await self._store.get(manifest.key)
        try:
            footage = decode_manifest(data) if data else None
        except msgspec.DecodeError:
            log.warning("a manifest is damaged; its recording goes by its age", key=manifest.key)
            return None
        if footage is None:
            return None
        sha256 = footage.header.sha256
        return HeldFootage(footage.footage_id, footage.receive_time, footage.delete_time, sha256)

    def _is_due(self, held: HeldFootage, manifest: ObjectInfo) -> bool:
        deadline = self._terms.deadline(held, manifest)
        return self._clock.now() >= deadline - self._terms.ahead

    async def _left_over(
        self, footage_id: str, objects: Sequence[ObjectInfo], manifest: ObjectInfo | None
    ) -> int:
        """Remove what is there without a manifest that can be read, if its time has come.

        Without any, it is of a deletion or an upload that broke off, or of an upload under way.
        """
        now = self._clock.now()
        age = now - max(item.modified for item in objects)
        ahead = any(dated_ahead(item, now) for item in objects)
        limit = self._terms.keep - self._terms.ahead if manifest else ABANDONED_AFTER
        if age < limit and not ahead:
            return 0
        if manifest is None and footage_id in await self._uploads.claimed():
            return 0  # its end is by the record of its upload
        await self._eraser.discard(footage_id, objects)
        return len(objects)


def _found(folder: str, objects: Sequence[ObjectInfo], held: Mapping[str, HeldFootage]) -> _Folder:
    name = folder.rpartition("/")[2]
    return _Folder(
        name,
        objects,
        next(filter(is_manifest, objects), None),
        held.get(name),
        any(item.key == f"{folder}/original" for item in objects),
    )


def _folders(objects: Sequence[ObjectInfo]) -> Iterator[tuple[str, list[ObjectInfo]]]:
    """Group objects, in the order of their keys, by the recording whose folder they are in."""
    for name, items in groupby(objects, key=_folder_of):
        yield name, list(items)


def _folder_of(item: ObjectInfo) -> str:
    return "/".join(item.key.split("/")[:DEPTH])
