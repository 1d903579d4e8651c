"""Access tokens of one stack: the key that signs them, and the set of keys that checks them."""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from homeward.core.caller_metadata import MAX_TOKEN_BYTES
from homeward.embedded.errors import StackError
from homeward.embedded.files import PRIVATE_FILE, write_private
from homeward.servicekit.identity.caller import Role
from homeward.servicekit.identity.rules import EVERY_CASE

ISSUER = "homeward-up"
AUDIENCE = "homeward"
ALGORITHM = "ES256"

LIFETIME = timedelta(hours=12)
"""Of the token of the user who started the stack; it is renewed while the stack runs."""
LONGEST = timedelta(days=31)
"""Of a token that is issued on request: nobody can take it back but by a new key."""

ROLES = tuple(role for role in Role if role is not Role.SERVICE)
"""Those that a token may give."""


class TokenRefusedError(Exception):
    """A token that no service would accept; says why."""


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Issues access tokens of a stack."""

    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def with_new_key(cls, path: Path) -> TokenIssuer:
        """Make a key and keep it in a file; tokens of the key that was there are refused."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_private(path, pem.decode())
        return cls(key)

    @classmethod
    def read(cls, path: Path) -> TokenIssuer:
        """Return the issuer whose key is in a file, which is closed to others.

        Raises:
            FileNotFoundError: There is none yet.
            StackError: It holds no such key.
        """
        path.chmod(PRIVATE_FILE)  # a restored backup may have come with wider rights
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise StackError(
                f"{path} holds no key: restore it, or start once with `homeward up --new-token-key`"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise StackError(
                f"{path} holds a key that is not of the curve P-256: start once with"
                " `homeward up --new-token-key`"
            )
        return cls(key)

    def key_set(self) -> str:
        """Return the public key as a JWKS (RFC 7517)."""
        key = {**self._public(), "kid": self._key_id(), "use": "sig", "alg": ALGORITHM}
        return json.dumps({"keys": [key]}, indent=2) + "\n"

    def issue(
        self,
        name: str,
        roles: Iterable[Role],
        *,
        cases: Iterable[str] = (EVERY_CASE,),
        now: datetime,
        lifetime: timedelta,
    ) -> str:
        """Return a new token.

        Args:
            name: What its holder is called.
            roles: What the holder may do, of `ROLES`.
            cases: References of the cases that the holder may see; `*` for every case.
            now: The time.
            lifetime: After which it is refused.

        Raises:
            TokenRefusedError: It is too long.
        """
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": name,
            "jti": str(uuid.uuid4()),
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "roles": sorted(roles),
            "cases": sorted(cases),
        }
        token = jwt.encode(claims, self._key, ALGORITHM, {"kid": self._key_id()})
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefusedError(
                f"the token would have {len(token)} bytes, and {MAX_TOKEN_BYTES} are accepted:"
                " name fewer cases"
            )
        return token

    def _public(self) -> dict[str, Any]:
        algorithm = jwt.get_algorithm_by_name(ALGORITHM)
        whole: dict[str, Any] = json.loads(algorithm.to_jwk(self._key.public_key()))
        return {name: whole[name] for name in ("crv", "kty", "x", "y")}

    def _key_id(self) -> str:
        """Return the key's thumbprint (RFC 7638)."""
        canonical = json.dumps(self._public(), sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(canonical.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def user_name() -> str:
    """Return what the user who runs this is called in tokens."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an id without an account
        return "local-user"
