from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from heic import RED_LEFT_HEIC
from homeward.cli import photo_process, picture, typeface
from homeward.cli.errors import CliError
from homeward.cli.picture import WIDTH, Box, Reference, Sheet, Shown
from homeward.core import photos

ROTATED_LEFT = 6
"""EXIF orientation: to be turned a quarter to the right."""
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


APART = photo_process.decode


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in this process, which is quicker; `test_photo_process` is about the other one."""
    monkeypatch.setattr("homeward.cli.photo_process.decode", photos.decode)


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


def sheet(
    *,
    references: Sequence[Reference] = (),
    stills: Sequence[Shown] = (),
    **texts: Any,
) -> Sheet:
    given = {"title": "Anna", "about": ["Case MP-26-0412"], "notes": ["Score 0.612"]} | texts
    return Sheet(
        references=references or [Reference(plain(300, 400, RED), None, ["Photograph 1 of 1"])],
        stills=stills or [Shown(plain(400, 400, GREEN), 64, ["10:00:12 GMT"])],
        **given,
    )


def share(made: Image.Image, colour: tuple[int, int, int]) -> float:
    """How much of the picture has a colour, in parts of a million."""
    pixels = made.width * made.height
    return sum(count for count, one in made.getcolors(pixels) or [] if one == colour) / pixels * 1e6


def area(made: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int]:
    """Width and height of what has a colour."""
    rows, columns = np.nonzero((np.asarray(made) == colour).all(axis=2))
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def test_it_is_as_wide_as_a_phones_screen() -> None:
    assert picture.drawn(sheet()).width == WIDTH


def test_captions_say_what_the_reviewer_must_know(written: list[str]) -> None:
    picture.drawn(sheet())
    assert written == [
        "Candidate for human review, not an identification",
        "Anna",
        "Case MP-26-0412",
        "REFERENCE PHOTOGRAPHS: 1",
        "Photograph 1 of 1",
        "STILLS OF THE RECORDING, IN ORDER OF TIME: 1",
        "Face 64 pixels high in the recording, not",
        "enlarged",
        "10:00:12 GMT",
        "Score 0.612",
    ]


@pytest.mark.parametrize(
    ("side", "shown", "told"),
    [
        (100, 400, "shown 4 times as large"),
        (200, 400, "shown 2 times as large"),
        (400, 400, "not enlarged"),
        (720, 502, "shown smaller"),
        (30, 120, "shown 4 times as large"),
    ],
)
def test_a_still_is_enlarged_by_a_whole_number_that_is_told(
    written: list[str], side: int, shown: int, told: str
) -> None:
    made = picture.drawn(sheet(stills=[Shown(plain(side, side, GREEN), 30, [])]))

    assert area(made, GREEN) == (shown, shown)
    assert f"Face 30 pixels high in the recording, {told}" in " ".join(written)


def test_stills_are_cut_around_the_face_and_the_best_one_is_shown_whole(written: list[str]) -> None:
    still = Image.new("RGB", (400, 600), BLUE)
    pink = (250, 0, 250)
    still.paste(pink, (150, 100, 250, 200))
    shown = Shown(png_of(still), 100, [], best=True, face=Box(150, 100, 100, 100))

    made = picture.drawn(sheet(stills=[shown, Shown(plain(90, 90, GREEN), 30, ["S"])]))

    texts = " ".join(written)
    assert "THE MOST ALIKE STILL, WHOLE" in texts
    assert "Face 100 pixels high in the recording, shown 2 times as large" in texts
    scale = 560 / 600
    assert share(made, pink) * made.width * made.height / 1e6 == pytest.approx(
        196**2 + (100 * scale - 6) ** 2, rel=0.05
    )


def test_six_stills_and_all_references_are_shown() -> None:
    colours = [(10 * n, 200, 100) for n in range(1, 10)]
    made = picture.drawn(
        sheet(
            references=[Reference(plain(90, 90, one), None, ["R"]) for one in colours[:3]],
            stills=[Shown(plain(90, 90, one), 30, ["S"]) for one in colours[3:]],
        )
    )

    assert all(share(made, colour) > 0 for colour in colours)


def test_what_is_gone_is_told(written: list[str]) -> None:
    picture.drawn(
        sheet(references=[Reference(b"", None, ["Photograph 1 of 1"])], stills=[Shown(b"", 0, [])])
    )

    assert "The photograph is gone." in written
    assert "This still is gone." in written


def test_the_reference_is_cut_around_the_face() -> None:
    photo = Image.new("RGB", (1500, 1500), BLUE)
    photo.paste(RED, (650, 650, 850, 850))
    face = Box(650, 650, 200, 200)

    made = picture.drawn(sheet(references=[Reference(png_of(photo), face, [])]))

    assert area(made, RED)[0] == pytest.approx(328 * 200 / 480, abs=3)


def test_the_reference_is_upright_before_it_is_cut() -> None:
    upright = Image.new("RGB", (200, 400), BLUE)
    upright.paste(RED, (0, 0, 100, 100))
    exif = Image.Exif()
    exif[0x0112] = ROTATED_LEFT
    lying = png_of(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)

    made = picture.drawn(sheet(references=[Reference(lying, Box(30, 30, 40, 40), [])]))

    assert share(made, RED) > 0


def test_a_wide_still_is_kept_within_the_picture() -> None:
    made = picture.drawn(sheet(stills=[Shown(plain(4000, 500, GREEN), 30, [])]))
    assert area(made, GREEN)[0] == (WIDTH - 2 * 28 - 20) // 2


def test_long_captions_wrap_to_their_column(written: list[str]) -> None:
    long = ["North " * 30, "x" * 200]
    picture.drawn(sheet(stills=[Shown(plain(400, 400), 30, long)]))
    assert max(map(len, written)) < 60
    assert sum(text.count("x") for text in written if len(text) > 5 and set(text) == {"x"}) == 200


def test_a_name_in_other_letters_is_set_in_a_font_of_the_system(written: list[str]) -> None:
    picture.drawn(sheet(title="Łucja Müller"))
    assert written[1] in ("Łucja Müller", "?ucja Muller")


def test_without_such_a_font_unknown_letters_show_as_questions(
    written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typeface, "SYSTEM_FONTS", ())
    picture.drawn(sheet(title="Łucja Müller"))
    assert written[1] == "?ucja Muller"


def test_bytes_that_are_no_picture_are_refused_by_name() -> None:
    with pytest.raises(CliError, match="the still that came is not a picture"):
        picture.drawn(sheet(stills=[Shown(b"no", 30, [])]))


def test_the_file_is_png() -> None:
    made = picture.png(Image.new("RGB", (10, 10)))
    assert Image.open(io.BytesIO(made)).format == "PNG"


def test_a_large_photograph_is_cut_around_the_face_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeward.core.photos.FULL_SIZE_PIXELS", 1000)
    photo = Image.new("RGB", (2000, 2000), BLUE)
    photo.paste(RED, (1200, 1200, 1800, 1800))
    face = Box(1400, 1400, 200, 200)

    made = picture.drawn(sheet(references=[Reference(png_of(photo), face, [])]))

    assert share(made, RED) > 0


def test_a_heic_photograph_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeward.cli.photo_process.decode", APART)
    made = picture.drawn(sheet(references=[Reference(RED_LEFT_HEIC, None, [])]))
    assert any(red > 200 and green < 80 for _, (red, green, _) in made.getcolors(10**7) or [])
