"""Labelled recordings, searched as a scanner searches them, with every appearance scored.

Nothing of anybody is kept but scores: no still is made, and templates end with the appearance.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, Collection, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homeward.core import fusing
from homeward.embedding.adapters.caged_pictures import CagedPictureDecoder
from homeward.embedding.model import ModelPack
from homeward.embedding.ports import FaceDetector, FaceRecogniser
from homeward.embedding.servicer import EmbeddingServicer
from homeward.embedding.usecases import AnalyzePhoto, DetectFaces, EmbedFaces
from homeward.evaluation.dataset import Appearance, Clip, Photo
from homeward.evaluation.metrics import NOTHING
from homeward.evaluation.photos import Sample
from homeward.ingestion.adapters.embedding import IDEMPOTENT, GrpcFaceFinder
from homeward.ingestion.adapters.images import CvFaceImages
from homeward.ingestion.adapters.media import CagedFrameSource
from homeward.ingestion.adapters.probe import CagedProber
from homeward.ingestion.footage.limits import MAX_EXAMINED_AT_ONCE
from homeward.ingestion.footage.model import Footage, FootageHeader
from homeward.ingestion.footage.timeline import Examination
from homeward.ingestion.scan.cut import pieces_of
from homeward.ingestion.scan.faces import Portrait, Template
from homeward.ingestion.scan.model import Candidate, Drop, Match, MatchPolicy, Segment
from homeward.ingestion.scan.ports import Closeup, SightingDraft, Still
from homeward.ingestion.scan.segment import ScannerParts, SegmentScanner
from homeward.ingestion.scan.task import SegmentTask
from homeward.servicekit.clients import open_channel
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.server import GrpcServer

SEGMENT = timedelta(seconds=60)
SLACK_SECONDS = 1.0
"""How far from somebody's time in view an appearance may be and still be theirs."""

EVERYBODY = -1.0
"""Least cosine similarity of a candidate, so that each appearance is scored for everybody."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One appearance that was followed, compared with one enrolled person."""

    identity: str
    """The enrolled person."""
    start: float
    """Seconds from the beginning of the recording."""
    end: float
    face_px: float
    """Height of the face in the picture that is most alike, pixels."""
    score: float
    """As a scan scores it: the most alike of the fused template and each picture."""
    fused: float
    """Of the fused template alone."""
    best_shot: float
    """Of the most alike picture alone."""


@dataclass(frozen=True, slots=True)
class Search:
    """Somebody's appearance, as far as it tells of errors."""

    clip: str
    identity: str
    """Who was in view; empty for an appearance that was followed while nobody enrolled was."""
    head_px: float
    """Mean of the least and the greatest height of the head, pixels."""
    score: float
    fused: float
    best_shot: float
    """Highest of those that were followed; below every threshold when nobody was."""


def reference_photos(clips: Sequence[Clip], leave_out: Collection[str]) -> list[Photo]:
    """Return all photographs that are references of somebody, but for some people's."""
    return list(
        dict.fromkeys(
            Photo(name, path)
            for clip in clips
            for name, paths in clip.references.items()
            for path in paths
            if name not in leave_out
        )
    )


def usable(photos: Sequence[Photo], samples: Sequence[Sample]) -> dict[Photo, NDArray[np.float32]]:
    """Return the templates of the photographs that enrolment takes."""
    return {
        photo: sample.reference
        for photo, sample in zip(photos, samples, strict=True)
        if sample.reference is not None and not sample.problems
    }


