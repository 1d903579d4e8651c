"""Making a clip: faces are found in every picture, compared, and blurred in a second pass.

What is done of a clip is in memory: faces' boxes for the whole clip, their pictures until they are
compared, and the file. Nothing of it is stored.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from homeward.ingestion.clip.cover import Cover, covers
from homeward.ingestion.clip.detecting import FACTORS, LEAST_SCORE, merged
from homeward.ingestion.clip.following import Following, Run
from homeward.ingestion.clip.model import (
    CLIP_RATE,
    MOST_LENGTH,
    ClipProgress,
    ClipRequest,
    FinishedClip,
    SightingPlace,
    Step,
)
from homeward.ingestion.clip.ports import AllFaces, ClipEncoder, ClipImages, Sightings
from homeward.ingestion.clip.subject import SAME_TRACK_MARGIN, shown_runs
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.scan.compare import Comparer
from homeward.ingestion.scan.faces import Face, Frame, Template
from homeward.ingestion.scan.ports import (
    FaceImages,
    FrameSource,
    Matcher,
    Piece,
    Recording,
    Undecodable,
)
from homeward.ingestion.scan.shots import appearances
from homeward.servicekit import errors
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.identity.caller import may_see

FRAMES_AT_ONCE = 4
"""Pictures in which faces are looked for at a time."""

MOST_PROBLEMS = 20
"""Stretches that are told of, of those that could not be decoded."""


@dataclass(frozen=True, slots=True)
class ClipParts:
    """The ports and adapters that making a clip uses."""

    sightings: Sightings
    matcher: Matcher
    footage: FootageLibrary
    source: FrameSource
    faces: AllFaces
    comparer: Comparer
    images: FaceImages
    """Processes pixels, in a thread of `executor`."""
    painter: ClipImages
    """Likewise."""
    encoder: ClipEncoder
    """Likewise."""
    executor: BoundedExecutor


@dataclass(slots=True)
class _Made:
    """What is known of a clip while it is made."""

    following: Following
    stretch: Stretch
    total: int
    templates: dict[int, list[Template]] = field(default_factory=dict)
    """Of runs, by their identities."""
    runs: list[Run] = field(default_factory=list)
    """Those that have templates."""
    problems: list[str] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)


class ClipMaking:
    """Makes clips.

    Args:
        parts: What it uses.
        at_once: Most clips that are made at a time.
    """

    def __init__(self, parts: ClipParts, *, at_once: int) -> None:
        self._parts = parts
        self._at_once = at_once
        self._under_way = 0

    async def make(self, request: ClipRequest) -> AsyncGenerator[ClipProgress | FinishedClip, None]:
        """Yield how far it is, and at last the clip.

        Raises:
            NotFoundError: `SIGHTING_NOT_FOUND`, `FOOTAGE_NOT_FOUND`.
            FailedPreconditionError: `CLIP_TOO_LONG`, `FOOTAGE_EXPIRED`, and as of `Matcher.match`.
            InvalidArgumentError: `FOOTAGE_UNREADABLE`.
            ResourceExhaustedError: `QUEUE_FULL`.
        """
        place = await self._place(request.sighting_id)
        if self._under_way >= self._at_once:
            raise _busy(self._at_once)
        self._under_way += 1
        try:
            async with aclosing(self._make(request, place)) as steps:
                async for step in steps:
                    yield await self._sealed(step) if isinstance(step, FinishedClip) else step
        finally:
            self._under_way -= 1

    async def _sealed(self, clip: FinishedClip) -> FinishedClip:
        return replace(clip, seal=await self._parts.sightings.seal_clip(clip))

    async def _place(self, sighting_id: str) -> SightingPlace:
        """Return where a sighting is that the caller may see."""
        place = await self._parts.sightings.place(sighting_id)
        cases = await self._parts.matcher.case_references([place.subject_id])
        if not may_see(cases.get(place.subject_id)):
            raise sighting_not_found(sighting_id)
        return place

    async def _make(
        self, request: ClipRequest, place: SightingPlace
    ) -> AsyncGenerator[ClipProgress | FinishedClip, None]:
        footage = await self._recording(place)
        stretch = place.stretch(request, footage.media.duration)
        _require_short(place, stretch)
        timeline = await self._parts.footage.timeline(footage)
        url = await self._parts.footage.url(footage)
        made = _Made(Following(self._parts.images), stretch, _pictures(footage, stretch))
        async with self._parts.source.open(url, footage.media.video, timeline) as recording:
            async with aclosing(self._find(recording, made)) as steps:
                async for step in steps:
                    yield step
            if not made.following.offsets:
                raise _nothing_decodes(place, made)
            yield ClipProgress(Step.COMPARING, 0, made.total)
            shown = await self._shown(place, made)
            planned = await self._parts.executor.run(
                partial(covers, made.following, shown, width=made.size[0], height=made.size[1])
            )
            encoding = self._encode(recording, made, planned, request, place)
            async with aclosing(encoding) as encoded:
                async for part in encoded:
                    yield part

    async def _recording(self, place: SightingPlace) -> Footage:
        """Return the recording of a sighting.

        Raises:
            NotFoundError: `FOOTAGE_NOT_FOUND`.
            FailedPreconditionError: `FOOTAGE_EXPIRED`.
        """
        return await self._parts.footage.up_to_date(await self._held(place))

    async def _held(self, place: SightingPlace) -> Footage:
        try:
            return await self._parts.footage.get(place.footage_id)
        except errors.NotFoundError as error:
            raise errors.NotFoundError(
                f"the recording that sighting {place.sighting_id} was found in is gone: recordings"
                " are removed within 31 days, or when somebody removes them earlier. No clip can be"
                " cut any more; the still of the sighting is kept with it",
                reason=errors.Reason.FOOTAGE_NOT_FOUND,
                metadata={"footage_id": place.footage_id},
            ) from error

    async def _find(self, recording: Recording, made: _Made) -> AsyncGenerator[ClipProgress, None]:
        """Find and follow the faces of every picture, and make their templates."""
        async with recording.frames([Piece(made.stretch)], rate=CLIP_RATE) as frames:
            waiting: list[Frame] = []
            async for item in frames:
                if isinstance(item, Undecodable):
                    made.problems.append(_problem(item, made.stretch))
                    continue
                waiting.append(item)
                if len(waiting) == FRAMES_AT_ONCE:
                    await self._follow(waiting, made)
                    waiting = []
                    yield ClipProgress(Step.FINDING, len(made.following.offsets), made.total)
            if waiting:
                await self._follow(waiting, made)
        await self._embed(made.following.finish(), made)

    async def _follow(self, frames: Sequence[Frame], made: _Made) -> None:
        found = await self._faces_of(frames)
        ended: list[Run] = []
        for frame, faces in zip(frames, found, strict=True):
            made.size = frame.picture.width, frame.picture.height
            ended += await self._parts.executor.run(made.following.take, frame, faces)
        await self._embed(ended, made)

    async def _faces_of(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Return the faces of each of some pictures, found at several sizes."""
        images = [
            image
            for frame in frames
            for image in await self._parts.executor.run(self._parts.painter.scaled, frame, FACTORS)
        ]
        found = await self._parts.faces.find_all(images, least_score=LEAST_SCORE)
        sizes = len(FACTORS)
        return [
            merged(found[start : start + sizes], FACTORS) for start in range(0, len(found), sizes)
        ]

    async def _embed(self, ended: Sequence[Run], made: _Made) -> None:
        """Make the templates of runs, and let go of their pictures."""
        shots = [shot for run in ended if not run.shared for shot in run.shots.best]
        known = await self._parts.comparer.embedded(shots)
        for run in ended:
            usable = [known[id(shot)] for shot in run.shots.best if id(shot) in known]
            run.shots.clear()
            if run.shared or not usable:
                continue
            people = appearances(
                run.begun, run.seen, [one.shot for one in usable], [one.template for one in usable]
            )
            if len(people) == 1:  # of several people nobody knows which is when
                made.templates[id(run)] = [people[0].fused, *people[0].templates]
                made.runs.append(run)

    async def _shown(self, place: SightingPlace, made: _Made) -> list[Run]:
        """Return the runs that are the subject's for certain."""
        probes = [template for run in made.runs for template in made.templates[id(run)]]
        if not probes:
            return []
        matches, policy = await self._parts.matcher.match(
            probes, [place.subject_id], margin=SAME_TRACK_MARGIN
        )
        left = iter(matches)
        scores: dict[int, float] = {}
        for run in made.runs:
            own = [
                match.score
                for each in islice(left, len(made.templates[id(run)]))
                for match in each
                if match.subject_id == place.subject_id
            ]
            if own:
                scores[id(run)] = max(own)
        return shown_runs(made.following.trails, scores, policy.threshold)

    async def _encode(
        self,
        recording: Recording,
        made: _Made,
        planned: Sequence[Cover],
        request: ClipRequest,
        place: SightingPlace,
    ) -> AsyncGenerator[ClipProgress | FinishedClip, None]:
        """Decode the pictures once more, and encode them as planned."""
        offsets = made.following.offsets
        cover_at = dict(zip(offsets, planned, strict=True))
        run = self._parts.executor.run
        written: list[tuple[timedelta, Cover]] = []
        size = (0, 0)
        async with recording.frames([Piece(made.stretch)], rate=CLIP_RATE) as frames:
            file = None
            try:
                async for frame in _decoded(frames, made):
                    # What was not searched for faces is not shown.
                    cover = cover_at.get(frame.offset, Cover(whole=True))
                    text = _line(place, frame, request)
                    image = await run(self._parts.painter.redacted, frame, cover, text)
                    if file is None:
                        size = image.shape[1], image.shape[0]
                        file = await run(self._parts.encoder.open, *size)
                    await run(file.add, image, frame.offset - offsets[0])
                    written.append((frame.offset, cover))
                    if len(written) % FRAMES_AT_ONCE == 0:
                        yield ClipProgress(Step.ENCODING, len(written), made.total)
                if file is None:
                    raise _nothing_decodes(place, made)
                data = await run(file.finish)
            finally:
                if file is not None:
                    await asyncio.shield(run(file.close))
        await self._held(place)  # it may have gone meanwhile, and nothing is given out of it then
        yield FinishedClip(
            sighting_id=place.sighting_id,
            footage_sha256=place.footage_sha256,
            start_time=place.true_start + written[0][0],
            end_time=place.true_start + written[-1][0],
            file=data,
            sha256=await run(lambda: hashlib.sha256(data).hexdigest()),
            width=size[0],
            height=size[1],
            picture_count=len(written),
            blurred_picture_count=sum(one.whole for _, one in written),
            subject_picture_count=sum(bool(one.shown) and not one.whole for _, one in written),
            problems=tuple(made.problems[:MOST_PROBLEMS]),
        )


