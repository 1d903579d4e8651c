"""Where a command's token comes from, and when it is asked for anew."""

from __future__ import annotations

import json
import stat
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from homeward.cli import tokens
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.login_token import LoginToken
from homeward.cli.logins import Login, LoginFile, Registration
from homeward.cli.tokens import EARLY_SECONDS, CommandToken, FileToken, claims_of
from issuer import Issuer
from oauth_issuer import OAuthIssuer, given, running_issuer

NOW = 1_800_000_000.0
VARIABLE = "HOMEWARD_TOKEN_COMMAND"


def printing(text: str, *, code: int = 0) -> CommandToken:
    """Return the command that prints a text and ends so."""
    program = f"import sys; sys.stdout.write({text!r}); sys.exit({code})"
    return CommandToken([sys.executable, "-c", program], VARIABLE, clock=lambda: NOW)


def counting(tmp_path: Path, *, expires: float | None, clock: list[float]) -> CommandToken:
    """Return a command that prints another token each time, and a clock to set."""
    until = f', "expirationTimestamp": "{_zulu(expires)}"' if expires is not None else ""
    program = (
        f"from pathlib import Path; file = Path({str(tmp_path / 'runs')!r});"
        " count = len(file.read_text()) if file.exists() else 0;"
        " file.write_text('x' * (count + 1));"
        f' print(\'{{{{"token": "{{}}"{until}}}}}\'.format(count))'
    )
    return CommandToken([sys.executable, "-c", program], VARIABLE, clock=lambda: clock[0])


def _zulu(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    "printed",
    [
        "a.b.c",
        " a.b.c\n",
        '{"token": "a.b.c"}',
        '{"token": "a.b.c", "expirationTimestamp": "2027-01-16T09:00:00Z"}',
        '{"kind": "ExecCredential", "status": {"token": "a.b.c"}}',
    ],
)
def test_a_program_prints_a_token_or_json(printed: str) -> None:
    assert printing(printed).token() == "a.b.c"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (printing("", code=3), "ended with exit code 3"),
        (printing("a b"), "printed no single access token"),
        (printing(""), "printed no single access token"),
        (printing('{"access": 1}'), "printed JSON that is not"),
        (printing("{"), "printed JSON that is not"),
        (
            printing('{"token": "a", "expirationTimestamp": "2027-01-15T08:00:00"}'),
            "printed JSON that is not",
        ),
        (
            printing('{"token": "a", "expirationTimestamp": "2026-01-01T00:00:00Z"}'),
            "printed a token whose time is over",
        ),
        (printing("x" * 100_000), "printed more than 65536 bytes"),
        (CommandToken(["/nowhere/get-token", "secret"], VARIABLE), "cannot be run: No such file"),
        (
            CommandToken([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], VARIABLE),
            "was ended by signal 9",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_program_that_gives_no_token_is_told_with_how_it_ended(
    command: CommandToken, told: str
) -> None:
    with pytest.raises(CliError) as caught:
        command.token()

    name = command.command[0]
    assert caught.value.message.startswith(f"the command {name} ({VARIABLE}) {told}")
    assert "secret" not in caught.value.message


def test_a_program_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "COMMAND_SECONDS", 0.1)
    program = [sys.executable, "-c", "import time; time.sleep(60)"]
    began = time.monotonic()

    with pytest.raises(CliError, match=r"did not end within 0\.1 s"):
        CommandToken(program, VARIABLE).token()

    assert time.monotonic() - began < 30


def test_a_program_is_run_once_while_its_token_serves(tmp_path: Path) -> None:
    clock = [NOW]
    command = counting(tmp_path, expires=NOW + 600, clock=clock)
    before = [command.token(), command.token()]
    clock[0] = NOW + 600 - EARLY_SECONDS - 1
    still = command.token()
    clock[0] += 1
    after = command.token()

    assert (before, still, after) == (["0", "0"], "0", "1")


def test_a_program_that_names_no_end_is_run_once(tmp_path: Path) -> None:
    clock = [NOW]
    command = counting(tmp_path, expires=None, clock=clock)
    first = command.token()
    clock[0] += 1_000_000

    assert command.token() == first


def test_words_of_a_command_are_told_apart_as_in_a_shell() -> None:
    assert CommandToken.parsed("get-token --for 'a b'", VARIABLE).command == [
        "get-token",
        "--for",
        "a b",
    ]


@pytest.mark.parametrize("line", ["'open", " "])
def test_a_line_that_is_no_command_is_told(line: str) -> None:
    with pytest.raises(CliError, match=f"{VARIABLE} is no command"):
        CommandToken.parsed(line, VARIABLE)


def test_a_file_is_read_again_for_each_call(tmp_path: Path) -> None:
    source = FileToken(tmp_path / "token", "HOMEWARD_TOKEN_FILE")
    source.file.write_text("first\n")
    first = source.token()
    source.file.write_text("second\n")

    assert (first, source.token()) == ("first", "second")


