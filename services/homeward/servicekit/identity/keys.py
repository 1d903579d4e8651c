"""The keys that an issuer signs tokens with: from a file or a URL, cached, and followed."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt
import msgspec
import structlog

from homeward.core.tls import stamp_of
from homeward.servicekit import errors

REFETCH_SECONDS = 60.0
"""Least time between two fetches: an unknown key in a token, which anybody can make up, asks for
one."""

REFRESH_SECONDS = 600.0
"""After which keys are fetched again before they are used, so that a key that was withdrawn is not
trusted for longer."""

STALE_SECONDS = 86_400.0
"""After which keys are trusted no more while their URL does not answer."""

FETCH_TIMEOUT_SECONDS = 5.0
"""For which a fetch waits for more, and for which calls wait for a fetch."""

LONGEST_FETCH_SECONDS = 30.0
"""Of an answer that comes bit by bit: while one is under way, no other is begun."""

MAX_BYTES = 1024 * 1024
"""Of a set of keys; a large one has some dozens of kilobytes."""

MIN_RSA_BITS = 2048

_KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **{f"{kind}{bits}": ("RSA", ()) for kind in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}
"""Kind and curves of the keys that an algorithm signs with."""

log = structlog.get_logger()


class KeysError(Exception):
    """A set of keys that cannot be used; says why, for the log."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The public keys of an issuer."""

    keys: tuple[Mapping[str, Any], ...]

    @classmethod
    def parsed(cls, data: bytes) -> KeySet:
        """Return the keys for signatures in a JWKS; keys of other kinds are left out.

        Raises:
            KeysError: It is none, or has no such key.
        """
        try:
            found = msgspec.json.decode(data, type=dict[str, Any]).get("keys")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise KeysError("it is no JSON object") from error
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise KeysError("it has no list of `keys`")
        usable = tuple(
            {name: value for name, value in one.items() if name != "d"}
            for one in found
            if one.get("kty") in [kind for kind, _ in _KINDS.values()]
            and one.get("use", "sig") == "sig"
        )
        if not usable:
            raise KeysError("it has no public key for signatures (RSA, EC or OKP)")
        return cls(usable)

    def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return the key that a token says it is signed with; None if there is no such.

        Args:
            key_id: The token's `kid`; None fits where there is one key alone.
            algorithm: One of `rules.Algorithm`.

        Raises:
            KeysError: The key cannot be used with the algorithm.
        """
        if key_id is None:
            named = list(self.keys) if len(self.keys) == 1 else []
        else:
            named = [one for one in self.keys if one.get("kid") == key_id]
        kind, curves = _KINDS[algorithm]
        for one in named:
            if one["kty"] != kind or (curves and one.get("crv") not in curves):
                continue
            if one.get("alg", algorithm) != algorithm:
                continue
            try:
                key = jwt.PyJWK(dict(one), algorithm)
            except jwt.PyJWTError as error:
                raise KeysError("the key in the set is damaged") from error
            if kind == "RSA" and key.key.key_size < MIN_RSA_BITS:
                raise KeysError(f"an RSA key has less than {MIN_RSA_BITS} bits")
            return key
        return None


class Keys(Protocol):
    """Where the keys of an issuer come from."""

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return a key as `KeySet.find` does.

        Raises:
            KeysError: See there.
            UnavailableError: `COMPONENT_UNAVAILABLE`: there are no keys yet, or not any more.
        """


class FileKeys:
    """The keys in a file, read again when it is replaced.

    Args:
        path: Where it is.

    Raises:
        KeysError: It cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = stamp_of(path)
        self._set = self._read()

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return a key as `KeySet.find` does; see `Keys`."""
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            try:
                self._set = self._read()
                self._stamp = stamp
            except KeysError as error:  # and looked at again: it may have been read half way
                _say_unusable(error)
        return self._set.find(key_id, algorithm)

    def _read(self) -> KeySet:
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise KeysError(f"{self._path} cannot be read: {error.strerror}") from error
        if len(data) > MAX_BYTES:
            raise KeysError(f"{self._path} has more than {MAX_BYTES} bytes")
        try:
            return KeySet.parsed(data)
        except KeysError as error:
            raise KeysError(f"{self._path}: {error}") from error


