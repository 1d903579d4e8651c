"""Pictures in this process: frames that are not encoded, and files whose origin is known.

The service decodes files in `caged_pictures` instead.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import cv2
import numpy as np
from PIL import Image as Pillow

from homeward.core import photos
from homeward.core.photos import MAX_PHOTO_PIXELS, MAX_PHOTO_SIDE_PX, DecodingError, DecodingProblem
from homeward.embedding.model import Frame, Image, Photo, PixelFormat
from homeward.servicekit.errors import InvalidArgumentError, Reason, invalid_field


class PillowPictureDecoder:
    """Decodes in this process."""

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

    def decode_frames(self, frames: Sequence[Frame]) -> Generator[Image]:
        """Yield the picture of each frame.

        Raises:
            InvalidArgumentError: `IMAGE_UNREADABLE`.
        """
        for number, frame in enumerate(frames):
            if frame.pixel_format is not PixelFormat.JPEG:
                yield raw_picture(frame)
                continue
            try:
                picture = photos.decode_frame(frame.data, frame.width, frame.height)
            except DecodingError as error:
                raise frame_refusal(number, frame, error) from error
            yield bgr(picture)


def raw_picture(frame: Frame) -> Image:
    """Return the picture of a frame that is not encoded."""
    if frame.pixel_format is PixelFormat.I420:
        planes = np.frombuffer(frame.data, np.uint8).reshape(frame.height * 3 // 2, frame.width)
        return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), np.uint8)
    return np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 3)


def bgr(picture: Pillow.Image) -> Image:
    """Return the pixels of a picture in mode RGB."""
    return np.asarray(cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR), np.uint8)


def refusal(data: bytes, error: DecodingError) -> InvalidArgumentError:
    """Return what to tell the caller who sent a file that cannot be decoded."""
    if error.problem is DecodingProblem.TOO_LARGE:
        most = (
            f"{MAX_PHOTO_SIDE_PX} either way"
            if max(error.width, error.height) > MAX_PHOTO_SIDE_PX
            else f"{MAX_PHOTO_PIXELS // 1_000_000} megapixels"
        )
        return invalid_field(
            "photo",
            f"is {error.width} x {error.height} pixels, at most {most} are read; send a smaller"
            " copy",
        )
    return unreadable(photos.description(data, error))


def frame_refusal(number: int, frame: Frame, error: DecodingError) -> InvalidArgumentError:
    """Return what to tell the caller who sent a JPEG frame that cannot be decoded.

    Args:
        number: Of the frame in its batch, from 0.
        frame: Which one.
        error: What is wrong with it.
    """
    problem = "it is no JPEG file"
    if error.problem is DecodingProblem.DAMAGED:
        problem = "it is damaged or not whole"
    if error.problem is DecodingProblem.OTHER_SIZE:
        problem = (
            f"it is {error.width} x {error.height} pixels, not {frame.width} x {frame.height} as"
            " stated"
        )
    return unreadable(f"frames[{number}]: {problem}")


def unreadable(problem: str) -> InvalidArgumentError:
    """Return the error for a picture that cannot be decoded; `problem` says why."""
    return InvalidArgumentError(
        f"the picture cannot be decoded: {problem}",
        reason=Reason.IMAGE_UNREADABLE,
        metadata={"problem": problem},
    )
