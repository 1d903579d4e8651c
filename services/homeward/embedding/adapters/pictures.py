"""Pictures in this process: photographs whose origin is known, and frames.

The service decodes photographs in `caged_pictures` instead.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from PIL import Image as Pillow

from homeward import photos
from homeward.embedding.model import Image, Photo
from homeward.photos import MAX_PHOTO_PIXELS, DecodingError, DecodingProblem
from homeward.servicekit.errors import InvalidArgumentError, Reason, invalid_field


class FrameDecoder:
    """Decodes frames; looks at the stated size before it makes room for the pixels."""

    def decode_frame(self, data: bytes, width: int, height: int) -> Image:
        """Return a JPEG file's picture as it is stored, which must have this size.

        In this process, unlike photographs: only services may call `DetectFaces`, and their JPEG
        files are encoded by themselves.

        Raises:
            InvalidArgumentError: `IMAGE_UNREADABLE`.
        """
        with _translated(), Pillow.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            if picture.size != (width, height):
                raise unreadable("its size is not the one that was stated")
            return bgr(picture.convert("RGB"))

    def from_planes(self, data: bytes, width: int, height: int) -> Image:
        """Return the picture that Y, U and V planes make, the latter two of half its size."""
        planes = np.frombuffer(data, np.uint8).reshape(height * 3 // 2, width)
        return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), np.uint8)


class PillowPictureDecoder(FrameDecoder):
    """Decodes frames, and photographs in this process."""

    def __init__(self) -> None:
        photos.load_plugins()

    def decode_photo(self, data: bytes) -> Photo:
        """Return a photograph, turned as its EXIF data say.

        Raises:
            InvalidArgumentError: `FIELD_INVALID` for too many pixels, `IMAGE_UNREADABLE`.
        """
        try:
            decoded = photos.decode(data)
        except DecodingError as error:
            raise refusal(data, error) from error
        return Photo(bgr(decoded.picture), decoded.width, decoded.height)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except InvalidArgumentError:
        raise
    except Exception as error:  # a damaged file can make a parser raise anything
        raise unreadable("not a JPEG file, or damaged") from error


def bgr(picture: Pillow.Image) -> Image:
    """Return the pixels of a picture in mode RGB."""
    return np.asarray(cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR), np.uint8)


def refusal(data: bytes, error: DecodingError) -> InvalidArgumentError:
    """Return what to tell the caller who sent a file that cannot be decoded."""
    if error.problem is DecodingProblem.TOO_LARGE:
        return invalid_field(
            "photo",
            f"is {error.width} x {error.height} pixels, at most"
            f" {MAX_PHOTO_PIXELS // 1_000_000} megapixels are read; send a smaller copy",
        )
    return unreadable(photos.description(data, error))


def unreadable(problem: str) -> InvalidArgumentError:
    """Return the error for a picture that cannot be decoded; `problem` says why."""
    return InvalidArgumentError(
        f"the picture cannot be decoded: {problem}",
        reason=Reason.IMAGE_UNREADABLE,
        metadata={"problem": problem},
    )
