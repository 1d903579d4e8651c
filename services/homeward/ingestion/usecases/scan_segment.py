"""Searching one segment: look where something happens, follow faces, embed, match, forget.

Everything that is seen lives in the variables of one search. A face that matches nobody leaves
nothing behind but a count, and when and where it was in view (`Presence`), so that a search for
somebody else need not find it again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.gate import all_of, course, groups_of, survey
from homeward.ingestion.model import (
    Box,
    Counts,
    Face,
    Frame,
    GapReason,
    PacketGroup,
    Presence,
    PresentPerson,
    PresentShot,
    ScanState,
    Segment,
    Stretch,
    Thoroughness,
)
from homeward.ingestion.ports import (
    FaceFinder,
    FaceImages,
    FrameSource,
    Looked,
    Matcher,
    Piece,
    PresenceIndex,
    Recording,
    Undecodable,
)
from homeward.ingestion.scan_metrics import STAGE_SECONDS
from homeward.ingestion.shots import MIN_FACE_WIDTH_PX, Shot, Shots
from homeward.ingestion.tracking import Track, Tracker, is_cut
from homeward.ingestion.usecases.compare import Comparer, Comparisons, Task
from homeward.ingestion.usecases.presence import presence_version
from homeward.servicekit import tracing
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor

TAIL = timedelta(seconds=15)
"""How far a segment follows people who are in view at its end, so that they are one appearance."""

BEGIN_SCORE = 0.6
"""Least detector score of a face that begins an appearance; doubtful ones only continue one, and
are blurred in stills."""

PIECE = timedelta(seconds=2)
"""Short groups of pictures are decoded together up to this length."""

INSTANT = timedelta(microseconds=1)

SCAN_VERSION = 1
"""Part of the presence index's version: raise it whenever a scan would select other pictures."""

Report = Callable[[Segment], Awaitable[None]]


