"""Which certificates make a service."""

from __future__ import annotations

import pytest

from homeward.servicekit.identity.caller import Role
from homeward.servicekit.identity.certificates import by_folded_name, caller_of

SERVICES = frozenset({"homeward-ingestion", "spiffe://force/cases"})


def connection(
    *, common: str = "", dns: tuple[str, ...] = (), uri: tuple[str, ...] = (), mail: str = ""
) -> dict[str, list[bytes]]:
    """Return what gRPC tells of a certificate."""
    found = {
        "x509_common_name": [common] if common else [],
        "x509_subject_alternative_name": [*dns, *uri, *([mail] if mail else [])],
        "peer_dns": list(dns),
        "peer_uri": list(uri),
        "peer_email": [mail] if mail else [],
    }
    return {name: [one.encode() for one in values] for name, values in found.items() if values}


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (connection(dns=("homeward-ingestion.homeward.svc", "homeward-ingestion")), True),
        (connection(dns=("Homeward-Ingestion",)), True),
        (connection(uri=("spiffe://force/cases",)), True),
        (connection(common="homeward-ingestion"), False),
        (connection(common="homeward-ingestion", dns=("another",)), False),
        (connection(mail="homeward-ingestion"), False),
        (connection(common="homeward-ingestion", mail="a@b"), False),
        (connection(dns=("homeward-ingestion.evil",)), False),
        (connection(dns=("*",)), False),
        (connection(), False),
        ({}, False),
    ],
)
def test_a_service_is_known_by_its_names(told: dict[str, list[bytes]], *, known: bool) -> None:
    caller = caller_of(told, by_folded_name(dict.fromkeys(SERVICES, frozenset({Role.SERVICE}))))

    assert (caller is not None) is known
    assert caller is None or (caller.roles, caller.cases) == ({Role.SERVICE}, None)
