from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from homeward.core.vision.redaction import TOO_LARGE, bystanders, redact


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float


def noise(width: int = 640, height: int = 480) -> np.ndarray:
    """A picture full of detail: what is coarse in it shows."""
    fine = np.random.default_rng(1).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_NEAREST)


def ellipse(box: Box, times: float = 1.0, shape: tuple[int, int] = (480, 640)) -> np.ndarray:
    """Where a face is that fills its box, or is so many times as large."""
    mask = np.zeros(shape, np.uint8)
    middle = (round(box.x + box.width / 2), round(box.y + box.height / 2))
    axes = (round(box.width / 2 * times), round(box.height / 2 * times))
    cv2.ellipse(mask, middle, axes, 0, 0, 360, 1, -1)
    return mask.astype(bool)


def detail(picture: np.ndarray) -> np.ndarray:
    """How much each pixel differs from those around it."""
    smooth = cv2.blur(picture, (9, 9)).astype(np.float32)
    return np.abs(picture.astype(np.float32) - smooth).mean(axis=2)


OWN = Box(300, 180, 60, 75)
SHARP = float(detail(noise()).mean())


@pytest.mark.parametrize(
    "other",
    [Box(200, 180, 60, 75), Box(100, 300, 20, 25), Box(420, 100, 150, 190), Box(-20, -20, 60, 75)],
    ids=["beside", "small", "large", "cut by the edge"],
)
@pytest.mark.parametrize("keep", [OWN, None])
def test_no_detail_of_a_face_is_left(other: Box, keep: Box | None) -> None:
    redacted = redact(noise(), keep, [other])

    assert detail(redacted)[ellipse(other, 1.2)].max() < SHARP / 2


