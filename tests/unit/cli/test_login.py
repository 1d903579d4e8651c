"""`homeward login`, `logout` and `whoami`, with an issuer that answers as it is told."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from homeward.cli import options, zones
from homeward.cli.__main__ import run
from homeward.cli.commands import login as login_module
from homeward.cli.errors import ExitCode
from issuer import ISSUER, Issuer
from oauth_issuer import PENDING, OAuthIssuer, given, running_issuer

TOKEN = Issuer().token(
    # Collected before all other tests, used after many: the suite takes longer than a token serves.
    *("investigator", "reviewer"),
    sub="anna",
    cases=["C-1", "*"],
    exp=int(time.time()) + 86_400,
)
Homeward = Callable[..., tuple[int, str, str]]


@pytest.fixture
def issuer() -> Iterator[OAuthIssuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def homeward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Homeward:
    """Runs a command of somebody whose settings are in a new folder; returns code and output."""
    for name in [name for name in os.environ if name.startswith("HOMEWARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOMEWARD_DATA", str(tmp_path / "no stack"))
    monkeypatch.setattr(options, "user_config_path", lambda _: tmp_path)
    monkeypatch.setattr(zones, "user_config_path", lambda _: tmp_path)
    monkeypatch.setattr(login_module.time, "sleep", lambda _: None)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return command


def log_in(homeward: Homeward, issuer: OAuthIssuer, *more: str) -> tuple[int, str, str]:
    return homeward("login", "--issuer", issuer.url, "--client-id", "cli", *more)


def document(homeward: Homeward, *arguments: str) -> Any:
    code, out, err = homeward(*arguments, "--output", "json")
    assert code == 0, err
    return json.loads(out)


def test_a_person_logs_in_and_is_told_who_they_are_without_the_token(
    homeward: Homeward, issuer: OAuthIssuer, tmp_path: Path
) -> None:
    issuer.answers["/token"] += [PENDING, given(TOKEN, refresh_token="again")]
    code, out, err = log_in(homeward, issuer)
    who = document(homeward, "whoami")

    assert code == 0, err
    assert f"{issuer.url}/activate" in out
    assert "WDJB-MJHT" in out
    assert (who["name"], who["roles"], who["cases"]) == (
        "anna",
        ["investigator", "reviewer"],
        ["C-1", "*"],
    )
    assert (who["issuer"], who["renewed"], who["from"]) == (ISSUER, True, "homeward login")
    kept = tmp_path / "logins" / "default.json"
    assert TOKEN in kept.read_text()
    assert TOKEN not in out + err + json.dumps(who)


def test_who_somebody_is_reads_as_a_person_would_say_it(
    homeward: Homeward, issuer: OAuthIssuer
) -> None:
    issuer.answers["/token"].append(given(TOKEN))
    log_in(homeward, issuer)
    _, out, _ = homeward("whoami")

    told = dict(line.split(":", 1) for line in out.splitlines())
    assert told["roles"].strip() == "investigator, reviewer"
    assert told["cases"].strip() == "C-1, every case"


def test_the_roles_that_keycloak_names_are_told(homeward: Homeward, issuer: OAuthIssuer) -> None:
    token = Issuer().token(roles=None, realm_access={"roles": ["investigator"]})
    issuer.answers["/token"].append(given(token))
    log_in(homeward, issuer)

    assert document(homeward, "whoami")["roles"] == ["investigator"]


def test_a_profile_names_the_issuer_and_keeps_the_login_for_itself(
    homeward: Homeward, issuer: OAuthIssuer, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(
        f'[profiles.force]\nissuer = "{issuer.url}"\nclient_id = "cli"\nscope = "openid"\n'
        'resource = "urn:homeward"\nmatching = "localhost:1"\n'
    )
    issuer.answers["/token"].append(given(TOKEN))
    code, _, err = homeward("login", "--profile", "force")

    assert code == 0, err
    assert issuer.forms("/device") == [
        {"client_id": "cli", "scope": "openid", "resource": "urn:homeward"}
    ]
    assert document(homeward, "whoami", "--profile", "force")["name"] == "anna"
    assert homeward("whoami")[0] == ExitCode.NOT_FOUND


def test_what_is_not_said_is_asked_for(homeward: Homeward) -> None:
    code, _, err = homeward("login", "--issuer", "https://login.example.org")

    assert code == ExitCode.USAGE
    assert "advice: give --client-id, or write client_id into the profile" in err


def test_who_logs_out_is_forgotten_here_and_there(
    homeward: Homeward, issuer: OAuthIssuer, tmp_path: Path
) -> None:
    issuer.answers["/token"].append(given(TOKEN, refresh_token="again"))
    log_in(homeward, issuer)
    code, out, _ = homeward("logout")

    assert (code, out) == (0, f"Logged out of {issuer.url}.\n")
    assert [form["token"] for form in issuer.forms("/revoke")] == ["again"]
    assert not (tmp_path / "logins" / "default.json").exists()
    assert homeward("logout")[0] == ExitCode.NOT_FOUND


def test_who_logs_out_is_forgotten_here_though_the_issuer_is_not_told(
    homeward: Homeward, issuer: OAuthIssuer, tmp_path: Path
) -> None:
    issuer.answers["/token"].append(given(TOKEN, refresh_token="again"))
    issuer.answers["/revoke"].appendleft((503, {}))
    log_in(homeward, issuer)
    code, out, _ = homeward("logout")

    assert code == 0
    assert "The issuer was not told: HTTP status 503" in out
    assert not (tmp_path / "logins" / "default.json").exists()


def test_nobody_is_told_how_to_become_somebody(homeward: Homeward) -> None:
    code, _, err = homeward("whoami")

    assert code == ExitCode.NOT_FOUND
    assert "`homeward login`" in err


def test_a_token_that_is_named_counts_more_than_the_login(
    homeward: Homeward, issuer: OAuthIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.answers["/token"].append(given(TOKEN))
    log_in(homeward, issuer)
    (tmp_path / "ben").write_text(Issuer().token("auditor", sub="ben", exp=int(time.time()) - 9))
    monkeypatch.setenv("HOMEWARD_TOKEN_FILE", str(tmp_path / "ben"))

    code, out, _ = homeward("whoami")

    assert code == 0
    assert "ben" in out
    assert "(OVER)" in out
    assert "HOMEWARD_TOKEN_FILE" in out


def test_a_file_and_a_command_at_once_are_refused(
    homeward: Homeward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEWARD_TOKEN_FILE", "token")
    monkeypatch.setenv("HOMEWARD_TOKEN_COMMAND", "get-token")

    code, _, err = homeward("whoami")

    assert code == ExitCode.INVALID
    assert "are both set" in err


def test_a_command_that_gives_a_token_names_who_calls(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("HOMEWARD_TOKEN_COMMAND", f"cat '{tmp_path / 'token'}'")

    who = document(homeward, "whoami")

    assert (who["name"], who["from"]) == ("anna", "HOMEWARD_TOKEN_COMMAND")


def test_an_opaque_token_tells_nothing(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("opaque")
    monkeypatch.setenv("HOMEWARD_TOKEN_FILE", str(tmp_path / "token"))

    _, out, _ = homeward("whoami")

    assert "the token is opaque" in out
    assert "nobody says" in out


HOSTILE = "A\x1b]0;title\x07\x1b[2J\u202eB\nFORGED [red]C[/red]"


def assert_shown(told: str) -> None:
    assert {one for one in told if not one.isprintable() and one != "\n"} == set()
    assert not any(line.startswith("FORGED") for line in told.splitlines())
    assert "A\\x1b]0;title\\x07\\x1b[2J\\u202eB FORGED [red]C[/red]" in told


def test_what_a_token_says_reaches_a_terminal_escaped(
    homeward: Homeward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(Issuer().token("investigator", sub=HOSTILE, cases=[HOSTILE]))
    monkeypatch.setenv("HOMEWARD_TOKEN_FILE", str(token))

    code, out, err = homeward("whoami")

    assert code == 0, err
    assert_shown(out)


def test_what_an_issuer_says_reaches_a_terminal_escaped(
    homeward: Homeward, issuer: OAuthIssuer
) -> None:
    refused = (400, {"error": "invalid_client", "error_description": HOSTILE})
    issuer.answers["/token"] += [PENDING, refused]

    code, _, err = log_in(homeward, issuer)

    assert code != 0
    assert_shown(err)
