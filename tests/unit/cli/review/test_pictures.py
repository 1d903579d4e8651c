"""The picture that a candidate is judged by."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from cli_values import jpeg
from homeward.api.common.v1.types_pb2 import BoundingBox
from homeward.api.matching.v1 import sighting_pb2
from homeward.cli import photo_process
from homeward.cli.review.evidence import Evidence, Photograph, Still
from homeward.cli.review.pictures import Studio
from homeward.core.photos import DecodedPhoto

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def file(colour: tuple[int, int, int], width: int = 300, height: int = 300) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(written, "JPEG", quality=95)
    return written.getvalue()


@pytest.fixture(autouse=True)
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Photographs that were decoded; not in a process of their own, which takes its time."""
    given: list[bytes] = []

    def decode(data: bytes) -> DecodedPhoto:
        given.append(data)
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        return DecodedPhoto(picture, *picture.size)

    monkeypatch.setattr(photo_process, "decode", decode)
    return given


def photograph(colour: tuple[int, int, int], name: str = "Reference 1 of 2") -> Photograph:
    return Photograph(file(colour), BoundingBox(x=100, y=100, width=80, height=100), name)


def evidence(*files: bytes, rivals: tuple[Photograph, ...] = ()) -> Evidence:
    references = [photograph(RED)]
    stills = [
        Still(one, f"{number} of {len(files)}", best=number == 1)
        for number, one in enumerate(files, 1)
    ]
    return Evidence(sighting_pb2.Sighting(), stills=stills, references=references, rivals=rivals)


def panels(picture: Image.Image, *, at: int = 150) -> list[str]:
    """Return which colours a line across the picture has, from left to right."""
    named = {0: "red", 1: "green", 2: "blue"}
    seen: list[str] = []
    for x in range(0, picture.width, 5):
        pixel = picture.getpixel((x, at))
        assert isinstance(pixel, tuple)
        name = named[pixel.index(max(pixel))] if max(pixel) > 150 else ""
        if name and seen[-1:] != [name]:
            seen.append(name)
    return seen


def test_reference_still_and_rival_stand_beside_each_other(decoded: list[bytes]) -> None:
    studio = Studio()
    rival = photograph(BLUE, "Also alike: Ben")
    picture = studio.draw(evidence(file(GREEN), rivals=(rival,)))
    again = studio.draw(evidence(file(GREEN), rivals=(rival,)))

    assert panels(picture) == ["red", "green", "blue"]
    assert picture.tobytes() == again.tobytes()
    assert len(decoded) == 2  # each photograph once, and no still


@pytest.mark.parametrize(
    ("shape", "rows"), [((4000, 300), 1), ((1600, 300), 2), ((1100, 400), 3)], ids=str
)
def test_the_others_stand_small_in_rows_so_that_all_is_as_large_as_can_be(
    shape: tuple[int, int], rows: int
) -> None:
    studio = Studio()
    pair = studio.draw(evidence(file(GREEN)))
    stills, rival = [file(GREEN)] * 6, (photograph(BLUE, "Also: Ben"),)
    many = studio.draw(evidence(*stills, rivals=rival), shape=shape)

    assert many.height == pair.height
    assert panels(many, at=40)[:3] == ["red", "green", "blue"]
    # Squares beside each other, each with a label above.
    assert (many.width - pair.width) // (6 // rows) in range(350 // rows - 20, 400 // rows)


def test_the_others_stand_below_where_there_is_more_room() -> None:
    studio = Studio()
    pair = studio.draw(evidence(file(GREEN)))
    many = studio.draw(evidence(*[file(GREEN)] * 6), shape=(640, 800))

    assert (many.width, many.height > pair.height) == (pair.width, True)
    assert panels(many, at=pair.height + 100) == ["green"]


@pytest.mark.parametrize(
    "still",
    [b"no picture", jpeg(64, 64)[:200], file(GREEN, 721, 100)],
    ids=["none", "cut", "large"],
)
def test_a_still_that_cannot_be_shown_is_left_out(still: bytes) -> None:
    assert panels(Studio().draw(evidence(still))) == ["red"]


def test_a_still_that_is_gone_leaves_the_reference() -> None:
    assert panels(Studio().draw(evidence())) == ["red"]


def test_a_small_still_is_enlarged_four_times_at_most() -> None:
    picture = Studio().draw(evidence(file(GREEN, 20, 20)))
    green = [
        x
        for x in range(picture.width)
        if (pixel := picture.getpixel((x, 60))) and isinstance(pixel, tuple) and pixel[1] > 150
    ]

    assert len(green) == 80
