"""Searching one segment: decode where something happens, track faces, embed, match, forget.

Pictures and faces exist only in the variables of one search. A face that matches nobody leaves a
count, and the time and place at which it was in view (`Presence`), so that a search for another
subject need not detect it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from homeward.ingestion.scan.choose import (
    glanced_at,
    pieces_of_stretches,
    reached_from,
    surveyed,
)
from homeward.ingestion.scan.compare import BATCHES, Comparer, Comparisons
from homeward.ingestion.scan.coverage import cover, require_sound, total
from homeward.ingestion.scan.faces import Frame
from homeward.ingestion.scan.follow import SegmentSearch, is_within
from homeward.ingestion.scan.gate import Profiles, Survey, course
from homeward.ingestion.scan.incomparable import IncomparablePeople
from homeward.ingestion.scan.model import Counts, GapReason, ScanState, Segment, Thoroughness
from homeward.ingestion.scan.ports import (
    FaceFinder,
    FaceImages,
    FrameSource,
    IncomparableTimes,
    Matcher,
    Piece,
    PresenceIndex,
    Recording,
    Undecodable,
)
from homeward.ingestion.scan.presence import Presence
from homeward.ingestion.scan.presence_index import presence_version
from homeward.ingestion.scan.revisit import Revisit, pieces_at
from homeward.ingestion.scan.stills import STILLS_AT_ONCE
from homeward.ingestion.scan.task import SegmentTask
from homeward.ingestion.scan_metrics import STAGE_SECONDS
from homeward.servicekit import tracing
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor

SCAN_VERSION = 6
"""Part of the presence index's version: raise it whenever a scan would select other pictures."""

CALLS_AT_ONCE = 1 + BATCHES * STILLS_AT_ONCE
"""Most calls to the executor of one segment's search at a time: one that follows people, and those
that make stills in each batch of comparisons."""

