"""Where logins are kept: a file each, in a folder that is closed to others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from homeward.cli.errors import CliError
from homeward.core.private_files import make_private_folder, write_private

try:
    import fcntl
except ImportError:  # on Windows, where two commands at once may both renew a token
    fcntl = None  # type: ignore[assignment]

FOLDER = "logins"
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Registration:
    """Where somebody logged in, and as which client: what a token is renewed and revoked with."""

    issuer: str
    client_id: str
    scope: str
    resource: str
    token_endpoint: str
    revocation_endpoint: str
    ca_file: str
    """PEM file with the authority of the issuer's hosts; empty for those that the system trusts."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where somebody logged in, and the tokens that came of it."""

    at: Registration
    access_token: str
    refresh_token: str
    """Empty if the issuer gave none."""
    expires: float | None
    """When the access token's time is over, seconds since 1970; None where nobody knows."""

    def __repr__(self) -> str:
        return f"Login({self.at.issuer!r})"  # a traceback must not show tokens


@dataclass(frozen=True, slots=True)
class LoginFile:
    """The login of a profile, or of no profile."""

    path: Path

    @classmethod
    def of(cls, settings: Path, profile: str | None) -> LoginFile:
        """Return that of a profile; None for commands that name no profile.

        Args:
            settings: Folder of the user's settings.
            profile: Its name.
        """
        name = f"profile-{quote(profile, safe='')}" if profile else _DEFAULT
        return cls(settings / FOLDER / f"{name}.json")

    def read(self) -> Login | None:
        """Return the login; None if there is none.

        Raises:
            CliError: The file is damaged.
        """
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            return Login(**{**kept, "at": Registration(**kept["at"])})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise CliError(
                f"{self.path} holds no login", advice="`homeward login` writes it anew"
            ) from error

    def write(self, login: Login) -> None:
        """Keep a login, readable for its owner alone."""
        make_private_folder(self.path.parent)
        write_private(self.path, json.dumps(asdict(login), indent=2) + "\n")

    def remove(self) -> None:
        """Forget the login."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from renewing the login while the block runs.

        A refresh token often serves once: two commands that use it at once would end the login.
        """
        lock = self.path.with_suffix(".lock")
        with lock.open("w") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
