"""How much of bystanders' faces a clip leaves visible, and how much of the subject's it shows.

    python bench/blur_clips.py --street group-409:36:48 --street turned-202:34:44
    python bench/blur_clips.py --video ../shared/data/videos/arcade-1080p.mp4 --scrfd DET.onnx

Makes clips with the code of the services: decoding in cages, the embedding service on loopback, the
tracker, the blur. What a clip leaves visible is measured by blurring noise in place of each picture
as the clip's picture was blurred: pixels of the noise that come out as they went in are visible.

A recording of `bench/street.py` has everybody's true face box in every picture. Of other footage
the truth is what a heavier detector (SCRFD) finds in tiles of the picture and of its enlargement,
joined with what YuNet does there; `--frames FOLDER` has pictures with these boxes, to be looked at.

What a clip itself still shows is told by running the detector over the finished file, and comparing
each face that it finds, but for the subject's, with the same face in the recording: how many would
be recognised.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import onnxruntime
import structlog
from numpy.typing import NDArray
from street_truth import Person, Truth

from homeward.core.vision.alignment import align
from homeward.embedding.adapters.caged_pictures import CagedPictureDecoder
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.model import Detection
from homeward.embedding.ports import FaceDetector, LoadedPack
from homeward.embedding.servicer import EmbeddingServicer
from homeward.embedding.settings import EmbeddingSettings
from homeward.embedding.usecases import AnalyzePhoto, DetectFaces, EmbedFaces
from homeward.evaluation.footage import _Scorer, _served
from homeward.ingestion.adapters.clip_encoder import X264ClipEncoder
from homeward.ingestion.adapters.clip_images import CvClipImages, painted
from homeward.ingestion.adapters.embedding import IDEMPOTENT, GrpcFaceFinder
from homeward.ingestion.adapters.images import CvFaceImages
from homeward.ingestion.adapters.media import CagedFrameSource
from homeward.ingestion.adapters.probe import CagedProber
from homeward.ingestion.clip.cover import Cover
from homeward.ingestion.clip.making import ClipMaking, ClipParts
from homeward.ingestion.clip.model import ClipRequest, FinishedClip, SightingPlace
from homeward.ingestion.footage.model import Footage, FootageHeader
from homeward.ingestion.footage.timeline import Examination, Timeline
from homeward.ingestion.scan.compare import Comparer
from homeward.ingestion.scan.faces import Frame
from homeward.servicekit.clients import open_channel
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.server import GrpcServer

START = datetime(2026, 3, 4, 10, tzinfo=UTC)
THRESHOLD = 0.365
"""Of the policy that comes with Homeward, `yunet-sface/4`."""
HEAVY_EVERY = 5
"""Of the pictures of footage without truth, that the heavy detector looks at."""
SHOWN_SHARE = 0.9
"""Share of the subject's face that has to be visible for it to count as shown."""
EXPOSED_SHARE = 0.1
"""Share of a bystander's face above which it counts as exposed."""
SAME_FACE = 0.2
"""Overlap of two boxes that are of one face."""
SEEN_SCORE = 0.6
"""Detector score from which on a face in a finished clip counts as seen."""
LEAST_OPEN = 0.5
"""Share of a face that has to be in the picture and not behind others to count."""

Box = tuple[float, float, float, float]


class _Painter(CvClipImages):
    """Paints as the service does, and remembers which pixels were left as they were."""

    def __init__(self) -> None:
        self.visible: dict[timedelta, NDArray[np.bool_]] = {}
        self.whole: set[timedelta] = set()
        self._noise: NDArray[np.uint8] | None = None

    def redacted(self, frame: Frame, cover: Cover, text: str) -> NDArray[np.uint8]:
        height, width = frame.picture.height, frame.picture.width
        if self._noise is None:
            rng = np.random.default_rng(1)
            self._noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if cover.whole:
            self.whole.add(frame.offset)
            left = np.zeros((height, width), np.bool_)
        else:
            left = (painted(self._noise, cover) == self._noise).all(axis=2)
        self.visible[frame.offset] = left
        return super().redacted(frame, cover, text)


