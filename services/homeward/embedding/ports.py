"""What the use cases need from the outside. All calls block; several threads may make them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeward.embedding.model import Detection, Frame, Image, ModelPack, Photo


class PictureDecoder(Protocol):
    """Turns files into pictures."""

    def decode_photo(self, data: bytes) -> Photo:
        """Return a photograph, turned as its file says.

        Raises:
            InvalidArgumentError: `FIELD_INVALID` for too many pixels, `IMAGE_UNREADABLE`.
        """
        ...

    def decode_frames(self, frames: Sequence[Frame]) -> Generator[Image]:
        """Yield the picture of each frame as it is stored; closed when no more are wanted.

        Raises:
            InvalidArgumentError: `IMAGE_UNREADABLE`: a JPEG file is damaged, or its size is not the
                one that is stated.
            UnavailableError: `COMPONENT_UNAVAILABLE`: JPEG files cannot be decoded at the moment.
        """
        ...


class FaceDetector(Protocol):
    """Finds faces."""

    def detect(self, image: Image, min_score: float) -> list[Detection]:
        """Return the faces of a picture, surest first, without those below `min_score`."""
        ...


class FaceRecogniser(Protocol):
    """Turns faces into vectors that are the closer the more alike two faces are."""

    def embed(
        self, faces: NDArray[np.uint8], widths_px: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return unit-length vectors, shape (n, d), of aligned faces.

        Args:
            faces: BGR, shape (n, s, s, 3).
            widths_px: Of each face in the picture that it was cut out of, shape (n,): a recogniser
                may make something of it. None of photographs.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoadedPack:
    """Models that have answered once."""

    detector: FaceDetector
    recogniser: FaceRecogniser
    model: ModelPack
