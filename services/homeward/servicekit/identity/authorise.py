"""Who calls, and whether they may, around every call: deny by default."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import grpc

from homeward.api.common.v1 import options_pb2
from homeward.core.caller_metadata import CASE, PURPOSE
from homeward.servicekit import errors
from homeward.servicekit.identity.access import RpcAccess
from homeward.servicekit.identity.caller import (
    OF_NO_CASE,
    Caller,
    Role,
    acting_for,
    require_case,
)
from homeward.servicekit.identity.certificates import by_folded_name, caller_of
from homeward.servicekit.identity.rules import AuthRules
from homeward.servicekit.identity.tokens import TokenVerifier
from homeward.servicekit.interceptors import UNKNOWN, Call

MAX_PURPOSE_LENGTH = 500
"""Characters of a purpose."""
MAX_CASE_LENGTH = 100
"""Characters of a case reference."""

AUTHORIZATION = "authorization"
"""Metadata with an access token."""

_OPEN = frozenset({"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"})
"""Services that anybody may call, where they are served: they tell of nobody."""

_WITH_PURPOSE: frozenset[int] = frozenset(
    {
        options_pb2.OPERATION_CONSULTATION,
        options_pb2.OPERATION_COMBINATION,
        options_pb2.OPERATION_DISCLOSURE,
    }
)


class Identification:
    """Lets calls through whose caller is known.

    It is by itself, and not part of `Authorisation`, so that quotas stand between the two: a call
    that is refused counts against who made it, as it leaves an event that nobody can remove.

    Args:
        rules: Whom the server trusts.
        tokens: Checks access tokens; None where no token is accepted.
    """

    def __init__(self, rules: AuthRules, tokens: TokenVerifier | None) -> None:
        services = dict.fromkeys(rules.services, frozenset({Role.SERVICE}))
        self._certificates = by_folded_name({**rules.programs, **services})
        self._tokens = tokens

    @asynccontextmanager
    async def __call__(self, call: Call) -> AsyncIterator[None]:
        """Run a call as its caller; see `interceptors.Around`.

        Raises:
            UnauthenticatedError: `TOKEN_MISSING`, and as of `TokenVerifier.verify`.
        """
        if _is_open(call):
            yield
            return
        metadata = call.context.invocation_metadata() or ()
        authorization = _texts(metadata, AUTHORIZATION)
        caller = call.exchange.caller = await self._known(call.context, authorization)
        with acting_for(caller):
            yield

    async def _known(
        self, context: grpc.aio.ServicerContext[Any, Any], authorization: Sequence[str]
    ) -> Caller:
        """Return who calls: whom a token names, else whom the connection's certificate names."""
        if authorization:
            scheme, _, token = authorization[0].partition(" ")
            if self._tokens is None or len(authorization) > 1 or scheme.lower() != "bearer":
                raise errors.UnauthenticatedError(
                    "the call's authorization is not accepted: one access token is, as"
                    " `Bearer TOKEN`, where this service is told of its issuer",
                    reason=errors.Reason.TOKEN_INVALID,
                )
            return await self._tokens.verify(token.strip())
        known = caller_of(context.auth_context(), self._certificates)
        if known is None:
            raise errors.UnauthenticatedError(
                "nobody is known to make this call: send an access token in `authorization`"
                " metadata, or connect with the certificate of a service that is listed here",
                reason=errors.Reason.TOKEN_MISSING,
            )
        return known


class Authorisation:
    """Lets calls through whose caller has a role that the RPC names.

    Args:
        rules: What the server asks of its callers.
        access: What the protos state of the RPCs that it serves.
    """

    def __init__(self, rules: AuthRules, access: Mapping[str, RpcAccess]) -> None:
        self._rules = rules
        self._access = access

    @asynccontextmanager
    async def __call__(self, call: Call) -> AsyncIterator[None]:
        """Run a call for its caller, inside of `Identification`, or refuse it.

        Raises:
            PermissionDeniedError: `ROLE_MISSING`, `CASE_NOT_ASSIGNED`.
            InvalidArgumentError: `PURPOSE_REQUIRED`, `FIELD_INVALID`.
        """
        if _is_open(call):
            yield
            return
        caller, metadata = call.exchange.caller, call.context.invocation_metadata() or ()
        assert caller is not None, "who is not known does not get as far as this"
        # First: the event of a call that is refused has what was stated.
        caller = call.exchange.caller = replace(
            caller,
            purpose=_stated(metadata, PURPOSE, most=MAX_PURPOSE_LENGTH),
            case_reference=_stated(metadata, CASE, most=MAX_CASE_LENGTH),
        )
        access = self._access.get(call.rpc)
        fitting = caller.roles & access.roles if access else frozenset()
        if access is None or not fitting:
            raise _role_missing(access)
        if _texts(metadata, AUTHORIZATION):
            # A service acts for somebody else, and a program for all cases.
            self._require_purpose(caller, access, fitting)
        with acting_for(caller):
            if caller.case_reference:
                require_case(caller.case_reference)
            yield

    def _require_purpose(self, caller: Caller, access: RpcAccess, fitting: frozenset[Role]) -> None:
        """Refuse a call that must say what it is for and does not.

        A case is asked of those who call as somebody who works on cases.
        """
        if not self._rules.require_purpose or access.operation not in _WITH_PURPOSE:
            return
        missing = [] if caller.purpose else [PURPOSE]
        if not caller.case_reference and not fitting & OF_NO_CASE:
            missing.append(CASE)
        if missing:
            raise errors.InvalidArgumentError(
                f"the call must say what it is for: its metadata lacks {' and '.join(missing)}",
                reason=errors.Reason.PURPOSE_REQUIRED,
                metadata={"missing": ",".join(missing)},
            )


def _is_open(call: Call) -> bool:
    """Tell whether anybody may make a call."""
    # What answers `UNKNOWN` does nothing but say that there is no such RPC.
    return call.rpc == UNKNOWN or call.rpc.partition("/")[0] in _OPEN


def _role_missing(access: RpcAccess | None) -> errors.PermissionDeniedError:
    roles = sorted(access.roles) if access else []
    named = ("the role " if len(roles) == 1 else "one of the roles ") + ", ".join(roles)
    needed = f"{named} may" if roles else "nobody may"
    return errors.PermissionDeniedError(
        f"the caller may not make this call: {needed}",
        reason=errors.Reason.ROLE_MISSING,
        metadata={"roles": ",".join(roles)},
    )


def _texts(metadata: Iterable[tuple[str, str | bytes]], key: str) -> list[str]:
    return [value for name, value in metadata if name == key and isinstance(value, str)]


def _stated(metadata: Iterable[tuple[str, str | bytes]], key: str, *, most: int) -> str:
    """Return what a caller states in metadata, or "".

    Raises:
        InvalidArgumentError: It comes twice, is too long, or has characters that do not print.
    """
    given = _texts(metadata, key)
    if len(given) > 1:
        raise errors.invalid_field(key, "must be sent once")
    text = unquote(given[0]).strip() if given else ""
    if len(text) > most:
        raise errors.invalid_field(key, f"has {len(text)} characters, at most {most} are allowed")
    if not text.isprintable():
        raise errors.invalid_field(key, "has control characters")
    return text
