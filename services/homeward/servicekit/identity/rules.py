"""The file that says whom a server trusts: `HOMEWARD_AUTH_FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from homeward.servicekit.identity.caller import OF_NO_CASE, Role

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
"""Of signatures by a private key. With a shared key (`HS256`) whoever checks could also sign, and
`none` is no signature."""

TokenType = Literal["at+jwt", "JWT"]
"""What access tokens state of themselves (RFC 9068), and what tokens of any kind do. With the same
key, for the same audience, an issuer signs others, which are to let nobody in: of a logout, say."""

MAX_CLOCK_SKEW_SECONDS = 300
"""Most that clocks may differ: a token lives so much longer."""

EVERY_CASE = "*"
"""A case in a token that stands for all of them."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class AuthFileError(Exception):
    """A file of rules that cannot be used; says where, and why."""


class TokenRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which access tokens are accepted, and what their claims mean."""

    issuer: Text
    """The `iss` of a token, to the letter."""
    audience: Text
    """Which its `aud` must be, or list."""
    keys: Text
    """The issuer's keys (JWKS, RFC 7517): an https URL, or a file beside this one."""
    keys_ca_file: Text | None = None
    """PEM file with the authority of that URL's host; None for those that the system trusts."""
    algorithms: Annotated[tuple[Algorithm, ...], msgspec.Meta(min_length=1)] = (
        "RS256",
        "PS256",
        "ES256",
        "EdDSA",
    )
    """Those that a signature may be of."""
    types: Annotated[tuple[TokenType, ...], msgspec.Meta(min_length=1)] = ("at+jwt", "JWT")
    """Those that the `typ` of a token may be; one without counts as `JWT`."""
    clock_skew_seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_CLOCK_SKEW_SECONDS)] = 60.0
    """How much the issuer's clock may differ from ours."""
    name_claim: Text = "sub"
    """The claim that names the caller; one that nobody else ever gets."""
    roles_claim: Text = "roles"
    """The claim that lists what stands for roles; `a.b` is `b` inside of `a`."""
    cases_claim: Text = "cases"
    """The claim that lists case references; `*` among them stands for every case."""
    roles: dict[str, frozenset[Role]] | None = None
    """Which roles each value of that claim gives; None where the values are the roles' names."""


class AuthRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a server trusts, and what it asks of them."""

    services: frozenset[Text] = frozenset()
    """Names in certificates (subject alternative names: DNS names and URIs) of Homeward's own
    services and of others that have the role `service`."""
    programs: dict[Text, frozenset[Role]] = {}
    """Roles of programs that run unattended, by the names in their certificates: those that work on
    no case."""
    tokens: TokenRules | None = None
    """None where nobody calls but services."""
    restrict_to_cases: bool = False
    """Whether people see what belongs to the cases in their token, and nothing else."""
    require_purpose: bool = True
    """Whether those who have a token must say why they read, combine or disclose, and, who works on
    cases, for which case."""


def read_rules(path: Path) -> AuthRules:
    """Return the rules in a file, TOML or JSON by the end of its name.

    Relative names of files in it are taken from its folder.

    Raises:
        AuthFileError: It cannot be read, or says what cannot be.
    """
    try:
        rules = _decoded(path)
    except OSError as error:
        raise AuthFileError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise AuthFileError(f"{path}: {error}") from error
    if not rules.services and not rules.programs and rules.tokens is None:
        raise AuthFileError(f"{path} lets nobody in: give services, or [tokens]")
    for name, roles in rules.programs.items():
        if not roles <= OF_NO_CASE:
            raise AuthFileError(
                f"{path}: programs.{name} may be {', '.join(sorted(OF_NO_CASE))}: who has another"
                " role works on cases, and needs a token that says which"
            )
    if rules.tokens is None:
        return rules
    _check_roles(path, rules.tokens)
    tokens = rules.tokens
    changes: dict[str, Any] = {}
    if not is_url(tokens.keys):
        changes["keys"] = str(path.parent / tokens.keys)
    elif not _is_https(tokens.keys):
        raise AuthFileError(f"{path}: tokens.keys must be an https URL, or a file")
    if tokens.keys_ca_file is not None:
        changes["keys_ca_file"] = str(path.parent / tokens.keys_ca_file)
    return msgspec.structs.replace(rules, tokens=msgspec.structs.replace(tokens, **changes))


def is_url(keys: str) -> bool:
    """Tell whether keys are fetched, and not read from a file."""
    return "://" in keys


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of its port
        return False
    return parts.scheme == "https" and named and "@" not in parts.netloc


def _decoded(path: Path) -> AuthRules:
    data = path.read_bytes()
    if path.suffix == ".json":
        return msgspec.json.decode(data, type=AuthRules)
    return msgspec.toml.decode(data, type=AuthRules)


def _check_roles(path: Path, tokens: TokenRules) -> None:
    for value, roles in (tokens.roles or {}).items():
        if Role.SERVICE in roles:
            raise AuthFileError(
                f"{path}: tokens.roles.{value} gives the role service, which no token may give:"
                " list the name in the certificate under services"
            )
