from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from street import SETS, Street
from street_heads import DETECTOR_ZERO, Head, Pose, head_of, lay, project, render, streak
from street_truth import Truth

from homeward.evaluation.dataset import read_clip

DOTS = np.array([[55, 60], [85, 60], [70, 75], [58, 90], [82, 90]], np.float32)
BOX = np.array([40, 40, 60, 70], np.float32)
SKIN, DOT = (150, 170, 200), (10, 10, 10)
PEOPLE = 6


def disc() -> NDArray[np.uint8]:
    """A face of a flat disc with five dots at the landmarks."""
    photo = np.full((150, 140, 3), SKIN, np.uint8)
    for x, y in DOTS.astype(int):
        cv2.circle(photo, (int(x), int(y)), 3, DOT, -1)
    return photo


class DiscDetector:
    """Finds the disc in a photograph of any size, mirrored or not: it is symmetrical."""

    def detect(self, image: NDArray[np.uint8], min_score: float) -> list[Any]:  # noqa: ARG002
        scale = image.shape[0] / 150
        x, y, width, height = (float(one) for one in BOX * scale)
        zero = DETECTOR_ZERO * scale
        box = SimpleNamespace(x=x + zero, y=y + zero, width=width, height=height)
        return [SimpleNamespace(box=box, landmarks=DOTS * scale + zero, score=1.0)]


def dark_spots(picture: NDArray[np.uint8], near: NDArray[np.float32]) -> NDArray[np.float64]:
    """The centre of darkness around each of the points."""

    def spot(point: NDArray[np.float32]) -> NDArray[np.float64]:
        x, y = (round(float(one)) for one in point)
        part = picture[y - 8 : y + 9, x - 8 : x + 9, 1].astype(float)
        weight = np.clip(160 - part, 0, None)
        rows, columns = np.mgrid[y - 8 : y + 9, x - 8 : x + 9]
        return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()

    return np.array([spot(point) for point in near])


@pytest.fixture
def head() -> Head:
    return head_of(disc(), BOX, DOTS)


@dataclass(frozen=True)
class Made:
    street: Street
    video: Path
    told: dict[str, Any]
    truth: Truth
    truth_file: Path


def made(street: Street, faces: Path, cache: Path) -> Made:
    video, told, table = street.make(faces, cache, DiscDetector())
    return Made(street, video, json.loads(told.read_text()), Truth.load(table), told)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    for number in range(2 * PEOPLE):
        photo = folder / f"person-{number}" / "0.jpg"
        photo.parent.mkdir()
        cv2.imwrite(str(photo), disc())
        cv2.imwrite(str(photo.with_stem("1")), disc())
    return folder


STREET = Street(
    "test",
    1,
    size=(320, 180),
    seconds=24,
    fps=5,
    subjects=3,
    strangers=3,
    heads=(24, 48),
    groups=(2, 4),
    kinds=("cross", "towards"),
    caps=0,
)


