"""The secrets of one stack: made once, kept beside its data, readable by the owner alone."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from homeward.embedded.errors import StackError
from homeward.embedded.files import PRIVATE_FILE, make_private_folder, write_private

GALLERY_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the parts of a stack prove themselves to each other with."""

    s3_access_key: str
    s3_secret_key: str
    nats_token: str
    audit_key_file: Path
    """Holds the key that checkpoints of the audit trail are signed with."""
    gallery_key_file: Path
    """Holds the key of the stored templates, in hexadecimal. Without it the gallery is noise."""

    def __repr__(self) -> str:
        return "Secrets(…)"  # a traceback or a log must not show them


def load_secrets(folder: Path, *, gallery: Path) -> Secrets:
    """Read a stack's secrets, and make those that are missing.

    Args:
        folder: Where they are kept; made if it is not there.
        gallery: Folder of the stored templates, which are useless without their key.

    Raises:
        StackError: A secret is empty, or the key of an existing gallery is gone.
    """
    make_private_folder(folder)
    key_file = folder / "gallery.key"
    if not key_file.exists() and gallery.is_dir() and any(gallery.iterdir()):
        raise StackError(
            f"{key_file} is missing, and the gallery in {gallery} cannot be used without it: "
            f"restore the file, or remove {gallery} and enrol the subjects again"
        )
    _keep(key_file, lambda: secrets.token_hex(GALLERY_KEY_BYTES))
    audit_key_file = folder / "audit.key"
    _keep(audit_key_file, _signing_key)
    return Secrets(
        s3_access_key=_keep(folder / "s3-access-key", lambda: secrets.token_hex(10).upper()),
        s3_secret_key=_keep(folder / "s3-secret-key", lambda: secrets.token_hex(32)),
        # Hexadecimal: it stands in a URL.
        nats_token=_keep(folder / "nats-token", lambda: secrets.token_hex(32)),
        audit_key_file=audit_key_file,
        gallery_key_file=key_file,
    )


def _signing_key() -> str:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode().strip()


def _keep(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        write_private(path, make() + "\n")
    path.chmod(PRIVATE_FILE)  # a restored backup may have come with wider rights
    value = path.read_text(encoding="utf-8").strip()
    if not value:
        raise StackError(f"{path} is empty: restore it")
    return value
