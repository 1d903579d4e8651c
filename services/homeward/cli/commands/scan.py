"""`homeward scan`: searches under way and done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import click

from homeward.api.ingestion.v1 import scan_pb2, scan_service_pb2
from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub
from homeward.api.matching.v1 import retention_service_pb2, subject_pb2
from homeward.api.matching.v1.retention_service_pb2_grpc import RetentionServiceStub
from homeward.cli import (
    authorisation,
    caveats,
    completing,
    looked_for,
    matches,
    people,
    stretches,
    terminal,
    times,
)
from homeward.cli.certificate import certificate_page, tell_certificate
from homeward.cli.errors import CallError, CliError, ExitCode
from homeward.cli.files import refuse_existing, write_new
from homeward.cli.follow import ENDED, follow, tell_coverage, tell_efforts
from homeward.cli.ids import full_scan_id
from homeward.cli.options import Group, Session, confirm, connected, operator_name
from homeward.cli.paging import all_pages
from homeward.cli.render import enum_word
from homeward.cli.shared import OutputFile


@click.group(cls=Group)
def scan() -> None:
    """List, watch and cancel searches."""


STATES = {
    enum_word(name, "STATE_"): value
    for name, value in scan_pb2.Scan.State.items()
    if value != scan_pb2.Scan.STATE_UNSPECIFIED
}

ORDERS: Mapping[str, Callable[[scan_pb2.Scan], tuple[float, ...]]] = {
    "newest": lambda one: (-one.create_time.ToNanoseconds(),),
    "oldest": lambda one: (one.create_time.ToNanoseconds(),),
    "candidates": lambda one: (-one.progress.candidate_count,),
    "footage": lambda one: (-times.seconds(one.progress.total_duration),),
    "state": lambda one: (one.state,),
}
"""By the words of `--sort`. Those that are equal in it are newest first, as the service lists."""


@scan.command(
    "list",
    examples=[
        "homeward scan list",
        "homeward scan list --state pending --state running --sort oldest",
    ],
)
@connected
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(STATES)),
    help="Only in this state.",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(list(ORDERS)),
    default="newest",
    show_default=True,
    help="Newest or oldest first, most candidates or footage first, or by state.",
)
def list_scans(session: Session, *, states: tuple[str, ...], order: str) -> None:
    """List the scans, newest first."""
    scans = sorted(_list(session, [STATES[state] for state in states]), key=ORDERS[order])
    if session.view.json:
        session.view.document({"scans": scans})
    elif not scans:
        session.view.say(
            f"No scans in state {' or '.join(states)}."
            if states
            else "No scans. Start one with `homeward search`."
        )
    else:
        ids = session.view.ids([each.scan_id for each in scans])
        matters = any(map(authorisation.matters, scans))
        session.view.table(
            (
                *("id", "state", "dealt with", "footage", "searched", "candidates", "created"),
                *(["authorisation"] if matters else []),
            ),
            [
                (
                    ids[each.scan_id],
                    _state(each),
                    _share(each),
                    times.span(each.progress.total_duration),
                    times.span(each.coverage.searched_duration),
                    str(each.progress.candidate_count),
                    times.shown(each.create_time),
                    *([authorisation.word(each)] if matters else []),
                )
                for each in scans
            ],
            optional=("footage", "dealt with", "created", "searched"),
        )


@scan.command("show", examples=["homeward scan show 8c41f7d2"])
@connected
@click.argument("scan_id", metavar="ID", shell_complete=completing.scans)
def show(session: Session, *, scan_id: str) -> None:
    """Show a scan as it is now. `scan watch` shows its candidates."""
    request = scan_service_pb2.GetScanRequest(scan_id=full_scan_id(session, scan_id))
    scan = _stub(session).GetScan(request).scan
    known = caveats.subjects(session)
    warned = [
        *looked_for.left_out(scan, known.values()),
        *caveats.of_scope(known, scan.scope.subject_ids, caveats.in_force(session)),
    ]
    if session.view.json:
        session.view.document({"scan": scan, "caveats": warned})
        return
    progress = scan.progress
    session.view.details(
        [
            ("id", scan.scan_id),
            ("state", _state(scan)),
            ("error", scan.error.message),
            ("subjects", _subjects(session, scan) or "all that are open"),
            ("cameras", ", ".join(scan.scope.camera_ids) or "all"),
            ("from", times.shown(scan.scope.interval.start_time)),
            ("to", times.shown(scan.scope.interval.end_time)),
            ("recordings", str(progress.footage_count)),
            ("planning", "not all recordings are counted" if progress.planning else ""),
            ("dealt with", _share(scan)),
            ("pictures looked at", str(progress.frame_count)),
            # One that may be two people is compared as two; the coverage counts it once.
            ("comparisons", str(progress.appearance_count)),
            ("no match, so discarded", str(progress.discarded_appearance_count)),
            ("candidates", str(progress.candidate_count)),
            ("rejected before", "looked for again" if scan.scope.include_rejected else ""),
            ("created", times.shown(scan.create_time)),
            ("ended", times.shown(scan.end_time)),
            ("asked for by", scan.requester),
            ("everything, because", scan.justification.everything_reason),
            ("necessary, because", scan.justification.necessity),
            ("tried before", scan.justification.less_intrusive_means),
            ("authorisation", authorisation.phrase(scan)),
        ]
    )
    if told := authorisation.sentence(scan):
        session.view.say(told)
    for line in warned:
        session.view.say(line)
    tell_coverage(session, scan)
    tell_efforts(session, scan.coverage)


@scan.command("watch", examples=["homeward scan watch 8c41f7d2"])
@connected
@click.argument("scan_id", metavar="ID", shell_complete=completing.scans)
def watch(session: Session, *, scan_id: str) -> ExitCode:
    """Follow a scan to its end, and show its candidates and coverage; at once if it has ended."""
    return follow(session, scan_pb2.Scan(scan_id=full_scan_id(session, scan_id)))


@scan.command(
    "stretches",
    examples=[
        "homeward scan stretches 8c41f7d2",
        "homeward scan stretches 8c41f7d2 --csv watch.csv --playlist watch.m3u8",
    ],
)
@connected
@click.argument("scan_id", metavar="ID", shell_complete=completing.scans)
@click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write them into FILE for a spreadsheet.",
)
@click.option(
    "--playlist",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write them into FILE for VLC; put it beside the recordings.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def list_stretches(
    session: Session, *, scan_id: str, table: Path | None, playlist: Path | None, force: bool
) -> None:
    """List when somebody was in view whose face could not be compared.

    To be watched by eye: camera, recording, true time, and the place in the file. What was not
    searched at all is told apart.
    """
    files = [path for path in (table, playlist) if path is not None]
    if table is not None and table == playlist:
        raise click.UsageError("--csv and --playlist name the same file")
    for path in files:
        refuse_existing(path, force=force)
    scan = (
        _stub(session)
        .GetScan(scan_service_pb2.GetScanRequest(scan_id=full_scan_id(session, scan_id)))
        .scan
    )
    found, unlisted = stretches.read(_stub(session), scan.scan_id)
    if files and unlisted and not found:
        stretches.tell(session, scan, found, unlisted)
        raise CliError(
            "no file was written: the times are not known",
            exit_code=ExitCode.PRECONDITION,
            advice="search the footage again, if it is still held",
        )
    if table is not None:
        write_new(table, stretches.as_csv(found), force=force)
    if playlist is not None:
        write_new(playlist, stretches.as_playlist(found), force=force)
    stretches.tell(session, scan, found, unlisted)
    if playlist is not None:
        stretches.warn_of_names(found)


@scan.command("cancel", examples=["homeward scan cancel 8c41f7d2"])
@connected
@click.argument("scan_id", metavar="ID", shell_complete=completing.scans)
def cancel(session: Session, *, scan_id: str) -> None:
    """Stop a scan. What it found until then stands."""
    scan = _cancelled(session, full_scan_id(session, scan_id))
    if session.view.json:
        session.view.document({"scan": scan})
        return
    if scan.state in ENDED:
        session.view.say(f"Scan {scan.scan_id} is {_state(scan)}. What it has found stays.")
    else:
        session.view.say(
            f"Scan {scan.scan_id} was asked to stop; `homeward scan watch {scan.scan_id}` shows"
            " when it has. What it has found stays."
        )


_BY = click.option(
    "--by",
    "authoriser",
    default="",
    metavar="NAME",
    help="Who decides, where the service does not know who calls. [default: the user of this"
    " computer]",
)


@scan.command(
    "authorise", examples=['homeward scan authorise 8c41f7d2 --reference "Insp. B, MP-26-0412/7"']
)
@connected
@click.argument("scan_id", metavar="ID", shell_complete=completing.scans)
@click.option(
    "--reference", required=True, metavar="TEXT", help="Where the authorisation is on file."
)
@_BY
def authorise(session: Session, *, scan_id: str, reference: str, authoriser: str) -> None:
    """Note that a scan is authorised. Nobody can refuse it after that."""
    request = scan_service_pb2.AuthoriseScanRequest(
        scan_id=full_scan_id(session, scan_id),
        reference=reference,
        authoriser=authoriser or operator_name(),
    )
    decided = _stub(session).AuthoriseScan(request).scan
    if session.view.json:
        session.view.document({"scan": decided})
    else:
        session.view.say(f"Scan {decided.scan_id} is {authorisation.phrase(decided)}.")
    if note := people.record_note(decided.authorisation.decider, authoriser):
        terminal.tell(note, err=True)


@scan.command("refuse", examples=['homeward scan refuse 8c41f7d2 --reason "no case is open"'])
@connected
@click.argument("scan_id", metavar="ID", shell_complete=completing.scans)
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@_BY
@click.option("--yes", is_flag=True, help="Do not ask.")
def refuse(session: Session, *, scan_id: str, reason: str, authoriser: str, yes: bool) -> ExitCode:
    """Refuse to authorise a scan: it is stopped, and what it found is erased.

    Confirmed sightings go too; what another scan has found as well stays. What became of it is
    printed, store by store.
    """
    full = full_scan_id(session, scan_id)
    confirm(f"Refuse scan {full}, and erase what it found?", yes=yes)
    request = scan_service_pb2.RefuseScanRequest(
        scan_id=full, reason=reason, authoriser=authoriser or operator_name()
    )
    try:
        refused = _stub(session).RefuseScan(request).scan
    except CallError as error:
        if error.status in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):  # it may have taken effect
            error.advice = f"`homeward scan show {full}` tells whether it is refused"
        raise
    certified = _certificate(session, full)
    if session.view.json:
        session.view.document({"scan": refused, "certificate": certified})
    else:
        session.view.say(f"Scan {full} is {authorisation.phrase(refused)}.")
    return _tell_certificate(session, certified)


@scan.command(
    "certificate",
    examples=[
        "homeward scan certificate 8c41f7d2",
        "homeward scan certificate 8c41f7d2 --page erased.html",
    ],
)
@connected
@click.argument("scan_id", metavar="ID", shell_complete=completing.scans)
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file too, as a page to read, print or hand on.",
)
def certificate(session: Session, *, scan_id: str, page: Path | None) -> ExitCode:
    """Show what became of what a refused scan had found, as things are now."""
    certified = _certificate(session, full_scan_id(session, scan_id))
    if session.view.json:
        session.view.document({"certificate": certified})
    if page:
        page.write_text(certificate_page(certified), encoding="utf-8")
    return _tell_certificate(session, certified)


@scan.command("record", examples=["homeward scan record 8c41f7d2 -o scan.json"])
@connected
@click.argument("scan_id", metavar="ID", shell_complete=completing.scans)
@click.option(
    "-o",
    "file",
    type=OutputFile(),
    required=True,
    metavar="FILE",
    help="Write the record into FILE, and beside it a page to print, whose name ends with .html.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def use_record(session: Session, *, scan_id: str, file: Path, force: bool) -> None:
    """Write the signed use record of a scan, for the file of a case.

    What it searched, for whom, why, and who authorised it; digests of photographs and recordings;
    coverage; what was found and who decided on that; what was given out, and where the audit trail
    says so. `homeward record verify` tells whether such a file was changed.
    """
    from homeward.cli.use_record_page import record_page  # noqa: PLC0415 - slow to import
    from homeward.core.use_record import (  # noqa: PLC0415 - as above
        UseRecordError,
        file_of,
        verify_file,
    )

    page = file.with_suffix(".html")
    if page == file:
        raise click.UsageError("-o names the record; its page gets the name with .html")
    for path in (file, page):
        refuse_existing(path, force=force)
    request = scan_service_pb2.GetUseRecordRequest(scan_id=full_scan_id(session, scan_id))
    answer = _stub(session).GetUseRecord(request)
    try:
        content = file_of(answer.record, answer.note, answer.verifier_key)
        verified = verify_file(content, None)
    except UseRecordError as error:
        raise CliError(f"the record that came {error}", exit_code=ExitCode.INTERNAL) from error
    write_new(file, content, force=force)
    write_new(page, record_page(verified).encode(), force=force)
    if session.view.json:
        session.view.document({"sha256": verified.sha256, "verifierKey": verified.verifier_key})
    session.view.say(f"Written: {file}, {page}. Note the key, to verify it later:")
    session.view.say(verified.verifier_key)


def _certificate(session: Session, scan_id: str) -> subject_pb2.ErasureCertificate:
    stub = RetentionServiceStub(session.connections.channel("matching"))
    request = retention_service_pb2.GetScanErasureCertificateRequest(scan_id=scan_id)
    return stub.GetScanErasureCertificate(request).certificate


def _tell_certificate(session: Session, certified: subject_pb2.ErasureCertificate) -> ExitCode:
    again = f"homeward scan refuse {certified.scan_id} --reason TEXT"
    return tell_certificate(session, certified, now=again)


def _cancelled(session: Session, scan_id: str) -> scan_pb2.Scan:
    """Cancel a scan; return it, as it was before too if it was cancelled already."""
    stub = _stub(session)
    try:
        return stub.CancelScan(scan_service_pb2.CancelScanRequest(scan_id=scan_id)).scan
    except CallError as error:
        if error.reason == "SCAN_ENDED" and error.metadata.get("state") == "CANCELLED":
            return stub.GetScan(scan_service_pb2.GetScanRequest(scan_id=scan_id)).scan
        if error.status in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):  # it may have taken effect
            error.advice = f"`homeward scan show {scan_id}` tells whether it is cancelled"
        raise


def _stub(session: Session) -> ScanServiceStub:
    return ScanServiceStub(session.connections.channel("ingestion"))


def _list(session: Session, states: Iterable[scan_pb2.Scan.State.ValueType]) -> list[scan_pb2.Scan]:
    request = scan_service_pb2.ListScansRequest(states=states)
    return all_pages(_stub(session).ListScans, request, lambda page: page.scans)


def _subjects(session: Session, scan: scan_pb2.Scan) -> str:
    """Return whom a scan looks for, by name where that can be read."""
    wanted = scan.scope.subject_ids
    known = caveats.subjects(session) if wanted else {}
    named = ((matches.who(known.get(one)), one) for one in wanted)
    return ", ".join(f"{who} ({one})" if who else one for who, one in named)


def _state(scan: scan_pb2.Scan) -> str:
    return enum_word(scan_pb2.Scan.State.Name(scan.state), "STATE_")


def _share(scan: scan_pb2.Scan) -> str:
    total = times.seconds(scan.progress.total_duration)
    return f"{times.seconds(scan.progress.done_duration) / total:.0%}" if total else ""
