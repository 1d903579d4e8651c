"""`homeward sighting export -o` and `homeward export verify`."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli_services import Homeward, enrolled
from cli_values import SIGHTING, Refusal, worth
from homeward.api.matching.v1 import export_service_pb2, sighting_pb2
from homeward.cli.__main__ import run
from homeward.core.audit.events import canonical
from homeward.core.audit.notes import SigningKey
from homeward.core.export_package import CLIP, CLIP_FORMAT, FORMAT, SUMMARY, sealed_text

OURS = SigningKey("homeward-audit", Ed25519PrivateKey.from_private_bytes(b"1" * 32))
THEIRS = SigningKey("homeward-audit", Ed25519PrivateKey.from_private_bytes(b"2" * 32))
KEY, OTHER_KEY = OURS.verifier.text(), THEIRS.verifier.text()
FOOTAGE = "5b" * 32


def listed(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def to_be_packed(homeward: Homeward, *, clip: bool = True) -> None:
    """Have the services make a package of a confirmed sighting."""
    enrolled(homeward)
    sighting = homeward.sightings.sighting
    sighting.state = sighting_pb2.Sighting.STATE_CONFIRMED
    sighting.figures.CopyFrom(worth())
    ann = sighting_pb2.Review(decision=sighting_pb2.REVIEW_DECISION_CONFIRM, reviewer="Ann")
    sighting.reviews.append(ann)
    record = {
        "sighting_id": SIGHTING,
        "footage_sha256": FOOTAGE,
        "sha256": hashlib.sha256(homeward.clips.content).hexdigest(),
    }
    note = OURS.sign(sealed_text(CLIP_FORMAT, canonical(record)))
    homeward.clips.told = {"record": canonical(record), "note": note}
    files = [listed("still-1.jpg", b"a still"), listed(SUMMARY, b"summary")]
    manifest = canonical(
        {
            "format": FORMAT,
            "make_time": "2026-11-29T13:00:00.000000Z",
            "recipient": "A force",
            "given_out_by": "ben",
            "approved": True,
            "no_clip_reason": "" if clip else "the recording is not held any more",
            "subject": {"case_reference": "MP-1"},
            "sighting": {
                "sighting_id": SIGHTING,
                "footage_sha256": FOOTAGE,
                "reviews": [{"reviewer": "Ann", "decision": "confirm"}],
            },
            "clip": {"record": record, "note": note} if clip else None,
            "files": [*files, *([listed(CLIP, homeward.clips.content)] if clip else [])],
        }
    )
    homeward.exports.sealed = export_service_pb2.SealPackageResponse(
        sighting=sighting,
        stills=[b"a still"],
        summary=b"summary",
        manifest=manifest,
        note=OURS.sign(sealed_text(FORMAT, manifest)),
        verifier_key=KEY,
    )


def export(file: Path, *words: str) -> int:
    return run(["sighting", "export", SIGHTING, "-o", str(file), "--to", "A force", *words])


def test_a_package_has_the_clip_and_names_its_recipient(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_be_packed(homeward)

    assert export(tmp_path / "p.zip") == 0

    assert sorted(zipfile.ZipFile(tmp_path / "p.zip").namelist()) == [
        "clip.mp4",
        "manifest.json",
        "manifest.note",
        "still-1.jpg",
        "summary.txt",
        "verifier-key.txt",
    ]
    [request] = homeward.exports.requests
    assert (request.recipient, request.clip_note) == ("A force", homeward.clips.told["note"])
    assert homeward.clips.requests[0].burn_time
    told = capsys.readouterr().out
    assert "Confirmed by: Ann" in told
    assert KEY in told
    assert run(["export", "verify", str(tmp_path / "p.zip"), "--key", KEY]) == 0


def test_a_package_of_footage_that_is_gone_says_so(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_be_packed(homeward, clip=False)
    homeward.clips.refusals = [Refusal(grpc.StatusCode.NOT_FOUND, "FOOTAGE_NOT_FOUND")]
    assert export(tmp_path / "p.zip") == 0
    assert homeward.exports.requests[0].no_clip_reason == "the recording is not held any more"
    assert "Without a clip: the recording is not held any more." in capsys.readouterr().out


def test_a_clip_may_be_left_out(homeward: Homeward, tmp_path: Path) -> None:
    to_be_packed(homeward, clip=False)
    assert export(tmp_path / "p.zip", "--no-clip") == 0
    assert homeward.clips.requests == []


def test_another_refusal_of_the_clip_ends_the_export(homeward: Homeward, tmp_path: Path) -> None:
    to_be_packed(homeward)
    refused = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "POLICY_EXPIRED")
    homeward.clips.refusals = [refused]
    assert export(tmp_path / "p.zip") == 7
    assert homeward.exports.requests == []


@pytest.mark.parametrize("state", ["STATE_UNREVIEWED", "STATE_AWAITING_SECOND"])
def test_no_clip_is_made_of_what_is_not_given_out(
    homeward: Homeward, tmp_path: Path, state: str
) -> None:
    to_be_packed(homeward)
    homeward.sightings.sighting.state = sighting_pb2.Sighting.State.Value(state)
    assert export(tmp_path / "p.zip") == 7
    assert homeward.clips.requests == []


def test_what_nobody_answers_for_is_packed_only_if_asked_for(
    homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_be_packed(homeward)
    homeward.sightings.sighting.figures.CopyFrom(worth(approved=False))
    assert export(tmp_path / "p.zip") == 7
    assert "--unapproved" in capsys.readouterr().err
    assert export(tmp_path / "p.zip", "--unapproved") == 0
    assert homeward.exports.requests[0].unapproved


def test_what_cannot_be_written_is_not_asked_for(homeward: Homeward, tmp_path: Path) -> None:
    to_be_packed(homeward)
    (tmp_path / "p.zip").write_bytes(b"mine")
    assert export(tmp_path / "p.zip") == 4
    assert export(tmp_path / "p.tar") == 2
    assert run(["sighting", "export", SIGHTING, "-o", str(tmp_path / "q.zip")]) == 2
    assert run(["sighting", "export", SIGHTING]) == 2
    assert run(["sighting", "export", SIGHTING, "--save", "x", "--to", "A force"]) == 2
    assert homeward.exports.requests == []


def test_what_came_otherwise_than_it_was_signed_is_not_written(
    homeward: Homeward, tmp_path: Path
) -> None:
    to_be_packed(homeward)
    homeward.exports.sealed.stills[0] = b"another"
    assert export(tmp_path / "p.zip") == 1
    assert not (tmp_path / "p.zip").exists()


@pytest.fixture
def package(homeward: Homeward, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    to_be_packed(homeward)
    assert export(tmp_path / "p.zip") == 0
    capsys.readouterr()
    return tmp_path / "p.zip"


def verify(file: Path, *words: str) -> int:
    return run(["export", "verify", str(file), *words])


def test_a_package_without_a_known_key_is_not_quite_verified(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(package) == 10
    assert "anybody may have signed it" in capsys.readouterr().err


def test_a_package_is_verified_by_words(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(package, "--key", OTHER_KEY, "--key", KEY) == 0
    told = capsys.readouterr().out
    assert "OK: still-1.jpg has not been changed." in told
    assert "confirmed by:  Ann" in told
    assert "has not been changed since it was signed with a key that you gave" in told


def test_keys_may_stand_in_the_environment(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEWARD_EXPORT_KEYS", f"{OTHER_KEY} {KEY}")
    assert verify(package) == 0


def test_what_does_not_hold_is_told_and_the_exit_code_says_so(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package.write_bytes(package.read_bytes().replace(b"a still", b"A still"))
    assert verify(package, "--key", KEY) == 3
    assert "NOT OK: " in capsys.readouterr().out


def test_a_package_of_another_is_not_what_it_seems(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(package, "--key", OTHER_KEY) == 3
    assert "another key than yours" in capsys.readouterr().out
    assert verify(package, "--key", "x") == 4


def test_a_verdict_is_told_as_json(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(package, "--key", KEY, "--output", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["holds"], told["signerKnown"]) == (True, True)
    assert told["manifest"]["recipient"] == "A force"
    assert verify(package, "--output", "json") == 10
    assert not json.loads(capsys.readouterr().out)["signerKnown"]


def test_a_file_that_is_far_too_large_is_not_read(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homeward.cli.commands.export.MOST_BYTES", 100)
    assert verify(package, "--key", KEY) == 3
