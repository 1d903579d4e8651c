from __future__ import annotations

from typing import Any

from homeward.api.common.v1.audit_pb2 import AuditEvent
from homeward.cli.report.trail import tally

CREATE = "homeward.api.ingestion.v1.ScanService/CreateScan"
CLOSE = "homeward.api.matching.v1.SubjectService/CloseSubject"


def event(rpc: str, *resources: str, **changes: Any) -> AuditEvent:
    return AuditEvent(rpc=rpc, resources=resources, **({"outcome": "OK"} | changes))


def test_a_call_that_was_repeated_counts_once_and_one_that_failed_not() -> None:
    found = tally(
        [
            event(CREATE, "scan/a", "subject/x"),
            event(CREATE, "scan/a", "subject/x"),
            event(CREATE, "scan/b"),
            event(CREATE, outcome="INVALID_ARGUMENT"),
            event(CLOSE, "subject/x"),
            event("background.CloseSubject", "subject/x"),
            event("background.CloseSubject", "subject/y"),
        ]
    )

    assert (len(found.searches), len(found.ended), found.events) == (2, 2, 7)
    assert found.by_purpose == {"": 2}


def test_a_purpose_is_quoted_once_it_was_stated_for_five_cases() -> None:
    events = [
        event(CREATE, f"scan/{number}", purpose="missing child", case_reference=f"C-{number % 5}")
        for number in range(9)
    ]
    events += [
        event(CREATE, f"scan/x{number}", purpose="find Anna", case_reference=f"C-{number % 4}")
        for number in range(9)
    ]
    events.append(event(CREATE, "scan/none"))

    assert tally(events).purposes() == ([("missing child", 9)], 9, 1)


def test_refused_callers_are_counted() -> None:
    found = tally(
        [
            event("background.RefuseUnknownCallers", outcome="UNAUTHENTICATED", count=41),
            event(CREATE, outcome="PERMISSION_DENIED", count=1),
        ]
    )

    assert (found.unknown_callers, found.denied, len(found.searches)) == (41, 1, 0)


def test_stills_and_packages_are_both_given_out() -> None:
    matching = "homeward.api.matching.v1"
    found = tally(
        [
            event(f"{matching}.SightingService/ExportSighting", "sighting/a"),
            event(f"{matching}.ExportService/SealPackage", "sighting/b"),
            event(f"{matching}.ExportService/SealPackage", outcome="FAILED_PRECONDITION"),
            event(f"{matching}.ExportService/SealClip", "sighting/b"),
        ]
    )

    assert found.exports == 2
