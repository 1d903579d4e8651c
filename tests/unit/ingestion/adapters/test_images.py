from __future__ import annotations

from datetime import timedelta
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeward.ingestion.adapters.images import (
    CLOSEUP_LEAST_PX,
    CLOSEUP_MAX_PX,
    CLOSEUP_MIN_PX,
    STILL_MARGIN_FACE_WIDTHS,
    STILL_SIDE_PX,
    THUMBNAIL_SIZE,
    CvFaceImages,
    shown_region,
)
from homeward.ingestion.adapters.memory import InMemoryPicture
from homeward.ingestion.scan.faces import Box, Face, Frame, Portrait


def noise(width: int = 640, height: int = 480) -> np.ndarray:
    """A picture full of detail: what is blurred in it shows."""
    coarse = np.random.default_rng(1).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)


def frame(image: np.ndarray) -> Frame:
    copy = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
    return Frame(timedelta(), InMemoryPicture(image), copy, 1.0)


def still(image: np.ndarray, face: Face, *others: Face) -> np.ndarray:
    images = CvFaceImages()
    portrait = images.portrait(frame(image), face.box, [other.box for other in others])
    data = np.frombuffer(images.still(portrait).picture, np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.float32)


def detail(picture: np.ndarray, box: tuple[int, int, int, int]) -> float:
    """How much neighbouring pixels differ in left, top, right, bottom of a picture."""
    left, top, right, bottom = box
    grey = picture[top:bottom, left:right].mean(axis=2)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def face(x: float, y: float, width: float = 60) -> Face:
    return Face(Box(x, y, width, width * 1.25), np.zeros((5, 2), np.float32), 0.9)


OWN = face(300, 180)
LEFT, TOP = 201, 120  # where the still of OWN begins
UNTOUCHED = 10.0


@pytest.mark.parametrize(
    ("other", "seen"),
    [
        (face(200, 180), (201, 180, 260, 255)),
        (face(400, 250), (400, 250, 460, 325)),
        (face(160, 200), (201, 200, 220, 275)),
        (face(190, 100), (201, 120, 250, 175)),
        (face(345, 180), (378, 180, 405, 255)),
    ],
    ids=["beside", "below", "cut by the left", "cut by the top", "overlapping"],
)
def test_every_other_face_is_blurred(other: Face, seen: tuple[int, int, int, int]) -> None:
    box = (seen[0] - LEFT, seen[1] - TOP, seen[2] - LEFT, seen[3] - TOP)

    assert detail(noise().astype(np.float32), seen) > UNTOUCHED
    assert detail(still(noise(), OWN, other), box) < UNTOUCHED / 2


@pytest.mark.parametrize(
    ("other", "right"), [(face(200, 180), 348), (face(345, 180), 338), (face(310, 190), 348)]
)
def test_the_persons_own_face_is_untouched(other: Face, right: int) -> None:
    """But for where somebody else's face may be."""
    own = np.s_[190 - TOP : 245 - TOP, 312 - LEFT : right - LEFT]

    before, after = still(noise(), OWN), still(noise(), OWN, other)

    assert np.abs(before[own] - after[own]).mean() < 2  # JPEG's own noise


def test_a_face_outside_of_the_still_changes_nothing() -> None:
    assert np.array_equal(still(noise(), OWN), still(noise(), OWN, face(20, 20, 40)))


def test_making_a_still_leaves_the_picture_as_it_was() -> None:
    image = noise()

    still(image, OWN, face(200, 180))

    assert np.array_equal(image, noise())


def test_a_still_shows_head_and_shoulders() -> None:
    assert still(noise(), OWN).shape == (303, 258, 3)


@given(x=st.floats(-30, 610), y=st.floats(-30, 450), width=st.floats(20, 200))
@settings(deadline=None)
def test_the_edges_of_a_portrait_are_not_shown_but_for_the_persons_head(
    x: float, y: float, width: float
) -> None:
    """A face that they cut is found by no detector."""
    own = portrait(noise(), face(x, y, width).box)

    shown = shown_region(own)

    margin, height = STILL_MARGIN_FACE_WIDTHS * width, 1.25 * width
    head = Box(own.face.x - 0.5 * width, own.face.y - 0.8 * height, 2 * width, 2.3 * height)
    for edge, of_head in (
        (shown.left, head.x),
        (shown.top, head.y),
        (own.picture.width - shown.right, own.picture.width - head.x - head.width),
        (own.picture.height - shown.bottom, own.picture.height - head.y - head.height),
    ):
        assert edge <= max(0, of_head)
        assert edge > min(margin, of_head) - 1


def test_a_large_still_is_made_smaller() -> None:
    picture = still(noise(1920, 1080), face(800, 400, 300))

    assert max(picture.shape[:2]) == STILL_SIDE_PX


@pytest.mark.parametrize("at", [(-20, -20), (620, 460), (-80, 200), (300, 500)])
def test_a_face_at_the_edge_has_a_still(at: tuple[int, int]) -> None:
    assert still(noise(), face(*at)).size > 0


def portrait(image: np.ndarray, box: Box, *others: Box) -> Portrait:
    return CvFaceImages().portrait(frame(image), box, others)


