from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw

from heic import RED_LEFT_HEIC
from homeward.cli import picture, typeface
from homeward.cli.errors import CliError
from homeward.cli.picture import Box, Captions
from homeward.core import photos

CAPTIONS = Captions(
    reference=["Anna", "Case MP-26-0412"],
    still=["Station", "2026-11-20 10:00:12 UTC"],
    scores=["Score 0.612"],
)
ROTATED_LEFT = 6
"""EXIF orientation: to be turned a quarter to the right."""
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def png_of(shown: Image.Image, **settings: object) -> bytes:
    file = io.BytesIO()
    shown.save(file, "PNG", **settings)
    return file.getvalue()


def plain(width: int, height: int, colour: tuple[int, int, int] = BLUE) -> bytes:
    return png_of(Image.new("RGB", (width, height), colour))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    real = ImageDraw.ImageDraw.text

    def text(
        self: ImageDraw.ImageDraw, xy: object, text: str, *args: object, **more: object
    ) -> None:
        texts.append(text)
        real(self, xy, text, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return texts


def test_the_pictures_stand_side_by_side() -> None:
    made = picture.side_by_side(plain(400, 480, RED), None, plain(640, 480, GREEN), CAPTIONS)
    assert made.width == 28 + 400 + 20 + 640 + 28
    assert made.getpixel((28 + 200, 300)) == RED
    assert made.getpixel((28 + 400 + 20 + 320, 300)) == GREEN


def test_captions_say_what_the_reviewer_must_know(written: list[str]) -> None:
    picture.side_by_side(plain(400, 480), None, plain(640, 480), CAPTIONS)
    assert written == [
        "Candidate for human review, not an identification",
        "REFERENCE PHOTOGRAPH",
        "Anna",
        "Case MP-26-0412",
        "CCTV STILL",
        "Station",
        "2026-11-20 10:00:12 UTC",
        "Score 0.612",
    ]


def test_the_reference_is_cut_around_the_face() -> None:
    photo = Image.new("RGB", (3000, 3000), BLUE)
    photo.paste(RED, (1400, 1400, 1600, 1600))
    made = picture.side_by_side(png_of(photo), Box(1400, 1400, 200, 200), plain(640, 480), CAPTIONS)
    assert made.getpixel((28 + 200, 52 + 28 + 240)) == RED
    assert made.getpixel((28 + 20, 52 + 28 + 240)) == BLUE


def test_the_reference_is_upright_before_it_is_cut() -> None:
    upright = Image.new("RGB", (200, 400), BLUE)
    upright.paste(RED, (0, 0, 100, 100))
    exif = Image.Exif()
    exif[0x0112] = ROTATED_LEFT
    lying = png_of(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    made = picture.side_by_side(lying, Box(30, 30, 40, 40), plain(640, 480), CAPTIONS)
    assert made.getpixel((28 + 200, 52 + 28 + 240)) == RED


def test_a_wide_still_is_kept_within_the_picture() -> None:
    made = picture.side_by_side(plain(400, 480), None, plain(4000, 500), CAPTIONS)
    assert made.width == 28 + 400 + 20 + 860 + 28


def test_a_tiny_face_is_not_blown_up_beyond_its_detail() -> None:
    made = picture.side_by_side(plain(20, 20, RED), None, plain(640, 480), CAPTIONS)
    assert made.getpixel((28 + 200, 52 + 28 + 240)) == RED
    assert made.getpixel((28 + 200 - 50, 52 + 28 + 240)) == (11, 14, 19)


def test_long_captions_wrap_to_their_column(written: list[str]) -> None:
    long = Captions(reference=["North " * 30, "x" * 200], still=["S"], scores=[])
    picture.side_by_side(plain(400, 480), None, plain(640, 480), long)
    assert max(map(len, written)) < 60
    assert sum(text.count("x") for text in written) == 200


def test_a_name_in_other_letters_is_set_in_a_font_of_the_system(written: list[str]) -> None:
    captions = Captions(reference=["Łucja Müller"], still=["S"], scores=[])
    picture.side_by_side(plain(400, 480), None, plain(640, 480), captions)
    assert written[2] in ("Łucja Müller", "?ucja Muller")


def test_without_such_a_font_unknown_letters_show_as_questions(
    written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typeface, "SYSTEM_FONTS", ())
    captions = Captions(reference=["Łucja Müller"], still=["S"], scores=[])
    picture.side_by_side(plain(400, 480), None, plain(640, 480), captions)
    assert written[2] == "?ucja Muller"


def test_bytes_that_are_no_picture_are_refused_by_name() -> None:
    with pytest.raises(CliError, match="the still that came is not a picture"):
        picture.side_by_side(plain(400, 480), None, b"no", CAPTIONS)


def test_the_file_is_png() -> None:
    made = picture.png(Image.new("RGB", (10, 10)))
    assert Image.open(io.BytesIO(made)).format == "PNG"


def test_a_large_photograph_is_cut_around_the_face_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeward.core.photos.FULL_SIZE_PIXELS", 1000)
    monkeypatch.setattr("homeward.cli.photo_process.decode", photos.decode)
    photo = Image.new("RGB", (2000, 2000), BLUE)
    photo.paste(RED, (1200, 1200, 1800, 1800))
    made = picture.side_by_side(png_of(photo), Box(1400, 1400, 200, 200), plain(640, 480), CAPTIONS)
    assert made.getpixel((28 + 200, 52 + 28 + 240)) == RED


def test_a_heic_photograph_is_shown() -> None:
    made = picture.side_by_side(RED_LEFT_HEIC, None, plain(640, 480), CAPTIONS)
    assert made.getpixel((28 + 100, 52 + 28 + 240))[0] > 200
