"""Access tokens (JWT, RFC 9068) as callers: signature, issuer, audience, times, claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import structlog

from homeward.core.caller_metadata import MAX_TOKEN_BYTES
from homeward.servicekit import errors
from homeward.servicekit.identity.caller import Caller, Role
from homeward.servicekit.identity.keys import (
    FileKeys,
    Keys,
    KeysError,
    UrlKeys,
    fetch_over_https,
    trusting,
)
from homeward.servicekit.identity.rules import EVERY_CASE, TokenRules, is_url

MAX_NAME_LENGTH = 200
"""Characters of the claim that names the caller."""

_INVALID = (
    "the access token is not accepted: it must be signed by the issuer that this service trusts,"
    " and issued for Homeward; get a new one there"
)

log = structlog.get_logger()


class TokenVerifier:
    """Tells who has an access token.

    Args:
        rules: Which tokens are accepted, and what they mean.
        keys: The issuer's.
        restrict_to_cases: Whether callers see the cases in their token alone.
        taken: Names of services and programs, which no token may give: the audit trail would tell
            a person's calls as theirs. Compared without regard to capitals.
    """

    def __init__(
        self,
        rules: TokenRules,
        keys: Keys,
        *,
        restrict_to_cases: bool,
        taken: Collection[str] = (),
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._restricted = restrict_to_cases
        self._types = frozenset(one.casefold() for one in rules.types)
        self._taken = frozenset(name.casefold() for name in taken)

    async def verify(self, token: str) -> Caller:
        """Return who has a token.

        Raises:
            UnauthenticatedError: `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_NOT_YET_VALID`. What
                exactly is wrong with one that is not validly signed for us is logged, not told.
            UnavailableError: The issuer's keys cannot be had.
        """
        claims = await self._claims(token)
        name = claims.get(self._rules.name_claim)
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise _invalid(f"its claim {self._rules.name_claim} is no name")
        if not name.isprintable():
            raise _invalid(f"its claim {self._rules.name_claim} has control characters")
        if name.casefold() in self._taken:
            raise _invalid(f"its claim {self._rules.name_claim} is the name of a service")
        return Caller(name, self._roles(claims), self._cases(claims))

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > MAX_TOKEN_BYTES:
            raise _invalid(f"it has {len(token)} bytes, at most {MAX_TOKEN_BYTES} are looked at")
        try:
            header = jwt.get_unverified_header(token)
            algorithm, key_id = header.get("alg"), header.get("kid")
            if algorithm not in self._rules.algorithms:
                raise _invalid("its algorithm is not one that is allowed")
            if _type(header) not in self._types:
                raise _invalid("its type is not one that is allowed")
            key = await self._keys.find(key_id, algorithm)
            if key is None:
                raise _invalid("it names no key of the issuer")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],  # one of the allowed ones, see above
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=self._rules.clock_skew_seconds,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise errors.UnauthenticatedError(
                "the access token's time is over: get a new one",
                reason=errors.Reason.TOKEN_EXPIRED,
            ) from error
        except jwt.ImmatureSignatureError as error:
            raise errors.UnauthenticatedError(
                "the access token's time has not begun: the clocks of its issuer and of this"
                " service differ",
                reason=errors.Reason.TOKEN_NOT_YET_VALID,
            ) from error
        except (jwt.PyJWTError, KeysError) as error:
            raise _invalid(_problem(error)) from error
        return claims

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        """Return the roles of a caller; what stands for none of ours counts for nothing."""
        values = _texts(_claim(claims, self._rules.roles_claim), separator=" ")
        if self._rules.roles is not None:
            given = self._rules.roles
            return frozenset(role for value in values for role in given.get(value, ()))
        names = {role.value: role for role in Role if role is not Role.SERVICE}
        return frozenset(names[value] for value in values if value in names)

    def _cases(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        if not self._restricted:
            return None
        cases = frozenset(_texts(_claim(claims, self._rules.cases_claim)))
        return None if EVERY_CASE in cases else cases


def verifier_of(
    rules: TokenRules, *, restrict_to_cases: bool, taken: Collection[str]
) -> TokenVerifier:
    """Return what checks tokens, see `TokenVerifier`. Files are read; a URL is not called yet.

    Raises:
        KeysError: A file cannot be used.
    """
    keys: Keys
    if is_url(rules.keys):
        authority = Path(rules.keys_ca_file) if rules.keys_ca_file else None
        trusting(authority)  # found out now, and read anew for each fetch
        keys = UrlKeys(partial(fetch_over_https, rules.keys, authority), address=rules.keys)
    else:
        keys = FileKeys(Path(rules.keys))
    return TokenVerifier(rules, keys, restrict_to_cases=restrict_to_cases, taken=taken)


def _type(header: Mapping[str, Any]) -> str:
    """Return the type that a token states, as media types are compared (RFC 7515, 4.1.9)."""
    return str(header.get("typ") or "JWT").casefold().removeprefix("application/")


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """Return a claim by its name, or by the path of names to it; None if there is none."""
    if name in claims:  # one that has a dot in its name, as a URL has
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(value: object, *, separator: str | None = None) -> list[str]:
    """Return the texts that a claim lists; it may be a single one, or several in one text."""
    if isinstance(value, str):
        return value.split(separator) if separator else [value]
    if isinstance(value, list):
        return [one for one in value if isinstance(one, str)]
    return []


def _problem(error: Exception) -> str:
    """Return what is wrong with a token for the log, without anything that stands in it."""
    return str(error) if isinstance(error, KeysError) else type(error).__name__


def _invalid(problem: str) -> errors.UnauthenticatedError:
    log.info("access token refused", problem=problem)
    return errors.UnauthenticatedError(_INVALID, reason=errors.Reason.TOKEN_INVALID)
