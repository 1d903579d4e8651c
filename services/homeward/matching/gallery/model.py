"""Templates and what they are compared by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A face as a vector. Templates of different models cannot be compared."""

    values: NDArray[np.float32]
    """Shape (d,), unit length."""
    model_digest: str
    """Of the pack that made it."""


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle, pixels of the upright picture."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PhotoAnalysis:
    """The embedding service's judgement of a photograph."""

    problems: tuple[str, ...]
    """Why it cannot serve as a reference, as names of `PhotoProblem`; empty when it can."""
    box: Box | None
    quality: float
    template: Template | None
    other_faces: int = 0
    """How many there are beside the one that box, quality and template are of."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model pack of an embedding service, or of an index of its templates."""

    name: str
    digest: str
    template_size: int


@dataclass(frozen=True, slots=True, order=True)
class PhotoKey:
    """Names a reference photograph."""

    subject_id: str
    photo_id: str


@dataclass(frozen=True, slots=True)
class RefusedPhoto:
    """A kept photograph that another model cannot use."""

    photo: PhotoKey
    problems: tuple[str, ...]
    """As of a `PhotoAnalysis`; `IMAGE_UNREADABLE` or `PHOTO_GONE` too."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that an appearance is alike to: a lead for a human, not an identification."""

    subject_id: str
    photo_id: str
    score: float
    """Cosine similarity, in [-1, 1]; higher is more alike."""
