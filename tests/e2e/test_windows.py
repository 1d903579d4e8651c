"""A search of a window gives the same answer whatever was searched before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import LiveStack, Street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

START = datetime.fromisoformat("2026-03-04T10:00:00+00:00")
OLD, NEW = 2, 4
"""People of the street: enrolled before it was searched, and after."""

# Within an appearance, from one to the next, across a border of segments, an instant, and all.
WINDOWS = [(14, 15.5), (16, 27), (18.5, 21), (26, 26.4), (0, 37)]


@dataclass(frozen=True, slots=True)
class Searched:
    """A stack that holds the street, and whom it looks for."""

    stack: LiveStack
    subjects: dict[int, str]

    def answer(self, window: tuple[float, float], person: int) -> dict[str, Any]:
        begin, end = ((START + timedelta(seconds=at)).isoformat() for at in window)
        found = self.stack.run(
            "search", "--from", begin, "--to", end, "--subject", self.subjects[person],
            "--output", "json",
        ).json  # fmt: skip
        coverage = found["scan"]["coverage"]
        return {
            "candidates": [
                (one["interval"], round(one["score"], 3)) for one in found["candidates"]
            ],
            "searched": coverage.get("searchedDuration"),
            "asked for": coverage.get("requestedDuration"),
            "gaps": coverage.get("gaps", []),
            "faces": (coverage.get("faceSizes"), coverage.get("cameraFaceSizes")),
        }


def _enrolled(stack: LiveStack, street: Street, person: int) -> str:
    added = stack.run(
        "subject", "add", "--case", f"W-{person}", str(street.portraits[person]),
        "--output", "json",
    )  # fmt: skip
    return str(added.json["subject"]["subjectId"])


def _searched(stack: LiveStack, street: Street, *first: str) -> Searched:
    """Add the street and search it; enrol one person before, one after."""
    subjects = {OLD: _enrolled(stack, street, OLD)}
    stack.run("camera", "add", "street")
    stack.run(
        "footage", "add", str(street.footage), "--camera", "street", "--start", START.isoformat()
    )
    stack.run(*first)
    subjects[NEW] = _enrolled(stack, street, NEW)
    return Searched(stack, subjects)


@pytest.fixture(scope="module")
def indexed(new_module_stack: Callable[..., LiveStack], street: Street) -> Searched:
    return _searched(new_module_stack("indexed"), street, "search")


@pytest.fixture(scope="module")
def fresh(new_module_stack: Callable[..., LiveStack], street: Street) -> Searched:
    stack = new_module_stack("fresh", HOMEWARD_PRESENCE_INDEX="false")
    return _searched(stack, street, "status")


@pytest.mark.parametrize("person", [OLD, NEW], ids=["enrolled before", "enrolled after"])
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_window_is_answered_alike_with_and_without_an_earlier_search(
    indexed: Searched, fresh: Searched, window: tuple[float, float], person: int
) -> None:
    assert indexed.answer(window, person) == fresh.answer(window, person)


def test_a_window_finds_whoever_is_in_view_when_it_begins(indexed: Searched) -> None:
    found = indexed.answer((15.5, 16.5), OLD)

    assert len(found["candidates"]) == 1
    assert found["searched"] == found["asked for"] == "1s"


def test_a_window_does_not_tell_of_people_beyond_it(indexed: Searched) -> None:
    assert indexed.answer((5, 9), OLD)["candidates"] == []
