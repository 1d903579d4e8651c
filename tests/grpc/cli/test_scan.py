"""`homeward scan`."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import json
import re

import grpc
import pytest

from cli_services import Homeward, enrolled
from cli_values import CHILD_WARNING, FOOTAGE, SCAN, SIZES, Refusal, effort, ended, face_sizes
from homeward.api.ingestion.v1 import scan_pb2
from homeward.cli.__main__ import run


def test_several_cameras_are_told_apart(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    cameras = [
        scan_pb2.CameraFaceSizes(
            camera_id="gate", face_sizes=face_sizes(20, too_small=1, median=64)
        ),
        scan_pb2.CameraFaceSizes(camera_id="yard", face_sizes=face_sizes(30, too_small=30)),
    ]
    homeward.scans.told = {"incomparable": 31, "sizes": SIZES, "cameras": cameras}

    assert run(["scan", "show", SCAN]) == 0

    told = capsys.readouterr().out
    assert re.search(r"gate\t20\t5 %\t0 %\t64 px or more", told)
    assert re.search(r"yard\t30\t100 %\t0 %\t17 px", told)


def test_where_all_could_be_compared_no_size_is_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.told = {"sizes": face_sizes(50, median=40)}

    assert run(["scan", "show", SCAN]) == 0

    told = capsys.readouterr().out
    assert "px" not in told
    assert "stretches" not in told


def test_a_scan_in_json_has_the_sizes(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.told = {"incomparable": 33, "sizes": SIZES}

    assert run(["scan", "show", SCAN, "--output", "json"]) == 0

    sizes = json.loads(capsys.readouterr().out)["scan"]["coverage"]["faceSizes"]
    assert (sizes["leastWidthPx"], sizes["tooSmallAppearanceCount"]) == (24, "31")


def test_a_scan_is_shown_with_what_it_means_for_a_child(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(homeward, child=True)
    assert run(["scan", "show", SCAN]) == 0
    assert CHILD_WARNING in capsys.readouterr().out


def test_a_scan_tells_how_each_recording_was_searched(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = (scan_pb2.THOROUGHNESS_GATED, scan_pb2.THOROUGHNESS_CONSTANT_RATE)
    homeward.scans.efforts.append(effort(*ways))
    assert run(["scan", "show", SCAN[:8]]) == 0
    told = capsys.readouterr().out
    assert "How it was searched:" in told
    assert "the parts in which something moved; all of it: its bit rate is constant" in told
    assert re.search(r"footage\tlooked at\tpassed over\thow", told.lower())
    assert re.search(rf"{FOOTAGE}\t1m00s\t9m00s", told)


def test_scans_are_listed_shown_and_cancelled(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scan", "list"]) == 0
    assert run(["scan", "show", SCAN[:8]]) == 0
    assert run(["scan", "cancel", SCAN[:8]]) == 0
    assert f"Scan {SCAN} is cancelled. What it has found stays." in capsys.readouterr().out


def test_a_scan_that_is_told_to_stop_is_not_told_as_running(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.cancelled = scan_pb2.Scan.STATE_RUNNING
    assert run(["scan", "cancel", SCAN]) == 0
    told = capsys.readouterr().out
    assert f"Scan {SCAN} was asked to stop; `homeward scan watch {SCAN}` shows" in told


def test_a_list_of_scans_tells_what_was_searched_beside_what_was_dealt_with(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.listed = ended(searched=120, state=scan_pb2.Scan.STATE_CANCELLED).scan
    homeward.scans.listed.progress.total_duration.seconds = 600
    homeward.scans.listed.progress.done_duration.seconds = 600
    assert run(["scan", "list"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"cancelled\t100%\t10m00s\t2m00s", told)


def listed_scan(
    number: int, candidates: int, state: scan_pb2.Scan.State.ValueType
) -> scan_pb2.Scan:
    scan = scan_pb2.Scan(scan_id=f"{number}{SCAN[1:]}", state=state)
    scan.create_time.seconds = number
    scan.progress.candidate_count = candidates
    scan.progress.total_duration.seconds = 10 - number
    return scan


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ([], "321"),
        (["--sort", "newest"], "321"),
        (["--sort", "oldest"], "123"),
        (["--sort", "candidates"], "231"),
        (["--sort", "footage"], "123"),
        (["--sort", "state"], "132"),
    ],
)
def test_scans_are_listed_in_the_order_that_is_asked_for(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: list[str], order: str
) -> None:
    homeward.scans.all_listed = [
        listed_scan(3, 0, scan_pb2.Scan.STATE_SUCCEEDED),
        listed_scan(2, 5, scan_pb2.Scan.STATE_SUCCEEDED),
        listed_scan(1, 0, scan_pb2.Scan.STATE_PENDING),
    ]

    assert run(["scan", "list", "--output", "json", *words]) == 0

    scans = json.loads(capsys.readouterr().out)["scans"]
    assert "".join(one["scanId"][0] for one in scans) == order


def test_scans_are_asked_for_by_state(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.all_listed = []

    assert run(["scan", "list", "--state", "pending", "--state", "running"]) == 0
    assert run(["scan", "list", "--state", "done"]) == 2

    asked = [scan_pb2.Scan.STATE_PENDING, scan_pb2.Scan.STATE_RUNNING]
    assert homeward.scans.asked_states == [asked]
    assert "No scans in state pending or running." in capsys.readouterr().out


def test_a_scan_that_is_cancelled_already_is_no_error(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.no_cancel = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, "SCAN_ENDED", metadata={"state": "CANCELLED"}
    )
    homeward.scans.told = {"state": scan_pb2.Scan.STATE_CANCELLED}

    assert run(["scan", "cancel", SCAN[:8]]) == 0

    assert f"Scan {SCAN} is cancelled. What it has found stays." in capsys.readouterr().out


def test_whether_a_cancel_without_an_answer_took_effect_is_to_be_looked_up(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.no_cancel = Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")

    assert run(["scan", "cancel", SCAN[:8]]) != 0

    assert f"advice: `homeward scan show {SCAN}` tells whether" in capsys.readouterr().err
