"""`homeward scan authorise`, `refuse` and `certificate`, and how a scan's authorisation reads."""

# ruff: noqa: ARG001 - a fixture may only have to be there

from __future__ import annotations

import json
import re
from pathlib import Path

import grpc
import pytest

from cli_services import Homeward
from cli_values import ANNA, BEGIN, LATER, SCAN, Refusal, ended
from homeward.api.ingestion.v1 import scan_pb2
from homeward.api.matching.v1 import subject_pb2
from homeward.cli.__main__ import run

Held = scan_pb2.ScanAuthorisation
AWAITED = Held(state=Held.STATE_AWAITED, deadline_time=LATER)
AUTHORISED = Held(
    state=Held.STATE_AUTHORISED, decider="otto", decide_time=BEGIN, reference="MP-26-0412/7"
)
REFUSED = Held(
    state=Held.STATE_REFUSED,
    decider="otto",
    decide_time=BEGIN,
    reason="no case\nis open",
    erase_time=LATER,
)
LAPSED = Held(state=Held.STATE_LAPSED, deadline_time=LATER, decide_time=LATER)


def test_a_search_says_whom_for_where_and_why(homeward: Homeward) -> None:
    homeward.scans.script = [[ended()]]

    assert (
        run(
            [
                *("search", "--everything", "--reason", "nobody knows where she went"),
                *("--necessity", "she is eight", "--tried", "her phone"),
            ]
        )
        == 0
    )

    (request,) = homeward.scans.created
    assert request.justification == scan_pb2.ScanJustification(
        everything=True,
        everything_reason="nobody knows where she went",
        necessity="she is eight",
        less_intrusive_means="her phone",
    )
    assert request.requester


