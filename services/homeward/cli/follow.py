"""Following a scan to its end, over broken connections, and printing its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from google.rpc import code_pb2

from homeward.api.ingestion.v1 import scan_pb2, scan_service_pb2
from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub
from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2, subject_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import (
    authorisation,
    caveats,
    face_sizes,
    matches,
    patience,
    policy_figures,
    progress,
    reviews,
    terminal,
    times,
)
from homeward.cli.errors import CallError, CliError, ExitCode, exit_code, tell
from homeward.cli.looked_for import left_out
from homeward.cli.options import Session
from homeward.cli.paging import all_pages
from homeward.cli.render import SENTENCE, enum_word
from homeward.cli.stopping import until_stopped

ENDED = (
    scan_pb2.Scan.STATE_SUCCEEDED,
    scan_pb2.Scan.STATE_FAILED,
    scan_pb2.Scan.STATE_CANCELLED,
)
_ATTEMPTS = 10
"""In a row and without an answer; the waits between them add up to a minute."""
_ENDS_EARLY = "the watch ends before the scan does"
_MAY_HAVE_BEGUN = (
    "The search may have begun: `homeward scan list` shows it, `homeward scan cancel ID` ends it."
)
_NOT_HELD = "not held"
_MOST_NAMED = 1000
"""Recordings, and as many subjects, that a list of sightings may name."""
GAP_REASONS = {
    scan_pb2.COVERAGE_GAP_REASON_UNDECODABLE: "its pictures do not decode",
    scan_pb2.COVERAGE_GAP_REASON_FOOTAGE_GONE: "the footage was not there when it was searched",
    scan_pb2.COVERAGE_GAP_REASON_GIVEN_UP: "searching it failed again and again",
    scan_pb2.COVERAGE_GAP_REASON_CANCELLED: "the scan was cancelled first",
    scan_pb2.COVERAGE_GAP_REASON_NO_PICTURES: "the recording has no pictures there",
    scan_pb2.COVERAGE_GAP_REASON_DECODER_ENDED: "decoding it was ended",
    scan_pb2.COVERAGE_GAP_REASON_FOOTAGE_DAMAGED: "the object store has damaged it",
    scan_pb2.COVERAGE_GAP_REASON_CAMERA_UNKNOWN: "its camera is not registered",
}


_THOROUGHNESS = {
    scan_pb2.THOROUGHNESS_GATED: "the parts in which something moved",
    scan_pb2.THOROUGHNESS_PRESENCE: (
        "as an earlier scan searched it: only pictures in which that had found faces were looked at"
        " again"
    ),
    scan_pb2.THOROUGHNESS_NO_PROFILE: "all of it: the sizes of its pictures are not known",
    scan_pb2.THOROUGHNESS_TOO_SHORT: "all of it: it is short",
    scan_pb2.THOROUGHNESS_INTRA_ONLY: "all of it: each of its pictures is stored whole",
    scan_pb2.THOROUGHNESS_CONSTANT_RATE: "all of it: its bit rate is constant",
    scan_pb2.THOROUGHNESS_RESTLESS: "all of it: something moves in the picture all the time",
    scan_pb2.THOROUGHNESS_PACKETS_BLIND: "all of it: faces were found where all had seemed quiet",
    scan_pb2.THOROUGHNESS_SWITCHED_OFF: "all of it: passing over quiet parts is switched off",
}


@dataclass(slots=True)
class Findings:
    """The last state of a scan, and its candidates by sighting."""

    scan: scan_pb2.Scan
    candidates: dict[str, scan_pb2.ScanCandidate] = field(default_factory=dict)

    def best_first(self) -> list[scan_pb2.ScanCandidate]:
        """Return the candidates, most alike first."""
        return sorted(self.candidates.values(), key=lambda each: -each.score)


def updates(scans: ScanServiceStub, findings: Findings) -> Iterator[None]:
    """Bring `findings` up to date until the scan has ended, yielding after each change.

    A stream that breaks is opened again; the service then sends everything again.

    Raises:
        CallError: The service does not come back, or refuses.
    """
    request = scan_service_pb2.WatchScanRequest(scan_id=findings.scan.scan_id)
    failures = 0
    while True:
        broken: CallError | None = None
        try:
            for update in scans.WatchScan(request):
                failures = 0
                if update.WhichOneof("update") == "scan":
                    findings.scan = update.scan
                else:
                    findings.candidates[update.candidate.sighting_id] = update.candidate
                yield
        except CallError as error:
            if error.exit_code is not ExitCode.UNAVAILABLE:
                raise
            broken = error
        if broken is None and findings.scan.state in ENDED:
            return
        failures += 1
        if failures >= _ATTEMPTS:
            raise broken or CallError(_ENDS_EARLY, status="UNAVAILABLE")
        patience.pause(failures, broken.message if broken else _ENDS_EARLY)


def create(session: Session, request: scan_service_pb2.CreateScanRequest) -> scan_pb2.Scan:
    """Create a scan; who interrupts that is told that it may have begun."""
    scans = ScanServiceStub(session.connections.channel("ingestion"))
    with until_stopped(lambda: _MAY_HAVE_BEGUN):
        return scans.CreateScan(request).scan


def follow(session: Session, scan: scan_pb2.Scan) -> ExitCode:
    """Show a scan's progress until it ends, then its candidates and its coverage."""
    findings = Findings(scan)
    scans = ScanServiceStub(session.connections.channel("ingestion"))
    pace = progress.Pace()
    told = f"The scan goes on: {_how_to_go_on(scan.scan_id)}."
    waiting = ""
    try:
        with until_stopped(lambda: told), progress.shown("Searching") as show:
            for _ in updates(scans, findings):
                waiting = _tell_waiting(findings.scan, waiting)
                _show_progress(show, pace, findings)
    except CallError as error:
        if error.status not in ("PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND"):
            terminal.tell(f"The scan may go on: {_how_to_go_on(scan.scan_id)}", err=True)
        raise error from None
    tell_findings(session, findings)
    if findings.scan.state == scan_pb2.Scan.STATE_FAILED:
        return _failed(findings.scan)
    return ExitCode.OK


