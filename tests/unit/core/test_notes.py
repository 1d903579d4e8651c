"""Signed notes, as https://c2sp.org/signed-note has them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from homeward.core.audit.notes import NoteError, SigningKey, VerifierKey, open_note

KEY = SigningKey("homeward-audit", Ed25519PrivateKey.from_private_bytes(bytes(32)))
TEXT = "homeward-audit/1\nsomething\n"

# Of golang.org/x/mod/sumdb/note, where the form comes from.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
    "KE6RyyBwJnAM=\n"
)


def test_a_note_that_go_signed_is_opened() -> None:
    text = open_note(GO_NOTE, VerifierKey.parse(GO_KEY))

    assert text.endswith("what your problem is.\n")


def test_a_note_is_opened_by_the_key_that_signed_it() -> None:
    key = VerifierKey.parse(KEY.verifier.text())

    assert open_note(KEY.sign(TEXT), key) == TEXT


def test_signatures_of_others_are_passed_over() -> None:
    other = SigningKey("witness", Ed25519PrivateKey.from_private_bytes(bytes([7] * 32)))
    signature = other.sign(TEXT).removeprefix(f"{TEXT}\n")

    assert open_note(KEY.sign(TEXT) + signature, KEY.verifier) == TEXT


@pytest.mark.parametrize(
    "note",
    [
        KEY.sign(TEXT).replace("something", "anything"),
        KEY.sign(TEXT).removesuffix("\n"),
        TEXT,
        "",
        KEY.sign(TEXT).replace("— homeward-audit", "- homeward-audit"),
        KEY.sign(TEXT).replace("— homeward-audit", "— somebody-else"),
    ],
)
def test_a_note_that_is_not_signed_so_is_refused(note: str) -> None:
    with pytest.raises(NoteError):
        open_note(note, KEY.verifier)


@pytest.mark.parametrize(
    "text", ["", "name", "name+00000000+AAAA", GO_KEY.replace("c74f20a3", "c74f20a4")]
)
def test_a_key_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(text)
