"""Packages that are given out of a confirmed sighting, and how they are verified.

A package is a zip file in which nothing is compressed: a manifest, a signed note
(`audit.notes`) with the manifest's SHA-256, the key that verifies the note, and the files whose
names, sizes and digests the manifest has. It is written in one way only, so that bytes which belong
to no file are found.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from homeward.core.audit.events import EventError, canonical
from homeward.core.audit.notes import NoteError, VerifierKey, open_note

FORMAT = "homeward-export/1"
CLIP_FORMAT = "homeward-clip/1"

MANIFEST = "manifest.json"
NOTE = "manifest.note"
KEY = "verifier-key.txt"
SUMMARY = "summary.txt"
CLIP = "clip.mp4"
_LIST = f"The list of contents ({MANIFEST})"
_ABOUT_IT = (MANIFEST, NOTE, KEY)
"""Files that the manifest does not list: it is signed by the second, which the third verifies."""

MOST_FILES = 64
MOST_BYTES = 256 * 1024 * 1024
"""Of a package: a clip has 68 MB at most, and a still 1 MiB."""
MOST_CONTENT_BYTES = MOST_BYTES // 2
"""Of the files in a package that is made."""
MOST_NOTE_BYTES = 64 * 1024
MOST_MANIFEST_BYTES = 16 * 1024 * 1024
"""What is read of JSON takes many times its size in memory. An event has some 300 bytes in one."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3


class PackageError(ValueError):
    """A package cannot be made of this; says why."""


def still_name(number: int) -> str:
    """Return the name of a still, from 1."""
    return f"still-{number}.jpg"


def sealed_text(form: str, record: bytes) -> str:
    """Return what of a record is signed: its format and its digest."""
    return f"{form}\nsha256 {hashlib.sha256(record).hexdigest()}\n"


def package_of(files: Mapping[str, bytes]) -> bytes:
    """Return a package with these files, in the order of their names.

    Raises:
        PackageError: It would be larger than one may be.
    """
    if sum(map(len, files.values())) > MOST_CONTENT_BYTES or len(files) > MOST_FILES:
        raise PackageError("is larger than a package may be")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED, allowZip64=False) as package:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, _MODE
            package.writestr(entry, files[name])
    return made.getvalue()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    holds: bool
    sentence: str


@dataclass(slots=True)
class Verdict:
    """What of a package holds, and what does not."""

    findings: list[Finding] = field(default_factory=list)
    manifest: Mapping[str, Any] | None = None
    """None if it is not the one that was signed."""
    verifier_key: str = ""
    """The key that was verified with; empty if there is none."""

    @property
    def holds(self) -> bool:
        """Whether all of it holds."""
        return bool(self.findings) and all(one.holds for one in self.findings)

    def good(self, sentence: str) -> None:
        """Say what holds."""
        self.findings.append(Finding(holds=True, sentence=sentence))

    def bad(self, sentence: str) -> None:
        """Say what does not hold."""
        self.findings.append(Finding(holds=False, sentence=sentence))


def verify_package(data: bytes, keys: Sequence[VerifierKey] = ()) -> Verdict:
    """Verify a package, without any server.

    Args:
        data: The file.
        keys: Those that may have signed it; none takes the key in the package, whose owner nobody
            vouches for.
    """
    verdict = Verdict()
    files = _opened(data, verdict)
    if files is None:
        return verdict
    manifest = _signed(files, keys, verdict)
    if manifest is None:
        verdict.bad("Its other files could not be checked, because no valid signature covers them.")
        return verdict
    verdict.manifest = manifest
    _check_files(files, manifest, verdict)
    _check_clip(files, manifest, verdict)
    if sum(map(len, files.values())) > MOST_CONTENT_BYTES:
        verdict.bad("It holds more than a package may.")
    elif data == package_of(files):
        verdict.good("Nothing was added to the package.")
    else:
        verdict.bad("It holds bytes that belong to none of its files, or was packed differently.")
    return verdict


