"""Whom a clip covers, and whom it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from homeward.ingestion.clip.cover import MOST_FACES, Cover, covers
from homeward.ingestion.clip.detecting import MOST_FOUND, merged
from homeward.ingestion.clip.following import Following, Run
from homeward.ingestion.clip.subject import shown_runs
from homeward.ingestion.scan.faces import Box, Face

THRESHOLD = 0.4
SECOND = 25


@pytest.fixture
def followed(images: Any, picture_at: Any) -> Any:
    """Follow the faces of so many pictures."""

    def made(count: int, faces: Mapping[int, Sequence[Face]]) -> Following:
        following = Following(images)
        for number in range(count):
            following.take(picture_at(number), faces.get(number, ()))
        following.finish()
        return following

    return made


def covered(cover: Cover, face: Face) -> bool:
    """Whether all of a face is blurred."""
    return cover.whole or any(
        one.x <= face.box.x + 1e-6
        and one.y <= face.box.y + 1e-6
        and one.x + one.width >= face.box.x + face.box.width - 1e-6
        and one.y + one.height >= face.box.y + face.box.height - 1e-6
        for one in cover.covered
    )


def planned(found: Following, shown: Sequence[Run] = ()) -> list[Cover]:
    return covers(found, shown, width=640, height=360)


def runs(found: Following) -> list[Run]:
    return [run for trail in found.trails for run in trail.runs]


def walking(make: Any, numbers: Sequence[int], *, from_x: float = 100) -> dict[int, list[Face]]:
    """Somebody who goes to the right by two pixels a picture."""
    return {number: [make.face(from_x + 2 * number)] for number in numbers}


def test_somebody_is_covered_in_the_pictures_in_which_they_were_missed(
    make: Any, followed: Any
) -> None:
    seen = [number for number in range(40) if number not in range(10, 22)]
    plan = planned(followed(40, walking(make, seen)))
    assert all(covered(plan[number], make.face(100 + 2 * number)) for number in range(40))


def test_a_cover_grows_with_the_time_since_somebody_was_found(make: Any, followed: Any) -> None:
    plan = planned(followed(60, walking(make, range(20, 30))))
    widths = [max(one.width for one in plan[number].covered) for number in range(30, 44)]
    assert widths == sorted(widths)
    assert widths[-1] > 2 * widths[0]


def test_somebody_is_covered_for_a_while_before_and_after_they_were_found(
    make: Any, followed: Any
) -> None:
    plan = planned(followed(4 * SECOND, walking(make, range(40, 50))))
    assert [bool(plan[number].covered) for number in (24, 25, 64, 65)] == [False, True, True, False]


def test_a_face_that_is_not_certain_is_covered_by_itself(make: Any, followed: Any) -> None:
    face = make.face(sure=0.35)
    plan = planned(followed(20, {10: [face]}))
    assert covered(plan[10], face)
    assert covered(plan[8], face)
    assert not plan[0].covered


def test_a_part_of_a_face_is_covered_as_the_whole_face_was(make: Any, followed: Any) -> None:
    faces = {number: [make.face(100, 100, 40)] for number in range(20)}
    faces[10] = [make.face(110, 112, 20)]  # half of it is behind somebody
    plan = planned(followed(20, faces))
    assert max(one.width for one in plan[10].covered) >= 40


def test_whom_the_clip_shows_is_not_covered(make: Any, followed: Any) -> None:
    found = followed(20, walking(make, range(20)))
    plan = planned(found, runs(found))
    assert [cover.covered for cover in plan] == [[] for _ in plan]
    assert all(len(cover.shown) == 1 for cover in plan)


def test_two_who_come_near_each_other_are_of_neither_until_they_have_parted(
    make: Any, followed: Any
) -> None:
    faces = {
        number: [make.face(100 + 4 * number), make.face(400 - 4 * number)] for number in range(75)
    }
    found = followed(75, faces)
    plan = planned(found, [run for run in found.trails[0].runs if not run.shared])
    assert [len(plan[number].shown) for number in (0, 37, 70)] == [1, 0, 1]
    assert len(plan[37].covered) == 2


def test_whoever_was_lost_before_the_subject_has_the_subject_covered_too(
    make: Any, followed: Any
) -> None:
    faces = {number: [make.face(100)] for number in range(50)}
    for number in range(20):
        faces[number].append(make.face(300 - 4 * number))
    found = followed(50, faces)
    plan = planned(found, found.trails[0].runs)
    assert [len(plan[number].shown) for number in (10, 33, 49)] == [1, 0, 1]


@pytest.mark.parametrize(
    ("numbers", "jump", "expected"),
    [
        (range(50), 0, 1),
        ([*range(20), *range(24, 50)], 0, 1),
        ([*range(20), *range(30, 50)], 0, 2),  # missed for too long
        (range(50), 45, 2),  # somewhere else all at once
        (range(100), 0, 2),  # cut for its length
    ],
)
def test_a_run_ends_where_it_may_become_somebody_elses(
    make: Any, followed: Any, numbers: Sequence[int], jump: float, expected: int
) -> None:
    faces = {number: [make.face(100 + (jump if number >= 25 else 0))] for number in numbers}
    assert len(runs(followed(100, faces))) == expected


def test_another_scene_is_blurred_until_it_is_settled(
    make: Any, followed: Any, images: Any
) -> None:
    images.scenes = dict.fromkeys(range(20, 40), 255 - images.scene)
    plan = planned(followed(40, walking(make, range(40))))
    assert [plan[number].whole for number in (14, 15, 20, 25, 26)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_picture_in_which_nothing_can_be_told_apart_is_blurred(
    followed: Any, images: Any
) -> None:
    images.scenes = {3: np.full((18, 32), 7, np.float32)}
    assert [cover.whole for cover in planned(followed(5, {}))] == [False] * 3 + [True, False]


@pytest.mark.parametrize(("faces", "whole"), [(MOST_FACES, False), (MOST_FACES + 1, True)])
def test_a_crowd_is_blurred_as_a_whole(
    make: Any, followed: Any, faces: int, *, whole: bool
) -> None:
    crowd = [make.face(10 * (n % 60), 100 * (n // 60), 8) for n in range(faces)]
    assert planned(followed(1, {0: crowd}))[0].whole is whole


def scored(found: Following, *scores: float) -> dict[int, float]:
    return {id(run): score for run, score in zip(runs(found), scores, strict=True)}


def test_a_face_below_the_threshold_is_nobodys(make: Any, followed: Any) -> None:
    found = followed(20, walking(make, range(20)))
    assert shown_runs(found.trails, scored(found, 0.399), THRESHOLD) == []
    assert shown_runs(found.trails, scored(found, 0.4), THRESHOLD) == runs(found)


def test_a_run_that_goes_on_unbroken_may_be_somewhat_less_alike(make: Any, followed: Any) -> None:
    found = followed(3 * SECOND + 50, walking(make, range(3 * SECOND + 50)))
    assert len(shown_runs(found.trails, scored(found, 0.3, 0.5), THRESHOLD)) == 2
    assert len(shown_runs(found.trails, scored(found, 0.2, 0.5), THRESHOLD)) == 1


def test_a_run_after_a_break_is_judged_by_itself(make: Any, followed: Any) -> None:
    found = followed(50, walking(make, [*range(20), *range(30, 50)]))
    assert len(shown_runs(found.trails, scored(found, 0.5, 0.3), THRESHOLD)) == 1


@pytest.mark.parametrize(("second", "expected"), [(0.45, 0), (0.41, 0), (0.405, 0), (0.30, 1)])
def test_nobody_is_shown_in_two_places_at_once(
    make: Any, followed: Any, second: float, expected: int
) -> None:
    faces = {number: [make.face(50), make.face(500)] for number in range(20)}
    found = followed(20, faces)
    shown = shown_runs(found.trails, scored(found, 0.5, second), THRESHOLD)
    assert len(shown) == expected


def test_of_two_at_once_the_one_who_is_clearly_more_alike_is_shown(
    make: Any, followed: Any
) -> None:
    faces = {number: [make.face(50), make.face(500)] for number in range(20)}
    found = followed(20, faces)
    shown = shown_runs(found.trails, scored(found, 0.41, 0.6), THRESHOLD)
    assert shown == [runs(found)[1]]


def test_a_face_found_at_two_sizes_is_one(make: Any) -> None:
    [face] = merged([[make.face(50, 50, 20, sure=0.5)], [make.face(101, 100, 40)]], (0.5, 1.0))
    assert (face.box, face.detector_score) == (Box(101, 100, 40, 50), 0.9)


def test_of_thousands_of_faces_as_many_are_told_as_have_a_picture_blurred(
    make: Any, followed: Any
) -> None:
    many = [make.face(60 * (number % 80), 60 * (number // 80)) for number in range(3000)]

    found = merged([[], many], (0.5, 1.0))

    assert len(found) == MOST_FOUND
    assert MOST_FOUND > MOST_FACES
    assert all(cover.whole for cover in planned(followed(3, dict.fromkeys(range(3), found))))
