"""The pictures of a contact sheet, small enough to be in one file."""

from __future__ import annotations

import io

from PIL import Image

from homeward.cli import photo_process
from homeward.core import photos

REFERENCE_PIXELS = 320
"""Longest side of a reference photograph on the sheet."""
_JPEG_QUALITY = 88
_MARGIN = 0.9
"""Of the face's longer side, kept around it."""
_JPEG_BEGIN = b"\xff\xd8\xff"


class PictureError(Exception):
    """A file that cannot be shown; says why."""


def around_face(file: bytes, face: tuple[float, float, float, float] | None) -> bytes:
    """Return a reference photograph cut around the face, as a small JPEG file without metadata.

    Whoever enrolled it may have had it from anybody, so another process decodes it. What else the
    photograph shows, and where it was taken, stays out of the sheet.

    Args:
        file: The photograph as it was enrolled.
        face: Left, top, width and height of the face, pixels of the upright picture.

    Raises:
        PictureError: It cannot be decoded.
    """
    decoded = decoded_picture(file)
    picture = decoded.picture
    if face is not None:
        scale = picture.width / decoded.width
        left, top, width, height = (side * scale for side in face)
        margin = _MARGIN * max(width, height)
        box = (
            max(0, round(left - margin)),
            max(0, round(top - margin)),
            min(picture.width, round(left + width + margin)),
            min(picture.height, round(top + height + margin)),
        )
        if box[0] < box[2] and box[1] < box[3]:
            picture = picture.crop(box)
    picture.thumbnail((REFERENCE_PIXELS, REFERENCE_PIXELS), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.convert("RGB").save(written, "JPEG", quality=_JPEG_QUALITY)
    return written.getvalue()


def still(file: bytes) -> bytes:
    """Return a still as it came: the scanner made it, and whoever looks at the sheet decodes it.

    Raises:
        PictureError: It is no JPEG file.
    """
    if not file.startswith(_JPEG_BEGIN):
        raise PictureError("what came is not a JPEG file")
    return file


def decoded_picture(file: bytes) -> photos.DecodedPhoto:
    """Return what a picture file shows, decoded by a process that can do nothing else.

    Raises:
        PictureError: It cannot be decoded.
    """
    try:
        return photo_process.decode(file)
    except photos.DecodingError as error:
        raise PictureError(photos.description(file, error)) from error
    except photo_process.DecodingEndedError as error:
        raise PictureError("decoding it did not come to an end") from error
