"""Finding faces at several sizes.

A detector misses those that are much smaller or larger than the ones that it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeward.ingestion.scan.faces import Box, Face

FACTORS = (0.5, 1.0)
"""Sizes at which a picture is searched, in parts of its own. YuNet finds faces of some 10 to 300
pixels."""

LEAST_SCORE = 0.3
"""Of the detector. Many of the less certain ones are no faces, and blurring those does no harm."""

SAME_FACE = 0.4
"""Overlap, as intersection over union, of two boxes that are the same face."""


MOST_FOUND = 240
"""Faces that are told of a picture: several times as many as there may be in one that is not
blurred as a whole (`cover.MOST_FACES`). A picture can be made to have thousands, and each would be
compared with all others."""


def merged(found: Sequence[Sequence[Face]], factors: Sequence[float]) -> list[Face]:
    """Return the faces of a picture that were found at several sizes, each once, surest first.

    No more than `MOST_FOUND` of them.

    Args:
        found: Of each size, in its pixels.
        factors: The sizes, in parts of the picture's own.
    """
    enlarged = [
        Face(face.box.scaled(1 / factor), face.landmarks / factor, face.detector_score)
        for faces, factor in zip(found, factors, strict=True)
        for face in faces
    ]
    kept: list[Face] = []
    for face in sorted(enlarged, key=lambda one: -one.detector_score):
        if len(kept) == MOST_FOUND:
            break
        if all(overlap(face.box, other.box) < SAME_FACE for other in kept):
            kept.append(face)
    return kept


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union."""
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    common = max(0.0, across) * max(0.0, down)
    return common / (one.width * one.height + other.width * other.height - common)
