"""What a server checks its callers with, by its settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from homeward.servicekit.identity.access import declared_access
from homeward.servicekit.identity.authorise import Authorisation, Identification
from homeward.servicekit.identity.keys import KeysError
from homeward.servicekit.identity.rules import AuthFileError, read_rules
from homeward.servicekit.identity.tokens import verifier_of
from homeward.servicekit.interceptors import Around

log = structlog.get_logger()


def checking(
    auth_file: Path | None, services: Sequence[str], *, limits: Sequence[Around] = ()
) -> list[Around]:
    """Return what lets those callers through whom a file says to trust.

    Args:
        auth_file: See `rules`; None lets everybody through.
        services: Full names of what the server serves.
        limits: How much a caller may ask for; applied once it is known who calls, and before it is
            known whether they may.

    Returns:
        What calls run inside of, outermost first; without a file the limits alone.

    Raises:
        UndeclaredRpcError: An RPC states no access or operation, whether there is a file or not.
        AuthFileError: The file cannot be used.
    """
    access = declared_access(services)
    if auth_file is None:
        if services:
            log.warning(
                "callers are not checked: whoever reaches the port may call everything",
                advice="set HOMEWARD_AUTH_FILE, see docs/security.md",
            )
        return [*limits]
    rules = read_rules(auth_file)
    tokens = None
    if rules.tokens is not None:
        try:
            tokens = verifier_of(
                rules.tokens,
                restrict_to_cases=rules.restrict_to_cases,
                taken=[*rules.services, *rules.programs],
            )
        except KeysError as error:
            raise AuthFileError(f"{auth_file}: tokens.keys: {error}") from error
    log.info(
        "callers are checked",
        services=len(rules.services),
        tokens=tokens is not None,
        restricted_to_cases=rules.restrict_to_cases,
        purpose_required=rules.require_purpose,
    )
    return [Identification(rules, tokens), *limits, Authorisation(rules, access)]
