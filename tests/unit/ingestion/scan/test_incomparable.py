from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.incomparable import MERGED_WITHIN, IncomparablePerson, clipped, joined

INSTANT = timedelta(microseconds=1)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def person(start: float, end: float, *, too_small: bool = True) -> IncomparablePerson:
    return IncomparablePerson(seconds(start), seconds(end), too_small)


def times(people: Iterable[IncomparablePerson], *apart: Stretch) -> list[tuple[float, float]]:
    return [(one.start.total_seconds(), one.end.total_seconds()) for one in joined(people, apart)]


def test_without_anybody_there_is_no_stretch() -> None:
    assert joined([], []) == []


def test_times_that_overlap_are_one_stretch_whatever_their_order() -> None:
    assert times([person(15, 30), person(10, 40), person(12, 20)]) == [(10, 40)]


@pytest.mark.parametrize(("more", "count"), [(timedelta(), 1), (INSTANT, 2)])
def test_times_are_one_stretch_up_to_so_far_apart(more: timedelta, count: int) -> None:
    start = seconds(20) + MERGED_WITHIN + more
    late = IncomparablePerson(start, start + seconds(1), too_small=True)

    assert len(joined([person(10, 20), late], [])) == count


def test_what_was_not_searched_is_in_no_stretch() -> None:
    people = [person(10, 12), person(14, 16)]

    assert times(people) == [(10, 16)]
    assert times(people, Stretch(seconds(12), seconds(14))) == [(10, 12), (14, 16)]
    assert times(people, Stretch(seconds(16), seconds(30))) == [(10, 16)]


def test_a_stretch_counts_appearances_and_most_people_at_a_time() -> None:
    # One who stays, followed in two pieces, and one who crosses.
    people = [person(0, 12), person(12, 20, too_small=False), person(11, 13)]

    (stretch,) = joined(people, [])

    assert (stretch.appearances, stretch.too_small, stretch.peak) == (3, 2, 2)


def test_one_who_leaves_when_another_comes_is_not_there_with_them() -> None:
    (stretch,) = joined([person(0, 12), person(12, 20)], [])

    assert stretch.peak == 1


def test_somebody_is_told_of_in_the_window_alone() -> None:
    window = Stretch(seconds(10), seconds(20))

    assert clipped(seconds(5), seconds(12), window, too_small=True) == person(10, 12)
    assert clipped(seconds(12), seconds(25), window, too_small=False) == person(
        12, 20, too_small=False
    )
    assert clipped(seconds(5), seconds(10), window, too_small=True) is None
