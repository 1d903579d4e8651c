from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from heic import RED_LEFT_HEIC
from homeward.core import photos
from homeward.core.photos import DecodingError, DecodingProblem

RED_LEFT = np.zeros((20, 40, 3), np.uint8)
RED_LEFT[:, :20, 0] = 255
RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
NOISE = np.random.default_rng(5).integers(0, 256, (200, 304, 3), dtype=np.uint8)

JPEGS = {
    "plain": {},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_rows": 1},
    "full colour": {"subsampling": 0},
}


@pytest.fixture(autouse=True)
def plugins() -> None:
    photos.load_plugins()


def encoded(picture: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(photos.decode(data).picture)


def refused(data: bytes) -> DecodingError:
    with pytest.raises(DecodingError) as error:
        photos.decode(data)
    return error.value


def stated_bmp(width: int, height: int) -> bytes:
    header = encoded(RED_LEFT, "BMP")
    return header[:18] + width.to_bytes(4, "little") + height.to_bytes(4, "little") + header[26:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF"])
def test_each_format_is_read(kind: str) -> None:
    picture = pixels(encoded(RED_LEFT, kind))

    assert picture.shape == (20, 40, 3)
    np.testing.assert_allclose(picture[10, 5], [255, 0, 0], atol=16)


def test_heic_is_read() -> None:
    picture = pixels(RED_LEFT_HEIC)

    assert picture.shape == (80, 160, 3)
    np.testing.assert_allclose(picture[40, 20], [255, 0, 0], atol=16)
    np.testing.assert_allclose(picture[40, 140], [0, 0, 0], atol=16)


def test_a_heic_file_that_is_cut_off_is_damaged() -> None:
    error = refused(RED_LEFT_HEIC[:-20])

    assert photos.description(RED_LEFT_HEIC, error) == (
        "it is a HEIC file that is damaged or not whole, or of a kind that is not read; copy it"
        " again, or export it as JPEG"
    )


@pytest.mark.parametrize(
    ("orientation", "shape", "red"),
    [(1, (20, 40, 3), (10, 5)), (3, (20, 40, 3), (10, 35)), (6, (40, 20, 3), (5, 10))],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_photo_is_turned_as_its_exif_says(
    kind: str, orientation: int, shape: tuple[int, ...], red: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation

    decoded = photos.decode(encoded(RED_LEFT, kind, exif=exif))

    picture = np.asarray(decoded.picture)
    assert picture.shape == shape
    assert (decoded.height, decoded.width) == shape[:2]
    np.testing.assert_allclose(picture[red], [255, 0, 0], atol=16)


DEEP = {
    "16-bit PNG": encoded(RAMP.astype(np.uint16) * 257),
    "16-bit TIFF": encoded(RAMP.astype(np.uint16) * 257, "TIFF"),
    "16-bit TIFF, high byte first": encoded(
        Image.frombytes("I;16B", (64, 48), (RAMP.astype(">u2") * 257).tobytes()), "TIFF"
    ),
    "12 bits in 16": encoded(np.rint(RAMP * (4095 / 255)).astype(np.uint16)),
    "8 bits in 16": encoded(RAMP.astype(np.uint16)),
    "32-bit TIFF": encoded(RAMP.astype(np.int32) * 257, "TIFF"),
    "floats to 1": encoded((RAMP / 255).astype(np.float32), "TIFF"),
    "floats to 255": encoded(RAMP.astype(np.float32), "TIFF"),
}


@pytest.mark.parametrize("data", DEEP.values(), ids=DEEP.keys())
def test_deep_grey_is_scaled_to_eight_bits(data: bytes) -> None:
    picture = pixels(data)

    np.testing.assert_allclose(picture[:, :, 0], RAMP, atol=1)
    assert (picture[:, :, 0] == picture[:, :, 2]).all()


GREY = Image.fromarray(RAMP)
MODES = {
    "grey with alpha": encoded(GREY.convert("LA")),
    "palette": encoded(GREY.convert("P")),
    "CMYK": encoded(GREY.convert("CMYK"), "TIFF"),
    "colour with alpha": encoded(GREY.convert("RGBA"), "WEBP", lossless=True),
}


@pytest.mark.parametrize("data", MODES.values(), ids=MODES.keys())
def test_other_ways_to_store_grey_give_the_same_picture(data: bytes) -> None:
    np.testing.assert_allclose(pixels(data)[:, :, 0], RAMP, atol=1)


def test_one_bit_a_pixel_is_black_and_white() -> None:
    assert set(np.unique(pixels(encoded(GREY.convert("1"))))) == {0, 255}


def palette_with_a_transparent_colour() -> bytes:
    picture = Image.new("P", (8, 8), 3)
    picture.putpalette([0, 0, 0] * 256)
    return encoded(picture, transparency=3)


TRANSPARENT = {
    "grey": encoded(Image.new("LA", (8, 8), (0, 0))),
    "colour": encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0))),
    "palette": palette_with_a_transparent_colour(),
    "one colour": encoded(Image.new("RGB", (8, 8), (9, 9, 9)), transparency=(9, 9, 9)),
}


@pytest.mark.parametrize("data", TRANSPARENT.values(), ids=TRANSPARENT.keys())
def test_what_is_transparent_is_white(data: bytes) -> None:
    assert (pixels(data) == 255).all()


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS.keys())
@pytest.mark.parametrize("lost", [1, 2])
def test_a_jpeg_that_lost_its_end_marker_is_whole(lost: int, options: dict[str, object]) -> None:
    data = encoded(NOISE, "JPEG", **options)

    np.testing.assert_array_equal(pixels(data[:-lost]), pixels(data))


