"""Finding faces in bytes: templates as numbers or text, and pictures, whatever holds them.

A copy that was kept would hardly be bit for bit what is looked for: another picture of the same
walk, another precision. So everything is compared as a recogniser would: vectors by their cosine,
pictures by the faces in them, raw crops by their correlation.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.alignment import align
from homeward.embedding.ports import LoadedPack

SAME_VECTOR = 0.75
"""Cosine from which a run of numbers is taken for somebody's template. Of random vectors of 128
numbers the cosine has a standard deviation of 0.09; the templates of two pictures of one walk are
at 0.8 and more."""

SAME_FACE = 0.365
"""Cosine from which a face in a picture is somebody's: the threshold of the shipped policy."""

SAME_CROP = 0.7
"""Correlation from which a run of bytes is a raw crop: two pictures of one walk are at 0.8."""

_LENGTHS = (0.9, 1.1)
"""Of a vector, around 1: templates are unit vectors."""

_LAYOUTS = ("<f4", ">f4", "<f8", ">f8")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{400,}={0,2}")
_NUMBER = rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_NUMBERS = re.compile(rb"(?:" + _NUMBER + rb"[\s,;]+){100,}" + _NUMBER)
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_MOST_PICTURE_BYTES = 4 * 1024 * 1024
_TRANSFORMED = 1 << 18
"""Bytes that are correlated with crops at a time: spectra that fit into a processor's cache."""


class Form(StrEnum):
    """What a copy of somebody looks like."""

    NUMBERS = "numbers"
    TEXT = "numbers as text"
    BASE64 = "base64"
    PICTURE = "a picture file"
    RAW = "a raw crop"


@dataclass(frozen=True, slots=True)
class Hit:
    """A copy that was found."""

    form: Form
    detail: str
    likeness: float


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """Whom to look for.

    Attributes:
        templates: Unit vectors, shape (n, d), by the name of the transform that they have gone
            through: `plain`, and one for each collection of a vector store.
        crops: Aligned faces, BGR, shape (m, 112, 112, 3).
    """

    templates: Mapping[str, NDArray[np.float32]]
    crops: NDArray[np.uint8]


