"""A camera too far away: a search says so, and lists when to look oneself."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

if TYPE_CHECKING:
    from .conftest import LiveStack, Street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

START = datetime.fromisoformat("2026-03-04T10:00:00+00:00")
PEOPLE = 6
FIRST_SECOND, PERIOD, CROSSING = 1.0, 6.0, 5.0
"""When the first of them comes, the next, and how long each is there, seconds."""

# All of it, of one person from the middle on, and across a border of segments.
WINDOWS = [(0, 37), (3.5, 7), (18.5, 21)]


def _smaller(source: Path, target: Path, *, by: int) -> None:
    """Write a recording again with so many times fewer pixels either way."""
    with av.open(str(source)) as big, av.open(str(target), "w") as small:
        shown = big.streams.video[0]
        stream = small.add_stream("libx264", rate=25)
        stream.width, stream.height = shown.width // by, shown.height // by
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 25)
        stream.options = {"preset": "veryfast", "crf": "18", "g": "50"}
        for number, frame in enumerate(big.decode(shown)):
            resized = frame.reformat(stream.width, stream.height, "yuv420p")
            resized.pts, resized.time_base = number, Fraction(1, 25)
            small.mux(stream.encode(resized))
        small.mux(stream.encode(None))


@pytest.fixture(scope="module")
def far_street(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("far") / "far, 1.mp4"
    _smaller(street.footage, path, by=5)
    return path


def _searched(stack: LiveStack, street: Street, footage: Path) -> LiveStack:
    stack.run("subject", "add", "--case", "W-1", str(street.portraits[0]))
    stack.run("camera", "add", "far")
    stack.run("footage", "add", str(footage), "--camera", "far", "--start", START.isoformat())
    return stack


@pytest.fixture(scope="module")
def indexed(
    new_module_stack: Callable[..., LiveStack], street: Street, far_street: Path
) -> LiveStack:
    stack = _searched(new_module_stack("far-indexed"), street, far_street)
    stack.run("search")
    return stack


@pytest.fixture(scope="module")
def fresh(
    new_module_stack: Callable[..., LiveStack], street: Street, far_street: Path
) -> LiveStack:
    stack = new_module_stack("far-fresh", HOMEWARD_PRESENCE_INDEX="false")
    return _searched(stack, street, far_street)


def _search(stack: LiveStack, window: tuple[float, float]) -> Any:
    begin, end = ((START + timedelta(seconds=at)).isoformat() for at in window)
    return stack.run("search", "--from", begin, "--to", end, "--output", "json").json["scan"]


def _told(stack: LiveStack, window: tuple[float, float]) -> dict[str, Any]:
    scan = _search(stack, window)
    listed = stack.run("scan", "stretches", scan["scanId"], "--output", "json").json
    coverage = scan["coverage"]
    return {
        "faces": (coverage.get("faceSizes"), coverage.get("cameraFaceSizes")),
        "incomparable": coverage.get("incomparableAppearanceCount"),
        "stretches": listed["incomparableStretches"],
        "unlisted": listed["unlistedFootage"],
    }


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_an_earlier_search_changes_nothing_of_what_is_told(
    indexed: LiveStack, fresh: LiveStack, window: tuple[float, float]
) -> None:
    told = _told(indexed, window)

    assert told == _told(fresh, window)
    assert told["stretches"]
    assert told["unlisted"] == []


def test_a_window_lists_nothing_beyond_it(indexed: LiveStack) -> None:
    found = _told(indexed, (3.5, 7))["stretches"]

    assert found[0]["startOffset"] == "3.500s"
    assert all(float(one["endOffset"].removesuffix("s")) <= 7 for one in found)


def test_a_search_tells_that_faces_were_too_small(indexed: LiveStack) -> None:
    told = indexed.run("search").out

    assert (
        "of the appearances the face was too small to compare: 24 px wide needed, median " in told
    )
    assert "lists when that was, to watch by eye." in told


def test_everybody_is_in_a_stretch(indexed: LiveStack, tmp_path: Path) -> None:
    scan = _search(indexed, (0, 37))["scanId"]
    table, playlist = tmp_path / "watch.csv", tmp_path / "watch.m3u8"

    indexed.run("scan", "stretches", scan, "--csv", str(table), "--playlist", str(playlist))

    rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines()))
    times = [
        (float(row["start in file seconds"]), float(row["end in file seconds"])) for row in rows
    ]
    middles = [FIRST_SECOND + PERIOD * number + CROSSING / 2 for number in range(PEOPLE)]
    missed = [at for at in middles if not any(start <= at <= end for start, end in times)]
    assert missed == []
    assert playlist.read_text().count("\nfar, 1.mp4\n") == len(rows)


def test_of_a_recording_that_was_removed_it_is_said_that_its_times_went(
    fresh: LiveStack,
) -> None:
    scan = _search(fresh, (0, 37))["scanId"]
    (held,) = fresh.run("footage", "list", "--output", "json").json["footage"]
    fresh.run("footage", "rm", held["footageId"], "--yes")

    told = fresh.run("scan", "stretches", scan).out

    assert "the recording was removed, or reached its deadline, and the times went with it" in told
    assert "could be compared.\n" not in told