class _Places:
    """Where the sighting is: the stretch that is asked for."""

    def __init__(self, stretch: tuple[float, float]) -> None:
        first, last = (timedelta(seconds=one) for one in stretch)
        self._place = SightingPlace(
            "bench", "subject", "bench", "0" * 64, first, last, first, START
        )

    async def place(self, _: str) -> SightingPlace:
        return self._place

    async def seal_clip(self, _: FinishedClip) -> None:
        return None


class _Library:
    """One recording."""

    def __init__(self, path: Path, url: str, examined: Examination) -> None:
        header = FootageHeader("bench", path.name, START, path.stat().st_size, "0" * 64)
        self._footage = Footage("bench", header, examined.media, START, START + timedelta(days=1))
        self._url, self._timeline = url, examined.timeline

    async def get(self, _: str) -> Footage:
        return self._footage

    async def up_to_date(self, footage: Footage) -> Footage:
        return footage

    async def timeline(self, _: Footage) -> Timeline:
        return self._timeline

    async def url(self, _: Footage) -> str:
        return self._url


@dataclass
class Bench:
    """What makes clips."""

    faces: GrpcFaceFinder
    source: CagedFrameSource
    prober: CagedProber
    pictures: BoundedExecutor
    pack: LoadedPack

    async def clip(
        self, path: Path, stretch: tuple[float, float], gallery: Mapping[str, NDArray[np.float32]]
    ) -> tuple[FinishedClip, _Painter]:
        """Make a clip of a stretch of a recording, for the one person of a gallery."""
        painter, images = _Painter(), CvFaceImages()
        matcher: Any = _Scorer(gallery, THRESHOLD)
        with _served(path) as url:
            library: Any = _Library(path, url, await self.prober.probe(url))
            making = ClipMaking(
                ClipParts(
                    sightings=_Places(stretch),
                    matcher=matcher,
                    footage=library,
                    source=self.source,
                    faces=self.faces,
                    comparer=Comparer(
                        faces=self.faces, images=images, matcher=matcher, executor=self.pictures
                    ),
                    images=images,
                    painter=painter,
                    encoder=X264ClipEncoder(),
                    executor=self.pictures,
                ),
                at_once=1,
            )
            async for step in making.make(ClipRequest("bench", margin=timedelta())):
                if isinstance(step, FinishedClip):
                    return step, painter
        raise RuntimeError("no clip came")


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Serve the models on loopback."""
    pack = load_configured(EmbeddingSettings())
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        workers = await enter(BoundedExecutor("embedding", workers=2, queue=64))
        photos = await enter(BoundedExecutor("photos", workers=1, queue=64))
        decoding = await enter(BoundedExecutor("decode", workers=1, queue=2))
        pictures = await enter(BoundedExecutor("pictures", workers=2, queue=64))
        probing = await enter(BoundedExecutor("probe", workers=1, queue=2))
        decoder = CagedPictureDecoder()
        servicer = EmbeddingServicer(
            detect=DetectFaces(decoder, pack.detector),
            embed=EmbedFaces(pack.recogniser),
            analyze=AnalyzePhoto(decoder, pack.detector, pack.recogniser),
            model=pack.model,
            executor=workers,
            photo_executor=photos,
            batches_in_flight=4,
        )
        server = GrpcServer([servicer.service()], listen="127.0.0.1:0", checks={}, grace_seconds=1)
        await server.start()
        stack.push_async_callback(server.stop)
        target = f"127.0.0.1:{server.port}"
        channel = await enter(open_channel(target, idempotent=IDEMPOTENT))
        source = CagedFrameSource(decoding, decoders=1)
        stack.callback(source.close)
        prober = CagedProber(probing)
        stack.callback(prober.close)
        yield Bench(GrpcFaceFinder(channel, target), source, prober, pictures, pack)


@dataclass
class Figures:
    """What was measured of one clip."""

    name: str
    pictures: int
    whole: int
    faces: int = 0
    """Of bystanders, in all pictures."""
    area: float = 0.0
    """Their pixels."""
    visible: float = 0.0
    """Those of them that are left as they were."""
    exposed: int = 0
    """Faces of which more than a tenth is visible."""
    exposed_at: list[tuple[int, Box, float]] = field(default_factory=list)
    subject_faces: int = 0
    subject_shown: int = 0
    """Faces of the subject of which more than nine tenths are visible."""
    seen_in_clip: int = 0
    """Faces that a detector finds in the finished clip, other than the subject's."""
    recognised: list[tuple[int, float]] = field(default_factory=list)
    """Those of them that are as alike as a candidate to the same face in the recording: picture and
    score."""
    most_alike: float = -1.0
    seconds: float = 0.0
    file_bytes: int = 0

    def told(self) -> dict[str, Any]:
        """Return the figures as they are printed."""
        return {
            "clip": self.name,
            "pictures": self.pictures,
            "blurred as a whole": self.whole,
            "bystanders' faces": self.faces,
            "share of their area visible": round(self.visible / max(1.0, self.area), 5),
            "of which more than a tenth is visible": self.exposed,
            "subject's faces": self.subject_faces,
            "of which shown": self.subject_shown,
            "detected in the clip beside the subject's": self.seen_in_clip,
            "of which would be recognised": len(self.recognised),
            "most alike": round(self.most_alike, 3),
            "seconds to make": round(self.seconds, 1),
            "MB": round(self.file_bytes / 1e6, 2),
        }


