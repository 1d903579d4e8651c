"""`homeward scan stretches`."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli_services import Homeward
from cli_values import BEGIN, FOOTAGE, IN_VIEW, SCAN, SIZES
from homeward.api.ingestion.v1 import scan_pb2
from homeward.cli.__main__ import run


def stretch(start: float, end: float, **changes: Any) -> scan_pb2.IncomparableStretch:
    made = scan_pb2.IncomparableStretch(
        camera_id="gate",
        footage_id=FOOTAGE,
        file_name="gate.mp4",
        peak_person_count=2,
        appearance_count=3,
        too_small_appearance_count=3,
    )
    made.interval.start_time.FromMilliseconds(BEGIN.seconds * 1000 + round(start * 1000))
    made.interval.end_time.FromMilliseconds(BEGIN.seconds * 1000 + round(end * 1000))
    made.start_offset.FromMilliseconds(round(start * 1000))
    made.end_offset.FromMilliseconds(round(end * 1000))
    made.MergeFrom(scan_pb2.IncomparableStretch(**changes))
    return made


FOOTAGE_GONE = scan_pb2.UnlistedFootage(
    footage_id=FOOTAGE, reason=scan_pb2.UNLISTED_REASON_FOOTAGE_GONE, appearance_count=7
)


LOST_GAP = scan_pb2.CoverageGap(
    footage_id="another", interval=IN_VIEW, reason=scan_pb2.COVERAGE_GAP_REASON_UNDECODABLE
)


def test_stretches_are_listed_page_by_page_with_their_place_in_the_file(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.stretches = [
        stretch(12.5, 20),
        stretch(3725.04, 3730, too_small_appearance_count=2, time_uncertain=True),
    ]

    assert run(["scan", "stretches", SCAN[:8]]) == 0

    told = capsys.readouterr().out
    first, second = [line for line in told.splitlines() if line.startswith("gate\t")]
    assert first.split("\t") == [
        *("gate", "2026-11-20 10:00:12 UTC", "2026-11-20 10:00:20 UTC", "0:00:12.5", "0:00:20.0"),
        *("2", "too small", "gate.mp4", FOOTAGE),
    ]
    assert "1:02:05.0" in second
    assert "11:02:05 UTC*" in second
    assert "too small, not clear" in second
    assert "2 stretches, 12.5s to watch." in told
    assert "* This time is uncertain" in told


def test_why_somebody_could_not_be_compared_is_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    made = stretch(1, 2)
    made.too_small_appearance_count = 0
    mixed = stretch(5, 8)
    mixed.too_small_appearance_count = 1
    homeward.scans.stretches = [made, mixed]

    assert run(["scan", "stretches", SCAN]) == 0

    told = capsys.readouterr().out
    assert "\tnot clear\t" in told
    assert "\ttoo small, not clear\t" in told


def test_when_all_could_be_compared_that_is_said(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scan", "stretches", SCAN]) == 0

    told = capsys.readouterr().out
    assert told == (
        "Every face that was found in what was searched could be compared. A person who showed no"
        " face is not counted.\n"
    )


@pytest.mark.parametrize(
    ("scan", "said"),
    [
        ({"incomparable": 3, "sizes": SIZES}, "is not known: that was in pieces"),
        ({"searched": 0}, "Nothing was searched, so that nothing is known"),
    ],
)
def test_that_nothing_is_listed_does_not_mean_that_all_could_be_compared(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], scan: dict[str, Any], said: str
) -> None:
    homeward.scans.told = scan

    assert run(["scan", "stretches", SCAN]) == 0

    told = capsys.readouterr().out
    assert said in told
    assert "could be compared." not in told


def test_what_is_gone_is_said_instead_of_an_empty_list(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    homeward.scans.unlisted = [
        FOOTAGE_GONE,
        scan_pb2.UnlistedFootage(
            footage_id="another", reason=scan_pb2.UNLISTED_REASON_TIMES_GONE, appearance_count=2
        ),
    ]

    assert run(["scan", "stretches", SCAN]) == 0
    told = capsys.readouterr().out
    assert "could be compared.\n" not in told
    assert re.search(rf"{FOOTAGE}\t7\tthe recording was removed, or reached its deadline", told)
    assert re.search(r"another\t2\tthe times are not kept; search the recording again", told)

    assert run(["scan", "stretches", SCAN, "--csv", str(tmp_path / "watch.csv")]) == 7
    assert "no file was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_searched_is_told_apart_from_the_stretches(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.stretches = [stretch(1, 2)]
    homeward.scans.told = {"gaps": [LOST_GAP], "state": scan_pb2.Scan.STATE_RUNNING}

    assert run(["scan", "stretches", SCAN]) == 0

    listed, _, apart = capsys.readouterr().out.partition("1 stretch, 1.0s to watch.")
    assert "another" not in listed
    assert "The scan has not ended" in apart
    assert re.search(r"Not searched.*\n.*\nanother\t", apart)


def test_stretches_in_json_have_gaps_and_what_is_gone_beside_them(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.stretches = [stretch(1, 2), stretch(9, 10)]
    homeward.scans.unlisted = [FOOTAGE_GONE]
    homeward.scans.told = {"gaps": [LOST_GAP]}

    assert run(["scan", "stretches", SCAN, "--output", "json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [each["startOffset"] for each in told["incomparableStretches"]] == ["1s", "9s"]
    assert told["unlistedFootage"][0]["reason"] == "UNLISTED_REASON_FOOTAGE_GONE"
    assert [each["footageId"] for each in told["gaps"]] == ["another"]


def test_stretches_are_written_for_a_spreadsheet_and_for_a_player(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    homeward.scans.stretches = [stretch(12.5, 20, time_uncertain=True)]
    table, playlist = tmp_path / "watch.csv", tmp_path / "watch.m3u8"
    command = ["scan", "stretches", SCAN, "--csv", str(table), "--playlist", str(playlist)]

    assert run(command) == 0

    names, cells = list(csv.reader(table.read_text("utf-8-sig").splitlines()))
    told = dict(zip(names, cells, strict=True))
    assert told == {
        "camera": "gate",
        "footage": FOOTAGE,
        "file": "gate.mp4",
        "from": "2026-11-20T10:00:12.500+00:00",
        "to": "2026-11-20T10:00:20.000+00:00",
        "time uncertain": "yes",
        "start in file": "0:00:12.5",
        "end in file": "0:00:20.0",
        "start in file seconds": "12.500",
        "end in file seconds": "20.000",
        "people at a time": "2",
        "appearances": "3",
        "appearances too small": "3",
    }
    assert playlist.read_text() == (
        "#EXTM3U\n"
        "#EXTINF:8,gate 2026-11-20 10:00:12 UTC (2 at a time)\n"
        "#EXTVLCOPT:start-time=12.500\n"
        "#EXTVLCOPT:stop-time=20.000\n"
        "gate.mp4\n"
    )
    assert capsys.readouterr().err == ""
    assert run(command) == 4
    assert "--force overwrites it" in capsys.readouterr().err
    assert run([*command, "--force"]) == 0


@pytest.mark.parametrize(
    ("name", "cell", "address"),
    [
        ("=cmd|'/c calc'!A1.mp4", "'=cmd|'/c calc'!A1.mp4", "=cmd%7C'%2Fc calc'!A1.mp4"),
        ("#1 50%?.mp4", "#1 50%?.mp4", "%231 50%25%3F.mp4"),
        ("C:gate.mp4", "C:gate.mp4", "C%3Agate.mp4"),
        (" gäte.mp4", " gäte.mp4", "%20gäte.mp4"),
    ],
)
def test_no_name_of_a_file_is_taken_for_something_else(
    homeward: Homeward, tmp_path: Path, name: str, cell: str, address: str
) -> None:
    homeward.scans.stretches = [stretch(1, 2, file_name=name)]
    table, playlist = tmp_path / "watch.csv", tmp_path / "watch.m3u8"

    run(["scan", "stretches", SCAN, "--csv", str(table), "--playlist", str(playlist)])

    assert list(csv.reader(table.read_text("utf-8-sig").splitlines()))[1][2] == cell
    assert playlist.read_text().splitlines()[-1] == address


def test_recordings_of_one_name_are_told_beside_a_playlist(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    homeward.scans.stretches = [stretch(1, 2), stretch(9, 10), stretch(1, 2, footage_id="another")]

    assert run(["scan", "stretches", SCAN, "--playlist", str(tmp_path / "watch.m3u8")]) == 0

    assert "Several recordings are named gate.mp4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code"),
    [(["--csv", "same", "--playlist", "same"], 2), (["--csv", "no-folder/watch.csv"], 4)],
)
def test_stretches_refuse_files_that_cannot_be_written(
    homeward: Homeward,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: list[str],
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(["scan", "stretches", SCAN, *options]) == code
    assert list(tmp_path.iterdir()) == []
