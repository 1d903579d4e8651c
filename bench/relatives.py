"""Count how often relatives are listed, and what the mark of doubtful candidates catches.

    python bench/relatives.py --shared ../shared

Photographs of families are compared with a gallery of other people, with one relative enrolled
beside them or with all. Nothing of anybody is kept but counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ideas import WRONG_LABELS

from homeward.cli.policy_figures import DOUBTFUL_MARGIN
from homeward.core import fusing
from homeward.embedding.adapters.pack import load_configured
from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.embedding.settings import EmbeddingSettings
from homeward.evaluation.dataset import Photo
from homeward.evaluation.photos import Measurer, Sample
from homeward.ingestion.scan.compare import RIVAL_MARGIN
from homeward.servicekit.logs import configure_logging

ENROLLED = 116
DRAWS = 20
THRESHOLDS = (0.30, 0.35, 0.365, 0.40)

Scores = Mapping[str, float]
"""How alike a photograph is to each enrolled person: to the mean of their other photographs."""


@dataclass
class Tally:
    """Comparisons of one kind at one threshold."""

    searches: int = 0
    listed: int = 0
    doubtful: int = 0

    def count(self, scores: Scores, name: str, threshold: float) -> None:
        """Take in how a photograph compares with somebody who is enrolled."""
        rival = max(score for other, score in scores.items() if other != name)
        listed = scores[name] >= threshold
        near = rival >= threshold - RIVAL_MARGIN and scores[name] - rival < DOUBTFUL_MARGIN
        self.searches += 1
        self.listed += listed
        self.doubtful += listed and near


class People:
    """Photographs with their templates."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        usable = [one for one in samples if not one.problems]
        self.names = [one.identity for one in usable]
        self._probes = np.array([one.template for one in usable], np.float32)
        self._references = np.array([one.reference for one in usable], np.float32)

    def of(self, names: Iterator[str] | Sequence[str]) -> list[int]:
        """Return the numbers of some people's photographs."""
        wanted = set(names)
        return [number for number, name in enumerate(self.names) if name in wanted]

    def scores(self, probe: int, enrolled: set[str]) -> Scores:
        """Compare a photograph with all others of some people."""
        photos: dict[str, list[int]] = {}
        for number in self.of(sorted(enrolled)):
            if number != probe:
                photos.setdefault(self.names[number], []).append(number)
        return {
            name: float(fusing.fuse(self._references[numbers]) @ self._probes[probe])
            for name, numbers in photos.items()
        }


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    shared = parser.parse_args().shared
    configure_logging("relatives", "error")
    pack = load_configured(EmbeddingSettings())
    measurer = Measurer(PillowPictureDecoder(), pack.detector, pack.recogniser, threads=2)
    families = photos(shared / "data" / "families")
    strangers = [
        photo for photo in photos(shared / "data" / "faces") if photo.identity not in WRONG_LABELS
    ]
    people = People(measurer.measure([*strangers, *families]))
    related = sorted({photo.identity for photo in families} & set(people.names))
    others = sorted(set(people.names) - set(related))
    print(f"{ENROLLED} of {len(others)} people enrolled, {DRAWS} draws; {len(related)} relatives")
    print("| threshold | searches | listed | of these marked |\n|---|---|---|---|")
    for threshold in THRESHOLDS:
        rng = np.random.default_rng(1)
        tallies: dict[str, Tally] = {}
        for _ in range(DRAWS):
            enrolled = set(rng.permutation(others)[:ENROLLED].tolist())
            for kind, scores, name in searches(people, enrolled, related, others):
                tallies.setdefault(kind, Tally()).count(scores, name, threshold)
        for kind, tally in tallies.items():
            print(
                f"| {threshold:.3f}: {kind} | {tally.searches} | {tally.listed} |"
                f" {tally.doubtful} |"
            )


def photos(folder: Path) -> list[Photo]:
    """Return the photographs of a folder for each person; those of a family begin with its name."""
    return [Photo(path.parent.name, path) for path in sorted(folder.glob("*/*.jpg"))]


def searches(
    people: People, enrolled: set[str], related: Sequence[str], others: Sequence[str]
) -> Iterator[tuple[str, Scores, str]]:
    """Yield the kind of each comparison, the scores of the photograph, and whom it is about."""
    for probe in people.of(related):
        seen = people.names[probe]
        kin = [name for name in related if name != seen and _family(name) == _family(seen)]
        for name in kin:
            yield "a relative, enrolled alone", people.scores(probe, enrolled | {name}), name
        everybody = people.scores(probe, enrolled | set(related))
        if seen in everybody:
            yield "themselves, relatives enrolled too", everybody, seen
            for name in kin:
                yield "a relative, enrolled beside themselves", everybody, name
    for probe in people.of(others):
        seen, scores = people.names[probe], people.scores(probe, enrolled)
        if seen not in enrolled:
            yield from (("somebody else", scores, name) for name in scores)
        elif seen in scores:
            yield "themselves", scores, seen


def _family(name: str) -> str:
    return name.partition("-")[0]


if __name__ == "__main__":
    main()
