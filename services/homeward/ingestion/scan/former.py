"""Migration of the scans of an earlier version, which had one record a segment with its candidates.

Those records named the people found, places and times, also after a person was erased. They are
converted to the records of this version, and erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

import msgspec
import structlog

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.fold import settle
from homeward.ingestion.scan.model import ScanPlan, ScanTally, Segment
from homeward.ingestion.scan.recordings import ScannedRecording, accounted
from homeward.ingestion.scan.records import ScanRecords, put_unplanned
from homeward.ingestion.scan.summary import added
from homeward.servicekit import records
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _FormerCandidate:
    sighting_id: str


@dataclass(frozen=True, slots=True)
class _FormerCandidates:
    """What of a segment's record this version has no other place for."""

    candidates: tuple[_FormerCandidate, ...] = ()


class FormerScans:
    """Scans as a version before kept them.

    Args:
        store: Of all that is kept of scans.
        scans: The same, as this version keeps it.
    """

    def __init__(self, store: KeyValueStore, scans: ScanRecords) -> None:
        self._store = store
        self._scans = scans

    async def bring_over(self) -> int:
        """Migrate all of them; return how many there were.

        A migration that broke off is repeated: a record is erased after its content is written.
        """
        count = 0
        for entry in await self._store.entries("scan.*"):
            scan_id = entry.key.partition(".")[2]
            held = await self._store.entries(f"segment.{scan_id}.*")
            if not held:
                continue
            if not (await self._scans.plan(scan_id)).revision:
                segments = [
                    _renumbered(records.decode(one.value, Segment), number)
                    for number, one in enumerate(held)
                ]
                found = [
                    candidate.sighting_id
                    for one in held
                    for candidate in msgspec.json.decode(
                        one.value, type=_FormerCandidates
                    ).candidates
                ]
                await self._write(scan_id, segments, found)
            await settle(self._scans, scan_id)
            for one in held:
                await self._store.erase(one.key)
            count += 1
        if count:
            log.info("scans of an earlier version brought over", scans=count)
        return count

    async def _write(
        self, scan_id: str, segments: Sequence[Segment], sighting_ids: Sequence[str]
    ) -> None:
        tally, recordings = ScanTally(), []
        for number, (_, group) in enumerate(groupby(segments, key=attrgetter("footage_id"))):
            pieces = list(group)
            recording = _recording(number, pieces)
            for one in pieces:
                if one.state.ended:
                    ended = accounted(one)
                    recording = recording.with_ended(ended, 0)
                    tally = added(tally, ended, 0)
            recordings.append(recording)
            try:
                await put_unplanned(self._scans, scan_id, recording, 0)
            except ConflictError:
                return  # another replica has brought it over
        await self._scans.add_sightings(scan_id, sighting_ids)
        plan = ScanPlan(
            recordings=len(recordings),
            segments=len(segments),
            total=sum((one.duration for one in segments), timedelta()),
            complete=True,
        )
        scan = await self._scans.get(scan_id)
        if scan is not None:
            plan = replace(plan, stopped=scan.cancelled)
            if scan.final is None:
                await self._scans.create(scan)  # it is there: as one that is under way
        with suppress(ConflictError):  # another replica does the same
            await self._scans.put_tally(scan_id, tally, 0)
        with suppress(ConflictError):
            await self._scans.put_plan(scan_id, plan, 0)


def _renumbered(segment: Segment, number: int) -> Segment:
    return replace(segment, number=number)


def _recording(number: int, pieces: Sequence[Segment]) -> ScannedRecording:
    first, last = pieces[0], pieces[-1]
    return ScannedRecording(
        number=number,
        footage_id=first.footage_id,
        camera_id=first.camera_id,
        true_start=first.true_start,
        first_segment=first.number,
        pieces=tuple(one.stretch for one in pieces),
        window=Stretch(first.asked_for.start, last.asked_for.end),
        pixel_aspect=first.pixel_aspect,
    )
