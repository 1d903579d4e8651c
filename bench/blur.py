"""Measure how much of other people's faces is left recognisable in the stills of candidates.

    python bench/blur.py --faces ../shared/data/faces --set groups
    python bench/blur.py --video ../shared/data/videos/arcade-1080p.mp4 --pictures /tmp/look

Everybody who is followed counts as a candidate, so that each person has stills, and all others in
them are bystanders. Where a bystander's true face is, in a street's frame, a chequered pattern is
put in place of the picture, as fine as an eighth of that face, and the still is made of it with the
boxes that the scan found: a pixel is left if half of the pattern's contrast is. What the detector
misses counts.

A video without truth is compared with what a detector finds in its frames at twice their size, but
for what it finds in the person's own hair. For each way of hiding, the share of the bystanders'
face area is printed that it leaves, in brackets of how many bystanders more than a tenth of the
face is left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from street import CACHE, SETS
from street_truth import Truth

from homeward.core.vision.redaction import overlap, redact
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.ports import FaceDetector
from homeward.embedding.settings import EmbeddingSettings
from homeward.evaluation import footage
from homeward.evaluation.footage import FootageSearcher, searcher
from homeward.ingestion.adapters.images import CvFaceImages
from homeward.ingestion.scan.faces import Box, Frame, Portrait, Template
from homeward.ingestion.scan.model import Candidate, Drop, Match, MatchPolicy
from homeward.ingestion.scan.ports import Closeup, SightingDraft, Still
from homeward.ingestion.scan.segment import ScannerParts, SegmentScanner
from homeward.ingestion.scan.stills import is_on_head
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.logs import configure_logging

PATTERNS = 8
"""Squares of the pattern across a bystander's face."""

LEFT = 0.5
"""Share of the pattern's contrast from which on a pixel is left recognisable."""

SURE = 0.6
"""Score of a face at twice the size that counts as one, where there is no truth."""

WAYS = ("before", "faces", "neighbours", "everybody", "surroundings")
"""Of hiding people: as in November 2026; the boxes of the picture itself; those of the pictures
beside it too; those of a search of the still too; and the surroundings. Each with those before."""


@dataclass(frozen=True, slots=True)
class TrueFace:
    """A face that is in a frame."""

    box: Box
    head: Box
    """Hair to chin."""
    hidden: float
    """Share of it that others, or an umbrella, hide, in [0, 1]."""


MOSTLY_HIDDEN = 0.9
"""Hidden share from which on a face is not there to be seen. Of what is hidden less, all counts."""