async def _decoded(frames: AsyncIterator[Frame | Undecodable], made: _Made) -> AsyncIterator[Frame]:
    """Yield the pictures; what could be decoded before, and cannot be now, is told of too."""
    async for item in frames:
        if isinstance(item, Frame):
            yield item
        elif (problem := _problem(item, made.stretch)) not in made.problems:
            made.problems.append(problem)


def _line(place: SightingPlace, frame: Frame, request: ClipRequest) -> str:
    """Return what is written below a picture."""
    if not request.burn_time:
        return ""
    at: datetime = place.true_start + frame.offset
    stamp = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"
    uncertain = " (uncertain)" if place.time_uncertain else ""
    return f"{stamp}{uncertain}  sighting {place.sighting_id}  faces blurred by Homeward"


def _require_short(place: SightingPlace, stretch: Stretch) -> None:
    if stretch.duration > MOST_LENGTH:
        seconds, most = stretch.duration.total_seconds(), MOST_LENGTH.total_seconds()
        raise errors.FailedPreconditionError(
            f"the clip of sighting {place.sighting_id} would have {seconds:.0f} seconds, and may"
            f" have {most:.0f}",
            reason=errors.Reason.CLIP_TOO_LONG,
            metadata={
                "sighting_id": place.sighting_id,
                "seconds": f"{seconds:.0f}",
                "most_seconds": f"{most:.0f}",
            },
        )


