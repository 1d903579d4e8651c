"""A package that was altered is found out, in whatever way it was."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from homeward.core import export_package
from homeward.core.audit.events import canonical
from homeward.core.audit.notes import SigningKey, VerifierKey
from homeward.core.export_package import (
    CLIP,
    CLIP_FORMAT,
    FORMAT,
    KEY,
    MANIFEST,
    NOTE,
    SUMMARY,
    PackageError,
    Verdict,
    package_of,
    sealed_text,
    verify_package,
)

SIGHTING = "91b5e0c4-0000-4000-8000-000000000001"
OTHER = "91b5e0c4-0000-4000-8000-000000000002"
FOOTAGE = "5b" * 32
OURS = SigningKey("homeward-audit", Ed25519PrivateKey.from_private_bytes(b"1" * 32))
THEIRS = SigningKey("homeward-audit", Ed25519PrivateKey.from_private_bytes(b"2" * 32))
STILL = "still-1.jpg"

Files = dict[str, bytes]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def content_of(
    contents: Mapping[str, bytes], *, sighting: str = SIGHTING, key: SigningKey = OURS
) -> dict[str, Any]:
    clip = None
    if CLIP in contents:
        record = {
            "format": CLIP_FORMAT,
            "sighting_id": sighting,
            "footage_sha256": FOOTAGE,
            "sha256": digest(contents[CLIP]),
        }
        note = key.sign(sealed_text(CLIP_FORMAT, canonical(record)))
        clip = {"record": record, "note": note}
    return {
        "format": FORMAT,
        "make_time": "2026-11-29T13:00:00.000000Z",
        "recipient": "A force",
        "given_out_by": "ben",
        "approved": True,
        "no_clip_reason": "" if clip else "the recording is not held any more",
        "subject": {"case_reference": "MP-1"},
        "sighting": {
            "sighting_id": sighting,
            "footage_sha256": FOOTAGE,
            "reviews": [{"reviewer": "ann", "decision": "confirm"}],
        },
        "clip": clip,
        "files": [
            {"name": name, "sha256": digest(data), "size_bytes": len(data)}
            for name, data in contents.items()
        ],
    }


def signed(content: Mapping[str, Any], contents: Mapping[str, bytes], key: SigningKey) -> Files:
    manifest = canonical(content)
    return {
        **contents,
        MANIFEST: manifest,
        NOTE: key.sign(sealed_text(FORMAT, manifest)).encode(),
        KEY: f"{key.verifier.text()}\n".encode(),
    }


CONTENTS = {STILL: b"a still", SUMMARY: b"a summary", CLIP: b"a clip"}


def files(**changes: Any) -> Files:
    return signed(content_of(CONTENTS) | changes, CONTENTS, OURS)


def verdict(data: bytes, *keys: VerifierKey) -> Verdict:
    return verify_package(data, keys or (OURS.verifier,))


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], packed: bool = False) -> bytes:
    made = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", how) as package, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # of a name that comes twice
        for name, data in entries:
            package.writestr(name, data)
    return made.getvalue()


def with_changed(name: str, change: Callable[[bytes], bytes]) -> bytes:
    whole = files()
    return package_of({**whole, name: change(whole[name])})


def without(name: str) -> bytes:
    return package_of({key: data for key, data in files().items() if key != name})


def edited_manifest(old: bytes, new: bytes) -> bytes:
    assert old in files()[MANIFEST]
    return with_changed(MANIFEST, lambda data: data.replace(old, new))


def with_note_of(other: Files) -> bytes:
    return package_of({**files(), NOTE: other[NOTE]})


def signed_anew_by_another() -> Files:
    contents = {**CONTENTS, STILL: b"another still"}
    return signed(content_of(contents, key=THEIRS), contents, THEIRS)


def whole_manifest_of_another() -> bytes:
    other = signed(content_of(CONTENTS, sighting=OTHER), CONTENTS, OURS)
    changed = {**files(), MANIFEST: other[MANIFEST]}
    return package_of(changed)


def clip_of_another() -> bytes:
    """Everything signed by us, but the clip was made of another sighting."""
    content = content_of(CONTENTS)
    content["clip"] = content_of(CONTENTS, sighting=OTHER)["clip"]
    return package_of(signed(content, CONTENTS, OURS))


def forged_clip() -> bytes:
    """A reviewer's own clip, with the record of the one that was made."""
    contents = {**CONTENTS, CLIP: b"a forged clip"}
    content = content_of(contents)
    content["clip"] = content_of(CONTENTS)["clip"]
    return package_of(signed(content, contents, OURS))


def clip_sealed_by_another() -> bytes:
    content = content_of(CONTENTS)
    content["clip"] = content_of(CONTENTS, key=THEIRS)["clip"]
    return package_of(signed(content, CONTENTS, OURS))


