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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_photo_of_each_format_comes_out_in_bgr(kind: str) -> None:
    image = PillowPictureDecoder().decode_photo(encoded(RED_LEFT, kind))

    assert image.shape == (20, 40, 3)
    np.testing.assert_allclose(image[10, 5], [0, 0, 255], atol=16)


def test_a_photo_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise

    image = PillowPictureDecoder().decode_photo(encoded(RED_LEFT, "JPEG", exif=exif))

    assert image.shape == (40, 20, 3)
    np.testing.assert_allclose(image[5, 10], [0, 0, 255], atol=16)


def test_a_frame_is_not_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    image = PillowPictureDecoder().decode_frame(encoded(RED_LEFT, "JPEG", exif=exif), 40, 20)

    assert image.shape == (20, 40, 3)


@pytest.mark.parametrize(
    "data",
    [b"", b"not a picture", encoded(RED_LEFT, "GIF"), encoded(RED_LEFT, "JPEG")[:-200]],
    ids=["empty", "text", "gif", "truncated"],
)
def test_what_cannot_be_decoded_is_unreadable(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        PillowPictureDecoder().decode_photo(data)

    assert refused.value.reason is Reason.IMAGE_UNREADABLE


@pytest.mark.parametrize("side", [7100, 10_000, 20_000])
def test_a_photo_of_more_than_50_megapixels_is_refused_by_its_header(side: int) -> None:
    header = encoded(RED_LEFT, "BMP")
    stated = header[:18] + side.to_bytes(4, "little") * 2 + header[26:]

    with pytest.raises(InvalidArgumentError) as refused:
        PillowPictureDecoder().decode_photo(stated)

    assert refused.value.reason is Reason.FIELD_INVALID
    assert refused.value.violations[0].field == "photo"


def test_a_frame_of_another_size_than_stated_is_unreadable() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        PillowPictureDecoder().decode_frame(encoded(RED_LEFT, "JPEG"), 41, 20)

    assert refused.value.reason is Reason.IMAGE_UNREADABLE
