"""Scans as resources: created, read, watched, cancelled. The scanners do the work."""

from __future__ import annotations

import asyncio
import uuid
from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter

from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.limits import MAX_SEGMENT, SPARSE_RATE
from homeward.ingestion.footage.media import MediaInfo, Stretch
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.scan.model import (
    GapReason,
    Scan,
    ScanScope,
    ScanState,
    ScanSummary,
    Segment,
)
from homeward.ingestion.scan.ports import Matcher, WorkQueue
from homeward.ingestion.scan.summary import summarise
from homeward.ingestion.scan.tracking import TAIL
from homeward.servicekit import errors, records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore, edit

_NAMESPACE = uuid.UUID("f3a0c5b2-8d1e-5f6a-9c47-2b7e1d0a6c93")


def scan_key(scan_id: str) -> str:
    """Return where a scan is kept."""
    return f"scan.{scan_id}"


def segment_key(scan_id: str, number: int) -> str:
    """Return where a segment of a scan is kept."""
    return f"segment.{scan_id}.{number:06d}"


class Scans:
    """Searches of footage.

    A scan is a record and one record a segment; only the scanner that works on a segment writes
    its. What is told about a scan is folded from its segments, and is kept with the scan once it
    has ended.
    """

    def __init__(
        self,
        *,
        store: KeyValueStore,
        queue: WorkQueue,
        footage: FootageLibrary,
        cameras: Cameras,
        matcher: Matcher,
        clock: Clock,
        segment_length: timedelta,
    ) -> None:
        self._store = store
        self._queue = queue
        self._footage = footage
        self._cameras = cameras
        self._matcher = matcher
        self._clock = clock
        self._segment_length = segment_length

    async def create(self, scope: ScanScope, *, request_id: str) -> tuple[Scan, ScanSummary]:
        """Plan a scan and queue its segments.

        Raises:
            InvalidArgumentError: `REQUEST_ID_REUSED`.
            NotFoundError: `CAMERA_NOT_FOUND`, `FOOTAGE_NOT_FOUND`, `SUBJECT_NOT_FOUND`.
            FailedPreconditionError: `SCAN_SCOPE_EMPTY`, `NO_OPEN_SUBJECTS`, `SUBJECT_CLOSED`,
                `FOOTAGE_EXPIRED`, `POLICY_NOT_APPROVED`, `POLICY_EXPIRED`, `POLICY_MODEL_MISMATCH`,
                `EMBEDDING_MODEL_MISMATCH`, `GALLERY_INCOMPLETE`.
        """
        name = str(uuid.uuid5(_NAMESPACE, request_id)) if request_id else str(uuid.uuid4())
        if request_id and await self._store.get(scan_key(name)) is not None:
            scan, summary = await self.get(name)
            if scan.scope != scope:
                raise errors.InvalidArgumentError(
                    f"request_id {request_id} came before with another scope; use a new one",
                    reason=errors.Reason.REQUEST_ID_REUSED,
                    metadata={"request_id": request_id},
                )
            await self._queue_pending(name)  # the first call may have broken off before it did
            return scan, summary
        await self._matcher.require_searchable(scope.subject_ids)
        segments = await self._plan(scope)
        scan = Scan(name, scope, self._clock.now(), len(segments))
        for number, segment in enumerate(segments):
            await self._store.put(segment_key(name, number), records.encode(segment))
        await self._store.put(scan_key(name), records.encode(scan))
        await self._queue_pending(name)
        return scan, summarise(scan, tuple(segments))

    async def _queue_pending(self, scan_id: str) -> None:
        for entry in await self._store.entries(f"segment.{scan_id}.*"):
            if records.decode(entry.value, Segment).state is ScanState.PENDING:
                await self._queue.put(scan_id, int(entry.key.rpartition(".")[2]))

    async def get(self, scan_id: str) -> tuple[Scan, ScanSummary]:
        """Return a scan and what is told about it.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
        """
        entry = await self._store.get(scan_key(scan_id))
        if entry is None:
            raise _not_found(scan_id)
        return await self._summarised(records.decode(entry.value, Scan))

    async def segments(self, scan_id: str) -> list[Segment]:
        """Return the pieces of a scan, as far as they have come.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
        """
        if await self._store.get(scan_key(scan_id)) is None:
            raise _not_found(scan_id)
        entries = await self._store.entries(f"segment.{scan_id}.*")
        return [records.decode(entry.value, Segment) for entry in entries]

    async def find(self) -> list[tuple[Scan, ScanSummary]]:
        """Return all scans, newest first.

        Those that have ended come without gaps, candidates, and sizes by camera.
        """
        scans = [records.decode(entry.value, Scan) for entry in await self._store.entries("scan.*")]
        found = [
            (scan, scan.final) if scan.final else await self._summarised(scan) for scan in scans
        ]
        return sorted(found, key=lambda pair: (pair[0].create_time, pair[0].scan_id))[::-1]

    async def cancel(self, scan_id: str) -> tuple[Scan, ScanSummary]:
        """Stop a scan. Segments that a scanner works on end within seconds.

        The work stays in the queue: whoever takes a segment of a cancelled scan lets go of it, and
        so does whoever takes over from a scanner that died.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
            FailedPreconditionError: `SCAN_ENDED`.
        """
        scan, summary = await self.get(scan_id)
        if summary.state.ended:
            raise errors.FailedPreconditionError(
                f"scan {scan_id} has ended already ({summary.state.value})",
                reason=errors.Reason.SCAN_ENDED,
                metadata={"scan_id": scan_id, "state": summary.state.name},
            )

        async def mark(value: bytes | None) -> bytes | None:
            held = records.decode(value, Scan) if value else scan
            return records.encode(replace(held, cancelled=True))

        await edit(self._store, scan_key(scan_id), mark)
        for entry in await self._store.entries(f"segment.{scan_id}.*"):
            segment = records.decode(entry.value, Segment)
            if segment.state is ScanState.PENDING:
                ended = segment.given_up(
                    GapReason.CANCELLED, "the scan was cancelled", self._clock.now()
                )
                try:
                    await self._store.update(
                        entry.key, records.encode(ended), revision=entry.revision
                    )
                except ConflictError:  # a scanner has just taken it, and will see the mark
                    continue
        return await self.get(scan_id)

    async def watch(self, scan_id: str) -> AsyncGenerator[tuple[Scan, ScanSummary], None]:
        """Yield a scan as it is now, then each time that it changes, until it has ended.

        Raises:
            NotFoundError: `SCAN_NOT_FOUND`.
        """
        scan, summary = await self.get(scan_id)
        if summary.state.ended:
            yield scan, summary
            return
        segments: dict[str, Segment] = {}
        complete = False
        async with aclosing(self._store.watch(f"*.{scan_id}.>")) as segment_changes:
            async for entry in segment_changes:
                if entry is None:
                    complete = True
                else:
                    segments[entry.key] = records.decode(entry.value, Segment)
                if not complete:
                    continue
                current = await self._store.get(scan_key(scan_id))
                if current is None:
                    raise _not_found(scan_id)
                scan = records.decode(current.value, Scan)
                summary = summarise(scan, tuple(segments[key] for key in sorted(segments)))
                yield scan, summary
                if summary.state.ended:
                    await self._settle(scan, summary)
                    return

    async def _summarised(self, scan: Scan) -> tuple[Scan, ScanSummary]:
        entries = await self._store.entries(f"segment.{scan.scan_id}.*")
        summary = summarise(scan, tuple(records.decode(entry.value, Segment) for entry in entries))
        if summary.state.ended and scan.final is None:
            await self._settle(scan, summary)
        return scan, summary

    async def _settle(self, scan: Scan, summary: ScanSummary) -> None:
        # A scan of thousands of segments has more gaps than a record may hold.
        final = replace(summary, gaps=(), candidates=(), efforts=(), camera_sizes=())

        async def keep(value: bytes | None) -> bytes | None:
            if value is None:
                return None
            return records.encode(replace(records.decode(value, Scan), final=final))

        await edit(self._store, scan_key(scan.scan_id), keep)

    async def _plan(self, scope: ScanScope) -> list[Segment]:
        segments = []
        held = await self._footage_of(scope)
        named = bool(scope.footage_ids)
        current = await asyncio.gather(*(self._up_to_date(one, named=named) for one in held))
        for footage, refusal in current:
            camera, _ = await self._cameras.get(footage.header.camera_id)
            true_start = footage.header.start_time - camera.details.clock_offset
            first, last = timedelta(), footage.probe.duration
            if scope.start_time:
                first = max(first, scope.start_time - true_start)
            if scope.end_time:
                last = min(last, scope.end_time - true_start)
            if first >= last:
                continue
            window = Stretch(first, last)
            whole = Segment(
                footage_id=footage.footage_id,
                camera_id=footage.header.camera_id,
                start=first,
                end=last,
                true_start=true_start,
            )
            if refusal:
                segments.append(whole.given_up(*refusal, self._clock.now()))
                continue
            segments += [
                replace(
                    whole,
                    start=piece.start,
                    end=piece.end,
                    window=None if first <= piece.start and piece.end <= last else window,
                    pixel_aspect=camera.details.pixel_aspect_ratio,
                )
                for piece in pieces_of(footage.probe, self._segment_length)
                # Whoever came into view in the piece before is followed into the window.
                if piece.start < last and piece.end + TAIL > first
            ]
            if footage.probe.missing and last == footage.probe.duration:
                lost = _cut_off(footage, true_start, scope.end_time, self._clock.now())
                segments += [lost] if lost.duration else []
        if not segments:
            held_count = len(await self._footage.find())
            raise errors.FailedPreconditionError(
                "there is nothing to search: no footage is in the scope"
                + (
                    f" (recordings held: {held_count}); widen it"
                    if held_count
                    else "; add footage first"
                ),
                reason=errors.Reason.SCAN_SCOPE_EMPTY,
                metadata={"footage_held": str(held_count)},
            )
        return segments

    async def _up_to_date(
        self, held: Footage, *, named: bool
    ) -> tuple[Footage, tuple[GapReason, str] | None]:
        """Return a recording as it is examined today, and why it cannot be searched, if so.

        Args:
            held: The recording.
            named: Whether it was asked for by name: then it is an error that it has gone meanwhile.
        """
        try:
            return await self._footage.up_to_date(held), None
        except errors.InvalidArgumentError as error:  # it would not be taken in today
            return held, (GapReason.UNDECODABLE, error.message)
        except (errors.NotFoundError, errors.FailedPreconditionError) as error:
            if named:
                raise
            return held, (GapReason.FOOTAGE_GONE, error.message)

    async def _footage_of(self, scope: ScanScope) -> list[Footage]:
        if scope.footage_ids:
            return [await self._footage.get(name) for name in scope.footage_ids]
        offsets = [
            (await self._cameras.get(name))[0].details.clock_offset for name in scope.camera_ids
        ] or [camera.details.clock_offset for camera, _ in await self._cameras.find()]
        # The list is by the cameras' clocks: widened by the worst of them, then cut to the window
        # when the segments are made.
        early, late = min(offsets, default=timedelta()), max(offsets, default=timedelta())
        return await self._footage.find(
            camera_ids=scope.camera_ids,
            start=_moved(scope.start_time, early),
            end=_moved(scope.end_time, late),
        )