def measured(
    figures: Figures, number: int, box: Box, visible: NDArray[np.bool_], *, subject: bool
) -> None:
    """Add a face to the figures."""
    height, width = visible.shape
    x0, y0 = max(0, round(box[0])), max(0, round(box[1]))
    x1, y1 = min(width, round(box[0] + box[2])), min(height, round(box[1] + box[3]))
    part = visible[y0:y1, x0:x1]
    if not part.size:
        return
    share = float(part.mean())
    if subject:
        figures.subject_faces += 1
        figures.subject_shown += share > SHOWN_SHARE
        return
    figures.faces += 1
    figures.area += part.size
    figures.visible += float(part.sum())
    if share > EXPOSED_SHARE:
        figures.exposed += 1
        figures.exposed_at.append((number, box, share))


def decoded(data: bytes) -> list[NDArray[np.uint8]]:
    """Return the pictures of a clip."""
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def pictures_of(path: Path, numbers: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    """Yield some pictures of a recording, by their numbers, in order."""
    wanted = set(numbers)
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def seen(
    figures: Figures,
    clip: FinishedClip,
    recorded: Iterator[NDArray[np.uint8]],
    pack: LoadedPack,
    subject: Callable[[int], list[Box]],
) -> None:
    """Count the faces that are found in a clip, but for the subject's, and would be recognised."""
    for number, (image, original) in enumerate(zip(decoded(clip.file), recorded, strict=False)):
        own = subject(number)
        for found in pack.detector.detect(image, SEEN_SCORE):
            box = box_of(found)
            if any(overlap(box, one) >= SAME_FACE for one in own):
                continue
            figures.seen_in_clip += 1
            near = [
                one
                for one in pack.detector.detect(original, SEEN_SCORE)
                if overlap(box_of(one), box) >= SAME_FACE
            ]
            for one in near:
                pair = np.stack([align(image, found.landmarks), align(original, one.landmarks)])
                widths = np.array([box[2], box[2]], np.float32)
                first, second = pack.recogniser.embed(pair, widths)
                score = float(first @ second)
                figures.most_alike = max(figures.most_alike, score)
                if score >= THRESHOLD:
                    figures.recognised.append((number, round(score, 3)))


def box_of(found: Detection) -> Box:
    """Return the box of a detection."""
    return (found.box.x, found.box.y, found.box.width, found.box.height)


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0.0, across) * max(0.0, down)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def draw(folder: Path, name: str, clip: FinishedClip, truth: Callable[[int], list[Box]]) -> None:
    """Write some pictures of a clip, with the true boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    images = decoded(clip.file)
    for number in range(0, len(images), max(HEAVY_EVERY, len(images) // 60 * HEAVY_EVERY)):
        image = images[number]
        for x, y, w, h in truth(number):
            cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), (0, 255, 0), 1)
        cv2.imwrite(str(folder / f"{name}-{number:04d}.jpg"), image)


def references(pack: LoadedPack, told: Mapping[str, Any], name: str) -> NDArray[np.float32]:
    """Return the templates of somebody's reference photographs."""
    analyze = AnalyzePhoto(CagedPictureDecoder(), pack.detector, pack.recogniser)
    made = [analyze(Path(path).read_bytes()).template for path in told["subjects"][name]]
    return np.stack([one for one in made if one is not None])


