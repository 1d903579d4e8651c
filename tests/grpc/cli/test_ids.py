"""What is meant by the beginning of an id, a label or a case, and what a shell offers."""

from __future__ import annotations

import pytest

from cli_services import Homeward, enrolled
from cli_values import ANNA, SCAN, SIGHTING
from homeward.api.matching.v1.sighting_pb2 import Sighting
from homeward.cli.__main__ import run


@pytest.mark.parametrize("given", ["Anna", "anna", "MP-1", ANNA[:4], ANNA])
def test_a_subject_is_found_by_label_case_or_the_beginning_of_its_id(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    enrolled(homeward)
    assert run(["subject", "show", given]) == 0
    assert ANNA in capsys.readouterr().out


def test_a_name_of_two_subjects_is_refused_with_both(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    enrolled(homeward, ANNA[:-1] + "1")
    assert run(["subject", "close", "MP-1", "--yes"]) == 4
    told = capsys.readouterr().err
    assert f"MP-1 is several subjects: {ANNA} (MP-1 Anna)" in told
    assert homeward.subjects.held[ANNA].label == "Anna"


def test_a_mistyped_label_is_answered_with_the_one_that_is_meant(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    assert run(["subject", "close", "Ana", "--yes"]) == 5
    assert f"did you mean {ANNA} (MP-1 Anna)?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("subject show ", [ANNA[:8], "Anna", "MP-1"]),
        ("search --subject An", ["Anna"]),
        ("sighting show ", [SIGHTING[:8]]),
        ("footage list --camera g", ["gate"]),
        ("scan watch ", [SCAN[:8]]),
        ("policy show y", ["yunet-sface/1"]),
        ("camera add ", []),
    ],
)
def test_a_shell_is_offered_what_there_is(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    offered: list[str],
) -> None:
    enrolled(homeward)
    line = f"homeward {words}"
    monkeypatch.setenv("_HOMEWARD_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    with pytest.raises(SystemExit):
        run([])
    told = capsys.readouterr()
    assert [one.removeprefix("plain,") for one in told.out.split()] == offered
    assert told.err == ""


def test_closing_names_the_confirmed_sightings_that_go(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward)
    homeward.sightings.sighting.state = Sighting.STATE_CONFIRMED
    assert run(["subject", "close", ANNA, "--yes"]) == 0
    told = capsys.readouterr().err
    assert f"Confirmed sightings that will be erased: {SIGHTING[:8]}." in told
    assert "homeward sighting export ID" in told


def test_sightings_are_listed_by_camera_in_the_order_asked_for(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.more = ["later"]
    assert run(["sighting", "list", "--camera", "gate", "--sort", "time"]) == 0
    assert list(homeward.sightings.requests[0].camera_ids) == ["gate"]
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines() if "\t" in line]
    assert [row[0] for row in rows] == ["SIGHTING", "later", SIGHTING]


def test_no_sightings_of_a_camera_that_is_not_there_are_told_as_that(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.sightings.gone = True
    assert run(["sighting", "list", "--camera", "gaet"]) == 5
    assert "no camera is named gaet" in capsys.readouterr().err
