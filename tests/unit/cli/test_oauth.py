"""What a client says to an issuer of access tokens, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from homeward.cli.errors import CliError, ExitCode
from homeward.cli.oauth import (
    DEVICE_CODE,
    MAX_INTERVAL_SECONDS,
    Client,
    Grant,
    Issuer,
    OAuthError,
    UnreachableError,
    require_safe,
)
from oauth_issuer import PENDING, SLOW_DOWN, Answer, OAuthIssuer, given, running_issuer

CLIENT = Client("homeward-cli", resource="urn:homeward")


@pytest.fixture
def issuer() -> Iterator[OAuthIssuer]:
    with running_issuer() as running:
        yield running


class Time:
    """A clock that sleeping advances."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


def waited(issuer: OAuthIssuer, *answers: Answer) -> tuple[Grant, list[float]]:
    """Log in while the issuer gives these answers; return the tokens, and how long was waited."""
    issuer.answers["/token"].extend(answers)
    found, time = Issuer.discover(issuer.url), Time()
    code = found.begin(CLIENT)
    return found.wait(CLIENT, code, sleep=time.sleep, clock=time.clock), time.slept


def test_a_code_is_asked_for_and_polled_until_the_person_has_agreed(issuer: OAuthIssuer) -> None:
    grant, slept = waited(issuer, PENDING, PENDING, given("a.b.c", refresh_token="again"))

    assert grant == Grant("a.b.c", "again", 300)
    assert slept == [5, 5, 5]
    assert issuer.forms("/device") == [
        {
            "client_id": "homeward-cli",
            "scope": "openid offline_access",
            "resource": "urn:homeward",
        }
    ]
    assert issuer.forms("/token")[0] == {
        "grant_type": DEVICE_CODE,
        "device_code": "the-device-code",
        "client_id": "homeward-cli",
        "resource": "urn:homeward",
    }


def test_an_issuer_that_asks_for_it_is_polled_more_slowly_from_then_on(
    issuer: OAuthIssuer,
) -> None:
    _, slept = waited(issuer, SLOW_DOWN, PENDING, SLOW_DOWN, given("a.b.c"))

    assert slept == [5, 10, 10, 15]


def test_an_issuer_that_does_not_answer_is_polled_ever_more_slowly(issuer: OAuthIssuer) -> None:
    failing: Answer = (503, {})
    _, slept = waited(issuer, *[failing] * 5, given("a.b.c"))

    assert slept == [5, 10, 20, 40, MAX_INTERVAL_SECONDS, MAX_INTERVAL_SECONDS]


def test_an_issuer_that_names_no_interval_is_polled_every_five_seconds(
    issuer: OAuthIssuer,
) -> None:
    del issuer.answers["/device"][0][1]["interval"]
    _, slept = waited(issuer, given("a.b.c"))

    assert slept == [5]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"error": "access_denied"}, "the login was refused in the browser"),
        ({"error": "expired_token"}, "nobody has confirmed the code in time"),
        (
            {"error": "invalid_client", "error_description": "no\x1b[2J such client"},
            r"refuses: invalid_client: no\x1b[2J such client",
        ),
    ],
)
def test_a_refusal_ends_the_login(issuer: OAuthIssuer, answer: dict[str, str], told: str) -> None:
    with pytest.raises(CliError) as caught:
        waited(issuer, PENDING, (400, answer))

    assert caught.value.message.endswith(told)
    assert caught.value.exit_code is ExitCode.PRECONDITION
    assert len(issuer.forms("/token")) == 2


def test_a_code_that_nobody_confirms_is_given_up_when_it_expires(issuer: OAuthIssuer) -> None:
    issuer.answers["/device"][0][1]["expires_in"] = 12
    with pytest.raises(CliError, match="nobody has confirmed the code in time"):
        waited(issuer, PENDING, PENDING, PENDING)

    assert len(issuer.forms("/token")) == 2


@pytest.mark.parametrize("kind", ["mac", "N_A", ""])
def test_a_token_of_another_kind_is_refused(issuer: OAuthIssuer, kind: str) -> None:
    with pytest.raises(CliError, match="no access token of the type Bearer"):
        waited(issuer, given("a.b.c", token_type=kind))


def test_a_code_that_would_steer_the_terminal_is_refused(issuer: OAuthIssuer) -> None:
    issuer.answers["/device"][0][1]["user_code"] = "A\x1b]0;B"
    with pytest.raises(CliError, match="control characters"):
        waited(issuer)


def test_an_issuer_of_another_name_is_refused(issuer: OAuthIssuer) -> None:
    issuer.discovery["issuer"] = "https://login.example.org"
    with pytest.raises(CliError, match=r"describes another issuer: https://login.example.org"):
        Issuer.discover(issuer.url)


def test_an_issuer_without_the_grant_is_told_with_what_else_there_is(issuer: OAuthIssuer) -> None:
    del issuer.discovery["device_authorization_endpoint"]
    with pytest.raises(CliError, match="offers no device authorization") as caught:
        Issuer.discover(issuer.url)

    assert "HOMEWARD_TOKEN_COMMAND" in caught.value.advice


@pytest.mark.parametrize(
    "endpoint", ["http://login.example.org/token", "ftp://127.0.0.1/", "https://", "token"]
)
def test_an_endpoint_that_is_reached_in_the_open_is_refused(
    issuer: OAuthIssuer, endpoint: str
) -> None:
    issuer.discovery["token_endpoint"] = endpoint
    with pytest.raises(CliError, match="must be an https URL"):
        Issuer.discover(issuer.url)


def test_an_issuer_is_called_over_tls_but_for_this_machine() -> None:
    require_safe("https://login.example.org/realms/force", "--issuer")
    with pytest.raises(CliError, match=r"--issuer is http://login.example.org"):
        require_safe("http://login.example.org", "--issuer")


def test_an_issuer_that_is_not_there_is_told() -> None:
    with pytest.raises(CliError, match=r"does not answer at http://127.0.0.1:9/") as caught:
        Issuer.discover("http://127.0.0.1:9")

    assert caught.value.exit_code is ExitCode.UNAVAILABLE


def test_secrets_are_sent_to_no_place_that_an_answer_points_to(issuer: OAuthIssuer) -> None:
    found = Issuer.discover(issuer.url)
    issuer.answers["/token"].append((307, {"location": f"{issuer.url}/revoke"}))
    with pytest.raises(UnreachableError, match="307"):
        found.refresh(CLIENT, "again")

    assert not issuer.forms("/revoke")


def test_a_refresh_token_gives_another_token_or_the_reason(issuer: OAuthIssuer) -> None:
    found = Issuer.discover(issuer.url)
    issuer.answers["/token"] += [given("d.e.f"), (400, {"error": "invalid_grant"})]

    assert found.refresh(CLIENT, "again") == Grant("d.e.f", "", 300)
    with pytest.raises(OAuthError, match="invalid_grant"):
        found.refresh(CLIENT, "again")
    assert issuer.forms("/token")[0]["refresh_token"] == "again"


def test_a_token_is_taken_back(issuer: OAuthIssuer) -> None:
    Issuer.discover(issuer.url).revoke(CLIENT, "again")

    assert issuer.forms("/revoke") == [
        {"token": "again", "token_type_hint": "refresh_token", "client_id": "homeward-cli"}
    ]
