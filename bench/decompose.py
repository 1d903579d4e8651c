"""Why people are missed in footage: each cause taken away in turn, and the truth put in its place.

    python bench/decompose.py --faces ../shared/data/faces

The same walks are filmed again without compression, then also without motion blur, noise, turned
heads and headwear. Each is searched as a scanner does, and once more with true landmarks: every
picture in which a face is whole is compared, however it was found. What the second way misses, no
gate, detector or tracker could find with this recogniser and these references.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from groups import known_photos, shipped_threshold
from numpy.typing import NDArray
from street import CACHE, SETS, Street
from street_heads import DETECTOR_ZERO
from street_truth import Truth

from homeward.core import fusing
from homeward.core.vision.alignment import align
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.ports import LoadedPack
from homeward.embedding.settings import EmbeddingSettings
from homeward.evaluation import dataset
from homeward.evaluation.footage import gallery_of, searcher, searches
from homeward.evaluation.metrics import NOTHING
from homeward.servicekit.logs import configure_logging

CAUSES = ("codec", "blur", "noise", "pose", "headwear")
BANDS = ((24, 48), (48, 80), (80, 201))
EVERY_SECONDS = 0.2
"""Between two pictures that are compared with true landmarks, as in a scan."""


@dataclass(frozen=True)
class Searched:
    """A subject who was in view, and how alike they were to themselves at most."""

    head_px: float
    scanned: float
    """As a scanner searches; `NOTHING` where nobody was followed."""
    fused: float
    """With true landmarks, all pictures in one template; `NOTHING` without a whole face."""
    best: float
    """With true landmarks, the most alike picture alone."""


def true_scores(
    path: Path, truth: Truth, wanted: dict[str, NDArray[np.float32]], pack: LoadedPack
) -> dict[str, tuple[float, float]]:
    """Return how alike everybody is to their references, with true landmarks.

    Args:
        path: The recording.
        truth: Of it.
        wanted: By identity, the template of the references.
        pack: Embeds.
    """
    step = max(1, round(truth.fps * EVERY_SECONDS))
    faces: dict[str, list[NDArray[np.uint8]]] = {}
    widths: dict[str, list[float]] = {}
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            people = [one for one in truth.at(number) if one.identity in wanted and one.is_open()]
            if number % step or not people:
                continue
            image = frame.to_ndarray(format="bgr24")
            for one in people:
                face = align(image, one.landmarks + DETECTOR_ZERO)
                faces.setdefault(one.identity, []).append(face)
                widths.setdefault(one.identity, []).append(one.face[2])
    found = {}
    for name, own in faces.items():
        templates = pack.recogniser.embed(np.stack(own), np.array(widths[name], np.float32))
        scores = templates @ wanted[name]
        found[name] = (float(fusing.fuse(templates) @ wanted[name]), float(scores.max()))
    return found


async def measure(streets: Sequence[Street], faces: Path, pack: LoadedPack) -> list[Searched]:
    """Search recordings in both ways."""
    made = [street.make(faces, CACHE, pack.detector) for street in streets]
    clips = [dataset.read_clip(video) for video, _, _ in made]
    known = known_photos(clips, pack)
    rows = []
    async with searcher(
        detector=pack.detector, recogniser=pack.recogniser, model=pack.model, threads=2
    ) as opened:
        for (video, _, table), clip in zip(made, clips, strict=True):
            gallery = gallery_of(clip, known)
            scored = await opened.search(video, gallery, 5.0)
            own = {
                name: fusing.fuse(templates)
                for name, templates in gallery.items()
                if name in clip.references
            }
            truly = true_scores(video, Truth.load(table), own, pack)
            rows += [
                Searched(one.head_px, one.score, *truly.get(one.identity, (NOTHING, NOTHING)))
                for one in searches(clip, scored, list(own))
                if one.identity
            ]
    return rows


def line(name: str, rows: Sequence[Searched], threshold: float) -> str:
    """Return a row of the table: shares missed in per cent, all and by the height of the head."""
    heads = np.array([row.head_px for row in rows])

    def shares(scores: Any) -> str:  # noqa: ANN401 - anything that becomes an array
        missed = np.array(scores) < threshold
        parts = [missed[(heads >= low) & (heads < high)] for low, high in BANDS]
        cells = " / ".join(f"{100 * part.mean():.0f}" if len(part) else "-" for part in parts)
        return f"{100 * missed.mean():.0f} ({cells})"

    unfollowed = sum(row.scanned == NOTHING for row in rows)
    return (
        f"| {name} | {len(rows)} | {unfollowed} | {shares([row.scanned for row in rows])} |"
        f" {shares([max(row.fused, row.best) for row in rows])} |"
        f" {shares([row.fused for row in rows])} |"
    )


def main() -> None:
    """Take causes away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="photographs, `identity/*.jpg`")
    parser.add_argument("--set", choices=sorted(SETS), default="development")
    parser.add_argument("--seed", type=int, action="append", help="only these of the set")
    asked = parser.parse_args()
    configure_logging("decompose", "error")
    cv2.setNumThreads(1)
    pack = load_configured(EmbeddingSettings())
    threshold = shipped_threshold()
    bands = ", ".join(f"{low} to {high} px" for low, high in BANDS)
    print(f"Missed at {threshold:.3f}, per cent, and of heads of {bands}\n")
    print(
        "| filmed without | subjects | nobody followed | as scanned | true landmarks |"
        " of these fused alone |\n|---|---|---|---|---|---|"
    )
    for number in range(len(CAUSES) + 1):
        taken = CAUSES[:number]
        streets = [
            street.without(*taken)
            for street in SETS[asked.set]
            if not asked.seed or street.seed in asked.seed
        ]
        rows = asyncio.run(measure(streets, asked.faces, pack))
        print(line(", ".join(taken) or "nothing: as it is", rows, threshold), flush=True)


if __name__ == "__main__":
    main()
