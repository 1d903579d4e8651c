"""`homeward login`, `logout` and `whoami`: the access token of the person at the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from homeward.cli import times
from homeward.cli.connect import Places, Target
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.login_token import ORIGIN, client_of, issuer_of, login_of
from homeward.cli.logins import Login
from homeward.cli.oauth import Client, DeviceCode, Issuer, OAuthError, UnreachableError
from homeward.cli.options import Command, Session, connected
from homeward.cli.tokens import claims_of, expiry

SETTINGS = {
    "issuer": "HOMEWARD_ISSUER",
    "client_id": "HOMEWARD_CLIENT_ID",
    "scope": "HOMEWARD_SCOPE",
    "resource": "HOMEWARD_RESOURCE",
    "ca_file": "HOMEWARD_ISSUER_CA_FILE",
}
"""Variables by option; in a profile they are in lower case and without `HOMEWARD_`."""


@click.command(
    "login",
    cls=Command,
    examples=[
        "homeward login --issuer https://login.example.police.uk/realms/force --client-id homeward",
        "homeward login --profile force",
    ],
)
@click.option("--issuer", metavar="URL", help="Who issues tokens, as in `iss`.")
@click.option("--client-id", metavar="ID", help="What the issuer knows this client as.")
@click.option(
    "--scope",
    metavar="SCOPES",
    help=f"What is asked for. [default: {Client('').scope}]",
)
@click.option(
    "--resource",
    metavar="URI",
    help="Which service the token is for (RFC 8707), where the issuer wants to be told.",
)
@click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Authority of the issuer's host (PEM). [default: those that the system trusts]",
)
@connected
def login(session: Session, /, **given: Any) -> None:  # noqa: ANN401 - options, see below
    """Get an access token of your force's issuer, by confirming a code in a browser.

    The browser may be on another device. The token, and one that renews it if the issuer gives
    one, are kept in your settings folder, readable for you alone, and used by commands with the
    same --profile. What is not given is taken from HOMEWARD_ISSUER, HOMEWARD_CLIENT_ID and so on,
    else from the profile: issuer, client_id, scope, resource, issuer_ca_file.
    """
    places = session.connections.places
    wanted = {name: str(given[name] or places.setting(SETTINGS[name])) for name in SETTINGS}
    for name in ("issuer", "client_id"):
        if not wanted[name]:
            raise CliError(
                f"nothing says which {name.replace('_', ' ')} to use",
                exit_code=ExitCode.USAGE,
                advice=f"give --{name.replace('_', '-')}, or write {name} into the profile",
            )
    authority = Path(wanted["ca_file"]) if wanted["ca_file"] else None
    issuer = Issuer.discover(wanted["issuer"], authority=authority)
    client = Client(
        wanted["client_id"],
        scope=wanted["scope"] or Client("").scope,
        resource=wanted["resource"],
    )
    code = issuer.begin(client)
    _show(session, code)
    grant = issuer.wait(client, code, sleep=time.sleep, clock=time.monotonic)
    kept = login_of(issuer, client, grant, now=time.time())
    places.login().write(kept)
    _tell(session, kept.access_token, ORIGIN, expires=kept.expires, renewed=_is_renewed(kept))


@click.command(
    "logout", cls=Command, examples=["homeward logout", "homeward logout --profile force"]
)
@connected
def logout(session: Session) -> None:
    """Forget the login, and have the issuer refuse what renews it.

    An access token that was given out serves until its time is over.
    """
    file = session.connections.places.login()
    kept = file.read() if file.path.exists() else None
    if kept is None:
        raise CliError("you are not logged in", exit_code=ExitCode.NOT_FOUND)
    problem = _revoked(kept)
    file.remove()
    if problem:
        session.view.say(f"The issuer was not told: {problem}")
    session.view.say(f"Logged out of {kept.at.issuer}.")
    if session.view.json:
        session.view.document({"issuer": kept.at.issuer, "revoked": not problem})


@click.command("whoami", cls=Command, examples=["homeward whoami", "homeward whoami --output json"])
@connected
def whoami(session: Session) -> None:
    """Show as whom commands call: name, roles, cases, and until when.

    As the token says, which services check; what it does not name, their auth file may. The token
    itself is not shown.
    """
    places = session.connections.places
    source = places.identification(_called(places)).token
    if source is None:
        raise CliError(
            "nothing names you: services that check who calls refuse you",
            exit_code=ExitCode.NOT_FOUND,
            advice="`homeward login`, or name a token in HOMEWARD_TOKEN_FILE",
        )
    token = source.token()
    kept = places.login().read() if source.origin == ORIGIN else None
    expires = kept.expires if kept else expiry(token, None, now=time.time())
    _tell(session, token, source.origin, expires=expires, renewed=_is_renewed(kept))


def _called(places: Places) -> Target:
    """Return a service that commands call; one that is nowhere, where nothing says where it is."""
    try:
        return places.find("matching")
    except CliError:
        return Target("", "nowhere", "")


def _show(session: Session, code: DeviceCode) -> None:
    minutes = max(1, round(code.expires_in / 60))
    session.view.say(f"Open {code.verification_uri} in a browser, and enter the code:")
    for line in ("", f"    {code.user_code}", ""):
        session.view.say(line)
    if code.verification_uri_complete:
        session.view.say(f"Or open {code.verification_uri_complete} and compare the code.")
    session.view.say(f"Waiting for up to {minutes} min; Ctrl-C gives up.")


def _revoked(kept: Login) -> str:
    """Have a login's refresh token refused; return why that was not done, or nothing."""
    if not kept.refresh_token:
        return ""
    if not kept.at.revocation_endpoint:
        return "it has no way to take tokens back"
    try:
        issuer_of(kept).revoke(client_of(kept), kept.refresh_token)
    except (OAuthError, UnreachableError) as error:
        return str(error)
    return ""