class SegmentScanner:
    """Searches segments.

    Args:
        source: Decodes recordings.
        faces: Finds and embeds faces.
        images: Does the work on pixels, in a thread of `executor`.
        matcher: Compares, and records sightings.
        presence: Where earlier scans found faces; None to find them anew each time.
        executor: Has a worker for each segment that is searched at a time.
        clock: Tells the time of checkpoints.
        sample_rate: Pictures looked at per second of footage.
        gated: Decode only where something happens, and search only what has changed in a picture.
    """

    def __init__(
        self,
        *,
        source: FrameSource,
        faces: FaceFinder,
        images: FaceImages,
        matcher: Matcher,
        presence: PresenceIndex | None,
        executor: BoundedExecutor,
        clock: Clock,
        sample_rate: float,
        gated: bool,
    ) -> None:
        self._source = source
        self._faces = faces
        self._images = images
        self._comparer = Comparer(faces=faces, images=images, matcher=matcher, executor=executor)
        self._presence = presence
        self._executor = executor
        self._clock = clock
        self._sample_rate = sample_rate
        self._gated = gated

    async def scan(self, task: Task, url: str, report: Report) -> Segment:
        """Search a segment.

        Args:
            task: What to search, and for whom.
            url: Where the recording's file is.
            report: Takes the segment as far as it has come, after each few pictures. What it
                raises ends the search.

        Returns:
            The segment as searched.

        Raises:
            UnavailableError: Something that the search needs does not answer.
        """
        footage_id, stretch = task.footage.footage_id, task.segment.stretch
        # A search that broke off left counts and gaps, which come again; what it recorded stands.
        begun = replace(
            task.segment,
            state=ScanState.RUNNING,
            position=stretch.start,
            counts=Counts(),
            gaps=(),
            decoded=timedelta(),
        )
        async with self._source.open(url, task.footage.probe.video) as recording:
            if self._presence is None:
                done, _ = await self._search(task, recording, begun, report, "")
                return done
            version = presence_version(
                SCAN_VERSION, await self._faces.detector(), self._sample_rate, self._gated
            )
            held = await self._presence.find(footage_id, version, stretch)
            if held is not None:
                again = await self._revisit(task, recording, begun, report, held)
                if again is not None:
                    return again
            done, found = await self._search(task, recording, begun, report, version)
            await self._presence.keep(footage_id, found)
            return done

    async def _search(
        self, task: Task, recording: Recording, segment: Segment, report: Report, version: str
    ) -> tuple[Segment, Presence]:
        """Search a segment of which nothing is known; return it, and what is known now."""
        piece = Stretch(segment.start, min(segment.end + TAIL, task.footage.probe.duration))
        if self._gated:
            surveyed = await self._executor.run(survey, task.packets, piece, segment.end)
        else:
            surveyed = all_of(groups_of(task.packets, piece), Thoroughness.SWITCHED_OFF)
        with tracing.span("look", {"pictures": len(surveyed.looks)}):
            way = course(surveyed, await self._look(recording, surveyed.looks))
        stretches = _reached_from(segment.stretch, way.stretches)
        pieces = _pieces(stretches, way.thoroughness, self._sample_rate)
        begun = replace(
            segment, thoroughness=way.thoroughness, decoded=_within(stretches, segment.stretch)
        )
        looks = sum(1 for at in surveyed.looks if at < segment.end)
        search = _Search(segment.stretch, self._images, frames=looks)
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
        presence = Presence(
            version=version,
            stretch=segment.stretch,
            people=tuple(search.people),
            faces=search.faces,
            incomparable=done.counts.incomparable,
            gaps=tuple(
                Stretch(gap.start_time - segment.true_start, gap.end_time - segment.true_start)
                for gap in done.gaps
            ),
        )
        return self._finished(done), presence

    async def _follow(
        self,
        task: Task,
        recording: Recording,
        pieces: Sequence[Piece],
        seeker: _Search | _Visit,
        *,
        begun: Segment,
        report: Report,
        thorough: bool = False,
        around: Mapping[timedelta, Sequence[Box]] | None = None,
    ) -> Segment:
        """Show the pictures of pieces to a seeker, and have whoever it followed compared."""
        done = begun
        async with (
            Comparisons(self._comparer, task) as comparisons,
            recording.frames(pieces, rate=self._sample_rate) as frames,
            aclosing(self._faces.find(frames, thorough=thorough, around=around)) as found,
        ):
            async for looked in found:
                for item, _ in looked:
                    if isinstance(item, Undecodable):
                        done = _with_gap(done, item)
                with STAGE_SECONDS.labels("select").time():
                    ended = await self._executor.run(seeker.look, looked)
                await comparisons.take(ended)
                done = _with(self._reached(done, looked), comparisons, seeker)
                await report(done)
                if seeker.over:
                    break
            await comparisons.take(seeker.finish())
            await comparisons.finish()
        return _with(done, comparisons, seeker)

    def _reached(self, segment: Segment, looked: Sequence[Looked]) -> Segment:
        item = looked[-1][0]
        offset = item.end if isinstance(item, Undecodable) else item.offset
        return replace(
            segment,
            position=min(max(offset, segment.start), segment.end),
            update_time=self._clock.now(),
        )

    def _finished(self, segment: Segment) -> Segment:
        return replace(
            segment,
            state=ScanState.SUCCEEDED,
            position=segment.end,
            update_time=self._clock.now(),
        )

    async def _look(
        self, recording: Recording, looks: Sequence[timedelta]
    ) -> Collection[timedelta]:
        """Return which of the key pictures show a face, or do not decode.

        A face that looks just as at the look before, as on a poster, has nothing more to tell.
        """
        if not looks:
            return ()
        faces_at: set[timedelta] = set()
        before: set[Box] = set()
        left = iter(looks)
        pieces = [Piece(Stretch(at, at + INSTANT), (at,)) for at in looks]
        async with (
            recording.frames(pieces, rate=self._sample_rate) as frames,
            aclosing(self._faces.find(frames, thorough=False)) as found,
        ):
            async for looked in found:
                for item, faces in looked:  # one for each look
                    at = next(left)
                    seen = {face.box for face in faces if face.detector_score >= BEGIN_SCORE}
                    if isinstance(item, Undecodable) or seen - before:
                        faces_at.add(at)
                    before = seen
        return faces_at

    async def _revisit(
        self,
        task: Task,
        recording: Recording,
        segment: Segment,
        report: Report,
        presence: Presence,
    ) -> Segment | None:
        """Search a segment of which it is known who is in view; None when that does not fit."""
        people = [one for one in presence.people if _begins_in(one, segment.stretch)]
        around: dict[timedelta, list[Box]] = {}
        for shot in (shot for person in people for shot in person.shots):
            around.setdefault(shot.offset, []).append(shot.box)
        pieces = _pieces_at(sorted(around), task.packets)
        begun = replace(
            segment,
            thoroughness=Thoroughness.PRESENCE,
            decoded=_within([piece.stretch for piece in pieces], segment.stretch),
        )
        for gap in presence.gaps:
            begun = _with_gap(begun, Undecodable(gap.start, gap.end))
        visit = _Visit(people, self._images, faces=presence.faces)
        try:
            with tracing.span("revisit", {"people": len(people)}):
                done = await self._follow(
                    task, recording, pieces, visit, begun=begun, report=report, around=around
                )
        except _Missed:
            return None
        counts = replace(done.counts, incomparable=presence.incomparable)
        return self._finished(replace(done, counts=counts))


