"""Measure how much of other people's faces is left recognisable in the stills of candidates.

    python bench/blur.py --faces ../shared/data/faces --set groups
    python bench/blur.py --video ../shared/data/videos/arcade-1080p.mp4 --pictures /tmp/look

Everybody who is followed counts as a candidate, so that each person has stills, and all others in
them are bystanders. In place of the picture there is a chequered pattern, as fine as an eighth of a
bystander's face, and the still is made of it with the boxes that the scan found: a pixel of the
face is left if half of the pattern's contrast is. What the detector misses counts. Of a street it
is known which pixels of each face nobody and nothing hides, and those are counted.

A video without truth is compared with what a detector finds in its frames at twice their size, but
for what it finds in the person's own hair.

Printed are the share of the bystanders' visible face area that is left, of how many bystanders more
than a tenth is, how much of the visible part of the person's own face is left, and the processor
time that a still takes without the search of it.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from street import CACHE, SETS, Street
from street_truth import Truth

from homeward.core.vision.redaction import overlap, redact
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.ports import FaceDetector
from homeward.embedding.settings import EmbeddingSettings
from homeward.evaluation import footage
from homeward.evaluation.footage import FootageSearcher, searcher
from homeward.ingestion.adapters.images import CvFaceImages, shown_region
from homeward.ingestion.scan.faces import Box, Frame, Portrait, Template
from homeward.ingestion.scan.model import Candidate, Drop, Match, MatchPolicy
from homeward.ingestion.scan.ports import SightingDraft, Still
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

MOSTLY, HALF = 0.9, 0.5
"""Shares of the person's own face of which it is told how many stills leave less."""

OWN = 0.2
"""Overlap of the person's box and a true face from which on that face is the person's."""


@dataclass(frozen=True, slots=True, eq=False)
class TrueFace:
    """A face that is in a frame."""

    box: Box
    visible: NDArray[np.bool_] | None
    """Which pixels of the frame show the person; None where that is not known."""


Faces = Callable[[timedelta], Sequence[TrueFace]]
"""Tells the true faces in the frame of a time."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedPortrait(Portrait):
    """A portrait that knows where it is from."""

    offset: timedelta = timedelta()
    left: int = 0
    top: int = 0


@dataclass
class Tally:
    """What is left, in pixels of true faces."""

    total: int = 0
    left: int = 0
    bystanders: int = 0
    exposed: int = 0
    """Bystanders of whose face more than a tenth is left."""
    own: list[float] = field(default_factory=list)
    """Of each still, how much of the visible part of the person's own face is left."""
    seconds: list[float] = field(default_factory=list)
    """Of each still, processor time."""

    def add(self, other: Tally) -> None:
        """Add another one."""
        self.total += other.total
        self.left += other.left
        self.bystanders += other.bystanders
        self.exposed += other.exposed
        self.own += other.own
        self.seconds += other.seconds


