"""Searching one segment: decode, detect, follow, select, embed, match, forget.

Everything that is seen lives in the variables of one search. A face that matches nobody leaves
nothing behind but a count.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.model import (
    Counts,
    Face,
    Footage,
    Frame,
    Gap,
    GapReason,
    Match,
    MatchPolicy,
    ScanState,
    Segment,
)
from homeward.ingestion.ports import (
    FaceFinder,
    FaceImages,
    FrameSource,
    Matcher,
    Sighted,
    Undecodable,
)
from homeward.ingestion.shots import MIN_FACE_WIDTH_PX, Appearance, Shot, Shots, appearances
from homeward.ingestion.tracking import Track, Tracker, is_cut
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor

TAIL = timedelta(seconds=15)
"""How far a segment follows people who are in view at its end, so that they are one appearance."""

BEGIN_SCORE = 0.6
"""Least detector score of a face that begins an appearance; doubtful ones only continue one, and
are blurred in stills."""

BATCH = 16
"""Appearances embedded and matched together."""

Report = Callable[[Segment], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Task:
    """A segment to search, and for whom."""

    scan_id: str
    subject_ids: tuple[str, ...]
    """Empty: everybody who is looked for."""
    footage: Footage
    segment: Segment


class SegmentScanner:
    """Searches segments.

    Args:
        source: Decodes recordings.
        faces: Finds and embeds faces.
        images: Does the work on pixels, in a thread of `executor`.
        matcher: Compares, and records sightings.
        executor: Has one worker, so that pictures are looked at in their order.
        clock: Tells the time of checkpoints.
        sample_rate: Pictures looked at per second of footage.
    """

    def __init__(
        self,
        *,
        source: FrameSource,
        faces: FaceFinder,
        images: FaceImages,
        matcher: Matcher,
        executor: BoundedExecutor,
        clock: Clock,
        sample_rate: float,
    ) -> None:
        self._source = source
        self._faces = faces
        self._images = images
        self._matcher = matcher
        self._executor = executor
        self._clock = clock
        self._sample_rate = sample_rate

    async def scan(self, task: Task, url: str, report: Report) -> Segment:
        """Search a segment.

        Args:
            task: What to search, and for whom.
            url: Where the recording's file is.
            report: Takes the segment as far as it has come, after each picture. What it raises
                ends the search.

        Returns:
            The segment as searched.

        Raises:
            UnavailableError: Something that the search needs does not answer.
        """
        segment, footage = task.segment, task.footage
        end = min(segment.end + TAIL, footage.probe.duration)
        search = _Search(segment, self._images)
        pending: list[Track[Shots]] = []
        # A search that broke off left counts and gaps, which come again; what it recorded stands.
        done = replace(
            segment, state=ScanState.RUNNING, position=segment.start, counts=Counts(), gaps=()
        )
        async with (
            self._source.frames(
                url, start=segment.start, end=end, rate=self._sample_rate
            ) as frames,
            aclosing(self._faces.find(frames)) as found,
        ):
            async for item, faces in found:
                if isinstance(item, Undecodable):
                    done = _with_gap(done, item)
                    continue
                pending += await self._executor.run(search.look, item, faces)
                if len(pending) >= BATCH:
                    done, pending = await self._compare(task, done, pending), []
                done = replace(
                    done,
                    position=min(max(item.offset, segment.start), segment.end),
                    counts=replace(done.counts, frames=search.frames, faces=search.faces),
                    update_time=self._clock.now(),
                )
                await report(done)
                if item.offset >= segment.end and not search.tracker.open:
                    break
        done = await self._compare(task, done, [*pending, *search.tracker.finish()])
        return replace(
            done,
            state=ScanState.SUCCEEDED,
            position=segment.end,
            counts=replace(done.counts, frames=search.frames, faces=search.faces),
            update_time=self._clock.now(),
        )

    async def _compare(
        self, task: Task, segment: Segment, tracks: Sequence[Track[Shots]]
    ) -> Segment:
        """Embed and match the appearances of ended tracks; record those that match somebody."""
        comparable = [track for track in tracks if track.kept.best]
        counts = segment.counts + Counts(incomparable=len(tracks) - len(comparable))
        found = await self._appearances(comparable)
        if not found:
            return replace(segment, counts=counts)
        probes = [one.fused for one in found] + [one.templates[0] for one in found]
        matches, policy = await self._matcher.match(probes, task.subject_ids)
        fused, single = matches[: len(found)], matches[len(found) :]
        sighted = [
            self._sighted(task, appearance, match, policy, best)
            for appearance, ranked, best in zip(found, fused, single, strict=True)
            for match in ranked
        ]
        recorded = await self._matcher.record(sighted) if sighted else []
        counts += Counts(
            appearances=len(found),
            discarded=sum(1 for ranked in fused if not ranked),
            dropped=recorded.count(None),
        )
        candidates = {one.sighting_id: one for one in segment.candidates}
        candidates |= {one.sighting_id: one for one in recorded if one is not None}
        return replace(segment, counts=counts, candidates=tuple(candidates.values()))

    async def _appearances(self, tracks: Sequence[Track[Shots]]) -> list[Appearance]:
        crops = [shot.aligned for track in tracks for shot in track.kept.best]
        templates = iter(await self._faces.embed(crops) if crops else [])
        return [
            appearance
            for track in tracks
            for appearance in appearances(
                track.start,
                track.end,
                track.kept.best,
                [next(templates) for _ in track.kept.best],
            )
        ]

    def _sighted(
        self,
        task: Task,
        appearance: Appearance,
        match: Match,
        policy: MatchPolicy,
        single: Sequence[Match],
    ) -> Sighted:
        shot = appearance.shots[0]
        rate = task.footage.probe.video.average_frame_rate
        scores = [one.score for one in single if one.subject_id == match.subject_id]
        return Sighted(
            scan_id=task.scan_id,
            footage=task.footage,
            match=match,
            best_shot_score=scores[0] if scores else None,
            policy=policy,
            true_start=task.segment.true_start,
            start=appearance.start,
            # Somebody is in view until the picture after the last one that shows them.
            end=appearance.end + timedelta(seconds=1 / rate),
            best_shot=shot.offset,
            face_height_px=shot.box.height,
            template=appearance.fused,
            still=shot.still,
        )


class _Search:
    """What is known of the pictures so far: the tracks under way, and counts."""

    def __init__(self, segment: Segment, images: FaceImages) -> None:
        self._segment = segment
        self._images = images
        self.tracker: Tracker[Shots] = Tracker()
        self._thumbnail: NDArray[np.float32] | None = None
        self.frames = 0
        self.faces = 0

    def look(self, frame: Frame, faces: Sequence[Face]) -> list[Track[Shots]]:
        """Take the next picture in; return the tracks that have ended."""
        before, self._thumbnail = self._thumbnail, self._images.thumbnail(frame)
        cut = before is not None and is_cut(before, self._thumbnail)
        ended = self.tracker.finish() if cut else self.tracker.ended(frame.offset)
        within = frame.offset < self._segment.end
        self.frames += within
        for number, (face, track) in enumerate(
            zip(faces, self.tracker.assign(frame.offset, faces), strict=True)
        ):
            sure = face.detector_score >= BEGIN_SCORE
            self.faces += within and sure
            if track is None and sure and within:
                track = self.tracker.begin(frame.offset, face.box, Shots())  # noqa: PLW2901 - a new one
            if track is not None and face.box.width >= MIN_FACE_WIDTH_PX:
                others = [*faces[:number], *faces[number + 1 :]]
                self._consider(track.kept, frame, face, others)
        return ended

    def _consider(self, shots: Shots, frame: Frame, face: Face, others: Sequence[Face]) -> None:
        aligned = self._images.align(frame, face)
        quality = self._images.quality(aligned, face)
        if shots.wants(frame.offset, quality):
            shots.add(
                Shot(
                    offset=frame.offset,
                    quality=quality,
                    box=face.box,
                    aligned=aligned,
                    still=self._images.still(frame, face, others),
                )
            )


def _with_gap(segment: Segment, stretch: Undecodable) -> Segment:
    start, end = max(stretch.start, segment.start), min(stretch.end, segment.end)
    if start >= end:
        return segment
    gap: Gap = segment.gap_between(
        start, end, GapReason.UNDECODABLE, "its pictures are damaged and do not decode"
    )
    return replace(segment, gaps=(*segment.gaps, gap))
