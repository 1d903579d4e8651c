"""Verifying files of a trail: what holds, and that no tampering passes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from homeward.cli.audit_trail import last_line, verify_lines
from homeward.core.audit.checkpoints import Checkpoint, Span
from homeward.core.audit.events import FIRST_PREVIOUS, AuditEvent
from homeward.core.audit.notes import SigningKey, VerifierKey
from homeward.core.audit.trail import Fault, TrailCheck

KEY = SigningKey("homeward-audit", Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER_KEY = SigningKey("homeward-audit", Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
NOW = "2026-03-04T12:00:00.000000Z"
TAMPERINGS = 10_000


def chain(
    writer: str, count: int, *, actor: str = "a.reviewer", begin: int = 1
) -> list[AuditEvent]:
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
    spans: dict[str, Span] = {}
    for event in events:
        held = spans.get(event.writer) or Span(event.sequence, event.previous_digest, 0, "")
        spans[event.writer] = replace(held, last=event.sequence, digest=event.digest)
    return Checkpoint(NOW, spans)


def exported(events: list[AuditEvent], key: SigningKey = KEY) -> list[bytes]:
    note = key.sign(checkpoint(events).text())
    return [*(one.line() for one in events), last_line(note, key.verifier.text())]


TRAIL = [*chain("ingestion-1", 4), *chain("matching-1", 6), *chain("matching-2", 2)]
EXPORT = exported(TRAIL)


def verify(lines: list[bytes], *, key: VerifierKey | None = KEY.verifier) -> TrailCheck:
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
    content = bytearray(b"".join(lines))
    place = chance.randrange(len(content))
    content[place] = chance.choice([byte for byte in range(256) if byte != content[place]])
    return bytes(content).splitlines(keepends=True)


def drop_a_line(lines: list[bytes], chance: random.Random) -> list[bytes]:
    place = chance.randrange(len(lines))
    return lines[:place] + lines[place + 1 :]


def repeat_a_line(lines: list[bytes], chance: random.Random) -> list[bytes]:
    place = chance.randrange(len(lines))
    return [*lines[:place], lines[place], *lines[place:]]


def swap_lines(lines: list[bytes], chance: random.Random) -> list[bytes]:
    one, other = sorted(chance.sample(range(len(lines)), 2))
    changed = list(lines)
    changed[one], changed[other] = changed[other], changed[one]
    return changed


def insert_an_event(lines: list[bytes], chance: random.Random) -> list[bytes]:
    place = chance.randrange(len(lines))
    after = TRAIL[min(place, len(TRAIL) - 1)]
    made = replace(after, actor="nobody", sequence=after.sequence + chance.choice([0, 1]))
    return [*lines[:place], made.line(), *lines[place:]]


def cut_off(lines: list[bytes], chance: random.Random) -> list[bytes]:
    content = b"".join(lines)
    return content[: chance.randrange(len(content))].splitlines(keepends=True)


def drop_a_stretch_before_the_end(lines: list[bytes], chance: random.Random) -> list[bytes]:
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


def test_a_trail_as_it_was_exported_holds() -> None:
    check = verify(EXPORT)

    assert check.problems == []
    assert check.count == len(TRAIL)


@pytest.mark.parametrize("tamper", KINDS, ids=lambda kind: kind.__name__)
def test_no_tampering_passes(tamper: Callable[[list[bytes], random.Random], list[bytes]]) -> None:
    chance = random.Random(tamper.__name__)
    tampered = [tamper(EXPORT, chance) for _ in range(TAMPERINGS // len(KINDS))]

    assert [lines for lines in tampered if verify(lines).intact] == []


def test_an_empty_trail_has_its_checkpoint() -> None:
    assert verify(exported([])).intact


def test_a_trail_whose_first_events_are_too_old_to_be_kept_holds() -> None:
    assert verify(exported(chain("matching-1", 3, begin=5))).intact


def kept(lines: list[bytes], checkpoint: Checkpoint) -> list[Fault]:
    found, _ = verify_lines(lines, key=KEY.verifier, kept={"yesterday": checkpoint})
    return [problem.fault for problem in found.problems]


def test_a_trail_that_went_on_agrees_with_the_checkpoint_of_before() -> None:
    before = checkpoint(chain("matching-1", 3))

    assert kept(exported(chain("matching-1", 8)), before) == []


def test_a_trail_that_was_cut_short_and_signed_anew_is_found_by_a_kept_checkpoint() -> None:
    before = checkpoint(chain("matching-1", 3))

    assert kept(exported(chain("matching-1", 2)), before) == [Fault.TRUNCATED]


def test_a_writer_that_is_gone_is_found_by_a_kept_checkpoint() -> None:
    before = checkpoint(TRAIL)

    assert kept(exported(chain("matching-1", 6)), before) == [Fault.TRUNCATED] * 2


def test_a_trail_that_was_written_anew_is_found_by_a_kept_checkpoint() -> None:
    before = checkpoint(chain("matching-1", 3))

    assert kept(exported(chain("matching-1", 8, actor="other")), before) == [Fault.FORKED]


def test_a_fork_is_found_where_the_events_of_before_are_not_kept_any_more() -> None:
    before = checkpoint(chain("matching-1", 4))

    assert kept(exported(chain("matching-1", 3, begin=5)), before) == [Fault.FORKED]


def test_without_a_noted_key_the_file_is_compared_with_the_key_that_it_names() -> None:
    check, named = verify_lines(exported(TRAIL, OTHER_KEY), key=None, kept={})

    assert check.intact
    assert named == OTHER_KEY.verifier.text()


def test_an_event_of_another_format_is_refused() -> None:
    plain = json.loads(EXPORT[0]) | {"format": 2}
    line = json.dumps(plain, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    (problem, *_) = verify([line, *EXPORT[1:]]).problems
    assert problem.fault is Fault.CHANGED
    assert "format" in problem.description
