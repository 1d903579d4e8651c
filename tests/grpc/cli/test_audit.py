"""`homeward audit`, against the servicer of the trail."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from homeward.cli.__main__ import run
from homeward.core.audit.archive import Part
from homeward.servicekit.audit.reading import AuditTrail
from homeward.servicekit.audit.refusals import REFUSE_UNKNOWN
from homeward.servicekit.audit.servicer import AuditServicer
from homeward.servicekit.audit.signing import CheckpointSigner
from homeward.servicekit.audit.store import InMemoryAuditStore
from homeward.servicekit.audit.writer import AuditEntry, AuditWriter
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.server import GrpcServer

SUBJECT = "11111111-2222-4333-8444-555555555555"
GET = "homeward.api.matching.v1.SubjectService/GetSubject"

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes an event to a trail that a server serves, which prints nothing beside commands."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    key = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "audit.key").write_bytes(key)
    store, clock = InMemoryAuditStore(), SystemClock()
    signer = CheckpointSigner.read(tmp_path / "audit.key")
    trail = AuditTrail(store, signer=signer, clock=clock)
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(loop.run_forever)

        async def begin() -> GrpcServer:
            server = GrpcServer(
                [AuditServicer(trail).service()],
                listen="localhost:0",
                checks={},
                grace_seconds=0.1,
            )
            await server.start()
            return server

        server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
        monkeypatch.setenv("HOMEWARD_MATCHING_TARGET", f"localhost:{server.port}")
        writers = {
            service: AuditWriter(store, service=service, clock=clock)
            for service in ("ingestion", "matching")
        }

        def write(service: str = "matching", **given: object) -> None:
            entry = AuditEntry(
                **{"rpc": GET, "operation": "CONSULTATION", "outcome": "OK"} | given  # type: ignore[arg-type]
            )
            asyncio.run_coroutine_threadsafe(writers[service].write(entry), loop).result(10)

        yield write
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        serving.result(10)
    loop.close()
    structlog.reset_defaults()


def test_events_are_listed_by_case_with_who_and_what(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(actor="a.reviewer", case_reference="MP-1", resources=[f"subject/{SUBJECT}"])
    write(actor="somebody", case_reference="MP-2")

    assert run(["audit", "list", "--case", "MP-1", "--output", "json"]) == 0

    (event,) = json.loads(capsys.readouterr().out)["events"]
    assert (event["actor"], event["resources"]) == ("a.reviewer", [f"subject/{SUBJECT}"])


def test_an_empty_list_says_why_it_may_be_so(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(resources=[f"subject/{SUBJECT}"])

    assert run(["audit", "list", "--case", "MP-9", "--resource", SUBJECT[:8]]) == 0

    hints = capsys.readouterr().err
    assert "HOMEWARD_CASE" in hints
    assert "--resource takes a whole id" in hints


def test_refused_unknown_callers_are_listed_with_their_number(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(rpc=REFUSE_UNKNOWN, operation="UNSPECIFIED", outcome="UNAUTHENTICATED", count=37)

    assert run(["audit", "list"]) == 0

    assert "UNAUTHENTICATED (37 calls)" in " ".join(capsys.readouterr().out.split())


def test_a_spreadsheet_takes_nothing_in_a_list_for_a_formula(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(purpose="=HYPERLINK(1)", count=2)

    assert run(["audit", "list", "--csv"]) == 0

    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["purpose"], row["count"]) == ("'=HYPERLINK(1)", "2")


def test_an_export_is_verified_offline_and_by_a_checkpoint_that_was_kept(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(actor="a.reviewer")
    assert run(["audit", "checkpoint"]) == 0
    note, trail = tmp_path / "kept.note", tmp_path / "trail.jsonl"
    note.write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(["audit", "checkpoint", "--key"]) == 0
    key = capsys.readouterr().out.strip()
    write("ingestion")
    write()

    assert run(["audit", "verify", "--key", key, "--checkpoint", str(note)]) == 0
    assert run(["audit", "export", "-o", str(trail)]) == 0
    offline = ["audit", "verify", str(trail), "--key", key, "--checkpoint", str(note)]
    assert run(offline) == 0
    assert "3 events of 2 writers: the trail holds." in capsys.readouterr().out
    lines = trail.read_bytes()
    trail.write_bytes(lines.replace(b"a.reviewer", b"b.reviewer"))
    assert run(offline) == 3
    assert "changed: line 2 was changed: its digest is another" in capsys.readouterr().err


def test_a_folder_of_archived_objects_is_verified_offline(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        write()
    exported, folder = tmp_path / "trail.jsonl", tmp_path / "fetched"
    assert run(["audit", "checkpoint"]) == 0
    note = tmp_path / "kept.note"
    note.write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(["audit", "checkpoint", "--key"]) == 0
    key = capsys.readouterr().out.strip()
    assert run(["audit", "export", "-o", str(exported)]) == 0
    first, second, third, _ = exported.read_bytes().splitlines(keepends=True)
    (folder / "trail").mkdir(parents=True)
    for part, data in {Part(1, 2): first + second, Part(3, 3): third}.items():
        (folder / "trail" / part.events_name).write_bytes(data)
    whole = Part(3, 3)
    (folder / "trail" / whole.checkpoint_name).write_text("no note", encoding="utf-8")
    capsys.readouterr()

    assert run(["audit", "verify", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "2 objects, positions 1 to 3" in told
    assert "1 checkpoint was not verified: give --key." in told
    assert "3 events of 1 writers: the trail holds." in told
    kept = ["--key", key, "--checkpoint", str(note)]
    assert run(["audit", "verify", str(folder), *kept]) == 3
    assert "is no signed note" in capsys.readouterr().err
    (folder / "trail" / whole.checkpoint_name).unlink()
    assert run(["audit", "verify", str(folder), *kept]) == 0
    (folder / "trail" / whole.events_name).unlink()
    assert run(["audit", "verify", str(folder), *kept]) == 3
    assert "truncated: matching-1 2: ends after 2" in capsys.readouterr().err
    assert run(["audit", "verify", str(folder), "--checkpoint", str(note)]) == 4
