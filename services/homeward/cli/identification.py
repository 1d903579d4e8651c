"""What tells a service who calls and what for: an access token, a purpose and a case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from homeward.cli.errors import CliError
from homeward.core.caller_metadata import CASE, MAX_TOKEN_BYTES, PURPOSE

VARIABLES = ("HOMEWARD_TOKEN_FILE", "HOMEWARD_PURPOSE", "HOMEWARD_CASE")

Metadata = tuple[tuple[str, str], ...]


def identification(given: Mapping[str, str]) -> Metadata:
    """Return the metadata that tells who calls and what for.

    Args:
        given: By the names in `VARIABLES`, among others; empty or missing is not told.

    Raises:
        CliError: The token's file cannot be read, or holds no token.
    """
    metadata: list[tuple[str, str]] = []
    if file := given.get("HOMEWARD_TOKEN_FILE"):
        metadata.append(("authorization", f"Bearer {_token(Path(file))}"))
    metadata += [
        (key, quote(value, safe=" "))
        for key, variable in ((PURPOSE, "HOMEWARD_PURPOSE"), (CASE, "HOMEWARD_CASE"))
        if (value := given.get(variable))
    ]
    return tuple(metadata)


def _token(file: Path) -> str:
    """Read a token anew for each command: a program that renews it replaces the file."""
    advice = "have it hold one access token and nothing else: see docs/security.md"
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise CliError(
            f"the access token in {file} (HOMEWARD_TOKEN_FILE) cannot be read: {error.strerror}",
            advice=advice,
        ) from error
    token = data.strip()
    if not token or len(data) > MAX_TOKEN_BYTES or not token.isascii() or len(token.split()) > 1:
        raise CliError(f"{file} (HOMEWARD_TOKEN_FILE) holds no access token", advice=advice)
    return token.decode("ascii")