def face_of(one: Person) -> Box:
    """Return somebody's true face box."""
    x, y, width, height = (float(each) for each in one.face)
    return x, y, width, height


async def street(
    running: Bench, stem: Path, given: tuple[float, float], frames: Path | None
) -> Figures:
    """Measure a clip of a recording of `bench/street.py`, for the subject who is longest in it."""
    told = json.loads(stem.with_suffix(".json").read_text())
    truth = Truth.load(stem.with_suffix(".npz"))
    first, last = (round(at * truth.fps) for at in given)
    present: dict[str, int] = {}
    for number in range(first, last):
        for one in truth.at(number):
            if one.is_subject:
                present[one.identity] = present.get(one.identity, 0) + 1
    name = max(present, key=lambda each: present[each])
    gallery = {"subject": references(running.pack, told, name)}
    begun = time.monotonic()
    clip, painter = await running.clip(stem.with_suffix(".mp4"), given, gallery)
    figures = Figures(f"{stem.name} {given}", clip.picture_count, len(painter.whole))
    figures.seconds, figures.file_bytes = time.monotonic() - begun, len(clip.file)
    numbers = []
    for at, visible in painter.visible.items():
        number = round(at.total_seconds() * truth.fps)
        numbers.append(number)
        for one in truth.at(number):
            if one.inside * (1 - one.hidden - one.covered) >= LEAST_OPEN:
                is_subject = one.identity == name
                measured(figures, number, face_of(one), visible, subject=is_subject)

    def own(index: int) -> list[Box]:
        return [face_of(one) for one in truth.at(numbers[index]) if one.identity == name]

    recorded = pictures_of(stem.with_suffix(".mp4"), numbers)
    seen(figures, clip, recorded, running.pack, own)
    if frames:
        draw(frames, stem.name, clip, lambda n: [face_of(one) for one in truth.at(numbers[n])])
    return figures


async def video(running: Bench, path: Path, scrfd: Scrfd | None, frames: Path | None) -> Figures:
    """Measure a clip of footage of which nobody knows the truth; nobody in it is the subject."""
    gallery = {"subject": np.eye(1, 128, dtype=np.float32)}
    with av.open(str(path)) as container:
        length = float(container.duration or 0) / 1e6
    begun = time.monotonic()
    clip, painter = await running.clip(path, (0.0, min(length, 60.0)), gallery)
    figures = Figures(path.name, clip.picture_count, len(painter.whole))
    figures.seconds, figures.file_bytes = time.monotonic() - begun, len(clip.file)
    truth: list[list[Box]] = []
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for number, visible in enumerate(painter.visible.values()):
        if number % HEAVY_EVERY:
            truth.append([])
            continue
        boxes = heavy(running.pack.detector, scrfd, pictures[number])
        truth.append(boxes)
        for box in boxes:
            measured(figures, number, box, visible, subject=False)
    recorded = pictures_of(path, range(len(painter.visible)))
    seen(figures, clip, recorded, running.pack, lambda _: [])
    if frames:
        draw(frames, path.stem, clip, lambda number: truth[number])
    return figures