@dataclass(slots=True)
class ByteSearch:
    """Looks for some people in bytes.

    Args:
        sought: Whom.
        pack: Finds and embeds faces in pictures.
    """

    sought: Sought
    pack: LoadedPack
    searched: int = 0
    searched_bytes: int = 0
    _spectra: NDArray[np.complex128] = field(init=False)
    """Of the crops, conjugated, shape (m, _TRANSFORMED / 2 + 1)."""
    _before: dict[tuple[bytes, bool], list[Hit]] = field(init=False, default_factory=dict)
    """By digest: most of what is searched a second time has not changed."""

    def __post_init__(self) -> None:
        crops = [_unit(crop.astype(np.float32).ravel()) for crop in self.sought.crops]
        self._spectra = np.conj(np.fft.rfft(crops, _TRANSFORMED))

    def hits(self, data: bytes, *, raw: bool = True) -> list[Hit]:
        """Return the copies in some bytes.

        Args:
            data: What to search.
            raw: Whether to look for raw crops as well, which takes longest.
        """
        self.searched += 1
        self.searched_bytes += len(data)
        key = (hashlib.sha256(data).digest(), raw)
        if key not in self._before:
            self._before[key] = list(self._hits(data, raw=raw))
        return self._before[key]

    def _hits(self, data: bytes, *, raw: bool) -> list[Hit]:
        found = [*self._vectors(data, Form.NUMBERS), *self._pictures(data, Form.PICTURE)]
        for match in _NUMBERS.finditer(data):
            numbers = np.array(re.findall(_NUMBER, match.group()), dtype=np.float64)
            found += self._windows(numbers, Form.TEXT, "decimal")
        for match in _BASE64.finditer(data):
            for shift in range(
                4
            ):  # letters that happen to stand before it belong to something else
                decoded = _decoded(match.group()[shift:])
                found += self._vectors(decoded, Form.BASE64)
                found += self._pictures(decoded, Form.BASE64)
        if raw:
            found += self._crops(data)
        return found

    def _vectors(self, data: bytes, form: Form) -> Iterator[Hit]:
        for layout in _LAYOUTS:
            size = np.dtype(layout).itemsize
            for shift in range(size):
                usable = (len(data) - shift) // size * size
                if usable > 0:
                    values = np.frombuffer(data, layout, usable // size, shift)
                    yield from self._windows(values, form, layout)

    def _windows(self, values: NDArray[np.floating], form: Form, detail: str) -> Iterator[Hit]:
        """Compare each run of as many numbers as a template has."""
        size = next(iter(self.sought.templates.values())).shape[1]
        if len(values) < size:
            return
        with np.errstate(all="ignore"):
            numbers = values.astype(np.float64)
            sane = np.isfinite(numbers) & (np.abs(numbers) <= 1)
        numbers = np.where(sane, numbers, 0.0)
        squares = np.concatenate([[0.0], np.cumsum(numbers**2)])
        wrong = np.concatenate([[0], np.cumsum(~sane)])
        lengths = np.sqrt(squares[size:] - squares[:-size])
        fits = (lengths > _LENGTHS[0]) & (lengths < _LENGTHS[1]) & (wrong[size:] == wrong[:-size])
        starts = np.flatnonzero(fits)
        for first in range(0, len(starts), 4096):
            some = starts[first : first + 4096]
            windows = numbers[some[:, None] + np.arange(size)] / lengths[some, None]
            for transform, templates in self.sought.templates.items():
                likeness = float((windows @ templates.T.astype(np.float64)).max(initial=-1.0))
                if likeness >= SAME_VECTOR:
                    yield Hit(form, f"{detail}, {transform}", likeness)

    def _pictures(self, data: bytes, form: Form) -> Iterator[Hit]:
        for signature in _PICTURES:
            at = data.find(signature)
            while at >= 0:
                part = np.frombuffer(data[at : at + _MOST_PICTURE_BYTES], np.uint8)
                picture = cv2.imdecode(part, cv2.IMREAD_COLOR)
                if picture is not None:
                    likeness = self._likeness(np.asarray(picture, np.uint8))
                    if likeness >= SAME_FACE:
                        yield Hit(form, "jpeg" if signature[0] == 0xFF else "png", likeness)  # noqa: PLR2004 - JPEG's first byte
                at = data.find(signature, at + 1)

    def _likeness(self, picture: NDArray[np.uint8]) -> float:
        """Return how alike the faces in a picture, or the picture as a crop, are to anybody."""
        height, width = picture.shape[:2]
        crops = [align(picture, face.landmarks) for face in self.pack.detector.detect(picture, 0.5)]
        if height == width:
            crops.append(np.asarray(cv2.resize(picture, (112, 112)), np.uint8))
        if not crops:
            return -1.0
        templates = self.pack.recogniser.embed(np.stack(crops))
        return float((templates @ self.sought.templates["plain"].T).max())

    def _crops(self, data: bytes) -> Iterator[Hit]:
        """Correlate all runs of bytes with raw crops, by way of their spectra."""
        length = self.sought.crops[0].size
        for first in range(0, max(len(data) - length + 1, 0), _TRANSFORMED - length + 1):
            block = np.frombuffer(data[first : first + _TRANSFORMED], np.uint8)
            numbers = block.astype(np.float64)
            sums = np.concatenate([[0.0], np.cumsum(numbers)])
            squares = np.concatenate([[0.0], np.cumsum(numbers**2)])
            total, square = sums[length:] - sums[:-length], squares[length:] - squares[:-length]
            spread = np.sqrt(np.maximum(square - total**2 / length, 1e-9))
            spectrum = np.fft.rfft(numbers, _TRANSFORMED)
            for product in np.fft.irfft(spectrum * self._spectra, _TRANSFORMED):
                # What is beyond has wrapped around.
                correlation = product[: len(total)] / spread
                # A run of one value and noise correlates with nothing, and has next to no spread.
                best = float(np.where(spread > length**0.5, correlation, -1).max(initial=-1.0))
                if best >= SAME_CROP:
                    yield Hit(Form.RAW, "112 x 112 BGR", best)


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values without their mean, of length 1."""
    centred = values - values.mean()
    return np.asarray(centred / np.linalg.norm(centred), np.float32)


def _decoded(text: bytes) -> bytes:
    plain = text.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    if len(plain) % 4 == 1:  # six bits are no byte
        plain = plain[:-1]
    return base64.b64decode(plain + b"=" * (-len(plain) % 4))


def best_of(hits: Sequence[Hit]) -> Hit | None:
    """Return the surest of some hits."""
    return max(hits, key=lambda hit: hit.likeness, default=None)
