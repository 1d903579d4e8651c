from __future__ import annotations

from datetime import timedelta
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from homeward.ingestion.adapters.pictures import VideoPicture, looked_at
from homeward.vision.regions import Region


def scene(width: int = 320, height: int = 180) -> np.ndarray:
    """A smooth picture: colour in half the resolution changes little of it."""
    coarse = np.random.default_rng(1).integers(40, 216, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def frame(image: np.ndarray, *, form: str = "yuv420p", **properties: Any) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=form)
    for name, value in properties.items():
        setattr(made, name, value)
    return made


def whole(picture: VideoPicture) -> np.ndarray:
    return picture.cut(Region(0, 0, picture.width, picture.height)).astype(int)


@pytest.mark.parametrize(
    "properties",
    [{}, {"colorspace": Colorspace.ITU709}, {"form": "nv12"}, {"form": "yuvj420p"}],
    ids=["plain", "HD colours", "two planes", "full range"],
)
def test_a_picture_has_the_colours_that_ffmpeg_gives_it(properties: dict[str, Any]) -> None:
    given = frame(scene(), **properties)

    picture = VideoPicture.of(given)

    expected = given.to_ndarray(format="bgr24").astype(int)
    assert np.abs(whole(picture) - expected).mean() < 2


@pytest.mark.parametrize(
    "area", [Region(0, 0, 320, 180), Region(11, 7, 100, 58), Region(319, 179, 320, 180)]
)
def test_a_part_is_cut_where_it_is_asked_for(area: Region) -> None:
    picture = VideoPicture.of(frame(scene()))

    cut = picture.cut(area).astype(int)

    inside = whole(picture)[area.top : area.bottom, area.left : area.right]
    assert cut.shape == inside.shape
    assert np.abs(cut - inside).max() <= 8


def test_a_part_of_its_own_shows_the_same() -> None:
    picture = VideoPicture.of(frame(scene()))

    part = picture.part(Region(40, 20, 140, 100))

    assert (part.width, part.height) == (100, 80)
    np.testing.assert_array_equal(whole(part), picture.cut(Region(40, 20, 140, 100)))


def test_a_part_of_its_own_does_not_hold_on_to_the_rest() -> None:
    part = VideoPicture.of(frame(scene())).part(Region(40, 20, 140, 100))

    assert all(plane.base is None for plane in part.planes)


@pytest.mark.parametrize(
    ("size", "copy", "scale"),
    [
        ((320, 180), (320, 180), 1.0),
        ((960, 540), (960, 540), 1.0),
        ((1280, 720), (960, 540), 0.75),
        ((1920, 1080), (960, 540), 0.5),
        ((2560, 1440), (1280, 720), 0.5),
        ((321, 181), (320, 180), 1.0),
    ],
)
def test_a_copy_is_bounded_but_at_least_half_of_the_picture(
    size: tuple[int, int], copy: tuple[int, int], scale: float
) -> None:
    looked = looked_at(timedelta(), frame(scene(*size)))

    assert (looked.grey.shape[1], looked.grey.shape[0]) == copy
    assert looked.copy.shape == (copy[1] * 3 // 2, copy[0])
    assert looked.scale == pytest.approx(scale, abs=0.01)


def test_a_copy_shows_the_same_picture() -> None:
    looked = looked_at(timedelta(), frame(scene(1280, 720)))

    shown = cv2.cvtColor(looked.copy, cv2.COLOR_YUV2BGR_I420).astype(int)
    assert np.abs(shown - scene(960, 540)).mean() < 3


def test_full_range_is_made_the_range_of_television() -> None:
    black = frame(np.zeros((180, 320, 3), np.uint8), form="yuvj420p", color_range=ColorRange.JPEG)

    looked = looked_at(timedelta(), black)

    assert looked.grey.max() == 16
