"""Photographs turned into templates by the models that are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.alignment import align
from homeward.embedding.model import Face, Image, PhotoProblem
from homeward.embedding.ports import FaceDetector, FaceRecogniser, PictureDecoder
from homeward.embedding.usecases import AnalyzePhoto
from homeward.evaluation.dataset import Photo
from homeward.evaluation.metrics import NOTHING, Photographs
from homeward.servicekit.errors import InvalidArgumentError

Degrade = Callable[[Image, float], Image]
"""Makes a picture worse; is told the width of its face, pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What the models make of a photograph."""

    identity: str
    name: str
    problems: tuple[PhotoProblem, ...]
    """Why it would be refused at enrolment; empty when it would not."""
    template: NDArray[np.float32] | None
    """As of a face in footage, unit length, shape (d,); None without a face. Of a refused
    photograph too."""
    reference: NDArray[np.float32] | None
    """As of an enrolled photograph, likewise."""
    face: Face | None
    """The face that the template is of."""


class Measurer:
    """Runs photographs through detector and recogniser as enrolment does.

    Args:
        decoder: Reads files.
        detector: Finds faces.
        recogniser: Makes templates.
        threads: Photographs at a time.
    """

    def __init__(
        self,
        decoder: PictureDecoder,
        detector: FaceDetector,
        recogniser: FaceRecogniser,
        *,
        threads: int,
    ) -> None:
        self._decoder = decoder
        self._recogniser = recogniser
        self._analyze = AnalyzePhoto(decoder, detector, recogniser)
        self._threads = threads

    def measure(
        self,
        photos: Sequence[Photo],
        degrade: Degrade | None = None,
        *,
        passed: Callable[[], None] = lambda: None,
    ) -> list[Sample]:
        """Return what the models make of photographs, in their order.

        Args:
            photos: Files.
            degrade: Makes each worse first.
            passed: Called after each.
        """

        def one(photo: Photo) -> Sample:
            sample = self._measured(photo, degrade)
            passed()
            return sample

        with ThreadPoolExecutor(self._threads) as threads:
            return list(threads.map(one, photos))

    def _measured(self, photo: Photo, degrade: Degrade | None) -> Sample:
        data = photo.path.read_bytes()
        nothing = Sample(photo.identity, photo.path.name, (PhotoProblem.NO_FACE,), None, None, None)
        try:
            image = self._decoder.decode_photo(data).image
            if degrade is not None:
                found = self._analyze.judge(image)
                if not found.faces:
                    return nothing
                image = degrade(image, found.faces[0].detection.box.width)
            found = self._analyze.judge(image)
        except InvalidArgumentError:
            return nothing
        if not found.faces:
            return nothing
        # Of refused ones too, which the error rates of those are measured by. Of the others the
        # analysis has made it.
        detection = found.faces[0].detection
        aligned = align(image, detection.landmarks)[None]
        width = np.array([detection.box.width], np.float32)
        return Sample(
            identity=photo.identity,
            name=photo.path.name,
            problems=found.problems,
            template=self._recogniser.embed(aligned, width)[0],
            reference=(
                self._recogniser.embed(aligned)[0] if found.template is None else found.template
            ),
            face=found.faces[0],
        )


def shrunk_to(face_width: float) -> Degrade:
    """Return what makes a picture so small that its face has a given width, pixels."""

    def degrade(image: Image, width: float) -> Image:
        scale = face_width / width
        size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    return degrade


def blurred_by(part: float) -> Degrade:
    """Return what blurs a picture as a lens out of focus does.

    Args:
        part: Standard deviation of the Gaussian, in parts of the width of the face.
    """

    def degrade(image: Image, width: float) -> Image:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), max(part * width, 0.1)), np.uint8)

    return degrade


def darkened_to(light: float, *, seed: int = 0) -> Degrade:
    """Return what makes a picture as dark as a badly lit night, with its noise.

    Args:
        light: Part of the light that is left, in (0, 1].
        seed: Of the noise, whose standard deviation is 4 grey levels.
    """

    def degrade(image: Image, _: float) -> Image:
        noise = np.random.default_rng(seed).normal(0, 4, image.shape)
        return np.clip(image * light + noise, 0, 255).astype(np.uint8)

    return degrade


def compared(samples: Sequence[Sample], identities: Sequence[str]) -> Photographs:
    """Return the photographs with the similarity of each two."""
    similarity = similarities(samples, samples)
    number = {name: index for index, name in enumerate(identities)}
    return Photographs(
        identity=np.array([number[sample.identity] for sample in samples], np.int64),
        similarity=similarity,
        enrollable=np.array([not sample.problems for sample in samples], np.bool_),
    )


def similarities(rows: Sequence[Sample], columns: Sequence[Sample]) -> NDArray[np.float64]:
    """Return how alike each is to each reference, shape (rows, columns); `NOTHING` without a face.

    Args:
        rows: Searched for, as faces in footage are.
        columns: Enrolled.
    """
    left, has_left = _matrix([sample.template for sample in rows])
    right, has_right = _matrix([sample.reference for sample in columns])
    cosine = np.clip(left.astype(np.float64) @ right.T.astype(np.float64), -1, 1)
    return np.where(np.outer(has_left, has_right), cosine, NOTHING)


def _matrix(
    templates: Sequence[NDArray[np.float32] | None],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    size = next((len(one) for one in templates if one is not None), 1)
    empty = np.zeros(size, np.float32)
    return (
        np.array([empty if one is None else one for one in templates], np.float32),
        np.array([one is not None for one in templates], np.bool_),
    )
