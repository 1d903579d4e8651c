"""Who calls and what for: sent where nobody else can read it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeward.cli.connect import Connections, Places, Target
from homeward.cli.errors import CliError
from homeward.cli.identification import Metadata
from homeward.core.caller_metadata import MAX_TOKEN_BYTES

TOKEN = "head.body.signature"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="ascii")
    return file


def places(tmp_path: Path, environment: dict[str, str], *, profile: str = "") -> Places:
    settings = tmp_path / "config.toml"
    settings.write_text(f"[profiles.force]\n{profile}", encoding="utf-8")
    return Places(
        options={},
        environment=environment,
        profile="force" if profile else None,
        settings_file=settings,
        data=tmp_path,
    )


def sent_with(tmp_path: Path, environment: dict[str, str], *, profile: str = "") -> Metadata:
    """Return what is sent with a call to a service."""
    where = places(tmp_path, environment, profile=profile)
    return where.identification(Target("matching:1", "here", "")).metadata()


@pytest.mark.parametrize("empty", [{}, {"HOMEWARD_TOKEN_FILE": "", "HOMEWARD_PURPOSE": ""}])
def test_nothing_is_sent_that_was_not_given(tmp_path: Path, empty: dict[str, str]) -> None:
    assert sent_with(tmp_path, empty) == ()


def test_token_purpose_and_case_are_sent_as_the_services_read_them(
    tmp_path: Path, token_file: Path
) -> None:
    sent = sent_with(
        tmp_path,
        {
            "HOMEWARD_TOKEN_FILE": str(token_file),
            "HOMEWARD_PURPOSE": "find Zoë, 100 %",
            "HOMEWARD_CASE": "CASE-7/2026",
        },
    )

    assert sent == (
        ("authorization", f"Bearer {TOKEN}"),
        ("homeward-purpose", "find Zo%C3%AB%2C 100 %25"),
        ("homeward-case", "CASE-7%2F2026"),
    )


@pytest.mark.parametrize(
    "content",
    [b"", b" \n", b"two tokens", "höad".encode(), b"x" * (MAX_TOKEN_BYTES + 1)],
    ids=["empty", "blank", "two", "not ASCII", "too long"],
)
def test_a_file_without_a_token_is_told_of(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)

    with pytest.raises(CliError, match="holds no access token") as caught:
        sent_with(tmp_path, {"HOMEWARD_TOKEN_FILE": str(file)})
    assert str(file) in str(caught.value)


def test_a_token_of_the_greatest_length_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"x" * MAX_TOKEN_BYTES)

    ((_, sent),) = sent_with(tmp_path, {"HOMEWARD_TOKEN_FILE": str(file)})
    assert len(sent) == len("Bearer ") + MAX_TOKEN_BYTES


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="cannot be read: No such file"):
        sent_with(tmp_path, {"HOMEWARD_TOKEN_FILE": str(tmp_path / "none")})


def test_a_profile_holds_them_and_a_variable_counts_more(tmp_path: Path, token_file: Path) -> None:
    profile = f'token_file = "{token_file}"\npurpose = "of the profile"\ncase = "C-1"\n'

    sent = sent_with(tmp_path, {"HOMEWARD_CASE": "C-2"}, profile=profile)

    assert sent == (
        ("authorization", f"Bearer {TOKEN}"),
        ("homeward-purpose", "of the profile"),
        ("homeward-case", "C-2"),
    )


@pytest.mark.parametrize(
    "address",
    [
        "matching.example:5000",
        "192.0.2.1:5000",
        "dns:///matching:5000",
        "ipv4:192.0.2.1:1,192.0.2.2:1",
    ],
)
def test_they_are_not_sent_in_plain_text_to_another_machine(tmp_path: Path, address: str) -> None:
    given = {"HOMEWARD_MATCHING_TARGET": address, "HOMEWARD_PURPOSE": "find CASE-7"}

    with (
        Connections(places(tmp_path, given)) as connections,
        pytest.raises(CliError, match="plain text") as caught,
    ):
        connections.channel("matching")
    assert "HOMEWARD_TLS_CERT_FILE" in caught.value.advice


@pytest.mark.parametrize("address", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"])
def test_they_are_sent_in_plain_text_to_this_machine(tmp_path: Path, address: str) -> None:
    given = {"HOMEWARD_MATCHING_TARGET": address, "HOMEWARD_PURPOSE": "find CASE-7"}

    with Connections(places(tmp_path, given)) as connections:
        assert connections.channel("matching") is not None


def test_a_profile_names_a_command_for_the_token(tmp_path: Path, token_file: Path) -> None:
    sent = sent_with(tmp_path, {}, profile=f"token_command = \"cat '{token_file}'\"\n")

    assert sent == (("authorization", f"Bearer {TOKEN}"),)


def test_a_setting_that_is_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"token_command of profile force .* must be text"):
        sent_with(tmp_path, {}, profile='token_command = ["cat", "token"]\n')


def test_a_token_is_asked_for_anew_with_each_call(tmp_path: Path, token_file: Path) -> None:
    environment = {"HOMEWARD_TOKEN_FILE": str(token_file)}
    identification = places(tmp_path, environment).identification(Target("matching:1", "", ""))
    before = identification.metadata()
    token_file.write_text("renewed")

    assert (before, identification.metadata()) == (
        (("authorization", f"Bearer {TOKEN}"),),
        (("authorization", "Bearer renewed"),),
    )