Faces = Callable[[timedelta], Sequence[TrueFace]]
"""Tells the true faces in the frame of a time."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedPortrait(Portrait):
    """A portrait that knows where it is from."""

    offset: timedelta = timedelta()
    left: float = 0.0
    top: float = 0.0
    in_picture: int = 0
    """How many of the others were found in the picture itself."""


@dataclass
class Tally:
    """What is left, in pixels of true faces."""

    total: int = 0
    left: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    bystanders: int = 0
    seen: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    """Bystanders of whose face more than a tenth is left."""
    stills: int = 0

    def add(self, other: Tally) -> None:
        """Add another one."""
        self.total += other.total
        self.bystanders += other.bystanders
        self.stills += other.stills
        for way in WAYS:
            self.left[way] += other.left[way]
            self.seen[way] += other.seen[way]


class MeasuringImages(CvFaceImages):
    """Makes stills, and measures each."""

    def __init__(self, faces: Faces, pictures: Path | None) -> None:
        self._faces = faces
        self._pictures = pictures
        self._known: dict[tuple[timedelta, float, float], tuple[Box, ...]] = {}
        """By still, the others that were known before it was searched itself."""
        self.measured: dict[bytes, Tally] = {}
        """By still."""

    def portrait(self, frame: Frame, face: Box, others: Sequence[Box]) -> Portrait:
        """Return a portrait that knows where it is from."""
        made = super().portrait(frame, face, others)
        return PlacedPortrait(
            made.picture,
            made.face,
            made.others,
            offset=frame.offset,
            left=face.x - made.face.x,
            top=face.y - made.face.y,
            in_picture=len(others),
        )

    def surroundings(self, portrait: Portrait) -> Sequence[Closeup]:
        """Remember how many others are known before the still is searched."""
        assert isinstance(portrait, PlacedPortrait), "as made above"
        self._known[portrait.offset, portrait.left, portrait.top] = portrait.others
        return super().surroundings(portrait)

    def still(self, portrait: Portrait) -> Still:
        """Make a still, and measure it."""
        assert isinstance(portrait, PlacedPortrait), "as made above"
        true = [
            replace(
                one,
                box=one.box.moved(-portrait.left, -portrait.top),
                head=one.head.moved(-portrait.left, -portrait.top),
            )
            for one in self._faces(portrait.offset)
        ]
        own = max(true, key=lambda one: overlap(one.box, portrait.face), default=None)
        made = super().still(portrait)
        if own is not None and overlap(own.box, portrait.face) > 0.2:  # noqa: PLR2004 - a face
            others = [one for one in true if one is not own and not self._is_hair(own, one)]
            self.measured[made.picture] = self._measure(portrait, own, others)
        if self._pictures is not None:
            name = f"{portrait.offset.total_seconds():07.2f}-{portrait.left:.0f}-{portrait.top:.0f}"
            (self._pictures / f"{name}.jpg").write_bytes(made.picture)
        return made

    def _is_hair(self, own: TrueFace, other: TrueFace) -> bool:
        """Tell whether a face without truth is the person's own hair, as a detector has it."""
        return other.head == other.box and is_on_head(own.box, other.box)

    def _measure(
        self, portrait: PlacedPortrait, own: TrueFace, others: Iterable[TrueFace]
    ) -> Tally:
        tally = Tally(stills=1)
        shape = (portrait.picture.height, portrait.picture.width)
        for other in others:
            # Who is in front of somebody hides them with hair and all.
            me = own.head if other.hidden else own.box
            there = _ellipse(other.box, shape) & ~_ellipse(me, shape)
            count = int(there.sum())
            if not count or other.hidden >= MOSTLY_HIDDEN:
                continue
            pattern = _pattern(shape, max(1, round(other.box.width / PATTERNS)))
            tally.total += count
            tally.bystanders += 1
            for way in WAYS:
                left = int((_contrast(self._hidden(way, pattern, portrait)) >= LEFT)[there].sum())
                tally.left[way] += left
                tally.seen[way] += left > count / 10
        return tally

    def _hidden(
        self, way: str, pattern: NDArray[np.uint8], portrait: PlacedPortrait
    ) -> NDArray[np.uint8]:
        known = self._known[portrait.offset, portrait.left, portrait.top]
        others = {
            "before": known[: portrait.in_picture],
            "faces": known[: portrait.in_picture],
            "neighbours": known,
        }.get(way, portrait.others)
        if way == "before":
            return _as_before(pattern, portrait.face, others)
        return redact(pattern, portrait.face, others, surroundings=way == "surroundings")


class Everybody:
    """A `Matcher` to whom each appearance is alike to one person.

    Args:
        images: Has measured the stills.
    """

    def __init__(self, images: MeasuringImages) -> None:
        self._images = images
        self.tally = Tally()

    async def match(
        self, probes: Sequence[Template], _: Sequence[str], *, margin: float = 0.0
    ) -> tuple[list[list[Match]], MatchPolicy]:
        """Return one match of each probe."""
        del margin
        return [[Match("somebody", "", 1.0)] for _ in probes], MatchPolicy("blur", 0.0)

    async def record(self, drafts: Sequence[SightingDraft]) -> list[str | Drop]:
        """Add up what the stills of a finding leave, and forget it."""
        for still in (one for draft in drafts for one in draft.stills):
            if (measured := self._images.measured.get(still.picture)) is not None:
                self.tally.add(measured)
        return [Drop.SUBJECT_CLOSED] * len(drafts)

    async def candidates(self, _: Sequence[str]) -> list[Candidate]:
        """Return none."""
        return []

    async def case_references(self, _: Collection[str]) -> Mapping[str, str]:
        """Return none."""
        return {}

    async def require_searchable(self, _: Sequence[str]) -> None:
        """Search."""