def _pictures(footage: Footage, stretch: Stretch) -> int:
    rate = min(CLIP_RATE, footage.media.video.average_frame_rate or CLIP_RATE)
    return max(1, round(stretch.duration / timedelta(seconds=1) * rate))


def _problem(item: Undecodable, stretch: Stretch) -> str:
    start, end = (
        (at - stretch.start).total_seconds() for at in (item.start, min(item.end, stretch.end))
    )
    return f"{max(0.0, start):.1f} s to {end:.1f} s could not be decoded: {item.cause}"


def _nothing_decodes(place: SightingPlace, made: _Made) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(
        f"nothing of the recording can be decoded around sighting {place.sighting_id}",
        reason=errors.Reason.FOOTAGE_UNREADABLE,
        metadata={"problem": "; ".join(made.problems[:1])},
    )


def _busy(most: int) -> errors.ResourceExhaustedError:
    return errors.ResourceExhaustedError(
        f"no further clip can be made at the moment: at most {most} are made at a time",
        reason=errors.Reason.QUEUE_FULL,
        metadata={"component": "clips"},
        retry_seconds=30,
    )


def sighting_not_found(sighting_id: str) -> errors.NotFoundError:
    """Return the error for a sighting that is not there, or not for the caller."""
    return errors.NotFoundError(
        f"there is no sighting {sighting_id}: it was rejected, or went with its footage or its"
        " subject",
        reason=errors.Reason.SIGHTING_NOT_FOUND,
        metadata={"sighting_id": sighting_id},
    )
