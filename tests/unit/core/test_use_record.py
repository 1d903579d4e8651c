"""Use records: a change of any part is found, offline."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from homeward.core.audit.events import canonical
from homeward.core.audit.notes import SigningKey
from homeward.core.use_record import UseRecordError, file_of, note_text, verify_file

RECORD: dict[str, Any] = {
    "scan": {"scan_id": "s", "requester": "Ívy", "scope": {"subject_ids": ["a", "b"]}},
    "findings": [{"score": "0.500000", "time_uncertain": None}],
    "coverage": {"faces": 12, "planning": False},
}


def new_key(name: str = "homeward-audit") -> SigningKey:
    return SigningKey(name, Ed25519PrivateKey.generate())


def signed(key: SigningKey, record: dict[str, Any] = RECORD) -> bytes:
    form = canonical(record)
    return file_of(form, key.sign(note_text(form)), key.verifier.text())


def changed(data: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(data) | fields).encode()


def test_a_record_that_was_signed_holds() -> None:
    key = new_key()

    for trusted in (None, key.verifier):
        verified = verify_file(signed(key), trusted)
        assert verified.record == RECORD
        assert verified.verifier_key == key.verifier.text()


def test_how_the_file_is_laid_out_does_not_matter() -> None:
    key = new_key()
    content = json.loads(signed(key))

    compact = json.dumps({name: content[name] for name in sorted(content)}).encode()

    assert verify_file(compact, key.verifier).record == RECORD


@pytest.mark.parametrize(
    "record",
    [
        {**RECORD, "scan": {**RECORD["scan"], "requester": "Ivy"}},
        {**RECORD, "findings": []},
        {**RECORD, "findings": RECORD["findings"] * 2},
        {**RECORD, "coverage": {"faces": 13, "planning": False}},
        {**RECORD, "coverage": {"faces": "12", "planning": False}},
        {**RECORD, "more": ""},
        {**RECORD, "scan": {**RECORD["scan"], "scope": {"subject_ids": ["b", "a"]}}},
        {},
    ],
)
def test_a_record_that_was_changed_does_not_hold(record: dict[str, Any]) -> None:
    with pytest.raises(UseRecordError, match="not the one that was signed"):
        verify_file(changed(signed(new_key()), record=record), None)


def test_another_key_does_not_vouch_for_it() -> None:
    key, other = new_key(), new_key()
    resigned = signed(other)

    assert verify_file(resigned, None).verifier_key == other.verifier.text()
    for trusted, data in ((other.verifier, signed(key)), (key.verifier, resigned)):
        with pytest.raises(UseRecordError, match="is not signed by homeward-audit"):
            verify_file(data, trusted)


def test_a_note_of_another_kind_does_not_vouch_for_it() -> None:
    key = new_key()
    checkpoint = key.sign("homeward-audit/1\n2026-11-29T10:00:00.000000Z\n")

    with pytest.raises(UseRecordError, match="not the one that was signed"):
        verify_file(changed(signed(key), note=checkpoint), key.verifier)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"record": 1, "note": "", "verifier_key": ""}',
        b'{"record": {}, "note": "", "verifier_key": ""}',
        b'{"record": {}, "note": "", "verifier_key": "", "more": 1}',
        b'{"record": {"a": 1, "a": 2}, "note": "", "verifier_key": ""}',
        b'{"record": {"a": 1.5}, "note": "", "verifier_key": ""}',
        b'{"record": {"a": NaN}, "note": "", "verifier_key": ""}',
        b'{"record": {"a": "\\ud800"}, "note": "", "verifier_key": ""}',
    ],
)
def test_what_is_no_use_record_is_refused(data: bytes) -> None:
    with pytest.raises(UseRecordError):
        verify_file(data, None)


def test_a_name_that_stands_in_it_twice_is_refused_though_the_last_one_was_signed() -> None:
    key = new_key()
    twice = signed(key).replace(b'"faces": 12', b'"faces": 99, "faces": 12')

    with pytest.raises(UseRecordError, match="twice"):
        verify_file(twice, key.verifier)
