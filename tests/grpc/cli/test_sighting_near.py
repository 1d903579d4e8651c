"""`homeward sighting near`."""

from __future__ import annotations

import json
import shlex

import cli_documents
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from cli_services import Homeward, enrolled
from cli_values import ANNA, BEGIN, FOOTAGE, SCAN, SIGHTING, effort
from homeward.api.ingestion.v1 import camera_pb2, footage_pb2
from homeward.api.matching.v1 import sighting_pb2
from homeward.cli.__main__ import run


@pytest.fixture
def confirmed(homeward: Homeward) -> Homeward:
    """A confirmed sighting, in a recording of an hour, which no scan has searched."""
    enrolled(homeward, ANNA)
    homeward.sightings.sighting.state = sighting_pb2.Sighting.STATE_CONFIRMED
    homeward.footage.held = {
        "a digest": footage_pb2.Footage(
            footage_id=FOOTAGE,
            camera_id="gate",
            start_time=Timestamp(seconds=BEGIN.seconds - 1800),
            end_time=Timestamp(seconds=BEGIN.seconds + 1800),
        )
    }
    homeward.cameras.listed.append(camera_pb2.Camera(camera_id="bridge"))
    return homeward


def test_what_was_not_searched_is_told_with_the_command_that_searches_it(
    confirmed: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sighting", "near", SIGHTING, "--necessity", "find her"]) == 0

    told = capsys.readouterr().out
    assert "from 1h00m00s before the sighting to 1h00m00s after it, of camera" in told
    assert "Cameras left out, because their position is not known: bridge." in told
    command = told[told.index("homeward search") :]
    words = shlex.split(command.replace("\\\n", " "))
    assert words == [
        *("homeward", "search", "--subject", ANNA, "--footage", FOOTAGE),
        *("--from", "2026-11-20T09:30:00Z", "--to", "2026-11-20T10:30:00Z"),
        *("--necessity", "find her"),
    ]
    assert confirmed.scans.created == []


def test_the_search_is_made_if_asked_for(
    confirmed: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--create", "--necessity", "find her", "--tried", "asked neighbours"]

    assert run(["sighting", "near", SIGHTING, *words, "--output", "json"]) == 0

    (request,) = confirmed.scans.created
    assert list(request.scope.footage_ids) == [FOOTAGE]
    assert request.justification.necessity == "find her"
    assert request.justification.less_intrusive_means == "asked neighbours"
    document = json.loads(capsys.readouterr().out)
    cli_documents.require(document, "sighting near")
    assert document["scan"]["scanId"] == SCAN
    assert document["recordings"][0]["distanceMetres"] == 0
    assert document["unplacedCameras"] == ["bridge"]


def test_what_was_searched_is_left_out(
    confirmed: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    confirmed.scans.listed.create_time.CopyFrom(BEGIN)
    confirmed.scans.listed.end_time.CopyFrom(BEGIN)
    confirmed.scans.efforts = [effort()]

    assert run(["sighting", "near", SIGHTING, "--create"]) == 0

    assert "each that Homeward holds was searched" in capsys.readouterr().out
    assert confirmed.scans.created == []


def test_a_sighting_that_is_not_confirmed_is_refused(homeward: Homeward) -> None:
    assert run(["sighting", "near", SIGHTING]) == 7
    assert homeward.scans.created == []


def test_recordings_of_which_nobody_knows_whether_they_are_in_reach_are_named(
    confirmed: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = footage_pb2.Footage(
        footage_id="bridge-cut-off",
        camera_id="bridge",
        problems=[footage_pb2.FOOTAGE_PROBLEM_DAMAGED],
    )
    confirmed.footage.held |= {
        "another": damaged,
        "a third": footage_pb2.Footage(footage_id="yard-1", camera_id="yard"),
    }

    assert run(["sighting", "near", SIGHTING]) == 0

    told = " ".join(capsys.readouterr().err.split())
    assert "damaged what it holds of them: bridge-cut-off." in told
    assert "cameras are not registered: the recordings of yard." in told
