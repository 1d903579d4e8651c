"""The records of scans: the port that use cases call, and its adapter to a key-value store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Protocol, TypeVar

from homeward.ingestion.scan.model import Scan, ScanPlan, ScanTally, Segment
from homeward.ingestion.scan.recordings import ScannedRecording
from homeward.ingestion.scan.summary import LiveScan
from homeward.servicekit import records
from homeward.servicekit.keyvalue import ConflictError, Entry, KeyValueStore, Stored

T = TypeVar("T")


class ScanRecords(Protocol):
    """The records of scans. All calls raise `UnavailableError`.

    A scan has one record, one for each of its recordings, and those that change while it runs: its
    plan, its tally, and the segments that scanners work on. Ids of sightings are separate records.
    """

    async def create(self, scan: Scan) -> Scan:
        """Store a new scan as running, and return the stored one.

        If a scan with its id is stored already, that one stays and is returned.
        """

    async def get(self, scan_id: str) -> Scan | None:
        """Return a scan; None when it is not there, or was forgotten."""

    async def find(self) -> list[Scan]:
        """Return all scans."""

    async def change(self, scan_id: str, change: Callable[[Scan], Scan]) -> Scan | None:
        """Change a scan and return it; repeat the change if another writer came first."""

    async def await_decision(self, scan_id: str) -> None:
        """Have a scan be among those whose authorisation is to be looked after."""

    async def undecided(self) -> list[str]:
        """Return the ids of scans whose authorisation is awaited, or whose refusal is not finished.

        Some may be decided already, or not be there.
        """

    async def settle_decision(self, scan_id: str) -> None:
        """Have a scan be looked after no longer."""

    async def under_way(self) -> list[str]:
        """Return the ids of the scans that have not ended."""

    async def end(self, scan_id: str) -> None:
        """Have a scan be under way no longer."""

    async def plan(self, scan_id: str) -> Stored[ScanPlan]:
        """Return how far a scan is planned."""

    async def put_plan(self, scan_id: str, plan: ScanPlan, revision: int) -> int:
        """Replace the plan that has a revision; return the revision of the new one.

        Raises:
            ConflictError: It was replaced.
        """

    async def recording(self, scan_id: str, number: int) -> Stored[ScannedRecording] | None:
        """Return a recording of a scan."""

    async def recordings(self, scan_id: str, *, most: int) -> list[ScannedRecording]:
        """Return the recordings of a scan with numbers below `most`, in order."""

    async def put_recording(self, scan_id: str, recording: ScannedRecording, revision: int) -> None:
        """Write a recording.

        Args:
            scan_id: Of its scan.
            recording: The recording.
            revision: Revision of the record that it replaces; 0 where there must be none.

        Raises:
            ConflictError: Another one is there.
        """

    async def tally(self, scan_id: str) -> Stored[ScanTally]:
        """Return what the segments come to that have ended."""

    async def put_tally(self, scan_id: str, tally: ScanTally, revision: int) -> None:
        """Replace the tally that has a revision.

        Raises:
            ConflictError: It was replaced.
        """

    async def segment(self, scan_id: str, number: int) -> Stored[Segment] | None:
        """Return a segment that a scanner works on, or that is not added up yet."""

    async def segments(self, scan_id: str) -> list[Stored[Segment]]:
        """Return those of a scan."""

    async def save_segment(self, scan_id: str, segment: Segment) -> None:
        """Store the progress of a segment.

        The ids of its sightings are stored first, with the scan; the segment is stored without
        them.
        """

    async def forget_segment(self, scan_id: str, number: int) -> None:
        """Let go of a segment."""

    async def add_sightings(self, scan_id: str, sighting_ids: Iterable[str]) -> None:
        """Keep that a scan has recorded sightings."""

    async def live(self, scan_id: str) -> LiveScan:
        """Return what changes of a scan, as it is now."""

    def watch(self, scan_id: str) -> AsyncGenerator[LiveScan, None]:
        """Yield what changes of a scan, as it is now and after each change: the same object."""


class StoredScanRecords:
    """`ScanRecords` in a key-value store.

    Keys are `scan.ID` for a scan, `open.ID` while it is under way, `undecided.ID` until its
    authorisation is settled, `recording.ID.NUMBER`, and under `live.ID`: `plan`, `tally`,
    `segment.NUMBER` and `sighting.ID`.
    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    async def create(self, scan: Scan) -> Scan:
        """Keep a new scan, as one that is under way; return the one that is kept."""
        await self._store.put(f"open.{scan.scan_id}", b"{}")
        if scan.authorisation.deadline is not None:
            await self.await_decision(scan.scan_id)
        try:
            await self._store.create(_scan(scan.scan_id), records.encode(scan))
        except ConflictError:
            return await self.get(scan.scan_id) or scan
        return scan

    async def get(self, scan_id: str) -> Scan | None:
        """Return a scan; None when it is not there, or was forgotten."""
        entry = await self._store.get(_scan(scan_id))
        return records.decode(entry.value, Scan) if entry else None

    async def find(self) -> list[Scan]:
        """Return all scans."""
        return [records.decode(one.value, Scan) for one in await self._store.entries("scan.*")]

    async def change(self, scan_id: str, change: Callable[[Scan], Scan]) -> Scan | None:
        """Change a scan and return it; repeat the change if another writer came first."""
        while True:
            entry = await self._store.get(_scan(scan_id))
            if entry is None:
                return None
            changed = change(records.decode(entry.value, Scan))
            data = records.encode(changed)
            if data == entry.value:
                return changed
            with suppress(ConflictError):
                await self._store.update(entry.key, data, revision=entry.revision)
                return changed

    async def await_decision(self, scan_id: str) -> None:
        """Have a scan be among those whose authorisation is to be looked after."""
        await self._store.put(f"undecided.{scan_id}", b"{}")

    async def undecided(self) -> list[str]:
        """Return the scans whose authorisation is awaited, or whose refusal is not finished."""
        return sorted(key.partition(".")[2] for key in await self._store.keys("undecided.*"))

    async def settle_decision(self, scan_id: str) -> None:
        """Have a scan be looked after no longer."""
        await self._store.erase(f"undecided.{scan_id}")

    async def under_way(self) -> list[str]:
        """Return the ids of the scans that have not ended."""
        return [one.key.partition(".")[2] for one in await self._store.entries("open.*")]

    async def end(self, scan_id: str) -> None:
        """Have a scan be under way no longer."""
        await self._store.erase(f"open.{scan_id}")

    async def plan(self, scan_id: str) -> Stored[ScanPlan]:
        """Return how far a scan is planned."""
        return await self._read(_plan(scan_id), ScanPlan) or Stored(ScanPlan(), 0)

    async def put_plan(self, scan_id: str, plan: ScanPlan, revision: int) -> int:
        """Replace the plan that has a revision; return the revision of the new one."""
        return await self._replace(_plan(scan_id), plan, revision)

    async def recording(self, scan_id: str, number: int) -> Stored[ScannedRecording] | None:
        """Return a recording of a scan."""
        return await self._read(_recording(scan_id, number), ScannedRecording)

    async def recordings(self, scan_id: str, *, most: int) -> list[ScannedRecording]:
        """Return the recordings of a scan with numbers below `most`, in order."""
        entries = await self._store.entries(f"recording.{scan_id}.*")
        found = (records.decode(one.value, ScannedRecording) for one in entries)
        return [one for one in found if one.number < most]

    async def put_recording(self, scan_id: str, recording: ScannedRecording, revision: int) -> None:
        """Write a recording."""
        await self._replace(_recording(scan_id, recording.number), recording, revision)

    async def tally(self, scan_id: str) -> Stored[ScanTally]:
        """Return what the segments come to that have ended."""
        return await self._read(_tally(scan_id), ScanTally) or Stored(ScanTally(), 0)

    async def put_tally(self, scan_id: str, tally: ScanTally, revision: int) -> None:
        """Replace the tally that has a revision."""
        await self._replace(_tally(scan_id), tally, revision)

    async def segment(self, scan_id: str, number: int) -> Stored[Segment] | None:
        """Return a segment that a scanner works on, or that is not added up yet."""
        return await self._read(_segment(scan_id, number), Segment)

    async def segments(self, scan_id: str) -> list[Stored[Segment]]:
        """Return those of a scan."""
        entries = await self._store.entries(f"live.{scan_id}.segment.*")
        return [Stored(records.decode(one.value, Segment), one.revision) for one in entries]

    async def save_segment(self, scan_id: str, segment: Segment) -> None:
        """Keep how far the search of a segment has come."""
        await self.add_sightings(scan_id, segment.sighting_ids)
        key = _segment(scan_id, segment.number)
        await self._store.put(key, records.encode(_without_sightings(segment)))

    async def forget_segment(self, scan_id: str, number: int) -> None:
        """Let go of a segment."""
        await self._store.erase(_segment(scan_id, number))

    async def live(self, scan_id: str) -> LiveScan:
        """Return what changes of a scan, as it is now."""
        live = LiveScan()
        for entry in await self._store.entries(f"live.{scan_id}.>"):
            _take_in(live, entry)
        live.forget_added()
        return live

    async def watch(self, scan_id: str) -> AsyncGenerator[LiveScan, None]:
        """Yield what changes of a scan, as it is now and after each change: the same object."""
        live = LiveScan()
        complete = False
        async with aclosing(self._store.watch(f"live.{scan_id}.>")) as changes:
            async for entry in changes:
                if entry is None:
                    complete = True
                else:
                    _take_in(live, entry)
                if complete:
                    live.forget_added()
                    yield live

    async def add_sightings(self, scan_id: str, sighting_ids: Iterable[str]) -> None:
        """Keep that a scan has recorded sightings."""
        for one in sighting_ids:
            with suppress(ConflictError):  # it is kept already
                await self._store.create(f"live.{scan_id}.sighting.{one}", b"{}")

    async def _read(self, key: str, kind: type[T]) -> Stored[T] | None:
        entry = await self._store.get(key)
        return Stored(records.decode(entry.value, kind), entry.revision) if entry else None

    async def _replace(self, key: str, value: object, revision: int) -> int:
        if revision:
            return await self._store.update(key, records.encode(value), revision=revision)
        return await self._store.create(key, records.encode(value))


