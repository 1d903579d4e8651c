from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from homeward.core.vision.planes import stack
from homeward.ingestion.cage.upright import (
    copied,
    orientation_of,
    pixel_aspect,
    shown_size,
    upright,
)
from homeward.ingestion.footage.limits import COPY_SIDE_PX, MAX_SIDE_PX
from homeward.ingestion.footage.media import Orientation

AS_STORED = Orientation()


def scene(width: int = 320, height: int = 180) -> np.ndarray:
    """A smooth picture: colour in half the resolution changes little of it."""
    coarse = np.random.default_rng(1).integers(40, 216, (5, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def frame(image: np.ndarray, *, form: str = "yuv420p", **properties: Any) -> Any:
    made = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=form)
    for name, value in properties.items():
        setattr(made, name, value)
    return made


def shown(planes: list[np.ndarray]) -> np.ndarray:
    """What somebody sees who looks at planes."""
    return cv2.cvtColor(stack(planes), cv2.COLOR_YUV2BGR_I420).astype(int)


def matrix(a: int, b: int, c: int, d: int) -> Any:
    """A picture with a display matrix: (x, y) is shown at (a x + c y, b x + d y)."""
    values = np.array([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30], np.int32)
    return SimpleNamespace(side_data={"DISPLAYMATRIX": values.tobytes()})


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
    ],
    ids=[
        "as stored",
        "clockwise",
        "upside down",
        "anticlockwise",
        "mirrored",
        "flipped",
        "transposed",
        "transposed the other way",
    ],
)
def test_a_picture_is_turned_as_its_display_matrix_says(
    turn: tuple[int, int, int, int], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    given = frame(scene())

    turned = shown(upright(given, orientation_of(matrix(*turn)), 1.0))

    np.testing.assert_array_equal(turned, expected(shown(upright(given, AS_STORED, 1.0))))


def test_a_picture_without_a_display_matrix_is_shown_as_stored() -> None:
    assert orientation_of(frame(scene())) == AS_STORED


@pytest.mark.parametrize(
    ("width", "height", "aspect"),
    [(1, 1, 1.0), (16, 11, 16 / 11), (1, 2, 0.5), (4, 1, 4.0), (1, 4, 0.25)],
)
def test_a_stated_shape_of_pixels_is_their_width_over_their_height(
    width: int, height: int, aspect: float
) -> None:
    assert pixel_aspect(width, height) == aspect


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-1, 1), (401, 100), (100, 401)])
def test_an_unknown_or_absurd_shape_of_pixels_is_taken_for_square(width: int, height: int) -> None:
    assert pixel_aspect(width, height) == 1.0


@pytest.mark.parametrize(
    ("stored", "aspect", "size"),
    [
        ((704, 576), 1.0, (704, 576)),
        ((705, 577), 1.0, (704, 576)),
        ((960, 1080), 2.0, (1920, 1080)),
        ((704, 576), 12 / 11, (768, 576)),
        ((704, 288), 0.5, (704, 576)),
        ((MAX_SIDE_PX * 2, 1000), 1.0, (MAX_SIDE_PX, 500)),
        ((MAX_SIDE_PX, 100), 2.0, (MAX_SIDE_PX, 50)),
        ((3, 3), 1.0, (2, 2)),
    ],
    ids=[
        "square",
        "odd",
        "1080N",
        "wide",
        "half of the lines",
        "too wide",
        "too wide once square",
        "tiny",
    ],
)
def test_pixels_are_shown_square_and_none_is_lost(
    stored: tuple[int, int], aspect: float, size: tuple[int, int]
) -> None:
    assert shown_size(*stored, aspect) == size


def test_a_squeezed_picture_is_shown_as_wide_as_it_was() -> None:
    squeezed = cv2.resize(scene(640, 360), (320, 360), interpolation=cv2.INTER_AREA)

    planes = upright(frame(squeezed), AS_STORED, 2.0)

    assert planes[0].shape == (360, 640)
    assert np.abs(shown(planes) - scene(640, 360)).mean() < 3


