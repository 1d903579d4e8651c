"""Every RPC by every kind of caller, over TLS, through the interceptors of a real server.

Generated from the descriptors: an RPC that is added is tried out as it states itself.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import homeward.api
from authority import Authority
from homeward.api.common.v1 import options_pb2
from homeward.core.audit.events import AuditEvent
from homeward.core.caller_metadata import CASE, PURPOSE
from homeward.core.rpc_errors import error_info
from homeward.core.tls import TlsFiles, channel_credentials
from homeward.servicekit.audit.around import OPENED, audited
from homeward.servicekit.audit.refusals import (
    REFUSE_UNKNOWN,
    RefusedCalls,
    refusals_audited,
    refused_calls,
)
from homeward.servicekit.audit.store import EventQuery, InMemoryAuditStore
from homeward.servicekit.audit.writer import AuditWriter
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.errors import unavailable
from homeward.servicekit.identity.authorise import (
    MAX_CASE_LENGTH,
    MAX_PURPOSE_LENGTH,
)
from homeward.servicekit.identity.caller import OF_NO_CASE, Caller, Role, current_caller
from homeward.servicekit.server import GrpcServer, Service
from homeward.servicekit.settings import ServiceSettings
from issuer import Issuer, faulty_tokens

Metadata = tuple[tuple[str, str], ...]

STATED: Metadata = ((PURPOSE, "find the missing person"), (CASE, "R/1"))
PEOPLE = [role for role in Role if role is not Role.SERVICE]
WITH_PURPOSE = {
    options_pb2.OPERATION_CONSULTATION,
    options_pb2.OPERATION_COMBINATION,
    options_pb2.OPERATION_DISCLOSURE,
}
FAULTS = list(faulty_tokens(Issuer()))


def services() -> Iterator[tuple[Any, Any]]:
    """Yield each service of ours, and the module of its generated code."""
    for found in pkgutil.walk_packages(homeward.api.__path__, "homeward.api."):
        if found.name.endswith("_service_pb2"):
            code = importlib.import_module(f"{found.name}_grpc")
            for service in importlib.import_module(found.name).DESCRIPTOR.services_by_name.values():
                yield service, code


METHODS: Mapping[str, MethodDescriptor] = {
    f"{service.full_name}/{method.name}": method
    for service, _ in services()
    for method in service.methods
}


def allowed(rpc: str) -> set[Role]:
    roles = METHODS[rpc].GetOptions().Extensions[options_pb2.access].roles
    names = (options_pb2.Role.Name(role).removeprefix("ROLE_") for role in roles)
    return {Role(name.lower().replace("_", "-")) for name in names}


def operation(rpc: str) -> int:
    found: int = METHODS[rpc].GetOptions().Extensions[options_pb2.operation]
    return found


LOGGED = [rpc for rpc in METHODS if operation(rpc) != options_pb2.OPERATION_NONE]


def outcome_of(rpc: str) -> str:
    return OPENED if METHODS[rpc].server_streaming else "OK"


class Servicer:
    """Answers each call with an empty message, and writes down who made it."""

    def __init__(self, service: Any, callers: list[tuple[str, Caller | None]]) -> None:
        for method in service.methods:
            rpc = f"{service.full_name}/{method.name}"
            answer = GetMessageClass(method.output_type)()
            made = self._stream if method.server_streaming else self._one
            setattr(self, method.name, made(rpc, answer, callers))

    @staticmethod
    def _one(rpc: str, answer: Any, callers: list[tuple[str, Caller | None]]) -> Any:
        async def handle(request: Any, _: Any) -> Any:
            if hasattr(request, "__aiter__"):
                _ = [part async for part in request]
            callers.append((rpc, current_caller()))
            return answer

        return handle

    @staticmethod
    def _stream(rpc: str, answer: Any, callers: list[tuple[str, Caller | None]]) -> Any:
        async def handle(request: Any, _: Any) -> AsyncIterator[Any]:
            if hasattr(request, "__aiter__"):
                _ = [part async for part in request]
            callers.append((rpc, current_caller()))
            yield answer

        return handle


@dataclass(frozen=True, slots=True)
class Installation:
    """A server with every service, and what its callers need."""

    port: int
    issuer: Issuer
    callers: list[tuple[str, Caller | None]]
    trail: InMemoryAuditStore
    unknown: RefusedCalls
    channel: grpc.Channel
    """Of somebody whose certificate makes no service."""

    async def call(
        self,
        rpc: str,
        metadata: Metadata = (),
        *,
        channel: grpc.Channel | None = None,
        request: bytes = b"",
    ) -> str:
        """Return how a call ended: `OK`, or code and reason."""
        return await asyncio.to_thread(_called, channel or self.channel, rpc, metadata, request)

    async def events(self) -> list[AuditEvent]:
        """Return the audit events, after those that are kept back."""
        await self.unknown.close()
        return [AuditEvent.read(one.data) for one in await self.trail.read(EventQuery(), limit=999)]

    def bearer(self, *roles: str, **claims: Any) -> Metadata:
        return (("authorization", f"Bearer {self.issuer.token(*roles, **claims)}"),)


@asynccontextmanager
async def installation(
    folder: Path, authority: Authority, *, reflection: bool = True, **rules: Any
) -> AsyncIterator[Installation]:
    issuer, callers = Issuer(), []
    tls = authority.write(folder / "server")
    settings = ServiceSettings(
        listen="localhost:0",
        drain_seconds=0,
        auth_file=issuer.write(folder / "auth", **{"services": ["homeward-scanner"], **rules}),
        reflection=reflection,
        tls_cert_file=tls.certificate,
        tls_key_file=tls.key,
        tls_ca_file=tls.authority,
    )
    served = [
        Service(
            service.full_name,
            getattr(code, f"add_{service.name}Servicer_to_server"),
            Servicer(service, callers),
        )
        for service, code in services()
    ]
    trail = InMemoryAuditStore()
    writer = AuditWriter(trail, service="matching", clock=SystemClock())
    async with refused_calls(writer) as unknown:
        server = GrpcServer.configured(
            settings,
            served,
            checks={},
            around=[audited(writer)],
            outside=[refusals_audited(writer, unknown)],
        )
        await server.start()
        try:
            with connected(server.port, authority.write(folder / "person")) as channel:
                yield Installation(server.port, issuer, callers, trail, unknown, channel)
        finally:
            await server.stop()


def connected(port: int, files: TlsFiles) -> grpc.Channel:
    return grpc.secure_channel(f"localhost:{port}", channel_credentials(files.read()))


def _called(channel: grpc.Channel, rpc: str, metadata: Metadata, request: bytes) -> str:
    # Not by grpc.aio, which reports a write to a call that was refused meanwhile as INTERNAL.
    method = METHODS[rpc]
    kind = (
        f"{'stream' if method.client_streaming else 'unary'}_"
        f"{'stream' if method.server_streaming else 'unary'}"
    )
    make = getattr(channel, kind)(f"/{rpc}")
    sent = iter([request]) if method.client_streaming else request
    try:
        answer = make(sent, metadata=metadata, timeout=20)
        if method.server_streaming:
            _ = list(answer)
    except grpc.RpcError as error:
        info = error_info(error)
        return f"{error.code().name} {info.reason if info else error.details()}"
    return "OK"


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def quiet() -> Iterator[None]:
    """Thousands of lines tell nobody anything."""
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()


def _drop(*_: object) -> Any:
    raise structlog.DropEvent


pytestmark = pytest.mark.usefixtures("quiet")


async def test_every_rpc_lets_those_through_whom_it_names_and_nobody_else(
    tmp_path: Path, authority: Authority
) -> None:
    async with installation(tmp_path, authority) as made:
        ended = {
            (rpc, role): await made.call(rpc, (*made.bearer(role.value), *STATED))
            for rpc in METHODS
            for role in PEOPLE
        }

    assert len(ended) == len(METHODS) * 7
    assert ended == {
        (rpc, role): "OK" if role in allowed(rpc) else "PERMISSION_DENIED ROLE_MISSING"
        for rpc in METHODS
        for role in PEOPLE
    }
    assert len(made.callers) == sum(one == "OK" for one in ended.values())
    # One event of each, whether it was allowed or refused.
    assert Counter((one.rpc, one.outcome, one.count) for one in await made.events()) == Counter(
        (rpc, outcome_of(rpc) if role in allowed(rpc) else "PERMISSION_DENIED", 1)
        for rpc in LOGGED
        for role in PEOPLE
    )
    assert {caller.name for _, caller in made.callers if caller} == {"somebody"}


@pytest.mark.parametrize("roles", [(), ("chief",), ("service",)])
async def test_no_rpc_is_for_somebody_without_a_role(
    tmp_path: Path, authority: Authority, roles: tuple[str, ...]
) -> None:
    async with installation(tmp_path, authority) as made:
        ended = {rpc: await made.call(rpc, (*made.bearer(*roles), *STATED)) for rpc in METHODS}

    assert set(ended.values()) == {"PERMISSION_DENIED ROLE_MISSING"}
    assert made.callers == []


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_rpc_refuses_a_faulty_token(
    tmp_path: Path, authority: Authority, fault: str
) -> None:
    every = [role.value for role in PEOPLE]
    async with installation(tmp_path, authority) as made:
        token, reason = faulty_tokens(made.issuer, *every)[fault]
        authorization = (("authorization", f"Bearer {token}"),)
        ended = {rpc: await made.call(rpc, (*authorization, *STATED)) for rpc in METHODS}

    assert set(ended.values()) == {f"UNAUTHENTICATED {reason}"}
    assert made.callers == []
    first, rest = await made.events()
    assert {one.rpc for one in (first, rest)} == {REFUSE_UNKNOWN}
    assert (first.count, rest.count) == (1, len(LOGGED) - 1)
    assert {first.actor, first.purpose, first.case_reference} == {""}
    assert first.resources == ()


async def test_a_refusal_says_who_asked_and_what_for(tmp_path: Path, authority: Authority) -> None:
    rpc = "homeward.api.matching.v1.SubjectService/GetSubject"
    async with installation(tmp_path, authority, restrict_to_cases=True) as made:
        for metadata in (STATED, ()):
            await made.call(rpc, (*made.bearer("investigator", cases=["R/2"]), *metadata))
        await made.call(rpc, (*made.bearer("uploader"), *STATED))
        other_case, no_purpose, no_role = await made.events()

    assert (other_case.outcome, no_purpose.outcome) == ("PERMISSION_DENIED", "INVALID_ARGUMENT")
    assert {other_case.actor, no_purpose.actor} == {"somebody"}
    for one in (other_case, no_role):
        assert (one.purpose, one.case_reference) == ("find the missing person", "R/1")


@pytest.mark.parametrize("name", ["homeward-scanner", "Homeward-Scanner", "nightly-check"])
async def test_nobody_goes_by_the_name_of_a_service(
    tmp_path: Path, authority: Authority, name: str
) -> None:
    rpc = "homeward.api.matching.v1.SubjectService/GetSubject"
    programs = {"nightly-check": ["auditor"]}
    async with installation(tmp_path, authority, programs=programs) as made:
        ended = await made.call(rpc, (*made.bearer("investigator", sub=name), *STATED))
        events = await made.events()

    assert ended == "UNAUTHENTICATED TOKEN_INVALID"
    assert [one.actor for one in events] == [""]


async def test_a_refused_caller_hears_so_only_if_that_is_written_down(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    rpc = "homeward.api.matching.v1.SubjectService/GetSubject"

    async def refuse(*_: object, **__: object) -> int:
        raise unavailable("NATS", "nats://n:4222", "start it")

    async with installation(tmp_path, authority) as made:
        monkeypatch.setattr(made.trail, "append", refuse)
        known = await made.call(rpc, (*made.bearer("uploader"), *STATED))
        unknown = await made.call(rpc)

    assert known.startswith("UNAVAILABLE")
    assert unknown == "UNAUTHENTICATED TOKEN_MISSING"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("authorization", "Basic YTpi"),), "TOKEN_INVALID"),
        ((("authorization", "Bearer"),), "TOKEN_INVALID"),
        ((("authorization", ""),), "TOKEN_INVALID"),
        ((("authorization-bin", b"Bearer x"),), "TOKEN_MISSING"),
    ],
)
async def test_every_rpc_refuses_who_gives_no_token(
    tmp_path: Path, authority: Authority, metadata: Metadata, reason: str
) -> None:
    async with installation(tmp_path, authority) as made:
        ended = {rpc: await made.call(rpc, (*metadata, *STATED)) for rpc in METHODS}

    assert set(ended.values()) == {f"UNAUTHENTICATED {reason}"}


async def test_two_tokens_are_none(tmp_path: Path, authority: Authority) -> None:
    (rpc,) = [name for name in METHODS if name.endswith("/CreateSubject")]
    async with installation(tmp_path, authority) as made:
        twice = made.bearer("subject-admin") * 2

        assert await made.call(rpc, twice) == "UNAUTHENTICATED TOKEN_INVALID"


async def test_a_service_is_known_by_the_name_in_its_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    files = authority.write(tmp_path / "scanner", names=("homeward-scanner",))
    async with installation(tmp_path, authority) as made:
        with connected(made.port, files) as channel:
            ended = {rpc: await made.call(rpc, channel=channel) for rpc in METHODS}

    assert ended == {
        rpc: "OK" if Role.SERVICE in allowed(rpc) else "PERMISSION_DENIED ROLE_MISSING"
        for rpc in METHODS
    }
    assert {caller.name for _, caller in made.callers if caller} == {"homeward-scanner"}


async def test_a_program_has_the_roles_that_its_name_is_given(
    tmp_path: Path, authority: Authority
) -> None:
    files = authority.write(tmp_path / "robot", names=("retention-check",))
    programs = {"retention-check": ["auditor"]}
    async with installation(tmp_path, authority, programs=programs) as made:
        with connected(made.port, files) as channel:
            ended = {rpc: await made.call(rpc, channel=channel) for rpc in METHODS}

    assert ended == {
        rpc: "OK" if Role.AUDITOR in allowed(rpc) else "PERMISSION_DENIED ROLE_MISSING"
        for rpc in METHODS
    }


def called_by_services() -> set[str]:
    """Return the names of the RPCs that the adapters of services call."""
    package = Path(homeward.api.__path__[0]).parent
    adapters = [*package.glob("*/adapters/matching.py"), *package.glob("*/adapters/embedding.py")]
    assert len(adapters) == 3
    return {
        name
        for adapter in adapters
        for name in re.findall(r"self\._\w+\.([A-Z]\w+)\(", adapter.read_text())
    }


def test_services_may_make_the_calls_that_they_make() -> None:
    called = called_by_services()
    refused = {
        rpc
        for rpc in METHODS
        if rpc.partition("/")[2] in called and Role.SERVICE not in allowed(rpc)
    }

    assert {"GetSighting", "Match", "GetModel", "DetectFaces"} <= called
    assert refused == set()


async def test_a_token_counts_more_than_the_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    files = authority.write(tmp_path / "scanner", names=("homeward-scanner",))
    (rpc,) = [name for name in METHODS if name.endswith("/RecordSightings")]
    async with installation(tmp_path, authority) as made:
        with connected(made.port, files) as channel:
            alone = await made.call(rpc, channel=channel)
            token = await made.call(rpc, made.bearer("reviewer"), channel=channel)

    assert (alone, token) == ("OK", "PERMISSION_DENIED ROLE_MISSING")


@pytest.mark.parametrize(
    ("signer", "expires", "names", "ended"),
    [
        ("ours", 1, ("homeward-matching",), "UNAUTHENTICATED TOKEN_MISSING"),
        ("another", 1, ("homeward-scanner",), "UNAVAILABLE"),
        ("ours", -1, ("homeward-scanner",), "UNAVAILABLE"),
    ],
)
async def test_another_certificate_makes_no_service(
    tmp_path: Path,
    authority: Authority,
    *,
    signer: str,
    expires: int,
    names: tuple[str, ...],
    ended: str,
) -> None:
    by = {"ours": authority, "another": Authority("another")}[signer]
    files = by.write(tmp_path / "other", names=names, expires=dt.timedelta(days=expires))
    credentials = grpc.ssl_channel_credentials(
        authority.write(tmp_path / "trusted").authority.read_bytes(),
        files.key.read_bytes(),
        files.certificate.read_bytes(),
    )
    async with installation(tmp_path, authority) as made:
        with grpc.secure_channel(f"localhost:{made.port}", credentials) as channel:
            found = {await made.call(rpc, channel=channel) for rpc in METHODS}

    assert {one[: len(ended)] for one in found} == {ended}
    assert made.callers == []


async def test_every_rpc_that_reads_combines_or_discloses_asks_what_for(
    tmp_path: Path, authority: Authority
) -> None:
    async with installation(tmp_path, authority) as made:
        ended = {
            (rpc, role): await made.call(rpc, made.bearer(role.value))
            for rpc in METHODS
            for role in allowed(rpc) & set(PEOPLE)
        }

    assert ended == {
        (rpc, role): "INVALID_ARGUMENT PURPOSE_REQUIRED" if operation(rpc) in WITH_PURPOSE else "OK"
        for rpc, role in ended
    }


async def test_who_works_on_cases_says_which_one(tmp_path: Path, authority: Authority) -> None:
    purpose = STATED[:1]
    async with installation(tmp_path, authority) as made:
        ended = {
            (rpc, role): await made.call(rpc, (*made.bearer(role.value), *purpose))
            for rpc in METHODS
            for role in allowed(rpc) & set(PEOPLE)
            if operation(rpc) in WITH_PURPOSE
        }

    assert ended == {
        (rpc, role): "OK" if role in OF_NO_CASE else "INVALID_ARGUMENT PURPOSE_REQUIRED"
        for rpc, role in ended
    }


async def test_a_purpose_need_not_be_given_where_the_rules_say_so(
    tmp_path: Path, authority: Authority
) -> None:
    async with installation(tmp_path, authority, require_purpose=False) as made:
        token = made.bearer(*[role.value for role in PEOPLE])
        ended = {rpc: await made.call(rpc, token) for rpc in METHODS if allowed(rpc) & set(PEOPLE)}

    assert set(ended.values()) == {"OK"}


@pytest.mark.parametrize(
    ("metadata", "ended", "stated"),
    [
        (
            ((PURPOSE, "find%20her%20%E2%80%93%20now"), (CASE, "R/1")),
            "OK",
            ("find her \N{EN DASH} now", "R/1"),
        ),
        (((PURPOSE, "x" * MAX_PURPOSE_LENGTH), (CASE, "c" * MAX_CASE_LENGTH)), "OK", None),
        (((PURPOSE, "x" * (MAX_PURPOSE_LENGTH + 1)),), "INVALID_ARGUMENT FIELD_INVALID", None),
        (((CASE, "c" * (MAX_CASE_LENGTH + 1)),), "INVALID_ARGUMENT FIELD_INVALID", None),
        (((PURPOSE, "a%1B[2J"),), "INVALID_ARGUMENT FIELD_INVALID", None),
        (((PURPOSE, "a%E2%80%AEb"),), "INVALID_ARGUMENT FIELD_INVALID", None),
        (((PURPOSE, "a"), (PURPOSE, "b")), "INVALID_ARGUMENT FIELD_INVALID", None),
        (((PURPOSE, "%20"), (CASE, "R/1")), "INVALID_ARGUMENT PURPOSE_REQUIRED", None),
    ],
)
async def test_what_is_stated_is_taken_as_it_is_or_refused(
    tmp_path: Path,
    authority: Authority,
    metadata: Metadata,
    ended: str,
    stated: tuple[str, str] | None,
) -> None:
    (rpc,) = [name for name in METHODS if name.endswith("/GetSubject")]
    async with installation(tmp_path, authority) as made:
        found = await made.call(rpc, (*made.bearer("reviewer"), *metadata))

    assert found == ended
    taken = [(caller.purpose, caller.case_reference) for _, caller in made.callers if caller]
    assert stated is None or taken == [stated]


@pytest.mark.parametrize(
    ("cases", "ended"),
    [
        (["R/1"], "OK"),
        (["*"], "OK"),
        (["R/2"], "PERMISSION_DENIED CASE_NOT_ASSIGNED"),
        (None, "PERMISSION_DENIED CASE_NOT_ASSIGNED"),
    ],
)
async def test_a_caller_states_a_case_of_theirs(
    tmp_path: Path, authority: Authority, cases: list[str] | None, ended: str
) -> None:
    async with installation(tmp_path, authority, restrict_to_cases=True) as made:
        token = made.bearer(*[role.value for role in PEOPLE], cases=cases)
        found = {
            await made.call(rpc, (*token, *STATED)) for rpc in METHODS if allowed(rpc) & set(PEOPLE)
        }

    assert found == {ended}


async def test_health_is_told_to_anybody(tmp_path: Path, authority: Authority) -> None:
    async with installation(tmp_path, authority) as made:
        stub: Any = health_pb2_grpc.HealthStub(made.channel)
        answer = await asyncio.to_thread(stub.Check, health_pb2.HealthCheckRequest(), timeout=10)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("reflection", "ended"),
    [(True, "listed"), (False, "UNIMPLEMENTED RPC_UNKNOWN")],
)
async def test_rpcs_are_described_where_the_setting_says_so(
    tmp_path: Path, authority: Authority, *, reflection: bool, ended: str
) -> None:
    async with installation(tmp_path, authority, reflection=reflection) as made:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(made.channel)

        wanted = iter([reflection_pb2.ServerReflectionRequest(list_services="")])

        def ask() -> str:
            try:
                _ = list(stub.ServerReflectionInfo(wanted, timeout=10))
            except grpc.RpcError as error:
                info = error_info(error)
                return f"{error.code().name} {info.reason if info else ''}"
            return "listed"

        found = await asyncio.to_thread(ask)

    assert found == ended


@pytest.mark.parametrize(
    "request_bytes",
    [b"\xff" * 10, b"\x0a\xff", b"\x0a\x02\xc3\x28", b"\x0b" * 200],
    ids=["tags", "cut short", "no UTF-8", "groups of no end"],
)
async def test_every_rpc_refuses_bytes_that_are_no_message(
    tmp_path: Path,
    authority: Authority,
    caplog: pytest.LogCaptureFixture,
    request_bytes: bytes,
) -> None:
    lines: list[Mapping[str, Any]] = []
    structlog.configure(processors=[lambda _, level, event: _kept(lines, level, event)])
    scanner = authority.write(tmp_path / "scanner", names=("homeward-scanner",))
    undecodable = [rpc for rpc in METHODS if not decodes(rpc, request_bytes)]
    async with installation(tmp_path, authority) as made:
        with connected(made.port, scanner) as channel:
            ended = {
                rpc: await made.call(
                    rpc,
                    () if Role.SERVICE in allowed(rpc) else (*made.bearer(*allowed(rpc)), *STATED),
                    channel=channel,
                    request=request_bytes,
                )
                for rpc in undecodable
            }
            nobody = {await made.call(rpc, request=request_bytes) for rpc in undecodable}

    assert len(undecodable) > len(METHODS) // 2
    assert set(ended.values()) == {"INVALID_ARGUMENT MESSAGE_UNDECODABLE"}
    assert nobody == {"UNAUTHENTICATED TOKEN_MISSING"}
    assert not [line for line in lines if line["level"] == "error" or "exc_info" in line]
    assert caplog.records == []  # of gRPC itself


def _kept(lines: list[Mapping[str, Any]], level: str, event: Mapping[str, Any]) -> Any:
    lines.append({"level": level, **event})
    raise structlog.DropEvent


def decodes(rpc: str, data: bytes) -> bool:
    try:
        GetMessageClass(METHODS[rpc].input_type).FromString(data)
    except DecodeError:
        return False
    return True
