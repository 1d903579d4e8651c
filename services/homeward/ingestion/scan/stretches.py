"""Stretches in which somebody was in view whose face could not be compared: stored and listed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from homeward.core.inventory import backstop_time
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.scan.incomparable import IncomparablePeople, WatchStretch, joined
from homeward.ingestion.scan.ports import IncomparableTimes
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.scans import Scans
from homeward.servicekit import errors, records

_TICK = timedelta(microseconds=1)

READ_AT_ONCE = 8
"""Objects that a list reads at a time: as many as the store has connections."""


class StoredIncomparableTimes:
    """`IncomparableTimes` in the bucket of recordings, which go when the recording goes.

    An object is one segment of a scan, named by the scan, and by start and end in microseconds.
    """

    def __init__(self, store: FootageStore) -> None:
        self._store = store

    async def keep(self, footage: Footage, found: IncomparablePeople) -> None:
        """Store the times of a segment, unless the recording has been deleted meanwhile."""
        key = _key(footage.footage_id, found.scan_id, found.stretch)
        await self._store.put(
            key,
            records.encode(found),
            content_type="application/json",
            until=backstop_time(footage.receive_time, footage.delete_time),
        )
        if await self._store.stat(FootageLayout(footage.footage_id).manifest) is None:
            await self._store.delete(key)

    async def find(
        self, footage_id: str, scan_id: str, piece: Stretch
    ) -> IncomparablePeople | None:
        """Return the times of a segment; None when they are not stored."""
        data = await self._store.get(_key(footage_id, scan_id, piece))
        return records.decode(data, IncomparablePeople) if data else None


class UnlistedReason(StrEnum):
    """Why the stretches of a recording are not known."""

    FOOTAGE_GONE = "footage gone"
    TIMES_GONE = "times gone"


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A recording with people who could not be compared, at times that are not known."""

    footage_id: str
    reason: UnlistedReason
    appearances: int


@dataclass(frozen=True, slots=True)
class ListedStretch:
    """A stretch to watch by eye, and where it is."""

    footage: Footage
    true_start: datetime
    """True time of the recording's first picture."""
    stretch: WatchStretch

    @property
    def time_uncertain(self) -> bool:
        """Whether the recorder's clock had been set before its end, so that its time is a guess."""
        uncertain_from = self.footage.media.uncertain_from
        return uncertain_from is not None and self.stretch.end > uncertain_from


@dataclass(frozen=True, slots=True)
class StretchList:
    """Stretches with people whom a scan could not compare."""

    stretches: tuple[ListedStretch, ...]
    """By camera and time."""
    unlisted: tuple[Unlisted, ...]


class IncomparableStretches:
    """The times in which somebody was in view whose face could not be compared, of a scan.

    Args:
        scans: The scans.
        footage: The recordings that they searched.
        times: The stored times.
    """

    def __init__(self, *, scans: Scans, footage: FootageLibrary, times: IncomparableTimes) -> None:
        self._scans = scans
        self._footage = footage
        self._times = times

    async def of(self, scan_id: str) -> StretchList:
        """Return the stretches of a scan, of the segments that were searched so far.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
        """
        stretches: list[ListedStretch] = []
        unlisted: list[Unlisted] = []
        for recording in await self._scans.recordings(scan_id):
            if recording.incomparable:
                found, missing = await self._of_recording(scan_id, recording)
                stretches += found
                unlisted += missing
        stretches.sort(
            key=lambda one: (one.footage.header.camera_id, one.true_start + one.stretch.start)
        )
        return StretchList(tuple(stretches), tuple(unlisted))

    async def _of_recording(
        self, scan_id: str, recording: ScannedRecording
    ) -> tuple[list[ListedStretch], list[Unlisted]]:
        footage_id = recording.footage_id
        try:
            footage = await self._footage.get(footage_id)
        except (errors.NotFoundError, errors.FailedPreconditionError):
            counts = [count for _, count in recording.incomparable]
            return [], [Unlisted(footage_id, UnlistedReason.FOOTAGE_GONE, sum(counts))]
        at_once = asyncio.Semaphore(READ_AT_ONCE)

        async def found_in(number: int) -> IncomparablePeople | None:
            async with at_once:
                return await self._times.find(footage_id, scan_id, recording.pieces[number])

        found = await asyncio.gather(*(found_in(number) for number, _ in recording.incomparable))
        people = [person for one in found if one for person in one.people]
        lost = sum(
            count
            for (_, count), one in zip(recording.incomparable, found, strict=True)
            if one is None
        )
        true_start = recording.true_start
        return (
            [ListedStretch(footage, true_start, one) for one in joined(people, _apart(recording))],
            [Unlisted(footage_id, UnlistedReason.TIMES_GONE, lost)] if lost else [],
        )


def _apart(recording: ScannedRecording) -> list[Stretch]:
    """Return the stretches of a recording that were not searched, or not yet."""
    gaps = [
        Stretch(gap.start_time - recording.true_start, gap.end_time - recording.true_start)
        for gap in recording.gaps
    ]
    return gaps + [one.asked_for for one in recording.open_segments()]


def _key(footage_id: str, scan_id: str, piece: Stretch) -> str:
    start, end = piece.start // _TICK, piece.end // _TICK
    return FootageLayout(footage_id).incomparable(f"{scan_id}-{start}-{end}")
