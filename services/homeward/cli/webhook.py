"""Events for a receiver on the web: CloudEvents 1.0, signed as Standard Webhooks says.

Each event has ids and a state, and nothing of where or when anybody was seen: the receiver reads
the sighting by its id, with a token of its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from homeward.api.matching.v1 import sighting_pb2
from homeward.cli import terminal
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.oauth import require_safe
from homeward.cli.terminal import clean
from homeward.cli.watching import Response
from homeward.core.private_files import write_private

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
SECRET_PREFIX = "whsec_"  # noqa: S105 - of any secret
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64
"""As Standard Webhooks has it."""

TIMEOUT_SECONDS = 20.0
"""For the receiver to answer."""
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 300.0
MOST_ASKED_SECONDS = 3600.0
"""Longest wait that a receiver's `Retry-After` is followed for."""

_TYPES = {
    Response.CHANGE_RECORDED: "homeward.sighting.recorded",
    Response.CHANGE_ALTERED: "homeward.sighting.altered",
    Response.CHANGE_REVIEWED: "homeward.sighting.reviewed",
    Response.CHANGE_ERASED: "homeward.sighting.erased",
}


def event(response: Response, source: str) -> bytes:
    """Return a change as a CloudEvent in JSON, the same bytes each time."""
    content = {
        "specversion": "1.0",
        "id": response.resume_token,
        "source": source,
        "type": _TYPES[response.change],
        "subject": response.sighting.sighting_id,
        "time": response.change_time.ToJsonString(),
        "datacontenttype": "application/json",
        "data": {
            "sightingId": response.sighting.sighting_id,
            "subjectId": response.sighting.subject_id,
            "state": sighting_pb2.Sighting.State.Name(response.state),
        },
    }
    return json.dumps(content, separators=(",", ":")).encode()


def read_secrets(path: Path) -> list[bytes]:
    """Return the secrets in a file, one a line; each signs, so that one can take another's place.

    Raises:
        CliError: There is none, or one is not as it must be.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{path} cannot be read: {error}") from error
    found = []
    for written in lines:
        try:
            secret = base64.b64decode(written.removeprefix(SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if not (
            written.startswith(SECRET_PREFIX)
            and LEAST_SECRET_BYTES <= len(secret) <= MOST_SECRET_BYTES
        ):
            raise CliError(
                f"{path} holds something else than secrets: each line must be {SECRET_PREFIX} and"
                f" {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes in base64",
                advice=f"printf '{SECRET_PREFIX}%s\\n' \"$(openssl rand -base64 32)\" makes one",
            )
        found.append(secret)
    if not found:
        raise CliError(f"{path} is empty: it must hold a secret")
    return found


def headers(event_id: str, body: bytes, keys: Sequence[bytes], *, now: float) -> dict[str, str]:
    """Return the headers that sign an event.

    Args:
        event_id: Of the event.
        body: As it is sent.
        keys: Each signs.
        now: Seconds since 1970.
    """
    stamp = str(int(now))
    signed = b".".join((event_id.encode(), stamp.encode(), body))
    signatures = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
    }


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event was not taken."""

    problem: str
    asked_seconds: float | None = None
    """For which the receiver asks to wait."""
    gone: bool = False
    """Whether it says that it wants no more."""


