"""What the embedding service talks about."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto

import numpy as np
from numpy.typing import NDArray

from homeward.core.pack_manifest import NOT_DOCUMENTED, RecogniserInput
from homeward.core.vision.quality import FaceQuality

Image = NDArray[np.uint8]
"""Picture, BGR, shape (height, width, 3)."""


class PixelFormat(StrEnum):
    """How a frame is laid out in bytes."""

    BGR24 = auto()
    """Rows from the top, three bytes a pixel, no padding."""
    JPEG = auto()
    """A JPEG file."""
    I420 = auto()
    """Planes: Y, then U and V of half the width and height."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture to look for faces in."""

    frame_id: int
    """The client's own number."""
    pixel_format: PixelFormat
    """How `data` is laid out."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    data: bytes
    """The picture."""


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle, pixels; may reach out of its picture."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Detection:
    """Where the detector saw a face."""

    box: Box
    """Pixels of the picture."""
    landmarks: NDArray[np.float32]
    """Eye, eye, nose tip, mouth corner, mouth corner, each pair from left to right; pixels of the
    picture, shape (5, 2)."""
    score: float
    """How sure the detector is, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture, and its use."""

    detection: Detection
    quality: FaceQuality | None
    """None if it was not asked for."""


@dataclass(frozen=True, slots=True)
class FrameFaces:
    """The faces of one frame, surest first."""

    frame_id: int
    faces: tuple[Face, ...]


class PhotoProblem(StrEnum):
    """Why a photograph cannot serve as a reference."""

    NO_FACE = auto()
    SEVERAL_FACES = auto()
    TOO_SMALL = auto()
    BLURRED = auto()
    TURNED_AWAY = auto()
    NOT_UPRIGHT = auto()


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph, turned as its file says."""

    image: Image
    """Its pixels; a large one is at half its width and height."""
    width: int
    """Of the picture in the file, turned, pixels."""
    height: int
    """Of the picture in the file, turned, pixels."""


@dataclass(frozen=True, slots=True)
class PhotoAnalysis:
    """What a photograph is good for."""

    problems: tuple[PhotoProblem, ...]
    """Empty: it can serve as a reference."""
    faces: tuple[Face, ...]
    """Largest first, in pixels of the upright picture."""
    template: NDArray[np.float32] | None
    """Unit-length vector, shape (d,); None when there are problems."""
    width: int
    """Of the upright picture, pixels."""
    height: int
    """Of the upright picture, pixels."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model pack."""

    role: str
    """`detector` or `recogniser`."""
    name: str
    """File name."""
    sha256: str
    """Of the file, hexadecimal."""
    licence: str
    """SPDX identifier, or the operator's statement."""
    training_data: str = NOT_DOCUMENTED
    """What it was trained on."""
    training_data_source: str = ""
    """Who says so, and where."""


@dataclass(frozen=True, slots=True)
class ModelPack:
    """The models in use, as clients may know them."""

    name: str
    digest: str
    """Identity: templates of different digests cannot be compared."""
    template_size: int
    aligned_side_px: int
    files: tuple[ModelFile, ...]
    detector_runtime: str
    recogniser_runtime: str


def pack_digest(
    files: Sequence[ModelFile], versions: str, pictures: RecogniserInput | None = None
) -> str:
    """Return SHA-256, hexadecimal, over what decides on a template.

    Args:
        files: Their digests count, in order.
        versions: Of what else decides on a template.
        pictures: What the recogniser takes. Counts unless it is what all took before packs said so:
            RGB, 112 x 112, less 127.5 and divided by it.
    """
    parts = [*(f.sha256 for f in files), versions]
    if pictures is not None and pictures.words() != RecogniserInput().words():
        parts.append(pictures.words())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