def not_shown(progress: scan_pb2.ScanProgress) -> list[str]:
    """Return sentences about matches that are no candidates."""
    closed = progress.closed_subject_match_count
    rejected = progress.dropped_match_count - closed
    counts = {
        "a reviewer has rejected them before": rejected,
        "their subject was closed during the search, or its record is lost": closed,
    }
    return [f"Matches not shown because {why}: {count}." for why, count in counts.items() if count]


def not_listed(progress: scan_pb2.ScanProgress, listed: int) -> list[str]:
    """Return a sentence about candidates of the scan whose sightings are gone."""
    gone = progress.candidate_count - listed
    if gone <= 0:
        return []
    told = (
        f"{gone} more candidates were found and are not held any more: they were rejected, erased,"
        " or joined to another one, or the store has lost them. `homeward sighting list` says if it"
        " has."
    )
    return [told]


def tell_findings(session: Session, findings: Findings) -> None:
    """Print candidates, then coverage."""
    candidates = findings.best_first()
    known = caveats.subjects(session)
    wanted = _looked_for(findings.scan, known)
    worth = caveats.in_force(session) if wanted or not candidates else caveats.NOT_IN_FORCE
    # Of whom the figures do not hold: of all who were looked for, found or not.
    earlier = [one for one in candidates if one.policy_id != worth.policy_id]
    warned = [
        *left_out(findings.scan, known.values()),
        *caveats.of_subjects(wanted, worth),
        *caveats.beside(earlier, known),
    ]
    if session.view.json:
        session.view.document({"scan": findings.scan, "candidates": candidates, "caveats": warned})
        return
    state = enum_word(scan_pb2.Scan.State.Name(findings.scan.state), "STATE_")
    session.view.say(f"Scan {findings.scan.scan_id}: {state}")
    states: Sequence[str] = ()
    if candidates:
        states = _states(session, candidates)
        _tell_candidates(session, candidates, known, states)
    else:
        for line in _none_found(findings.scan, worth):
            session.view.say(line)
    progress = findings.scan.progress
    for line in (*not_listed(progress, len(candidates)), *not_shown(progress)):
        session.view.say(line)
    if progress.dropped_match_count > progress.closed_subject_match_count:
        session.view.say("`homeward sighting list --rejected` shows where, and how to look again.")
    crowded = findings.scan.progress.crowded_appearance_count
    if crowded:
        session.view.say(
            f"{crowded} appearances look like more than ten subjects each; only the ten most alike"
            " are listed for each."
        )
    for line in (*policy_figures.notes(candidates), *warned):
        session.view.say(line)
    if told := authorisation.sentence(findings.scan):
        session.view.say(told)
    session.view.say(SENTENCE)
    tell_coverage(session, findings.scan)
    if "unreviewed" in states:
        session.view.say(
            "`homeward review` shows each candidate with its pictures, to be confirmed or rejected."
        )


