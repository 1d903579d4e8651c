"""Which access tokens are accepted, and what they make of a caller."""

from __future__ import annotations

import datetime as dt
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeward.core.caller_metadata import MAX_TOKEN_BYTES
from homeward.servicekit import errors
from homeward.servicekit.identity import tokens as module
from homeward.servicekit.identity.caller import Role
from homeward.servicekit.identity.keys import KeySet
from homeward.servicekit.identity.rules import TokenRules
from homeward.servicekit.identity.tokens import TokenVerifier
from issuer import AUDIENCE, ISSUER, Issuer, Key, faulty_tokens, jwks, new_key

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
OFF_BY_DEFAULT = ["RS384", "RS512", "PS384", "PS512", "ES384", "ES512"]
NOW = 1_800_000_000
SKEW = 60
KEY = new_key()


class Held:
    """Keys at hand."""

    def __init__(self, *keys: Key) -> None:
        self._set = KeySet.parsed(jwks(*keys))

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        return self._set.find(key_id, algorithm)


def verifier(
    *keys: Key, restrict_to_cases: bool = False, keyed: Any = None, **rules: Any
) -> TokenVerifier:
    made = TokenRules(issuer=ISSUER, audience=AUDIENCE, keys="keys.json", **rules)
    return TokenVerifier(made, keyed or Held(*keys), restrict_to_cases=restrict_to_cases)


