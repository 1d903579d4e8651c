"""The recordings: found, read, and examined again where an earlier version examined them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from homeward.ingestion.footage import timeline
from homeward.ingestion.footage.examining import Examinations
from homeward.ingestion.footage.finding import FootageFilter, FootageFinder
from homeward.ingestion.footage.layout import (
    FootageLayout,
    is_footage_id,
)
from homeward.ingestion.footage.manifests import encode_manifest
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.ports import FootageStore, MediaProber
from homeward.ingestion.footage.records import FootageRecords
from homeward.ingestion.footage.timeline import Examination, Timeline
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor

log = structlog.get_logger()

PICTURES_HELD = 2_000_000
"""Most pictures whose timelines are kept in memory for the next segment of their recording; a
longer timeline is kept alone. A picture takes 73 bytes, or 105 where each is a key picture, so that
this is 146 to 210 MB, and an hour at 25 a second 6.6 to 9.5 MB (`Timeline` with all that is worked
out from it, 2026-11-28, `pytest -k test_a_timeline_takes`)."""

READ_URL_LIFETIME = timedelta(hours=6)
EXAMINE_URL_LIFETIME = timedelta(hours=1)


class FootageLibrary:
    """The recordings.

    A recording is a folder of the bucket: its file, and a manifest that is written last, so that
    footage is there if and only if its manifest is. A pointer under the file's digest finds a file
    that comes again.

    Args:
        store: Holds them.
        prober: Examines them.
        executor: Packs and unpacks timelines: two seconds of work for a million pictures.
        known: Records of them beside the store.
        clock: Tells the time.

    Attributes:
        finder: Finds them by camera and day.
    """

    def __init__(
        self,
        *,
        store: FootageStore,
        prober: MediaProber,
        executor: BoundedExecutor,
        known: FootageRecords,
        clock: Clock,
    ) -> None:
        self._store = store
        self._prober = prober
        self._executor = executor
        self._clock = clock
        self._known = known
        self.finder = FootageFinder(store, known, clock)
        self._reading = asyncio.Lock()
        self._examinations = Examinations(self._examine_again)
        self._timelines: OrderedDict[tuple[str, int], Timeline] = OrderedDict()
        """By recording, and version of its examination: another one makes another timeline."""

    async def get(self, footage_id: str) -> Footage:
        """Return a recording.

        Raises:
            NotFoundError: `FOOTAGE_NOT_FOUND`.
            FailedPreconditionError: `FOOTAGE_EXPIRED`, `FOOTAGE_DAMAGED`.
        """
        if not is_footage_id(footage_id):
            raise footage_not_found(footage_id)
        footage, has_file = await asyncio.gather(
            self.manifest(footage_id), self.has_file(footage_id)
        )
        if footage is None or not has_file:
            raise footage_not_found(footage_id)
        if self._clock.now() >= footage.delete_time:
            raise footage_expired(footage_id)
        return footage

    async def has_file(self, footage_id: str) -> bool:
        """Return whether a recording's file exists; the store may have removed it by itself."""
        return await self._store.stat(FootageLayout(footage_id).file) is not None

    async def find(
        self,
        *,
        camera_ids: Collection[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[Footage]:
        """Return the recordings that can be read by camera and start; empty or None means no bound.

        `finder` yields them one by one, and in pages, for callers that need not hold them all.

        Args:
            camera_ids: Of these cameras.
            start: Ending after this instant of the camera's clock.
            end: Starting before this one.
        """
        wanted = FootageFilter(tuple(camera_ids), start, end)
        async with aclosing(self.finder.each(wanted)) as found:
            return [footage async for footage in found if isinstance(footage, Footage)]

    async def holds_any_of(self, camera_id: str) -> bool:
        """Tell whether there is a recording of a camera, though it may be past its deadline."""
        return await self._known.holds_any_of(camera_id) or await self.finder.holds_any(
            FootageFilter((camera_id,))
        )

    async def url(self, footage: Footage) -> str:
        """Return a URL to read a recording's file by, which ends with the recording's deadline.

        Raises:
            FailedPreconditionError: `FOOTAGE_EXPIRED`.
        """
        left = footage.delete_time - self._clock.now()
        if left <= timedelta(seconds=1):  # the least that a signed URL can last
            raise footage_expired(footage.footage_id)
        file = FootageLayout(footage.footage_id).file
        return await self._store.url_to_get(file, min(READ_URL_LIFETIME, left))

    async def timeline(self, footage: Footage) -> Timeline:
        """Return when each picture of a recording is shown, and where it is in the file.

        Raises:
            NotFoundError: `FOOTAGE_NOT_FOUND`: it has been deleted meanwhile.
        """
        held = footage.footage_id, footage.media.version
        if held not in self._timelines:
            async with self._reading:  # once, for all segments that begin together
                if held not in self._timelines:
                    self._timelines[held] = await self._read(*held)
                    self._forget_others(held)
        self._timelines.move_to_end(held)
        return self._timelines[held]

    async def _read(self, footage_id: str, version: int) -> Timeline:
        key = FootageLayout(footage_id).timeline(version)
        data = await self._store.get(key)
        if data is not None:
            try:
                return await self._executor.run(_prepared, data)
            except ValueError as error:
                log.warning("a timeline is damaged; it is made anew", key=key, problem=str(error))
                await self._store.delete(key)
        # Lost, or the recording is gone, which the examination finds out.
        await self._examinations.of(footage_id)
        data = await self._store.get(FootageLayout(footage_id).timeline(timeline.VERSION))
        if data is None:
            raise footage_not_found(footage_id)
        return await self._executor.run(_prepared, data)

    def _forget_others(self, needed: tuple[str, int]) -> None:
        """Forget the timelines that were needed longest ago, down to `PICTURES_HELD`."""
        pictures = sum(len(line) for line in self._timelines.values())
        for other in list(self._timelines):
            if pictures > PICTURES_HELD and other != needed:
                pictures -= len(self._timelines.pop(other))

    async def up_to_date(self, footage: Footage) -> Footage:
        """Return a recording with its current examination; an older one is examined again.

        Raises:
            InvalidArgumentError: `FOOTAGE_UNREADABLE`: today it would be refused.
        """
        if footage.media.version == timeline.VERSION:
            return footage
        return await self._examinations.of(footage.footage_id)

    async def close(self) -> None:
        """End what is being examined again."""
        await self._examinations.close()

    async def _examine_again(self, footage_id: str) -> Footage:
        """Examine a recording and store the result, unless that has been done meanwhile."""
        footage = await self.get(footage_id)
        timeline_held = await self._store.stat(FootageLayout(footage_id).timeline(timeline.VERSION))
        if footage.media.version == timeline.VERSION and timeline_held is not None:
            return footage
        if not await self.has_file(footage_id):
            raise footage_not_found(footage_id)
        examined = await self._prober.probe(await self.url(footage))
        current = replace(footage, media=examined.media)
        await self._known.prolong(footage_id, current.end_time)
        await self.write(current, examined.timeline)
        if not await self.has_file(footage_id):  # deleted meanwhile
            for key in (
                FootageLayout(footage_id).manifest,
                FootageLayout(footage_id).timeline(timeline.VERSION),
            ):
                await self._store.delete(key)
            raise footage_not_found(footage_id)
        return current

    async def write(self, footage: Footage, line: Timeline) -> None:
        """Write a recording's timeline, and then its manifest, which makes it a recording."""
        layout = FootageLayout(footage.footage_id)
        await self._store.put(
            layout.timeline(footage.media.version),
            await self._executor.run(timeline.encode, line),
            content_type="application/octet-stream",
        )
        await self._store.put(
            layout.manifest, encode_manifest(footage), content_type="application/json"
        )

    async def manifest(self, footage_id: str) -> Footage | None:
        """Return what the manifest of a recording says, whatever its deadline; None without one.

        Raises:
            FailedPreconditionError: `FOOTAGE_DAMAGED`.
        """
        return await self.finder.manifest(footage_id) if is_footage_id(footage_id) else None

    async def examine(self, footage_id: str) -> Examination:
        """Examine the stored file of a recording that has no manifest yet.

        Raises:
            InvalidArgumentError: `FOOTAGE_UNREADABLE`.
        """
        url = await self._store.url_to_get(FootageLayout(footage_id).file, EXAMINE_URL_LIFETIME)
        return await self._prober.probe(url)


def footage_not_found(footage_id: str) -> errors.NotFoundError:
    """Return the error for a recording that is not held."""
    return errors.NotFoundError(
        f"there is no footage {footage_id}; it may have been deleted",
        reason=errors.Reason.FOOTAGE_NOT_FOUND,
        metadata={"footage_id": footage_id},
    )


def footage_expired(footage_id: str) -> errors.FailedPreconditionError:
    """Return the error for a recording that may not be read any more."""
    return errors.FailedPreconditionError(
        f"footage {footage_id} is past its deadline and is no longer readable",
        reason=errors.Reason.FOOTAGE_EXPIRED,
        metadata={"footage_id": footage_id},
    )


def _prepared(data: bytes) -> Timeline:
    line = timeline.decode(data)
    line.prepare()
    return line
