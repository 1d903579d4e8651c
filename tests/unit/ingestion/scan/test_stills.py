from __future__ import annotations

import numpy as np
import pytest

from homeward.ingestion.adapters.memory import InMemoryPicture
from homeward.ingestion.scan.faces import Box, Face, Portrait
from homeward.ingestion.scan.ports import Still
from homeward.ingestion.scan.stills import MOST_COVERED, clearest, tell_apart


def still(covered: float) -> Still:
    return Still(b"jpeg", Box(10, 10, 40, 50), covered)


@pytest.mark.parametrize(
    ("covered", "scores", "stands"),
    [
        ([0, 0, 0], [0.5, 0.7, 0.6], 1),
        ([0, 0.3, 0], [0.5, 0.7, 0.6], 2),
        ([0, 0.3, 0.2], [None, 0.7, 0.6], 1),
        ([0.3, 0, 0], [None, None, None], 0),
        ([MOST_COVERED, 0.3], [0.5, 0.7], 0),
        ([0, 0], [0.5, 0.5], 0),
    ],
    ids=[
        "the most alike",
        "somebody before the most alike",
        "no clear one is alike",
        "the fused template alone is alike",
        "hardly covered",
        "the first of two",
    ],
)
def test_the_picture_that_stands_for_a_finding_has_nobody_else_in_it(
    covered: list[float], scores: list[float | None], stands: int
) -> None:
    assert clearest([still(one) for one in covered], scores) == stands


PICTURE = InMemoryPicture(np.zeros((300, 300, 3), np.uint8))
OWN = Box(130, 100, 40, 50)
BESIDE = Box(175, 102, 40, 50)


def found(box: Box, score: float = 0.9) -> Face:
    return Face(box, np.zeros((5, 2), np.float32), score)


def test_of_two_faces_that_a_search_took_for_one_the_nearer_to_its_middle_is_the_persons() -> None:
    both = Portrait(PICTURE, Box(128, 98, 62, 56), ())

    made = tell_apart(both, [found(OWN), found(BESIDE)])

    assert (made.face, made.others) == (OWN, (BESIDE,))


def test_a_doubtful_face_is_not_taken_for_the_persons() -> None:
    made = tell_apart(Portrait(PICTURE, OWN, ()), [found(Box(140, 100, 40, 50), 0.5)])

    assert made.face == OWN


def test_who_is_known_and_not_found_is_behind_the_person() -> None:
    missed = Box(110, 108, 50, 60)

    made = tell_apart(Portrait(PICTURE, OWN, (BESIDE, missed)), [found(OWN), found(BESIDE)])

    assert (made.others, made.behind) == ((BESIDE, BESIDE), (missed,))


def test_what_is_in_the_persons_hair_and_not_found_again_is_no_face() -> None:
    hair = Box(135, 70, 40, 50)

    made = tell_apart(Portrait(PICTURE, OWN, (hair,)), [found(OWN), found(hair, 0.4)])

    assert (made.others, made.behind) == ((), ())


@pytest.mark.parametrize("score", [None, 0.5], ids=["not found again", "found, and doubtful"])
def test_a_known_face_that_is_found_again_is_not_taken_for_the_persons(
    score: float | None,
) -> None:
    other = Box(148, 102, 40, 50)  # half before the person's, or half behind it
    again = found(Box(147, 102, 41, 50))
    own = [] if score is None else [found(OWN, score)]

    made = tell_apart(Portrait(PICTURE, OWN, (other,)), [*own, again])

    assert made.face == OWN
    assert made.others == (again.box, other)
