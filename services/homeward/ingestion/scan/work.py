"""The scanner's loop: take a segment from the queue, search it, checkpoint it, take the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol

import structlog

from homeward.ingestion import scan_metrics as metrics
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.scan.counting import count_segment
from homeward.ingestion.scan.fold import fold, settle
from homeward.ingestion.scan.model import GapReason, Scan, ScanState, Segment
from homeward.ingestion.scan.ports import Work, WorkQueue
from homeward.ingestion.scan.progress import CancelledScan, Check, SegmentProgress
from homeward.ingestion.scan.recordings import SCAN_CANCELLED
from homeward.ingestion.scan.records import ScanRecords
from homeward.ingestion.scan.segment import SegmentScanner
from homeward.ingestion.scan.task import SegmentTask
from homeward.servicekit import errors, tracing
from homeward.servicekit.audit.acts import COMBINATION, Acts
from homeward.servicekit.background import in_background
from homeward.servicekit.clock import Clock

MAX_ATTEMPTS = 5
"""Attempts after which a segment is reported as not searched: scanners failed on it, or died."""

FAILED_TOO_OFTEN = f"searching it failed {MAX_ATTEMPTS} times; the scanner's log says why"

HEARTBEAT_SECONDS = 5.0
"""A third of the time after which the queue gives an unacknowledged segment to another scanner."""

RETRY_SECONDS = 1.0

log = structlog.get_logger()


class ScanWorker:
    """Searches the segments of the queue, one after another.

    The queue delivers a segment at least once, and searching it twice changes nothing: a segment's
    checkpoint is its own record, sightings have deterministic ids, and the segment is removed from
    the queue last.

    Args:
        queue: The segments to search.
        scans: What is kept of scans.
        footage: The recordings.
        scanner: Searches.
        clock: Tells the time.
        acts: Writes down what was searched.
        checks: Health checks of the services that a search may wait for without an error.
    """

    def __init__(
        self,
        *,
        queue: WorkQueue,
        scans: ScanRecords,
        footage: FootageLibrary,
        scanner: SegmentScanner,
        clock: Clock,
        acts: Acts,
        checks: Sequence[Check] = (),
    ) -> None:
        self._queue = queue
        self._scans = scans
        self._footage = footage
        self._scanner = scanner
        self._clock = clock
        self._acts = acts
        self._checks = checks

    async def run(self) -> None:
        """Take and search segments until cancelled; a segment in hand is then given back."""
        while True:
            try:
                work = await self._queue.take()
                if work is not None:
                    await self._handle(work)
            except errors.UnavailableError as error:
                log.warning("waiting", problem=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _handle(self, work: Work) -> None:
        ids: dict[str, str | int] = {"scan_id": work.scan_id, "segment": work.segment}
        with (
            tracing.span("segment", {**ids, "attempt": work.attempt}, parent=work.trace) as span,
            structlog.contextvars.bound_contextvars(**ids),
            metrics.SEGMENT_SECONDS.time(),
        ):
            if work.attempt > 1:
                metrics.SEGMENT_REDELIVERIES.inc()
            try:
                async with kept_in_hand(work):
                    finished = await self._finished(work)
                    if finished is not None:
                        await self._end(work, finished)
            except asyncio.CancelledError:
                with contextlib.suppress(errors.UnavailableError):  # redelivered after its wait
                    await self._hand_back(work)
                raise
            except errors.UnavailableError:
                await work.retry()
                raise
            except Exception:
                # A recording that breaks the scanner must not stop it: it is tried again, by
                # another scanner if there is one, and given up after MAX_ATTEMPTS.
                log.exception("segment failed", attempt=work.attempt)
                metrics.SEGMENT_FAILURES.inc()
                await work.retry()
                return
            if finished is not None:
                span.set_attributes(_attributes(finished))
            await work.done()

    async def _end(self, work: Work, finished: Segment) -> None:
        """Write down that a segment was searched, keep what came of it, and add it to its scan."""
        # Without the recording: beside the event of what was found in it, at the same moment, it
        # would tell for years where somebody was.
        await self._acts.record("SearchSegment", COMBINATION, [f"scan/{work.scan_id}"])
        await self._save(work, finished)
        await fold(self._scans, work.scan_id)
        count_segment(finished)
        log.info(
            "segment",
            state=finished.state.value,
            appearances=finished.counts.appearances,
            discarded=finished.counts.discarded,
            candidates=len(finished.sighting_ids),
        )

    async def _hand_back(self, work: Work) -> None:
        """Give a segment back to the queue at once, and record that this was no failure."""
        held = await self._scans.segment(work.scan_id, work.segment)
        if held is not None and not held.value.state.ended:
            handed_back = held.value.handed_back + 1
            await self._save(
                work, replace(held.value, state=ScanState.PENDING, handed_back=handed_back)
            )
        await work.retry(at_once=True)

    async def _finished(self, work: Work) -> Segment | None:
        """Search a segment and return it as it ended; None when there is nothing to do."""
        segment = await self._begun(work)
        if segment is None:
            return None
        scan = await self._scans.get(work.scan_id)
        if scan is None or scan.cancelled:
            await self._drop(work)
            return None
        now = self._clock.now()
        if work.attempt - segment.handed_back > MAX_ATTEMPTS:
            return segment.given_up(GapReason.GIVEN_UP, FAILED_TOO_OFTEN, now)
        try:
            return await self._search(work, scan, segment)
        except CancelledScan as cancelled:
            return cancelled.progress.given_up(
                GapReason.CANCELLED, SCAN_CANCELLED, self._clock.now()
            )
        except errors.DomainError as error:
            reason = _LASTING.get(error.reason)
            if reason is None:
                raise
            return segment.given_up(reason, error.message, self._clock.now())

    async def _begun(self, work: Work) -> Segment | None:
        """Mark a segment as running and return it; None if there is nothing to search.

        The segment is marked before its scan is read, and a cancellation marks the scan before it
        reads which segments run. So either this search or the cancellation notices the other.
        """
        held = await self._scans.recording(work.scan_id, work.recording)
        if held is None:
            return None
        recording = held.value
        stored = await self._scans.segment(work.scan_id, work.segment)
        if recording.has_ended(work.segment - recording.first_segment):
            if stored is not None:
                await fold(self._scans, work.scan_id)
                await self._scans.forget_segment(work.scan_id, work.segment)
            return None
        if stored is not None and stored.value.state.ended:
            await fold(self._scans, work.scan_id)
            return None
        planned = recording.segment(work.segment - recording.first_segment)
        held_segment = stored.value if stored is not None else planned
        segment = replace(held_segment, state=ScanState.RUNNING)
        await self._save(work, segment)
        return segment

    async def _drop(self, work: Work) -> None:
        """Drop a segment of a scan that was cancelled or forgotten, and its queued segments."""
        dropped = {work.segment, *await self._queue.drop(work.scan_id)}
        for held in await self._scans.segments(work.scan_id):
            if held.value.number in dropped:  # the scanner that had it gave it back, or died
                await self._scans.forget_segment(work.scan_id, held.value.number)
        await fold(self._scans, work.scan_id)
        await settle(self._scans, work.scan_id)

    async def _search(self, work: Work, scan: Scan, segment: Segment) -> Segment:
        segment = replace(segment, waiting=None)  # of the scanner that had it before
        progress = SegmentProgress(
            segment,
            load=partial(self._load, work),
            save=partial(self._save, work),
            clock=self._clock,
        )
        async with in_background(progress.watch(self._checks)):
            return await self._search_until_done(scan, segment, progress)

    async def _search_until_done(
        self, scan: Scan, segment: Segment, progress: SegmentProgress
    ) -> Segment:
        while True:
            try:
                held = await self._footage.get(segment.footage_id)
                # An earlier version may have planned the scan.
                footage = await self._footage.up_to_date(held)
                task = SegmentTask(
                    scan_id=scan.scan_id,
                    subject_ids=scan.scope.subject_ids,
                    footage=_as_set(footage, segment),
                    timeline=await self._footage.timeline(footage),
                    segment=segment,
                    include_rejected_before=(
                        scan.create_time if scan.scope.include_rejected else None
                    ),
                    requester=scan.requester,
                )
                url = await self._footage.url(footage)
                return await self._scanner.scan(task, url, progress.report)
            except errors.DomainError as error:
                if not _passes(error):
                    raise
                # Not the segment's fault: it is searched again from its start.
                log.warning("waiting", problem=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                await progress.start_over(segment, error)

    async def _load(self, work: Work) -> tuple[Scan | None, Segment | None]:
        scan = await self._scans.get(work.scan_id)
        held = await self._scans.segment(work.scan_id, work.segment)
        return scan, held.value if held else None

    async def _save(self, work: Work, segment: Segment) -> None:
        await self._scans.save_segment(work.scan_id, segment)


def _attributes(finished: Segment) -> dict[str, str | int | float]:
    """Return the attributes of a segment's span."""
    return {
        "state": finished.state.value,
        "footage_seconds": finished.duration.total_seconds(),
        "looked_at_seconds": finished.looked_at.total_seconds(),
        "pictures": finished.counts.frames,
        "faces": finished.counts.faces,
        "appearances": finished.counts.appearances,
        "discarded": finished.counts.discarded,
        "candidates": len(finished.sighting_ids),
    }


