"""A recogniser of any family, given its pictures as its pack's manifest says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from homeward.core.pack_manifest import ColourOrder, RecogniserInput
from homeward.core.packs import PackError
from homeward.core.vision.alignment import ALIGNED_SIDE

BATCH = 4
"""Most faces in a run; more gain nothing with SFace and ArcFace."""

_CHANNELS = 3
_LENGTH_ERROR = 1e-2
"""How far from 1 the length of a vector may be that a manifest calls normalised."""

_SAME = 1e-3
"""How far two answers to one picture may be apart, alone and among others."""

_ADVICE = "install the pack again, as of the family that takes such pictures"

Run = Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]]
"""Takes pictures, shape (n, 3, side, side), and returns all outputs of a graph."""


class OnnxRecogniser:
    """Embeds faces; every call runs in its caller's thread.

    Args:
        session: Tells the shapes of the graph; runs it, if `run` does not.
        pictures: How the graph takes them.
        name: Of its file, for messages.
        run: Runs the graph; None for `session`.

    Raises:
        PackError: The graph is for other pictures than the manifest says, or gives other vectors.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        pictures: RecogniserInput,
        *,
        name: str,
        run: Run | None = None,
    ) -> None:
        fixed = _batch_of(session, pictures, name)
        input_name = session.get_inputs()[0].name
        self._pictures = pictures
        self._batch = fixed or BATCH
        self._fixed = fixed is not None
        self._run = run or (lambda blob: session.run(None, {input_name: blob}))
        outputs = self._answers(_patterns()[:1])
        self._output = _template_output(outputs, pictures, name)
        self.template_size = outputs[self._output].shape[1]
        self._require_sense(name)

    def embed(
        self, faces: NDArray[np.uint8], widths_px: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return unit-length vectors, shape (n, d), of faces, BGR, shape (n, 112, 112, 3)."""
        del widths_px
        vectors = self._vectors(faces)
        result: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return result

    def _vectors(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [faces[i : i + self._batch] for i in range(0, len(faces), self._batch)]
        return np.concatenate([self._answers(part)[self._output] for part in parts])

    def _answers(self, faces: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        count = len(faces)
        if self._fixed and count < self._batch:  # such a graph takes no fewer
            missing = np.zeros((self._batch - count, *faces.shape[1:]), np.uint8)
            faces = np.concatenate([faces, missing])
        outputs = self._run(to_blob(faces, self._pictures))
        return [np.asarray(output, np.float32)[:count] for output in outputs]

    def _require_sense(self, name: str) -> None:
        """Refuse a graph whose answers cannot be templates."""
        patterns = _patterns()
        vectors = self._vectors(patterns)
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(vectors).all() or not lengths.min() > 0:
            raise PackError(f"{name} gives vectors of no length, or that are no numbers", _ADVICE)
        if self._pictures.normalised and np.abs(lengths - 1).max() > _LENGTH_ERROR:
            raise PackError(
                f"{name} gives vectors of length {lengths.max():.3g}, and the manifest says that"
                " they are normalised",
                _ADVICE,
            )
        if np.abs(vectors[0] - vectors[1]).max() <= _SAME * lengths[0]:
            raise PackError(f"{name} gives every picture the same vector", _ADVICE)
        alone = np.concatenate([self._vectors(patterns[i : i + 1]) for i in range(len(patterns))])
        if np.abs(alone - vectors).max() > _SAME * lengths.max():
            raise PackError(
                f"{name} gives a picture another vector among others than alone", "export it anew"
            )


def to_blob(faces: NDArray[np.uint8], pictures: RecogniserInput) -> NDArray[np.float32]:
    """Return faces, BGR, shape (n, s, s, 3), as a graph takes them, shape (n, 3, s, s)."""
    mean = (pictures.mean,) * _CHANNELS
    swap = pictures.colour_order is ColourOrder.RGB
    blob = cv2.dnn.blobFromImages(list(faces), 1 / pictures.scale, mean=mean, swapRB=swap)
    return np.asarray(blob, np.float32)


def takes_faces(session: onnxruntime.InferenceSession) -> bool:
    """Whether a graph takes aligned faces: a recogniser, and not landmarks, age or a detector."""
    shapes = [one.shape[1:] for one in session.get_inputs()]
    return shapes == [[_CHANNELS, ALIGNED_SIDE, ALIGNED_SIDE]]


def _batch_of(
    session: onnxruntime.InferenceSession, pictures: RecogniserInput, name: str
) -> int | None:
    """Return how many faces a graph is for; None for any number."""
    if pictures.side_px != ALIGNED_SIDE:
        raise PackError(
            f"{name} takes faces of {pictures.side_px} pixels, as its manifest says",
            f"Homeward aligns faces to {ALIGNED_SIDE} pixels; use one that takes those",
        )
    inputs = session.get_inputs()
    if not takes_faces(session) or inputs[0].type != "tensor(float)":
        types = "; ".join(f"{one.type} {one.shape}" for one in inputs)
        raise PackError(
            f"{name} takes {types}, not float32 pictures of"
            f" (n, {_CHANNELS}, {ALIGNED_SIDE}, {ALIGNED_SIDE})",
            "export it so: channels first, normalised outside of the graph",
        )
    batch = inputs[0].shape[0]
    return batch if isinstance(batch, int) else None


def _template_output(
    outputs: Sequence[NDArray[np.float32]], pictures: RecogniserInput, name: str
) -> int:
    """Return which output the template is; AdaFace gives its length beside it, one value."""
    sizes = [output.shape[1] if output.ndim == 2 else 0 for output in outputs]  # noqa: PLR2004 - a vector a face
    wanted = [
        index
        for index, size in enumerate(sizes)
        if size > 1 and pictures.template_size in (None, size)
    ]
    if len(wanted) != 1:
        raise PackError(
            f"{name} gives {', '.join(str(list(output.shape[1:])) for output in outputs)} values a"
            f" face, not one vector of {pictures.template_size or 'several'}",
            _ADVICE,
        )
    return wanted[0]


def _patterns() -> NDArray[np.uint8]:
    """Return pictures that no recogniser takes for one another, one more than a batch."""
    steps = np.linspace(0, 255, ALIGNED_SIDE)
    across, down = np.meshgrid(steps, steps)
    waves = [127.5 + 127.5 * np.sin((across * k + down) / 20) for k in range(1, BATCH)]
    grey = [across, down, *waves]
    coloured = [np.stack([one, one.T, 255 - one], axis=-1) for one in grey]
    return np.array(coloured).astype(np.uint8)
