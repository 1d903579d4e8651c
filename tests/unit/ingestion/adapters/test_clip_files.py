"""The pictures and the file of a clip."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import av
import numpy as np
import pytest

from homeward.core.vision.regions import Region
from homeward.ingestion.adapters.clip_encoder import X264ClipEncoder
from homeward.ingestion.adapters.clip_images import (
    LINE_PX,
    MOST_SIDE_PX,
    CvClipImages,
    clip_size,
    outermost,
)
from homeward.ingestion.adapters.memory import InMemoryPicture
from homeward.ingestion.clip.cover import Cover
from homeward.ingestion.scan.faces import Box, Frame

NOISE = np.random.default_rng(1).integers(0, 256, (180, 320, 3), dtype=np.uint8)


@pytest.fixture
def frame() -> Frame:
    return Frame(timedelta(), InMemoryPicture(NOISE), np.zeros((270, 320), np.uint8), 1.0)


def left(image: Any) -> Any:
    """Which pixels are as they were."""
    return (image[:180] == NOISE).all(axis=2)


def encoded(times: list[float]) -> bytes:
    file = X264ClipEncoder().open(320, 180)
    for number, at in enumerate(times):
        file.add(np.full((180, 320, 3), 40 * number, np.uint8), timedelta(seconds=at))
    return file.finish()


def test_a_clip_is_h264_in_mp4_with_the_times_of_the_recording() -> None:
    with av.open(io.BytesIO(encoded([0, 0.04, 0.5]))) as container:
        [stream] = container.streams
        shown = [float(one.pts * one.time_base) for one in container.decode(video=0)]  # type: ignore[operator]
        assert (container.format.name, stream.codec_context.name) == (
            "mov,mp4,m4a,3gp,3g2,mj2",
            "h264",
        )
        assert stream.codec_context.pix_fmt == "yuv420p"  # type: ignore[attr-defined]
    assert shown == pytest.approx([0, 0.04, 0.5], abs=0.001)


def test_the_same_pictures_make_the_same_file() -> None:
    assert encoded([0, 0.04, 0.08]) == encoded([0, 0.04, 0.08])


def test_faces_are_blurred_with_what_is_around_them(frame: Frame) -> None:
    face = Box(100, 60, 40, 50)
    image = CvClipImages().redacted(frame, Cover(covered=[face]), "")
    assert not left(image)[55:115, 95:145].any()
    assert left(image)[:, 220:].all()
    assert (frame.picture.cut(Region(0, 0, 320, 180)) == NOISE).all()  # what was decoded stays


def test_whom_a_clip_shows_is_as_recorded(frame: Frame) -> None:
    shown, other = Box(100, 60, 40, 50), Box(200, 60, 40, 50)
    image = CvClipImages().redacted(frame, Cover(covered=[other], shown=[shown]), "")
    assert left(image)[60:110, 100:140].all()
    assert not left(image)[60:110, 200:240].any()


def test_nobody_is_shown_where_two_would_be(frame: Frame) -> None:
    two = [Box(100, 60, 40, 50), Box(200, 60, 40, 50)]
    image = CvClipImages().redacted(frame, Cover(shown=two), "")
    assert not left(image)[60:110, 100:140].any()
    assert not left(image)[60:110, 200:240].any()


def test_a_cover_inside_of_another_is_left_out_and_the_largest_comes_last() -> None:
    large, inside, beside = Box(0, 0, 100, 100), Box(0, 10, 100, 90), Box(90, 90, 20, 20)
    assert outermost([large, inside, beside, large]) == [beside, large]


def test_a_whole_picture_is_blurred(frame: Frame) -> None:
    image = CvClipImages().redacted(frame, Cover(whole=True), "")
    assert left(image).mean() < 0.01


def test_text_stands_below_the_picture_and_hides_nothing(frame: Frame) -> None:
    image = CvClipImages().redacted(frame, Cover(), "2026-11-20 10:00:00.000 UTC " * 9)
    assert image.shape == (180 + LINE_PX, 320, 3)
    assert left(image).all()
    assert image[180:].max() > 200


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((1920, 1080), (1920, 1080)),
        ((3840, 2160), (MOST_SIDE_PX, 1080)),
        ((1080, 3840), (540, MOST_SIDE_PX)),
        ((641, 361), (640, 360)),
    ],
)
def test_pictures_have_an_even_size_and_a_longest_side(
    given: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert clip_size(*given, text=False) == expected
    assert clip_size(*given, text=True) == (expected[0], expected[1] + LINE_PX)
