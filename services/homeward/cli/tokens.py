"""Where a command's access token comes from: a file or another program.

One of a login is in `login_token`.
"""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from homeward.cli.errors import CliError, ExitCode
from homeward.cli.terminal import clean
from homeward.core.caller_metadata import MAX_TOKEN_BYTES

COMMAND_SECONDS = 60.0
"""Longest that a program may take for a token: it may ask its user something."""
EARLY_SECONDS = 60.0
"""How long before its end a token is replaced, so that it does not end on the way."""
_MAX_OUTPUT_BYTES = 4 * MAX_TOKEN_BYTES
_ADVICE = "have it hold one access token and nothing else: see docs/security.md"

Clock = Callable[[], float]


class TokenSource(Protocol):
    """Gives a command its access token, anew for each call that it makes."""

    @property
    def origin(self) -> str:
        """What it is, for people."""

    def token(self) -> str:
        """Return a token that should serve now.

        Raises:
            CliError: There is none.
        """


@dataclass(frozen=True, slots=True)
class FileToken:
    """A token in a file, which another program may replace at any time."""

    file: Path
    origin: str

    def token(self) -> str:
        """Return what is in the file; see `TokenSource`."""
        try:
            with self.file.open("rb") as opened:
                data = opened.read(MAX_TOKEN_BYTES + 1)
        except OSError as error:
            raise CliError(
                f"the access token in {self.file} ({self.origin}) cannot be read: {error.strerror}",
                advice=_ADVICE,
            ) from error
        token = _single(data) if len(data) <= MAX_TOKEN_BYTES else None
        if token is None:
            raise CliError(f"{self.file} ({self.origin}) holds no access token", advice=_ADVICE)
        return token


@dataclass(slots=True)
class CommandToken:
    """A token that a program prints: by itself, or as JSON with the time at which it ends.

    The program is run when the first call is made, and again when its token is about to end.

    Args:
        command: Program and arguments; no shell reads them.
        origin: The variable or the profile that names it.
        clock: Seconds since 1970.
    """

    command: Sequence[str]
    origin: str
    clock: Clock = time.time
    _held: tuple[str, float | None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def parsed(cls, line: str, origin: str) -> CommandToken:
        """Return the command in a line, whose words are told apart as a shell does.

        Raises:
            CliError: A quotation mark is open, or there is no word.
        """
        try:
            command = shlex.split(line)
        except ValueError as error:
            raise CliError(f"{origin} is no command: {error}") from error
        if not command:
            raise CliError(f"{origin} is no command: it is empty")
        return cls(command, origin)

    def token(self) -> str:
        """Return what the program has printed; see `TokenSource`."""
        with self._lock:
            if self._held is None or ends(self._held[1], self.clock()):
                token, expires = self._answer(self._run())
                if expires is not None and expires <= self.clock():
                    raise self._problem("printed a token whose time is over")
                self._held = (token, expires)
            return self._held[0]

    def _run(self) -> bytes:
        try:
            done = subprocess.run(  # noqa: S603 - the user's own command
                self.command,
                stdout=subprocess.PIPE,  # its words and questions to the user pass through
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise self._problem(f"did not end within {COMMAND_SECONDS:g} s") from error
        except OSError as error:
            raise self._problem(f"cannot be run: {error.strerror or error}") from error
        if done.returncode != 0:
            raise self._problem(
                f"was ended by signal {-done.returncode}"
                if done.returncode < 0
                else f"ended with exit code {done.returncode}"
            )
        if len(done.stdout) > _MAX_OUTPUT_BYTES:
            raise self._problem(f"printed more than {_MAX_OUTPUT_BYTES} bytes")
        return done.stdout

    def _answer(self, printed: bytes) -> tuple[str, float | None]:
        if not printed.lstrip().startswith(b"{"):
            token = _single(printed)
            if token is None:
                raise self._problem("printed no single access token")
            return token, claimed_expiry(token)
        try:
            answer = json.loads(printed)
            # As kubectl's plug-ins answer (`ExecCredential`), or the same without its envelope.
            answer = answer.get("status", answer)
            token = _single(str(answer["token"]).encode())
            until = answer.get("expirationTimestamp")
            expires = _instant(until) if until is not None else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._problem(
                "printed JSON that is not"
                ' {"token": "…", "expirationTimestamp": "2026-01-31T12:00:00Z"}'
            ) from error
        if token is None:
            raise self._problem("printed no single access token")
        return token, expires if expires is not None else claimed_expiry(token)

    def _problem(self, what: str) -> CliError:
        # Its name alone: arguments may hold a secret.
        return CliError(
            f"the command {clean(self.command[0])} ({self.origin}) {what}",
            exit_code=ExitCode.INVALID,
            advice="run it by hand: it must print an access token, and end with exit code 0",
        )


def expiry(token: str, expires_in: float | None, *, now: float) -> float | None:
    """Return when a token ends, seconds since 1970; None if neither it nor its issuer says."""
    return now + expires_in if expires_in is not None else claimed_expiry(token)


def ends(expires: float | None, now: float) -> bool:
    """Tell whether a token is to be replaced by now; False where nobody knows its end."""
    return expires is not None and expires - EARLY_SECONDS <= now


def claims_of(token: str) -> Mapping[str, Any] | None:
    """Return what a JWT says, unchecked: only to tell its holder. None for another token."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - head, claims, signature
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def claimed_expiry(token: str) -> float | None:
    """Return when a JWT says that it ends, seconds since 1970; None if it does not."""
    ends = (claims_of(token) or {}).get("exp")
    return float(ends) if isinstance(ends, int | float) else None


def _single(data: bytes) -> str | None:
    token = data.strip()
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isascii() or len(token.split()) > 1:
        return None
    return token.decode("ascii")


def _instant(text: str) -> float:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("it has no time zone")
    return instant.timestamp()
