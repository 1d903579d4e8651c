"""Copying the trail to an archive: all of it, in order, the same bytes however often."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import REGISTRY

from homeward.cli.audit_archive import ArchiveCheck, verify_archive
from homeward.core.audit.archive import Part
from homeward.core.audit.checkpoints import Checkpoint
from homeward.core.audit.notes import SigningKey, VerifierKey
from homeward.core.audit.trail import Fault
from homeward.servicekit.audit import archive as module
from homeward.servicekit.audit.archive import SETTLES, InMemoryArchive, TrailArchiver
from homeward.servicekit.audit.reading import AuditTrail
from homeward.servicekit.audit.store import InMemoryAuditStore, Place
from homeward.servicekit.audit.writer import AuditEntry, AuditWriter
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import UnavailableError, unavailable

EVERY = timedelta(minutes=10)
KEEP = timedelta(days=6 * 365)
KEY = SigningKey("homeward-audit", Ed25519PrivateKey.generate())
ENTRY = AuditEntry(rpc="a.Service/Call", operation="CONSULTATION", outcome="OK")

Pass = Callable[[timedelta], None]


class KeySigner:
    """Signs with the key of these tests."""

    def sign(self, text: str) -> str:
        return KEY.sign(text)

    @property
    def verifier_key(self) -> str:
        return KEY.verifier.text()


async def always() -> bool:
    return True


def parts(archive: InMemoryArchive) -> list[Part]:
    return [part for name in sorted(archive.held) if (part := Part.of_events(name))]


class Trail:
    """A trail with its archive, and what is done with both."""

    def __init__(self, clock: Clock, pass_time: Pass, folder: Path) -> None:
        self.store = InMemoryAuditStore(clock)
        self.archive = InMemoryArchive()
        self.clock = clock
        self.pass_time = pass_time
        self.folder = folder
        self.writers = {
            service: AuditWriter(self.store, service=service, clock=clock)
            for service in ("matching", "scanner")
        }
        self.archiver = self.another()

    def another(self, **given: Any) -> TrailArchiver:
        """Return what copies the trail in another process."""
        options = {"signer": KeySigner(), "clock": self.clock, "every": EVERY, "keep": KEEP} | given
        return TrailArchiver(self.store, self.archive, **options)

    async def write(self, *services: str) -> None:
        for service in services:
            await self.writers[service].write(ENTRY)

    async def archived(self) -> list[Part]:
        """Have all that is there archived, and return the parts."""
        self.pass_time(EVERY + SETTLES)
        await self.archiver.run(always)
        return parts(self.archive)

    def fetched(self) -> Path:
        """Write the archive to a folder, as any S3 tool does."""
        for name, data in self.archive.held.items():
            (self.folder / name).write_bytes(data)
        return self.folder

    def verified(
        self, *, key: VerifierKey | None = KEY.verifier, kept: Checkpoint | None = None
    ) -> ArchiveCheck:
        return verify_archive(self.folder, key=key, kept={"kept": kept} if kept else {})


@pytest.fixture
def trail(clock: Clock, pass_time: Pass, tmp_path: Path) -> Trail:
    return Trail(clock, pass_time, tmp_path)


def faults() -> float:
    return REGISTRY.get_sample_value("homeward_audit_archive_faults_total") or 0.0


def archived_until() -> float:
    name = "homeward_audit_archived_timestamp_seconds"
    return REGISTRY.get_sample_value(name, {"bucket": "memory"}) or 0.0


async def test_all_events_are_archived_in_order_and_verified_without_a_server(trail: Trail) -> None:
    for _ in range(3):
        await trail.write("matching", "scanner", "matching")
        await trail.archived()

    found = parts(trail.archive)
    assert found == [Part(1, 3), Part(4, 6), Part(7, 9)]
    trail.fetched()
    verified = trail.verified()
    assert verified.check.problems == []
    assert (verified.check.count, verified.signed, verified.parts) == (9, 3, found)
    assert set(trail.archive.locked_until.values()) <= {
        trail.clock.now() + KEEP - wait * (EVERY + SETTLES) for wait in (1, 2, 3)
    }


async def test_a_part_is_written_when_its_time_is_over_and_not_before(trail: Trail) -> None:
    await trail.write("matching")
    trail.pass_time(EVERY)
    await trail.archiver.run(always)
    assert parts(trail.archive) == []
    assert archived_until() == (trail.clock.now() - EVERY).timestamp()

    trail.pass_time(SETTLES)
    await trail.archiver.run(always)

    assert parts(trail.archive) == [Part(1, 1)]
    assert archived_until() == trail.clock.now().timestamp()


@pytest.mark.parametrize(("limit", "value"), [("MOST_EVENTS", 4), ("MOST_BYTES", 1500)])
async def test_a_part_that_is_full_is_written_at_once(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(module, limit, value)
    monkeypatch.setattr(module, "READ_AT_ONCE", 3)
    await trail.write(*["matching"] * 9)
    trail.pass_time(EVERY + SETTLES)

    await trail.archiver.run(always)

    found = parts(trail.archive)
    assert len(found) == 3
    assert found[-1].last == 9
    trail.fetched()
    assert trail.verified().check.problems == []
    if limit == "MOST_BYTES":
        assert all(len(data) <= value for data in trail.archive.held.values())


async def test_as_many_events_as_fit_are_not_waited_for(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_EVENTS", 4)
    await trail.write(*["matching"] * 5)

    await trail.archiver.run(always)

    assert parts(trail.archive) == [Part(1, 4)]


class Broken(InMemoryArchive):
    """An archive whose writer is killed after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes

    async def put(self, name: str, data: bytes, **given: Any) -> None:
        if not self.left:
            raise unavailable("S3", "s", "it was killed")
        self.left -= 1
        await super().put(name, data, **given)


