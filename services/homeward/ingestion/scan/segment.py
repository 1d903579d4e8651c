"""Searching one segment: look where something happens, follow faces, embed, match, forget.

Everything that is seen lives in the variables of one search. A face that matches nobody leaves
nothing behind but a count, and when and where it was in view (`Presence`), so that a search for
somebody else need not find it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import groupby

import numpy as np
import structlog
from numpy.typing import NDArray

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.timeline import Timeline
from homeward.ingestion.scan.compare import Comparer, Comparisons, Task
from homeward.ingestion.scan.coverage import cover, require_sound, total
from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX
from homeward.ingestion.scan.faces import Box, Face, Frame
from homeward.ingestion.scan.gate import (
    Profile,
    Profiles,
    Survey,
    all_of,
    course,
    groups_of,
    survey,
)
from homeward.ingestion.scan.incomparable import IncomparablePeople
from homeward.ingestion.scan.model import Counts, GapReason, ScanState, Segment, Thoroughness
from homeward.ingestion.scan.ports import (
    FaceFinder,
    FaceImages,
    FrameSource,
    IncomparableTimes,
    Looked,
    Matcher,
    Piece,
    PresenceIndex,
    Recording,
    Undecodable,
)
from homeward.ingestion.scan.presence import Presence, PresentPerson, PresentShot
from homeward.ingestion.scan.presence_index import presence_version
from homeward.ingestion.scan.shots import Shot, Shots
from homeward.ingestion.scan.tracking import TAIL, Track, Tracker, is_cut
from homeward.ingestion.scan_metrics import STAGE_SECONDS
from homeward.servicekit import tracing
from homeward.servicekit.clock import Clock
from homeward.servicekit.executor import BoundedExecutor

BEGIN_SCORE = 0.6
"""Least detector score of a face that begins an appearance; doubtful ones only continue one, and
are blurred in stills."""

PIECE = timedelta(seconds=2)
"""Short groups of pictures are decoded together up to this length."""

MOST_ENDED = 3
"""Pieces of a segment whose decoding was ended, after which the rest of it is given up."""

REST_GIVEN_UP = f"; the rest was given up after {MOST_ENDED} tries"

INSTANT = timedelta(microseconds=1)

SCAN_VERSION = 5
"""Part of the presence index's version: raise it whenever a scan would select other pictures."""

log = structlog.get_logger()

Report = Callable[[Segment], Awaitable[None]]


