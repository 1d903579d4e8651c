from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from homeward.core.vision.redaction import redact


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
def test_of_what_two_boxes_hold_each_has_what_is_nearer_to_them(right: float) -> None:
    """Either may be in front of the other."""
    other = Box(OWN.x + right, OWN.y, 60, 75)

    left = detail(redact(noise(), OWN, [other])) > SHARP / 2

    beyond = np.indices((480, 640))[1] > OWN.x + 30 + right / 2 + 6
    assert not left[ellipse(other) & beyond].any()
    assert left[ellipse(OWN, 0.8) & ~beyond].mean() > 0.5


@pytest.mark.parametrize("right", [75, -75, 90])
@pytest.mark.parametrize("surroundings", [True, False])
def test_the_kept_head_is_whole_beside_somebody(right: float, *, surroundings: bool) -> None:
    """With its hair, as far as the other one's face does not hide it."""
    other = Box(OWN.x + right, OWN.y, 60, 75)

    redacted = redact(noise(), OWN, [other], surroundings=surroundings)

    hair = Box(OWN.x - 8, OWN.y - 30, OWN.width + 16, OWN.height + 30)
    whole = ellipse(hair) & ~ellipse(other, 1.6)
    np.testing.assert_array_equal(redacted[whole], noise()[whole])


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


def test_without_a_kept_one_the_whole_picture_is_coarse() -> None:
    assert detail(redact(noise(), None, [], surroundings=True)).max() < SHARP / 2


def test_a_face_outside_of_the_picture_changes_nothing() -> None:
    np.testing.assert_array_equal(redact(noise(), OWN, [Box(900, 900, 60, 75)]), noise())