def _opened(data: bytes, verdict: Verdict) -> dict[str, bytes] | None:
    """Return the files of a package; None if it is none that can be read safely."""
    if len(data) > MOST_BYTES:
        verdict.bad(f"The file has {len(data)} bytes; a package has {MOST_BYTES} at most.")
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            problem = _problem_of(package.infolist())
            if problem:
                verdict.bad(problem)
                return None
            return {entry.filename: package.read(entry) for entry in package.infolist()}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError):
        verdict.bad("The file is not a package, or was changed, cut off or damaged.")
    except (RuntimeError, OverflowError, MemoryError):  # what zipfile raises for encrypted files
        verdict.bad("The file is not a package: something in it is encrypted, or cannot be read.")
    return None


def _problem_of(entries: Sequence[zipfile.ZipInfo]) -> str:
    """Return why files are not to be read, or nothing. Nothing was unpacked until here."""
    names = [entry.filename for entry in entries]
    if len(names) > MOST_FILES:
        return f"It holds {len(names)} files; a package holds {MOST_FILES} at most."
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"It holds {twice[0]!r} more than once. Programs differ in which of them they show."
    odd = [entry for entry in entries if not _is_plain(entry.filename)]
    if odd:
        return f"It holds {odd[0].filename!r}, a file name that packages do not use."
    packed = [
        entry
        for entry in entries
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size
    ]
    if packed:
        return f"{packed[0].filename!r} is compressed. Files in a package never are."
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        return "Its files are larger than a package's may be."
    return ""


def _is_plain(name: str) -> bool:
    """Whether a name has letters, digits, `-` and one `.`: no folder, and nothing that hides."""
    stem, _, end = name.rpartition(".")
    return bool(stem) and all(
        part.isascii() and part.replace("-", "a").isalnum() for part in (stem, end)
    )


def _signed(
    files: Mapping[str, bytes], keys: Sequence[VerifierKey], verdict: Verdict
) -> Mapping[str, Any] | None:
    """Return the manifest if one of the keys has signed it."""
    try:
        key = _key_of(files, keys)
        note = files[NOTE][:MOST_NOTE_BYTES].decode()
        text = open_note(note, key)
    except _DoesNotHoldError as problem:
        verdict.bad(str(problem))
        return None
    except (NoteError, UnicodeDecodeError) as error:
        verdict.bad(f"The signature is not valid: the note {error}.")
        return None
    wrong, manifest = "", None
    if note.count("\n— ") != 1:
        wrong = "There is more than one signature. A package has one."
    elif text != sealed_text(FORMAT, files[MANIFEST]):
        wrong = f"{_LIST} is not the one that was signed: it was changed, or is of another package."
    elif (manifest := _read(files[MANIFEST])) is None or not _has_form(manifest):
        wrong = f"{_LIST} was signed, but this version of Homeward cannot read it."
    if wrong:
        verdict.bad(wrong)
        return None
    verdict.verifier_key = key.text()
    verdict.good(f"{_LIST} is as it was signed, with a key of {key.name}.")
    return manifest


class _DoesNotHoldError(Exception):
    """Says why nothing is signed."""


def _key_of(files: Mapping[str, bytes], keys: Sequence[VerifierKey]) -> VerifierKey:
    """Return the key that a package names, if it is one of those that may have signed it."""
    for name in _ABOUT_IT:
        if name not in files:
            raise _DoesNotHoldError(
                f"{name} is missing. Without it, nothing in the package can be checked."
            )
    try:
        named = VerifierKey.parse(files[KEY].decode())
    except (NoteError, UnicodeDecodeError) as error:
        raise _DoesNotHoldError(f"The key in the package is damaged: {error}.") from error
    if files[KEY] != f"{named.text()}\n".encode():
        raise _DoesNotHoldError(f"{KEY} holds more than the key.")
    if keys and named not in keys:
        raise _DoesNotHoldError(
            f"It was signed with another key than yours: {named.text()}. It may not come from the"
            " sender that you think of."
        )
    return named


