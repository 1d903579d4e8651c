"""`homeward sheet`."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import json
from pathlib import Path

import cli_documents
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from cli_services import Homeward, enrolled
from cli_values import ANNA, BEGIN, FOOTAGE, SCAN, Refusal, effort, jpeg, opened, worth
from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import camera_pb2, footage_pb2, scan_pb2
from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2, subject_pb2
from homeward.cli.__main__ import run

GAP = scan_pb2.CoverageGap(
    footage_id=FOOTAGE,
    interval=TimeInterval(
        start_time=Timestamp(seconds=BEGIN.seconds + 30),
        end_time=Timestamp(seconds=BEGIN.seconds + 40),
    ),
    reason=scan_pb2.COVERAGE_GAP_REASON_UNDECODABLE,
)


@pytest.fixture
def anna(homeward: Homeward) -> Homeward:
    enrolled(homeward)
    homeward.sightings.sighting.scan_id = SCAN
    homeward.sightings.sighting.figures.CopyFrom(worth())
    homeward.footage.recording = footage_pb2.Footage(
        footage_id=FOOTAGE, camera_id="gate", start_time=BEGIN, duration=Duration(seconds=60)
    )
    homeward.scans.efforts = [effort(scan_pb2.THOROUGHNESS_GATED)]
    homeward.cameras.listed = [
        camera_pb2.Camera(camera_id="gate", place="North gate", latitude=51.5, longitude=-0.1)
    ]
    return homeward


def written(tmp_path: Path, *more: str) -> str:
    path = tmp_path / "sheet.html"
    assert run(["sheet", "--subject", ANNA, "-o", str(path), "--timezone", "UTC", *more]) == 0
    return path.read_text(encoding="utf-8")


def test_a_sheet_tells_what_was_found_and_what_was_not_searched(
    anna: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anna.scans.told = {"gaps": [GAP]}
    anna.sightings.rejections = [sighting_pb2.Rejection()]

    page = written(tmp_path)

    assert "1 candidate; 1 more was rejected by reviewers, and erased." in page
    assert "20 Nov 2026, 10:00:00 to 10:00:12 UTC" in page
    assert "0.612 (listed from 0.450 on)" in page
    assert "20 Nov 2026, 10:00:30 to 10:00:40 UTC" in page
    assert "its pictures do not decode" in page
    drawn = page[page.index("<defs>") :]
    assert drawn.count('class="band"') == 2  # before and after the gap
    assert "North gate</bdi>: 1 candidate" in page
    assert "about 4 are missed" in page
    assert "1 candidate." in capsys.readouterr().out


def test_all_reference_photographs_and_stills_are_shown(
    anna: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = anna.subjects.held[ANNA]
    del subject.reference_photos[:]
    for name in ("one", "two", "gone"):
        subject.reference_photos.add(photo_id=name)
    anna.subjects.images = {"one": jpeg(300, 400), "two": jpeg(400, 300)}
    for second in (3, 5, 9):
        anna.sightings.sighting.stills.add(
            time=Timestamp(seconds=BEGIN.seconds + second), face_height_px=40 + second
        )
    anna.sightings.stills = [jpeg(64, 64), b"", jpeg(60, 64)]

    page = written(tmp_path)

    assert page.count('src="data:image/jpeg') == 4
    assert "Reference 2" in page
    assert "1 reference photograph is not shown." in page
    assert "10:00:03, 43 px" in page
    assert "10:00:09, 49 px" in page
    assert "10:00:05, 45 px" not in page
    assert "reference photograph 3 is left out" in capsys.readouterr().err


def test_a_gap_that_another_search_has_searched_is_none(anna: Homeward, tmp_path: Path) -> None:
    anna.scans.told_in_turn = [{"gaps": [GAP]}, {}]

    assert "its pictures do not decode" not in written(tmp_path)


def test_what_is_not_known_is_said(anna: Homeward, tmp_path: Path) -> None:
    anna.sightings.sighting.scan_id = "forgotten"
    anna.sightings.sighting.still_gone = True
    anna.sightings.lost = sighting_service_pb2.LostSightings(sighting_count=2)
    anna.footage.refusals["GetFootage"] = Refusal(
        grpc.StatusCode.NOT_FOUND, "FOOTAGE_NOT_FOUND", "gone"
    )
    anna.scans.told = {"state": scan_pb2.Scan.STATE_RUNNING}

    page = written(tmp_path)

    assert "2 sightings that were recorded are not in the store any more" in page
    assert "1 of the candidates were found by searches whose records are erased" in page
    assert "1 of the recordings are not held any more" in page
    assert "1 of the searches have not ended" in page
    assert "Its still is not in the object store any more" in page


def test_searches_for_others_are_left_out(anna: Homeward, tmp_path: Path) -> None:
    anna.scans.listed.scope.subject_ids.append("somebody else")

    assert "No record of a search for this person is left" in written(tmp_path)


def test_what_a_refused_search_covered_is_not_drawn_as_searched(
    anna: Homeward, tmp_path: Path
) -> None:
    anna.scans.listed.authorisation.state = scan_pb2.ScanAuthorisation.STATE_REFUSED

    page = written(tmp_path)

    assert "1 of the searches for this person were refused" in page
    assert 'class="band"' not in page.partition("<defs>")[2]


def test_a_sheet_is_a_picture_too(anna: Homeward, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"

    assert run(["sheet", "--subject", ANNA, "-o", str(path)]) == 0

    assert opened(path).size[0] == 1240


def test_a_closed_subject_has_no_sheet(
    anna: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anna.subjects.held[ANNA].state = subject_pb2.Subject.STATE_CLOSED

    assert run(["sheet", "--subject", ANNA, "-o", str(tmp_path / "a.html")]) == 7

    assert "is closed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "zone", "code", "said"),
    [
        ("sheet.pdf", "UTC", 2, "a FILE.html, or a FILE.png"),
        ("sheet.html", "Mars/Base", 2, "no time zone Mars/Base"),
        ("there.html", "UTC", 4, "is there already"),
    ],
)
def test_bad_input_is_refused(  # noqa: PLR0917 - pytest names them
    anna: Homeward,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    zone: str,
    code: int,
    said: str,
) -> None:
    (tmp_path / "there.html").write_text("mine")

    file = str(tmp_path / name)
    assert run(["sheet", "--subject", ANNA, "-o", file, "--timezone", zone]) == code

    assert said in capsys.readouterr().err
    assert (tmp_path / "there.html").read_text() == "mine"


def test_json_tells_the_counts(
    anna: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, "--output", "json")

    told = json.loads(capsys.readouterr().out)
    cli_documents.require(told, "sheet")
    assert (told["candidateCount"], told["gapCount"]) == (1, 0)


def test_a_search_by_another_clock_is_drawn_where_it_looked(anna: Homeward, tmp_path: Path) -> None:
    anna.scans.listed.scope.interval.end_time.seconds = BEGIN.seconds + 20
    anna.scans.efforts[0].true_start_time.CopyFrom(BEGIN)
    anna.cameras.listed[0].clock_offset.seconds = 3600
    anna.sightings.sighting.clock_offset.seconds = 0
    anna.scans.told = {"gaps": [GAP]}

    page = written(tmp_path)

    assert 'class="band"' in page.partition("<defs>")[2]
    assert "20 Nov 2026, 09:00:30 to 09:00:40 UTC" in page
    assert "the clock of their camera was corrected since 1 of the candidates were" in page


def test_a_search_for_everybody_before_a_photograph_counts_for_nothing(
    anna: Homeward, tmp_path: Path
) -> None:
    anna.subjects.held[ANNA].reference_photos[0].create_time.seconds = BEGIN.seconds + 3600
    anna.scans.listed.create_time.CopyFrom(BEGIN)

    page = written(tmp_path)

    assert "Searches for everybody that do not count here: 1." in page
    assert 'class="band"' not in page.partition("<defs>")[2]