def lying_about_its_size() -> bytes:
    """The directory says that a file is larger than it is."""
    data = bytearray(package_of(files()))
    place = data.rindex(b"PK\x01\x02")
    struct.pack_into("<II", data, place + 20, 2**31, 2**31)
    return bytes(data)


def local_name_changed() -> bytes:
    """Unpackers that read from the front see another name than those that read the directory."""
    return package_of(files()).replace(b"still-1.jpg", b"still-9.jpg", 1)


def bomb() -> bytes:
    return zipped((STILL, bytes(50_000_000)), packed=True)


ALTERATIONS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a still is changed": (lambda: with_changed(STILL, lambda data: data + b"!"), "was changed"),
    "the clip is changed": (lambda: with_changed(CLIP, lambda _: b"x"), "was changed"),
    "the summary is changed": (lambda: with_changed(SUMMARY, lambda _: b"x"), "was changed"),
    "a file is dropped": (lambda: without(STILL), "is missing"),
    "the clip is dropped": (lambda: without(CLIP), "is missing"),
    "the manifest is dropped": (lambda: without(MANIFEST), "is missing"),
    "the signature is dropped": (lambda: without(NOTE), "is missing"),
    "the key is dropped": (lambda: without(KEY), "is missing"),
    "a file is added": (lambda: package_of({**files(), "still-2.jpg": b"x"}), "was added"),
    "the manifest names another reviewer": (
        lambda: edited_manifest(b'"ann"', b'"eve"'),
        "is not the one that was signed",
    ),
    "the manifest has a digest changed": (
        lambda: edited_manifest(digest(b"a still").encode(), digest(b"other").encode()),
        "is not the one that was signed",
    ),
    "the manifest has a space more": (
        lambda: with_changed(MANIFEST, lambda data: data + b" "),
        "is not the one that was signed",
    ),
    "the key is another": (
        lambda: package_of({**files(), KEY: f"{THEIRS.verifier.text()}\n".encode()}),
        "another key than yours",
    ),
    "the key has something beside it": (
        lambda: with_changed(KEY, lambda data: data + b"\n"),
        "holds more than the key",
    ),
    "all is signed anew by another": (
        lambda: package_of(signed_anew_by_another()),
        "another key than yours",
    ),
    "all is signed anew by another, under our key": (
        lambda: package_of({**signed_anew_by_another(), KEY: files()[KEY]}),
        "not signed by homeward-audit",
    ),
    "the signature is of another package": (
        lambda: with_note_of(signed(content_of({STILL: b"x"}), {STILL: b"x"}, OURS)),
        "is not the one that was signed",
    ),
    "the manifest is of another package": (
        whole_manifest_of_another,
        "is not the one that was signed",
    ),
    "the signature is of a clip": (
        lambda: with_changed(
            NOTE, lambda _: OURS.sign(sealed_text(CLIP_FORMAT, files()[MANIFEST])).encode()
        ),
        "is not the one that was signed",
    ),
    "a second signature is added": (
        lambda: with_changed(
            NOTE, lambda data: data + THEIRS.sign("x\n").split("\n\n")[1].encode()
        ),
        "There is more than one signature",
    ),
    "the signature is cut off": (
        lambda: with_changed(NOTE, lambda data: data[:-20]),
        "signature is not valid",
    ),
    "the clip is of another sighting": (clip_of_another, "is of another sighting"),
    "the clip is not the one that was made": (forged_clip, "is not the file that was made"),
    "the clip was made by another": (clip_sealed_by_another, "The clip has a record whose note"),
    "a name leads out of the folder": (
        lambda: zipped(*files().items(), ("../evil.jpg", b"x")),
        "a file name that packages do not use",
    ),
    "a name begins at the root": (
        lambda: zipped(*files().items(), ("/evil.jpg", b"x")),
        "a file name that packages do not use",
    ),
    "a name would steer a terminal": (
        lambda: zipped(*files().items(), ("\x1b[2J.jpg", b"x")),
        "a file name that packages do not use",
    ),
    "a name comes twice": (
        lambda: zipped((STILL, b"another"), *files().items()),
        "more than once",
    ),
    "it is a bomb": (bomb, "is compressed"),
    "it is compressed": (lambda: zipped(*files().items(), packed=True), "is compressed"),
    "a size is a lie": (lying_about_its_size, "larger than a package's"),
    "a name differs inside": (local_name_changed, "is not a package"),
    "it is cut off": (
        lambda: package_of(files())[:-40],
        "is not a package, or was changed, cut off or damaged",
    ),
    "its beginning is cut off": (lambda: package_of(files())[40:], ""),
    "it is empty": (lambda: b"", "is not a package, or was changed, cut off or damaged"),
    "it is something else": (
        lambda: b"%PDF-1.7",
        "is not a package, or was changed, cut off or damaged",
    ),
    "something stands before it": (lambda: b"MZ" + package_of(files()), "bytes that belong"),
    "something stands behind it": (lambda: package_of(files()) + b"x", ""),
    "it has a comment": (
        lambda: package_of(files())[:-2] + b"\x02\x00hi",
        "bytes that belong to none",
    ),
    "it is in another order": (
        lambda: zipped(*sorted(files().items(), reverse=True)),
        "packed differently",
    ),
    "a byte of it is changed": (
        lambda: package_of(files()).replace(b"a still", b"A still", 1),
        "is not a package",
    ),
}


