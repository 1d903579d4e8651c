from __future__ import annotations

import cv2
import numpy as np
import pytest

from homeward.core.vision.quality import eye_distance, fuse, measure_quality, sharpness, turn

FRONTAL = np.array([[30, 40], [70, 40], [50, 62], [35, 85], [65, 85]], np.float32)


def noise(side: int = 112) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_eye_distance_is_in_pixels() -> None:
    assert eye_distance(FRONTAL) == pytest.approx(40)


def test_a_blurred_face_is_less_sharp() -> None:
    face = noise()

    assert sharpness(cv2.GaussianBlur(face, (0, 0), 4)) < sharpness(face) - 0.3


def test_blur_in_one_direction_counts() -> None:
    face = noise()

    assert sharpness(cv2.GaussianBlur(face, (0, 0), sigmaX=4, sigmaY=0.01)) < sharpness(face) - 0.3


def test_sharpness_does_not_depend_on_contrast() -> None:
    face = cv2.GaussianBlur(noise(), (0, 0), 1)
    faint = (face // 4 + 90).astype(np.uint8)

    assert sharpness(faint) == pytest.approx(sharpness(face), abs=0.05)


def test_what_surrounds_a_face_does_not_make_it_sharp() -> None:
    face = np.full((112, 112, 3), 128, np.uint8)
    face[:30] = noise()[:30]

    assert sharpness(face) == 0


def test_a_face_without_any_detail_has_no_sharpness() -> None:
    assert sharpness(np.full((112, 112, 3), 128, np.uint8)) == 0


def test_a_face_that_looks_at_the_camera_is_not_turned() -> None:
    assert turn(FRONTAL) == pytest.approx(0)


def test_a_nose_at_the_height_of_an_eye_is_half_turned() -> None:
    landmarks = FRONTAL.copy()
    landmarks[2, 0] = 70

    assert turn(landmarks) == pytest.approx(0.5)


def test_turning_left_and_right_count_alike() -> None:
    left, right = FRONTAL.copy(), FRONTAL.copy()
    left[2, 0] -= 12
    right[2, 0] += 12

    assert turn(left) == pytest.approx(turn(right))


def test_tilting_the_head_to_a_shoulder_is_no_turn() -> None:
    tilted = FRONTAL @ np.array([[0.8, -0.6], [0.6, 0.8]], np.float32)

    assert turn(tilted) == pytest.approx(0, abs=1e-6)


def test_eyes_that_fall_together_are_a_profile() -> None:
    landmarks = FRONTAL.copy()
    landmarks[:2] = [50, 40]
    landmarks[2] = [30, 62]

    assert turn(landmarks) == pytest.approx(1)


@pytest.mark.parametrize(
    "worse",
    [{"eye_distance_px": 10.0}, {"sharpness": 0.2}, {"turn": 0.6}, {"detector_score": 0.6}],
)
def test_a_face_that_is_worse_in_one_respect_ranks_lower(worse: dict[str, float]) -> None:
    good = {"eye_distance_px": 30.0, "sharpness": 0.5, "turn": 0.1, "detector_score": 0.9}

    assert 0 < fuse(**{**good, **worse}) < fuse(**good) < 1


def test_a_face_too_small_to_recognise_has_no_quality_at_all() -> None:
    assert fuse(eye_distance_px=5, sharpness=1, turn=0, detector_score=1) == 0


def test_quality_is_measured_in_pixels_of_the_picture_given() -> None:
    picture = noise(240)

    quality = measure_quality(picture, FRONTAL * 2, 0.9)

    assert quality.eye_distance_px == pytest.approx(80)