class UrlKeys:
    """The keys at a URL, fetched when they are first needed, and again for one that is not known.

    Args:
        fetch: Gets them; blocks, and runs in a thread.
        address: Shown where they cannot be had.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        fetch: Callable[[], bytes],
        *,
        address: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._address = address
        self._clock = clock
        self._set: KeySet | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return a key as `KeySet.find` does; see `Keys`."""
        if self._set is None or self._clock() - self._fetched_at >= REFRESH_SECONDS:
            await self._refetch()
        key = self._known().find(key_id, algorithm)
        if key is None and await self._refetch():
            key = self._known().find(key_id, algorithm)
        return key

    def _known(self) -> KeySet:
        if self._set is None or self._clock() - self._fetched_at >= STALE_SECONDS:
            raise errors.unavailable(
                "the issuer's key server",
                self._address,
                "access tokens cannot be checked until it does; see above for why",
            )
        return self._set

    async def _refetch(self) -> bool:
        """Fetch the keys unless that was tried just now; return whether it was done.

        Calls that come meanwhile wait for the same fetch, which goes on when one of them is given
        up. None waits after `FETCH_TIMEOUT_SECONDS`: an issuer that sends its answer byte by byte
        must not hold up those whose keys are known.
        """
        now = self._clock()
        if self._fetching is None:
            if self._tried_at is not None and now - self._tried_at < REFETCH_SECONDS:
                return False
            self._tried_at = now
            self._fetching = asyncio.create_task(self._replace())
        began = now if self._tried_at is None else self._tried_at
        left = max(began + FETCH_TIMEOUT_SECONDS - now, 0)
        return bool((await asyncio.wait([self._fetching], timeout=left))[0])

    async def _replace(self) -> None:
        try:
            # One at a time: this is why it needs no executor of its own.
            data = await asyncio.to_thread(self._fetch)
            self._set = KeySet.parsed(data)
            self._fetched_at = self._clock()
        except (KeysError, OSError, ValueError, http.client.HTTPException) as error:
            _say_unusable(error, address=self._address)
        finally:
            self._fetching = None


def _say_unusable(error: Exception, **where: str) -> None:
    log.error("new keys of tokens are not used", problem=str(error), **where)


def trusting(authority: Path | None) -> ssl.SSLContext:
    """Return what a host of keys is known by.

    Args:
        authority: PEM file with those that its certificate may be signed by; None for the system's.

    Raises:
        KeysError: The file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=str(authority) if authority else None)
    except OSError as error:
        raise KeysError(f"{authority} cannot be used: {error.strerror}") from error


def fetch_over_https(url: str, authority: Path | None) -> bytes:
    """Return what is at a URL. Follows no redirect: the one that was configured is trusted alone.

    Args:
        url: Begins with `https://`.
        authority: See `trusting`.

    Raises:
        KeysError: The answer is not 200, too large or too slow; see `trusting`.
        OSError: The host cannot be reached, or is not trusted.
        http.client.HTTPException: It does not speak HTTP.
    """
    parts, until = urlsplit(url), time.monotonic() + LONGEST_FETCH_SECONDS
    connection = http.client.HTTPSConnection(
        parts.hostname or "",
        parts.port,
        timeout=FETCH_TIMEOUT_SECONDS,
        context=trusting(authority),
    )
    try:
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        connection.request("GET", target, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise KeysError(f"the answer is {answer.status}, not {int(http.client.OK)}")
        data = bytearray()
        while len(data) <= MAX_BYTES and (part := answer.read1(MAX_BYTES)):
            data += part
            if time.monotonic() > until:
                raise KeysError(f"it did not come within {LONGEST_FETCH_SECONDS:g} s")
    finally:
        connection.close()
    if len(data) > MAX_BYTES:
        raise KeysError(f"it has more than {MAX_BYTES} bytes")
    return bytes(data)
