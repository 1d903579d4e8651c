"""`homeward footage`."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from cli_services import Homeward
from cli_values import ADD_FOOTAGE, BEGIN, FOOTAGE, LOST, Refusal, at_a_terminal, written
from homeward.api.ingestion.v1 import footage_pb2
from homeward.cli import upload
from homeward.cli.__main__ import run

CHUNK = 256 * 1024
"""Bytes that a message of an upload has."""


def test_what_is_odd_about_a_recording_is_noted_when_it_is_added(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.findings = ["its clock is set anew 5.0 s from its beginning", "it was cut off"]
    assert run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", b"recording")]) == 0
    told = capsys.readouterr().out
    assert (
        "  note: its clock is set anew 5.0 s from its beginning\n  note: it was cut off\n" in told
    )


def test_about_a_recording_that_is_as_it_should_be_nothing_is_noted(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", b"recording")]) == 0
    assert "note:" not in capsys.readouterr().out


def test_a_recording_is_shown_with_what_is_odd_about_it(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.held["a digest"] = footage_pb2.Footage(footage_id=FOOTAGE)
    homeward.footage.findings = ["its clock is set anew 5.0 s from its beginning"]
    assert run(["footage", "show", FOOTAGE]) == 0
    told = capsys.readouterr().out
    assert "  note: its clock is set anew 5.0 s from its beginning\n" in told
    assert re.search(r"pictures for:? +50.0s", told)


def test_a_recording_arrives_as_it_is(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytes(range(256)) * 1024
    assert run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", content)]) == 0
    header = homeward.footage.headers[0]
    assert (header.camera_id, header.file_name, header.start_time) == ("gate", "gate.mp4", BEGIN)
    assert header.sha256 == hashlib.sha256(content).hexdigest()
    assert bytes(homeward.footage.uploads[header.request_id]) == content
    assert f"footage {FOOTAGE}" in capsys.readouterr().out


def test_a_mistyped_camera_is_answered_before_the_file_is_read(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "not there.mp4")
    start = ("--start", "2026-11-20T10:00:00Z")
    assert run(["footage", "add", path, "--camera", "gat", *start]) == 5
    told = capsys.readouterr().err
    assert "no camera is named gat" in told
    assert "did you mean gate?" in told


def test_a_camera_that_nobody_registered_is_answered_with_how_to(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "gate.mp4", b"recording")
    start = ("--start", "2026-11-20T10:00:00Z")
    assert run(["footage", "add", path, "--camera", "quay-7", *start]) == 5
    assert "`homeward camera add` adds one" in capsys.readouterr().err


def test_an_upload_that_breaks_goes_on_where_it_stopped(
    homeward: Homeward, tmp_path: Path, pauses: list[int]
) -> None:
    content = bytes(range(256)) * 8192
    homeward.footage.break_after = [CHUNK * 3]
    assert run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", content)]) == 0
    first, second = homeward.footage.headers
    assert (first.offset_bytes, second.offset_bytes) == (0, CHUNK * 3)
    assert bytes(homeward.footage.uploads[first.request_id]) == content
    assert pauses == [1]


def test_an_upload_gives_up_after_a_while_and_the_same_command_goes_on(
    homeward: Homeward, tmp_path: Path, pauses: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "gate.mp4", bytes(65536 * 4))
    homeward.footage.refusals = {"gate.mp4": LOST}
    assert run([*ADD_FOOTAGE, path]) == 8
    assert pauses == [1, 2, 3, 4, 5]
    assert "run the same command again" in capsys.readouterr().err
    request_id = homeward.footage.headers[0].request_id
    homeward.footage.uploads[request_id] = bytearray(65536)
    homeward.footage.refusals = {}
    assert run([*ADD_FOOTAGE, path]) == 0
    assert homeward.footage.headers[-1].request_id == request_id
    assert homeward.footage.headers[-1].offset_bytes == 65536


def test_the_same_file_again_is_the_same_footage_and_said_so(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "gate.mp4", b"video")
    run([*ADD_FOOTAGE, path])
    assert run([*ADD_FOOTAGE, path]) == 0
    assert f"held already as footage {FOOTAGE}" in capsys.readouterr().out


def test_a_start_without_a_zone_is_refused_with_an_example(
    homeward: Homeward,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HOMEWARD_TIMEZONE")
    path = written(tmp_path, "gate.mp4", b"video")
    start = ("--start", "2026-11-20T10:00:00")
    assert run(["footage", "add", path, "--camera", "gate", *start]) == 2
    assert "2026-11-20T10:00:00Z" in capsys.readouterr().err
    assert homeward.footage.headers == []


def test_a_start_without_a_zone_is_of_the_zone_that_is_named_anywhere_on_the_line(
    homeward: Homeward, tmp_path: Path
) -> None:
    path = written(tmp_path, "gate.mp4", b"video")
    start = ("--start", "2026-11-20 11:00", "--timezone", "Europe/Paris")
    assert run(["footage", "add", path, "--camera", "gate", *start]) == 0
    assert homeward.footage.headers[0].start_time == BEGIN


def test_a_folder_stands_for_the_recordings_in_it(homeward: Homeward, tmp_path: Path) -> None:
    written(tmp_path, "gate-20261120-100000.mp4", b"a")
    written(tmp_path, "player.exe", b"b")
    pattern = ("--start-from-name", "%Y%m%d-%H%M%S")
    assert run(["footage", "add", str(tmp_path), "--camera", "gate", *pattern]) == 0
    assert [one.file_name for one in homeward.footage.headers] == ["gate-20261120-100000.mp4"]


def test_several_files_need_a_start_each(homeward: Homeward, tmp_path: Path) -> None:
    first, second = written(tmp_path, "a.mp4", b"a"), written(tmp_path, "b.mp4", b"b")
    assert run([*ADD_FOOTAGE, first, second]) == 2
    assert homeward.footage.headers == []


def test_starts_come_from_names(homeward: Homeward, tmp_path: Path) -> None:
    path = written(tmp_path, "gate-20261120-110000.mp4", b"a")
    pattern = ("--start-from-name", "%Y%m%d-%H%M%S", "--timezone", "Europe/Paris")
    assert run(["footage", "add", path, "--camera", "gate", *pattern]) == 0
    assert homeward.footage.headers[0].start_time == BEGIN


def test_the_start_is_told_and_where_it_was_read(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "gate-20261120-110000.mp4", b"a")
    pattern = ("--start-from-name", "%Y%m%d-%H%M%S", "--timezone", "Europe/Paris")
    assert run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", b"b")]) == 0
    assert run(["footage", "add", path, "--camera", "gate", *pattern]) == 0
    assert run(["footage", "add", path, "--camera", "gate", *pattern, "--output", "json"]) == 0
    given, named, document = capsys.readouterr().out.split("\n", 2)
    assert "start 2026-11-20 10:00:00 UTC by the camera's clock (from --start), length" in given
    assert "start 2026-11-20 11:00:00 CET by the camera's clock (from the file's name)" in named
    assert json.loads(document)["startSource"] == "FILE_NAME"


def test_a_recording_that_overlaps_another_of_its_camera_is_added_with_a_warning(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.duration = Duration(seconds=600)
    other = footage_pb2.Footage(
        footage_id="gate-other", camera_id="gate", file_name="other.mp4", start_time=BEGIN
    )
    other.end_time.FromSeconds(BEGIN.seconds + 90)
    homeward.footage.held["another digest"] = other

    assert run([*ADD_FOOTAGE, written(tmp_path, "a.mp4", b"a"), "--output", "json"]) == 0

    told = capsys.readouterr()
    (warning,) = json.loads(told.out)["warnings"]
    assert warning["footageId"] == FOOTAGE
    assert (
        "overlaps other footage of camera gate: gate-other (other.mp4) by 1m30s"
        in (warning["message"])
    )
    assert told.err == f"WARNING: {tmp_path}/a.mp4: {warning['message']}\n"


def test_a_recording_is_added_where_others_cannot_be_listed(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.refusals["ListFootage"] = Refusal(
        grpc.StatusCode.PERMISSION_DENIED, "", "not allowed"
    )
    assert run([*ADD_FOOTAGE, written(tmp_path, "a.mp4", b"a")]) == 0
    assert "whether it overlaps other footage is not known: " in capsys.readouterr().err


def test_a_refused_file_does_not_hold_up_the_others(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.refusals = {
        "a.mp4": Refusal(grpc.StatusCode.INVALID_ARGUMENT, "FOOTAGE_UNREADABLE", "not a video")
    }
    first, second = written(tmp_path, "a.mp4", b"a"), written(tmp_path, "b.mp4", b"b")
    assert run([*ADD_FOOTAGE, "--start", "2026-11-20T11:00:00Z", first, second]) == 10
    told = capsys.readouterr()
    assert "a.mp4: not a video" in told.err
    assert "b.mp4: footage" in told.out


def test_files_that_cannot_be_read_do_not_hold_up_the_others(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = written(tmp_path, "gate-20261120-100000.mp4", b"a")
    timeless, empty = written(tmp_path, "b.mp4", b"b"), written(tmp_path, "c.mp4", b"")
    missing = str(tmp_path / "d-20261120-100000.mp4")
    names = [missing, timeless, good, empty]
    pattern = ("--start-from-name", "%Y%m%d-%H%M%S", "--output", "json")

    assert run(["footage", "add", "--camera", "gate", *pattern, *names]) == 10

    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert [one["fileName"] for one in answer["footage"]] == ["gate-20261120-100000.mp4"]
    assert [one["file"] for one in answer["refused"]] == [missing, timeless, empty]
    assert f"error: {missing}: no such file" in told.err
    assert "b.mp4: has no time like %Y%m%d-%H%M%S" in told.err


def test_a_file_that_may_not_be_read_does_not_hold_up_the_others(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = written(tmp_path, "a.mp4", b"a"), written(tmp_path, "b.mp4", b"b")
    opened = Path.open

    def refused(path: Path, *rest: Any) -> Any:  # root may read everything
        if path.name == "a.mp4":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *rest)

    monkeypatch.setattr(Path, "open", refused)
    assert run([*ADD_FOOTAGE, "--start", "2026-11-20T11:00:00Z", first, second]) == 10
    assert [header.file_name for header in homeward.footage.headers] == ["b.mp4"]


def test_when_no_file_can_be_read_the_exit_code_says_why(
    homeward: Homeward, tmp_path: Path
) -> None:
    assert run([*ADD_FOOTAGE, str(tmp_path / "no-such-file.mp4")]) == 4
    assert homeward.footage.headers == []


def test_the_same_bytes_under_another_name_are_another_upload(
    homeward: Homeward, tmp_path: Path
) -> None:
    for name in ("gate.mp4", "copy.mp4", "gate.mp4"):
        assert run([*ADD_FOOTAGE, written(tmp_path, name, b"the same")]) == 0
    gate, copy, again = [header.request_id for header in homeward.footage.headers]
    assert (gate != copy, gate == again) == (True, True)


def test_the_only_file_that_is_refused_decides_the_exit_code(
    homeward: Homeward, tmp_path: Path
) -> None:
    homeward.footage.refusals = {
        "a.mp4": Refusal(grpc.StatusCode.ALREADY_EXISTS, "FOOTAGE_EXISTS_ELSEWHERE")
    }
    assert run([*ADD_FOOTAGE, written(tmp_path, "a.mp4", b"a")]) == 6


@pytest.fixture
def object_store(homeward: Homeward) -> Iterator[list[bytes]]:
    received: list[bytes] = []

    class Put(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(403 if received[-1] == b"refuse" else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("localhost", 0), Put) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        homeward.footage.put_url = f"http://localhost:{server.server_port}/footage?signed"
        yield received
        server.shutdown()
        thread.join()


def test_a_file_goes_straight_into_the_store(
    homeward: Homeward, tmp_path: Path, object_store: list[bytes]
) -> None:
    content = bytes(100_000)
    assert run([*ADD_FOOTAGE, "--via-url", written(tmp_path, "a.mp4", content)]) == 0
    assert object_store == [content]


def test_a_store_that_refuses_is_told(
    homeward: Homeward,
    tmp_path: Path,
    object_store: list[bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*ADD_FOOTAGE, "--via-url", written(tmp_path, "a.mp4", b"refuse")]) == 8
    assert "the object store refused the file: HTTP 403" in capsys.readouterr().err


def test_a_store_that_does_not_answer_is_told(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.put_url = "http://localhost:1/footage"
    assert run([*ADD_FOOTAGE, "--via-url", written(tmp_path, "a.mp4", b"a")]) == 8
    assert "the object store at localhost:1 does not take the file" in capsys.readouterr().err


def test_what_is_held_already_is_not_put_again(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "a.mp4", b"a")
    run([*ADD_FOOTAGE, path])
    assert run([*ADD_FOOTAGE, "--via-url", path]) == 0
    assert "held already" in capsys.readouterr().out


def test_footage_is_listed_shown_and_removed(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", b"video")])
    assert run(["footage", "list"]) == 0
    assert run(["footage", "show", FOOTAGE[:8]]) == 0
    assert run(["footage", "rm", FOOTAGE[:8], "--yes"]) == 0
    assert homeward.footage.held == {}
    told = capsys.readouterr().out
    assert f"Footage {FOOTAGE} is removed." in told
    assert "Sightings that are not confirmed go with their recording" in told


def test_no_footage_of_a_camera_is_not_told_as_no_footage_at_all(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.held = {}
    assert run(["footage", "list", "--camera", "gate"]) == 0
    assert capsys.readouterr().out == "No footage is held of these cameras and times.\n"


@pytest.mark.usefixtures("homeward")
def test_a_mistyped_camera_is_answered_with_the_one_that_is_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["footage", "list", "--camera", "gaet"]) == 5
    assert "did you mean gate?" in capsys.readouterr().err


def test_an_upload_that_is_interrupted_says_how_it_goes_on(
    homeward: Homeward,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(upload, "stream", interrupt)
    assert run([*ADD_FOOTAGE, written(tmp_path, "a.mp4", b"a")]) == 130
    told = capsys.readouterr().err
    assert "a.mp4: interrupted\n" in told
    assert "advice: run the same command again: it goes on where it stopped" in told


def test_whoever_removes_footage_is_asked_about_its_sightings_too(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run([*ADD_FOOTAGE, written(tmp_path, "gate.mp4", b"video")])
    asked = at_a_terminal(monkeypatch, False)
    assert run(["footage", "rm", FOOTAGE[:8]]) == 130
    assert asked[0].endswith(", and what was found there and is not confirmed?")


def test_what_the_store_has_damaged_is_listed_without_numbers_and_can_be_removed(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.footage.held = {
        "a digest": footage_pb2.Footage(
            footage_id=FOOTAGE, camera_id="gate", problems=[footage_pb2.FOOTAGE_PROBLEM_DAMAGED]
        )
    }
    homeward.footage.refusals["GetFootage"] = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, "FOOTAGE_DAMAGED", "its manifest cannot be read"
    )

    assert run(["footage", "list"]) == 0
    assert run(["footage", "rm", FOOTAGE, "--yes"]) == 0

    told = capsys.readouterr().out
    assert f"{FOOTAGE}\tgate\t\t\t\t\t\tdamaged" in told
    assert f"Footage {FOOTAGE} is removed." in told
