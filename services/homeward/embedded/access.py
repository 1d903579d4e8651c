"""Who gets into a stack: its services by certificates, its user by a token.

`secrets/access` is for the services, `access` for the commands of the user who started the stack.
Both are readable for that user alone, so that another user of the machine has neither.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from homeward.core.tls import VARIABLES, TlsFiles, channel_credentials
from homeward.embedded.certificates import CertificateAuthority, tls_files
from homeward.embedded.errors import StackError
from homeward.embedded.files import make_private_folder, write_private
from homeward.embedded.tokens import (
    ALGORITHM,
    AUDIENCE,
    ISSUER,
    LIFETIME,
    ROLES,
    TokenIssuer,
    user_name,
)

SUPERVISOR = "homeward-up"
"""What the supervisor's own certificate names; it has the role `service`."""
CLIENT = "client"
"""What the certificate of the user's commands names. It gives no role: their token does."""

TOKEN_NAME = "token"  # noqa: S105 - a file's name
KEY_NAME = "token.key"
CHECK_SECONDS = 60.0
"""Between two looks at the user's token: less than it still serves when it is renewed."""


@dataclass(frozen=True, slots=True)
class StackAccess:
    """The files by which a stack lets callers in."""

    secrets: Path
    """Folder for the services."""
    user: Path
    """Folder for the user's commands."""
    name: str = field(default_factory=user_name)
    """What the user is called in the token."""

    @classmethod
    def of(cls, data: Path, *, name: str = "") -> StackAccess:
        """Return those of the stack in a folder; without a name, the user has the account's."""
        folders = (data / "secrets" / "access", data / "access")
        return cls(*folders, name) if name else cls(*folders)

    @property
    def token(self) -> Path:
        """The user's token."""
        return self.user / TOKEN_NAME

    @property
    def key(self) -> Path:
        """The key that signs tokens."""
        return self.secrets / KEY_NAME

    @property
    def auth_file(self) -> Path:
        """What the services are told of whom to trust."""
        return self.secrets / "auth.json"

    def prepare(self, services: Iterable[str], *, new_key: bool, require_purpose: bool) -> None:
        """Write all of it: certificates and the auth file anew, and a key where there is none.

        Args:
            services: Short names of the services, such as `matching`.
            new_key: Whether tokens that were issued before are to be refused.
            require_purpose: Whether callers must say what they read personal data for.

        Raises:
            StackError: The key that is there is damaged.
        """
        make_private_folder(self.secrets)
        make_private_folder(self.user)
        try:
            issuer = TokenIssuer.with_new_key(self.key) if new_key else TokenIssuer.read(self.key)
        except FileNotFoundError:
            issuer = TokenIssuer.with_new_key(self.key)
        names = [certificate_name(service) for service in services] + [SUPERVISOR]
        authority = CertificateAuthority()
        for name in names:
            authority.write(self.secrets, name)
        authority.write(self.user, CLIENT, serves=False)
        write_private(self.secrets / "keys.json", issuer.key_set())
        rules = _rules(names, require_purpose=require_purpose)
        write_private(self.auth_file, json.dumps(rules, indent=2) + "\n")
        self.renew_token()

    def environment(self, service: str) -> Mapping[str, str]:
        """Return the settings by which a service proves itself."""
        files = tls_files(self.secrets, certificate_name(service))
        paths = (files.certificate, files.key, files.authority)
        return dict(zip(VARIABLES, map(str, paths), strict=True))

    def renew_token(self) -> None:
        """Give the user a new token: of every role, for every case.

        Raises:
            OSError: A file cannot be read or written.
            StackError: The key is damaged.
        """
        issuer = TokenIssuer.read(self.key)
        token = issuer.issue(self.name, ROLES, now=datetime.now(UTC), lifetime=LIFETIME)
        write_private(self.token, token + "\n")

    def token_age(self) -> timedelta | None:
        """Return how long ago the user's token was written; None if there is none."""
        try:
            written = datetime.fromtimestamp(self.token.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None
        return datetime.now(UTC) - written

    def withdraw(self) -> None:
        """Remove the user's token, once nothing runs that it lets into."""
        self.token.unlink(missing_ok=True)

    def user_credentials(self) -> grpc.ChannelCredentials:
        """Return what a program of the user's calls the services with: certificate and token.

        Raises:
            OSError: No stack runs.
            TlsError: See `TlsFiles.read`.
        """
        token = self.token.read_text(encoding="ascii").strip()
        return grpc.composite_channel_credentials(
            _channel_credentials(tls_files(self.user, CLIENT)),
            grpc.access_token_call_credentials(token),
        )

    def service_credentials(self) -> grpc.ChannelCredentials:
        """Return what the supervisor calls the services with, as a service.

        Raises:
            TlsError: See `TlsFiles.read`.
        """
        return _channel_credentials(tls_files(self.secrets, SUPERVISOR))


def certificate_name(service: str) -> str:
    """Return what the certificate of a service names."""
    return f"homeward-{service}"


def keep_token_fresh(
    access: StackAccess, *, stopping: threading.Event, say: Callable[[str], None]
) -> None:
    """Renew the user's token when half of its time is over, until the stack stops.

    A failure is told, and tried again at the next look.
    """
    while not stopping.wait(CHECK_SECONDS):
        age = access.token_age()
        # One from the future was written before the clock was set back.
        if age is not None and timedelta() <= age < LIFETIME / 2:
            continue
        try:
            access.renew_token()
        except (OSError, StackError) as error:
            say(f"the access token in {access.token} cannot be renewed: {error}")


def _rules(services: Iterable[str], *, require_purpose: bool) -> dict[str, Any]:
    """Return the content of an auth file; see `servicekit.identity.rules`."""
    return {
        "services": list(services),
        "restrict_to_cases": True,
        "require_purpose": require_purpose,
        "tokens": {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "keys": "keys.json",
            "algorithms": [ALGORITHM],
        },
    }


def _channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    return channel_credentials(files.read(serving=False))
