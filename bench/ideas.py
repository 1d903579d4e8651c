"""Try ideas for better recognition on labelled footage, each beside what is there.

    python bench/ideas.py --shared ../shared [IDEA ...]

Thresholds are chosen on the first half of the seeds and hold on the second, and the other way
round; what is printed is the mean of both. Nothing of anybody is kept but scores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from footage import recognition_clips
from numpy.typing import NDArray

from homeward.core import fusing
from homeward.core.vision import alignment
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.settings import EmbeddingSettings
from homeward.evaluation import dataset, metrics
from homeward.evaluation.dataset import Clip
from homeward.evaluation.footage import (
    Comparison,
    gallery_of,
    reference_photos,
    searcher,
    searches,
    usable,
)
from homeward.evaluation.photos import Measurer
from homeward.servicekit.logs import configure_logging

CACHE = Path(__file__).parent / ".footage"
SEEDS = (101, 102, 103, 104, 105, 106)
DARK_SEEDS = (111, 112)
WRONG_LABELS = ("Hasan_Wirayuda", "Hassan_Wirajuda")
"""One person under two names, as `homeward evaluate` tells: never enrolled."""

FPIR = 0.01
DRAWS = 1000
JITTER_PX = 2.0

Faces = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Embed = Callable[[Faces], Vectors]
Way = Callable[[Embed, Faces], Vectors]
"""How faces are embedded, by what embeds them."""


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of unit length."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def as_it_is(embed: Embed, faces: Faces) -> Vectors:
    """Return what is there."""
    return embed(faces)


def mirrored(embed: Embed, faces: Faces) -> Vectors:
    """Return the mean of a face and its mirror image."""
    return unit(embed(faces) + embed(np.ascontiguousarray(faces[:, :, ::-1])))


def jittered(embed: Embed, faces: Faces) -> Vectors:
    """Return the mean of a face, moved a little to four sides: alignment that errs less."""
    total = embed(faces)
    for dx, dy in ((-JITTER_PX, 0), (JITTER_PX, 0), (0, -JITTER_PX), (0, JITTER_PX)):
        move = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
        moved = [
            cv2.warpAffine(face, move, face.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
            for face in faces
        ]
        total = total + embed(np.array(moved, np.uint8))
    return unit(total)


def equalised(embed: Embed, faces: Faces) -> Vectors:
    """Normalise the light by CLAHE on the luminance."""
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4))
    done = []
    for face in faces:
        lab = cv2.cvtColor(face, cv2.COLOR_BGR2LAB)
        lab[:, :, 0] = clahe.apply(lab[:, :, 0])
        done.append(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR))
    return embed(np.array(done, np.uint8))


def brightened(embed: Embed, faces: Faces) -> Vectors:
    """Bring dark faces, and no others, to a mean luminance of 110 by a gamma."""
    done = []
    for face in faces:
        mean = float(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)[20:100, 20:92].mean())
        if mean >= 80:  # noqa: PLR2004 - what counts as dark
            done.append(face)
            continue
        gamma = np.log(110 / 255) / np.log(max(mean, 2.0) / 255)
        table = (255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
        done.append(cv2.LUT(face, table))
    return embed(np.array(done, np.uint8))


@dataclass(frozen=True)
class Ways:
    """A recogniser that embeds in another way."""

    inner: Any
    way: Way

    def embed(self, faces: Faces) -> Vectors:
        """Return unit-length vectors."""
        return self.way(self.inner.embed, faces)


@contextlib.contextmanager
def cubic() -> Iterator[None]:
    """Align with cubic interpolation."""
    warp = partial(cv2.warpAffine)

    def call(image: Any, matrix: Any, size: Any, **_: Any) -> Any:  # noqa: ANN401 - OpenCV's
        return warp(image, matrix, size, flags=cv2.INTER_CUBIC)

    with mock.patch.object(alignment.cv2, "warpAffine", call):
        yield


def both(embed: Embed, faces: Faces) -> Vectors:
    """Normalise the light and take the mirror image in."""
    return equalised(partial(mirrored, embed), faces)


@dataclass(frozen=True)
class Idea:
    """How the faces of footage and of photographs are embedded."""

    footage: Way
    photos: Way
    within: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


IDEAS = {
    "as it is": Idea(as_it_is, as_it_is),
    "mirrored": Idea(mirrored, mirrored),
    "mirrored photographs": Idea(as_it_is, mirrored),
    "jittered": Idea(jittered, jittered),
    "cubic": Idea(as_it_is, as_it_is, cubic),
    "CLAHE": Idea(equalised, equalised),
    "CLAHE, mirrored": Idea(both, both),
    "gamma": Idea(brightened, brightened),
}


@dataclass(frozen=True)
class Found:
    """The appearances of a recording, by time: of each the score of each row of the gallery."""

    clip: Clip
    rows: dict[tuple[float, float], list[Comparison]]


async def scored(clips: Sequence[Clip], pack: Any, idea: Idea) -> list[Found]:  # noqa: ANN401
    """Search clips; each photograph and each person's mean are people of their own."""
    recogniser = Ways(pack.recogniser, idea.footage)
    measurer = Measurer(
        PillowPictureDecoder(), pack.detector, Ways(pack.recogniser, idea.photos), threads=2
    )
    photos = reference_photos(clips, WRONG_LABELS)
    photos.sort(key=lambda photo: (photo.identity, photo.path.name))  # the first one is `one`
    known = usable(photos, measurer.measure(photos))
    found = []
    async with searcher(
        detector=pack.detector, recogniser=recogniser, model=pack.model, threads=2
    ) as opened:
        for clip in clips:
            gallery: dict[str, Vectors] = {}
            for name, vectors in gallery_of(clip, known).items():
                gallery |= {f"{name}#{n}": one[None] for n, one in enumerate(vectors)}
                gallery[f"{name}#mean"] = fusing.fuse(vectors)[None]
            rows: dict[tuple[float, float], list[Comparison]] = {}
            for one in await opened.search(clip.path, gallery, 5.0):
                rows.setdefault((one.start, one.end), []).append(one)
            found.append(Found(clip, rows))
            print(".", end="", file=sys.stderr, flush=True)
    return found


