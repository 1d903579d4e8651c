"""Camera and start of a recording."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

import pytest

from homeward.cli.errors import CliError
from homeward.cli.intake.facts import Facts, Rules, SideCar

TEN = datetime(2026, 6, 20, 10, tzinfo=UTC)
NINE = datetime(2026, 6, 20, 9, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")


def rules(camera: str | None = None, pattern: str | None = None) -> Rules:
    return Rules(camera, pattern, LONDON)


@pytest.mark.parametrize(
    ("said", "place", "side_car", "facts"),
    [
        (rules(None, "%Y%m%dT%H%M%S"), "gate/20260620T100000.mp4", None, Facts("gate", NINE)),
        (rules("door", "%Y%m%dT%H%M%S"), "a/b/20260620T100000.mp4", None, Facts("door", NINE)),
        (
            rules("door", "{camera}_%Y-%m-%d_%H%M"),
            "a/x North-Gate_2026-06-20_1000 copy.mp4",
            None,
            Facts("north-gate", NINE),
        ),
        (
            rules(None, "%Y-%m-%d_%H%M-{camera}"),
            "2026-06-20_1000-gate-2.mp4",
            None,
            Facts("gate-2", NINE),
        ),
        (rules(), "gate/a.mp4", SideCar(None, TEN), Facts("gate", TEN)),
        (rules("door"), "gate/a.mp4", SideCar("hall", TEN), Facts("hall", TEN)),
        (
            rules("door", "{camera}_%Y%m%d"),
            "gate_20260620.mp4",
            SideCar("hall", TEN),
            Facts("hall", TEN),
        ),
    ],
    ids=["folder", "option", "name", "name, camera last", "side-car", "all", "side-car counts"],
)
def test_facts_come_from_side_car_name_option_and_folder(
    said: Rules, place: str, side_car: SideCar | None, facts: Facts
) -> None:
    assert said.facts(PurePosixPath(place), side_car) == facts


@pytest.mark.parametrize(
    ("said", "place", "problem"),
    [
        (rules(None, "%Y%m%d"), "20260620.mp4", "its camera is not known"),
        (rules("gate"), "20260620.mp4", "its start is not known"),
        (rules("gate", "%Y%m%d"), "recording.mp4", "has no time like"),
        (rules("gate", "{camera}_%Y%m%d"), "20260620.mp4", "does not fit"),
        (rules("gate", "%Y%m%d_%H%M"), "20261025_0130.mp4", "when the clocks"),
    ],
)
def test_what_is_not_said_is_an_error(said: Rules, place: str, problem: str) -> None:
    with pytest.raises(CliError, match=problem):
        said.facts(PurePosixPath(place), None)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"\xff", "no JSON object"),
        (b"[" * 60_000, "no JSON object"),
        (b'{"cameraId": 1}', "must be text"),
        (b'{"startTime": "2026-06-20T10:00:00"}', "no time zone"),
        (b'{"startTime": "ten"}', "is no time"),
    ],
    ids=["empty", "list", "bytes", "deep", "number", "zone", "words"],
)
def test_what_is_no_side_car_is_an_error(data: bytes, problem: str) -> None:
    with pytest.raises(CliError, match=problem):
        SideCar.parsed(data, "a.mp4.json")


def test_a_side_car_may_say_more() -> None:
    data = b'{"cameraId": "gate", "startTime": "2026-06-20T11:00:00+01:00", "vendor": "x"}'

    assert SideCar.parsed(data, "a.mp4.json") == SideCar("gate", TEN)
