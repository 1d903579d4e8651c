"""The file that says whom a server trusts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from authority import Authority
from homeward.api.matching.v1 import subject_service_pb2
from homeward.core.networks import is_loopback_address
from homeward.servicekit.identity.caller import Role
from homeward.servicekit.identity.checking import checking
from homeward.servicekit.identity.rules import AuthFileError, read_rules
from homeward.servicekit.settings import ServiceSettings
from issuer import Issuer

TOML = """
services = ["homeward-ingestion", "spiffe://force/case-management"]
restrict_to_cases = true

[tokens]
issuer = "https://login.example.org/realms/force"
audience = "homeward"
keys = "https://login.example.org/realms/force/protocol/openid-connect/certs"
keys_ca_file = "issuer-ca.crt"
roles_claim = "realm_access.roles"

[tokens.roles]
mispers = ["investigator"]
mispers-review = ["reviewer", "investigator"]
"""
SERVICE = subject_service_pb2.DESCRIPTOR.services_by_name["SubjectService"].full_name
TOKENS = {"issuer": "https://i", "audience": "homeward", "keys": "keys.json"}


def test_a_file_in_toml_is_read(tmp_path: Path) -> None:
    (tmp_path / "auth.toml").write_text(TOML)

    rules = read_rules(tmp_path / "auth.toml")

    assert rules.services == {"homeward-ingestion", "spiffe://force/case-management"}
    assert (rules.restrict_to_cases, rules.require_purpose) == (True, True)
    assert rules.tokens is not None
    assert rules.tokens.keys_ca_file == str(tmp_path / "issuer-ca.crt")
    assert rules.tokens.roles == {
        "mispers": {Role.INVESTIGATOR},
        "mispers-review": {Role.REVIEWER, Role.INVESTIGATOR},
    }


def test_a_file_of_keys_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text(json.dumps({"tokens": TOKENS}))

    rules = read_rules(tmp_path / "auth.json")

    assert rules.tokens is not None
    assert rules.tokens.keys == str(tmp_path / "keys.json")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "lets nobody in"),
        ({"programs": {"robot": ["auditor", "reviewer"]}}, "may be auditor, operator, uploader"),
        ({"programs": {"robot": ["service"]}}, "may be auditor, operator, uploader"),
        ({"service": ["a"]}, "unknown field `service`"),
        ({"tokens": {"issuer": "https://i"}}, "missing required field `audience`"),
        ({"tokens": TOKENS | {"algorithms": ["HS256"]}}, "HS256"),
        ({"tokens": TOKENS | {"algorithms": ["none"]}}, "none"),
        ({"tokens": TOKENS | {"algorithms": []}}, "length >= 1"),
        ({"tokens": TOKENS | {"keys": "http://i/keys"}}, "must be an https URL"),
        ({"tokens": TOKENS | {"keys": "https:///keys"}}, "must be an https URL"),
        ({"tokens": TOKENS | {"keys": "https://i:port/keys"}}, "must be an https URL"),
        ({"tokens": TOKENS | {"keys": "https://me:secret@i/keys"}}, "must be an https URL"),
        ({"tokens": TOKENS | {"roles": {"x": ["chief"]}}}, "chief"),
        ({"tokens": TOKENS | {"roles": {"x": ["service"]}}}, "no token may give"),
        ({"tokens": TOKENS | {"clock_skew_seconds": 300.001}}, "<= 300"),
        ({"tokens": TOKENS | {"clock_skew_seconds": -0.001}}, ">= 0"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(
    tmp_path: Path, content: dict[str, Any], problem: str
) -> None:
    (tmp_path / "auth.json").write_text(json.dumps(content))

    with pytest.raises(AuthFileError, match=rf"auth\.json.*{problem}"):
        read_rules(tmp_path / "auth.json")


@pytest.mark.parametrize("content", [None, "]"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "auth.toml"
    if content is not None:
        path.write_text(content)

    with pytest.raises(AuthFileError, match=r"auth\.toml"):
        read_rules(path)


def test_a_server_without_a_file_checks_nobody() -> None:
    assert checking(None, [SERVICE]) == []


def test_a_server_does_not_start_without_the_keys_that_its_file_names(tmp_path: Path) -> None:
    path = Issuer().write(tmp_path / "auth")
    (path.parent / "keys.json").unlink()

    with pytest.raises(AuthFileError, match=r"tokens\.keys: .*keys\.json cannot be read"):
        checking(path, [])


def test_a_server_does_not_start_without_the_authority_that_its_file_names(
    tmp_path: Path,
) -> None:
    tokens = TOKENS | {"keys": "https://i/keys", "keys_ca_file": "ca.pem"}
    path = Issuer().write(tmp_path / "auth", tokens=tokens)

    with pytest.raises(AuthFileError, match=r"ca\.pem cannot be used: No such file"):
        checking(path, [])


@pytest.mark.parametrize(
    ("listen", "alone"),
    [
        ("127.0.0.1:0", True),
        ("localhost:5000", True),
        ("[::1]:5000", True),
        ("0.0.0.0:5000", False),
        ("[::]:5000", False),
        ("10.0.0.1:5000", False),
        ("matching:5000", False),
    ],
)
def test_tokens_are_not_taken_in_plain_text_but_on_loopback(listen: str, *, alone: bool) -> None:
    assert is_loopback_address(listen) is alone


def test_settings_refuse_tokens_in_plain_text(tmp_path: Path) -> None:
    file = Issuer().write(tmp_path / "auth")
    tls = Authority().write(tmp_path / "tls")

    with pytest.raises(ValidationError, match="HOMEWARD_AUTH_FILE needs TLS"):
        ServiceSettings(listen="0.0.0.0:5000", auth_file=file)
    ServiceSettings(
        listen="0.0.0.0:5000",
        auth_file=file,
        tls_cert_file=tls.certificate,
        tls_key_file=tls.key,
        tls_ca_file=tls.authority,
    )