Report = Callable[[Segment], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ScannerParts:
    """The ports and adapters that a search of a segment uses."""

    source: FrameSource
    """Decodes recordings."""
    faces: FaceFinder
    """Finds and embeds faces."""
    images: FaceImages
    """Processes pixels, in a thread of `executor`."""
    matcher: Matcher
    """Compares templates with the gallery, and records sightings."""
    presence: PresenceIndex | None
    """Faces that earlier scans found; None to detect them in every scan."""
    incomparable: IncomparableTimes | None
    """Keeps the times of people who could not be compared; None to forget them."""
    executor: BoundedExecutor
    """Has one thread, and room for `CALLS_AT_ONCE` calls, for each segment that is searched at a
    time."""
    clock: Clock
    """Tells the time of checkpoints."""


class SegmentScanner:
    """Searches segments.

    Args:
        parts: What a search needs.
        sample_rate: Pictures searched per second of footage.
        gated: Decode only where something happens, and search only what has changed in a picture.
    """

    def __init__(self, parts: ScannerParts, *, sample_rate: float, gated: bool) -> None:
        self._parts = parts
        self._comparer = Comparer(
            faces=parts.faces, images=parts.images, matcher=parts.matcher, executor=parts.executor
        )
        self._sample_rate = sample_rate
        self._profiles = Profiles()
        self._gated = gated

    async def scan(self, task: SegmentTask, url: str, report: Report) -> Segment:
        """Search a segment.

        Args:
            task: What to search, and for whom.
            url: Where the recording's file is.
            report: Called with the progress of the segment after every few pictures. An error
                that it raises ends the search.

        Returns:
            The segment as searched.

        Raises:
            UnavailableError: A service or store that the search needs does not answer.
        """
        footage_id, stretch = task.footage.footage_id, task.segment.stretch
        # A search that broke off left counts, which are counted again; its sightings stand.
        begun = replace(
            task.segment, state=ScanState.RUNNING, position=stretch.start, counts=Counts()
        )
        video = task.footage.media.video
        async with self._parts.source.open(url, video, task.timeline) as recording:
            if self._parts.presence is None:
                done, _ = await self._search(task, recording, begun, report, "")
                return done
            version = presence_version(
                SCAN_VERSION,
                task.footage.media.version,
                await self._parts.faces.detector(),
                self._sample_rate,
                self._gated,
                video.presentation,
            )
            held = await self._parts.presence.find(footage_id, version, stretch)
            if held is not None:
                again = await self._revisit(task, recording, begun, report, held)
                if again is not None:
                    return again
            done, found = await self._search(task, recording, begun, report, version)
            # The cause that ended a decoder may pass, as a shortage of memory does: the next search
            # tries again.
            if all(gap.reason is not GapReason.DECODER_ENDED for gap in found.coverage.gaps):
                await self._parts.presence.keep(task.footage, found)
            return done

    async def _search(
        self,
        task: SegmentTask,
        recording: Recording,
        segment: Segment,
        report: Report,
        version: str,
    ) -> tuple[Segment, Presence]:
        """Search a segment without a presence index; return the segment and its new index."""
        found = await self._parts.executor.run(partial(self._surveyed, task, segment))
        with tracing.span("glance", {"pictures": len(found.glances)}):
            faces_at, shown_at = await glanced_at(
                recording,
                self._parts.faces,
                found.glances,
                task.timeline,
                rate=self._sample_rate,
                go_on=lambda: report(segment),
            )
            chosen = course(found, faces_at)
        stretches = reached_from(segment.stretch, chosen.stretches)
        pieces = pieces_of_stretches(stretches, chosen.thoroughness, self._sample_rate)
        begun = replace(segment, thoroughness=chosen.thoroughness)
        search = SegmentSearch(segment.stretch, self._parts.images)
        with tracing.span("follow", {"pieces": len(pieces)}):
            done = await self._follow(
                task,
                recording,
                pieces,
                search,
                begun=begun,
                report=report,
                thorough=not self._gated,
            )
        coverage = await self._parts.executor.run(
            partial(
                cover,
                task.timeline,
                segment.stretch,
                decoded=stretches,
                looked_at=search.looked_at,
                period=timedelta(seconds=1 / self._sample_rate),
                ended=search.ended,
            )
        )
        presence = Presence(version, segment.stretch, tuple(search.people), coverage)
        frames = sum(is_within(segment.stretch, at) for at in {*shown_at, *search.looked_at})
        return self._finished(task, done, presence, frames=frames), presence

    def _surveyed(self, task: SegmentTask, segment: Segment) -> Survey:
        profile = self._profiles.of(task.timeline)
        return surveyed(task, segment, profile, gated=self._gated)

    async def _follow(
        self,
        task: SegmentTask,
        recording: Recording,
        pieces: Sequence[Piece],
        search: SegmentSearch,
        *,
        begun: Segment,
        report: Report,
        thorough: bool,
    ) -> Segment:
        """Search the pictures of pieces for faces, and compare the tracks."""
        done = begun
        async with (
            Comparisons(self._comparer, task) as comparisons,
            recording.frames(pieces, rate=self._sample_rate) as frames,
            aclosing(self._parts.faces.find(frames, thorough=thorough)) as found,
        ):
            async for pictures in found:
                with STAGE_SECONDS.labels("select").time():
                    ended = await self._parts.executor.run(search.take, pictures)
                await comparisons.take(ended)
                reached = self._reached(done, pictures[-1][0])
                done = _with(reached, comparisons, search.frames, search.faces)
                await report(done)
                if search.over:
                    break
            await comparisons.take(search.finish())
            await self._finish(task, comparisons)
        return _with(done, comparisons, search.frames, search.faces)

    async def _finish(self, task: SegmentTask, comparisons: Comparisons) -> None:
        """Wait until all tracks are compared, and keep the times of those that could not be."""
        await comparisons.finish()
        if self._parts.incomparable is not None and comparisons.counts.incomparable:
            people = tuple(sorted(comparisons.incomparable, key=lambda one: (one.start, one.end)))
            found = IncomparablePeople(task.scan_id, task.segment.stretch, people)
            await self._parts.incomparable.keep(task.footage, found)

    def _reached(self, segment: Segment, item: Frame | Undecodable) -> Segment:
        offset = item.end if isinstance(item, Undecodable) else item.offset
        return replace(
            segment,
            position=min(max(offset, segment.start), segment.end),
            update_time=self._parts.clock.now(),
        )

    def _finished(
        self, task: SegmentTask, segment: Segment, presence: Presence, *, frames: int
    ) -> Segment:
        """Return the searched segment, with the result for the part that was asked for."""
        asked_for = segment.asked_for
        coverage = presence.coverage.within(asked_for)
        require_sound(coverage, task.timeline, asked_for)  # it may be of an earlier search
        in_view = (one for one in presence.people if task.concerns(one.start, one.end))
        return replace(
            segment,
            state=ScanState.SUCCEEDED,
            position=segment.end,
            looked_at=total(coverage.looked_at),
            passed_over=total(coverage.passed_over),
            gaps=tuple(
                segment.gap_over(gap.stretch, gap.reason, gap.detail) for gap in coverage.gaps
            ),
            counts=replace(segment.counts, frames=frames, faces=sum(one.sights for one in in_view)),
            update_time=self._parts.clock.now(),
        )

    async def _revisit(
        self,
        task: SegmentTask,
        recording: Recording,
        segment: Segment,
        report: Report,
        presence: Presence,
    ) -> Segment | None:
        """Search a segment by its presence index; None when the index does not fit."""
        people = [one for one in presence.people if task.concerns(one.start, one.end)]
        at = sorted({shot.offset for person in people for shot in person.shots})
        pieces = await self._parts.executor.run(pieces_at, at, self._profiles.of(task.timeline))
        begun = replace(segment, thoroughness=Thoroughness.PRESENCE)
        visit = Revisit(segment.stretch, people, self._parts.images)
        with tracing.span("revisit", {"people": len(people)}):
            async with (
                Comparisons(self._comparer, replace(task, revisits=True)) as comparisons,
                recording.frames(pieces, rate=self._sample_rate) as frames,
            ):
                await comparisons.take(visit.without_shots())
                async for item in frames:
                    if isinstance(item, Undecodable):
                        return None
                    await comparisons.take(await self._parts.executor.run(visit.take, item))
                    begun = _with(self._reached(begun, item), comparisons, visit.frames)
                    await report(begun)
                if not visit.complete:
                    return None
                await self._finish(task, comparisons)
        done = _with(begun, comparisons, visit.frames)
        return self._finished(task, done, presence, frames=visit.frames)


def _with(segment: Segment, comparisons: Comparisons, frames: int, faces: int = 0) -> Segment:
    """Return a segment with the counts and comparisons so far."""
    return replace(
        segment,
        counts=comparisons.counts + Counts(frames=frames, faces=faces),
        sighting_ids=comparisons.sighting_ids,
    )
