from __future__ import annotations

import re
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner, Result

from homeward.cli.errors import CliError
from homeward.embedded.access import StackAccess
from homeward.embedded.token_command import ROLES, token
from homeward.embedded.tokens import ROLES as GIVEN
from homeward.embedded.tokens import TokenIssuer


def create(data: Path, *arguments: str) -> Result:
    file = str(data / "anna.token")
    return CliRunner().invoke(
        token, ["create", *arguments, "--save", file, "--data", str(data)], standalone_mode=False
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    StackAccess.of(tmp_path).prepare(("matching",), new_key=False, require_purpose=False)
    return tmp_path


def test_a_token_may_have_every_role_but_that_of_services() -> None:
    assert set(ROLES) == {role.value for role in GIVEN}


def test_a_token_is_written_for_its_owner_alone_and_not_shown(data: Path) -> None:
    done = create(
        data, "reviewer", "investigator", "--for", "anna", "--case", "C-1", "--hours", "2"
    )

    written = (data / "anna.token").read_text().strip()
    claims = jwt.decode(written, options={"verify_signature": False})
    assert done.exit_code == 0, done.output
    assert (claims["sub"], claims["roles"], claims["cases"]) == (
        "anna",
        ["investigator", "reviewer"],
        ["C-1"],
    )
    assert claims["exp"] - claims["iat"] == 2 * 3600
    assert (data / "anna.token").stat().st_mode & 0o777 == 0o600
    assert written not in done.output
    assert re.search(r"anna is investigator, reviewer of C-1 until \S+Z", done.output)


def test_without_a_case_it_is_for_every_case(data: Path) -> None:
    create(data, "auditor")

    written = (data / "anna.token").read_text().strip()
    claims = jwt.decode(written, options={"verify_signature": False})
    assert claims["cases"] == ["*"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("auditor", "--for", ""), "--for takes 1 to 100"),
        (("auditor", "--for", "x" * 101), "--for takes 1 to 100"),
        (("auditor", "--for", "a\x1b[2J"), "--for takes 1 to 100"),
        (("auditor", "--case", "*"), "--case takes 1 to 100"),
        (("service",), "'service' is not one of"),
        (("auditor", "--hours", "745"), "not in the range"),
    ],
)
def test_what_no_service_would_accept_is_refused(
    data: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = create(data, *arguments)

    assert told in str(getattr(done.exception, "message", done.exception))
    assert not (data / "anna.token").exists()


def test_a_folder_that_no_stack_has_run_on_is_told(tmp_path: Path) -> None:
    done = create(tmp_path, "auditor")

    assert isinstance(done.exception, CliError)
    assert done.exception.message == f"no Homeward stack has run on {tmp_path}"


def test_the_key_of_another_user_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> TokenIssuer:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(TokenIssuer, "read", refuse)
    done = create(data, "auditor")

    assert isinstance(done.exception, CliError)
    assert "another user's" in done.exception.message
    assert "ask whoever started" in done.exception.advice
