from __future__ import annotations

import itertools

import pytest

from homeward.cli import progress


def test_speed_counts_from_the_first_report() -> None:
    pace = progress.Pace(clock=iter([0.0, 2.0]).__next__)
    assert pace.speed(100.0) == 0.0
    assert pace.speed(140.0) == 20.0


def test_the_rest_is_foretold_from_the_speed() -> None:
    pace = progress.Pace(clock=iter([0.0, 2.0]).__next__)
    assert pace.eta(0.0, 100.0) == ""
    assert pace.eta(50.0, 100.0) == "ETA 2.0 s"


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