@pytest.mark.parametrize(
    ("width", "side"),
    [(24, CLOSEUP_MIN_PX), (40, CLOSEUP_MIN_PX), (80, 100), (400, CLOSEUP_MAX_PX)],
    ids=["tiny", "small", "as it is", "large"],
)
def test_a_face_in_a_close_up_has_a_size_that_suits_a_detector(width: float, side: float) -> None:
    box = Box(700, 300, width, width * 1.25)

    closeup = CvFaceImages().closeup(portrait(noise(1920, 1080), box), wide=False)

    assert box.height * closeup.scale == pytest.approx(side, rel=0.05)
    assert closeup.image.shape[0] == pytest.approx(2 * side, rel=0.06)


@pytest.mark.parametrize("box", [Box(300, 180, 60, 75), Box(300, 180, 30, 36), Box(2, 2, 40, 50)])
def test_a_place_on_a_close_up_is_found_again_in_its_portrait(box: Box) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    x, y = round(box.centre[0]), round(box.centre[1])
    image[y - 1 : y + 2, x - 1 : x + 2] = 255

    held = portrait(image, box)
    closeup = CvFaceImages().closeup(held, wide=False)

    bright = np.argwhere(closeup.image[..., 0] > 127).mean(axis=0) + 0.5
    place = bright[::-1] / closeup.scale + [closeup.left, closeup.top]
    assert place == pytest.approx([*held.face.centre], abs=1.5)


@pytest.mark.parametrize("at", [(-20, -20), (620, 460), (-80, 200), (300, 500)])
def test_a_face_at_the_edge_has_a_close_up(at: tuple[int, int]) -> None:
    closeup = CvFaceImages().closeup(portrait(noise(), face(*at).box), wide=False)

    assert min(closeup.image.shape[:2]) >= CLOSEUP_LEAST_PX


POINTS = np.array([[320, 210], [345, 210], [332, 225], [322, 238], [343, 238]], np.float32)
"""Of a face that looks into the camera."""


def test_an_aligned_face_is_the_same_out_of_its_picture_and_its_portrait() -> None:
    image, box = noise(), Box(300, 180, 60, 75)
    own = portrait(image, box)
    moved = POINTS + np.array([own.face.x - box.x, own.face.y - box.y], np.float32)
    whole = Portrait(InMemoryPicture(image), box, ())

    aligned = CvFaceImages().aligned(own, Face(own.face, moved, 0.9))

    assert aligned.shape == (112, 112, 3)
    expected = CvFaceImages().aligned(whole, Face(box, POINTS, 0.9))
    np.testing.assert_array_equal(aligned, expected)


def test_what_a_face_is_worth_at_most_is_known_without_looking() -> None:
    images, seen = CvFaceImages(), Face(Box(300, 180, 60, 75), POINTS, 0.9)
    blurred = cv2.GaussianBlur(noise(), (31, 31), 10)

    most = images.selection_quality(frame(blurred), seen, sharpness=False)

    assert images.selection_quality(frame(blurred), seen, sharpness=True) < most
    assert images.selection_quality(frame(noise()), seen, sharpness=True) <= most


def test_a_face_is_worth_the_same_by_its_picture_and_by_its_portrait() -> None:
    images, image, box = CvFaceImages(), noise(), Box(300, 180, 60, 75)
    seen = Face(box, POINTS, 0.9)
    aligned = images.aligned(Portrait(InMemoryPicture(image), box, ()), seen)

    assert images.quality(aligned, seen) == images.selection_quality(
        frame(image), seen, sharpness=True
    )


def test_a_thumbnail_is_small_and_grey() -> None:
    width, height = THUMBNAIL_SIZE
    grey = Frame(timedelta(), InMemoryPicture(noise()), np.full((720, 640), 90, np.uint8), 1.0)

    thumbnail: Any = CvFaceImages().thumbnail(grey)

    assert thumbnail.shape == (height, width)
    assert thumbnail.dtype == np.float32
    assert np.all(thumbnail == 90)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_patch_shows_head_and_shoulders_very_small(scale: float) -> None:
    grey = np.full((600, 400), 50, np.uint8)
    grey[170:420, 120:280] = 200  # twice as wide as the face, from above it to the shoulders
    copy = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = Frame(
        timedelta(),
        InMemoryPicture(noise()),
        np.concatenate([copy, np.full_like(copy[: copy.shape[0] // 2], 128)]),
        scale,
    )

    patch = CvFaceImages().patch(frame, Box(160, 200, 80, 100))

    np.testing.assert_array_equal(patch, np.full((8, 6), 200, np.float32))


@pytest.mark.parametrize("box", [Box(-50, -60, 40, 50), Box(390, 590, 40, 50), Box(500, 0, 1, 1)])
def test_a_patch_at_the_edge_shows_what_is_in_the_picture(box: Box) -> None:
    frame = Frame(timedelta(), InMemoryPicture(noise()), np.full((900, 400), 70, np.uint8), 1.0)

    assert CvFaceImages().patch(frame, box).tolist() == [[70.0] * 6] * 8
