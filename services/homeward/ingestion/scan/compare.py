"""Comparing tracks with the gallery while the search for further faces goes on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.footage.library import footage_not_found
from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.faces import Face, Template, nearest
from homeward.ingestion.scan.incomparable import IncomparablePerson
from homeward.ingestion.scan.model import Counts, Drop, Match, MatchPolicy
from homeward.ingestion.scan.ports import (
    MOST_LISTED,
    Closeup,
    FaceFinder,
    FaceImages,
    Matcher,
    SightingDraft,
    Still,
)
from homeward.ingestion.scan.shots import Appearance, Shot, Shots, appearances
from homeward.ingestion.scan.stills import StillMaker, clearest, draft_stills
from homeward.ingestion.scan.task import SegmentTask
from homeward.ingestion.scan.tracking import Track
from homeward.ingestion.scan_metrics import stage
from homeward.servicekit import tracing
from homeward.servicekit.executor import BoundedExecutor

CLOSER_MARGIN = 0.12
"""Margin below the threshold for a first comparison by two pictures of an appearance. If neither
reaches it, the appearance is forgotten; otherwise all its pictures are embedded. Of 287 appearances
of enrolled people that became candidates this loses none; 0.10 loses two (docs/evaluation.md)."""

RIVAL_MARGIN = 0.15
"""Margin below the threshold within which other subjects are reported beside a candidate
(docs/evaluation.md): at least the margin that makes a candidate doubtful
(`cli.policy_figures.DOUBTFUL_MARGIN`)."""

MOST_WAITING = 32
"""Most ended tracks, each with its pictures, that wait to be compared; the search pauses when there
are more."""

TRACKS_BESIDE = 4
"""Fewest tracks of a batch that begins beside another one, but at the end of a segment: fewer wait
until that has ended, as a call costs much the same for one."""

BATCHES = 2
"""Batches of tracks that are compared at a time: one is embedded while another is recorded."""


def glimpse(shots: Sequence[Shot]) -> list[Shot]:
    """Return the best picture and the one farthest from it in time, for the first comparison.

    If the track has jumped between two people, each of them is likely to be on one of the two.
    """
    best = shots[0]
    farthest = max(shots, key=lambda shot: abs(shot.offset - best.offset))
    return [best] if farthest is best else [best, farthest]


@dataclass(slots=True)
class Compared:
    """Result of comparing tracks, to be added to their segment."""

    counts: Counts = field(default_factory=Counts)
    sighting_ids: list[str] = field(default_factory=list)
    incomparable: list[IncomparablePerson] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Likeness:
    """A subject that an appearance is alike to."""

    match: Match
    """The most alike of the fused template and the pictures alone."""
    scores: tuple[float | None, ...]
    """Of each picture alone; None of those below the threshold."""


def combined(fused: Sequence[Match], single: Sequence[Sequence[Match]]) -> list[Likeness]:
    """Return the subjects that an appearance is alike to, most alike first.

    Fusing helps where every picture is poor, and one good picture is better than its mean with poor
    ones: an appearance is as alike to somebody as the fused template or its most alike picture is.

    Args:
        fused: Matches of the fused template.
        single: Matches of each picture alone, in the order of the pictures.
    """
    best: dict[str, Match] = {}
    for match in itertools.chain(fused, *single):
        held = best.get(match.subject_id)
        if held is None or match.score > held.score:
            best[match.subject_id] = match
    likenesses = [
        Likeness(match, tuple(_score_with(name, matches) for matches in single))
        for name, match in best.items()
    ]
    return sorted(likenesses, key=lambda one: -one.match.score)


def _score_with(subject_id: str, matches: Iterable[Match]) -> float | None:
    return next((one.score for one in matches if one.subject_id == subject_id), None)


def nearest_other(likeness: Likeness, near: Iterable[Likeness]) -> float | None:
    """Return the highest score of an appearance with a subject other than the candidate.

    Args:
        likeness: The candidate.
        near: Matches of the appearance at or near the threshold, most alike first.
    """
    others = (one.match for one in near if one.match.subject_id != likeness.match.subject_id)
    return next((match.score for match in others), None)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedShot:
    """A picture of a face, and its template."""

    shot: Shot
    """Its quality is that of the aligned face."""
    template: Template


def _people(
    track: Track[Shots], shots: Sequence[Shot], known: Mapping[int, EmbeddedShot]
) -> list[Appearance]:
    """Return the people of a track, by those of some of its pictures that have a template."""
    usable = [known[id(shot)] for shot in shots if id(shot) in known]
    if not usable:
        return []
    return appearances(
        track.start, track.end, [one.shot for one in usable], [one.template for one in usable]
    )


def _face_of(shot: Shot, closeup: Closeup, found: Sequence[Face]) -> Face | None:
    """Return the face of a picture, found again on its close-up, in pixels of its portrait."""
    corner = np.array([closeup.left, closeup.top], np.float32)
    faces = [
        Face(
            face.box.scaled(1 / closeup.scale).moved(closeup.left, closeup.top),
            face.landmarks / np.float32(closeup.scale) + corner,
            face.detector_score,
        )
        for face in found
    ]
    return nearest(shot.portrait.face, faces)


class Comparer:
    """Embeds and matches appearances, and records those that match somebody.

    Args:
        faces: Embeds.
        images: Cuts faces out and makes stills, in a thread of `executor`.
        matcher: Compares, and records sightings.
        executor: Threads.
    """

    def __init__(
        self, *, faces: FaceFinder, images: FaceImages, matcher: Matcher, executor: BoundedExecutor
    ) -> None:
        self._faces = faces
        self._images = images
        self._matcher = matcher
        self._executor = executor
        self._stills = StillMaker(faces=faces, images=images, executor=executor)

    async def compare(self, task: SegmentTask, tracks: Sequence[Track[Shots]]) -> Compared:
        """Compare tracks that have ended; return the result for the segment."""
        concerned = [track for track in tracks if task.concerns(track.start, track.end)]
        small = [track for track in concerned if not track.kept.best]
        comparable = [track for track in concerned if track.kept.best]
        sizes = FaceSizes.of(track.kept.widest for track in concerned)
        assert sizes.too_small == len(small), "a face that is wide enough leaves a picture"
        compared = Compared(Counts(incomparable=len(small), sizes=sizes))
        for track in small:
            compared.incomparable += task.incomparable(track, too_small=True)
        if comparable:
            with tracing.span("compare", {"tracks": len(comparable)}):
                await self._compare(task, comparable, compared)
        return compared

    async def _compare(
        self, task: SegmentTask, comparable: Sequence[Track[Shots]], compared: Compared
    ) -> None:
        """Forget tracks that are clearly like nobody, and compare the others with all pictures."""
        glimpses = [glimpse(track.kept.best) for track in comparable]
        glimpsed = [shot for shots in glimpses for shot in shots]
        known = await self.embedded(glimpsed)
        people = [
            _people(track, shots, known) for track, shots in zip(comparable, glimpses, strict=True)
        ]
        promising = await self._promising(task, people)
        nobody = sum(len(found) for found, more in zip(people, promising, strict=True) if not more)
        compared.counts += Counts(appearances=nobody, discarded=nobody)
        closer = [track for track, more in zip(comparable, promising, strict=True) if more]
        tried = {id(shot) for shot in glimpsed}
        rest = [shot for track in closer for shot in track.kept.best if id(shot) not in tried]
        await self._compare_closely(task, closer, known | await self.embedded(rest), compared)

    async def _promising(
        self, task: SegmentTask, people: Sequence[Sequence[Appearance]]
    ) -> list[bool]:
        """Return which tracks may match a subject; a track without people counts among them.

        Args:
            task: The segment.
            people: Of each track.
        """
        everybody = [one for found in people for one in found]
        if not everybody:
            return [True for _ in people]
        ranked, _ = await self._ranked(everybody, task.subject_ids, margin=CLOSER_MARGIN)
        left = iter(ranked)
        return [not found or any(list(islice(left, len(found)))) for found in people]

    async def _compare_closely(
        self,
        task: SegmentTask,
        tracks: Sequence[Track[Shots]],
        known: dict[int, EmbeddedShot],
        compared: Compared,
    ) -> None:
        """Compare all pictures of some tracks, and record those that match a subject."""
        people = [_people(track, track.kept.best, known) for track in tracks]
        found = [one for several in people for one in several if task.concerns(one.start, one.end)]
        unclear = [track for track, several in zip(tracks, people, strict=True) if not several]
        compared.counts += Counts(incomparable=len(unclear), sizes=FaceSizes(unclear=len(unclear)))
        for track in unclear:
            compared.incomparable += task.incomparable(track, too_small=False)
        if not found:
            return
        ranked, policy = await self._ranked(found, task.subject_ids)
        alike = [
            (one, likenesses) for one, likenesses in zip(found, ranked, strict=True) if likenesses
        ]
        rivals = await self._rivals([one for one, _ in alike])
        candidacies = [
            Candidacy(one, likeness, nearest_other(likeness, near))
            for (one, likenesses), near in zip(alike, rivals, strict=True)
            for likeness in likenesses[:MOST_LISTED]
        ]
        recorded = await self._recorded(task, candidacies, policy)
        compared.counts += Counts(
            appearances=len(found),
            discarded=ranked.count([]),
            dropped=sum(isinstance(one, Drop) and one is not Drop.SCAN_REFUSED for one in recorded),
            closed=recorded.count(Drop.SUBJECT_CLOSED),
            crowded=sum(len(likenesses) > MOST_LISTED for likenesses in ranked),
        )
        compared.sighting_ids += [one for one in recorded if not isinstance(one, Drop)]

    async def _ranked(
        self, found: Sequence[Appearance], subject_ids: Sequence[str], *, margin: float = 0.0
    ) -> tuple[list[list[Likeness]], MatchPolicy]:
        """Return the subjects that each appearance matches, most alike first, and the policy."""
        probes = [template for one in found for template in (one.fused, *one.templates)]
        with stage("match", {"probes": len(probes)}):
            matches, policy = await self._matcher.match(probes, subject_ids, margin=margin)
        left = iter(matches)
        return [combined(next(left), [next(left) for _ in one.templates]) for one in found], policy

    async def _rivals(self, found: Sequence[Appearance]) -> list[list[Likeness]]:
        """Return the other subjects that candidates nearly match, among all open subjects."""
        return (await self._ranked(found, (), margin=RIVAL_MARGIN))[0] if found else []

    async def embedded(self, shots: Sequence[Shot]) -> dict[int, EmbeddedShot]:
        """Return the templates of pictures, by the pictures' identities.

        Landmarks are detected again on a close-up of the face at full resolution. So the same
        picture gives the same template, whether a search or the presence index selected it. A
        picture in which no face is detected again is left out.
        """
        if not shots:
            return {}
        with stage("refine", {"faces": len(shots)}):
            faces = await self._found_close(shots, wide=False)
            missed = [shot for shot in shots if id(shot) not in faces]
            if missed:
                faces |= await self._found_close(missed, wide=True)
            refined = await self._executor.run(self._refined, shots, faces)
        if not refined:
            return {}
        with stage("embed", {"faces": len(refined)}):
            templates = await self._faces.embed(
                [aligned for _, aligned, _ in refined],
                [shot.box.width for shot, _, _ in refined],
            )
        return {
            id(shot): EmbeddedShot(replace(shot, quality=quality), template)
            for (shot, _, quality), template in zip(refined, templates, strict=True)
        }

    async def _found_close(self, shots: Sequence[Shot], *, wide: bool) -> dict[int, Face]:
        """Return the faces of pictures found again on close-ups, by the pictures' identities."""
        closeups = await self._executor.run(
            lambda: [self._images.closeup(shot.portrait, wide=wide) for shot in shots]
        )
        faces = await self._faces.find_close([one.image for one in closeups])
        return {
            id(shot): face
            for shot, closeup, found in zip(shots, closeups, faces, strict=True)
            if (face := _face_of(shot, closeup, found)) is not None
        }

    def _refined(
        self, shots: Sequence[Shot], faces: Mapping[int, Face]
    ) -> list[tuple[Shot, NDArray[np.uint8], float]]:
        """Return the pictures whose face was found again, with it aligned, and how good that is."""
        refined = []
        for shot in shots:
            face = faces.get(id(shot))
            if face is not None:
                aligned = self._images.aligned(shot.portrait, face)
                refined.append((shot, aligned, self._images.quality(aligned, face)))
        return refined

    async def _recorded(
        self, task: SegmentTask, candidacies: Sequence[Candidacy], policy: MatchPolicy
    ) -> list[str | Drop]:
        """Record candidates; return for each the id of its sighting, or why there is none.

        Stills are made of those that need them: somebody whom an earlier search found has them.
        """
        if not candidacies:
            return []
        joined: list[str | Drop | None] = [None for _ in candidacies]
        if task.revisits:
            with stage("join", {"findings": len(candidacies)}):
                drafts = [_draft(task, one, policy) for one in candidacies]
                joined = await self._matcher.join(drafts)
        new = [one for one, told in zip(candidacies, joined, strict=True) if told is None]
        made = await self._with_stills(new)
        if made:
            with stage("record", {"findings": len(made)}):
                drafts = [_draft(task, one, policy) for one in made]
                left = iter(await self._matcher.record(drafts))
                joined = [next(left) if told is None else told for told in joined]
        recorded = [one for one in joined if one is not None]
        if Drop.FOOTAGE_REMOVED in recorded:
            raise footage_not_found(task.footage.footage_id)
        return recorded

    async def _with_stills(self, candidacies: Sequence[Candidacy]) -> list[Candidacy]:
        """Return candidates with their stills, which several of one appearance share."""
        found = list(dict.fromkeys(one.appearance for one in candidacies))
        stills = dict(zip(found, await self._stills.make(found), strict=True))
        return [replace(one, stills=stills[one.appearance]) for one in candidacies]


