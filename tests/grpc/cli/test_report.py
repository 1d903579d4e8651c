"""`homeward report`, on an audit trail and counts of a fake."""

# ruff: noqa: N802 - gRPC names the methods
# ruff: noqa: ARG001, ARG002 - fakes take what gRPC gives

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cli_documents
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from cli_services import FootageStore, Matching, Retention, Subjects
from homeward.api.common.v1 import audit_pb2, audit_service_pb2, audit_service_pb2_grpc
from homeward.api.common.v1.policy_pb2 import ErrorRate
from homeward.api.common.v1.retention_pb2 import HeldData
from homeward.api.ingestion.v1 import footage_service_pb2_grpc
from homeward.api.matching.v1 import (
    activity_service_pb2,
    activity_service_pb2_grpc,
    matching_service_pb2_grpc,
    retention_service_pb2_grpc,
)
from homeward.api.matching.v1.activity_service_pb2 import (
    CandidateActivity,
    DailyActivity,
    SearchActivity,
)
from homeward.cli.__main__ import run

BEFORE = Timestamp(seconds=1_790_000_000)  # September 2026
PURPOSE = "=find <b>everybody</b>"


class Audit(audit_service_pb2_grpc.AuditServiceServicer):
    def __init__(self) -> None:
        enrol = "homeward.api.matching.v1.SubjectService/CreateSubject"
        search = "homeward.api.ingestion.v1.ScanService/CreateScan"
        self.events = [
            audit_pb2.AuditEvent(rpc=enrol, outcome="OK", resources=["subject/x"]),
            *(
                audit_pb2.AuditEvent(
                    rpc=search,
                    outcome="OK",
                    resources=[f"scan/{number}"],
                    purpose=PURPOSE,
                    case_reference=f"C-{number}",
                )
                for number in range(5)
            ),
        ]
        for one in self.events:
            one.event_time.CopyFrom(BEFORE)

    def ListAuditEvents(self, request: Any, context: Any) -> Any:
        return audit_service_pb2.ListAuditEventsResponse(events=self.events)


