"""An issuer of access tokens by OAuth 2.0: discovery, device authorization, refresh, revocation.

For a public client, which has no secret. Nothing here knows where tokens are kept.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from homeward.cli.errors import CliError, ExitCode
from homeward.cli.terminal import clean
from homeward.core.networks import is_loopback

DISCOVERY = "/.well-known/openid-configuration"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TIMEOUT_SECONDS = 10.0
MAX_BYTES = 1024 * 1024
"""Of an answer; those of issuers have some kilobytes."""

DEFAULT_INTERVAL_SECONDS = 5.0
"""Between two polls, where the issuer names no other time (RFC 8628, 3.2)."""
SLOW_DOWN_SECONDS = 5.0
"""By which each `slow_down` lengthens that time (RFC 8628, 3.5)."""
MAX_INTERVAL_SECONDS = 60.0
"""After which polls that got no answer are not spaced out further."""

_LOGIN_AGAIN = "`homeward login` begins anew"


class UnreachableError(Exception):
    """An issuer that gave no answer; says why."""


class OAuthError(Exception):
    """An issuer's refusal (RFC 6749, 5.2).

    Attributes:
        code: Such as `invalid_grant`.
        description: In the issuer's words; may be empty.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class Client:
    """What a client is to an issuer."""

    client_id: str
    scope: str = "openid offline_access"
    """What is asked for; `offline_access` is a refresh token."""
    resource: str = ""
    """Which service the token is for (RFC 8707); empty where the issuer knows by the client."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Tokens as an issuer gave them."""

    access_token: str
    refresh_token: str
    """Empty if it gave none."""
    expires_in: float | None
    """Seconds; None where the issuer does not say."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person types where, and how long that is waited for."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    """With the code in it; empty if there is none."""
    expires_in: float
    interval: float


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer, as its discovery document describes it.

    Attributes:
        authority: PEM file with the authority of its hosts; None for those that the system trusts.
    """

    issuer: str
    device_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    """Empty if it has none."""
    authority: Path | None = None

    @classmethod
    def discover(cls, url: str, *, authority: Path | None = None) -> Issuer:
        """Return the issuer at a URL.

        Raises:
            CliError: It does not answer, is another one, or has no device authorization.
        """
        require_safe(url, "--issuer")
        address = url.rstrip("/") + DISCOVERY
        try:
            found = _fetch(urllib.request.Request(address), authority)  # noqa: S310 - see above
        except OAuthError as error:
            raise CliError(f"{address} describes no issuer: {error}") from error
        except UnreachableError as error:
            raise CliError(
                f"the issuer does not answer at {address}: {error}",
                exit_code=ExitCode.UNAVAILABLE,
                advice="check the URL, and --ca-file where its authority is your force's own",
            ) from error
        if found.get("issuer") != url:
            raise CliError(
                f"{address} describes another issuer: {clean(str(found.get('issuer')))}",
                advice="give the URL that it describes itself by, to the letter",
            )
        device = _text(found, "device_authorization_endpoint")
        if not device:
            raise CliError(
                f"{url} offers no device authorization",
                exit_code=ExitCode.PRECONDITION,
                advice="have it enabled there for this client (RFC 8628), or name a file or a"
                " command that has a token: HOMEWARD_TOKEN_FILE, HOMEWARD_TOKEN_COMMAND",
            )
        tokens, revocation = _text(found, "token_endpoint"), _text(found, "revocation_endpoint")
        for endpoint in filter(None, (device, tokens, revocation)):
            require_safe(endpoint, f"an endpoint of {url}")
        return cls(url, device, tokens, revocation, authority)

    def begin(self, client: Client) -> DeviceCode:
        """Ask for a code that a person confirms in a browser.

        Raises:
            CliError: The issuer refuses, or does not answer.
        """
        fields = {"client_id": client.client_id, "scope": client.scope} | _resource(client)
        found = self._asked(self.device_endpoint, fields)
        code = DeviceCode(
            device_code=_text(found, "device_code"),
            user_code=_text(found, "user_code"),
            verification_uri=_text(found, "verification_uri"),
            verification_uri_complete=_text(found, "verification_uri_complete"),
            expires_in=_seconds(found, "expires_in") or 0.0,
            interval=_seconds(found, "interval") or DEFAULT_INTERVAL_SECONDS,
        )
        shown = code.user_code + code.verification_uri + code.verification_uri_complete
        if not (code.device_code and code.user_code and code.verification_uri):
            raise CliError(f"{self.issuer} answers without a code to confirm")
        if not shown.isprintable():
            raise CliError(f"{self.issuer} answers with control characters")
        return code

    def wait(
        self,
        client: Client,
        code: DeviceCode,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> Grant:
        """Return the tokens once the person has agreed (RFC 8628, 3.4 and 3.5).

        Args:
            client: As of `begin`.
            code: Of `begin`.
            sleep: Waits for some seconds.
            clock: Seconds that only grow.

        Raises:
            CliError: The person has refused or not agreed in time, or the issuer refuses.
        """
        until = clock() + code.expires_in
        interval = code.interval
        fields = {
            "grant_type": DEVICE_CODE,
            "device_code": code.device_code,
            "client_id": client.client_id,
        } | _resource(client)
        while clock() + interval < until:
            sleep(interval)
            try:
                return _grant(self._post(self.token_endpoint, fields))
            except UnreachableError:  # an issuer that is loaded is asked less often
                interval = min(2 * interval, MAX_INTERVAL_SECONDS)
            except OAuthError as error:
                if error.code == "slow_down":
                    interval += SLOW_DOWN_SECONDS
                elif error.code != "authorization_pending":
                    raise self._ended(error) from error
        raise self._ended(OAuthError("expired_token", ""))

    def refresh(self, client: Client, refresh_token: str) -> Grant:
        """Return new tokens for a refresh token, which may be used up by that.

        Raises:
            OAuthError: The issuer refuses; `invalid_grant` where the login is over.
            UnreachableError: It does not answer.
        """
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": client.client_id,
        } | _resource(client)
        return _grant(self._post(self.token_endpoint, fields))

    def revoke(self, client: Client, token: str) -> None:
        """Have a refresh token refused from now on (RFC 7009).

        Raises:
            OAuthError: The issuer refuses.
            UnreachableError: It does not answer.
        """
        fields = {"token": token, "token_type_hint": "refresh_token", "client_id": client.client_id}
        self._post(self.revocation_endpoint, fields, empty=True)

    def _asked(self, endpoint: str, fields: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            return self._post(endpoint, fields)
        except OAuthError as error:
            raise CliError(
                f"{self.issuer} refuses: {error}",
                exit_code=ExitCode.PRECONDITION,
                advice="check --client-id and --scope with whoever runs the issuer",
            ) from error
        except UnreachableError as error:
            raise CliError(
                f"{endpoint} does not answer: {error}", exit_code=ExitCode.UNAVAILABLE
            ) from error

    def _ended(self, error: OAuthError) -> CliError:
        said = {
            "access_denied": "the login was refused in the browser",
            "expired_token": "nobody has confirmed the code in time",
        }
        message = said.get(error.code, f"{self.issuer} refuses: {error}")
        return CliError(message, exit_code=ExitCode.PRECONDITION, advice=_LOGIN_AGAIN)

    def _post(
        self, endpoint: str, fields: Mapping[str, str], *, empty: bool = False
    ) -> Mapping[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - of `require_safe`
            endpoint,
            data=urlencode(fields).encode("ascii"),
            headers={
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        return _fetch(request, self.authority, empty=empty)


def require_safe(url: str, what: str) -> None:
    """Refuse a URL to which secrets would be sent in the open.

    Raises:
        CliError: It is neither https nor on this machine.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if (parts.scheme == "https" and host) or (parts.scheme == "http" and is_loopback(host)):
        return
    raise CliError(f"{what} is {clean(url)}: it must be an https URL", exit_code=ExitCode.INVALID)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: tokens go to the endpoint that was discovered, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - the library's
        """Return no request: the redirect is an error."""


def _fetch(
    request: urllib.request.Request, authority: Path | None, *, empty: bool = False
) -> Mapping[str, Any]:
    """Return the JSON object that a request is answered with.

    Args:
        request: To an endpoint of `require_safe`.
        authority: See `Issuer`.
        empty: Whether the answer's content is of no interest.

    Raises:
        OAuthError: The issuer refuses.
        UnreachableError: It gives no answer, or none that can be read.
        CliError: The authority's file cannot be used.
    """
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if request.type == "https":
        handlers.append(urllib.request.HTTPSHandler(context=_trusting(authority)))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            data = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error) from error
    except urllib.error.URLError as error:
        raise UnreachableError(clean(str(error.reason))) from error
    except (OSError, HTTPException) as error:
        raise UnreachableError(clean(str(error)) or type(error).__name__) from error
    if empty:
        return {}
    found = _object(data)
    if found is None:
        raise UnreachableError("the answer is no JSON object")
    return found


def _trusting(authority: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority) if authority else None)
    except OSError as error:
        raise CliError(f"{authority} cannot be used: {error.strerror or error}") from error


def _refusal(error: urllib.error.HTTPError) -> OAuthError | UnreachableError:
    found = _object(error.read(MAX_BYTES + 1)) or {}
    code = _text(found, "error")
    if code:
        return OAuthError(clean(code), clean(_text(found, "error_description")))
    return UnreachableError(f"HTTP status {error.code}")


def _object(data: bytes) -> Mapping[str, Any] | None:
    if len(data) > MAX_BYTES:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _grant(found: Mapping[str, Any]) -> Grant:
    token, kind = _text(found, "access_token"), _text(found, "token_type")
    if not token or kind.lower() != "bearer":
        raise OAuthError("no_bearer_token", "the answer has no access token of the type Bearer")
    return Grant(token, _text(found, "refresh_token"), _seconds(found, "expires_in"))


def _resource(client: Client) -> dict[str, str]:
    return {"resource": client.resource} if client.resource else {}


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _seconds(found: Mapping[str, Any], name: str) -> float | None:
    """Return a length of time; some issuers send it as text."""
    try:
        seconds = float(found[name])
    except (KeyError, TypeError, ValueError):
        return None
    return seconds if 0 < seconds < float("inf") else None
