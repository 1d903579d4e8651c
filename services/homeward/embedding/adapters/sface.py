"""SFace, OpenCV Zoo's face recogniser, on OpenVINO or onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.embedding.adapters.sessions import CPU, open_session, openvino_runner, runtime_of

TEMPLATE_SIZE = 128
BATCH = 4
"""Most faces in a run: more gain nothing (17.5 ms a face alone, 14.1 of 4, 14 to 16 of 8), and the
first run of each number of faces takes twice as long."""


class OpenvinoSface:
    """SFace on OpenVINO: a third of onnxruntime's time per face.

    One stream of one thread for each caller: two callers embed a face in 4.0 ms on two cores; with
    one stream of two threads it is 4.7, and with one of one thread a second caller gains nothing.

    Args:
        folded: SFace with float32 weights and free batch size, an ONNX file.
        threads: Callers at a time.
    """

    runtime = "openvino/CPU"

    def __init__(self, folded: bytes, *, threads: int) -> None:
        self._answer = openvino_runner(folded, threads=threads)

    def embed(
        self, faces: NDArray[np.uint8], widths_px: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return unit-length vectors, shape (n, 128), of faces, BGR, shape (n, 112, 112, 3)."""
        del widths_px
        return _embed(faces, self._run)

    def _run(self, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._answer(blob)[0]


class OnnxruntimeSface:
    """SFace on onnxruntime; every call runs in its caller's thread.

    Args:
        folded: SFace with float32 weights and free batch size, an ONNX file.
        providers: Of onnxruntime, the preferred one first.
    """

    def __init__(self, folded: bytes, providers: Sequence[str] = CPU) -> None:
        self._session = open_session(folded, providers)
        self.runtime = runtime_of(self._session)

    def embed(
        self, faces: NDArray[np.uint8], widths_px: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return unit-length vectors, shape (n, 128), of faces, BGR, shape (n, 112, 112, 3)."""
        del widths_px
        return _embed(faces, self._run)

    def _run(self, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._session.run(None, {"data": blob})[0]
        return result


def _embed(
    faces: NDArray[np.uint8], run: Callable[[NDArray[Any]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    # The graph wants RGB, 0 to 255; it subtracts the mean and scales by itself.
    vectors = np.concatenate(
        [
            run(cv2.dnn.blobFromImages(list(faces[i : i + BATCH]), swapRB=True))
            for i in range(0, len(faces), BATCH)
        ]
    )
    result: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return result