class SegmentScanner:
    """Searches segments.

    Args:
        source: Decodes recordings.
        faces: Finds and embeds faces.
        images: Does the work on pixels, in a thread of `executor`.
        matcher: Compares, and records sightings.
        presence: Where earlier scans found faces; None to find them anew each time.
        incomparable: Takes when somebody was in view who could not be compared; None to forget it.
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
        incomparable: IncomparableTimes | None,
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
        self._incomparable = incomparable
        self._executor = executor
        self._clock = clock
        self._sample_rate = sample_rate
        self._gated = gated
        self._profiles = Profiles()

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
        # A search that broke off left counts, which come again; what it recorded stands.
        begun = replace(
            task.segment, state=ScanState.RUNNING, position=stretch.start, counts=Counts()
        )
        video = task.footage.probe.video
        async with self._source.open(url, video, task.timeline) as recording:
            if self._presence is None:
                done, _ = await self._search(task, recording, begun, report, "")
                return done
            version = presence_version(
                SCAN_VERSION,
                task.footage.probe.version,
                await self._faces.detector(),
                self._sample_rate,
                self._gated,
                video.presentation,
            )
            held = await self._presence.find(footage_id, version, stretch)
            if held is not None:
                again = await self._revisit(task, recording, begun, report, held)
                if again is not None:
                    return again
            done, found = await self._search(task, recording, begun, report, version)
            # What ended a decoder may pass, as a shortage of memory does: it is tried again by the
            # next search.
            if all(gap.reason is not GapReason.DECODER_ENDED for gap in found.coverage.gaps):
                await self._presence.keep(task.footage, found)
            return done

    async def _search(
        self, task: Task, recording: Recording, segment: Segment, report: Report, version: str
    ) -> tuple[Segment, Presence]:
        """Search a segment of which nothing is known; return it, and what is known now."""
        surveyed = await self._executor.run(self._surveyed, task, segment)
        with tracing.span("look", {"pictures": len(surveyed.looks)}):
            faces_at, glanced_at = await self._look(
                recording, surveyed.looks, task.timeline, lambda: report(segment)
            )
            chosen = course(surveyed, faces_at)
        stretches = _reached_from(segment.stretch, chosen.stretches)
        pieces = _pieces(stretches, chosen.thoroughness, self._sample_rate)
        begun = replace(segment, thoroughness=chosen.thoroughness)
        search = _Search(segment.stretch, self._images)
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
        coverage = await self._executor.run(
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
        frames = sum(_within(segment.stretch, at) for at in {*glanced_at, *search.looked_at})
        return self._finished(task, done, presence, frames=frames), presence

    def _surveyed(self, task: Task, segment: Segment) -> Survey:
        piece = Stretch(segment.start, min(segment.end + TAIL, task.footage.probe.duration))
        profile = self._profiles.of(task.timeline)
        if self._gated:
            return survey(profile, piece, segment.end)
        return all_of(groups_of(profile.starts, piece), Thoroughness.SWITCHED_OFF)

    async def _follow(
        self,
        task: Task,
        recording: Recording,
        pieces: Sequence[Piece],
        search: _Search,
        *,
        begun: Segment,
        report: Report,
        thorough: bool,
    ) -> Segment:
        """Search the pictures of pieces for faces, and have whoever is followed compared."""
        done = begun
        async with (
            Comparisons(self._comparer, task) as comparisons,
            recording.frames(pieces, rate=self._sample_rate) as frames,
            aclosing(self._faces.find(frames, thorough=thorough)) as found,
        ):
            async for looked in found:
                with STAGE_SECONDS.labels("select").time():
                    ended = await self._executor.run(search.look, looked)
                await comparisons.take(ended)
                done = _with(self._reached(done, looked), comparisons, search.frames, search.faces)
                await report(done)
                if search.over:
                    break
            await comparisons.take(search.finish())
            await self._finish(task, comparisons)
        return _with(done, comparisons, search.frames, search.faces)

    async def _finish(self, task: Task, comparisons: Comparisons) -> None:
        """Have all compared, and keep when those were in view who could not be."""
        await comparisons.finish()
        if self._incomparable is not None and comparisons.counts.incomparable:
            people = tuple(sorted(comparisons.incomparable, key=lambda one: (one.start, one.end)))
            found = IncomparablePeople(task.scan_id, task.segment.stretch, people)
            await self._incomparable.keep(task.footage, found)

    def _reached(self, segment: Segment, looked: Sequence[Looked]) -> Segment:
        item = looked[-1][0]
        offset = item.end if isinstance(item, Undecodable) else item.offset
        return replace(
            segment,
            position=min(max(offset, segment.start), segment.end),
            update_time=self._clock.now(),
        )

    def _finished(
        self, task: Task, segment: Segment, presence: Presence, *, frames: int
    ) -> Segment:
        """Return a segment that was searched, with what is told of the part that was asked for."""
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
            update_time=self._clock.now(),
        )

    async def _look(
        self,
        recording: Recording,
        looks: Sequence[timedelta],
        timeline: Timeline,
        go_on: Callable[[], Awaitable[None]],
    ) -> tuple[Collection[timedelta], Collection[timedelta]]:
        """Return which of the key pictures show a face, or do not decode; and when all were shown.

        A face that looks just as at the look before, as on a poster, has nothing more to tell. They
        are looked at on the copies of the pictures, which is where a search looks for faces.

        Args:
            recording: What they are of.
            looks: When they are shown.
            timeline: Of the recording.
            go_on: Is called now and then; what it raises ends the search.
        """
        if not looks:
            return (), ()
        shown: dict[timedelta, set[Box]] = {}
        pieces = [Piece(Stretch(at, at + INSTANT), (at,), small=True) for at in looks]
        async with (
            recording.frames(pieces, rate=self._sample_rate) as frames,
            aclosing(self._faces.find(frames, thorough=False)) as found,
        ):
            ended = 0
            async for looked in found:
                await go_on()
                for item, faces in looked:
                    if isinstance(item, Frame):
                        shown[item.offset] = {
                            face.box for face in faces if face.detector_score >= BEGIN_SCORE
                        }
                    else:
                        ended += 1
                if ended >= MOST_ENDED:  # the search tells why
                    break
        seen = [shown.get(timeline.shown_at(at)) for at in looks]
        before = [set[Box](), *(faces or set() for faces in seen)]
        return {
            at
            for at, faces, earlier in zip(looks, seen, before, strict=False)
            if faces is None or faces - earlier
        }, shown.keys()

    async def _revisit(
        self,
        task: Task,
        recording: Recording,
        segment: Segment,
        report: Report,
        presence: Presence,
    ) -> Segment | None:
        """Search a segment of which it is known who is in view; None when that does not fit."""
        people = [one for one in presence.people if task.concerns(one.start, one.end)]
        at = sorted({shot.offset for person in people for shot in person.shots})
        pieces = await self._executor.run(_pieces_at, at, self._profiles.of(task.timeline))
        begun = replace(segment, thoroughness=Thoroughness.PRESENCE)
        visit = _Visit(segment.stretch, people, self._images)
        with tracing.span("revisit", {"people": len(people)}):
            async with (
                Comparisons(self._comparer, task) as comparisons,
                recording.frames(pieces, rate=self._sample_rate) as frames,
            ):
                await comparisons.take(visit.unseen())
                async for item in frames:
                    if isinstance(item, Undecodable):
                        return None
                    await comparisons.take(await self._executor.run(visit.look, item))
                    begun = _with(self._reached(begun, [(item, ())]), comparisons, visit.frames)
                    await report(begun)
                if not visit.complete:
                    return None
                await self._finish(task, comparisons)
        done = _with(begun, comparisons, visit.frames)
        return self._finished(task, done, presence, frames=visit.frames)


def _within(stretch: Stretch, at: timedelta) -> bool:
    """Whether a picture is a segment's to count: one that is shown before it is another's."""
    return stretch.start <= at < stretch.end


def _with(segment: Segment, comparisons: Comparisons, frames: int, faces: int = 0) -> Segment:
    """Return a segment with what was seen and compared so far."""
    return replace(
        segment,
        counts=comparisons.counts + Counts(frames=frames, faces=faces),
        candidates=comparisons.candidates,
    )


class _Search:
    """What is known of the pictures so far: the tracks under way, and counts."""

    def __init__(self, stretch: Stretch, images: FaceImages) -> None:
        self._stretch = stretch
        self._images = images
        self._tracker: Tracker[Shots] = Tracker()
        self._thumbnail: NDArray[np.float32] | None = None
        self._sights: Counter[int] = Counter()
        """How often those under way were seen in the stretch, by the identities of their tracks:
        what is seen of them beyond it, the next segment counts."""
        self.frames = 0
        self.faces = 0
        self.looked_at: list[timedelta] = []
        """The times of the pictures that were looked at, those beyond the stretch too."""
        self.ended: list[tuple[Stretch, str]] = []
        """Stretches whose decoding was ended, each with its cause."""
        self.people: list[PresentPerson] = []
        """Those whose tracks have ended."""
        self.over = False
        """Whether the stretch is behind, and nobody is followed beyond it."""

    def look(self, looked: Sequence[Looked]) -> list[Track[Shots]]:
        """Take the next pictures in; return the tracks that have ended."""
        ended: list[Track[Shots]] = []
        for item, faces in looked:
            if isinstance(item, Undecodable):
                self._end(item)
            elif not self.over:
                ended += self._look(item, faces)
                self.over = item.offset >= self._stretch.end and not self._tracker.open
        return self._kept(ended)

    def _end(self, item: Undecodable) -> None:
        """Take in that decoding was ended; give the rest up when that goes on."""
        cause = f"decoding was ended: {item.cause}"
        end = item.end
        log.warning("decoding ended", cause=item.cause)
        if len(self.ended) + 1 >= MOST_ENDED:
            self.over, end = True, max(item.end, self._stretch.end)
            cause += REST_GIVEN_UP
        self.ended.append((Stretch(item.start, end), cause))

    def finish(self) -> list[Track[Shots]]:
        """Return the tracks that are still open."""
        return self._kept(self._tracker.finish())

    def _kept(self, ended: list[Track[Shots]]) -> list[Track[Shots]]:
        self.people += [_present(track, self._sights.pop(id(track), 0)) for track in ended]
        return ended

    def _look(self, frame: Frame, faces: Sequence[Face]) -> list[Track[Shots]]:
        assert not self.looked_at or frame.offset > self.looked_at[-1], "each picture comes once"
        self.looked_at.append(frame.offset)
        before, self._thumbnail = self._thumbnail, self._images.thumbnail(frame)
        cut = before is not None and is_cut(before, self._thumbnail)
        ended = self._tracker.finish() if cut else self._tracker.ended(frame.offset)
        within = frame.offset < self._stretch.end
        counted = _within(self._stretch, frame.offset)
        self.frames += counted
        patches = [self._images.patch(frame, face.box) for face in faces]
        for number, (face, patch, track) in enumerate(
            zip(faces, patches, self._tracker.assign(frame.offset, faces, patches), strict=True)
        ):
            sure = face.detector_score >= BEGIN_SCORE
            if track is None and sure and within:
                track = self._tracker.begin(frame.offset, face.box, patch, Shots())  # noqa: PLW2901 - a new one
            if track is not None and counted:
                self._sights[id(track)] += 1
                self.faces += 1
            if track is not None:
                track.kept.widest = max(track.kept.widest, face.box.width)
            if track is not None and face.box.width >= MIN_FACE_WIDTH_PX:
                others = [other.box for other in (*faces[:number], *faces[number + 1 :])]
                _consider(self._images, track.kept, frame, face, others)
        return ended


class _Visit:
    """People who were found before, whose pictures are shown again."""

    def __init__(
        self, stretch: Stretch, people: Sequence[PresentPerson], images: FaceImages
    ) -> None:
        self._stretch = stretch
        self._images = images
        self._people = people
        self._shown = timedelta.min
        self._shots: dict[int, list[Shot]] = {id(one): [] for one in people}
        self.frames = 0

    @property
    def complete(self) -> bool:
        """Whether all pictures of everybody were shown."""
        return all(len(self._shots[id(one)]) == len(one.shots) for one in self._people)

    def unseen(self) -> list[Track[Shots]]:
        """Return those of whom there is no picture that could be compared."""
        return [_track(one, []) for one in self._people if not one.shots]

    def look(self, frame: Frame) -> list[Track[Shots]]:
        """Take the next picture in; return those of whom it was the last one."""
        assert frame.offset > self._shown, "each picture comes once"
        self._shown = frame.offset
        self.frames += _within(self._stretch, frame.offset)
        complete: list[Track[Shots]] = []
        for person in self._people:
            held = self._shots[id(person)]
            for shot in person.shots:
                if shot.offset == frame.offset:
                    portrait = self._images.portrait(frame, shot.box, shot.others)
                    held.append(Shot(shot.offset, shot.quality, shot.box, portrait, shot.others))
                    if len(held) == len(person.shots):
                        complete.append(_track(person, held))
        return complete


def _track(person: PresentPerson, shots: Sequence[Shot]) -> Track[Shots]:
    box = shots[-1].box if shots else Box(0, 0, 0, 0)
    followed_by_nothing = np.zeros((0, 0), np.float32)
    kept = Shots.of(shots, person.widest)
    return Track(person.start, person.end, box, followed_by_nothing, kept, seen=person.sights)


def _consider(
    images: FaceImages, shots: Shots, frame: Frame, face: Face, others: Sequence[Box]
) -> None:
    """Keep a picture of somebody, if it is a better one."""
    if not shots.wants(frame.offset, images.selection_quality(frame, face, seen=False)):
        return  # not even if it were quite sharp
    quality = images.selection_quality(frame, face, seen=True)
    if shots.wants(frame.offset, quality):
        shots.add(
            Shot(
                offset=frame.offset,
                quality=quality,
                box=face.box,
                portrait=images.portrait(frame, face.box, others),
                others=tuple(others),
            )
        )


def _present(track: Track[Shots], sights: int) -> PresentPerson:
    return PresentPerson(
        track.start,
        track.end,
        sights,
        track.kept.widest,
        tuple(
            PresentShot(shot.offset, shot.box, shot.others, shot.quality)
            for shot in track.kept.best
        ),
    )


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


def _pieces_at(at: Sequence[timedelta], profile: Profile) -> list[Piece]:
    """Return the groups of pictures that hold pictures of given times, each up to the last one."""

    def start_of(offset: timedelta) -> timedelta:
        number = int(np.searchsorted(profile.starts, offset // INSTANT, side="right")) - 1
        return int(profile.starts[number]) * INSTANT if number >= 0 else timedelta()

    pieces = ((start, tuple(wanted)) for start, wanted in groupby(at, key=start_of))
    return [Piece(Stretch(start, wanted[-1] + INSTANT), wanted) for start, wanted in pieces]
