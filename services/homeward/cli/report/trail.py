"""What the audit trail tells of a period, as counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from homeward.api.common.v1.audit_pb2 import AuditEvent

GENERIC_FROM = 5
"""A purpose that was stated for fewer cases may tell of somebody, and is not quoted."""

_OK = "OK"
_CREATE_SCAN = "ScanService/CreateScan"
_ENROL = "SubjectService/CreateSubject"
_ENDED = ("SubjectService/CloseSubject", "SubjectService/EraseSubject")
_ENDED_BY_SWEEP = ("background.CloseSubject", "background.EraseSubject")
_GIVEN_OUT = ("SightingService/ExportSighting", "ExportService/SealPackage")
_FOOTAGE = ("FootageService/DeleteFootage", "background.EraseFootage")
_UNKNOWN_CALLERS = "background.RefuseUnknownCallers"


@dataclass
class TrailTally:
    """Counts of events."""

    events: int = 0
    searches: set[str] = field(default_factory=set)
    authorisations: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    lapses: set[str] = field(default_factory=set)
    enrolled: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    recordings_erased: set[str] = field(default_factory=set)
    reviews: int = 0
    exports: int = 0
    use_records: int = 0
    denied: int = 0
    unknown_callers: int = 0
    cases: dict[str, set[str]] = field(default_factory=dict)
    """Of searches, by the purpose that was stated, the cases that it was stated for."""
    by_purpose: dict[str, int] = field(default_factory=dict)
    """Searches, by the purpose that was stated; "" of those without one."""

    def purposes(self) -> tuple[list[tuple[str, int]], int, int]:
        """Return what may be quoted: purposes with searches; then searches of others, and of none.

        A purpose is what somebody wrote: a name may stand in it. One that was stated for several
        cases is about none of them.
        """
        quoted = {
            purpose: count
            for purpose, count in self.by_purpose.items()
            if purpose and len(self.cases[purpose]) >= GENERIC_FROM
        }
        none = self.by_purpose.get("", 0)
        others = sum(self.by_purpose.values()) - sum(quoted.values()) - none
        return sorted(quoted.items(), key=lambda one: (-one[1], one[0])), others, none


def tally(events: Iterable[AuditEvent]) -> TrailTally:
    """Return the counts of some events. What was answered more than once counts once."""
    found = TrailTally()
    for event in events:
        found.events += 1
        _refused(found, event)
        if event.outcome != _OK:
            continue
        rpc = event.rpc.removeprefix("homeward.api.").partition(".v1.")[2] or event.rpc
        if rpc == _CREATE_SCAN:
            _search(found, event)
        found.authorisations |= _named(event, "scan", rpc == "ScanService/AuthoriseScan")
        found.refusals |= _named(event, "scan", rpc == "ScanService/RefuseScan")
        found.lapses |= _named(event, "scan", rpc == "background.LapseScan")
        found.enrolled |= _named(event, "subject", rpc == _ENROL)
        found.ended |= _named(event, "subject", rpc in (*_ENDED, *_ENDED_BY_SWEEP))
        found.recordings_erased |= _named(event, "footage", rpc in _FOOTAGE)
        found.reviews += rpc == "SightingService/ReviewSighting"
        found.exports += rpc in _GIVEN_OUT
        found.use_records += rpc == "ScanService/GetUseRecord"
    return found


def _search(found: TrailTally, event: AuditEvent) -> None:
    new = _named(event, "scan", wanted=True) - found.searches
    found.searches |= new
    purpose = " ".join(event.purpose.split())
    found.by_purpose[purpose] = found.by_purpose.get(purpose, 0) + len(new)
    found.cases.setdefault(purpose, set()).update({event.case_reference} - {""})


def _refused(found: TrailTally, event: AuditEvent) -> None:
    if event.rpc == _UNKNOWN_CALLERS:
        found.unknown_callers += event.count
    elif event.outcome == "PERMISSION_DENIED":
        found.denied += 1


def _named(event: AuditEvent, kind: str, wanted: bool) -> set[str]:  # noqa: FBT001 - private
    if not wanted:
        return set()
    return {one for one in event.resources if one.startswith(f"{kind}/")}