@pytest.fixture
def issuer() -> Iterator[OAuthIssuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def kept(tmp_path: Path) -> LoginFile:
    return LoginFile.of(tmp_path, "force")


def login(issuer: OAuthIssuer, *, expires: float | None, refresh: str = "again") -> Login:
    return Login(
        Registration(
            issuer=issuer.url,
            client_id="homeward-cli",
            scope="openid offline_access",
            resource="",
            token_endpoint=f"{issuer.url}/token",
            revocation_endpoint="",
            ca_file="",
        ),
        access_token="old",
        refresh_token=refresh,
        expires=expires,
    )


def test_a_login_is_kept_for_its_owner_alone(kept: LoginFile, issuer: OAuthIssuer) -> None:
    kept.write(login(issuer, expires=NOW))

    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700


def test_profiles_have_logins_of_their_own(tmp_path: Path) -> None:
    names = ("force", "default", "a/../b", "profile-force", None)
    paths = {LoginFile.of(tmp_path, name).path for name in names}

    assert len(paths) == len(names)
    assert {path.parent for path in paths} == {tmp_path / "logins"}


def test_a_token_that_serves_is_not_renewed(kept: LoginFile, issuer: OAuthIssuer) -> None:
    kept.write(login(issuer, expires=NOW + EARLY_SECONDS + 1))

    assert LoginToken(kept, clock=lambda: NOW).token() == "old"
    assert issuer.asked == []


def test_a_token_that_is_about_to_end_is_renewed_and_kept(
    kept: LoginFile, issuer: OAuthIssuer
) -> None:
    kept.write(login(issuer, expires=NOW + EARLY_SECONDS))
    issuer.answers["/token"].append(given("new", refresh_token="next"))
    source = LoginToken(kept, clock=lambda: NOW)

    assert (source.token(), source.token()) == ("new", "new")
    renewed = kept.read()
    assert renewed is not None
    assert (renewed.access_token, renewed.refresh_token) == ("new", "next")
    assert renewed.expires == NOW + 300
    assert issuer.forms("/token") == [
        {"grant_type": "refresh_token", "refresh_token": "again", "client_id": "homeward-cli"}
    ]


def test_a_refresh_token_that_is_not_replaced_goes_on_serving(
    kept: LoginFile, issuer: OAuthIssuer
) -> None:
    kept.write(login(issuer, expires=NOW))
    issuer.answers["/token"].append(given("new"))
    LoginToken(kept, clock=lambda: NOW).token()

    renewed = kept.read()
    assert renewed is not None
    assert renewed.refresh_token == "again"


def test_commands_at_once_use_a_refresh_token_once(kept: LoginFile, issuer: OAuthIssuer) -> None:
    kept.write(login(issuer, expires=NOW))
    issuer.answers["/token"].append(given("new", refresh_token="next"))
    got: list[str] = []
    commands = [
        threading.Thread(target=lambda: got.append(LoginToken(kept, clock=lambda: NOW).token()))
        for _ in range(8)
    ]
    for command in commands:
        command.start()
    for command in commands:
        command.join()

    assert got == ["new"] * 8
    assert len(issuer.forms("/token")) == 1


def test_a_login_that_the_issuer_has_ended_is_told(kept: LoginFile, issuer: OAuthIssuer) -> None:
    kept.write(login(issuer, expires=NOW + 30))
    issuer.answers["/token"].append((400, {"error": "invalid_grant"}))

    with pytest.raises(CliError, match="cannot be renewed: invalid_grant") as caught:
        LoginToken(kept, clock=lambda: NOW).token()
    assert (caught.value.exit_code, caught.value.advice) == (
        ExitCode.PRECONDITION,
        "log in again: `homeward login`",
    )


@pytest.mark.parametrize("refresh", ["again", ""])
def test_a_token_serves_to_its_end_where_it_cannot_be_renewed(
    kept: LoginFile, issuer: OAuthIssuer, refresh: str
) -> None:
    kept.write(login(issuer, expires=NOW + 30, refresh=refresh))
    issuer.answers["/token"].append((503, {}))

    assert LoginToken(kept, clock=lambda: NOW).token() == "old"


@pytest.mark.parametrize(
    ("refresh", "told"),
    [("again", "does not answer, so that the login cannot be renewed"), ("", "is over")],
)
def test_a_login_whose_time_is_over_is_told(
    kept: LoginFile, issuer: OAuthIssuer, refresh: str, told: str
) -> None:
    kept.write(login(issuer, expires=NOW, refresh=refresh))
    issuer.answers["/token"].append((503, {}))

    with pytest.raises(CliError, match=told):
        LoginToken(kept, clock=lambda: NOW).token()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"issuer": 1}'])
def test_a_damaged_login_is_told(kept: LoginFile, content: str) -> None:
    kept.path.parent.mkdir()
    kept.path.write_text(content)

    with pytest.raises(CliError, match="holds no login"):
        LoginToken(kept).token()


def test_what_a_token_says_is_read_without_its_key() -> None:
    token = Issuer().token("reviewer", cases=["C-1"])
    claims = claims_of(token)

    assert claims is not None
    assert (claims["roles"], claims["cases"]) == (["reviewer"], ["C-1"])


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.!.c", "a.W10.c"])
def test_a_token_that_says_nothing_is_no_fault(token: str) -> None:
    assert claims_of(token) is None


def test_a_login_shows_no_token(issuer: OAuthIssuer) -> None:
    shown = repr(login(issuer, expires=None))

    assert "old" not in shown
    assert "again" not in shown
    assert json.dumps(issuer.url) in shown.replace("'", '"')