async def refused(checking: TokenVerifier, token: str) -> str:
    with pytest.raises(errors.UnauthenticatedError) as received:
        await checking.verify(token)
    return received.value.reason


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the clock that tokens are compared with."""

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return dt.datetime.fromtimestamp(NOW, tz)

    monkeypatch.setattr("jwt.api_jwt.datetime", Clock)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_each_allowed_algorithm_is_accepted(algorithm: str) -> None:
    key = new_key(algorithm)

    caller = await verifier(key).verify(Issuer(key).token("reviewer"))

    assert (caller.name, caller.roles) == ("somebody", {Role.REVIEWER})


@pytest.mark.parametrize("algorithm", OFF_BY_DEFAULT)
async def test_other_algorithms_are_refused_until_the_rules_name_them(algorithm: str) -> None:
    key = new_key(algorithm)
    token = Issuer(key).token("reviewer")

    assert await refused(verifier(key), token) == "TOKEN_INVALID"
    assert (await verifier(key, algorithms=(algorithm,)).verify(token)).name == "somebody"


@pytest.mark.parametrize("fault", faulty_tokens(Issuer()))
async def test_a_faulty_token_is_refused_with_its_reason(issuer: Issuer, fault: str) -> None:
    token, reason = faulty_tokens(issuer, "reviewer")[fault]

    assert await refused(verifier(issuer.key), token) == reason


@pytest.mark.parametrize(
    ("stated", "types", "accepted"),
    [
        ("JWT", None, True),
        ("jwt", None, True),
        (None, None, True),
        ("at+jwt", None, True),
        ("application/AT+JWT", None, True),
        ("logout+jwt", None, False),
        ("dpop+jwt", None, False),
        ("at+jwt", ("at+jwt",), True),
        ("JWT", ("at+jwt",), False),
        (None, ("at+jwt",), False),
    ],
)
async def test_a_token_of_another_type_is_no_access_token(
    issuer: Issuer, stated: str | None, types: tuple[str, ...] | None, *, accepted: bool
) -> None:
    token = issuer.token("reviewer", headers={"typ": stated})
    checking = verifier(issuer.key, **({"types": types} if types else {}))

    if accepted:
        assert (await checking.verify(token)).name == "somebody"
    else:
        assert await refused(checking, token) == "TOKEN_INVALID"


async def test_a_refusal_tells_nothing_of_what_was_wrong(issuer: Issuer) -> None:
    faults = faulty_tokens(issuer, "reviewer").values()
    said = set()
    for token, reason in faults:
        if reason == "TOKEN_INVALID":
            with pytest.raises(errors.UnauthenticatedError) as received:
                await verifier(issuer.key).verify(token)
            said.add((received.value.message, str(received.value.metadata)))

    assert len(said) == 1


async def test_a_token_is_read_up_to_its_largest_size(issuer: Issuer) -> None:
    bare = len(issuer.token("reviewer", wide=""))
    # base64 makes four characters of three
    fits = issuer.token("reviewer", wide="x" * ((MAX_TOKEN_BYTES - bare) // 4 * 3 - 3))
    looked_at: list[str] = []

    class Watched(Held):
        async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
            looked_at.append(algorithm)
            return await super().find(key_id, algorithm)

    checking = verifier(keyed=Watched(issuer.key))
    caller = await checking.verify(fits)
    reason = await refused(checking, fits + "x" * (MAX_TOKEN_BYTES - len(fits) + 1))

    assert MAX_TOKEN_BYTES - 8 < len(fits) <= MAX_TOKEN_BYTES
    assert (caller.name, reason, looked_at) == ("somebody", "TOKEN_INVALID", ["ES256"])


@pytest.mark.usefixtures("at")
@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"exp": NOW - SKEW + 1}, None),
        ({"exp": NOW - SKEW}, "TOKEN_EXPIRED"),
        ({"nbf": NOW + SKEW}, None),
        ({"nbf": NOW + SKEW + 1}, "TOKEN_NOT_YET_VALID"),
        ({"iat": NOW + SKEW}, None),
        ({"iat": NOW + SKEW + 1}, "TOKEN_NOT_YET_VALID"),
        ({"exp": "soon"}, "TOKEN_INVALID"),
        ({"exp": float("inf")}, "TOKEN_INVALID"),
    ],
)
async def test_clocks_may_differ_by_the_skew_and_no_more(
    issuer: Issuer, times: dict[str, Any], reason: str | None
) -> None:
    usual = {"iat": NOW, "nbf": NOW, "exp": NOW + 1}
    token = issuer.token("reviewer", **(usual | times))
    found = None
    try:
        await verifier(issuer.key, clock_skew_seconds=SKEW).verify(token)
    except errors.UnauthenticatedError as error:
        found = error.reason

    assert found == reason


async def test_a_key_of_another_kind_does_not_check_a_token() -> None:
    rsa = new_key("RS256")
    token = Issuer(new_key("ES256")).token("reviewer")

    assert await refused(verifier(rsa), token) == "TOKEN_INVALID"


async def test_a_token_without_kid_is_checked_where_there_is_one_key() -> None:
    key = new_key(key_id=None)
    token = Issuer(key).token("reviewer")

    assert (await verifier(key).verify(token)).name == "somebody"
    assert await refused(verifier(key, new_key()), token) == "TOKEN_INVALID"


@pytest.mark.parametrize(
    ("claim", "roles"),
    [
        (["investigator", "reviewer"], {Role.INVESTIGATOR, Role.REVIEWER}),
        ("investigator subject-admin", {Role.INVESTIGATOR, Role.SUBJECT_ADMIN}),
        (["chief"], set()),
        (["service"], set()),
        (["Investigator", 7, None], set()),
        (None, set()),
        ({"investigator": True}, set()),
    ],
)
async def test_roles_are_those_that_the_claim_names(
    issuer: Issuer, claim: object, roles: set[Role]
) -> None:
    caller = await verifier(issuer.key).verify(issuer.token(roles=claim))

    assert caller.roles == roles


async def test_a_mapping_says_which_roles_a_value_gives(issuer: Issuer) -> None:
    checking = verifier(
        issuer.key,
        roles_claim="realm_access.roles",
        roles={"mispers": frozenset({Role.INVESTIGATOR, Role.REVIEWER})},
    )
    token = issuer.token(roles=None, realm_access={"roles": ["mispers", "reviewer", "auditor"]})

    assert (await checking.verify(token)).roles == {Role.INVESTIGATOR, Role.REVIEWER}


async def test_a_claim_may_have_a_dot_in_its_name(issuer: Issuer) -> None:
    checking = verifier(issuer.key, roles_claim="https://force.example/roles")
    token = issuer.token(roles=None, **{"https://force.example/roles": ["auditor"]})

    assert (await checking.verify(token)).roles == {Role.AUDITOR}


@pytest.mark.parametrize(
    ("claim", "cases"),
    [
        (["R/1", "R/2"], {"R/1", "R/2"}),
        ("R 1", {"R 1"}),
        (["R/1", "*"], None),
        ([], set()),
        (None, set()),
    ],
)
async def test_cases_are_those_that_the_token_lists_where_they_are_restricted(
    issuer: Issuer, claim: object, cases: set[str] | None
) -> None:
    token = issuer.token("investigator", cases=claim)

    restricted = await verifier(issuer.key, restrict_to_cases=True).verify(token)
    free = await verifier(issuer.key).verify(token)

    assert (restricted.cases, free.cases) == (cases, None)


async def test_the_log_says_what_was_wrong_and_nothing_of_the_token(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[tuple[str, dict[str, Any]]] = []

    class Log:
        def info(self, event: str, **fields: Any) -> None:
            lines.append((event, fields))

    monkeypatch.setattr(module, "log", Log())
    await refused(verifier(issuer.key), issuer.token("reviewer", aud="mail", sub="Jane"))

    assert lines == [("access token refused", {"problem": "InvalidAudienceError"})]


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*")))
async def test_anything_else_is_refused_as_invalid(token: str) -> None:
    assert await refused(verifier(KEY), token) == "TOKEN_INVALID"
