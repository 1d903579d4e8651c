from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from homeward.core.vision.regions import Region
from homeward.ingestion.adapters.pictures import VideoPicture
from homeward.ingestion.cage.upright import upright
from homeward.ingestion.footage.media import Orientation


def scene(width: int = 320, height: int = 180) -> np.ndarray:
    """A smooth picture: colour in half the resolution changes little of it."""
    coarse = np.random.default_rng(1).integers(40, 216, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def frame(image: np.ndarray, *, form: str = "yuv420p", **properties: Any) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=form)
    for name, value in properties.items():
        setattr(made, name, value)
    return made


def picture(given: av.VideoFrame) -> VideoPicture:
    """What comes out of a cage of a decoded picture."""
    return VideoPicture(upright(given, Orientation(), 1.0), given.colorspace)


def whole(picture: VideoPicture) -> np.ndarray:
    return picture.cut(Region(0, 0, picture.width, picture.height)).astype(int)


@pytest.mark.parametrize(
    "properties",
    [{}, {"colorspace": Colorspace.ITU709}, {"form": "nv12"}, {"form": "yuvj420p"}],
    ids=["plain", "HD colours", "two planes", "full range"],
)
def test_a_picture_has_the_colours_that_ffmpeg_gives_it(properties: dict[str, Any]) -> None:
    given = frame(scene(), **properties)

    shown = whole(picture(given))

    expected = given.to_ndarray(format="bgr24").astype(int)
    assert np.abs(shown - expected).mean() < 2


@pytest.mark.parametrize(
    "area", [Region(0, 0, 320, 180), Region(11, 7, 100, 58), Region(319, 179, 320, 180)]
)
def test_a_part_is_cut_where_it_is_asked_for(area: Region) -> None:
    shown = picture(frame(scene()))

    cut = shown.cut(area).astype(int)

    inside = whole(shown)[area.top : area.bottom, area.left : area.right]
    assert cut.shape == inside.shape
    assert np.abs(cut - inside).max() <= 8


def test_a_part_of_its_own_shows_the_same() -> None:
    shown = picture(frame(scene()))

    part = shown.part(Region(40, 20, 140, 100))

    assert (part.width, part.height) == (100, 80)
    np.testing.assert_array_equal(whole(part), shown.cut(Region(40, 20, 140, 100)))


def test_a_part_of_its_own_does_not_hold_on_to_the_rest() -> None:
    part = picture(frame(scene())).part(Region(40, 20, 140, 100))

    assert all(plane.base is None for plane in part.planes)