@pytest.mark.parametrize(
    "words", [["--everything"], ["--reason", "x"], ["--everything", "--reason", " "]]
)
def test_everything_and_its_reason_belong_together(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert run(["search", *words]) == 2

    assert "--everything and --reason belong together" in capsys.readouterr().err
    assert homeward.scans.created == []


def test_a_search_says_until_when_it_must_be_authorised(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.authorisation = AWAITED
    homeward.scans.script = [[ended()]]

    assert run(["search"]) == 0

    told = capsys.readouterr().err
    assert "must be authorised by 2026-11-20 10:00:12 UTC" in told
    assert f"`homeward scan authorise {SCAN} --reference TEXT`" in told


def test_a_search_that_is_not_targeted_is_told_what_to_name(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.no_scan = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "SCAN_NOT_TARGETED", "not targeted"
    )

    assert run(["search"]) == 4

    told = capsys.readouterr().err
    assert "name --subject, and --footage or --camera and --from" in told
    assert "--everything --reason TEXT" in told


def test_a_scan_is_authorised(homeward: Homeward, capsys: pytest.CaptureFixture[str]) -> None:
    homeward.scans.authorisation = AUTHORISED

    assert run(["scan", "authorise", SCAN[:8], "--reference", "MP-26-0412/7", "--by", "otto"]) == 0

    (request,) = homeward.scans.decisions
    assert (request.scan_id, request.reference, request.authoriser) == (
        SCAN,
        "MP-26-0412/7",
        "otto",
    )
    assert (
        "is authorised by otto, 2026-11-20 10:00:00 UTC, MP-26-0412/7." in capsys.readouterr().out
    )


def test_a_refused_scan_comes_with_its_certificate(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.authorisation = REFUSED
    homeward.subjects.certificate.entries.add(
        data="sightings", item_count=2, outcome=subject_pb2.ErasureEntry.OUTCOME_PENDING
    )

    assert run(["scan", "refuse", SCAN, "--reason", "no case is open", "--yes"]) == 0

    told = capsys.readouterr().out
    assert homeward.scans.decisions[0].reason == "no case is open"
    assert f"Scan {SCAN} is refused by otto, 2026-11-20 10:00:00 UTC: no case is open." in told
    assert f"Erasure certificate of scan {SCAN}" in told
    assert f"`homeward scan certificate {SCAN}`: it shows whether the rest is gone by then." in told


def test_refusing_asks_before_anything_is_erased(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scan", "refuse", SCAN, "--reason", "no case is open"]) != 0

    assert homeward.scans.decisions == []


def test_a_refusal_that_did_not_erase_all_is_no_success(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.authorisation = REFUSED
    homeward.subjects.certificate.entries.add(
        data="stills", outcome=subject_pb2.ErasureEntry.OUTCOME_FAILED
    )

    assert run(["scan", "refuse", SCAN, "--reason", "no case", "--yes"]) == 10

    told = capsys.readouterr().err
    assert "the next sweep does what is left; `homeward scan refuse" in told
    assert "overdue" not in told


@pytest.mark.parametrize(
    ("reason", "code", "told"),
    [
        ("SCAN_DECIDED", grpc.StatusCode.FAILED_PRECONDITION, "`homeward scan show ID` shows who"),
        ("OWN_SCAN", grpc.StatusCode.PERMISSION_DENIED, "ask somebody else"),
    ],
)
def test_who_may_not_decide_is_told_what_to_do(
    homeward: Homeward,
    capsys: pytest.CaptureFixture[str],
    reason: str,
    code: grpc.StatusCode,
    told: str,
) -> None:
    homeward.scans.no_decision = Refusal(code, reason, "no")

    assert run(["scan", "authorise", SCAN, "--reference", "R/1"]) == 7

    assert told in capsys.readouterr().err


def test_whether_a_refusal_without_an_answer_took_effect_is_to_be_looked_up(
    homeward: Homeward, capsys: pytest.CaptureFixture[str]
) -> None:
    homeward.scans.no_decision = Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")

    assert run(["scan", "refuse", SCAN, "--reason", "no", "--yes"]) == 8

    assert f"advice: `homeward scan show {SCAN}` tells whether" in capsys.readouterr().err


def test_a_certificate_of_a_scan_can_be_had_as_a_page_and_in_json(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "erased.html"

    assert run(["scan", "certificate", SCAN, "--page", str(page), "--output", "json"]) == 0

    assert json.loads(capsys.readouterr().out)["certificate"]["scanId"] == SCAN
    assert f"Found by scan <code>{SCAN}</code>" in page.read_text()
    assert ANNA not in page.read_text()


@pytest.mark.parametrize(
    ("held", "shown", "listed"),
    [
        (AWAITED, "awaited until 2026-11-20 10:00:12 UTC", "awaited until 2026-11-20 10:00:12 UTC"),
        (AUTHORISED, "authorised by otto, 2026-11-20 10:00:00 UTC, MP-26-0412/7", "authorised"),
        (REFUSED, "refused by otto, 2026-11-20 10:00:00 UTC: no case is open", "refused"),
        (LAPSED, "not in time: nobody had authorised it by 2026-11-20 10:00:12 UTC", "not in time"),
        (Held(state=99), "unknown", "unknown"),  # type: ignore[arg-type]
    ],
)
def test_a_scan_says_whether_it_is_authorised(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], held: Held, shown: str, listed: str
) -> None:
    homeward.scans.authorisation = held
    homeward.scans.listed.authorisation.CopyFrom(held)
    homeward.scans.justification = scan_pb2.ScanJustification(necessity="she is eight")
    homeward.scans.requester = "ivy"

    assert run(["scan", "show", SCAN]) == 0
    told = capsys.readouterr().out
    assert run(["scan", "list"]) == 0

    assert re.search(rf"authorisation: +{re.escape(shown)}\n", told)
    assert re.search(r"asked for by: +ivy\n", told)
    assert re.search(r"necessary, because: +she is eight\n", told)
    assert listed in capsys.readouterr().out


@pytest.mark.parametrize("held", [Held(), Held(state=Held.STATE_NOT_REQUIRED)])
def test_where_none_has_to_authorise_nothing_is_told(
    homeward: Homeward, capsys: pytest.CaptureFixture[str], held: Held
) -> None:
    homeward.scans.authorisation = held
    homeward.scans.listed.authorisation.CopyFrom(held)

    assert run(["scan", "show", SCAN]) == 0
    assert run(["scan", "list"]) == 0

    assert "authoris" not in capsys.readouterr().out.lower()
