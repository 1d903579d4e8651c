"""`python -m homeward.embedding.adapters.photo_cage`: decodes photographs and frames, locked in.

For `CagedPictureDecoder`, which starts it.
"""

from __future__ import annotations

import os

import msgspec
import numpy as np

from homeward.core import photos
from homeward.core.photos import DecodedPhoto, DecodingError, DecodingProblem
from homeward.servicekit.cage import OUT_OF_MEMORY, CageDoor, serve_cages


class DecodePhoto(msgspec.Struct, tag=True):
    """Task: decode the photograph that follows. Answered by `Picture` or `Refusal`."""


class DecodeFrame(msgspec.Struct, tag=True):
    """Task: decode the JPEG file that follows as it is stored. Answered likewise."""

    width: int
    """That it must have, pixels."""
    height: int
    """That it must have, pixels."""


class Picture(msgspec.Struct, tag=True):
    """The picture is in the shared memory: BGR, rows from the top, no padding."""

    width: int
    height: int
    whole_width: int
    """Before it was shrunk."""
    whole_height: int
    """Before it was shrunk."""


class Refusal(msgspec.Struct, tag=True):
    """The file cannot be decoded. The words for it are the service's."""

    problem: DecodingProblem
    width: int
    height: int


def main() -> None:
    """Start cages until the service has gone."""
    photos.load_plugins()
    serve_cages(_serve)


def _serve(door: CageDoor) -> None:
    while True:
        task: DecodePhoto | DecodeFrame = door.receive(DecodePhoto | DecodeFrame)
        data = door.receive_bytes()
        try:
            door.send(_decode(door, task, data))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)


def _decode(door: CageDoor, task: DecodePhoto | DecodeFrame, data: bytes) -> Picture | Refusal:
    try:
        decoded = _decoded(task, data)
    except DecodingError as error:
        return Refusal(error.problem, error.width, error.height)
    picture = decoded.picture
    assert door.shared is not None
    shared = np.frombuffer(door.shared, np.uint8, picture.width * picture.height * 3)
    rows = shared.reshape(picture.height, picture.width, 3)
    rows[:] = np.asarray(picture)[:, :, ::-1]
    return Picture(picture.width, picture.height, decoded.width, decoded.height)


def _decoded(task: DecodePhoto | DecodeFrame, data: bytes) -> DecodedPhoto:
    if isinstance(task, DecodePhoto):
        return photos.decode(data)
    picture = photos.decode_frame(data, task.width, task.height)
    return DecodedPhoto(picture, picture.width, picture.height)


if __name__ == "__main__":
    main()
