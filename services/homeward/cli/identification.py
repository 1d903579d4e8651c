"""What tells a service who calls and what for: an access token, a purpose and a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from homeward.cli.tokens import TokenSource
from homeward.core.caller_metadata import CASE, PURPOSE

TOKEN_FILE, TOKEN_COMMAND = "HOMEWARD_TOKEN_FILE", "HOMEWARD_TOKEN_COMMAND"
STATED = ("HOMEWARD_PURPOSE", "HOMEWARD_CASE")

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Identification:
    """Who calls and what for, as a command tells it with each of its calls."""

    token: TokenSource | None = None
    """None where nobody is named."""
    purpose: str = ""
    case: str = ""

    @classmethod
    def stating(cls, token: TokenSource | None, given: Mapping[str, str]) -> Identification:
        """Return that of a token with what is stated.

        Args:
            token: Names who calls.
            given: By the names in `STATED`, among others; empty or missing is not told.
        """
        purpose, case = (given.get(name, "") for name in STATED)
        return cls(token, purpose, case)

    def __bool__(self) -> bool:
        """Tell whether anything is told."""
        return self.token is not None or bool(self.purpose or self.case)

    def metadata(self) -> Metadata:
        """Return what is sent with a call; the token is asked for anew.

        Raises:
            CliError: There is no token where one was to be.
        """
        stated = ((PURPOSE, self.purpose), (CASE, self.case))
        told = tuple((key, quote(value, safe=" ")) for key, value in stated if value)
        if self.token is None:
            return told
        return (("authorization", f"Bearer {self.token.token()}"), *told)