@dataclass(frozen=True, slots=True, eq=False)
class Candidacy:
    """An appearance that is alike to a subject."""

    appearance: Appearance
    likeness: Likeness
    rival_score: float | None
    """Of whoever else is most alike, see `nearest_other`."""
    stills: Sequence[Still] | None = None
    """Of its pictures; None before they are made."""


def _draft(task: SegmentTask, one: Candidacy, policy: MatchPolicy) -> SightingDraft:
    appearance, likeness = one.appearance, one.likeness
    stills = [None for _ in appearance.shots] if one.stills is None else one.stills
    best = clearest(stills, likeness.scores)
    shot = appearance.shots[best]
    # Somebody is in view until the picture after the last one that shows them.
    end = task.timeline.end_of(appearance.end)
    assert timedelta() <= appearance.start <= shot.offset <= end, "a sighting holds its still"
    assert end <= task.footage.media.duration, "a sighting lies inside the recording"
    return SightingDraft(
        scan_id=task.scan_id,
        footage=task.footage,
        match=likeness.match,
        best_shot_score=likeness.scores[best],
        rival_score=one.rival_score,
        policy=policy,
        true_start=task.segment.true_start,
        start=appearance.start,
        end=end,
        best_shot=shot.offset,
        face_height_px=shot.box.height,
        template=appearance.fused,
        stills=draft_stills(appearance, stills, likeness.scores, best=best),
        include_rejected_before=task.include_rejected_before,
        requester=task.requester,
    )