def _check_files(files: Mapping[str, bytes], manifest: Mapping[str, Any], verdict: Verdict) -> None:
    """Compare the files with what the manifest says of them."""
    listed: dict[str, Mapping[str, Any]] = {one["name"]: one for one in manifest["files"]}
    for name in sorted({*listed, *files} - set(_ABOUT_IT)):
        if name not in files:
            verdict.bad(f"{name} is missing.")
        elif name not in listed:
            verdict.bad(f"{name} was added: the list of contents does not have it.")
        elif hashlib.sha256(files[name]).hexdigest() != listed[name]["sha256"]:
            verdict.bad(f"{name} was changed: its SHA-256 is not the one in the list of contents.")
        else:
            verdict.good(f"{name} has not been changed.")


def _check_clip(files: Mapping[str, bytes], manifest: Mapping[str, Any], verdict: Verdict) -> None:
    """Check that Homeward made the clip, from the recording that the sighting was found in."""
    clip = manifest.get("clip")
    if clip is None:
        if CLIP not in files:
            verdict.good(
                f"There is no clip: {manifest.get('no_clip_reason') or 'none was asked for'}."
            )
        return
    key = VerifierKey.parse(verdict.verifier_key)
    problem = clip_problem(clip["record"], clip["note"], key, manifest["sighting"])
    if not problem and clip["record"]["sha256"] != hashlib.sha256(files.get(CLIP, b"")).hexdigest():
        problem = "is not the file that was made"
    if problem:
        verdict.bad(f"The clip {problem}.")
    else:
        verdict.good("The clip was made by Homeward from the recording of the sighting.")


def clip_problem(
    record: Mapping[str, Any], note: str, key: VerifierKey, sighting: Mapping[str, Any]
) -> str:
    """Return what is wrong with the record of a clip, as part of a sentence, or nothing.

    Args:
        record: What is said of the clip.
        note: That signs it.
        key: Of who signs.
        sighting: That it should be of.
    """
    try:
        if open_note(note, key) != sealed_text(CLIP_FORMAT, canonical(record)):
            return "has another record than the one that was signed"
    except (NoteError, EventError) as error:
        return f"has a record whose note {error}"
    if record.get("sighting_id") != sighting["sighting_id"]:
        return "is of another sighting"
    if record.get("footage_sha256", "") != sighting["footage_sha256"]:
        return "is of another recording"
    return ""


def _read(data: bytes) -> Mapping[str, Any] | None:
    """Return a manifest; None if it is not in the one form that manifests have."""
    if len(data) > MOST_MANIFEST_BYTES:
        return None
    try:
        content = json.loads(data, parse_float=_refuse, parse_constant=_refuse)
        is_one = isinstance(content, dict) and canonical(content) == data
    except (ValueError, RecursionError):
        return None
    return content if is_one else None


def _has_form(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest has what is read of it, each of its kind: anybody can sign anything."""
    sighting, subject, clip = (manifest.get(name) for name in ("sighting", "subject", "clip"))
    return (
        manifest.get("format") == FORMAT
        and _has_texts(manifest, "recipient", "make_time", "given_out_by", "no_clip_reason")
        and isinstance(manifest.get("approved"), bool)
        and _has_texts(sighting, "sighting_id", "footage_sha256")
        and _has_texts(subject, "case_reference")
        and _is_list_of_texts(manifest, "files", "name", "sha256")
        and len({one["name"] for one in manifest["files"]}) == len(manifest["files"])
        and _is_list_of_texts(sighting, "reviews", "reviewer", "decision")
        and (
            clip is None or (_has_texts(clip, "note") and _has_texts(clip.get("record"), "sha256"))
        )
    )


def _has_texts(value: Any, *names: str) -> bool:  # noqa: ANN401 - what JSON holds
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in names)


def _is_list_of_texts(value: Any, name: str, *names: str) -> bool:  # noqa: ANN401 - as above
    listed = value.get(name) if isinstance(value, dict) else None
    return isinstance(listed, list) and all(_has_texts(one, *names) for one in listed)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is no whole number")
