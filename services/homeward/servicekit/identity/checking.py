"""What a server checks its callers with, by its settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from homeward.servicekit.identity.access import declared_access
from homeward.servicekit.identity.authorise import Authorisation
from homeward.servicekit.identity.keys import KeysError
from homeward.servicekit.identity.rules import AuthFileError, read_rules
from homeward.servicekit.identity.tokens import verifier_of
from homeward.servicekit.interceptors import Around

log = structlog.get_logger()


def checking(auth_file: Path | None, services: Sequence[str]) -> list[Around]:
    """Return what lets those callers through whom a file says to trust; nothing without a file.

    Args:
        auth_file: See `rules`.
        services: Full names of what the server serves.

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
        return []
    rules = read_rules(auth_file)
    tokens = None
    if rules.tokens is not None:
        try:
            tokens = verifier_of(rules.tokens, restrict_to_cases=rules.restrict_to_cases)
        except KeysError as error:
            raise AuthFileError(f"{auth_file}: tokens.keys: {error}") from error
    log.info(
        "callers are checked",
        services=len(rules.services),
        tokens=tokens is not None,
        restricted_to_cases=rules.restrict_to_cases,
        purpose_required=rules.require_purpose,
    )
    return [Authorisation(rules, access, tokens)]