def test_a_package_as_it_was_given_out_holds() -> None:
    found = verdict(package_of(files()))
    assert found.holds
    assert found.verifier_key == OURS.verifier.text()
    assert found.manifest is not None


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_a_package_that_was_altered_is_found_out(alteration: str) -> None:
    make, words = ALTERATIONS[alteration]
    found = verdict(make())
    assert not found.holds
    assert words in " ".join(one.sentence for one in found.findings if not one.holds)


def test_a_package_without_a_clip_says_why() -> None:
    contents = {STILL: b"a still"}
    found = verdict(package_of(signed(content_of(contents), contents, OURS)))
    assert found.holds
    assert any("the recording is not held any more" in one.sentence for one in found.findings)


def test_without_a_key_a_package_by_anybody_holds_and_names_theirs() -> None:
    found = verify_package(package_of(signed_anew_by_another()))
    assert found.holds
    assert found.verifier_key == THEIRS.verifier.text()


def test_any_of_several_keys_may_have_signed_it() -> None:
    assert verdict(package_of(files()), THEIRS.verifier, OURS.verifier).holds


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"format": FORMAT},
        content_of(CONTENTS) | {"files": [1]},
        content_of(CONTENTS) | {"files": None},
        content_of(CONTENTS) | {"sighting": "x"},
        content_of(CONTENTS) | {"sighting": {"sighting_id": SIGHTING, "footage_sha256": FOOTAGE}},
        content_of(CONTENTS) | {"clip": {}},
        content_of(CONTENTS) | {"clip": {"note": "x", "record": 1}},
        content_of(CONTENTS) | {"files": content_of(CONTENTS)["files"] * 2},
        content_of(CONTENTS) | {"recipient": 1},
        content_of(CONTENTS) | {"format": "homeward-export/2"},
    ],
)
def test_whatever_was_signed_is_read_without_harm(content: dict[str, Any]) -> None:
    found = verify_package(package_of(signed(content, CONTENTS, THEIRS)))
    assert not found.holds
    assert "this version of Homeward cannot read it" in found.findings[0].sentence


def test_a_manifest_whose_names_stand_twice_is_none() -> None:
    twice = b'{"files":[],' + files()[MANIFEST][1:]
    assert json.loads(twice) == json.loads(files()[MANIFEST])
    changed = {
        **files(),
        MANIFEST: twice,
        NOTE: OURS.sign(sealed_text(FORMAT, twice)).encode(),
    }
    assert not verdict(package_of(changed)).holds


def test_a_package_is_always_the_same_file() -> None:
    given = files()
    assert package_of(given) == package_of(dict(reversed(given.items())))


def test_no_package_is_made_that_would_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_package, "MOST_CONTENT_BYTES", 100)
    assert package_of({"a.txt": bytes(100)})
    with pytest.raises(PackageError):
        package_of({"a.txt": bytes(101)})


def test_a_file_that_makes_a_package_too_large_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    given = files()
    size = sum(map(len, given.values()))
    large = zipped(*sorted({**given, "more.bin": bytes(size)}.items()))
    monkeypatch.setattr(export_package, "MOST_CONTENT_BYTES", size)

    sentences = [one.sentence for one in verdict(large).findings if not one.holds]

    assert sentences == [
        "more.bin was added: the list of contents does not have it.",
        "It holds more than a package may.",
    ]


def test_a_manifest_is_read_only_once_its_signature_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: bytes) -> None:
        raise AssertionError("what nobody has signed takes memory")

    monkeypatch.setattr(export_package, "_read", read)
    found = verdict(package_of({**files(), MANIFEST: b"[[],[],[]]"}))

    assert not found.holds
    assert "not the one that was signed" in found.findings[0].sentence


def test_a_manifest_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    given = files()
    monkeypatch.setattr(export_package, "MOST_MANIFEST_BYTES", len(given[MANIFEST]))
    held = verdict(package_of(given)).holds
    monkeypatch.setattr(export_package, "MOST_MANIFEST_BYTES", len(given[MANIFEST]) - 1)

    assert (held, verdict(package_of(given)).holds) == (True, False)


def test_all_single_bytes_count() -> None:
    data = package_of(files())
    step = max(1, len(data) // 400)
    held = [
        place
        for place in range(0, len(data), step)
        if verdict(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]).holds
    ]
    assert held == []
