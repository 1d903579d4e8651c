"""`homeward audit`: who did what, and whether that record was changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

import click
from google.protobuf.timestamp_pb2 import Timestamp

from homeward.api.common.v1 import audit_pb2, audit_service_pb2, options_pb2, types_pb2
from homeward.api.common.v1.audit_service_pb2_grpc import AuditServiceStub
from homeward.cli import audit_trail, terminal, times
from homeward.cli.audit_archive import verify_archive
from homeward.cli.errors import CliError, ExitCode, tell
from homeward.cli.files import existing_file, refuse_existing
from homeward.cli.options import Group, Session, connected
from homeward.cli.render import enum_word
from homeward.cli.shared import OutputFile
from homeward.cli.terminal import clean
from homeward.core.audit.checkpoints import Checkpoint
from homeward.core.audit.notes import NoteError, VerifierKey
from homeward.core.audit.trail import TrailCheck

_PREFIX = "OPERATION_"
_OPERATIONS = [
    name.removeprefix(_PREFIX).lower()
    for name in options_pb2.Operation.DESCRIPTOR.values_by_name
    if name not in ("OPERATION_UNSPECIFIED", "OPERATION_NONE")
]
_COLUMNS = (
    "event_time",
    "writer",
    "sequence",
    "actor",
    "operation",
    "rpc",
    "outcome",
    "count",
    "case_reference",
    "purpose",
    "resources",
)
_SHOWN_PROBLEMS = 20
_FORMULA = ("=", "+", "-", "@")


@click.group(cls=Group)
def audit() -> None:
    """Read who did what to whose data, and verify that the record of it was not changed.

    Reading it is itself recorded. docs/audit.md says what is in it, and how to verify it without
    Homeward.
    """


@audit.command(
    "list",
    examples=[
        "homeward audit list --case MP-26-0412",
        "homeward audit list --from 2026-11-01T00:00:00Z --csv",
    ],
)
@connected
@click.option("--case", "case_reference", default="", metavar="CASE", help="Only of this case.")
@click.option("--actor", default="", metavar="NAME", help="Only by this caller.")
@click.option("--resource", default="", metavar="ID", help="Only about this id, in full.")
@click.option(
    "--operation",
    "operations",
    multiple=True,
    type=click.Choice(_OPERATIONS),
    help="Only of this category of processing; may be given several times.",
)
@click.option("--from", "start", type=times.parse_from, metavar="TIME", help="Only from then.")
@click.option("--to", "end", type=times.parse_to, metavar="TIME", help="Only before then.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, for a spreadsheet.")
def list_events(
    session: Session,
    *,
    case_reference: str,
    actor: str,
    resource: str,
    operations: Sequence[str],
    start: datetime | None,
    end: datetime | None,
    limit: int | None,
    as_csv: bool,
) -> None:
    """List events, oldest first."""
    request = audit_service_pb2.ListAuditEventsRequest(
        case_reference=case_reference,
        actor=actor,
        resource=resource,
        operations=[options_pb2.Operation.Value(f"{_PREFIX}{one.upper()}") for one in operations],
    )
    if start or end:
        request.interval.CopyFrom(
            types_pb2.TimeInterval(start_time=_stamp(start), end_time=_stamp(end))
        )
    events = list(islice(audit_trail.listed(_stub(session), request), limit))
    if not events:
        terminal.tell_lines(_hints(case_reference, resource), err=True)
    if as_csv:
        terminal.tell_lines(_csv(events).splitlines())
    elif session.view.json:
        session.view.document({"events": events})
    elif events:
        session.view.table(
            ("time", "who", "what", "call", "outcome", "case", "about"),
            [_row(event) for event in events],
            optional=("case", "outcome"),
        )
    else:
        session.view.say("No events.")


def _hints(case_reference: str, resource: str) -> list[str]:
    """Return why there may be no events."""
    hints = []
    if case_reference:
        hints.append("An event names a case only if the caller stated it (HOMEWARD_CASE).")
    if resource:
        hints.append("--resource takes a whole id; the beginning of one finds nothing.")
    return hints


@audit.command("export", examples=["homeward audit export -o trail.jsonl"])
@connected
@click.option(
    "-o", "file", required=True, type=OutputFile(), metavar="FILE", help="The file to write."
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def export(session: Session, *, file: Path, force: bool) -> None:
    """Write the whole trail to a file, for `homeward audit verify` and for others' verifiers.

    The file ends with a signed checkpoint.
    """
    refuse_existing(file, force=force)
    stub = _stub(session)
    answer = stub.GetAuditCheckpoint(audit_service_pb2.GetAuditCheckpointRequest())
    checkpoint = _opened(answer.note, _key(answer.verifier_key), "the checkpoint")
    count = 0
    with file.open("wb") as out:
        for event in audit_trail.events_until(stub, checkpoint):
            out.write(audit_trail.event_of(event).line())
            count += 1
        out.write(audit_trail.last_line(answer.note, answer.verifier_key))
    session.view.say(f"{file}: {count} events, up to {checkpoint.time}")
    session.view.say(f"Verify it with `homeward audit verify {file} --key {answer.verifier_key}`.")


@audit.command("checkpoint", examples=["homeward audit checkpoint > 2026-11-29.note"])
@connected
@click.option("--key", "show_key", is_flag=True, help="Show the key that verifies checkpoints.")
def checkpoint(session: Session, *, show_key: bool) -> None:
    """Show a signed note of where the trail ends now.

    Keep it where those who run Homeward cannot change it: `homeward audit verify --checkpoint`
    finds by it whether the trail was cut short or written anew since.
    """
    answer = _stub(session).GetAuditCheckpoint(audit_service_pb2.GetAuditCheckpointRequest())
    if session.view.json:
        session.view.document({"checkpoint": answer})
    else:
        terminal.tell_lines([answer.verifier_key] if show_key else answer.note.splitlines())


@audit.command(
    "verify",
    examples=[
        "homeward audit verify",
        "homeward audit verify trail.jsonl --key homeward-audit+… --checkpoint 2026-11-29.note",
        "homeward audit verify FOLDER --key homeward-audit+…",
    ],
)
@connected
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--key", "key_text", metavar="KEY", help="The key that you noted earlier.")
@click.option(
    "--checkpoint",
    "notes",
    multiple=True,
    metavar="NOTE",
    help="A checkpoint that was kept; may be given several times.",
)
def verify(
    session: Session, *, file: str | None, key_text: str | None, notes: Sequence[str]
) -> ExitCode:
    """Verify a file that `homeward audit export` wrote, without any server, or the trail as it is.

    FILE may be a folder with the objects of the archive, fetched from its bucket with any tool.

    Finds events that were changed, dropped, inserted or put in another order, and by the
    checkpoints whether the trail was cut short or written anew. Exit code 3 if it does not hold.
    """
    key = _key(key_text) if key_text else None
    if file is not None and Path(file).is_dir():
        return _verify_archive(session, Path(file), key, notes)
    if file is not None:
        with existing_file(file).open("rb") as lines:
            kept = _kept(notes, key or _key_of(file)) if notes else {}
            check, named = audit_trail.verify_lines(lines, key=key, kept=kept)
    else:
        stub = _stub(session)
        answer = stub.GetAuditCheckpoint(audit_service_pb2.GetAuditCheckpointRequest())
        named = answer.verifier_key
        trusted = key or _key(named)
        end = _opened(answer.note, trusted, "the server's checkpoint")
        check = TrailCheck(_kept(notes, trusted))
        for event in audit_trail.events_until(stub, end):
            audit_trail.add_told(check, event)
        check.finish(end)
    return _tell(session, check, named, noted=key is not None)


def _verify_archive(
    session: Session, folder: Path, key: VerifierKey | None, notes: Sequence[str]
) -> ExitCode:
    if notes and key is None:
        raise CliError(
            "--checkpoint needs --key: an archive names no key",
            advice="`homeward audit checkpoint --key` shows it",
        )
    found = verify_archive(folder, key=key, kept=_kept(notes, key) if key else {})
    if not session.view.json and found.parts:
        first, last = found.parts[0].first, max(part.last for part in found.parts)
        objects = "1 object" if len(found.parts) == 1 else f"{len(found.parts)} objects"
        session.view.say(
            f"{objects}, positions {first} to {last};"
            f" {found.signed} with a checkpoint that --key has signed."
        )
        if found.unverified:
            were = "checkpoint was" if found.unverified == 1 else "checkpoints were"
            session.view.say(f"{found.unverified} {were} not verified: give --key.")
    return _tell(session, found.check, "", noted=key is not None)


def _tell(session: Session, check: TrailCheck, named: str, *, noted: bool) -> ExitCode:
    problems = check.problems
    if session.view.json:
        document = {
            "intact": check.intact,
            "verifiedCount": check.count,
            "writers": {name: span.last for name, span in check.spans().items()},
            "problems": [
                {
                    "fault": problem.fault.value,
                    "writer": problem.writer,
                    "sequence": problem.sequence,
                    "description": problem.description,
                }
                for problem in problems
            ],
            "verifierKey": named,
        }
        session.view.document(document)
    elif check.intact:
        session.view.say(f"{check.count} events of {len(check.spans())} writers: the trail holds.")
    if named and not noted:
        session.view.say(
            f"The key is taken from what was verified; compare it with one that you noted: {named}"
        )
    for problem in problems[:_SHOWN_PROBLEMS]:
        where = f"{problem.writer} {problem.sequence}: " if problem.writer else ""
        tell(CliError(f"{problem.fault}: {where}{clean(problem.description)}"))
    if len(problems) > _SHOWN_PROBLEMS:
        tell(CliError(f"and {len(problems) - _SHOWN_PROBLEMS} more; --output json has them"))
    return ExitCode.OK if check.intact else ExitCode.OVERDUE


def _stub(session: Session) -> AuditServiceStub:
    return AuditServiceStub(session.connections.channel("matching"))


def _stamp(instant: datetime | None) -> Timestamp | None:
    if instant is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def _key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text)
    except NoteError as error:
        raise CliError(
            f"--key: {error}", advice="`homeward audit checkpoint --key` shows it"
        ) from error


def _key_of(file: str) -> VerifierKey:
    """Return the key that a file names at its end."""
    with existing_file(file).open("rb") as lines:
        _, named = audit_trail.verify_lines(lines, key=None, kept={})
    return _key(named)


def _kept(files: Sequence[str], key: VerifierKey) -> dict[str, Checkpoint]:
    found = {}
    for name in files:
        note = existing_file(name).read_bytes().decode("utf-8", "replace")
        found[name] = _opened(note, key, name)
    return found


def _opened(note: str, key: VerifierKey, what: str) -> Checkpoint:
    try:
        return audit_trail.open_checkpoint(note, key)
    except NoteError as error:
        raise CliError(
            f"{what} {error}", exit_code=ExitCode.OVERDUE, advice="has the key been changed?"
        ) from error


def _row(event: audit_pb2.AuditEvent) -> tuple[str, ...]:
    return (
        times.shown(event.event_time),
        event.actor or "unknown",
        enum_word(options_pb2.Operation.Name(event.operation), _PREFIX),
        event.rpc.rpartition(".")[2],
        event.outcome if event.count == 1 else f"{event.outcome} ({event.count} calls)",
        event.case_reference,
        " ".join(event.resources),
    )


def _csv(events: Sequence[audit_pb2.AuditEvent]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*_COLUMNS, "chain_digest"])
    for message in events:
        event = audit_trail.event_of(message)
        cells = [
            " ".join(event.resources) if name == "resources" else str(getattr(event, name))
            for name in _COLUMNS
        ]
        writer.writerow([_cell(cell) for cell in (*cells, message.chain_digest)])
    return out.getvalue()


def _cell(text: str) -> str:
    """Return text that a spreadsheet takes for text, and not for a formula."""
    cleaned = clean(text)
    return f"'{cleaned}" if cleaned.startswith(_FORMULA) else cleaned