class Comparisons:
    """The comparisons of one segment. A batch takes all tracks that wait when it begins.

    Leaving the block early cancels the running batches.
    """

    def __init__(self, comparer: Comparer, task: SegmentTask) -> None:
        self._comparer = comparer
        self._task = task
        self._waiting: list[Track[Shots]] = []
        self._running: set[asyncio.Task[None]] = set()
        self.counts = Counts()
        self.incomparable: list[IncomparablePerson] = []
        """People in view in the part that was asked for."""
        self._sighting_ids: dict[str, None] = {}

    @property
    def sighting_ids(self) -> tuple[str, ...]:
        """Ids of the sightings recorded so far, each once."""
        return tuple(self._sighting_ids)

    async def take(self, tracks: Sequence[Track[Shots]]) -> None:
        """Queue tracks to be compared; raises the error of an earlier comparison."""
        self._waiting += tracks
        await self._go_on(beside=TRACKS_BESIDE)

    async def finish(self) -> None:
        """Wait until all tracks are compared."""
        await self._go_on(beside=1)
        while self._running:
            await self._first_settled()
            await self._go_on(beside=1)

    async def _go_on(self, *, beside: int) -> None:
        """Begin to compare the tracks that wait, beside another batch if they are so many."""
        self._settle([batch for batch in self._running if batch.done()])
        if len(self._running) == BATCHES and len(self._waiting) > MOST_WAITING:
            await self._first_settled()
        least = beside if self._running else 1
        if len(self._waiting) >= least and len(self._running) < BATCHES:
            batch, self._waiting = self._waiting, []
            self._running.add(asyncio.create_task(self._compare(batch)))

    async def _first_settled(self) -> None:
        done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        self._settle(done)

    def _settle(self, done: Iterable[asyncio.Task[None]]) -> None:
        for batch in done:
            self._running.discard(batch)
            batch.result()

    async def _compare(self, batch: Sequence[Track[Shots]]) -> None:
        compared = await self._comparer.compare(self._task, batch)
        self.counts += compared.counts
        self.incomparable += compared.incomparable
        self._sighting_ids.update(dict.fromkeys(compared.sighting_ids))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for batch in self._running:
            batch.cancel()
        # The search has failed already, and says why.
        await asyncio.gather(*self._running, return_exceptions=True)
