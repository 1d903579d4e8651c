"""An issuer of access tokens, for tests of who may call."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://login.example.org/realms/force"
AUDIENCE = "homeward"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that tokens are signed with."""

    private: Any
    algorithm: str
    key_id: str | None

    def jwk(self, **more: object) -> dict[str, Any]:
        """Return its public half as it stands in a JWKS."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        found: dict[str, Any] = json.loads(algorithm.to_jwk(self.private.public_key()))
        found.pop("key_ops", None)
        return found | ({"kid": self.key_id} if self.key_id else {}) | more

    def pem(self) -> bytes:
        """Return its public half in PEM."""
        found: bytes = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return found


def new_key(algorithm: str = "ES256", key_id: str | None = "first", *, bits: int = 2048) -> Key:
    """Return a new key for an algorithm."""
    if algorithm.startswith("ES"):
        curve = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}[algorithm]
        return Key(ec.generate_private_key(curve()), algorithm, key_id)
    if algorithm == "EdDSA":
        return Key(ed25519.Ed25519PrivateKey.generate(), algorithm, key_id)
    return Key(rsa.generate_private_key(65537, bits), algorithm, key_id)


def jwks(*keys: Key) -> bytes:
    """Return a set of keys."""
    return json.dumps({"keys": [key.jwk() for key in keys]}).encode()


@dataclass(frozen=True, slots=True)
class Issuer:
    """Gives tokens out."""

    key: Key = field(default_factory=new_key)

    def write(self, path: Path, **rules: object) -> Path:
        """Write an auth file that trusts the issuer, and its keys beside it; return the file."""
        path.mkdir(exist_ok=True)
        (path / "keys.json").write_bytes(jwks(self.key))
        tokens = {"issuer": ISSUER, "audience": AUDIENCE, "keys": "keys.json"}
        file = path / "auth.json"
        file.write_text(json.dumps({"tokens": tokens} | rules))
        return file

    def token(self, *roles: str, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """Return a token; claims that are None are left out."""
        now = int(time.time())
        given = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "somebody",
            "iat": now - 10,
            "nbf": now - 10,
            "exp": now + 600,
            "roles": list(roles),
        } | claims
        return signed(
            {name: value for name, value in given.items() if value is not None}, self.key, headers
        )


def signed(claims: Mapping[str, Any], key: Key, headers: Mapping[str, Any] | None = None) -> str:
    """Return claims as a token that is signed with a key."""
    named = {"kid": key.key_id} if key.key_id else {}
    return jwt.encode(dict(claims), key.private, key.algorithm, {**named, **(headers or {})})


def segment(value: object) -> str:
    """Return a part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(token: str) -> str:
    """Return the token with `alg=none` and no signature."""
    return f"{segment({'alg': 'none', 'kid': 'first'})}.{token.split('.')[1]}."


def signed_with_public_key(token: str, key: Key) -> str:
    """Return the token with HS256, and the issuer's public key as the secret."""
    signing = f"{segment({'alg': 'HS256', 'kid': key.key_id})}.{token.split('.')[1]}"
    mac = hmac.digest(key.pem(), signing.encode(), hashlib.sha256)
    return f"{signing}.{segment(mac)}"


def faulty_tokens(issuer: Issuer, *roles: str) -> dict[str, tuple[str, str]]:
    """Return tokens that must be refused, and the reason, by what is wrong with them."""
    now = int(time.time())
    good = issuer.token(*roles)
    other = Issuer(new_key())
    head, body, signature = good.split(".")
    wide = "x" * 100_000
    return {
        "expired": (issuer.token(*roles, exp=now - 3600), "TOKEN_EXPIRED"),
        "not yet valid": (issuer.token(*roles, nbf=now + 3600), "TOKEN_NOT_YET_VALID"),
        "issued in the future": (issuer.token(*roles, iat=now + 3600), "TOKEN_NOT_YET_VALID"),
        "for ever": (issuer.token(*roles, exp=None), "TOKEN_INVALID"),
        "of another audience": (issuer.token(*roles, aud="mail"), "TOKEN_INVALID"),
        "of no audience": (issuer.token(*roles, aud=None), "TOKEN_INVALID"),
        "of another issuer": (issuer.token(*roles, iss=ISSUER + "/"), "TOKEN_INVALID"),
        "of no issuer": (issuer.token(*roles, iss=None), "TOKEN_INVALID"),
        "of nobody": (issuer.token(*roles, sub=None), "TOKEN_INVALID"),
        "of somebody with an escape": (issuer.token(*roles, sub="a\x1b[2J"), "TOKEN_INVALID"),
        "alg=none": (unsigned(good), "TOKEN_INVALID"),
        "HS256 with the public key": (signed_with_public_key(good, issuer.key), "TOKEN_INVALID"),
        "signed by another key": (other.token(*roles), "TOKEN_INVALID"),
        "of an unknown kid": (
            issuer.token(*roles, headers={"kid": "second"}),
            "TOKEN_INVALID",
        ),
        "of a kid that is no text": (
            f"{segment({'alg': 'ES256', 'kid': ['first']})}.{body}.{signature}",
            "TOKEN_INVALID",
        ),
        "of an alg that is no text": (
            f"{segment({'alg': ['ES256'], 'kid': 'first'})}.{body}.{signature}",
            "TOKEN_INVALID",
        ),
        "changed": (f"{head}.{segment({'sub': 'me'})}.{signature}", "TOKEN_INVALID"),
        "critical unknown header": (
            issuer.token(*roles, headers={"crit": ["x"], "x": 1}),
            "TOKEN_INVALID",
        ),
        "nested": (f"{segment(b'[' * 10_000)}.{body}.{signature}", "TOKEN_INVALID"),
        "of 100 kB": (issuer.token(*roles, wide=wide), "TOKEN_INVALID"),
        "no token": ("hello", "TOKEN_INVALID"),
        "empty": ("", "TOKEN_INVALID"),
    }