async def put_unplanned(
    scans: ScanRecords, scan_id: str, recording: ScannedRecording, plan_revision: int
) -> None:
    """Write a recording that the plan of its scan does not have yet.

    A record that is there was written by a planner that broke off, and is replaced. If another
    planner has gone on from the same plan, its recordings may be searched already, and stay.

    Args:
        scans: Holds both.
        scan_id: The scan.
        recording: The recording.
        plan_revision: Of the plan that it is to be added to.

    Raises:
        ConflictError: That plan was replaced.
    """
    revision = 0
    while True:
        try:
            await scans.put_recording(scan_id, recording, revision)
        except ConflictError:
            # In this order: while the plan is unchanged, nobody has searched the recording read.
            held = await scans.recording(scan_id, recording.number)
            if (await scans.plan(scan_id)).revision != plan_revision:
                raise
            revision = held.revision if held is not None else 0
            continue
        return


def _take_in(live: LiveScan, entry: Entry) -> None:
    """Change what is known of a scan by one record of it."""
    _, _, kind, *name = entry.key.split(".")
    if kind == "plan":
        live.plan = records.decode(entry.value, ScanPlan)
    elif kind == "tally":
        live.tally = records.decode(entry.value, ScanTally)
    elif kind == "sighting":
        live.sighting_ids[name[0]] = None
    elif kind == "segment":
        segment = Stored(records.decode(entry.value, Segment), entry.revision)
        live.segments[segment.value.number] = segment


def _without_sightings(segment: Segment) -> Segment:
    return replace(segment, sighting_ids=())


def _scan(scan_id: str) -> str:
    return f"scan.{scan_id}"


def _recording(scan_id: str, number: int) -> str:
    return f"recording.{scan_id}.{number:06d}"


def _plan(scan_id: str) -> str:
    return f"live.{scan_id}.plan"


def _tally(scan_id: str) -> str:
    return f"live.{scan_id}.tally"


def _segment(scan_id: str, number: int) -> str:
    return f"live.{scan_id}.segment.{number:07d}"
