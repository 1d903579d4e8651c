"""The use record of a scan: its canonical form, what of it is signed, and how that is verified.

A record is a JSON object of objects, lists, strings, whole numbers, booleans and null, written in
the canonical form of RFC 8785. What is signed is a note (`audit.notes`) with two lines: `FORMAT`,
and `sha256` and the digest of the record. A file has the record, the note and the key that verifies
it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from homeward.core.audit.events import EventError, canonical
from homeward.core.audit.notes import NoteError, VerifierKey, open_note

FORMAT = "homeward-use-record/1"

_FIELDS = {"record", "note", "verifier_key"}


class UseRecordError(ValueError):
    """A file is no use record, or was changed; says why."""


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """A record whose signature holds."""

    record: Mapping[str, Any]
    sha256: str
    verifier_key: str
    """The key that was verified with, as `NAME+ID+KEY`."""


def note_text(record: bytes) -> str:
    """Return what of a record is signed."""
    return f"{FORMAT}\nsha256 {hashlib.sha256(record).hexdigest()}\n"


def file_of(record: bytes, note: str, verifier_key: str) -> bytes:
    """Return a file with a signed record, to be read by people too.

    Raises:
        UseRecordError: The record is no JSON.
    """
    try:
        content = {"record": json.loads(record), "note": note, "verifier_key": verifier_key}
    except (ValueError, RecursionError) as error:
        raise UseRecordError("is no JSON") from error
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"


def verify_file(data: bytes, key: VerifierKey | None) -> VerifiedRecord:
    """Verify a file.

    Args:
        data: The file.
        key: That was noted before; None takes the one in the file, whose owner nobody vouches for.

    Raises:
        UseRecordError: It is no such file, or its record is not the one that the key has signed.
    """
    try:
        content = json.loads(data, object_pairs_hook=_once, parse_float=_no, parse_constant=_no)
    except (ValueError, RecursionError) as error:
        raise UseRecordError(f"is no use record: {error}") from error
    if not isinstance(content, dict) or set(content) != _FIELDS:
        raise UseRecordError(f"is no use record: it does not have {', '.join(sorted(_FIELDS))}")
    record, note, named = content["record"], content["note"], content["verifier_key"]
    if not (isinstance(record, dict) and isinstance(note, str) and isinstance(named, str)):
        raise UseRecordError("is no use record: its fields are of other kinds")
    try:
        trusted = key or VerifierKey.parse(named)
        signed = open_note(note, trusted)
        form = canonical(record)
    except (NoteError, EventError) as error:
        raise UseRecordError(f"does not hold: its note {error}") from error
    if signed != note_text(form):
        raise UseRecordError("does not hold: the record is not the one that was signed")
    return VerifiedRecord(record, hashlib.sha256(form).hexdigest(), trusted.text())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that has a name twice: programs differ in which of the two they read."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise UseRecordError("a name stands in it twice")
    return made


def _no(text: str) -> NoReturn:
    raise UseRecordError(f"{text[:20]} is no whole number")
