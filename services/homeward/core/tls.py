"""Mutual TLS between the services and their clients: one certificate, key and authority each.

Every certificate that the authority signed is let in; who may do what is not decided here.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc

VARIABLES = ("HOMEWARD_TLS_CERT_FILE", "HOMEWARD_TLS_KEY_FILE", "HOMEWARD_TLS_CA_FILE")

_FOR_CLIENTS_ONLY = 26
"""OpenSSL's X509_V_ERR_INVALID_PURPOSE, of a certificate that does not serve as a server's."""


DISTRUST = (
    "its certificate must be signed by HOMEWARD_TLS_CA_FILE and name the host that is called, or"
    " the name that HOMEWARD_INGESTION_TLS_SERVER_NAME and so on give instead"
)


class TlsError(Exception):
    """Files that TLS cannot be spoken with; says which, and why."""


@dataclass(frozen=True, slots=True)
class Material:
    """What the files hold, in PEM."""

    certificates: bytes
    """Ours first, then those between it and the authority."""
    key: bytes
    authorities: bytes


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificate, key and authority are."""

    certificate: Path
    key: Path
    authority: Path

    @classmethod
    def among(cls, given: Mapping[str, str | Path | None]) -> Self | None:
        """Return the files that settings name; None when they name none.

        Args:
            given: By the names in `VARIABLES`, among others.

        Raises:
            TlsError: Some are named, and others are not.
        """
        paths = [given.get(name) for name in VARIABLES]
        named = [path for path in paths if path]
        if not named:
            return None
        if len(named) < len(VARIABLES):
            missing = [name for name, path in zip(VARIABLES, paths, strict=True) if not path]
            raise TlsError(
                f"TLS needs a certificate, its key and an authority: set {' and '.join(missing)}"
                " too, or none of them"
            )
        return cls(*map(Path, named))

    def read(self, *, serving: bool = True) -> Material:
        """Read the files, and try them out.

        Args:
            serving: Whether a server is to prove itself with them, and not only a client.

        Raises:
            TlsError: One cannot be read, or they do not serve as a certificate that the authority
                has signed and that is valid now.
        """
        material = Material(*map(_read, (self.certificate, self.key, self.authority)))
        self._try_out(serving=serving)
        return material

    def _try_out(self, *, serving: bool) -> None:
        """Shake hands with ourselves, in memory: what we would refuse, others refuse of us."""
        ours = _context(ssl.PROTOCOL_TLS_SERVER)
        try:
            ours.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise TlsError(
                f"{self.certificate} and {self.key} are no certificate and its key: {_why(error)}"
            ) from error
        peer = _context(ssl.PROTOCOL_TLS_CLIENT)
        try:
            peer.load_verify_locations(self.authority)
        except ssl.SSLError as error:
            raise TlsError(f"{self.authority} holds no certificate: {_why(error)}") from error
        try:
            _shake_hands(ours, peer)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code == _FOR_CLIENTS_ONLY and not serving:
                return
            raise TlsError(
                f"{self.certificate} is refused with {self.authority}: {error.verify_message}"
            ) from error


class Rotation:
    """The material of files that are replaced while it is used.

    Args:
        files: Read at once.
        on_error: Told why files that changed cannot be used; what was read before stays in use.

    Raises:
        TlsError: See `TlsFiles.read`.
    """

    def __init__(self, files: TlsFiles, on_error: Callable[[TlsError], None]) -> None:
        self._files = files
        self._on_error = on_error
        self._stamp = self._stamped()
        self.material = files.read()

    def changed(self) -> bool:
        """Read the files again if they were replaced; return whether there is new material."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        try:
            self.material = self._files.read()
        except TlsError as error:
            self._on_error(error)
            return False  # and looked at again: it may have been read half way through
        self._stamp = stamp
        return True

    def _stamped(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(
            map(stamp_of, (self._files.certificate, self._files.key, self._files.authority))
        )


def server_credentials(
    files: TlsFiles, on_error: Callable[[TlsError], None]
) -> grpc.ServerCredentials:
    """Return what a server proves itself with and admits clients by; follows the files.

    Args:
        files: Looked at on each new connection.
        on_error: See `Rotation`.

    Raises:
        TlsError: See `TlsFiles.read`.
    """
    rotation = Rotation(files, on_error)

    def configuration() -> grpc.ServerCertificateConfiguration:
        material = rotation.material
        return grpc.ssl_server_certificate_configuration(
            [(material.key, material.certificates)], root_certificates=material.authorities
        )

    def renewed() -> Any:  # noqa: ANN401 - None for no change, which the types leave out
        return configuration() if rotation.changed() else None

    return grpc.dynamic_ssl_server_credentials(
        configuration(), renewed, require_client_authentication=True
    )


def channel_credentials(material: Material) -> grpc.ChannelCredentials:
    """Return what a client proves itself with and knows servers by; fixed, in gRPC for Python."""
    return grpc.ssl_channel_credentials(
        root_certificates=material.authorities,
        private_key=material.key,
        certificate_chain=material.certificates,
    )


def server_name_variable(service: str) -> str:
    """Return the variable that names what a service's certificate must name."""
    return f"HOMEWARD_{service.upper()}_TLS_SERVER_NAME"


def server_name_options(name: str | None) -> list[tuple[str, str]]:
    """Return the channel options by which a server's certificate must have another name.

    It is the name that is sent (SNI) and looked for in the certificate, instead of the host that is
    called. The certificate must be signed by our authority all the same.

    Args:
        name: Such as `homeward-matching`; None looks for the host that is called.
    """
    return [("grpc.default_authority", name)] if name else []


def distrusted(details: str) -> bool:
    """Tell whether gRPC's words on a failed call mean that the peer's certificate was refused.

    A peer that refuses ours closes the connection, and nothing tells that from one that is away.
    """
    return "handshake failed" in details or "Verification Check failed" in details


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path} cannot be read: {error.strerror}") from error


def stamp_of(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is replaced; None while there is none."""
    try:
        state = path.stat()  # of what a link leads to: a mounted secret is replaced by its link
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ino


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocol == ssl.PROTOCOL_TLS_CLIENT:
        context.check_hostname = False  # nobody's name but our own is known here
    return context


def _no_password() -> str:
    raise ValueError("it is encrypted")  # and OpenSSL would ask for its password on the terminal


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


def _why(error: ssl.SSLError | ValueError) -> str:
    return getattr(error, "reason", None) or str(error)