def tell_coverage(session: Session, scan: scan_pb2.Scan) -> None:
    """Print what was searched and what was not, and who could not be compared."""
    say, coverage = session.view.say, scan.coverage
    say(
        f"Coverage: {times.span(coverage.searched_duration)} searched of "
        f"{times.span(coverage.requested_duration)} of footage asked for."
    )
    if scan.progress.planning:
        say(
            "It was cancelled before all footage in its scope was counted: the rest is left out."
            if scan.state in ENDED
            else "Not all footage in its scope is counted yet."
        )
    if scan.progress.later_footage_count:
        say(
            "Recordings left out, as they came after the search was asked for, by the service's"
            f" clock: {scan.progress.later_footage_count}. Search again to have them searched."
        )
    missing = times.seconds(coverage.requested_duration) - times.seconds(coverage.searched_duration)
    passed_over = times.seconds(coverage.passed_over_duration)
    if passed_over:
        say(
            f"Of what was searched, {times.span(coverage.looked_at_duration)} were looked at"
            f" picture by picture. {times.span(coverage.passed_over_duration)} were passed over:"
            " nothing moved in them, and samples showed nobody."
        )
    if coverage.gaps:
        tell_gaps(session, coverage)
    elif missing >= 1:
        say(f"{times.span(missing)} were not searched: nothing is known of who was there.")
    sizes = face_sizes.sentences(coverage)
    for line in sizes:
        say(line)
    if sizes and len(coverage.camera_face_sizes) > 1:
        session.view.table(face_sizes.COLUMNS, face_sizes.rows(coverage))
    if sizes:
        say(f"`homeward scan stretches {scan.scan_id}` lists when that was, to watch by eye.")


def tell_gaps(session: Session, coverage: scan_pb2.ScanCoverage) -> None:
    """Print what was not searched."""
    ids = session.view.ids([gap.footage_id for gap in coverage.gaps])
    session.view.say("Not searched, so that nothing is known of who was there:")
    session.view.table(
        ("footage", "from", "to", "for", "why", "detail"),
        [
            (
                ids[gap.footage_id],
                times.shown(gap.interval.start_time),
                times.shown(gap.interval.end_time),
                times.length(gap.interval),
                GAP_REASONS.get(gap.reason, "unknown"),
                gap.detail,
            )
            for gap in coverage.gaps
        ],
        optional=("detail", "to"),
    )


def tell_efforts(session: Session, coverage: scan_pb2.ScanCoverage) -> None:
    """Print how each recording was searched."""
    if coverage.footage_efforts:
        ids = session.view.ids([effort.footage_id for effort in coverage.footage_efforts])
        session.view.say("How it was searched:")
        session.view.table(
            ("footage", "looked at", "passed over", "how"),
            [
                (
                    ids[effort.footage_id],
                    times.span(effort.decoded_duration),
                    times.span(effort.passed_over_duration),
                    "; ".join(_THOROUGHNESS.get(one, "unknown") for one in effort.thoroughness),
                )
                for effort in coverage.footage_efforts
            ],
        )


def _none_found(scan: scan_pb2.Scan, worth: caveats.Worth) -> list[str]:
    """Return sentences that say that there is no candidate, and how little that means."""
    searched = scan.coverage.searched_duration
    if not times.seconds(searched):
        return ["Nothing was searched, so that nothing is known of who was there."]
    missed = (
        f" When policy {worth.policy_id} was measured, about"
        f" {policy_figures.percent(worth.figures.fnir)} of the people who were looked for were"
        " missed, and footage of another kind may do worse."
        if worth.policy_id
        else ""
    )
    faceless = (
        "No face was seen in it at all: nobody came near, or the camera hangs upside down, is too"
        " far away or out of focus. Look at the recording."
    )
    return [
        f"No candidates in the {times.span(searched)} that were searched.",
        *([] if scan.progress.face_count else [faceless]),
        f"That does not mean that nobody who is looked for was there.{missed}",
    ]


