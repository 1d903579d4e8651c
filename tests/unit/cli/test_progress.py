from __future__ import annotations

import itertools

import pytest

from homeward.cli import progress


def test_nothing_is_foretold_before_there_is_evidence() -> None:
    pace = progress.Pace(clock=iter([0.0, 2.0, 9.0, 12.0]).__next__)
    assert pace.left(0.0, 100.0) == ""
    assert pace.left(10.0, 100.0) == "estimating the time left"
    assert pace.left(20.0, 100.0) == "estimating the time left"
    assert pace.left(25.0, 100.0) == "about 40s left"


def test_the_pace_is_that_of_the_last_minute() -> None:
    pace = progress.Pace(clock=iter([0.0, 100.0, 110.0, 165.0]).__next__)
    for done in (0.0, 1.0, 2.0):
        pace.left(done, 100.0)
    assert pace.left(67.0, 100.0) == "about 30s left"


@pytest.mark.parametrize(
    ("rate", "told"),
    [(1.0, "about 1m left"), (0.02, "about 50m left"), (0.0121, "about 1h20m left")],
)
def test_the_rest_is_told_in_round_numbers(rate: float, told: str) -> None:
    pace = progress.Pace(clock=iter([0.0, 40.0]).__next__)
    pace.left(0.0, 60.0 + 40 * rate)
    assert pace.left(40 * rate, 60.0 + 40 * rate) == told


def test_without_a_terminal_a_line_comes_every_ten_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = itertools.count(step=4.0).__next__
    with progress.shown("Searching", clock=clock) as show:
        show(10, 100, "")
        show(20, 100, "")
        show(30, 100, "2 candidates")
    assert capsys.readouterr().err == "Searching: 30%, 2 candidates\n"


def test_on_a_terminal_there_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.shown("Searching") as show:
        show(30, 100, "2 candidates")
    told = capsys.readouterr().err
    assert "30%" in told
    assert "2 candidates" in told
