"""Check the truth of street footage against the detector, and draw it to be looked at.

    python bench/street_check.py --faces ../shared/data/faces --set development --pictures /tmp/look

Prints, by head height, the share of faces in plain view that YuNet finds in every fifth frame at
the full size, and how far its landmarks are from the truth.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from street import CACHE, CAUSES, SETS
from street_heads import DETECTOR_ZERO
from street_truth import Person, Truth

from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.settings import EmbeddingSettings

BINS = (0, 24, 32, 40, 48, 64, 80, 120, 160, 400)
SCORE = 0.6
NEAR = 0.5
"""A detection is a face's if its middle is within this share of the face's width."""
EVERY = 5


def middle(box: Sequence[float] | NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the middle of a box of x, y, width, height."""
    return np.array([box[0] + box[2] / 2, box[1] + box[3] / 2], np.float64)


def landmark_error(person: Person, found: Sequence[Any]) -> float | None:
    """Return the mean distance of the nearest detection's landmarks over the face's width.

    None if no detection is at the face.
    """
    place, width = middle(person.face), float(person.face[2])
    best, error = NEAR * width, None
    for one in found:
        far = np.linalg.norm(middle([one.box.x, one.box.y, one.box.width, one.box.height]) - place)
        if far < best:
            gaps = np.linalg.norm(one.landmarks - DETECTOR_ZERO - person.landmarks, axis=1)
            best, error = float(far), float(gaps.mean()) / width
    return error


def drawn(picture: NDArray[np.uint8], people: Sequence[Person]) -> NDArray[np.uint8]:
    """Return a picture with the truth drawn on it: green for faces in plain view."""
    for one in people:
        colour = (0, 255, 0) if one.is_open() else (0, 0, 255)
        x, y, width, height = (round(float(value)) for value in one.face)
        cv2.rectangle(picture, (x, y), (x + width, y + height), colour, 1)
        for at in one.landmarks:
            cv2.circle(picture, (round(float(at[0])), round(float(at[1]))), 1, (255, 255, 0), -1)
        told = f"{one.person} {one.head_px:.0f}px {one.hidden:.2f} {one.yaw:.0f} {one.pitch:.0f}"
        cv2.putText(picture, told, (x, y - 4), cv2.FONT_HERSHEY_PLAIN, 0.8, colour)
    return picture


def main() -> None:
    """Check the recordings of a set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--set", choices=SETS, default="development")
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--without", choices=CAUSES, action="append", default=[])
    parser.add_argument("--pictures", type=Path, help="folder for frames with the truth drawn in")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    detector = load_configured(EmbeddingSettings()).detector
    totals: dict[int, list[float | None]] = defaultdict(list)
    for street in SETS[asked.set]:
        if asked.seed and street.seed not in asked.seed:
            continue
        video, _, table = street.without(*asked.without).make(asked.faces, asked.cache)
        errors = _errors(video, Truth.load(table), detector, asked.pictures)
        _tell(f"{street.name}-{street.seed}", errors)
        for least, some in errors.items():
            totals[least] += some
    _tell("all", totals)


def _errors(
    video: Path,
    truth: Truth,
    detector: Any,  # noqa: ANN401 - a port
    pictures: Path | None,
) -> dict[int, list[float | None]]:
    """Return the landmark errors of faces in plain view, None if not found, by head height."""
    errors: dict[int, list[float | None]] = defaultdict(list)
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            people = truth.at(number)
            if number % EVERY or not people:
                continue
            picture = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            found = detector.detect(picture, SCORE)
            for one in people:
                if one.is_open():
                    least = max(bound for bound in BINS if bound <= one.head_px)
                    errors[least].append(landmark_error(one, found))
            if pictures is not None and number % (20 * EVERY) == 0:
                pictures.mkdir(parents=True, exist_ok=True)
                path = pictures / f"{video.stem}-{number}.png"
                cv2.imwrite(str(path), drawn(picture, people))
    return errors


def _tell(name: str, errors: dict[int, list[float | None]]) -> None:
    parts = []
    for least in sorted(errors):
        seen = [one for one in errors[least] if one is not None]
        share = len(seen) / len(errors[least])
        error = f"{np.median(seen):.3f}" if seen else "-"
        parts.append(f"{least}+: {share:.2f} of {len(errors[least])}, {error}")
    print(f"{name} (head px: found, median landmark error / face width)")
    print("  " + "; ".join(parts), flush=True)


if __name__ == "__main__":
    main()