class Receiver:
    """Takes events, one after the other.

    Args:
        url: https, or http on this machine.
        keys: Sign events.
        source: Of the events.
        authority: PEM file with the authority of its host; None for those that the system trusts.

    Raises:
        CliError: The URL would send events in the open, or the file cannot be used.
    """

    def __init__(
        self, url: str, keys: Sequence[bytes], source: str, authority: Path | None = None
    ) -> None:
        require_safe(url, "--webhook")
        self._source = source
        self._url = url
        self._keys = keys
        try:
            context = ssl.create_default_context(cafile=str(authority) if authority else None)
        except OSError as error:
            raise CliError(f"{authority} cannot be used: {error.strerror or error}") from error
        self._opener = urllib.request.build_opener(
            _NoRedirect(), urllib.request.HTTPSHandler(context=context)
        )

    def deliver(self, response: Response) -> None:
        """Return when the receiver has taken a change; tries again until it does.

        Raises:
            CliError: The receiver says that it is gone for good (HTTP 410).
        """
        event_id, body = response.resume_token, event(response, self._source)
        failures = 0
        while (refusal := self._offer(event_id, body)) is not None:
            if refusal.gone:
                raise CliError(
                    "the receiver wants no more events (HTTP 410)",
                    exit_code=ExitCode.PRECONDITION,
                    advice="correct --webhook, or start the receiver again",
                )
            seconds = wait_seconds(failures, refusal.asked_seconds)
            failures += 1
            terminal.tell(
                f"event {event_id} is not delivered: {refusal.problem}; trying again in"
                f" {seconds:.0f} s",
                err=True,
            )
            time.sleep(seconds)

    def _offer(self, event_id: str, body: bytes) -> Refusal | None:
        request = urllib.request.Request(  # noqa: S310 - see `require_safe`
            self._url,
            data=body,
            headers=headers(event_id, body, self._keys, now=time.time()),
            method="POST",
        )
        try:
            self._opener.open(request, timeout=TIMEOUT_SECONDS).close()
        except urllib.error.HTTPError as error:
            with error:
                return _refusal(error)
        except urllib.error.URLError as error:
            return Refusal(clean(str(error.reason)))
        except (OSError, HTTPException) as error:
            return Refusal(clean(str(error)) or type(error).__name__)
        return None


def wait_seconds(failures: int, asked: float | None) -> float:
    """Return how long to wait before an event is offered again.

    Args:
        failures: How often it was refused before.
        asked: For which the receiver asks; None if it does not.
    """
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(failures, 20))
    spread = longest * (0.5 + secrets.randbelow(1000) / 2000)  # so that many do not come at once
    return max(spread, min(asked or 0.0, MOST_ASKED_SECONDS))


@dataclass(frozen=True, slots=True)
class PlaceFile:
    """Keeps the place up to which all events were delivered."""

    path: Path

    def read(self) -> str:
        """Return the place; empty if there is none yet.

        Raises:
            CliError: The file is damaged.
        """
        try:
            place = json.loads(self.path.read_text(encoding="utf-8"))["resumeToken"]
        except FileNotFoundError:
            return ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged() from error
        if not (isinstance(place, str) and place):  # an empty one would begin now, without a word
            raise self._damaged()
        return place

    def _damaged(self) -> CliError:
        return CliError(f"{self.path} holds no place of `homeward watch`")

    def write(self, place: str) -> None:
        """Keep a place; a reader finds the old one or the new one, whatever happens."""
        content: Mapping[str, Any] = {"resumeToken": place}
        write_private(self.path, json.dumps(content) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from using the file while the block runs (not on Windows).

        Raises:
            CliError: Another one uses it.
        """
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            file = lock.open("w")
        except OSError as error:
            raise CliError(f"{lock} cannot be written: {error.strerror or error}") from error
        with file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise CliError(
                        f"another `homeward watch` uses {self.path}",
                        exit_code=ExitCode.CONFLICT,
                        advice="one process delivers, so that events come in their order",
                    ) from None
            yield


def _refusal(error: urllib.error.HTTPError) -> Refusal:
    if 300 <= error.code < 400:  # noqa: PLR2004 - redirects
        return Refusal(f"HTTP {error.code}, a redirect, which is not followed: correct the URL")
    asked = error.headers.get("Retry-After", "")
    return Refusal(
        f"HTTP {error.code}",
        asked_seconds=float(asked) if asked.isdecimal() else None,
        gone=error.code == 410,  # noqa: PLR2004 - Gone
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: events go where the operator said."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - the library's
        """Return no request: the redirect is an error."""