def _with(segment: Segment, comparisons: Comparisons, seeker: _Search | _Visit) -> Segment:
    """Return a segment with what was seen and compared so far."""
    return replace(
        segment,
        counts=comparisons.counts + Counts(frames=seeker.frames, faces=seeker.faces),
        candidates=comparisons.candidates,
    )


class _Search:
    """What is known of the pictures so far: the tracks under way, and counts."""

    def __init__(self, stretch: Stretch, images: FaceImages, *, frames: int) -> None:
        self._stretch = stretch
        self._images = images
        self._tracker: Tracker[Shots] = Tracker()
        self._thumbnail: NDArray[np.float32] | None = None
        self.frames = frames
        self.faces = 0
        self.people: list[PresentPerson] = []
        """Those whose tracks have ended, as far as they can be compared."""
        self.over = False
        """Whether the stretch is behind, and nobody is followed beyond it."""

    def look(self, looked: Sequence[Looked]) -> list[Track[Shots]]:
        """Take the next pictures in; return the tracks that have ended."""
        ended: list[Track[Shots]] = []
        for item, faces in looked:
            if isinstance(item, Frame) and not self.over:
                ended += self._look(item, faces)
                self.over = item.offset >= self._stretch.end and not self._tracker.open
        return self._kept(ended)

    def finish(self) -> list[Track[Shots]]:
        """Return the tracks that are still open."""
        return self._kept(self._tracker.finish())

    def _kept(self, ended: list[Track[Shots]]) -> list[Track[Shots]]:
        self.people += [_present(track) for track in ended if track.kept.best]
        return ended

    def _look(self, frame: Frame, faces: Sequence[Face]) -> list[Track[Shots]]:
        before, self._thumbnail = self._thumbnail, self._images.thumbnail(frame)
        cut = before is not None and is_cut(before, self._thumbnail)
        ended = self._tracker.finish() if cut else self._tracker.ended(frame.offset)
        within = frame.offset < self._stretch.end
        self.frames += within
        for number, (face, track) in enumerate(
            zip(faces, self._tracker.assign(frame.offset, faces), strict=True)
        ):
            sure = face.detector_score >= BEGIN_SCORE
            self.faces += within and sure
            if track is None and sure and within:
                track = self._tracker.begin(frame.offset, face.box, Shots())  # noqa: PLW2901 - a new one
            if track is not None and face.box.width >= MIN_FACE_WIDTH_PX:
                others = [other.box for other in (*faces[:number], *faces[number + 1 :])]
                _consider(self._images, track.kept, frame, face, others)
        return ended


class _Missed(Exception):  # noqa: N818 - not an error: the index does not fit, all is searched
    """Somebody who was found before is not where the presence index has them."""


class _Visit:
    """What is known of people who were found before, picture by picture."""

    over = False
    """Each of its pictures is worth looking at."""

    def __init__(self, people: Sequence[PresentPerson], images: FaceImages, *, faces: int) -> None:
        self._images = images
        self._waiting = [(person, Shots()) for person in people]
        self.frames = 0
        self.faces = faces

    def look(self, looked: Sequence[Looked]) -> list[Track[Shots]]:
        """Take the next pictures in; return those who are complete.

        Raises:
            _Missed: A picture, or somebody in it, was not found again.
        """
        complete: list[Track[Shots]] = []
        for item, faces in looked:
            if isinstance(item, Undecodable):
                raise _Missed
            self.frames += 1
            complete += self._look(item, faces)
        return complete

    def finish(self) -> list[Track[Shots]]:
        """Return nobody: each is complete with their last picture."""
        return []

    def _look(self, frame: Frame, faces: Sequence[Face]) -> list[Track[Shots]]:
        for person, shots in self._waiting:
            for shot in person.shots:
                face = nearest(shot.box, faces) if shot.offset == frame.offset else None
                if face is not None:
                    _consider(self._images, shots, frame, face, shot.others)
        complete: list[Track[Shots]] = []
        held, self._waiting = self._waiting, []
        for person, shots in held:
            last = person.shots[-1]
            if last.offset > frame.offset:
                self._waiting.append((person, shots))
                continue
            if not shots.best:
                raise _Missed
            complete.append(Track(person.start, person.end, last.box, shots))
        return complete


