"""`homeward sighting clip`."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from cli_services import Homeward
from cli_values import LOST, SIGHTING, Refusal
from homeward.api.ingestion.v1 import clip_service_pb2
from homeward.cli.__main__ import run

SHOWN = {"subject": clip_service_pb2.Clip.SUBJECT_SHOWN, "subject_picture_count": 90}
GONE = Refusal(
    grpc.StatusCode.NOT_FOUND,
    "FOOTAGE_NOT_FOUND",
    f"the recording that sighting {SIGHTING} was found in is gone",
)


def clip(file: Path, *words: str) -> int:
    return run(["sighting", "clip", SIGHTING, "-o", str(file), *words])


def test_a_clip_is_written_as_it_came(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.clips.told = {**SHOWN, "blurred_picture_count": 3, "problems": ["1.0 s to 2.0 s"]}

    assert clip(tmp_path / "clip.mp4", "--seconds", "10", "--burn-time") == 0

    assert (tmp_path / "clip.mp4").read_bytes() == homeward.clips.content
    asked = homeward.clips.requests[0]
    assert (asked.sighting_id, asked.margin.seconds, asked.burn_time) == (SIGHTING, 10, True)
    told = capsys.readouterr().out
    assert "The subject's face is shown in 90 pictures; every other face is blurred." in told
    assert "3 pictures are blurred as a whole" in told
    assert "Missing: 1.0 s to 2.0 s." in told


def test_a_clip_in_which_nobody_is_certain_says_that_all_are_blurred(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.clips.told = {"subject": clip_service_pb2.Clip.SUBJECT_UNCERTAIN}
    assert clip(tmp_path / "clip.mp4") == 0
    assert "EVERY face in the clip is blurred" in capsys.readouterr().out


def test_a_clip_of_footage_that_is_gone_says_what_is_left(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.clips.refusals = [GONE]
    assert clip(tmp_path / "clip.mp4") == 5
    told = capsys.readouterr().err
    assert "is gone" in told
    assert f"homeward sighting show {SIGHTING} --save FILE.png" in told
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.usefixtures("pauses")
def test_a_clip_whose_stream_breaks_is_made_again(homeward: Homeward, tmp_path: Path) -> None:
    homeward.clips.refusals = [LOST, LOST]
    assert clip(tmp_path / "clip.mp4") == 0
    assert len(homeward.clips.requests) == 3


def test_a_clip_that_came_otherwise_than_it_was_made_is_not_written(
    homeward: Homeward, tmp_path: Path
) -> None:
    homeward.clips.sha256 = "0" * 64
    assert clip(tmp_path / "clip.mp4") == 1
    assert not (tmp_path / "clip.mp4").exists()


def test_no_clip_is_asked_for_that_could_not_be_written(homeward: Homeward, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"mine")
    assert clip(tmp_path / "clip.mp4") == 4
    assert clip(tmp_path / "clip.avi") == 2
    assert clip(tmp_path / "other.mp4", "--seconds", "31") == 2
    assert homeward.clips.requests == []
    assert clip(tmp_path / "clip.mp4", "--force") == 0


def test_a_clip_is_told_of_as_json(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.clips.told = SHOWN
    assert clip(tmp_path / "clip.mp4", "--output", "json", "--around-still") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["clip"]["subject"] == "SUBJECT_SHOWN"
    assert told["file"] == str(tmp_path / "clip.mp4")
    assert homeward.clips.requests[0].around_still
