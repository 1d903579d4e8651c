"""`homeward scan record` and `homeward record verify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli_services import Homeward
from cli_values import SCAN
from homeward.cli.__main__ import run
from homeward.core.audit.events import canonical
from homeward.core.audit.notes import SigningKey
from homeward.core.use_record import note_text

RECORD = canonical(
    {
        "make_time": "2026-11-29T10:00:00.000000Z",
        "scan": {
            "scan_id": SCAN,
            "requester": "<b>ivy</b>",
            "coverage": {"faces": 3, "gaps": [{"footage_id": "gate-1", "reason": "cancelled"}]},
            "footage": [{"footage_id": "gate-1", "sha256": "ab"}],
        },
        "findings": [{"sighting_id": "s", "reviews": [{"reviewer": "R. Viewer"}]}],
    }
)


@pytest.fixture
def key(homeward: Homeward) -> SigningKey:
    made = SigningKey("homeward-audit", Ed25519PrivateKey.generate())
    homeward.scans.record = (RECORD, made.sign(note_text(RECORD)), made.verifier.text())
    return made


@pytest.fixture
def file(key: SigningKey, tmp_path: Path) -> Path:  # noqa: ARG001 - the service has to have it
    path = tmp_path / "scan.json"
    assert run(["scan", "record", SCAN[:8], "-o", str(path)]) == 0
    return path


def test_a_record_is_written_with_a_page_to_print(
    file: Path, key: SigningKey, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["scan", "record", SCAN, "-o", str(file), "--force"]) == 0
    page = file.with_suffix(".html").read_text()

    assert json.loads(file.read_text())["record"] == json.loads(RECORD)
    assert key.verifier.text() in capsys.readouterr().out
    for told in (SCAN, "&lt;b&gt;ivy&lt;/b&gt;", "R. Viewer", "gate-1", key.verifier.text()):
        assert told in page
    assert "<b>" not in page


def test_a_record_is_verified_without_any_service(
    file: Path, key: SigningKey, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in ("INGESTION", "MATCHING"):
        monkeypatch.setenv(f"HOMEWARD_{service}_TARGET", "localhost:1")
    capsys.readouterr()

    assert run(["record", "verify", str(file), "--key", key.verifier.text()]) == 0
    told = capsys.readouterr().out
    assert run(["record", "verify", str(file), "--output", "json"]) == 0

    assert told == f"The use record of scan {SCAN} is the one that was signed.\n"
    told_json = capsys.readouterr()
    assert json.loads(told_json.out)["scanId"] == SCAN
    assert "compare it with one that you noted" in told_json.err


def test_a_record_that_was_changed_is_found(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text().replace("R. Viewer", "Nobody"))

    assert run(["record", "verify", str(file)]) == 3

    assert "the record is not the one that was signed" in capsys.readouterr().err


def test_a_key_that_is_none_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["record", "verify", str(file), "--key", "x"]) == 4

    assert "--key: " in capsys.readouterr().err


def test_files_that_are_there_are_not_overwritten(file: Path) -> None:
    before = file.read_bytes()
    file.with_suffix(".html").unlink()

    assert run(["scan", "record", SCAN, "-o", str(file)]) == 4
    assert not file.with_suffix(".html").exists()
    assert run(["scan", "record", SCAN, "-o", str(file), "--force"]) == 0
    assert file.read_bytes() == before


def test_the_record_is_not_written_over_by_its_page(homeward: Homeward, tmp_path: Path) -> None:
    assert run(["scan", "record", SCAN, "-o", str(tmp_path / "scan.html")]) == 2
    assert list(tmp_path.iterdir()) == []
    assert homeward.scans.created == []


@pytest.mark.parametrize("record", [b"\xff", b"{", RECORD.replace(b"R. Viewer", b"Nobody")])
def test_an_answer_that_is_no_signed_record_is_not_written(
    homeward: Homeward,
    key: SigningKey,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record: bytes,
) -> None:
    homeward.scans.record = (record, key.sign(note_text(RECORD)), key.verifier.text())

    assert run(["scan", "record", SCAN, "-o", str(tmp_path / "scan.json")]) == 1

    assert "the record that came " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
