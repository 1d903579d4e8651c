"""The access token of a login, renewed by its issuer. Imported by commands that use one alone."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from homeward.cli.errors import CliError, ExitCode
from homeward.cli.logins import Login, LoginFile, Registration
from homeward.cli.oauth import Client, Grant, Issuer, OAuthError, UnreachableError
from homeward.cli.tokens import Clock, ends, expiry

ORIGIN = "homeward login"


@dataclass(slots=True)
class LoginToken:
    """The token of a login, renewed when it is about to end.

    Args:
        file: Of the login.
        clock: Seconds since 1970.
    """

    file: LoginFile
    clock: Clock = time.time
    _held: Login | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def origin(self) -> str:
        """What it is; see `TokenSource`."""
        return ORIGIN

    def token(self) -> str:
        """Return the token that was given last; see `TokenSource`."""
        with self._lock:
            if self._held is None or ends(self._held.expires, self.clock()):
                self._held = self._current()
            return self._held.access_token

    def _current(self) -> Login:
        login = self._read()
        if not ends(login.expires, self.clock()):
            return login
        with self.file.locked():
            login = self._read()  # another command may have renewed it meanwhile
            if not ends(login.expires, self.clock()):
                return login
            return self._renewed(login)

    def _read(self) -> Login:
        login = self.file.read()
        if login is None:
            raise _over("the login is no longer there")
        return login

    def _renewed(self, login: Login) -> Login:
        over = login.expires is not None and login.expires <= self.clock()
        if not login.refresh_token:
            if over:
                raise _over(f"the login at {login.at.issuer} is over")
            return login
        try:
            grant = issuer_of(login).refresh(client_of(login), login.refresh_token)
        except OAuthError as error:
            raise _over(f"the login at {login.at.issuer} cannot be renewed: {error}") from error
        except UnreachableError as error:
            if not over:
                return login
            raise CliError(
                f"{login.at.issuer} does not answer, so that the login cannot be renewed: {error}",
                exit_code=ExitCode.UNAVAILABLE,
                advice="try again when it does",
            ) from error
        renewed = replace(
            login,
            access_token=grant.access_token,
            # One that is not replaced goes on serving (RFC 6749, 6).
            refresh_token=grant.refresh_token or login.refresh_token,
            expires=expiry(grant.access_token, grant.expires_in, now=self.clock()),
        )
        self.file.write(renewed)
        return renewed


def login_of(issuer: Issuer, client: Client, grant: Grant, *, now: float) -> Login:
    """Return what is kept of a grant that was given now, in seconds since 1970."""
    return Login(
        Registration(
            issuer=issuer.issuer,
            client_id=client.client_id,
            scope=client.scope,
            resource=client.resource,
            token_endpoint=issuer.token_endpoint,
            revocation_endpoint=issuer.revocation_endpoint,
            ca_file=str(issuer.authority.absolute()) if issuer.authority else "",
        ),
        access_token=grant.access_token,
        refresh_token=grant.refresh_token,
        expires=expiry(grant.access_token, grant.expires_in, now=now),
    )


def client_of(login: Login) -> Client:
    """Return what this client is to the issuer of a login."""
    return Client(login.at.client_id, login.at.scope, login.at.resource)


def issuer_of(login: Login) -> Issuer:
    """Return the issuer of a login, as far as tokens are renewed and revoked there."""
    at = login.at
    authority = Path(at.ca_file) if at.ca_file else None
    return Issuer(at.issuer, "", at.token_endpoint, at.revocation_endpoint, authority=authority)


def _over(message: str) -> CliError:
    return CliError(
        message, exit_code=ExitCode.PRECONDITION, advice="log in again: `homeward login`"
    )