@pytest.mark.parametrize("width", [20, 60, 150])
def test_a_face_is_left_with_few_cells(width: int) -> None:
    """Fine stripes go, and those that are a third of the face wide stay."""
    face = Box(300, 200, width, width * 1.25)
    stripes = (np.indices((480, 640))[1] // max(1, width // 12) % 2 * 255).astype(np.uint8)

    redacted = redact(np.dstack([stripes] * 3), None, [face])

    assert redacted[ellipse(face)].std() < stripes.std() / 3


@pytest.mark.parametrize("right", [60, 45, 30])
def test_a_face_that_touches_the_kept_one_is_coarse_but_for_the_kept_face(right: float) -> None:
    other = Box(OWN.x + right, OWN.y, 60, 75)

    redacted = redact(noise(), OWN, [other])

    left = detail(redacted) > SHARP / 2
    assert not left[ellipse(other) & ~ellipse(OWN, 1.3)].any()
    own = ellipse(OWN, 0.8) & (np.indices((480, 640))[1] < OWN.x + 0.4 * OWN.width)
    np.testing.assert_array_equal(redacted[own], noise()[own])


@pytest.mark.parametrize("right", [50, 40, 30])
def test_what_two_boxes_hold_is_coarse(right: float) -> None:
    """Either may be in front of the other: what is left is what is surely the kept face."""
    other = Box(OWN.x + right, OWN.y, 60, 75)

    redacted = redact(noise(), OWN, [other])

    assert detail(redacted)[ellipse(other)].max() < SHARP / 2
    own = ellipse(OWN, 0.8) & ~ellipse(other, 1.3)
    np.testing.assert_array_equal(redacted[own], noise()[own])


@given(
    x=st.floats(-60, 640),
    y=st.floats(-60, 480),
    width=st.floats(36, 160),
    surroundings=st.booleans(),
)
@settings(deadline=None, max_examples=60)
@example(x=OWN.x + 14, y=OWN.y - 8, width=54, surroundings=True).via("behind the kept head")
def test_no_place_of_a_face_leaves_detail_of_it(
    x: float, y: float, width: float, *, surroundings: bool
) -> None:
    """But for what a detector takes twice for the kept face, or is no face beside that one."""
    other = Box(x, y, width, 1.25 * width)
    assume(bystanders(OWN, [other]))

    redacted = redact(noise(), OWN, [other], surroundings=surroundings)

    there = ellipse(other)
    if width >= TOO_LARGE * OWN.width:
        there &= ~ellipse(OWN, 1.3)
    assert detail(redacted)[there].max(initial=0) < SHARP / 2


@pytest.mark.parametrize("right", [40, 20, -30])
def test_the_kept_face_comes_before_somebody_behind_it(right: float) -> None:
    behind = Box(OWN.x + right, OWN.y, 60, 75)

    redacted = redact(noise(), OWN, [], behind=[behind], surroundings=True)

    np.testing.assert_array_equal(redacted[ellipse(OWN, 0.8)], noise()[ellipse(OWN, 0.8)])
    assert detail(redacted)[ellipse(behind) & ~ellipse(OWN, 1.3)].max() < SHARP / 2


def test_the_kept_face_comes_before_a_far_larger_one() -> None:
    """Which would hide it: a detector sees faces in shop windows and awnings."""
    redacted = redact(noise(), OWN, [Box(60, 100, 260, 325)])

    np.testing.assert_array_equal(redacted[ellipse(OWN, 0.8)], noise()[ellipse(OWN, 0.8)])


def test_a_box_that_is_a_little_off_the_kept_face_is_somebody_elses() -> None:
    """Of somebody behind it, who was seen a moment ago."""
    behind = Box(OWN.x - 16, OWN.y - 6, 56, 70)

    redacted = redact(noise(), OWN, [behind], surroundings=True)

    assert detail(redacted)[ellipse(behind)].max() < SHARP / 2


@pytest.mark.parametrize("small", [Box(230, 200, 16, 20), Box(250, 240, 12, 15)])
@pytest.mark.parametrize("keep", [OWN, None])
def test_a_small_face_puts_nothing_back_that_a_large_one_made_coarse(
    small: Box, keep: Box | None
) -> None:
    """A detector finds small faces in large ones that are not there."""
    large = Box(180, 150, 100, 125)
    stripes = (np.indices((480, 640))[1] // 8 % 2 * 255).astype(np.uint8)
    picture = np.dstack([stripes] * 3)

    redacted = redact(picture, keep, [large, small])

    assert redacted[ellipse(small)].std() < stripes.std() / 4


@pytest.mark.parametrize("right", [75, -75, 90])
def test_the_kept_head_is_whole_beside_somebody(right: float) -> None:
    """With its hair, as far as the other one's face does not hide it."""
    other = Box(OWN.x + right, OWN.y, 60, 75)

    redacted = redact(noise(), OWN, [other])

    hair = Box(OWN.x - 8, OWN.y - 30, OWN.width + 16, OWN.height + 30)
    whole = ellipse(hair) & ~ellipse(other, 1.6)
    np.testing.assert_array_equal(redacted[whole], noise()[whole])


@pytest.mark.parametrize("other", [Box(OWN.x + 75, OWN.y, 60, 75), Box(40, 60, 20, 25)])
def test_in_surroundings_with_others_the_kept_face_alone_is_whole(other: Box) -> None:
    """Who is right behind it is found by no detector: they may look out beside hair and neck."""
    redacted = redact(noise(), OWN, [other], surroundings=True)

    face = ellipse(OWN, 0.9)
    np.testing.assert_array_equal(redacted[face], noise()[face])
    for right, down in ((-24, -10), (24, -10), (0, -30), (-20, 36), (20, 36)):
        behind = ellipse(Box(OWN.x + right, OWN.y + down, 54, 68)) & ~ellipse(OWN, 1.4)
        behind &= np.indices(behind.shape)[0] < OWN.y + 0.95 * OWN.height  # above the shoulders
        assert detail(redacted)[behind].max() < SHARP / 2


def test_the_kept_head_is_whole_where_nobody_else_is() -> None:
    redacted = redact(noise(), OWN, [Box(-400, 180, 60, 75)], surroundings=True)

    hair = ellipse(Box(OWN.x - 8, OWN.y - 30, OWN.width + 16, OWN.height + 30))
    np.testing.assert_array_equal(redacted[hair], noise()[hair])


def test_a_box_of_the_kept_face_itself_changes_nothing() -> None:
    again = Box(OWN.x + 6, OWN.y - 5, 64, 70)

    np.testing.assert_array_equal(redact(noise(), OWN, [again]), noise())


def test_what_is_coarse_has_no_hard_edge() -> None:
    """Between two pixels beside each other the share of what is coarse changes little."""
    white = np.full((480, 640, 3), 255, np.uint8)
    white[:, :300] = 0  # a coarse face spreads over the border, by how much its weight says

    redacted = redact(white, None, [Box(270, 180, 60, 75)]).astype(np.float32)

    steps = np.abs(np.diff(redacted[..., 0], axis=0))
    assert steps.max() < 64


def test_a_picture_stays_as_it_was() -> None:
    picture = noise()

    redact(picture, OWN, [Box(200, 180, 60, 75)], surroundings=True)

    np.testing.assert_array_equal(picture, noise())


def test_without_others_all_stays_sharp() -> None:
    np.testing.assert_array_equal(redact(noise(), OWN, []), noise())


def test_the_surroundings_of_the_kept_one_are_coarse() -> None:
    """Nobody finds everybody: who stands beside is not recognisable, whether found or not."""
    missed = Box(180, 180, 60, 75)

    redacted = redact(noise(), OWN, [], surroundings=True)

    assert detail(redacted)[ellipse(missed)].max() < SHARP / 2
    body = np.s_[290:340, 280:380]
    np.testing.assert_array_equal(redacted[body], noise()[body])


@pytest.mark.parametrize("x", [385, 235])
def test_who_looks_over_a_shoulder_of_the_kept_one_is_coarse(x: float) -> None:
    """Beside the neck, where no detector finds a part of a face; the shoulder below is whole."""
    missed = Box(x, 215, 40, 50)

    redacted = redact(noise(), OWN, [], surroundings=True)

    assert detail(redacted)[ellipse(missed)].max() < SHARP / 2
    shoulders = np.s_[345:400, 260:400]
    np.testing.assert_array_equal(redacted[shoulders], noise()[shoulders])


def test_without_a_kept_one_the_whole_picture_is_coarse() -> None:
    assert detail(redact(noise(), None, [], surroundings=True)).max() < SHARP / 2


def test_a_face_outside_of_the_picture_changes_nothing() -> None:
    np.testing.assert_array_equal(redact(noise(), OWN, [Box(900, 900, 60, 75)]), noise())