def _ellipse(box: Box, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where a face is in its box."""
    rows, columns = np.indices(shape, np.float32)
    x, y = box.centre
    return ((columns + 0.5 - x) / (box.width / 2)) ** 2 + (
        (rows + 0.5 - y) / (box.height / 2)
    ) ** 2 <= 1


def _pattern(shape: tuple[int, int], square: int) -> NDArray[np.uint8]:
    rows, columns = np.indices(shape)
    light = (rows // square + columns // square) % 2
    return np.repeat((light * 255).astype(np.uint8)[..., None], 3, axis=2)


def _contrast(pattern: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.abs(pattern[..., 0].astype(np.float32) - 127.5) / np.float32(127.5)


def _as_before(picture: NDArray[np.uint8], own: Box, others: Iterable[Box]) -> NDArray[np.uint8]:
    """Return a picture as stills were made until November 2026."""

    def cells(box: Box, margin: float) -> tuple[slice, slice]:
        height, width = picture.shape[:2]
        dx, dy = box.width * margin, box.height * margin
        x0, x1 = (int(np.clip(v, 0, width)) for v in (box.x - dx, box.x + box.width + dx))
        y0, y1 = (int(np.clip(v, 0, height)) for v in (box.y - dy, box.y + box.height + dy))
        return slice(y0, y1), slice(x0, x1)

    result = picture.copy()
    for other in others:
        place = cells(other, 0.35)
        if result[place].size:
            few = cv2.resize(result[place], (6, 6), interpolation=cv2.INTER_AREA)
            size = result[place].shape[1::-1]
            result[place] = cv2.resize(few, size, interpolation=cv2.INTER_LINEAR)
    kept = cells(own, 0.1)
    result[kept] = picture[kept]
    return result


def true_faces(path: Path) -> Faces:
    """Return the true faces of a street."""
    truth = Truth.load(path)
    return lambda offset: [
        TrueFace(
            Box(*(float(value) for value in one.face)),
            Box(*(float(value) for value in one.head)),
            one.hidden + one.covered,
        )
        for one in truth.near(offset.total_seconds())
        if one.inside > 0
    ]


def found_faces(path: Path, detector: FaceDetector) -> Faces:
    """Return what a detector finds in the frames of a video at twice their size."""
    found: dict[float, list[TrueFace]] = defaultdict(list)
    with av.open(str(path)) as container:
        first = None
        for number, frame in enumerate(container.decode(video=0)):
            time = float(frame.time or 0.0)
            first = time if first is None else first
            if number % 5:
                continue  # five a second of 25
            image = frame.to_ndarray(format="bgr24")
            large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
            found[round(time - first, 3)] = [
                TrueFace(box, box, 0.0)
                for one in detector.detect(large, SURE)
                for box in [Box(one.box.x, one.box.y, one.box.width, one.box.height).scaled(0.5)]
            ]
    times = np.array(sorted(found))
    return lambda offset: found[float(times[np.abs(times - offset.total_seconds()).argmin()])]


async def measure(opened: FootageSearcher, path: Path, images: MeasuringImages) -> Tally:
    """Search a recording, with everybody a candidate; return what its stills leave."""
    everybody = Everybody(images)
    parts = ScannerParts(
        source=opened._source,  # noqa: SLF001 - as an evaluation searches, with stills
        faces=opened._faces,  # noqa: SLF001
        images=images,
        matcher=everybody,
        presence=None,
        incomparable=None,
        executor=opened._executor,  # noqa: SLF001
        clock=SystemClock(),
    )
    scanner = SegmentScanner(parts, sample_rate=5.0, gated=False)
    with footage._served(path) as url:  # noqa: SLF001
        examined = await opened._prober.probe(url)  # noqa: SLF001
        for task in footage._tasks(path, examined):  # noqa: SLF001
            await scanner.scan(task, url, footage._nothing)  # noqa: SLF001
    return everybody.tally


def told(name: str, tally: Tally) -> None:
    """Print a row."""
    shares = " | ".join(
        f"{tally.left[way] / max(tally.total, 1):.2%} ({tally.seen[way]})" for way in WAYS
    )
    print(f"| {name} | {tally.stills} | {tally.bystanders} | {shares} |", flush=True)


async def run(asked: argparse.Namespace) -> None:
    """Measure what is asked for."""
    pack = load_configured(EmbeddingSettings())
    total = Tally()
    print(f"| recording | stills | bystanders | {' | '.join(WAYS)} |\n{'|---' * 8}|")
    async with searcher(
        detector=pack.detector, recogniser=pack.recogniser, model=pack.model, threads=2
    ) as opened:
        if asked.pictures is not None:
            asked.pictures.mkdir(parents=True, exist_ok=True)
        for path, faces in recordings(asked, pack.detector):
            images = MeasuringImages(faces, asked.pictures)
            tally = await measure(opened, path, images)
            told(path.stem, tally)
            total.add(tally)
    told("all", total)
    print(json.dumps({way: total.left[way] / max(total.total, 1) for way in WAYS}))


def recordings(asked: argparse.Namespace, detector: FaceDetector) -> Iterable[tuple[Path, Faces]]:
    """Yield the recordings to measure on, with their true faces."""
    for path in asked.video:
        yield path, found_faces(path, detector)
    for street in SETS[asked.set] if asked.set else ():
        if not asked.seed or street.seed in asked.seed:
            path, _, truth = street.make(asked.faces, asked.cache, detector)
            yield path, true_faces(truth)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, help="photographs, identity/*.jpg, for --set")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of made footage")
    parser.add_argument("--set", choices=SETS, help="streets to measure on")
    parser.add_argument("--seed", type=int, action="append", help="only these of the set")
    parser.add_argument("--video", type=Path, action="append", default=[], help="without truth")
    parser.add_argument("--pictures", type=Path, help="folder for the stills, to look at")
    configure_logging("blur", "error")
    cv2.setNumThreads(1)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
