"""Picture files, read by Pillow: it refuses a truncated file, which OpenCV fills up in grey."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from homeward.embedding.model import Image
from homeward.servicekit.errors import InvalidArgumentError, Reason, invalid_field

MAX_PHOTO_PIXELS = 50_000_000
_PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")


class PillowPictureDecoder:
    """Decodes pictures; looks at the stated size before it makes room for the pixels."""

    def decode_photo(self, data: bytes) -> Image:
        """Return a photograph, turned as its EXIF data say.

        Raises:
            InvalidArgumentError: `FIELD_INVALID` for more than 50 megapixels, `IMAGE_UNREADABLE`.
        """
        with _translated(), Pillow.open(io.BytesIO(data), formats=_PHOTO_FORMATS) as picture:
            if picture.width * picture.height > MAX_PHOTO_PIXELS:
                raise _too_large()
            ImageOps.exif_transpose(picture, in_place=True)
            return _bgr(picture)

    def decode_frame(self, data: bytes, width: int, height: int) -> Image:
        """Return a JPEG file's picture as it is stored, which must have this size.

        Raises:
            InvalidArgumentError: `IMAGE_UNREADABLE`.
        """
        with _translated(), Pillow.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            if picture.size != (width, height):
                raise _unreadable("its size is not the one that was stated")
            return _bgr(picture)

    def from_planes(self, data: bytes, width: int, height: int) -> Image:
        """Return the picture that Y, U and V planes make, the latter two of half its size."""
        planes = np.frombuffer(data, np.uint8).reshape(height * 3 // 2, width)
        return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), np.uint8)


def _bgr(picture: Pillow.Image) -> Image:
    return np.asarray(cv2.cvtColor(np.asarray(picture.convert("RGB")), cv2.COLOR_RGB2BGR), np.uint8)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except InvalidArgumentError:
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise _too_large() from error
    except Exception as error:  # a hostile file can make a parser raise anything
        raise _unreadable("not a picture, of a format that is not read, or damaged") from error


def _too_large() -> InvalidArgumentError:
    return invalid_field("photo", "has more than 50 megapixels; send a smaller copy")


def _unreadable(problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the picture cannot be decoded: {problem}",
        reason=Reason.IMAGE_UNREADABLE,
        metadata={"problem": problem},
    )
