"""The template of a photograph, to be compared with faces in footage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeward import fusing
from homeward.embedding.ports import FaceRecogniser
from homeward.vision.alignment import ALIGNMENT_VERSION
from homeward.vision.degrading import FACE_WIDTHS_PX, as_cameras_see

REFERENCE_VERSION = "seen-by-cameras-20-28-40/1"
"""Change it whenever `reference` gives another template."""

TEMPLATE_VERSIONS = f"{ALIGNMENT_VERSION} {REFERENCE_VERSION}"
"""Part of a model pack's digest: what decides on a template besides the pack's files."""

CLEAR_WEIGHT = 2.0
"""What the photograph as it is counts for, where each picture of a camera counts for one."""


WEIGHTS = np.array([CLEAR_WEIGHT, *(1.0 for _ in FACE_WIDTHS_PX)], np.float32)
"""Of the faces that `seen` returns."""


def seen(aligned: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the face of a photograph as it is, and as cameras see it, shape (n, side, side, 3)."""
    return np.concatenate([aligned[None], as_cameras_see(aligned)])


def reference(recogniser: FaceRecogniser, aligned: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the template of a reference photograph, unit length, shape (d,).

    A face in footage is small, blurred and compressed, and its template lies apart from those of
    clear photographs of the same person. So the template of a reference is the mean of the
    photograph's own and of those that cameras would have made of it. What that gains, and that a
    mean of the cameras' alone is worse, is in docs/evaluation.md.

    Args:
        recogniser: Makes templates.
        aligned: The face of the photograph, BGR, shape (side, side, 3).
    """
    return fusing.fuse(recogniser.embed(seen(aligned)), WEIGHTS)
