"""The key that checkpoints of the trail are signed with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from homeward.core.audit.notes import NoteError, SigningKey

KEY_NAME = "homeward-audit"
"""Of who signs, in the notes."""


@dataclass(frozen=True, slots=True)
class CheckpointSigner:
    """Signs checkpoints with a key from a file."""

    _key: SigningKey

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the key, PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.

        Raises:
            ValueError: The file cannot be read, or holds another kind of key.
        """
        try:
            return cls(SigningKey.read(file.read_bytes(), name=KEY_NAME))
        except (OSError, NoteError) as error:
            raise ValueError(f"HOMEWARD_AUDIT_KEY_FILE, {file}: {error}") from error

    def sign(self, text: str) -> str:
        """Return a signed note with `text`."""
        return self._key.sign(text)

    @property
    def verifier_key(self) -> str:
        """What verifies it, as `NAME+ID+KEY`."""
        return self._key.verifier.text()