Combine = Callable[[list[Comparison]], dict[str, float]]
"""From the scores of one appearance to how alike it is to each person."""


def combining(
    kind: str = "score", gallery: str = "mean", *, norm: bool = False, rival: float = 0.0
) -> Combine:
    """Return how scores become one for each person.

    Args:
        kind: `score`, `fused` or `best_shot`.
        gallery: `mean` template, `best` photograph, `both`, or `one` photograph only.
        norm: Subtract the mean over everybody else who is enrolled, and divide by the deviation.
        rival: Subtract so much of the highest of everybody else who is enrolled.
    """

    def combine(rows: list[Comparison]) -> dict[str, float]:
        best: dict[str, float] = {}
        for row in rows:
            name, _, part = row.identity.partition("#")
            taken = {
                "best": part != "mean",
                "mean": part == "mean",
                "both": True,
                "one": part == "0",
            }
            if taken[gallery]:
                best[name] = max(best.get(name, -1.0), getattr(row, kind))
        if rival:
            first, second = sorted(best.values())[:-3:-1]
            return {
                name: value - rival * (second if value == first else first)
                for name, value in best.items()
            }
        if not norm:
            return best
        values = np.array(list(best.values()))
        total, squares, count = values.sum(), (values**2).sum(), len(values) - 1
        done = {}
        for name, value in best.items():
            mean = (total - value) / count
            deviation = np.sqrt(max((squares - value**2) / count - mean**2, 1e-6))
            done[name] = float((value - mean) / deviation)
        return done

    return combine


COMBINED = {
    "": combining(),
    "fused": combining("fused"),
    "best shot": combining("best_shot"),
    "one reference": combining(gallery="one"),
    "best of the references": combining(gallery="best"),
    "best of the references and their mean": combining(gallery="both"),
    "normalised": combining(norm=True),
    "less a half of the nearest other": combining(rival=0.5),
}


@dataclass(frozen=True)
class Outcome:
    """Searches for enrolled people and of strangers, with whose and of which half they are."""

    mated: NDArray[np.float64]
    whose: NDArray[np.int64]
    heads: NDArray[np.float64]
    mated_half: NDArray[np.bool_]
    strangers: NDArray[np.float64]
    stranger_half: NDArray[np.bool_]