def gallery_of(
    clip: Clip, known: Mapping[Photo, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Return whom to search a recording for, with their templates, shape (k, d).

    Those are its own subjects, and others who are not in it. Somebody who is in it without
    references may be in it with a photograph that is a reference elsewhere, and is not looked for.
    """
    walking = {one.identity for one in clip.appearances}
    gallery: dict[str, list[NDArray[np.float32]]] = {}
    for photo, template in known.items():
        own = clip.references.get(photo.identity)
        if photo.path in own if own is not None else photo.identity not in walking:
            gallery.setdefault(photo.identity, []).append(template)
    return {name: np.array(templates) for name, templates in gallery.items()}


@asynccontextmanager
async def searcher(
    *,
    detector: FaceDetector,
    recogniser: FaceRecogniser,
    model: ModelPack,
    threads: int,
) -> AsyncGenerator[FootageSearcher, None]:
    """Serve models on loopback, as the embedding service does, and search with them."""
    async with AsyncExitStack() as stack:
        workers = await stack.enter_async_context(
            BoundedExecutor("embedding", workers=threads, queue=64)
        )
        looker = await stack.enter_async_context(BoundedExecutor("pictures", workers=1, queue=64))
        decoder = await stack.enter_async_context(
            BoundedExecutor("decode", workers=threads, queue=threads)
        )
        pictures = CagedPictureDecoder()  # starts no cage: footage comes as planes
        servicer = EmbeddingServicer(
            detect=DetectFaces(pictures, detector),
            embed=EmbedFaces(recogniser),
            analyze=AnalyzePhoto(pictures, detector, recogniser),
            model=model,
            executor=workers,
            photo_executor=workers,  # footage alone is evaluated
            batches_in_flight=4,
        )
        server = GrpcServer(
            [servicer.service()], listen="127.0.0.1:0", checks={}, grace_seconds=1.0
        )
        await server.start()
        stack.push_async_callback(server.stop)
        target = f"127.0.0.1:{server.port}"
        channel = await stack.enter_async_context(open_channel(target, idempotent=IDEMPOTENT))
        probers = await stack.enter_async_context(
            BoundedExecutor("probe", workers=MAX_EXAMINED_AT_ONCE, queue=MAX_EXAMINED_AT_ONCE)
        )
        source = CagedFrameSource(decoder, decoders=threads)
        stack.callback(source.close)
        prober = CagedProber(probers)
        stack.callback(prober.close)
        yield FootageSearcher(GrpcFaceFinder(channel, target), source, prober, looker)


class FootageSearcher:
    """Searches recordings for a gallery.

    Args:
        faces: Finds and embeds.
        source: Decodes.
        prober: Finds out what a file is.
        executor: Has one worker.
    """

    def __init__(
        self,
        faces: GrpcFaceFinder,
        source: CagedFrameSource,
        prober: CagedProber,
        executor: BoundedExecutor,
    ) -> None:
        self._faces = faces
        self._source = source
        self._executor = executor
        self._prober = prober

    async def search(
        self,
        path: Path,
        gallery: Mapping[str, NDArray[np.float32]],
        sample_rate: float,
        *,
        threshold: float = EVERYBODY,
    ) -> list[Comparison]:
        """Return how alike each appearance of a recording is to each enrolled person.

        Args:
            path: The recording.
            gallery: Of each person the templates of their photographs, shape (k, d).
            sample_rate: Pictures looked at per second of footage.
            threshold: Least cosine similarity of what is returned. With one, whoever is clearly
                below it is forgotten early, as by a scanner.
        """
        matcher = _Scorer(gallery, threshold)
        parts = ScannerParts(
            source=self._source,
            faces=self._faces,
            images=_NoStills(),
            matcher=matcher,
            presence=None,
            incomparable=None,
            executor=self._executor,
            clock=SystemClock(),
        )
        scanner = SegmentScanner(parts, sample_rate=sample_rate, gated=True)
        with _served(path) as url:
            examined = await self._prober.probe(url)
            for task in _tasks(path, examined):
                await scanner.scan(task, url, _nothing)
        # They are compared beside the search, in an order that is another each time.
        return sorted(matcher.scored, key=lambda one: (one.start, one.end, one.identity))


async def _nothing(_: Segment) -> None:
    pass


def _tasks(path: Path, examined: Examination) -> list[SegmentTask]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    header = FootageHeader("evaluation", path.name, start, path.stat().st_size, "0" * 64)
    footage = Footage(header.footage_id, header, examined.media, start, start + timedelta(days=1))
    return [
        SegmentTask(
            scan_id="evaluation",
            subject_ids=(),
            footage=footage,
            timeline=examined.timeline,
            segment=Segment(
                footage.footage_id, "evaluation", piece.start, piece.end, true_start=start
            ),
        )
        for piece in pieces_of(examined.media, SEGMENT)
    ]


class _NoStills(CvFaceImages):
    def surroundings(self, _: Portrait) -> Sequence[Closeup]:
        return ()

    def still(self, portrait: Portrait) -> Still:
        return Still(b"", portrait.face)  # nobody is to be seen


class _Scorer:
    """A `Matcher` that compares as the gallery does, and keeps scores and nothing else."""

    def __init__(self, gallery: Mapping[str, NDArray[np.float32]], threshold: float) -> None:
        self._threshold = threshold
        self._gallery = {name: fusing.fuse(templates) for name, templates in gallery.items()}
        self._templates = np.stack(list(self._gallery.values()))
        self.scored: list[Comparison] = []

    async def match(
        self, probes: Sequence[Template], _: Sequence[str], *, margin: float = 0.0
    ) -> tuple[list[list[Match]], MatchPolicy]:
        scores = np.clip(np.array([probe.values for probe in probes]) @ self._templates.T, -1, 1)
        least = max(self._threshold - margin, EVERYBODY)
        policy = MatchPolicy("evaluation", self._threshold)
        return [self._matches(row, least) for row in scores], policy

    def _matches(self, scores: NDArray[np.float32], least: float) -> list[Match]:
        scored = zip(self._gallery, scores.tolist(), strict=True)
        ranked = sorted(scored, key=lambda one: -one[1])
        return [Match(name, "", score) for name, score in ranked if score >= least]

    async def join(self, drafts: Sequence[SightingDraft]) -> list[str | Drop | None]:
        return [None for _ in drafts]  # the stills say which picture stands for a finding

    async def record(self, drafts: Sequence[SightingDraft]) -> list[str | Drop]:
        for one in drafts:
            fused = float(self._gallery[one.match.subject_id] @ one.template.values)
            self.scored.append(
                Comparison(
                    identity=one.match.subject_id,
                    start=one.start.total_seconds(),
                    end=one.end.total_seconds(),
                    face_px=one.face_height_px,
                    score=one.match.score,
                    fused=min(max(fused, -1.0), 1.0),
                    best_shot=NOTHING if one.best_shot_score is None else one.best_shot_score,
                )
            )
        return [Drop.SUBJECT_CLOSED] * len(drafts)

    async def candidates(self, _: Sequence[str]) -> list[Candidate]:
        return []

    async def case_references(self, _: Collection[str]) -> dict[str, str]:
        return {}

    async def require_searchable(self, _: Sequence[str]) -> None:
        pass


def searches(clip: Clip, scored: Sequence[Comparison], enrolled: Sequence[str]) -> list[Search]:
    """Return the searches that a recording amounts to.

    Each time that somebody enrolled is in view is one; what is most alike to them in that time
    counts, and nobody followed is a miss. Each appearance that was followed while nobody enrolled
    was in view is one of a stranger, whose most alike enrolled person counts. Appearances that are
    followed beside somebody enrolled are left out: the truth does not tell whose they are.
    """
    people = set(enrolled)
    known = [one for one in clip.appearances if one.identity in people]
    found = []
    for one in known:
        own = [each for each in scored if each.identity == one.identity and _overlap(each, one)]
        found.append(_search(clip, one.identity, sum(one.head_px) / 2, own))
    alone: dict[tuple[float, float], list[Comparison]] = {}
    for each in scored:
        if not any(_overlap(each, one) for one in known):
            alone.setdefault((each.start, each.end), []).append(each)
    found += [_search(clip, "", rows[0].face_px, rows) for rows in alone.values()]
    return found


def _search(clip: Clip, identity: str, head_px: float, rows: Sequence[Comparison]) -> Search:
    return Search(
        clip=clip.path.stem,
        identity=identity,
        head_px=head_px,
        score=max((row.score for row in rows), default=NOTHING),
        fused=max((row.fused for row in rows), default=NOTHING),
        best_shot=max((row.best_shot for row in rows), default=NOTHING),
    )


def _overlap(scored: Comparison, one: Appearance) -> bool:
    return scored.start <= one.last + SLACK_SECONDS and scored.end >= one.first - SLACK_SECONDS


_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


@contextmanager
def _served(path: Path) -> Generator[str, None, None]:
    """Serve one file on loopback, under a name that nobody can guess: scanners read by HTTP."""
    name = f"/{secrets.token_hex(16)}"
    size = path.stat().st_size

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = _RANGE.match(self.headers.get("Range", ""))
            if self.path != name or asked is None:
                self.send_error(404)
                return
            first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
            if first > last:
                self.send_error(416)
                return
            with path.open("rb") as file:
                file.seek(first)
                data = file.read(last - first + 1)
            self.send_response(206)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor(1) as thread:
        thread.submit(server.serve_forever)
        try:
            yield f"http://127.0.0.1:{server.server_port}{name}"
        finally:
            server.shutdown()
