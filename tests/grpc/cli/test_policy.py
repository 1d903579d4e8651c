"""`homeward policy`."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from cli_services import Homeward
from cli_values import written
from homeward.cli.__main__ import run


def test_policies_are_listed_with_their_rates(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "list"]) == 0
    told = capsys.readouterr().out
    assert "yunet-sface/1\tunapproved" in told
    assert "1.0 % (0.5 to 2.0)" in told


def test_a_policy_is_shown_with_its_groups(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "show", "yunet-sface/1"]) == 0
    told = capsys.readouterr().out
    assert "1.0 % (0.5 to 2.0) in 1000 searches" in told
    assert "18 to 30\t200" in told
    assert "0, too few to tell" in told
    assert "came with Homeward" in told


def test_a_policy_without_groups_says_that_nothing_is_known_of_any(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.policies.policy.measurement.ClearField("cohorts")
    assert run(["policy", "show", "yunet-sface/1"]) == 0
    assert "nothing is known of how often children" in capsys.readouterr().out


def test_a_policy_that_is_not_there_is_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "show", "yunet-sface/9"]) == 5
    assert "`homeward policy list` shows the policies" in capsys.readouterr().err


def test_a_policy_is_added_from_its_file(homeward: Homeward, tmp_path: Path) -> None:
    assert run(["policy", "add", written(tmp_path, "policy.json", b"{}")]) == 0
    assert homeward.policies.requests[0].file == b"{}"


def test_a_policy_without_its_file_is_a_problem_with_a_file(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "add", "nowhere.json"]) == 4
    assert "nowhere.json: no such file" in capsys.readouterr().err


def test_a_policy_is_approved_by_name_until_the_end_of_a_day(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--by", "A. Prover", "--until", "2026-11-20", "--note", "a pilot")
    assert run(["policy", "approve", "yunet-sface/1", *words]) == 0
    (request,) = homeward.policies.requests
    assert (request.approver, request.note) == ("A. Prover", "a pilot")
    assert request.valid_until_time.ToJsonString() == "2026-11-20T23:59:59Z"
    assert "valid until:              2026-11-20 23:59:59 UTC" in capsys.readouterr().out


def test_an_approval_may_activate_the_policy_too(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--by", "A. Prover", "--until", "2026-11-20", "--activate", "--output", "json")
    assert run(["policy", "approve", "yunet-sface/1", *words]) == 0
    assert json.loads(capsys.readouterr().out)["policy"]["active"] is True


def test_nobody_approves_a_policy_without_a_name(homeward: Homeward) -> None:
    assert run(["policy", "approve", "yunet-sface/1", "--until", "2026-11-20"]) == 2


def test_a_policy_is_activated(homeward: Homeward, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "activate", "yunet-sface/1"]) == 0
    assert homeward.policies.requests[0].policy_id == "yunet-sface/1"
    assert "active:                   yes" in capsys.readouterr().out


def test_the_end_of_an_approval_is_asked_about_first(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["policy", "expire", "yunet-sface/1", "--reason", "flawed data"]) == 130
    assert homeward.policies.requests == []


def test_an_approval_is_ended_with_a_reason(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "expire", "yunet-sface/1", "--reason", "flawed data", "--yes"]) == 0
    assert "because:                  flawed data" in capsys.readouterr().out