@pytest.mark.parametrize("writes", range(6))
async def test_whoever_goes_on_after_a_kill_writes_what_would_have_been_written(
    trail: Trail, writes: int
) -> None:
    for _ in range(3):
        await trail.write("matching", "scanner")
        trail.pass_time(EVERY)
    trail.pass_time(SETTLES)
    await trail.archiver.run(always)
    whole, trail.archive = trail.archive, Broken(writes)

    with pytest.raises(UnavailableError):
        await trail.another().run(always)
    trail.archive.left = 100
    trail.pass_time(timedelta(hours=1))
    await trail.another().run(always)

    assert trail.archive.held == whole.held
    assert len(whole.held) == 6


async def test_an_object_with_other_bytes_is_an_alarm_and_stays(trail: Trail) -> None:
    await trail.write("matching")
    await trail.archived()
    name = Part(1, 1).events_name
    trail.archive.held[name] = b"something else\n"
    await trail.write("matching")
    before, reached = faults(), archived_until()

    found = await trail.archived()

    assert found == [Part(1, 1)]
    assert trail.archive.held[name] == b"something else\n"
    assert faults() == before + 1
    assert archived_until() == reached


async def test_a_trail_that_is_shorter_than_its_archive_is_an_alarm(trail: Trail) -> None:
    await trail.write("matching", "matching")
    await trail.archived()
    trail.store = InMemoryAuditStore(trail.clock)
    before = faults()

    await trail.another().run(always)

    assert faults() == before + 1


async def test_a_trail_that_was_written_anew_is_an_alarm(trail: Trail) -> None:
    await trail.write("matching")
    found = await trail.archived()
    anew = Trail(trail.clock, trail.pass_time, trail.folder)
    await anew.write("scanner", "scanner")
    trail.store = anew.store
    trail.archiver = trail.another()
    before = faults()

    assert await trail.archived() == found
    assert faults() == before + 1


@pytest.mark.parametrize("gone", [3, 4])
async def test_positions_that_are_gone_are_an_alarm_and_keep_no_others(
    trail: Trail, gone: int
) -> None:
    await trail.write("matching", "matching")
    await trail.archived()
    await trail.write("matching", "scanner", "matching")
    trail.store._events = [one for one in trail.store._events if one[1].position != gone]
    before = faults()

    await trail.archived()

    assert faults() == before + 1
    assert parts(trail.archive)[-1].last == 5
    trail.fetched()
    assert trail.verified().check.problems


async def test_an_archive_begins_with_what_the_trail_still_has(trail: Trail) -> None:
    await trail.write("matching", "matching", "matching")
    trail.store._events = trail.store._events[1:]
    before = faults()

    assert await trail.archived() == [Part(2, 3)]
    assert faults() == before
    trail.fetched()
    assert trail.verified().check.problems == []


async def test_a_part_that_is_too_old_to_be_in_the_trail_is_not_compared(trail: Trail) -> None:
    await trail.write("matching", "matching")
    await trail.archived()
    await trail.write("matching")
    trail.store._events = trail.store._events[1:]
    before = faults()

    assert await trail.archived() == [Part(1, 2), Part(3, 3)]
    assert faults() == before


async def test_a_checkpoint_that_a_key_of_before_has_signed_stays(trail: Trail) -> None:
    await trail.write("matching")
    await trail.archived()
    held = dict(trail.archive.held)
    trail.archive.held[Part(1, 1).checkpoint_name] = b"by another key"
    trail.archiver = trail.another()
    before = faults()

    await trail.archived()

    assert held.keys() == trail.archive.held.keys()
    assert faults() == before


