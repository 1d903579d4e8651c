from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from homeward.embedding.adapters.pictures import PillowPictureDecoder
from homeward.servicekit.errors import InvalidArgumentError, Reason

RED_LEFT = np.zeros((20, 40, 3), np.uint8)
RED_LEFT[:, :20, 0] = 255  # RGB


def encoded(picture: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_photo_comes_out_in_bgr() -> None:
    photo = PillowPictureDecoder().decode_photo(encoded(RED_LEFT))

    assert photo.image.shape == (20, 40, 3)
    assert (photo.width, photo.height) == (40, 20)
    np.testing.assert_array_equal(photo.image[10, 5], [0, 0, 255])


def test_a_photo_that_cannot_be_decoded_is_unreadable() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        PillowPictureDecoder().decode_photo(encoded(RED_LEFT, "GIF"))

    assert refused.value.reason is Reason.IMAGE_UNREADABLE
    assert refused.value.metadata == {
        "problem": "it is a GIF file, which is not read; export it as JPEG"
    }


def test_a_photo_of_too_many_pixels_is_an_invalid_field() -> None:
    header = encoded(RED_LEFT, "BMP")
    stated = header[:18] + (20_000).to_bytes(4, "little") * 2 + header[26:]

    with pytest.raises(InvalidArgumentError) as refused:
        PillowPictureDecoder().decode_photo(stated)

    assert refused.value.reason is Reason.FIELD_INVALID
    assert refused.value.violations[0].field == "photo"
    assert refused.value.violations[0].description == (
        "is 20000 x 20000 pixels, at most 109 megapixels are read; send a smaller copy"
    )


def test_a_photo_of_one_long_row_is_an_invalid_field() -> None:
    header = encoded(RED_LEFT, "BMP")
    sides = (65_536).to_bytes(4, "little") + (20).to_bytes(4, "little")
    stated = header[:18] + sides + header[26:]

    with pytest.raises(InvalidArgumentError) as refused:
        PillowPictureDecoder().decode_photo(stated)

    assert refused.value.reason is Reason.FIELD_INVALID
    assert refused.value.violations[0].description == (
        "is 65536 x 20 pixels, at most 65535 either way are read; send a smaller copy"
    )


def test_a_photo_of_the_longest_row_is_read() -> None:
    photo = PillowPictureDecoder().decode_photo(encoded(np.zeros((1, 65_535, 3), np.uint8)))

    assert (photo.width, photo.height) == (65_535, 1)
