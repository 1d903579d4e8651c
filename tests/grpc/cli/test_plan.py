"""`homeward plan`."""

from __future__ import annotations

import json

import pytest

from homeward.cli.__main__ import run


def test_a_plan_tells_what_it_takes_and_what_it_assumes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["plan", "--cameras", "10", "--days", "1"]) == 0
    told = capsys.readouterr().out
    assert "footage in one search:       240 hours" in told
    assert "scanners:" in told
    assert "Assumptions:" in told


def test_a_plan_as_json_has_plain_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--cameras", "10", "--days", "1", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["footageHours"] == 240
    assert told["storageBytes"] == 10 * 31 * 86400 * 500_000


@pytest.mark.parametrize(
    "wrong",
    [
        ["--cameras", "0"],
        ["--cameras", "1", "--busy", "1.1"],
        ["--cameras", "1", "--days", "32"],
        ["--cameras", "1", "--deadline", "0s"],
    ],
)
def test_a_plan_refuses_what_cannot_be(wrong: list[str]) -> None:
    assert run(["plan", *wrong]) == 2