def _as_set(footage: Footage, segment: Segment) -> Footage:
    """Return a recording with its camera's pixel aspect ratio, if the file states none."""
    shown = footage.media.video.presentation
    if segment.pixel_aspect is None or shown.pixel_aspect != 1.0:
        return footage
    video = replace(
        footage.media.video, presentation=replace(shown, pixel_aspect=segment.pixel_aspect)
    )
    return replace(footage, media=replace(footage.media, video=video))


def _passes(error: errors.DomainError) -> bool:
    """Tell whether the same search may succeed later, unchanged."""
    # Matching's sweep makes lost templates of the gallery again.
    return (
        isinstance(error, (errors.UnavailableError, errors.ResourceExhaustedError))
        or error.reason is errors.Reason.GALLERY_INCOMPLETE
    )


_LASTING = {
    errors.Reason.FOOTAGE_NOT_FOUND: GapReason.FOOTAGE_GONE,
    errors.Reason.FOOTAGE_EXPIRED: GapReason.FOOTAGE_GONE,
    errors.Reason.FOOTAGE_UNREADABLE: GapReason.UNDECODABLE,
    errors.Reason.FOOTAGE_DAMAGED: GapReason.FOOTAGE_DAMAGED,
    errors.Reason.EMBEDDING_MODEL_MISMATCH: GapReason.GIVEN_UP,
    errors.Reason.POLICY_NOT_APPROVED: GapReason.GIVEN_UP,
    errors.Reason.POLICY_EXPIRED: GapReason.GIVEN_UP,
    errors.Reason.POLICY_MODEL_MISMATCH: GapReason.GIVEN_UP,
}
"""Errors that a retry does not mend, and the reason of the gap that each leaves."""


class InHand(Protocol):
    """A work item that was taken from a queue."""

    async def extend(self) -> None:
        """Tell the queue that the item is still being worked on."""


@asynccontextmanager
async def kept_in_hand(work: InHand) -> AsyncGenerator[None, None]:
    """Keep the queue from giving a taken work item to another worker."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            with contextlib.suppress(errors.UnavailableError):  # the next beat may get through
                await work.extend()

    async with in_background(beat()):
        yield
