"""Tampering with an exported audit trail in every way that we know of: does any pass?

    python bench/audit_tampering.py [10000]

Prints how many of so many random tamperings `homeward audit verify` finds, by their kinds. The
tests try some of them.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from homeward.cli.audit_trail import last_line, verify_lines
from homeward.core.audit.checkpoints import Checkpoint, Span
from homeward.core.audit.events import FIRST_PREVIOUS, AuditEvent
from homeward.core.audit.notes import SigningKey, VerifierKey
from homeward.core.audit.trail import TrailCheck

KEY = SigningKey("homeward-audit", Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER_KEY = SigningKey("homeward-audit", Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
NOW = "2026-03-04T12:00:00.000000Z"


def chain(
    writer: str, count: int, *, actor: str = "a.reviewer", begin: int = 1
) -> list[AuditEvent]:
    """Return the events of a writer."""
    events: list[AuditEvent] = []
    previous = FIRST_PREVIOUS if begin == 1 else "e" * 64
    for sequence in range(begin, begin + count):
        event = AuditEvent(
            writer=writer,
            sequence=sequence,
            previous_digest=previous,
            event_time=NOW,
            service=writer.partition("-")[0],
            rpc="homeward.api.matching.v1.SubjectService/GetSubject",
            operation="CONSULTATION",
            actor=actor,
            resources=(f"subject/{sequence:08d}-0000-4000-8000-000000000000",),
            outcome="OK",
        )
        events.append(event)
        previous = event.digest
    return events


def checkpoint(events: list[AuditEvent]) -> Checkpoint:
    """Return where the chains of some events begin and end."""
    spans: dict[str, Span] = {}
    for event in events:
        held = spans.get(event.writer) or Span(event.sequence, event.previous_digest, 0, "")
        spans[event.writer] = replace(held, last=event.sequence, digest=event.digest)
    return Checkpoint(NOW, spans)


def exported(events: list[AuditEvent], key: SigningKey = KEY) -> list[bytes]:
    """Return the lines of an export of some events."""
    note = key.sign(checkpoint(events).text())
    return [*(one.line() for one in events), last_line(note, key.verifier.text())]


TRAIL = [*chain("ingestion-1", 4), *chain("matching-1", 6), *chain("matching-2", 2)]
EXPORT = exported(TRAIL)


def verify(lines: list[bytes], *, key: VerifierKey | None = KEY.verifier) -> TrailCheck:
    """Verify the lines of an export."""
    return verify_lines(lines, key=key, kept={})[0]


def rewritten(events: list[AuditEvent], index: int) -> list[AuditEvent]:
    """Change an event, and make all that follow it in its chain follow from that."""
    changed = list(events)
    changed[index] = replace(changed[index], actor="nobody")
    for number in range(index + 1, len(changed)):
        if changed[number].writer == changed[index].writer:
            changed[number] = replace(changed[number], previous_digest=changed[number - 1].digest)
    return changed


def change_a_byte(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Change any byte."""
    content = bytearray(b"".join(lines))
    place = chance.randrange(len(content))
    content[place] = chance.choice([byte for byte in range(256) if byte != content[place]])
    return bytes(content).splitlines(keepends=True)


def drop_a_line(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Leave a line out."""
    place = chance.randrange(len(lines))
    return lines[:place] + lines[place + 1 :]


def repeat_a_line(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Have a line twice."""
    place = chance.randrange(len(lines))
    return [*lines[:place], lines[place], *lines[place:]]


def swap_lines(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Have two lines change places."""
    one, other = sorted(chance.sample(range(len(lines)), 2))
    changed = list(lines)
    changed[one], changed[other] = changed[other], changed[one]
    return changed


def insert_an_event(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Add an event that was never there."""
    place = chance.randrange(len(lines))
    after = TRAIL[min(place, len(TRAIL) - 1)]
    made = replace(after, actor="nobody", sequence=after.sequence + chance.choice([0, 1]))
    return [*lines[:place], made.line(), *lines[place:]]


def cut_off(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """End the file anywhere."""
    content = b"".join(lines)
    return content[: chance.randrange(len(content))].splitlines(keepends=True)


def drop_a_stretch_before_the_end(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Leave some lines in a row out."""
    one, other = sorted(chance.sample(range(len(lines)), 2))
    return lines[:one] + lines[other:]


def change_a_field(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Change an event and state its new digest, as somebody who knows the format does."""
    place = chance.randrange(len(TRAIL))
    field = chance.choice(["actor", "purpose", "case_reference", "rpc", "outcome"])
    changed = replace(TRAIL[place], **{field: f"another {chance.random()}"})
    return [*lines[:place], changed.line(), *lines[place + 1 :]]


def write_the_rest_anew(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Change an event and all that follow, but for the checkpoint, whose key is elsewhere."""
    changed = rewritten(TRAIL, chance.randrange(len(TRAIL)))
    return [*(one.line() for one in changed), lines[-1]]


def sign_with_another_key(_: list[bytes], chance: random.Random) -> list[bytes]:
    """Write a trail anew, and sign it with a key of one's own."""
    return exported(rewritten(TRAIL, chance.randrange(len(TRAIL))), OTHER_KEY)


KINDS: list[Callable[[list[bytes], random.Random], list[bytes]]] = [
    change_a_byte,
    drop_a_line,
    repeat_a_line,
    swap_lines,
    insert_an_event,
    cut_off,
    drop_a_stretch_before_the_end,
    change_a_field,
    write_the_rest_anew,
    sign_with_another_key,
]


def passed(tamper: Callable[[list[bytes], random.Random], list[bytes]], count: int) -> int:
    """Return how many of some tamperings of a kind are not found."""
    chance = random.Random(tamper.__name__)
    return sum(verify(tamper(EXPORT, chance)).intact for _ in range(count))


def main() -> None:
    """Try each kind as often as the others."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    each = -(-count // len(KINDS))
    for tamper in KINDS:
        print(f"{tamper.__name__:30} {each - passed(tamper, each)} of {each} found")


if __name__ == "__main__":
    main()
