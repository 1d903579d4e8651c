"""A folder with the archive of an audit trail, fetched from its bucket, and its verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from homeward.cli.audit_trail import open_checkpoint
from homeward.core.audit.archive import FOLDER, MOST_LINE_BYTES, Part, part_checkpoint
from homeward.core.audit.checkpoints import Checkpoint
from homeward.core.audit.events import AuditEvent, EventError, read_line
from homeward.core.audit.notes import NoteError, VerifierKey
from homeward.core.audit.trail import Fault, TrailCheck

MOST_NOTE_BYTES = 1024 * 1024


@dataclass(slots=True)
class ArchiveCheck:
    """What was found of an archive.

    Attributes:
        check: Of its events.
        parts: Of the objects with events, in order.
        signed: How many of them have a checkpoint that was verified.
        unverified: How many have one for which no key was given.
    """

    check: TrailCheck
    parts: list[Part] = field(default_factory=list)
    signed: int = 0
    unverified: int = 0


def verify_archive(
    folder: Path, *, key: VerifierKey | None, kept: Mapping[str, Checkpoint]
) -> ArchiveCheck:
    """Verify the objects of an archive; other files are passed over.

    Args:
        folder: Where they are, or where the folder `trail` with them is.
        key: Whose checkpoints are believed; None verifies none of those beside the objects.
        kept: Checkpoints that were kept elsewhere, by what they are called.
    """
    within = folder / FOLDER
    folder = within if within.is_dir() else folder
    names = sorted(path.name for path in folder.iterdir())
    found = ArchiveCheck(TrailCheck(kept))
    found.parts = sorted(part for name in names if (part := Part.of_events(name)))
    check = found.check
    present = set(found.parts)
    for name in names:
        part = Part.of_checkpoint(name)
        if part is not None and part not in present:
            check.tell(
                Fault.MISSING, f"{part.events_name} is missing: its checkpoint {name} is not"
            )
    if not found.parts:
        check.tell(Fault.MISSING, f"{folder} has no object of an archive")
    reached = 0
    before: dict[tuple[str, int], str] = {}
    for part in found.parts:
        if reached and part.first > reached + 1:
            gap = f"the objects with the positions {reached + 1} to {part.first - 1} are missing"
            check.tell(Fault.MISSING, f"{gap}, before {part.events_name}")
        repeats = before if part.first <= reached else {}
        before = _verify_part(found, folder, part, repeats=repeats, key=key)
        reached = max(reached, part.last)
    check.finish()
    return found


def _verify_part(
    found: ArchiveCheck,
    folder: Path,
    part: Part,
    *,
    repeats: Mapping[tuple[str, int], str],
    key: VerifierKey | None,
) -> dict[tuple[str, int], str]:
    """Verify one object and its checkpoint.

    Args:
        found: Takes what is found.
        folder: Where it is.
        part: Which.
        repeats: Events that the object before has, where both have the same positions: two replicas
            may have written at once.
        key: Whose checkpoint is believed.

    Returns:
        The digests of its events, by writer and sequence.
    """
    check = found.check
    events: list[AuditEvent] = []
    count = 0
    with (folder / part.events_name).open("rb") as lines:
        while line := lines.readline(MOST_LINE_BYTES):
            count += 1
            try:
                event = read_line(line)
            except EventError as error:
                check.damaged(f"{part.events_name}, line {count} {error}")
                continue
            events.append(event)
            if repeats.get((event.writer, event.sequence)) != event.digest:
                check.add(event)
    expected = part.last - part.first + 1
    if count != expected:
        fault = Fault.TRUNCATED if count < expected else Fault.UNEXPECTED
        check.tell(fault, f"{part.events_name} has {count} lines; its name says {expected}")
    _verify_checkpoint(found, folder / part.checkpoint_name, events, key)
    return {(event.writer, event.sequence): event.digest for event in events}


def _verify_checkpoint(
    found: ArchiveCheck, file: Path, events: list[AuditEvent], key: VerifierKey | None
) -> None:
    if not file.is_file():
        return
    if key is None:
        found.unverified += 1
        return
    with file.open("rb") as opened:
        note = opened.read(MOST_NOTE_BYTES).decode("utf-8", "replace")
    try:
        signed = open_checkpoint(note, key)
    except NoteError as error:
        found.check.tell(Fault.CHANGED, f"{file.name} {error}")
        return
    found.signed += 1
    if signed != part_checkpoint(events, signed.time):
        text = "says something else of its object than is in it"
        found.check.tell(Fault.FORKED, f"{file.name} {text}")
