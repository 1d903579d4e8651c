from __future__ import annotations

from datetime import timedelta

import pytest

from homeward.ingestion.scan.faces import Box
from homeward.ingestion.scan.neighbours import REMEMBERED, WIDENED, Neighbours, Sight

OWN = Box(100, 100, 50, 60)
THERE = Box(300, 100, 50, 60)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def after(*pictures: list[Sight], step: float = 0.2) -> Neighbours:
    """Return what is remembered of pictures one step apart, from 0 s on."""
    near = Neighbours()
    for number, sights in enumerate(pictures):
        near.add(seconds(number * step), sights)
    return near


def middles(boxes: list[Box]) -> list[tuple[float, float]]:
    return [one.centre for one in boxes]


def test_who_is_missed_between_two_pictures_is_in_between() -> None:
    moved = Box(340, 120, 50, 60)
    me = Sight(1, OWN)
    near = after([me, Sight(2, THERE)], [me], [me, Sight(2, moved)])

    (box,) = near.missed(seconds(0.2), OWN)

    assert box.centre == pytest.approx((345, 140))
    assert box.width == pytest.approx(50 * (1 + 2 * WIDENED))


@pytest.mark.parametrize("number", [0, 2])
def test_who_is_found_before_or_after_alone_is_near_there(number: int) -> None:
    pictures = [[Sight(1, OWN)] for _ in range(3)]
    pictures[number].append(Sight(2, THERE))

    assert middles(after(*pictures).missed(seconds(0.2), OWN)) == [THERE.centre]


def test_who_is_found_in_the_picture_itself_is_not_told_again() -> None:
    pictures = [[Sight(1, OWN), Sight(2, Box(300 + 30 * n, 100, 50, 60))] for n in range(3)]

    assert after(*pictures).missed(seconds(0.2), OWN) == []


def test_a_doubtful_face_that_nobody_follows_counts() -> None:
    near = after([Sight(1, OWN), Sight(0, THERE)], [Sight(1, OWN)])

    assert middles(near.missed(seconds(0.2), OWN)) == [THERE.centre]


def test_a_doubtful_face_that_is_found_again_does_not() -> None:
    near = after([Sight(1, OWN), Sight(0, THERE)], [Sight(1, OWN), Sight(0, THERE.moved(20, 0))])

    assert near.missed(seconds(0.2), OWN) == []


def test_the_persons_own_face_is_never_told() -> None:
    """Not where their track was cut and another one has them from then on."""
    near = after([Sight(1, OWN)], [Sight(1, OWN)], [Sight(2, OWN.moved(10, 0))])

    assert near.missed(seconds(0.2), OWN) == []


def test_somebody_close_by_is_told_beside_the_persons_own_face() -> None:
    beside = OWN.moved(45, 0)
    near = after([Sight(1, OWN), Sight(2, beside)], [Sight(1, OWN)])

    assert middles(near.missed(seconds(0.2), OWN)) == [beside.centre]


def test_what_is_farther_away_in_time_does_not_count() -> None:
    near = after([Sight(1, OWN), Sight(2, THERE)], [Sight(1, OWN)], step=0.5)

    assert near.missed(seconds(0.5), OWN) == []


def test_what_another_scene_shows_does_not_count() -> None:
    near = after([Sight(1, OWN), Sight(2, THERE)])
    near.cut()
    near.add(seconds(0.2), [Sight(3, OWN)])

    assert near.missed(seconds(0.2), OWN) == []


def test_pictures_are_forgotten_when_no_track_has_them_any_more() -> None:
    near = after([Sight(1, OWN)], [Sight(1, OWN), Sight(2, THERE)])
    assert len(near.missed(seconds(0), OWN)) == 1

    near.add(REMEMBERED + seconds(0.1), [])

    assert near.missed(seconds(0), OWN) == []
