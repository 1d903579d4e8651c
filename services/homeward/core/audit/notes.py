"""Signed notes (https://c2sp.org/signed-note): a text with Ed25519 signatures under it.

The form in which transparency logs sign checkpoints. Others' tools verify it: the key of a verifier
is written as Go's `golang.org/x/mod/sumdb/note` has it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

_ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+]{1,200}")
_SIGNATURE = re.compile("— ([^\\s+]+) ([A-Za-z0-9+/=]+)")
_ID_BYTES = 4


class NoteError(ValueError):
    """A note, or a key, is not what it should be; says why."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name of who signs with it."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NAME+ID+KEY`.

        Raises:
            NoteError: It is no such key, or its id is of another.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            data = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise NoteError("the key is not in Base64") from error
        key = cls(name, data[1:])
        if not _NAME.fullmatch(name) or data[:1] != _ED25519 or len(data) != 1 + 32:
            raise NoteError("the key is no Ed25519 key in the form NAME+ID+KEY")
        if key.key_id.hex() != key_id or key.text() != text.strip():
            raise NoteError("the key has another id than it states")
        return key

    @property
    def key_id(self) -> bytes:
        """The four bytes that signatures name the key by."""
        named = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(named).digest()[:_ID_BYTES]

    def text(self) -> str:
        """Return the key as `parse` takes it."""
        encoded = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the name of who signs with it."""

    name: str
    _private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def read(cls, pem: bytes, *, name: str) -> Self:
        """Read a private key from PKCS #8 in PEM.

        Raises:
            NoteError: It is no Ed25519 key, or is encrypted.
        """
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise NoteError("is no unencrypted private key in PEM") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise NoteError("is a key of another kind than Ed25519")
        return cls(name, private)

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return VerifierKey(self.name, public)

    def sign(self, text: str) -> str:
        """Return a note with `text`, which ends with the end of a line."""
        signature = self.verifier.key_id + self._private.sign(text.encode())
        return f"{text}\n— {self.name} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, key: VerifierKey) -> str:
    """Return the text of a note that the key has signed. Signatures of others are passed over.

    Raises:
        NoteError: It is no note, or the key has not signed it.
    """
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise NoteError("is no signed note")
    text += "\n"
    public = Ed25519PublicKey.from_public_bytes(key.public)
    for line in signatures.removesuffix("\n").split("\n"):
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise NoteError("has a line among its signatures that is none")
        name, encoded = match.groups()
        try:
            data = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise NoteError("has a signature that is not in Base64") from error
        if name != key.name or data[:_ID_BYTES] != key.key_id:
            continue
        if base64.b64encode(data).decode() != encoded:
            raise NoteError("has a signature that is not written as Base64 is")
        try:
            public.verify(data[_ID_BYTES:], text.encode())
        except InvalidSignature as error:
            raise NoteError(f"has a signature of {key.name} that is not of this text") from error
        return text
    raise NoteError(f"is not signed by {key.name} with the key {key.key_id.hex()}")