@pytest.fixture(scope="module")
def clip(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(STREET, faces, tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize(
    "pose",
    [
        Pose(100.3, 99.8, 140),
        Pose(100.3, 99.8, 140, yaw=25),
        Pose(100.3, 99.8, 140, yaw=-25),
        Pose(100.3, 99.8, 140, pitch=20),
        Pose(99.5, 100.2, 170, yaw=15, pitch=-10),
    ],
)
def test_landmarks_are_where_the_rendered_face_has_them(head: Head, pose: Pose) -> None:
    canvas = np.full((200, 200, 3), SKIN, np.uint8)
    lay(canvas, render(head, pose), 1.0)
    where = project(head, head.landmarks, pose)
    assert np.abs(dark_spots(canvas, where) - where).max() < 0.6


def test_a_head_turned_right_and_down_moves_its_nose_right_and_down(head: Head) -> None:
    ahead, turned = (
        project(head, head.landmarks, Pose(0, 0, 100, yaw, pitch))[2]
        for yaw, pitch in ((0, 0), (20, 15))
    )
    assert (turned - ahead > 8).all()


def test_motion_blur_is_as_long_as_the_motion_and_moves_nothing() -> None:
    kernel = streak((12.0, 0.0))
    rows, columns = np.mgrid[: kernel.shape[0], : kernel.shape[1]] - kernel.shape[0] // 2
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * columns).sum() == pytest.approx(0, abs=1e-4)
    assert np.sqrt((kernel * columns**2).sum()) == pytest.approx(12 / np.sqrt(12), rel=0.05)
    assert (kernel * np.abs(rows)).sum() == pytest.approx(0, abs=1e-4)


def test_the_evaluation_reads_the_truth_file(clip: Made) -> None:
    read = read_clip(clip.video)
    assert len(read.appearances) == PEOPLE
    assert len(read.references) == STREET.subjects
    assert all(24 <= one.head_px[0] <= one.head_px[1] <= 48 for one in read.appearances)
    assert all(0 <= one.first < one.last <= STREET.seconds for one in read.appearances)


def test_the_photograph_somebody_walks_with_is_not_a_reference(clip: Made) -> None:
    assert all(len(paths) == 1 for paths in clip.told["subjects"].values())


def test_the_recording_has_a_frame_for_every_number_of_the_truth(clip: Made) -> None:
    with av.open(str(clip.video)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == STREET.seconds * STREET.fps
    assert 0 <= clip.truth.frame.min() <= clip.truth.frame.max() < frames


def test_who_walks_in_front_hides_who_walks_behind(clip: Made) -> None:
    hidden = clip.truth.columns["hidden"]
    assert hidden.max() > 0.5
    worst = int(hidden.argmax())
    people = clip.truth.at(int(clip.truth.frame[worst]))
    behind = next(one for one in people if one.person == clip.truth.person[worst])
    assert any(one.head_px > behind.head_px for one in people)


def test_speed_is_how_far_the_head_moves(clip: Made) -> None:
    steps = clip.truth.of_person(0)
    (first, before), (second, after) = steps[len(steps) // 2 : len(steps) // 2 + 2]
    assert second == first + 1
    moved = (after.head[0] + after.head[2] / 2 - before.head[0] - before.head[2] / 2) * STREET.fps
    assert (before.velocity[0] + after.velocity[0]) / 2 == pytest.approx(moved, rel=0.2, abs=8)
    assert before.blur_px == pytest.approx(before.speed * STREET.shutter)


def test_the_same_street_gives_the_same_bytes(clip: Made, faces: Path, tmp_path: Path) -> None:
    again = made(STREET, faces, tmp_path)
    assert again.video.name == clip.video.name
    assert again.video.read_bytes() == clip.video.read_bytes()


def test_a_recording_that_is_there_is_not_made_again(clip: Made, faces: Path) -> None:
    before = clip.video.stat().st_mtime_ns
    assert STREET.make(faces, clip.video.parent, DiscDetector())[0].stat().st_mtime_ns == before


def test_a_cause_left_out_leaves_the_walks_as_they_are(
    clip: Made, faces: Path, tmp_path: Path
) -> None:
    other = made(STREET.without("codec", "blur", "noise", "pose"), faces, tmp_path)
    assert np.array_equal(other.truth.columns["head"], clip.truth.columns["head"])
    assert not other.truth.columns["yaw"].any()
    assert clip.truth.columns["yaw"].any()
    assert other.truth.at(int(other.truth.frame[0]))[0].blur_px == 0


def test_nobody_is_hidden_without_occlusion(faces: Path, tmp_path: Path) -> None:
    other = made(STREET.without("occlusion"), faces, tmp_path)
    assert len(other.told["appearances"]) == PEOPLE
    assert other.truth.columns["hidden"].max() < 0.02


def test_an_umbrella_covers_its_own_face_for_a_while(faces: Path, tmp_path: Path) -> None:
    wet = replace(STREET, umbrellas=1.0)
    assert made(wet, faces, tmp_path).truth.columns["covered"].max() == 1
    dry = made(wet.without("headwear"), faces, tmp_path)
    assert dry.truth.columns["covered"].max() == 0


def test_an_unknown_cause_is_refused() -> None:
    with pytest.raises(KeyError):
        STREET.without("rain")


def test_streets_to_decide_on_show_nobody_that_streets_to_choose_on_show() -> None:
    assert {one.half for one in SETS["development"]} == {0}
    assert {one.half for one in SETS["held_out"]} == {1}
    assert {one.half for one in SETS["groups"] if one.seed <= 406} == {0}
    assert len({one.seed for streets in SETS.values() for one in streets}) == 8 + 8 + 12 + 12


def test_too_few_people_are_told(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="too few people"):
        replace(STREET, subjects=50).make(faces, tmp_path, DiscDetector())


@pytest.mark.parametrize("name", SETS)
def test_everybody_of_a_set_is_all_in_the_picture_for_a_second(name: str) -> None:
    shortest = min(
        walk.times[1:][inside[1:]].size * 0.02
        for street in SETS[name]
        for walk in street.walks(street.subjects + street.strangers)
        for inside in [
            (walk.x > walk.head / 2)
            & (walk.x < street.size[0] - walk.head / 2)
            & (walk.y > walk.head / 2)
            & (walk.y < street.size[1] - walk.head / 2)
            & (walk.times > 0)
            & (walk.times < street.seconds)
        ]
    )
    assert shortest > 1
