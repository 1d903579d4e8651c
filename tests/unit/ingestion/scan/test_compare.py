from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from homeward.ingestion.adapters.memory import InMemoryPicture
from homeward.ingestion.scan.compare import Likeness, combined, glimpse, nearest_other
from homeward.ingestion.scan.faces import Box, Face, Portrait, nearest
from homeward.ingestion.scan.model import Match
from homeward.ingestion.scan.shots import Shot


def match(score: float, who: str = "anna") -> Match:
    return Match(who, f"photo-of-{who}", score)


def test_the_fused_template_decides_where_it_is_the_most_alike() -> None:
    assert combined([match(0.7)], [[match(0.5)], [match(0.6)]]) == [
        Likeness(match(0.7), (0.5, 0.6))
    ]


def test_one_picture_decides_where_it_is_the_most_alike() -> None:
    assert combined([match(0.5)], [[], [match(0.6)]]) == [Likeness(match(0.6), (None, 0.6))]


def test_a_picture_alone_is_enough() -> None:
    assert combined([], [[], [], [match(0.5)]]) == [Likeness(match(0.5), (None, None, 0.5))]


def test_the_fused_template_alone_is_enough() -> None:
    assert combined([match(0.5)], [[], []]) == [Likeness(match(0.5), (None, None))]


def test_who_is_like_nobody_is_like_nobody() -> None:
    assert combined([], [[], []]) == []


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_several_subjects_come_most_alike_first(first: str) -> None:
    other = {"anna": "bert", "bert": "anna"}[first]

    found = combined([match(0.5, other)], [[match(0.6, first), match(0.4, other)]])

    assert [(one.match.subject_id, one.match.score) for one in found] == [
        (first, 0.6),
        (other, 0.5),
    ]


@pytest.mark.parametrize(("who", "rival"), [("anna", 0.5), ("bert", 0.6), ("carl", 0.6)])
def test_the_nearest_other_is_the_most_alike_but_for_oneself(who: str, rival: float) -> None:
    near = combined([match(0.6, "anna"), match(0.5, "bert"), match(0.4, "carl")], [])

    assert nearest_other(Likeness(match(0.6, who), ()), near) == rival


def test_alone_there_is_no_other() -> None:
    assert nearest_other(Likeness(match(0.6), ()), combined([match(0.6)], [])) is None


BOX = Box(100, 100, 40, 50)


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([Box(100, 100, 40, 50)], 0),
        ([Box(300, 100, 40, 50), Box(104, 98, 40, 50)], 1),
        ([Box(112, 100, 40, 50), Box(105, 100, 40, 50)], 1),
        ([Box(119, 100, 40, 50)], 0),
    ],
    ids=["the same", "another one far away", "the nearer one", "half of its width away"],
)
def test_the_face_of_a_box_is_the_nearest_one(others: list[Box], found: int) -> None:
    faces = [Face(box, np.zeros((5, 2), np.float32), 0.9) for box in others]

    assert nearest(BOX, faces) is faces[found]


@pytest.mark.parametrize("others", [[], [Box(121, 100, 40, 50)]], ids=["none", "too far away"])
def test_a_box_without_a_face_near_it_has_none(others: list[Box]) -> None:
    faces = [Face(box, np.zeros((5, 2), np.float32), 0.9) for box in others]

    assert nearest(BOX, faces) is None


def shot(at: float, quality: float) -> Shot:
    pixels = np.zeros((112, 112, 3), np.uint8)
    portrait = Portrait(InMemoryPicture(pixels), Box(0, 0, 1, 1), ())
    return Shot(timedelta(seconds=at), quality, Box(0, 0, 1, 1), portrait, ())


@pytest.mark.parametrize(
    ("times", "chosen"),
    [([3], [3]), ([3, 1], [3, 1]), ([3, 4, 1], [3, 1]), ([2, 0, 1, 6, 5], [2, 6])],
)
def test_a_glimpse_is_the_best_picture_and_the_one_farthest_from_it(
    times: list[float], chosen: list[float]
) -> None:
    shots = [shot(at, 1 - number / 10) for number, at in enumerate(times)]

    assert [one.offset.total_seconds() for one in glimpse(shots)] == chosen