def pieces_of(probe: MediaInfo, length: timedelta) -> list[Stretch]:
    """Return the pieces that a recording is searched in: always the same, whatever is asked for.

    Each has pictures for `length`, but the last: one that has none for hours is no more work. Where
    pictures are rare all along, each has for as many times as long, so that it has as much work.
    One does not end where key pictures are rare: the next one would decode all of it again. None
    has pictures for more than `MAX_SEGMENT`, or `length`.
    """
    most = max(length, MAX_SEGMENT)
    length = min(most, length * max(1, int(SPARSE_RATE / probe.video.average_frame_rate)))
    holes = iter([*probe.holes, Stretch(probe.duration, probe.duration)])
    hole = next(holes)
    pieces: list[Stretch] = []
    start = at = timedelta()
    left, used = length, timedelta()
    while at < probe.duration:
        run = min(hole.start - at, left)
        at, left, used = at + run, left - run, used + run
        if not left:
            left = min(_until_key(probe, at), most - used)
        if at == hole.start and hole.end < probe.duration:
            at, hole = hole.end, next(holes)
        elif at == hole.start:
            at = probe.duration
        if not left or at == probe.duration:
            pieces.append(Stretch(start, at))
            start, left, used = at, length, timedelta()
    return pieces


def _until_key(probe: MediaInfo, at: timedelta) -> timedelta:
    """Return how long it is to the next key picture, where those are rare; else nothing."""
    number = bisect_right(probe.keyless, at, key=attrgetter("start")) - 1
    here = probe.keyless[number] if number >= 0 else Stretch(at, at)
    return here.end - at if here.start < at < here.end else timedelta()


def _cut_off(
    footage: Footage, true_start: datetime, until: datetime | None, now: datetime
) -> Segment:
    """Return what a file that was cut off should have had of what was asked for."""
    end = footage.probe.duration
    lost_until = end + footage.probe.missing
    if until is not None:
        lost_until = min(lost_until, max(end, until - true_start))
    lost = Segment(
        footage_id=footage.footage_id,
        camera_id=footage.header.camera_id,
        start=end,
        end=lost_until,
        true_start=true_start,
    )
    return lost.given_up(GapReason.UNDECODABLE, "the file ends before the length it states", now)


def _moved(instant: datetime | None, offset: timedelta) -> datetime | None:
    return instant + offset if instant else None


def _not_found(scan_id: str) -> errors.NotFoundError:
    return errors.NotFoundError(
        f"there is no scan {scan_id}; scans are kept for 31 days",
        reason=errors.Reason.SCAN_NOT_FOUND,
        metadata={"scan_id": scan_id},
    )
