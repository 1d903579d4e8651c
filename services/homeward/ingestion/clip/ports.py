"""The ports of making clips, beside those of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from homeward.ingestion.clip.cover import Cover
from homeward.ingestion.clip.model import ClipSeal, FinishedClip, SightingPlace
from homeward.ingestion.scan.faces import Face, Frame

Image = NDArray[np.uint8]
"""BGR, shape (height, width, 3)."""


class Sightings(Protocol):
    """The sightings: the matching service."""

    async def place(self, sighting_id: str) -> SightingPlace:
        """Return where a sighting is.

        Raises:
            NotFoundError: `SIGHTING_NOT_FOUND`.
        """

    async def seal_clip(self, clip: FinishedClip) -> ClipSeal | None:
        """Return what is said of a clip, signed; None where there is no key to sign with."""


class AllFaces(Protocol):
    """Finds faces with little certainty: the embedding service."""

    async def find_all(self, images: Sequence[Image], *, least_score: float) -> list[list[Face]]:
        """Return the faces in each of some pictures, in their pixels.

        Args:
            images: Of any size that the service takes.
            least_score: Of the detector, in [0.1, 1].
        """


class ClipImages(Protocol):
    """Operations on the pixels of clips."""

    def scaled(self, frame: Frame, factors: Sequence[float]) -> list[Image]:
        """Return a picture at several sizes."""

    def redacted(self, frame: Frame, cover: Cover, text: str) -> Image:
        """Return a picture as the clip shows it: of the size that `ClipFile` was opened for.

        Args:
            frame: The picture.
            cover: What is blurred.
            text: To be written below it; none when empty.
        """


class ClipFile(Protocol):
    """A clip that is being encoded, in memory."""

    def add(self, image: Image, at: timedelta) -> None:
        """Add the next picture.

        Args:
            image: The picture.
            at: When it is shown, from the beginning of the clip; later than the one before.
        """

    def finish(self) -> bytes:
        """Return the file; nothing can be added any more."""

    def close(self) -> None:
        """Let go of the encoder."""


class ClipEncoder(Protocol):
    """Makes files of pictures."""

    def open(self, width: int, height: int) -> ClipFile:
        """Begin a file whose pictures have this size, pixels, both even."""
