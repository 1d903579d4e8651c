"""Finding recordings by camera and day, which their keys begin with.

Only what may be asked for is read: the days of a camera come from a list of folders, the recordings
of a day from another, and the manifest of a recording from its key. A recording belongs to the day
on which it starts, and may reach into the next days, so the days before a window are listed too, as
far back as the longest recording reaches.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import msgspec

from homeward.ingestion.footage.layout import (
    RECORDINGS,
    CameraDay,
    FootageLayout,
    camera_prefix,
    day_of,
    day_prefix,
    is_camera_id,
    is_footage_id,
    last_folder,
)
from homeward.ingestion.footage.limits import MAX_SPAN
from homeward.ingestion.footage.manifests import decode_manifest
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.footage.records import FootageRecords
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock
from homeward.servicekit.in_order import in_order

REQUESTS_AT_ONCE = 8
"""Requests of each kind that a list makes at a time: as many as the store has connections."""

PAGE_MISSES = 300
"""Most days of cameras, and recordings that turn out not to be asked for, that one page reads. A
page that finds few recordings ends there, and the next page goes on. Each is a request to the
store, and a day one more to the records beside it."""

REACH = MAX_SPAN + timedelta(days=1)
"""Longest time from the start to the end of a recording: `MAX_SPAN` up to its last picture, and the
short time for which that is shown."""

_FIRST_DAY, _LAST_DAY = "00000000", "99999999"
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FootageFilter:
    """Which recordings are asked for. Empty or None means no bound."""

    camera_ids: tuple[str, ...] = ()
    """Of these cameras."""
    start: datetime | None = None
    """Ending after this instant of the camera's clock."""
    end: datetime | None = None
    """Starting before this one."""

    def takes(self, footage: Footage) -> bool:
        """Tell whether a recording is asked for."""
        return (self.start is None or footage.end_time > self.start) and (
            self.end is None or footage.header.start_time < self.end
        )

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day on which such a recording may start, as `day_prefix`'s."""
        reaches = self.start is not None and self.start - _EARLIEST > REACH
        first = day_of(self.start - REACH) if self.start and reaches else _FIRST_DAY
        return first, day_of(self.end) if self.end else _LAST_DAY

    def may_take(self, footage_id: str) -> bool:
        """Return whether a recording may be asked for, judged by its id alone."""
        start = FootageLayout(footage_id).start_time
        return (self.end is None or start < self.end) and (
            self.start is None or self.start - start < REACH
        )


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the list of all recordings: after one of them, or after a whole day."""

    day: CameraDay
    footage_id: str
    """The last that was listed; `_WHOLE` for all of the day."""

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Read what `str` wrote; None for the beginning, or what is no place."""
        parts = text.split(" ")
        return cls(CameraDay(parts[0], parts[1]), parts[2]) if len(parts) == _PARTS else None

    def __str__(self) -> str:
        return f"{self.day.camera_id} {self.day.day} {self.footage_id}"


_PARTS = 3
_DATE_FROM = 2
"""Folders before the year."""
_WHOLE = "~"
"""Comes after every footage id."""


@dataclass(frozen=True, slots=True)
class DamagedFootage:
    """A recording whose manifest cannot be read: all that is known of it is its id."""

    footage_id: str


@dataclass(frozen=True, slots=True)
class FootagePage:
    """A page of recordings."""

    footage: tuple[Footage | DamagedFootage, ...]
    """Recordings; fewer than were asked for, or none, where many had to be read."""
    next_place: str
    """Where to go on; "" at the end of the list."""