def nearest(box: Box, faces: Iterable[Face]) -> Face | None:
    """Return the face whose middle is nearest to a box's, if it is within half of its width."""
    x, y = box.centre

    def distance(face: Face) -> float:
        return math.hypot(face.box.centre[0] - x, face.box.centre[1] - y)

    found = min(faces, key=distance, default=None)
    return found if found is not None and distance(found) <= box.width / 2 else None


def _consider(
    images: FaceImages, shots: Shots, frame: Frame, face: Face, others: Sequence[Box]
) -> None:
    """Keep a picture of somebody, if it is a better one."""
    if not shots.wants(frame.offset, images.quality(None, face)):
        return  # not even if it were quite sharp
    aligned = images.align(frame, face)
    quality = images.quality(aligned, face)
    if shots.wants(frame.offset, quality):
        shots.add(
            Shot(
                offset=frame.offset,
                quality=quality,
                box=face.box,
                aligned=aligned,
                portrait=images.portrait(frame, face, others),
                others=tuple(others),
            )
        )


def _present(track: Track[Shots]) -> PresentPerson:
    shots = sorted(track.kept.best, key=lambda shot: shot.offset)
    return PresentPerson(
        track.start,
        track.end,
        tuple(PresentShot(shot.offset, shot.box, shot.others) for shot in shots),
    )


def _begins_in(person: PresentPerson, stretch: Stretch) -> bool:
    return stretch.start <= person.start < stretch.end


def _reached_from(segment: Stretch, stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return the stretches in a segment, and those beyond it up to the first gap.

    Whoever is in view at the segment's end is followed beyond it, and is out of view in a gap.
    """
    reached: list[Stretch] = []
    for stretch in stretches:
        if stretch.start >= segment.end and not (reached and reached[-1].end == stretch.start):
            break
        reached.append(stretch)
    return reached


def _pieces(stretches: Sequence[Stretch], thoroughness: Thoroughness, rate: float) -> list[Piece]:
    """Return what to decode, in pieces that several decoders can share."""
    if thoroughness is Thoroughness.INTRA_ONLY:  # no picture needs another one to be decoded
        return _sampled(stretches, timedelta(seconds=1 / rate))
    joined: list[Stretch] = []
    for stretch in stretches:
        if joined and joined[-1].end == stretch.start and joined[-1].duration < PIECE:
            joined[-1] = Stretch(joined[-1].start, stretch.end)
        else:
            joined.append(stretch)
    return [Piece(stretch) for stretch in joined]


def _sampled(pictures: Sequence[Stretch], period: timedelta) -> list[Piece]:
    """Return a piece for one picture of each period."""
    chosen: list[Stretch] = []
    for picture in pictures:
        if not chosen or picture.start - chosen[-1].start >= period - picture.duration / 4:
            chosen.append(picture)
    ends = [picture.start for picture in chosen[1:]] + [picture.end for picture in pictures[-1:]]
    return [
        Piece(Stretch(picture.start, end), (picture.start,))
        for picture, end in zip(chosen, ends, strict=True)
    ]


def _pieces_at(at: Sequence[timedelta], packets: Sequence[PacketGroup]) -> list[Piece]:
    """Return the groups of pictures that hold pictures of given times, each up to the last one."""
    starts = [timedelta(), *(timedelta(seconds=group.start) for group in packets)]
    held = groupby(at, key=lambda offset: starts[bisect_right(starts, offset) - 1])
    pieces = ((start, tuple(wanted)) for start, wanted in held)
    return [Piece(Stretch(start, wanted[-1] + INSTANT), wanted) for start, wanted in pieces]


def _within(stretches: Iterable[Stretch], whole: Stretch) -> timedelta:
    """Return how much of a stretch others cover."""
    common = (
        min(stretch.end, whole.end) - max(stretch.start, whole.start) for stretch in stretches
    )
    return sum((span for span in common if span > timedelta()), timedelta())


def _with_gap(segment: Segment, stretch: Undecodable) -> Segment:
    start, end = max(stretch.start, segment.start), min(stretch.end, segment.end)
    if start >= end:
        return segment
    gaps = segment.gaps
    gap = segment.gap_between(
        start, end, GapReason.UNDECODABLE, "its pictures are damaged and do not decode"
    )
    if gaps and gaps[-1].end_time == gap.start_time:  # of the piece before
        gap = replace(gap, start_time=gaps[-1].start_time)
        gaps = gaps[:-1]
    return replace(segment, gaps=(*gaps, gap))
