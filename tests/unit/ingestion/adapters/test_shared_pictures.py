from __future__ import annotations

import gc

import numpy as np
import pytest

from homeward.ingestion.adapters import shared_pictures
from homeward.ingestion.adapters.shared_pictures import SharedPictures


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    monkeypatch.setattr(shared_pictures, "COPIED_FROM", 100)
    return bytearray(range(200))


def test_pictures_that_are_looked_at_lie_beside_each_other(memory: bytearray) -> None:
    pictures = SharedPictures()

    places = [pictures.room(40).place]
    first = pictures.take(memory, 40)
    places.append(pictures.room().place)
    second = pictures.take(memory, 40)

    assert places == [0, 40]
    assert (bytes(first), bytes(second)) == (bytes(range(40)), bytes(range(40, 80)))  # type: ignore[arg-type]


def test_room_is_free_once_nobody_has_any_part_of_its_picture(memory: bytearray) -> None:
    pictures = SharedPictures()
    pictures.room(40)
    picture = pictures.take(memory, 40)
    assert picture is not None
    part = picture[10:30].reshape(4, 5)[:2]
    del picture
    gc.collect()
    assert pictures.room().place == 40

    del part
    gc.collect()

    assert pictures.room().place == 0


def test_a_gap_is_used_where_a_picture_fits(memory: bytearray) -> None:
    pictures = SharedPictures()
    held = []
    for size in (30, 20, 30):
        pictures.room(size)
        held.append(pictures.take(memory, size))
    del held[1]
    gc.collect()

    assert [pictures.room(21).place, pictures.room(20).place] == [100, 30]


def test_a_picture_without_room_among_the_others_is_copied(memory: bytearray) -> None:
    pictures = SharedPictures()
    pictures.room(100)
    held = pictures.take(memory, 100)

    given = pictures.room(10)
    copied = pictures.take(memory, 10)
    memory[100:110] = bytes(10)  # the next one comes to the same place

    assert (held is not None, given.place, pictures.room().place) == (True, 100, 100)
    np.testing.assert_array_equal(copied, np.arange(100, 110, dtype=np.uint8))


def test_what_is_larger_than_the_room_that_was_given_is_not_taken(memory: bytearray) -> None:
    pictures = SharedPictures()

    assert pictures.take(memory, 1) is None
    pictures.room(10)
    assert pictures.take(memory, 11) is None