def heavy(yunet: FaceDetector, scrfd: Scrfd | None, image: NDArray[np.uint8]) -> list[Box]:
    """Return the faces that two detectors find in a picture and its enlargement."""
    found: list[tuple[float, Box]] = []
    for factor in (1.0, 1.5):
        sized = image if factor == 1.0 else cv2.resize(image, None, fx=factor, fy=factor)
        detections = [
            (one.score, (one.box.x, one.box.y, one.box.width, one.box.height))
            for one in yunet.detect(sized, 0.5)
        ]
        if scrfd is not None:
            detections += scrfd.detect(np.asarray(sized, np.uint8), 0.5)
        found += [
            (score, (x / factor, y / factor, w / factor, h / factor))
            for score, (x, y, w, h) in detections
        ]
    kept: list[Box] = []
    for _, box in sorted(found, key=lambda one: -one[0]):
        if all(overlap(box, other) < SAME_FACE for other in kept):
            kept.append(box)
    return kept


class Scrfd:
    """SCRFD (InsightFace, non-commercial research) for pictures of 640 x 640: 3 strides, 2 anchors.

    Args:
        path: Its ONNX file.
    """

    side, step = 640, 480

    def __init__(self, path: Path) -> None:
        self._session = onnxruntime.InferenceSession(str(path))
        self._input = self._session.get_inputs()[0].name

    def detect(self, image: NDArray[np.uint8], least: float) -> list[tuple[float, Box]]:
        """Return the faces of a picture, tile by tile; one face may be among them several times."""
        found: list[tuple[float, Box]] = []
        height, width = image.shape[:2]
        for top in range(0, max(1, height - self.side + self.step), self.step):
            for left in range(0, max(1, width - self.side + self.step), self.step):
                part = image[top : top + self.side, left : left + self.side]
                found += [
                    (score, (x + left, y + top, w, h))
                    for score, (x, y, w, h) in self._tile(part, least)
                ]
        return found

    def _tile(self, part: NDArray[np.uint8], least: float) -> list[tuple[float, Box]]:
        tile = np.zeros((self.side, self.side, 3), np.uint8)
        tile[: part.shape[0], : part.shape[1]] = part
        blob = cv2.dnn.blobFromImage(tile, 1 / 128, mean=(127.5, 127.5, 127.5), swapRB=True)
        outputs = self._session.run(None, {self._input: blob})
        found: list[tuple[float, Box]] = []
        for level, stride in enumerate((8, 16, 32)):
            scores = outputs[level].reshape(-1)
            edges = outputs[level + 3].reshape(-1, 4) * stride
            for index in np.flatnonzero(scores >= least):
                y, x = divmod(int(index) // 2, self.side // stride)
                left, top, right, bottom = (float(one) for one in edges[index])
                box = (x * stride - left, y * stride - top, left + right, top + bottom)
                found.append((float(scores[index]), box))
        return found


async def main(arguments: Sequence[str]) -> None:
    """Measure the clips that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(__file__).parent / ".footage")
    parser.add_argument("--street", action="append", default=[], metavar="STEM:FROM:TO")
    parser.add_argument("--video", action="append", default=[], type=Path)
    parser.add_argument("--scrfd", type=Path, help="SCRFD's ONNX file")
    parser.add_argument("--frames", type=Path, help="folder for pictures to look at")
    given = parser.parse_args(arguments)
    scrfd = Scrfd(given.scrfd) if given.scrfd else None
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    async with bench() as running:
        for one in given.street:
            stem, first, last = one.split(":")
            [path] = sorted(given.cache.glob(f"{stem}*.npz"))
            figures = await street(
                running, path.with_suffix(""), (float(first), float(last)), given.frames
            )
            print(json.dumps(figures.told()), flush=True)
            print("  exposed:", figures.exposed_at[:5], figures.recognised[:5], flush=True)
        for path in given.video:
            figures = await video(running, path, scrfd, given.frames)
            print(json.dumps(figures.told()), flush=True)
            print("  exposed:", figures.exposed_at[:5], figures.recognised[:5], flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
