"""Groups who cross, searched by the scan and by a plain loop with the same models and threshold.

    python bench/groups.py --faces ../shared/data/faces

The loop takes every fifth picture at full size, compares every face in it by itself, and lists
whoever is at or above the threshold: what somebody writes in an afternoon. A subject is found if
they are listed while they are in view; whoever is listed at another time is a wrong candidate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from street import CACHE, SETS, Street

from homeward.core import fusing
from homeward.core.policy import read_policy
from homeward.core.vision.alignment import align
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.ports import LoadedPack
from homeward.embedding.settings import EmbeddingSettings
from homeward.evaluation import dataset
from homeward.evaluation.footage import (
    SLACK_SECONDS,
    FootageSearcher,
    gallery_of,
    reference_photos,
    searcher,
    usable,
)
from homeward.evaluation.photos import Measurer
from homeward.ingestion.scan.face_sizes import MIN_FACE_WIDTH_PX
from homeward.servicekit.logs import configure_logging

POLICY = Path(__file__).parent.parent / "services/homeward/core/policies/yunet-sface.json"
EVERY = 5
"""Pictures from one that the loop takes to the next."""

LEAST_SCORE = 0.6
"""Of a face that the loop compares, as in OpenCV's own example."""

Gallery = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Listed:
    """Somebody who is listed: when, and how alike."""

    identity: str
    start: float
    end: float
    score: float


@dataclass(frozen=True)
class Outcome:
    """What one way of searching came to."""

    found: dict[str, float]
    """By subject the highest score while they were in view."""
    wrong: int
    """Subjects who were listed while they were not in view."""
    seconds: float


def plain_loop(path: Path, gallery: Gallery, pack: LoadedPack, threshold: float) -> list[Listed]:
    """Search a recording as a simple script does."""
    names = list(gallery)
    templates = np.stack([fusing.fuse(gallery[name]) for name in names])
    listed = []
    for at, image in _pictures(path):
        faces = [
            one
            for one in pack.detector.detect(image, LEAST_SCORE)
            if one.box.width >= MIN_FACE_WIDTH_PX
        ]
        if faces:
            aligned = np.stack([align(image, one.landmarks) for one in faces])
            widths = np.array([one.box.width for one in faces], np.float32)
            scores = pack.recogniser.embed(aligned, widths) @ templates.T
            listed += [
                Listed(names[column], at, at, float(scores[row, column]))
                for row, column in np.argwhere(scores >= threshold)
            ]
    return listed


def _pictures(path: Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % EVERY == 0:
                yield float(frame.time or 0.0), frame.to_ndarray(format="bgr24")


async def scan(
    opened: FootageSearcher, path: Path, gallery: Gallery, threshold: float
) -> list[Listed]:
    """Search a recording as a scanner does, early forgetting included."""
    return [
        Listed(one.identity, one.start, one.end, one.score)
        for one in await opened.search(path, gallery, 5.0, threshold=threshold)
    ]


def outcome(clip: dataset.Clip, listed: Sequence[Listed], seconds: float) -> Outcome:
    """Tell who was found, and who was listed wrongly."""
    views: dict[str, list[dataset.Appearance]] = {}
    for one in clip.appearances:
        views.setdefault(one.identity, []).append(one)
    found: dict[str, float] = {}
    wrong = set()
    for one in listed:
        if any(
            one.start <= view.last + SLACK_SECONDS and one.end >= view.first - SLACK_SECONDS
            for view in views.get(one.identity, ())
        ):
            found[one.identity] = max(found.get(one.identity, -1.0), one.score)
        else:
            wrong.add(one.identity)
    return Outcome(found, len(wrong), seconds)


def shipped_threshold() -> float:
    """Return the threshold of the policy that comes with Homeward."""
    return read_policy(POLICY.read_bytes()).threshold


def known_photos(
    clips: Sequence[dataset.Clip], pack: LoadedPack
) -> dict[dataset.Photo, NDArray[np.float32]]:
    """Return the templates of all photographs that are references in recordings."""
    photos = reference_photos(clips, ())
    measurer = Measurer(PillowPictureDecoder(), pack.detector, pack.recogniser, threads=2)
    return usable(photos, measurer.measure(photos))


async def compare(streets: Sequence[Street], faces: Path, threshold: float) -> list[dict[str, Any]]:
    """Search recordings in both ways; print and return a row for each."""
    pack = load_configured(EmbeddingSettings())
    files = [street.make(faces, CACHE, pack.detector)[0] for street in streets]
    clips = [dataset.read_clip(path) for path in files]
    known = known_photos(clips, pack)
    rows = []
    async with searcher(
        detector=pack.detector, recogniser=pack.recogniser, model=pack.model, threads=2
    ) as opened:
        for street, clip in zip(streets, clips, strict=True):
            gallery = gallery_of(clip, known)
            begun = time.monotonic()
            scanned = await scan(opened, clip.path, gallery, threshold)
            between = time.monotonic()
            looped = plain_loop(clip.path, gallery, pack, threshold)
            ours = outcome(clip, scanned, between - begun)
            theirs = outcome(clip, looped, time.monotonic() - between)
            rows.append(_row(street, clip, gallery, ours, theirs))
            print(_line(rows[-1]), flush=True)
    return rows


def _row(
    street: Street, clip: dataset.Clip, gallery: Gallery, ours: Outcome, theirs: Outcome
) -> dict[str, Any]:
    heads = {one.identity: sum(one.head_px) / 2 for one in clip.appearances}
    return {
        "clip": f"{street.name}-{street.seed}",
        "subjects": len({one.identity for one in clip.appearances if one.identity in gallery}),
        "scan": {"found": len(ours.found), "wrong": ours.wrong, "seconds": ours.seconds},
        "loop": {"found": len(theirs.found), "wrong": theirs.wrong, "seconds": theirs.seconds},
        "missed": [
            {"head_px": heads[name], "loop_score": round(score, 3)}
            for name, score in theirs.found.items()
            if name not in ours.found
        ],
    }


def _line(row: Mapping[str, Any]) -> str:
    ours, theirs = row["scan"], row["loop"]
    missed = ", ".join(
        f"{one['loop_score']:.3f} ({one['head_px']:.0f} px)" for one in row["missed"]
    )
    return (
        f"| {row['clip']} | {row['subjects']} | {ours['found']} / {ours['wrong']} |"
        f" {theirs['found']} / {theirs['wrong']} | {missed or 'nobody'} |"
        f" {ours['seconds']:.1f} s | {theirs['seconds']:.1f} s |"
    )


def told(faces: Path) -> list[dict[str, Any]]:
    """Print how the scan compares with a plain loop on all groups, and return it."""
    print(
        "| clip | subjects | scan: found / wrong | loop: found / wrong | only by the loop, at"
        " | scan | loop |\n|---|---|---|---|---|---|---|"
    )
    rows = asyncio.run(compare(SETS["groups"], faces, shipped_threshold()))
    total = {
        way: (sum(row[way]["found"] for row in rows), sum(row[way]["wrong"] for row in rows))
        for way in ("scan", "loop")
    }
    print(json.dumps(total))
    return rows


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="photographs, `identity/*.jpg`")
    configure_logging("groups", "error")
    cv2.setNumThreads(1)
    told(parser.parse_args().faces)


if __name__ == "__main__":
    main()