class MeasuringImages(CvFaceImages):
    """Makes stills, and measures each."""

    def __init__(self, faces: Faces, pictures: Path | None) -> None:
        self._faces = faces
        self._pictures = pictures
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
            left=round(face.x - made.face.x),
            top=round(face.y - made.face.y),
        )

    def still(self, portrait: Portrait) -> Still:
        """Make a still, and measure it."""
        assert isinstance(portrait, PlacedPortrait), "as made above"
        begun = time.thread_time()
        made = super().still(portrait)
        took = time.thread_time() - begun
        if (tally := self._measure(portrait)) is not None:
            tally.seconds.append(took)
            self.measured[made.picture] = tally
        if self._pictures is not None:
            name = f"{portrait.offset.total_seconds():07.2f}-{portrait.left}-{portrait.top}"
            (self._pictures / f"{name}.jpg").write_bytes(made.picture)
        return made

    def _measure(self, portrait: PlacedPortrait) -> Tally | None:
        """Return what a still of a portrait leaves; None where the person's true face is unknown.

        The pattern is not made smaller, as stills of large faces are.
        """
        region = shown_region(portrait)
        right, down = portrait.left + region.left, portrait.top + region.top
        shape = (region.bottom - region.top, region.right - region.left)
        face = portrait.face.moved(-region.left, -region.top)
        others, behind = (
            [one.moved(-region.left, -region.top) for one in several]
            for several in (portrait.others, portrait.behind)
        )
        true = [(one.box.moved(-right, -down), one.visible) for one in self._faces(portrait.offset)]
        own = max(true, key=lambda one: overlap(one[0], face), default=None)
        if own is None or overlap(own[0], face) <= OWN:
            return None
        tally = Tally()
        here = np.s_[down : down + shape[0], right : right + shape[1]]
        for one in true:
            box, visible = one
            there = _ellipse(box, shape)
            if visible is not None:
                there &= visible[here]
            elif one is not own:
                if is_on_head(own[0], box):
                    continue  # the person's own hair, as a detector has it
                there &= ~_ellipse(own[0], shape)
            count = int(there.sum())
            if not count:
                continue
            pattern = _pattern(shape, max(1, round(box.width / PATTERNS)))
            hidden = redact(pattern, face, others, behind=behind, surroundings=True)
            left = int((_contrast(hidden) >= LEFT)[there].sum())
            if one is own:
                tally.own.append(left / count)
                continue
            tally.total += count
            tally.left += left
            tally.bystanders += 1
            tally.exposed += left > count / 10
        return tally


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

    async def join(self, drafts: Sequence[SightingDraft]) -> list[str | Drop | None]:
        """Ask for the stills of all."""
        return [None for _ in drafts]

    async def record(self, drafts: Sequence[SightingDraft]) -> list[str | Drop]:
        """Add up what the stills of a finding leave, and forget it."""
        stills = (one.still for draft in drafts for one in draft.stills)
        for still in stills:
            assert still is not None, "they are made before a finding is recorded"
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


def true_faces(street: Street, path: Path) -> Faces:
    """Return the true faces of a street."""
    truth = Truth.load(path)
    visible = street.visible(truth)

    def of_time(offset: timedelta) -> Sequence[TrueFace]:
        number = round(offset.total_seconds() * truth.fps)
        shown = visible(number)
        return [
            TrueFace(Box(*(float(value) for value in one.face)), shown[one.person])
            for one in truth.at(number)
            if one.inside > 0
        ]

    return of_time


def found_faces(path: Path, detector: FaceDetector) -> Faces:
    """Return what a detector finds in the frames of a video at twice their size."""
    found: dict[float, list[TrueFace]] = defaultdict(list)
    with av.open(str(path)) as container:
        first = None
        for number, frame in enumerate(container.decode(video=0)):
            seconds = float(frame.time or 0.0)
            first = seconds if first is None else first
            if number % 5:
                continue  # five a second of 25
            image = frame.to_ndarray(format="bgr24")
            large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
            found[round(seconds - first, 3)] = [
                TrueFace(box.scaled(0.5), None)
                for one in detector.detect(large, SURE)
                for box in [Box(one.box.x, one.box.y, one.box.width, one.box.height)]
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
    own = np.array(tally.own or [0.0])
    row = [
        name,
        len(tally.own),
        tally.bystanders,
        f"{tally.left / max(tally.total, 1):.3%}",
        tally.exposed,
        f"{own.mean():.1%}",
        int((own < MOSTLY).sum()),
        int((own < HALF).sum()),
        f"{1000 * np.mean(tally.seconds or [0.0]):.1f} ms",
    ]
    print(f"| {' | '.join(map(str, row))} |", flush=True)


async def run(asked: argparse.Namespace) -> None:
    """Measure what is asked for."""
    pack = load_configured(EmbeddingSettings())
    total = Tally()
    columns = (
        "recording | stills | bystanders | their area left | more than a tenth left"
        " | own face left | of less than 0.9 | of less than 0.5 | processor time"
    )
    print(f"| {columns} |\n{'|---' * 9}|")
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


def recordings(asked: argparse.Namespace, detector: FaceDetector) -> Iterable[tuple[Path, Faces]]:
    """Yield the recordings to measure on, with their true faces."""
    for path in asked.video:
        yield path, found_faces(path, detector)
    for street in SETS[asked.set] if asked.set else ():
        if not asked.seed or street.seed in asked.seed:
            path, _, truth = street.make(asked.faces, asked.cache, detector)
            yield path, true_faces(street, truth)


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
