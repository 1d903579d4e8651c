"""The audit trail on this machine: events from a server, files of a trail, and their verification.

A file has a line for each event, each writer's in the order of its chain, and a last line with the
signed checkpoint of where the chains end (docs/audit.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any

from homeward.api.common.v1 import audit_pb2, audit_service_pb2, options_pb2
from homeward.core.audit.checkpoints import Checkpoint, CheckpointError
from homeward.core.audit.events import AuditEvent, EventError, canonical, format_time, read_line
from homeward.core.audit.notes import NoteError, VerifierKey, open_note
from homeward.core.audit.trail import TrailCheck

_PREFIX = "OPERATION_"
_PAGE_SIZE = 1000
_CHECKPOINT, _KEY = "checkpoint", "verifier_key"


def event_of(message: audit_pb2.AuditEvent) -> AuditEvent:
    """Return the event that a server tells of, whose digest is computed here."""
    return AuditEvent(
        writer=message.writer,
        sequence=message.sequence,
        previous_digest=message.previous_digest,
        event_time=format_time(message.event_time.ToDatetime(UTC)),
        service=message.service,
        rpc=message.rpc,
        operation=options_pb2.Operation.Name(message.operation).removeprefix(_PREFIX),
        actor=message.actor,
        purpose=message.purpose,
        case_reference=message.case_reference,
        resources=tuple(message.resources),
        omitted_resource_count=message.omitted_resource_count,
        outcome=message.outcome,
        count=message.count,
        format=message.format,
    )


def listed(
    stub: Any,  # noqa: ANN401 - an AuditServiceStub, whose calls are intercepted
    request: audit_service_pb2.ListAuditEventsRequest,
) -> Iterator[audit_pb2.AuditEvent]:
    """Yield the events of a list, page after page."""
    request.page_size = _PAGE_SIZE
    while True:
        page = stub.ListAuditEvents(request)
        yield from page.events
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def events_until(
    stub: Any,  # noqa: ANN401 - an AuditServiceStub, whose calls are intercepted
    checkpoint: Checkpoint,
) -> Iterator[audit_pb2.AuditEvent]:
    """Yield the events that a checkpoint covers, each writer's in the order of its chain."""
    for writer in sorted(checkpoint.writers):
        last = checkpoint.writers[writer].last
        request = audit_service_pb2.ListAuditEventsRequest(writer=writer)
        for event in listed(stub, request):
            if event.sequence <= last:
                yield event
            if event.sequence >= last:
                break


def add_told(check: TrailCheck, message: audit_pb2.AuditEvent) -> None:
    """Take an event that a server tells of, with the digest that it states."""
    event = event_of(message)
    if event.digest != message.chain_digest:
        check.damaged(
            "does not have the digest that the server states",
            writer=message.writer,
            sequence=message.sequence,
        )
    else:
        check.add(event)


def last_line(note: str, key: str) -> bytes:
    """Return the line with which a file ends."""
    return canonical({_CHECKPOINT: note, _KEY: key}) + b"\n"


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint that a key has signed.

    Raises:
        NoteError: It is none, or was not signed by that key.
    """
    try:
        return Checkpoint.parse(open_note(note, key))
    except CheckpointError as error:
        raise NoteError(f"is no checkpoint: it {error}") from error


def verify_lines(
    lines: Iterable[bytes], *, key: VerifierKey | None, kept: Mapping[str, Checkpoint]
) -> tuple[TrailCheck, str]:
    """Verify a file of a trail.

    Args:
        lines: Its lines, with their ends.
        key: Whose checkpoints are believed; None believes the key that the file itself names.
        kept: Checkpoints that were kept, by what they are called.

    Returns:
        What was found, and the key that the file names; "" if it names none.
    """
    check = TrailCheck(kept)
    writer = ""
    held: bytes | None = None
    for number, line in enumerate(lines, 1):
        if held is not None:  # the one before this was not the last
            writer = _take(check, held, number - 1, writer)
        held = line
    named, end = _end(check, held or b"", key)
    check.finish(end)
    return check, named


def _take(check: TrailCheck, line: bytes, number: int, writer: str) -> str:
    try:
        event = read_line(line)
    except EventError as error:
        check.damaged(f"line {number} {error}")
        return writer
    if event.writer < writer:
        check.damaged(f"line {number} is out of order", writer=event.writer)
    check.add(event)
    return event.writer


def _end(check: TrailCheck, line: bytes, key: VerifierKey | None) -> tuple[str, Checkpoint | None]:
    try:
        plain = json.loads(line)
        note, named = str(plain[_CHECKPOINT]), str(plain[_KEY])
    except (ValueError, KeyError, TypeError, RecursionError):
        note = named = ""
    if last_line(note, named) != line:
        check.damaged("the last line is no checkpoint: the file was cut off, or changed")
        return "", None
    try:
        told = VerifierKey.parse(named)
        if key is not None and key != told:
            check.damaged("the checkpoint at the end is signed with another key than was given")
        return named, open_checkpoint(note, key or told)
    except NoteError as error:
        check.damaged(f"the checkpoint at the end {error}")
        return named, None