def _is_renewed(kept: Login | None) -> bool:
    return kept is not None and bool(kept.refresh_token)


def _tell(
    session: Session, token: str, origin: str, *, expires: float | None, renewed: bool
) -> None:
    """Say who has a token, without the token."""
    claims = _with_roles(claims_of(token) or {})
    until = datetime.fromtimestamp(expires, UTC) if expires is not None else None
    if session.view.json:
        identity = {
            "name": claims.get("sub"),
            "roles": claims.get("roles"),
            "cases": claims.get("cases"),
            "issuer": claims.get("iss"),
            "expireTime": until.isoformat(timespec="seconds") if until else None,
            "renewed": renewed,
            "from": origin,
        }
        session.view.document({name: one for name, one in identity.items() if one is not None})
        return
    session.view.details(
        [
            ("name", _words(claims, "sub")),
            ("roles", _words(claims, "roles")),
            ("cases", _words(claims, "cases")),
            ("issuer", _words(claims, "iss")),
            ("until", _until(until, renewed=renewed)),
            ("from", origin),
        ]
    )


def _with_roles(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return claims in which roles are where most issuers name them, if Keycloak has."""
    realm = claims.get("realm_access")
    if "roles" in claims or not isinstance(realm, Mapping) or "roles" not in realm:
        return claims
    return {**claims, "roles": realm["roles"]}


def _words(claims: Mapping[str, Any], name: str) -> str:
    """Return what a claim says, for people."""
    if not claims:
        return "told to services alone (the token is opaque)" if name == "sub" else ""
    value = claims.get(name)
    if value is None:
        return "not named in the token" if name in ("roles", "cases") else ""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        texts = ["every case" if one == "*" and name == "cases" else str(one) for one in value]
        return ", ".join(texts) or "none"
    return str(value)


def _until(until: datetime | None, *, renewed: bool) -> str:
    if until is None:
        return "nobody says"
    over = " (OVER)" if until <= datetime.now(UTC) else ""
    return f"{times.shown_instant(until)}{over}" + (", then renewed" if renewed else "")
