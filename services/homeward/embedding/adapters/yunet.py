"""YuNet, OpenCV Zoo's face detector, on onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.embedding.adapters.sessions import CPU, open_session, runtime_of
from homeward.embedding.model import Box, Detection, Image

_STRIDES = (8, 16, 32)
_HEADS = ("cls", "obj", "bbox", "kps")
_OVERLAP = 0.3
_MOST_CANDIDATES = 5000
"""Overlap and number of candidates of non-maximum suppression: `cv2.FaceDetectorYN`'s defaults."""


class YunetFaceDetector:
    """Finds faces of about 10 to 300 pixels; pictures may have any size.

    Every call runs in its caller's thread, so that as many pictures are worked on as there are
    callers. On two cores that finds faces in more pictures than two threads on one picture do, and
    several pictures in one run are slower than one after the other (per 960 x 540 picture: 7.6 ms
    alone, 13 ms in a run of four; 4.9 ms with two callers). Each caller may need 0.9 GB for a
    picture of 4096 x 4096, 0.2 GB for 1920 x 1920; onnxruntime keeps what it once needed.

    Args:
        folded: YuNet with float32 weights and free picture size, an ONNX file.
        providers: Of onnxruntime, the preferred one first.
    """

    def __init__(self, folded: bytes, providers: Sequence[str] = CPU) -> None:
        self._session = open_session(folded, providers)
        self._outputs = [f"{head}_{stride}" for stride in _STRIDES for head in _HEADS]
        self.runtime = runtime_of(self._session)

    def detect(self, image: Image, min_score: float) -> list[Detection]:
        """Return the faces of a picture, surest first."""
        blob = cv2.dnn.blobFromImage(_padded(image))
        outputs = self._session.run(self._outputs, {"input": blob})
        found = [
            _candidates(
                *(output[0] for output in outputs[4 * i : 4 * i + 4]),
                stride=stride,
                width=blob.shape[3],
                min_score=min_score,
            )
            for i, stride in enumerate(_STRIDES)
        ]
        scores, boxes, landmarks = (np.concatenate(part) for part in zip(*found, strict=True))
        kept = cv2.dnn.NMSBoxes(
            boxes.tolist(), scores.tolist(), min_score, _OVERLAP, top_k=_MOST_CANDIDATES
        )
        return [
            Detection(box=Box(*boxes[i].tolist()), landmarks=landmarks[i], score=float(scores[i]))
            for i in kept
        ]


def _padded(image: Image) -> cv2.typing.MatLike:
    """Return the picture with zeros to the right and below, up to multiples of 32 pixels."""
    height, width = image.shape[:2]
    return cv2.copyMakeBorder(
        image, 0, -height % 32, 0, -width % 32, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )


def _candidates(
    cls: NDArray[np.float32],
    obj: NDArray[np.float32],
    bbox: NDArray[np.float32],
    kps: NDArray[np.float32],
    *,
    stride: int,
    width: int,
    min_score: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Decode one output level as `cv2.FaceDetectorYN` does.

    Args:
        cls: Scores for being a face, shape (n, 1), n cells row by row.
        obj: Scores for being an object, shape (n, 1).
        bbox: Centre relative to the cell and logarithm of the size, in cells, shape (n, 4).
        kps: Landmarks relative to the cell, in cells, shape (n, 10).
        stride: Pixels per cell.
        width: Of the padded picture, pixels.
        min_score: Leave out candidates below this.

    Returns:
        Scores, shape (k,); boxes as x, y, width, height, shape (k, 4); landmarks, shape (k, 5, 2).
    """
    scores = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
    cells = np.flatnonzero(scores >= min_score)
    row, column = np.divmod(cells, width // stride)
    corner = np.column_stack([column, row]).astype(np.float32)
    centre = (corner + bbox[cells, :2]) * stride
    size = np.exp(bbox[cells, 2:]) * stride
    landmarks = (kps[cells].reshape(-1, 5, 2) + corner[:, None]) * stride
    return scores[cells], np.column_stack([centre - size / 2, size]), landmarks