class FootageFinder:
    """Finds recordings.

    Args:
        store: Holds the recordings.
        known: Records beside the store. If a record says that a recording ends before a window,
            its manifest is not read. The end in a record is never too early.
        clock: Tells the time; recordings past their deadline are not found.
    """

    def __init__(self, store: FootageStore, known: FootageRecords, clock: Clock) -> None:
        self._store = store
        self._known = known
        self._clock = clock

    async def each(self, wanted: FootageFilter) -> AsyncGenerator[Footage | DamagedFootage, None]:
        """Yield the recordings by camera and start, read as they are needed."""
        async with aclosing(self._found(wanted, None)) as found:
            async for _, footage in found:
                if footage is not None:
                    yield footage

    async def page(self, wanted: FootageFilter, *, size: int, after: str = "") -> FootagePage:
        """Return the recordings from a place on, by camera and start.

        Args:
            wanted: Which.
            size: Most of them, at least 1.
            after: `next_place` of the page before; "" for the first page.
        """
        footage: list[Footage | DamagedFootage] = []
        misses = 0
        reached = ""
        async with aclosing(self._found(wanted, Place.of(after))) as found:
            async for place, one in found:
                if one is not None and len(footage) == size:
                    return FootagePage(tuple(footage), reached)
                reached = str(place)
                if one is not None:
                    footage.append(one)
                    continue
                misses += 1
                if misses == PAGE_MISSES:
                    return FootagePage(tuple(footage), reached)
        return FootagePage(tuple(footage), "")

    async def holds_any(self, wanted: FootageFilter = FootageFilter()) -> bool:
        """Tell whether there is any recording, or any that is asked for."""
        async with aclosing(self.each(wanted)) as found:
            return await anext(found, None) is not None

    async def camera_ids(self) -> list[str]:
        """Return the cameras that have recordings, in order."""
        names = (last_folder(one) for one in (await self._store.level(RECORDINGS)).folders)
        return sorted(name for name in names if is_camera_id(name))

    async def days(
        self, camera_id: str, first: str = _FIRST_DAY, last: str = _LAST_DAY
    ) -> list[CameraDay]:
        """Return the days on which a camera has recordings that start, in order."""
        prefixes = [camera_prefix(camera_id)]
        for digits in (4, 6, 8):  # of the year, with the month, with the day
            inner = [
                one for prefix in prefixes for one in (await self._store.level(prefix)).folders
            ]
            prefixes = [
                one
                for one in sorted(inner)
                if len(_date_in(one)) == digits and first[:digits] <= _date_in(one) <= last[:digits]
            ]
        return [CameraDay(camera_id, _date_in(prefix)) for prefix in prefixes]

    async def footage_ids(self, day: CameraDay) -> list[str]:
        """Return the ids of a day, of recordings and of uploads that broke off, in order."""
        prefix = day_prefix(day.camera_id, day.day)
        names = (last_folder(one) for one in (await self._store.level(prefix)).folders)
        return sorted(name for name in names if is_footage_id(name))

    async def manifest(self, footage_id: str) -> Footage | None:
        """Return what the manifest of a recording says, whatever its deadline; None without one.

        Raises:
            FailedPreconditionError: `FOOTAGE_DAMAGED`.
        """
        data = await self._store.get(FootageLayout(footage_id).manifest)
        if data is None:
            return None
        try:
            return decode_manifest(data)
        except msgspec.DecodeError as error:
            raise footage_damaged(footage_id) from error

    async def manifest_or_none(self, name: str) -> Footage | None:
        """Return what a manifest says, if that is the name of a recording and can be read."""
        try:
            return await self.manifest(name) if is_footage_id(name) else None
        except errors.FailedPreconditionError:  # the sweep removes it by its age
            return None

    async def _found(
        self, wanted: FootageFilter, after: Place | None
    ) -> AsyncGenerator[tuple[Place, Footage | DamagedFootage | None], None]:
        """Yield recordings in order with their places, and places without a recording.

        The latter are places of recordings that are not asked for, and the ends of days.
        """

        async def read(place: Place) -> tuple[Place, Footage | DamagedFootage | None]:
            whole = place.footage_id == _WHOLE
            return place, None if whole else await self._held(place.footage_id, wanted)

        places = self._places(wanted, after)
        async with aclosing(in_order(read, places, at_once=REQUESTS_AT_ONCE)) as results:
            async for place, footage in results:
                yield place, footage

    async def _held(
        self, footage_id: str, wanted: FootageFilter
    ) -> Footage | DamagedFootage | None:
        """Return a recording that is asked for and may be read, or None."""
        try:
            footage = await self.manifest(footage_id)
        except errors.FailedPreconditionError:
            return DamagedFootage(footage_id)
        if footage is None or not wanted.takes(footage) or self._is_expired(footage):
            return None
        # The store may have removed the file by itself, which is older than the manifest.
        has_file = await self._store.stat(FootageLayout(footage_id).file) is not None
        return footage if has_file else None

    def _is_expired(self, footage: Footage) -> bool:
        return self._clock.now() >= footage.delete_time

    async def _places(
        self, wanted: FootageFilter, after: Place | None
    ) -> AsyncGenerator[Place, None]:

        async def listed(day: CameraDay) -> tuple[CameraDay, list[str]]:
            return day, await self._candidates(day, wanted)

        found = in_order(listed, self._camera_days(wanted, after), at_once=REQUESTS_AT_ONCE)
        async with aclosing(found) as days:
            async for day, names in days:
                for name in names:
                    place = Place(day, name)
                    if after is None or place > after:
                        yield place
                yield Place(day, _WHOLE)

    async def _candidates(self, day: CameraDay, wanted: FootageFilter) -> list[str]:
        """Return the recordings of a day that may be asked for, without reading manifests."""
        names = [name for name in await self.footage_ids(day) if wanted.may_take(name)]
        start = wanted.start
        if start is None or not names or day.day > day_of(start):
            return names
        held = await self._known.held_on(day)
        ends = {name: one.end_time for name, one in held.items() if one.end_time is not None}
        return [name for name in names if name not in ends or ends[name] > start]

    async def _camera_days(
        self, wanted: FootageFilter, after: Place | None
    ) -> AsyncGenerator[CameraDay, None]:
        cameras = sorted(set(wanted.camera_ids)) or await self.camera_ids()
        first, last = wanted.days

        async def days_of(camera_id: str) -> list[CameraDay]:
            return await self.days(camera_id, first, last)

        left = [one for one in cameras if after is None or one >= after.day.camera_id]
        async with aclosing(in_order(days_of, left, at_once=REQUESTS_AT_ONCE)) as found:
            async for days in found:
                for day in days:
                    if after is None or Place(day, _WHOLE) > after:
                        yield day


def footage_damaged(footage_id: str) -> errors.FailedPreconditionError:
    """Return the error for a recording whose manifest cannot be read."""
    return errors.FailedPreconditionError(
        f"what the object store holds of footage {footage_id} is damaged: its manifest cannot be"
        " read, so that it cannot be searched or shown",
        reason=errors.Reason.FOOTAGE_DAMAGED,
        metadata={"footage_id": footage_id},
    )


def _date_in(prefix: str) -> str:
    """Return the digits of year, month and day of a prefix inside the folder of a camera."""
    return "".join(prefix.rstrip("/").split("/")[_DATE_FROM:])