def outcome(found: Sequence[Found], combine: Combine) -> Outcome:
    """Return what searches come to."""
    told = [
        (search, _number(one.clip))
        for one in found
        for search in searches(one.clip, *_combined(one, combine))
    ]
    numbers = sorted({number for _, number in told})
    first = set(numbers[: len(numbers) // 2])
    mated = [(search, number) for search, number in told if search.identity]
    others = [(search, number) for search, number in told if not search.identity]
    names = {search.identity: None for search, _ in mated}
    return Outcome(
        mated=np.array([search.score for search, _ in mated]),
        whose=np.array([list(names).index(search.identity) for search, _ in mated]),
        heads=np.array([search.head_px for search, _ in mated]),
        mated_half=np.array([number in first for _, number in mated]),
        strangers=np.array([search.score for search, _ in others]),
        stranger_half=np.array([number in first for _, number in others]),
    )


def _number(clip: Clip) -> int:
    """Return the seed of a recording; that of its twin without people to find is 100 more."""
    return int(clip.path.stem.rpartition("-")[2]) % 100


def _combined(found: Found, combine: Combine) -> tuple[list[Comparison], list[str]]:
    """Return one score for each appearance and person, and who is enrolled."""
    rows = [
        Comparison(name, start, end, 0.0, score, score, score)
        for (start, end), each in found.rows.items()
        for name, score in combine(each).items()
    ]
    return rows, list({row.identity: None for row in rows})


def errors(one: Outcome) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return who is missed and who is falsely found, at thresholds of the other half."""
    missed, false = np.zeros(len(one.mated), bool), np.zeros(len(one.strangers), bool)
    for half in (True, False):
        threshold = np.quantile(one.strangers[one.stranger_half != half], 1 - FPIR, method="higher")
        missed |= (one.mated_half == half) & (one.mated <= threshold)
        false |= (one.stranger_half == half) & (one.strangers > threshold)
    return missed, false


def tell(name: str, one: Outcome, before: Outcome) -> None:
    """Print the rates of an idea, and how it differs from what is there."""
    missed, false = errors(one)
    base, _ = errors(before)

    def difference(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array(
            [
                (weights * missed).sum() / weights.sum(),
                (weights * (missed.astype(float) - base)).sum() / weights.sum(),
            ]
        )

    value = difference(np.ones(len(one.mated)))
    drawn = metrics.redrawn(difference, one.whose, metrics.Bootstrap(DRAWS, seed=1))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    small = one.heads < 45  # noqa: PLR2004 - half of them
    print(
        f"| {name} | {value[0]:.3f} [{low[0]:.3f}, {high[0]:.3f}] |"
        f" {value[1]:+.3f} [{low[1]:+.3f}, {high[1]:+.3f}] |"
        f" {missed[small].mean():.3f} / {missed[~small].mean():.3f} | {false.mean():.4f} |",
        flush=True,
    )


def main() -> None:
    """Try ideas."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--dark", action="store_true", help="footage of a badly lit night")
    parser.add_argument("--seeds", type=int, nargs="+", help="of other footage")
    parser.add_argument("ideas", nargs="*", default=list(IDEAS))
    asked = parser.parse_args()
    configure_logging("ideas", "error")
    cv2.setNumThreads(1)
    tool, faces = asked.shared / "tools" / "make_footage.py", asked.shared / "data" / "faces"
    light, seeds = (0.3, asked.seeds or DARK_SEEDS) if asked.dark else (1.0, asked.seeds or SEEDS)
    paths = [clip.make(tool, faces, CACHE)[0] for clip in recognition_clips(seeds, light=light)]
    clips = [dataset.read_clip(path) for path in paths]
    pack = load_configured(EmbeddingSettings())
    print("| idea | FNIR | difference | heads under / over 45 px | FPIR |\n|---|---|---|---|---|")
    before = None
    for name in ["as it is", *(one for one in asked.ideas if one != "as it is")]:
        idea = IDEAS[name]
        begun = time.monotonic()
        with idea.within():
            found = asyncio.run(scored(clips, pack, idea))
        print(f" {name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
        before = before or outcome(found, combining())
        for combine, combined in COMBINED.items():
            tell(", ".join(filter(None, (name, combine))), outcome(found, combined), before)
    mated = 0 if before is None else len(before.mated)
    others = 0 if before is None else len(before.strangers)
    print(f"\n{mated} appearances of enrolled people, {others} of strangers")


if __name__ == "__main__":
    main()