def _looked_for(
    scan: scan_pb2.Scan, known: Mapping[str, subject_pb2.Subject]
) -> list[subject_pb2.Subject]:
    wanted = set(scan.scope.subject_ids)
    return [one for name, one in known.items() if not wanted or name in wanted]


def _tell_candidates(
    session: Session,
    candidates: list[scan_pb2.ScanCandidate],
    known: Mapping[str, subject_pb2.Subject],
    states: Sequence[str],
) -> None:
    matches.tell_matches(session, candidates, known, states)
    if _NOT_HELD in states:
        session.view.say(
            f"{_NOT_HELD}: the sighting does not exist any more. A reviewer has rejected it, its"
            " recording was removed, or its subject was closed; or the store has lost it, and then"
            " `homeward sighting list` says so."
        )


def _states(session: Session, candidates: Sequence[scan_pb2.ScanCandidate]) -> list[str]:
    """Return the state of each candidate's sighting; empty where it cannot be read."""
    # A scan lists its candidates also after their sightings were rejected or erased.
    stub = SightingServiceStub(session.connections.channel("matching"))
    subject_ids = sorted({each.subject_id for each in candidates})
    footage_ids = sorted({each.footage_id for each in candidates})
    held: list[sighting_pb2.Sighting] = []
    try:
        for first in range(0, len(footage_ids), _MOST_NAMED):
            request = sighting_service_pb2.ListSightingsRequest(
                subject_ids=subject_ids if len(subject_ids) <= _MOST_NAMED else (),
                footage_ids=footage_ids[first : first + _MOST_NAMED],
                leave_out_lost=True,
            )
            held += all_pages(stub.ListSightings, request, lambda page: page.sightings)
    except CliError as error:
        tell(error, about="what became of the candidates is left out")
        return [""] * len(candidates)
    words = {one.sighting_id: reviews.state(one) for one in held}
    return [words.get(each.sighting_id, _NOT_HELD) for each in candidates]


def _tell_waiting(scan: scan_pb2.Scan, reported: str) -> str:
    """Say what the scan waits for when that changes; return what it waits for.

    A line of its own: a bar goes when the scan ends, and where there is none, nothing else says so.
    """
    waiting = _waiting(scan)
    if waiting != reported:
        by_itself = "The search goes on by itself when that is over."
        lines = [waiting, by_itself] if waiting else ["The search goes on."]
        for line in ("", *lines):
            terminal.tell(line, err=True)
    return waiting


def _waiting(scan: scan_pb2.Scan) -> str:
    if not scan.progress.HasField("waiting"):
        return ""
    waiting = scan.progress.waiting
    return f"Waiting since {times.shown(waiting.since_time)}: {waiting.message}"


def _show_progress(show: progress.Show, pace: progress.Pace, findings: Findings) -> None:
    scan = findings.scan
    done = times.seconds(scan.progress.done_duration)
    total = times.seconds(scan.progress.total_duration)
    component = scan.progress.waiting.component or "a service"
    waits = scan.progress.HasField("waiting")
    notes = (
        _why_none_is_done(scan) if not done and not waits else "",
        f"waiting for {component}" if waits else "",
        "" if scan.progress.planning or waits else pace.left(done, total),
        f"candidates: {len(findings.candidates)}",
    )
    show(done, total, ", ".join(filter(None, notes)))


def _why_none_is_done(scan: scan_pb2.Scan) -> str:
    """Return why nothing of a scan is dealt with yet, which may be so for minutes."""
    if scan.progress.planning:
        return f"counting recordings: {scan.progress.footage_count} so far"
    if scan.state == scan_pb2.Scan.STATE_PENDING:
        return "waiting for a scanner: all are busy with other searches, or none runs"
    pieces = scan.progress.segment_count
    return f"searching the first of {pieces} pieces" if pieces > 1 else "searching"


def _how_to_go_on(scan_id: str) -> str:
    return (
        f"watch it with `homeward scan watch {scan_id}`, "
        f"or cancel it with `homeward scan cancel {scan_id}`"
    )


def _failed(scan: scan_pb2.Scan) -> ExitCode:
    code = exit_code(code_pb2.Code.Name(scan.error.code))
    tell(CliError(scan.error.message or "the scan failed", exit_code=code))
    return code
