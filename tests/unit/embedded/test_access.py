"""Who gets into a stack: real servers that check by what the stack wrote."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest

from homeward.api.embedding.v1 import embedding_service_pb2, embedding_service_pb2_grpc
from homeward.embedded import access as access_module
from homeward.embedded.access import (
    CLIENT,
    StackAccess,
    certificate_name,
    keep_token_fresh,
)
from homeward.embedded.certificates import tls_files
from homeward.embedded.errors import StackError
from homeward.embedded.ports import HOST
from homeward.embedded.tokens import LIFETIME, ROLES, TokenIssuer, TokenRefusedError
from homeward.servicekit.identity.caller import Caller, Role, current_caller
from homeward.servicekit.identity.checking import checking
from homeward.servicekit.interceptors import chain
from homeward.servicekit.server import GrpcServer, NetworkOptions, Service

SERVICES = ("embedding", "matching")
NAME = "homeward.api.embedding.v1.EmbeddingService"


class Embedding(embedding_service_pb2_grpc.EmbeddingServiceServicer):
    """Answers who calls."""

    def __init__(self) -> None:
        self.callers: list[Caller | None] = []

    async def GetModel(self, _: Any, __: Any) -> Any:  # noqa: N802 - the RPC's
        self.callers.append(current_caller())
        return embedding_service_pb2.GetModelResponse()

    async def AnalyzePhoto(self, _: Any, __: Any) -> Any:  # noqa: N802 - the RPC's
        self.callers.append(current_caller())
        return embedding_service_pb2.AnalyzePhotoResponse()


def prepared(data: Path, *, new_key: bool = False, require_purpose: bool = False) -> StackAccess:
    access = StackAccess.of(data)
    access.prepare(SERVICES, new_key=new_key, require_purpose=require_purpose)
    return access


@asynccontextmanager
async def serving(access: StackAccess, servicer: Embedding) -> AsyncIterator[str]:
    service = Service(
        NAME, embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server, servicer
    )
    server = GrpcServer(
        [service],
        listen=f"{HOST}:0",
        checks={},
        grace_seconds=0,
        network=NetworkOptions(tls=tls_files(access.secrets, certificate_name("embedding"))),
        chain=chain(*checking(access.auth_file, [NAME])),
    )
    async with server.serving():
        yield f"{HOST}:{server.port}"


async def ask(address: str, credentials: grpc.ChannelCredentials, rpc: str = "GetModel") -> str:
    """Return the name of the status that a call ends with."""
    async with grpc.aio.secure_channel(address, credentials) as channel:
        stub: Any = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)
        request = getattr(embedding_service_pb2, f"{rpc}Request")()
        try:
            await getattr(stub, rpc)(request, timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


def with_token(access: StackAccess, token: str) -> grpc.ChannelCredentials:
    files = tls_files(access.user, CLIENT).read(serving=False)
    return grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(files.authorities, files.key, files.certificates),
        grpc.access_token_call_credentials(token),
    )


def issued(access: StackAccess, *roles: Role, hours: float = 1, cases: tuple[str, ...] = ()) -> str:
    return TokenIssuer.read(access.key).issue(
        "anna", roles, cases=cases, now=datetime.now(UTC), lifetime=timedelta(hours=hours)
    )


async def test_the_user_may_what_every_role_may_and_a_service_what_services_may(
    tmp_path: Path,
) -> None:
    access, servicer = prepared(tmp_path), Embedding()
    async with serving(access, servicer) as address:
        user, service = access.user_credentials(), access.service_credentials()
        answers = [
            await ask(address, credentials, rpc)
            for credentials in (user, service)
            for rpc in ("GetModel", "AnalyzePhoto")
        ]

    assert answers == ["OK", "PERMISSION_DENIED", "OK", "OK"]
    first, *others = servicer.callers
    assert first is not None
    assert (first.roles, first.cases) == (frozenset(ROLES), None)
    assert [(one.name, one.roles) for one in others if one] == [
        ("homeward-up", frozenset({Role.SERVICE}))
    ] * 2


async def test_who_has_the_users_certificate_and_no_token_is_nobody(tmp_path: Path) -> None:
    access = prepared(tmp_path)
    files = tls_files(access.user, CLIENT).read(serving=False)
    bare = grpc.ssl_channel_credentials(files.authorities, files.key, files.certificates)
    async with serving(access, Embedding()) as address:
        assert await ask(address, bare) == "UNAUTHENTICATED"


async def test_who_has_neither_certificate_nor_token_is_not_let_in(tmp_path: Path) -> None:
    access = prepared(tmp_path / "one")
    of_another = prepared(tmp_path / "two").user_credentials()
    authority = (access.secrets / "ca.crt").read_bytes()
    async with serving(access, Embedding()) as address:
        answers = [
            await ask(address, of_another),
            await ask(address, grpc.ssl_channel_credentials(authority)),
        ]

    assert answers == ["UNAVAILABLE", "UNAVAILABLE"]


async def test_a_further_token_gives_its_roles_for_its_cases(tmp_path: Path) -> None:
    access, servicer = prepared(tmp_path), Embedding()
    calls = (
        (issued(access, Role.AUDITOR, cases=("C-1", "C-2")), "GetModel"),
        (issued(access, Role.AUDITOR), "AnalyzePhoto"),
        (issued(access, Role.AUDITOR, hours=-1), "GetModel"),
    )
    async with serving(access, servicer) as address:
        answers = [await ask(address, with_token(access, token), rpc) for token, rpc in calls]

    assert answers == ["OK", "PERMISSION_DENIED", "UNAUTHENTICATED"]
    (caller,) = servicer.callers
    assert caller == Caller("anna", frozenset({Role.AUDITOR}), frozenset({"C-1", "C-2"}))


async def test_a_token_serves_after_a_restart_and_not_after_a_new_key(tmp_path: Path) -> None:
    token = issued(prepared(tmp_path), Role.AUDITOR)
    answers = []
    for new_key in (False, True):
        access = prepared(tmp_path, new_key=new_key)
        async with serving(access, Embedding()) as address:
            answers += [
                await ask(address, with_token(access, token)),
                await ask(address, access.user_credentials()),
            ]

    assert answers == ["OK", "OK", "UNAUTHENTICATED", "OK"]


def test_all_of_it_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    access = prepared(tmp_path)
    access.key.chmod(0o644)
    prepared(tmp_path)

    folders = (access.secrets, access.user)
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}
    assert {
        oct(path.stat().st_mode & 0o777) for folder in folders for path in folder.iterdir()
    } == {"0o600"}


def test_the_set_of_keys_has_no_private_key(tmp_path: Path) -> None:
    access = prepared(tmp_path)
    (key,) = json.loads((access.secrets / "keys.json").read_text())["keys"]

    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_a_damaged_key_is_told_with_what_to_do(tmp_path: Path) -> None:
    access = prepared(tmp_path)
    access.key.write_text("-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n")

    with pytest.raises(StackError, match=r"holds no key.*--new-token-key"):
        prepared(tmp_path)
    assert prepared(tmp_path, new_key=True).token.exists()


def test_a_token_that_services_would_not_read_is_refused(tmp_path: Path) -> None:
    access = prepared(tmp_path)

    with pytest.raises(TokenRefusedError, match="name fewer cases"):
        issued(access, Role.AUDITOR, cases=tuple(f"CASE-{number:0>90}" for number in range(200)))


def expiry(access: StackAccess) -> datetime:
    claims = jwt.decode(access.token.read_text().strip(), options={"verify_signature": False})
    return datetime.fromtimestamp(claims["exp"], UTC)


class Looks(threading.Event):
    """Stops after some looks, without waiting."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._left = looks

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - threading's
        self._left -= 1
        return self._left < 0