async def test_what_is_no_event_is_kept_as_it_is_and_found(trail: Trail) -> None:
    await trail.store.append(b"\xffplanted\n", Place("matching-9"), after=0)
    await trail.write("matching")

    assert await trail.archived() == [Part(1, 2)]
    first = trail.archive.held[Part(1, 2).events_name].split(b"\n")[0]
    assert json.loads(first) == {"position": 1, "unreadable": "/3BsYW50ZWQK"}
    trail.fetched()
    (problem,) = trail.verified().check.problems
    assert problem.fault is Fault.CHANGED


async def test_it_stops_when_another_replica_has_the_lease(trail: Trail) -> None:
    await trail.write("matching")
    trail.pass_time(EVERY + SETTLES)

    async def never() -> bool:
        return False

    await trail.archiver.run(never)

    assert parts(trail.archive) == []


async def test_without_a_key_there_are_no_checkpoints(trail: Trail) -> None:
    trail.archiver = trail.another(signer=None)
    await trail.write("matching")
    await trail.archived()

    assert list(trail.archive.held) == [Part(1, 1).events_name]


async def three_parts(trail: Trail) -> list[Part]:
    for _ in range(3):
        await trail.write("matching", "matching", "scanner")
        await trail.archived()
    trail.fetched()
    return parts(trail.archive)


def found_faults(trail: Trail, **given: Any) -> set[Fault]:
    return {problem.fault for problem in trail.verified(**given).check.problems}


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("note_too", [False, True])
async def test_a_missing_object_is_found(trail: Trail, which: int, *, note_too: bool) -> None:
    part = (await three_parts(trail))[which]
    note, _ = await AuditTrail(trail.store, signer=KeySigner(), clock=trail.clock).checkpoint()
    kept = Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
    (trail.folder / part.events_name).unlink()
    if note_too:
        (trail.folder / part.checkpoint_name).unlink()

    found = found_faults(trail, kept=kept)

    # Of the first ones nobody but a checkpoint beside them knows that there were any: an archive
    # loses those whose time is over. Of the last ones a checkpoint that was kept does.
    assert found == (set() if which == 0 and note_too else found)
    assert bool(found) is not (which == 0 and note_too)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("cut", [1, 200, -1])
async def test_a_cut_object_is_found(trail: Trail, which: int, cut: int) -> None:
    part = (await three_parts(trail))[which]
    file = trail.folder / part.events_name
    data = file.read_bytes()
    keep = data.rfind(b"\n", 0, -1) + 1 if cut == -1 else len(data) - cut
    file.write_bytes(data[:keep])

    assert found_faults(trail, key=None)
    assert found_faults(trail)


async def test_a_changed_checkpoint_and_another_key_are_found(trail: Trail) -> None:
    part, other, _ = await three_parts(trail)
    note = trail.folder / part.checkpoint_name
    original = note.read_text()
    note.write_text(original.replace("matching-1 1", "matching-1 2"))
    assert found_faults(trail) == {Fault.CHANGED}
    note.write_text((trail.folder / other.checkpoint_name).read_text())
    assert found_faults(trail) == {Fault.FORKED}
    note.write_text(original)
    stranger = SigningKey("homeward-audit", Ed25519PrivateKey.generate()).verifier
    assert found_faults(trail, key=stranger) == {Fault.CHANGED}
    assert found_faults(trail) == set()
    assert trail.verified(key=None).unverified == 3


async def test_objects_that_two_replicas_wrote_at_once_hold(trail: Trail) -> None:
    await trail.write("matching", "matching")
    await trail.archived()
    whole = trail.archive.held[Part(1, 2).events_name]
    await trail.write("matching")
    (trail.folder / Part(1, 2).events_name).write_bytes(whole)
    trail.archive.held.clear()
    trail.archiver = trail.another(every=timedelta(days=1))
    trail.pass_time(timedelta(days=1))
    assert await trail.archived() == [Part(1, 3)]
    trail.fetched()

    assert found_faults(trail) == set()
    assert trail.verified().check.count == 3


def test_an_empty_folder_is_no_archive(trail: Trail) -> None:
    assert found_faults(trail) == {Fault.MISSING}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        (f"{1:020}-{3:020}.jsonl", Part(1, 3)),
        (f"{3:020}-{3:020}.jsonl", Part(3, 3)),
        (f"{3:020}-{1:020}.jsonl", None),
        (f"{0:020}-{1:020}.jsonl", None),
        (f"{1:020}-{3:020}.note", None),
        ("1-3.jsonl", None),
        (f"x{1:020}-{3:020}.jsonl", None),
    ],
)
def test_a_name_tells_what_is_in_an_object(name: str, part: Part | None) -> None:
    assert Part.of_events(name) == part