def test_a_squeezed_picture_is_turned_after_it_is_made_wide() -> None:
    planes = upright(frame(scene(320, 360)), Orientation(transpose=True), 2.0)

    assert [plane.shape for plane in planes] == [(640, 360), (320, 180), (320, 180)]


@pytest.mark.parametrize("form", ["nv12", "yuv422p", "yuv444p", "yuv420p10le", "rgb24", "yuvj420p"])
def test_pictures_of_every_form_show_the_same(form: str) -> None:
    planes = upright(frame(scene(), form=form), AS_STORED, 1.0)

    assert [plane.shape for plane in planes] == [(180, 320), (90, 160), (90, 160)]
    assert np.abs(shown(planes) - scene()).mean() < 3


def test_full_range_is_made_the_range_of_television() -> None:
    black = frame(np.zeros((180, 320, 3), np.uint8), form="yuvj420p", color_range=ColorRange.JPEG)

    assert upright(black, AS_STORED, 1.0)[0].max() == 16


def test_an_odd_last_row_and_column_are_left_out() -> None:
    planes = upright(frame(scene(321, 181)), AS_STORED, 1.0)

    assert [plane.shape for plane in planes] == [(180, 320), (90, 160), (90, 160)]


class Marked:
    """A picture that is marked as interlaced."""

    interlaced_frame = True

    def __init__(self, of: Any) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


def weave(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A picture of two fields, of the lines of two pictures in turn."""
    woven = first.copy()
    woven[1::2] = second[1::2]
    return woven


def bar(at: int) -> np.ndarray:
    """A picture with something bright that has edges."""
    image = np.full((180, 320, 3), 60, np.uint8)
    image[40:140, at : at + 60] = 220
    return image


def test_of_two_fields_that_show_different_moments_one_is_shown() -> None:
    combed: Any = Marked(frame(weave(bar(100), bar(112))))

    luma = upright(combed, AS_STORED, 1.0)[0].astype(int)

    assert luma.shape == (180, 320)
    assert np.abs(np.diff(luma[50:130], axis=0)).max() <= 2


def test_a_picture_that_is_only_marked_as_interlaced_keeps_all_of_its_lines() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (180, 320, 3), dtype=np.uint8)
    given = frame(cv2.GaussianBlur(noise, (0, 0), 1.5))
    marked: Any = Marked(given)

    np.testing.assert_array_equal(
        upright(marked, AS_STORED, 1.0)[0], upright(given, AS_STORED, 1.0)[0]
    )


def test_a_combed_picture_that_is_not_marked_keeps_all_of_its_lines() -> None:
    given = frame(weave(bar(100), bar(112)))

    luma = upright(given, AS_STORED, 1.0)[0].astype(int)

    assert np.abs(np.diff(luma[50:130], axis=0)).max() > 50


@pytest.mark.parametrize(
    ("size", "copy"),
    [
        ((320, 180), (320, 180)),
        ((960, 540), (960, 540)),
        ((1280, 720), (960, 540)),
        ((1920, 1080), (960, 540)),
        ((2560, 1440), (1280, 720)),
        ((720, 1280), (540, 960)),
    ],
)
def test_a_copy_is_bounded_but_at_least_half_of_the_picture(
    size: tuple[int, int], copy: tuple[int, int]
) -> None:
    planes, width, height = copied(upright(frame(scene(*size)), AS_STORED, 1.0), COPY_SIDE_PX)

    assert (width, height) == copy
    assert [plane.shape[::-1] for plane in planes] == [
        copy,
        (copy[0] // 2, copy[1] // 2),
        (copy[0] // 2, copy[1] // 2),
    ]


def test_a_copy_shows_the_same_picture() -> None:
    planes, _, _ = copied(upright(frame(scene(1280, 720)), AS_STORED, 1.0), COPY_SIDE_PX)

    assert np.abs(shown(planes) - scene(960, 540)).mean() < 3
