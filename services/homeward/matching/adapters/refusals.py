"""What an error of Qdrant's client means, and what an operator does about it.

Statuses and bodies are those of a Qdrant server: `{"status": {"error": "…"}}`, whose first words
say of what kind the error is. A key that is refused is answered in plain text, and whatever stands
before the server (a proxy, another program) answers as it likes.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator

import httpx
from pydantic import ValidationError
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from homeward.servicekit import errors

COMPONENT = "Qdrant"

NO_COLLECTION = "Not found: Collection"
"""How a server begins its answer when a collection is not there."""

_TOO_LARGE = "larger than allowed"
_NEVER_ALLOWED = "larger than rate limiter capacity"
_DISK_FULL = "disk is full"
_FULL = ("No space left", "Not enough space")
# The parts of a strict mode's refusal that name a limit, and nothing of what was sent.
_LIMIT = re.compile(
    r'Limit exceeded \d+ > \d+ for "[\w ]+"|Index required but not found for "\w+"'
    r"|[A-Z][\w ]+ limit reached \(\d+ > \d+\)|[A-Z][\w ]+ disabled!"
)

WRONG_ADDRESS = "start it, or correct HOMEWARD_QDRANT_URL"


def translated(error: Exception, address: str, *, timeout_seconds: int) -> errors.UnavailableError:
    """Return the error that callers see for one of Qdrant's client.

    Args:
        error: An `ApiException`, a `QdrantException` or a `JSONDecodeError`.
        address: URL of the server.
        timeout_seconds: How long an answer was awaited.
    """
    if isinstance(error, ResponseHandlingException):
        return _unanswered(error, address, timeout_seconds)
    if isinstance(error, ResourceExhaustedResponse):
        return too_many(address, error.retry_after_s)
    if isinstance(error, QdrantException):  # a `Retry-After` that is a date
        return too_many(address, None)
    if isinstance(error, json.JSONDecodeError):
        return _misunderstood(address)
    if isinstance(error, UnexpectedResponse):
        return _refused(error.status_code or 0, _words(error), address)
    return errors.unavailable(COMPONENT, address, WRONG_ADDRESS)


def lost_collection(address: str) -> errors.UnavailableError:
    """Return the error for a collection that is not there any more."""
    return _error(
        address, "has lost a collection of Homeward's", "docs/operations.md says what to do"
    )


def local_files(address: str, error: Exception) -> errors.UnavailableError:
    """Return the error for files of the local mode that cannot be read or written."""
    if _DISK_FULL in str(error):
        return _error(address, "has no room left", "give it a larger disk, or free some of it")
    return _error(address, "cannot read or write its files", f"{error}; see to its disk")


def too_many(address: str, retry_seconds: int | None) -> errors.UnavailableError:
    """Return the error for a server that limits how much it is asked for."""
    when = f"in {retry_seconds} s" if retry_seconds else "in a while"
    return _error(
        address,
        f"limits how many requests it takes: try again {when}",
        "raise its rate limit",
        retry_seconds=retry_seconds,
    )


def _never(address: str) -> errors.UnavailableError:
    return _error(
        address,
        "counts one request for more than its rate limit allows in a minute, so that it never takes"
        " it",
        "raise the limit; docs/operations.md lists what Homeward needs",
    )


def _unanswered(
    error: ResponseHandlingException, address: str, timeout_seconds: int
) -> errors.UnavailableError:
    causes = list(_causes(error.source))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _error(
                address,
                f"shows a certificate that is not trusted ({cause.verify_message})",
                "name the file of the authority that signed it in SSL_CERT_FILE, or correct the"
                " certificate or HOMEWARD_QDRANT_URL",
            )
    ended = ssl.SSLError | httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError
    if any(isinstance(cause, ended) for cause in causes):
        return _error(
            address,
            "ends the connection without an answer",
            "it is being restarted, or does not speak what HOMEWARD_QDRANT_URL says, which is http"
            " or https and the port of Qdrant's REST interface",
        )
    if any(isinstance(cause, ValidationError) for cause in causes):
        return _misunderstood(address)
    if any(isinstance(cause, httpx.ReadTimeout | httpx.WriteTimeout) for cause in causes):
        return errors.unavailable(
            COMPONENT,
            address,
            f"it took the request, and no answer came within {timeout_seconds} s; it may be"
            " overloaded: see its log",
        )
    return errors.unavailable(COMPONENT, address, WRONG_ADDRESS)


def _misunderstood(address: str) -> errors.UnavailableError:
    return _error(
        address,
        "answers what Qdrant would not",
        "something else listens there, or a version that Homeward does not know; correct"
        " HOMEWARD_QDRANT_URL",
    )


def _refused(status: int, words: str, address: str) -> errors.UnavailableError:
    if status == httpx.codes.NOT_FOUND and words.startswith(NO_COLLECTION):
        return lost_collection(address)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return _never(address) if _NEVER_ALLOWED in words else too_many(address, None)
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE or _TOO_LARGE in words:
        problem = "refuses a request for its size"
        advice = (
            "raise its service.max_request_size_mb, or the limit of a proxy before it, to 32 MB"
        )
    elif status == httpx.codes.UNAUTHORIZED:
        problem = "refuses Homeward's key"
        advice = "set HOMEWARD_QDRANT_API_KEY to one that it knows"
    elif status == httpx.codes.FORBIDDEN:
        problem = "refuses this to Homeward's key"
        advice = (
            "HOMEWARD_QDRANT_API_KEY must be one that may manage collections, or the server is"
            " locked"
        )
    elif status == httpx.codes.INSUFFICIENT_STORAGE or any(mark in words for mark in _FULL):
        problem, advice = "has no room left", "give it a larger disk, or free some of it"
    elif limit := _LIMIT.search(words):
        problem = f"refuses a request by its strict mode ({limit.group()})"
        advice = "docs/operations.md lists what Homeward needs"
    elif status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
        problem = f"refuses a request as wrong ({status})"
        advice = "see its log, and whether it is of a version that docs/operations.md names"
    elif status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.REQUEST_TIMEOUT:
        problem, advice = f"failed to do what it was asked for ({status})", "see its log"
    else:
        problem = f"answers {status}"
        advice = (
            "something else listens there, or Qdrant under another path; correct"
            " HOMEWARD_QDRANT_URL"
        )
    return _error(address, problem, advice)


def _error(
    address: str, problem: str, advice: str, *, retry_seconds: int | None = None
) -> errors.UnavailableError:
    return errors.UnavailableError(
        f"{COMPONENT} at {address} {problem}",
        reason=errors.Reason.COMPONENT_UNAVAILABLE,
        metadata={"component": COMPONENT, "address": address},
        retry_seconds=retry_seconds,
        advice=advice,
    )


def _words(error: UnexpectedResponse) -> str:
    """Return the sentence of a server's answer; what is none of its answers is taken as it is."""
    text = error.content.decode(errors="replace")
    try:
        return str(json.loads(text)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return text


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
