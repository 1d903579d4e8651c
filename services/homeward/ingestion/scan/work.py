"""What a scanner does all day: take a segment, search it, checkpoint it, take the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import structlog

from homeward.ingestion import scan_metrics as metrics
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.scan.compare import Task
from homeward.ingestion.scan.model import GapReason, Scan, Segment
from homeward.ingestion.scan.ports import Work, WorkQueue
from homeward.ingestion.scan.progress import CancelledScan, Check, SegmentProgress
from homeward.ingestion.scan.scans import scan_key, segment_key
from homeward.ingestion.scan.segment import SegmentScanner
from homeward.servicekit import errors, records, tracing
from homeward.servicekit.background import in_background
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import KeyValueStore

MAX_ATTEMPTS = 5
"""A segment on which scanners failed, or died, this often is reported as not searched."""

FAILED_TOO_OFTEN = f"searching it failed {MAX_ATTEMPTS} times; see the log"

HEARTBEAT_SECONDS = 5.0
"""A third of the time after which the queue gives an unacknowledged segment to another scanner."""

RETRY_SECONDS = 1.0

log = structlog.get_logger()


class ScanWorker:
    """Works the queue.

    Delivery is at least once, the effect exactly once: a segment's checkpoint is its own record,
    sightings have deterministic ids, and the queue is told last.

    Args:
        queue: The segments to search.
        store: Of scans and segments.
        footage: The recordings.
        scanner: Searches.
        clock: Tells the time.
        checks: Of what a search calls and may wait for without a word.
    """

    def __init__(
        self,
        *,
        queue: WorkQueue,
        store: KeyValueStore,
        footage: FootageLibrary,
        scanner: SegmentScanner,
        clock: Clock,
        checks: Sequence[Check] = (),
    ) -> None:
        self._queue = queue
        self._store = store
        self._footage = footage
        self._scanner = scanner
        self._clock = clock
        self._checks = checks

    async def run(self) -> None:
        """Take and search segments until cancelled; one in hand is then given back."""
        while True:
            try:
                work = await self._queue.take()
                if work is not None:
                    await self._handle(work)
            except errors.UnavailableError as error:
                log.warning("waiting", problem=error.message)
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
                async with _heartbeat(work):
                    finished = await self._finished(work)
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
                await self._save(work, finished)
                metrics.count_segment(finished)
                span.set_attributes(
                    {
                        "state": finished.state.value,
                        "footage_seconds": finished.duration.total_seconds(),
                        "looked_at_seconds": finished.looked_at.total_seconds(),
                        "pictures": finished.counts.frames,
                        "faces": finished.counts.faces,
                        "appearances": finished.counts.appearances,
                        "discarded": finished.counts.discarded,
                        "candidates": len(finished.candidates),
                    }
                )
                log.info(
                    "segment",
                    state=finished.state.value,
                    appearances=finished.counts.appearances,
                    discarded=finished.counts.discarded,
                    candidates=len(finished.candidates),
                )
            await work.done()

    async def _hand_back(self, work: Work) -> None:
        """Give a segment to another scanner at once, and note that it did not fail."""
        _, segment = await self._load(work)
        if segment is not None and not segment.state.ended:
            await self._save(work, replace(segment, handed_back=segment.handed_back + 1))
        await work.retry(at_once=True)

    async def _finished(self, work: Work) -> Segment | None:
        """Search a segment and return it as it ended; None when there is nothing to do."""
        scan, segment = await self._load(work)
        if scan is None or segment is None or segment.state.ended:
            return None
        now = self._clock.now()
        if scan.cancelled:
            return segment.given_up(GapReason.CANCELLED, "the scan was cancelled", now)
        if work.attempt - segment.handed_back > MAX_ATTEMPTS:
            return segment.given_up(GapReason.GIVEN_UP, FAILED_TOO_OFTEN, now)
        try:
            return await self._search(work, scan, segment)
        except CancelledScan as cancelled:
            return cancelled.progress.given_up(
                GapReason.CANCELLED, "the scan was cancelled", self._clock.now()
            )
        except errors.DomainError as error:
            reason = _LASTING.get(error.reason)
            if reason is None:
                raise
            return segment.given_up(reason, error.message, self._clock.now())

    async def _search(self, work: Work, scan: Scan, segment: Segment) -> Segment:
        segment = replace(segment, waiting=None)  # of who had it before
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
                task = Task(
                    scan_id=scan.scan_id,
                    subject_ids=scan.scope.subject_ids,
                    footage=_as_set(footage, segment),
                    timeline=await self._footage.timeline(footage),
                    segment=segment,
                    include_rejected_before=(
                        scan.create_time if scan.scope.include_rejected else None
                    ),
                )
                url = await self._footage.url(footage)
                return await self._scanner.scan(task, url, progress.report)
            except errors.DomainError as error:
                if not _passes(error):
                    raise
                # Not the segment's fault: searched again from its start when all is back.
                log.warning("waiting", problem=error.message)
                await asyncio.sleep(RETRY_SECONDS)
                await progress.start_over(segment, error)

    async def _load(self, work: Work) -> tuple[Scan | None, Segment | None]:
        scan = await self._store.get(scan_key(work.scan_id))
        segment = await self._store.get(segment_key(work.scan_id, work.segment))
        return (
            records.decode(scan.value, Scan) if scan else None,
            records.decode(segment.value, Segment) if segment else None,
        )

    async def _save(self, work: Work, segment: Segment) -> None:
        await self._store.put(segment_key(work.scan_id, work.segment), records.encode(segment))


def _as_set(footage: Footage, segment: Segment) -> Footage:
    """Return a recording with the shape of pixels that its camera is set to, if it states none."""
    shown = footage.probe.video.presentation
    if segment.pixel_aspect is None or shown.pixel_aspect != 1.0:
        return footage
    video = replace(
        footage.probe.video, presentation=replace(shown, pixel_aspect=segment.pixel_aspect)
    )
    return replace(footage, probe=replace(footage.probe, video=video))


def _passes(error: errors.DomainError) -> bool:
    """Tell whether the same search may work later, as it is."""
    # A gallery that has lost templates gets them again by matching's sweep.
    return (
        isinstance(error, (errors.UnavailableError, errors.ResourceExhaustedError))
        or error.reason is errors.Reason.GALLERY_INCOMPLETE
    )


_LASTING = {
    errors.Reason.FOOTAGE_NOT_FOUND: GapReason.FOOTAGE_GONE,
    errors.Reason.FOOTAGE_EXPIRED: GapReason.FOOTAGE_GONE,
    errors.Reason.FOOTAGE_UNREADABLE: GapReason.UNDECODABLE,
    errors.Reason.EMBEDDING_MODEL_MISMATCH: GapReason.GIVEN_UP,
    errors.Reason.POLICY_NOT_APPROVED: GapReason.GIVEN_UP,
    errors.Reason.POLICY_EXPIRED: GapReason.GIVEN_UP,
    errors.Reason.POLICY_MODEL_MISMATCH: GapReason.GIVEN_UP,
}
"""Errors that no retry mends, and what they make of the segment."""


@asynccontextmanager
async def _heartbeat(work: Work) -> AsyncGenerator[None, None]:
    """Keep the queue from giving the segment to somebody else."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            with contextlib.suppress(errors.UnavailableError):  # the next beat may get through
                await work.extend()

    async with in_background(beat()):
        yield