def renewed(access: StackAccess, age: timedelta | None, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Look at a token of some age once, and tell whether there is another one then."""
    before = access.token.read_text()
    monkeypatch.setattr(StackAccess, "token_age", lambda _: age)
    keep_token_fresh(access, stopping=Looks(1), say=print)
    return access.token.read_text() != before


@pytest.mark.parametrize("age", [timedelta(), LIFETIME / 2 - timedelta(minutes=1)])
def test_the_token_of_the_user_is_kept_for_half_of_its_time(
    tmp_path: Path, age: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not renewed(prepared(tmp_path), age, monkeypatch)


@pytest.mark.parametrize(
    "age",
    [LIFETIME / 2 + timedelta(minutes=1), -timedelta(hours=1), None],
    ids=["after half", "of the future", "missing"],
)
def test_a_running_stack_renews_the_token_of_its_user(
    tmp_path: Path, age: timedelta | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = prepared(tmp_path)

    assert renewed(access, age, monkeypatch)
    assert expiry(access) - datetime.now(UTC) > LIFETIME - timedelta(minutes=1)


def test_a_token_that_cannot_be_renewed_is_told_and_tried_again(tmp_path: Path) -> None:
    access = prepared(tmp_path)
    access.withdraw()
    access.key.write_text("damaged")
    said: list[str] = []

    keep_token_fresh(access, stopping=Looks(2), say=said.append)

    assert len(said) == 2
    assert str(access.token) in said[0]


def test_the_token_is_looked_at_well_before_it_expires() -> None:
    assert timedelta(seconds=access_module.CHECK_SECONDS) < LIFETIME / 10
