"""Services and programs by the names in the certificates that they connect with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from homeward.servicekit.identity.caller import Caller, Role

_NAMES = ("peer_dns", "peer_uri")
"""Where gRPC tells a client certificate's subject alternative names, by kind: a name that an
authority took for a mail address is no service's."""


def caller_of(
    connection: Mapping[str, Iterable[bytes]], known: Mapping[str, frozenset[Role]]
) -> Caller | None:
    """Return the service or program that a connection was opened by; None if it is none.

    gRPC has checked by then that an authority of ours signed the certificate, and that it is valid.

    Args:
        connection: What gRPC tells of it (`auth_context`).
        known: Roles as of `by_folded_name`.
    """
    for name in certificate_names(connection):
        roles = known.get(name.casefold())
        if roles is not None:
            return Caller(name, roles)
    return None


def by_folded_name(roles: Mapping[str, frozenset[Role]]) -> dict[str, frozenset[Role]]:
    """Return roles by names in certificates, which are compared without regard to capitals."""
    return {name.casefold(): given for name, given in roles.items()}


def certificate_names(connection: Mapping[str, Iterable[bytes]]) -> list[str]:
    """Return the DNS names and URIs in a certificate.

    Its common name is none: authorities check what stands there by no rule, and the certificates
    that they give to people have no other name often enough (RFC 9525, 2).
    """
    return [name for kind in _NAMES for name in _texts(connection.get(kind, ()))]


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode("utf-8", "replace") for value in values]