class Activity(activity_service_pb2_grpc.ActivityServiceServicer):
    def __init__(self) -> None:
        self.requests: list[Any] = []
        searches = SearchActivity(
            search_count=5,
            requested_duration=Duration(seconds=7200),
            searched_duration=Duration(seconds=5400),
            appearance_count=10_000,
            discarded_appearance_count=9_900,
        )
        candidates = CandidateActivity(
            policy_id="p/1",
            confirmed_count=3,
            rejected_count=4,
            unreviewed_count=2,
            approved_count=9,
            promised_fpir=ErrorRate(value=0.001, low=0.0005, high=0.002, trial_count=9),
        )
        self.answer = activity_service_pb2.GetActivityReportResponse(
            report_time=BEFORE,
            counted_since_time=BEFORE,
            days=[
                DailyActivity(date="2026-10-03", searches=searches, candidates=[candidates]),
                DailyActivity(date="2026-10-05", searches=searches),
            ],
        )

    def GetActivityReport(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return self.answer


@dataclass
class Served:
    audit: Audit = field(default_factory=Audit)
    activity: Activity = field(default_factory=Activity)
    retention: Retention = field(default_factory=lambda: Retention(Subjects()))
    footage: FootageStore = field(default_factory=FootageStore)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    server = grpc.server(ThreadPoolExecutor(2))
    port = server.add_insecure_port("localhost:0")
    made = Served()
    audit_service_pb2_grpc.add_AuditServiceServicer_to_server(made.audit, server)
    activity_service_pb2_grpc.add_ActivityServiceServicer_to_server(made.activity, server)
    retention_service_pb2_grpc.add_RetentionServiceServicer_to_server(made.retention, server)
    footage_service_pb2_grpc.add_FootageServiceServicer_to_server(made.footage, server)
    matching_service_pb2_grpc.add_MatchingServiceServicer_to_server(Matching(), server)
    server.start()
    for service in ("INGESTION", "MATCHING"):
        monkeypatch.setenv(f"HOMEWARD_{service}_TARGET", f"localhost:{port}")
    yield made
    server.stop(None).wait()


def figures(folder: Path) -> dict[tuple[str, str], str]:
    text = (folder / "figures.csv").read_bytes().decode("utf-8-sig")
    return {(row[0], row[1]): row[2] for row in csv.reader(io.StringIO(text))}


def test_a_report_has_the_figures_of_its_days(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--month", "2026-10", "-o", str(tmp_path)]) == 0

    [asked] = served.activity.requests
    assert (asked.first_date, asked.last_date) == ("2026-10-01", "2026-10-31")
    told = figures(tmp_path)
    assert told["Searches", "searches that have ended"] == "10"
    assert told["Searches", "footage searched, hours"] == "3.00"
    assert told["Searches", "appearances compared"] == "20000"
    assert told["Candidates", "candidates listed"] == "9"
    assert told["Candidates", "of these, rejected, and erased at once"] == "4"
    assert told["Wrong candidates", "promise"] == "kept"
    assert told["Retention", "past a deadline"] == "0"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "report for October 2026" in page
    assert "2026-10-03: 1.50 hours" in page
    days = (tmp_path / "days.csv").read_text(encoding="utf-8-sig").splitlines()
    assert days[1:] == ["2026-10-03,5,1.50,10000", "2026-10-05,5,1.50,10000"]


def test_a_few_seconds_of_footage_are_not_told_as_none(served: Served, tmp_path: Path) -> None:
    for day in served.activity.answer.days:
        day.searches.searched_duration.FromSeconds(5)

    run(["report", "--month", "2026-10", "-o", str(tmp_path)])

    assert figures(tmp_path)["Searches", "footage searched, hours"] == "under 0.01"


def test_the_numbers_of_few_people_are_not_told_unless_asked_for(
    served: Served, tmp_path: Path
) -> None:
    name = ("People looked for", "people enrolled in this time")
    run(["report", "--month", "2026-10", "-o", str(tmp_path / "a")])
    run(["report", "--month", "2026-10", "-o", str(tmp_path / "b"), "--exact"])

    assert figures(tmp_path / "a")[name] == "fewer than 5"
    assert figures(tmp_path / "b")[name] == "1"


def test_what_somebody_wrote_is_text_in_the_page_and_no_formula_in_the_table(
    served: Served, tmp_path: Path
) -> None:
    run(["report", "--month", "2026-10", "-o", str(tmp_path)])

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<bdi>=find &lt;b&gt;everybody&lt;/b&gt;</bdi>" in page
    assert figures(tmp_path)["Purposes", f"'{PURPOSE}"] == "5"


def test_a_broken_promise_is_an_alarm(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served.activity.answer.days[0].candidates[0].rejected_count = 400

    assert run(["report", "--month", "2026-10", "-o", str(tmp_path), "--output", "json"]) == 3

    told = json.loads(capsys.readouterr().out)
    cli_documents.require(told, "report")
    assert told["promise"] == "broken"
    assert "More candidates were wrong" in told["alarms"][0]
    assert "Broken: more were wrong" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_breach_is_an_alarm(served: Served, tmp_path: Path) -> None:
    served.footage.report.held.append(HeldData(name="footage", count=3, overdue_count=2))

    assert run(["report", "--month", "2026-10", "-o", str(tmp_path)]) == 3

    assert figures(tmp_path)["Retention", "overdue: footage"] == "2"


@pytest.mark.parametrize("period", [("--month", "2026-09"), ("--year", "2026")])
def test_a_period_that_is_not_covered_whole_says_so(
    served: Served, tmp_path: Path, period: tuple[str, str]
) -> None:
    served.activity.answer.days[1].incomplete = True

    run(["report", *period, "-o", str(tmp_path)])

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "are counted since 2026-09-21 14:13 UTC" in page
    assert "The audit trail begins at 2026-09-21 14:13 UTC" in page
    assert "On these days there was more than is counted: 2026-10-05." in page


def test_a_period_that_is_covered_whole_does_not(served: Served, tmp_path: Path) -> None:
    run(["report", "--month", "2026-10", "-o", str(tmp_path)])

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "does not cover" not in page


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "one of --month and --year"),
        (("--month", "2026-10", "--year", "2026"), 2, "one of --month and --year"),
        (("--month", "10/2026"), 2, "write it like 2026-11"),
        (("--year", "2099"), 2, "2099 has not begun"),
        (("--month", "2026-08"), 2, "nothing is known of August 2026"),
    ],
)
def test_a_period_that_is_none_is_refused(  # noqa: PLR0917 - pytest names them
    served: Served,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    assert run(["report", *words, "-o", str(tmp_path / "r")]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_files_that_are_there_are_kept(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "days.csv").write_text("mine")

    assert run(["report", "--month", "2026-10", "-o", str(tmp_path)]) == 4

    assert "is there already" in capsys.readouterr().err
    assert served.activity.requests == []
    assert (tmp_path / "days.csv").read_text() == "mine"