def test_zeros_in_place_of_the_end_marker_do_no_harm() -> None:
    data = encoded(NOISE, "JPEG")

    np.testing.assert_array_equal(pixels(data[:-2] + bytes(4096)), pixels(data))


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS.keys())
@pytest.mark.parametrize("lost", [4, 10, 100, 5000])
def test_a_jpeg_that_lost_picture_lines_is_refused(lost: int, options: dict[str, object]) -> None:
    data = encoded(NOISE, "JPEG", **options)

    assert refused(data[:-lost]).problem is DecodingProblem.LINES_MISSING


def test_what_phones_write_after_the_end_marker_does_no_harm() -> None:
    data = encoded(NOISE, "JPEG")

    np.testing.assert_array_equal(pixels(data + b"\xff\xc0ftypmp42" + bytes(64)), pixels(data))


def test_zeros_in_place_of_picture_lines_are_no_picture_lines() -> None:
    data = encoded(NOISE, "JPEG")

    assert refused(data[:-5000] + bytes(9000)).problem is DecodingProblem.LINES_MISSING


@pytest.mark.parametrize("number", [0, 5, -1], ids=["first", "one between", "last"])
def test_a_jpeg_that_ends_before_a_restart_marker_is_refused(number: int) -> None:
    data = encoded(NOISE, "JPEG", restart_marker_rows=1)
    markers = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", data)]

    assert refused(data[: markers[number]]).problem is DecodingProblem.LINES_MISSING


def test_a_progressive_jpeg_without_its_later_scans_is_refused() -> None:
    data = encoded(NOISE, "JPEG", progressive=True)
    second_scan = [match.start() for match in re.finditer(rb"\xff\xc4", data)][3]

    assert refused(data[:second_scan]).problem is DecodingProblem.LINES_MISSING


@dataclass(frozen=True)
class Case:
    data: bytes
    said: str


CASES = {
    "empty": Case(b"", "no picture, or of a format"),
    "text": Case(b"not a picture", "no picture, or of a format"),
    "gif": Case(encoded(RED_LEFT, "GIF"), "it is a GIF file, which is not read; export it as JPEG"),
    "gif bomb": Case(b"GIF89a\xff\xff\xff\xff\xf7\0\0", "it is a GIF file, which is not read"),
    "pdf": Case(b"%PDF-1.7", "it is a PDF file"),
    "jpeg 2000": Case(encoded(RED_LEFT, "JPEG2000"), "it is a JPEG 2000 file"),
    "video": Case(b"\0\0\0\x18ftypisom\0\0\0\0", "it is a video file"),
    "jpeg start": Case(encoded(RED_LEFT, "JPEG")[:40], "it is a JPEG file that is damaged"),
    "png start": Case(encoded(NOISE)[:5000], "it is a PNG file that is damaged"),
    "webp start": Case(encoded(NOISE, "WEBP")[:500], "it is a WebP file that is damaged"),
    "tiff start": Case(encoded(NOISE, "TIFF")[:500], "it is a TIFF file that is damaged"),
    "avif start": Case(encoded(NOISE, "AVIF")[:500], "it is an AVIF file that is damaged"),
    "jpeg's name on a png": Case(b"\xff\xd8\xff" + encoded(RED_LEFT)[3:], "it is a JPEG file"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_refusal_names_the_format_and_what_to_do(case: Case) -> None:
    said = photos.description(case.data, refused(case.data))

    assert case.said in said
    assert "JPEG" in said


@pytest.mark.parametrize(("width", "height"), [(16_000, 16_000), (65_535, 65_535), (12_032, 9_060)])
def test_a_photo_of_too_many_pixels_is_refused_by_its_header(width: int, height: int) -> None:
    error = refused(stated_bmp(width, height))

    assert error.problem is DecodingProblem.TOO_LARGE
    assert (error.width, error.height) == (width, height)


@pytest.mark.parametrize(("width", "height"), [(12_032, 9_024), (10_900, 10_000)])
def test_a_photo_of_as_many_pixels_as_are_read_is_not_too_large(width: int, height: int) -> None:
    # Its header alone, so that nothing of that size is decoded.
    assert refused(stated_bmp(width, height)).problem is DecodingProblem.DAMAGED


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_photo_is_read_at_half_its_size(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(photos, "FULL_SIZE_PIXELS", 500)

    decoded = photos.decode(encoded(RED_LEFT, kind))

    assert decoded.picture.size == (20, 10)
    assert (decoded.width, decoded.height) == (40, 20)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's; the service logs no warnings
def test_a_photo_whose_exif_data_are_damaged_is_read_as_it_is() -> None:
    data = encoded(RED_LEFT, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")

    assert pixels(data).shape == (20, 40, 3)
