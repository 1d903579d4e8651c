"""Where a list of sightings goes on, as page tokens have it."""

from __future__ import annotations

import pytest

from homeward.matching.convert.sightings import cursor_from, to_cursor
from homeward.matching.sightings.ports import SightingCursor
from homeward.servicekit.errors import InvalidArgumentError, Reason

NAME = "00000000-0000-4000-8000-000000000001"


def test_a_cursor_comes_back_as_it_went() -> None:
    cursor = SightingCursor(0.5, (NAME,))

    assert cursor_from(to_cursor(cursor)) == cursor
    assert cursor_from("") is None


@pytest.mark.parametrize(
    "place",
    ["no JSON", "7", "[]", '["alike"]', "[0.5, 7]", '[0.5, "no id"]', '[0.5, ""]', "[" * 100_000],
)
def test_a_place_that_no_list_gave_is_refused_as_a_token(place: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        cursor_from(place)

    assert refused.value.reason is Reason.PAGE_TOKEN_INVALID
