"""`homeward camera`."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import re

import grpc
import pytest

from cli_services import Homeward
from cli_values import Refusal, at_a_terminal
from homeward.cli.__main__ import run


def test_a_camera_is_registered_with_its_place_and_clock(homeward: Homeward) -> None:
    place = ("--place", "North gate", "--lat", "51.5", "--lon", "-0.1")
    assert run(["camera", "add", "gate", *place, "--clock-offset", "-1m30s"]) == 0
    camera = homeward.cameras.requests[0].camera
    assert (camera.place, camera.latitude, camera.longitude) == ("North gate", 51.5, -0.1)
    assert camera.clock_offset.ToTimedelta().total_seconds() == -90


def test_a_camera_is_registered_with_the_shape_of_its_pixels(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["camera", "add", "gate", "--pixel-aspect", "2"]) == 0
    camera = homeward.cameras.requests[0].camera
    assert camera.pixel_aspect_ratio == 2
    assert re.search(r"pixel aspect:? +2\n", capsys.readouterr().out)


def test_a_camera_without_a_shape_of_pixels_states_none(homeward: Homeward) -> None:
    assert run(["camera", "add", "gate"]) == 0
    assert not homeward.cameras.requests[0].camera.HasField("pixel_aspect_ratio")


def test_the_shape_of_a_cameras_pixels_is_changed_alone(homeward: Homeward) -> None:
    assert run(["camera", "update", "gate", "--pixel-aspect", "1.5"]) == 0
    request = homeward.cameras.requests[0]
    assert list(request.update_mask.paths) == ["pixel_aspect_ratio"]
    assert request.camera.pixel_aspect_ratio == 1.5


def test_a_camera_update_changes_only_what_is_given(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["camera", "update", "gate", "--clock-offset", "0s"]) == 0
    assert list(homeward.cameras.requests[0].update_mask.paths) == ["clock_offset"]
    assert "sightings that are recorded already keep their times" in capsys.readouterr().out


def test_cameras_are_removed(homeward: Homeward, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["camera", "rm", "gaet", "quay", "--yes"]) == 0
    assert [one.camera_id for one in homeward.cameras.requests] == ["gaet", "quay"]
    assert capsys.readouterr().out == "Camera gaet is removed.\nCamera quay is removed.\n"


def test_a_removal_is_asked_about(homeward: Homeward, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = at_a_terminal(monkeypatch, False)
    assert run(["camera", "rm", "gaet"]) == 130
    assert asked == ["Remove camera gaet?"]
    assert homeward.cameras.requests == []


def test_a_camera_with_recordings_is_told_with_how_to_see_them(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.cameras.no_removal = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, "CAMERA_HAS_FOOTAGE", metadata={"camera_id": "gate"}
    )
    assert run(["camera", "rm", "gate", "--yes"]) == 7
    assert "`homeward footage list --camera gate` shows the recordings" in capsys.readouterr().err


def test_latitude_and_longitude_go_together(homeward: Homeward) -> None:
    assert run(["camera", "add", "gate", "--lat", "51.5"]) == 2


def test_cameras_are_listed(homeward: Homeward, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["camera", "list"]) == 0
    assert "gate\tNorth gate" in capsys.readouterr().out
