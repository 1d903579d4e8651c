"""How much one caller may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from homeward.api.matching.v1 import policy_service_pb2, policy_service_pb2_grpc
from homeward.core.rpc_errors import error_info, retry_seconds
from homeward.servicekit import quotas
from homeward.servicekit.errors import Reason, ResourceExhaustedError
from homeward.servicekit.identity.caller import Caller, Role, acting_for
from homeward.servicekit.interceptors import Call, chain
from homeward.servicekit.quotas import Quota, Quotas, address_of
from homeward.servicekit.server import GrpcServer, Service
from homeward.servicekit.settings import ServiceSettings
from issuer import Issuer

ANNE, BOB = (Caller(name, frozenset({Role.REVIEWER})) for name in ("anne", "bob"))
SERVICE = Caller("homeward-scanner", frozenset({Role.SERVICE}))


class Ticking:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticking() -> Ticking:
    return Ticking()


def call(peer: str = "ipv4:10.0.0.7:41234", rpc: str = "homeward.x.Service/Get") -> Call:
    context: Any = SimpleNamespace(peer=lambda: peer)
    return Call(rpc=rpc, request_id="r", streams=False, context=context)


async def passes(limited: Quotas, caller: Caller | None, made: Call | None = None) -> bool:
    try:
        async with AsyncExitStack() as stack:
            if caller is not None:
                stack.enter_context(acting_for(caller))
            await stack.enter_async_context(limited(made or call()))
    except ResourceExhaustedError:
        return False
    return True


async def test_a_burst_passes_and_then_as_many_as_the_rate_says(ticking: Ticking) -> None:
    limited = Quotas(Quota(calls_per_second=10, burst=5), ticking)

    assert [await passes(limited, ANNE) for _ in range(6)] == [True] * 5 + [False]
    ticking.now += 0.0999
    assert not await passes(limited, ANNE)
    ticking.now += 0.0002
    assert [await passes(limited, ANNE) for _ in range(2)] == [True, False]
    ticking.now += 3600
    assert [await passes(limited, ANNE) for _ in range(6)] == [True] * 5 + [False]


async def test_one_caller_does_not_use_up_what_another_may(ticking: Ticking) -> None:
    limited = Quotas(Quota(calls_per_second=1, burst=1), ticking)

    assert await passes(limited, ANNE)
    assert not await passes(limited, ANNE)
    assert await passes(limited, BOB)


async def test_a_refusal_says_when_the_next_call_passes(ticking: Ticking) -> None:
    limited = Quotas(Quota(calls_per_second=0.1, burst=1), ticking)
    await passes(limited, ANNE)
    with acting_for(ANNE), pytest.raises(ResourceExhaustedError) as refused:
        async with limited(call()):
            pass

    assert refused.value.reason is Reason.QUOTA_EXCEEDED
    assert refused.value.retry_seconds == 10
    assert refused.value.metadata == {"limit": "calls_per_second", "most": "0.1"}
    ticking.now += 9.9
    assert not await passes(limited, ANNE)
    ticking.now += 0.1
    assert await passes(limited, ANNE)


async def test_calls_under_way_are_limited_until_they_end(ticking: Ticking) -> None:
    limited = Quotas(Quota(concurrent_calls=2), ticking)
    with acting_for(ANNE):
        async with limited(call()):
            async with limited(call()):
                assert not await passes(limited, ANNE)
                assert await passes(limited, BOB)
            assert await passes(limited, ANNE)
            with pytest.raises(RuntimeError):
                async with limited(call()):
                    raise RuntimeError
            assert await passes(limited, ANNE)


async def test_services_health_and_reflection_have_no_quota(ticking: Ticking) -> None:
    limited = Quotas(Quota(calls_per_second=1, burst=1, concurrent_calls=1), ticking)
    health = call(rpc="grpc.health.v1.Health/Check")

    assert all([await passes(limited, SERVICE) for _ in range(5)])
    assert all([await passes(limited, None, health) for _ in range(5)])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ipv4:10.0.0.7:1", "ipv4:10.0.0.7:2", True),
        ("ipv4:10.0.0.7:1", "ipv4:10.0.0.8:1", False),
        ("ipv6:%5B2001:db8::1%5D:1", "ipv6:%5B2001:db8::2%5D:2", True),
        ("ipv6:%5B2001:db8::1%5D:1", "ipv6:%5B2001:db8:0:1::1%5D:1", False),
        ("ipv6:%5B::ffff:10.0.0.7%5D:1", "ipv4:10.0.0.7:2", True),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "ipv6:%5Bfe80::2%25eth1%5D:2", True),
        ("unix:/a", "unix:/b", False),
        ("ipv4:nonsense", "ipv4:nonsense", True),
    ],
)
async def test_who_is_not_known_is_told_apart_by_address(
    ticking: Ticking, *, one: str, other: str, same: bool
) -> None:
    limited = Quotas(Quota(calls_per_second=1, burst=1), ticking)

    assert await passes(limited, None, call(one))
    assert await passes(limited, None, call(other)) is not same


async def test_callers_that_ask_for_nothing_any_more_are_forgotten(
    ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "LEAST_FORGOTTEN", 10)
    limited = Quotas(Quota(calls_per_second=1, burst=1), ticking)
    with acting_for(ANNE):
        async with limited(call()):
            for number in range(1000):
                ticking.now += 1
                assert await passes(
                    limited, None, call(f"ipv4:10.0.{number // 256}.{number % 256}:1")
                )
            assert len(limited._used) <= 20
            assert "caller anne" in limited._used


async def test_callers_who_ask_now_are_not_forgotten(
    ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "LEAST_FORGOTTEN", 10)
    limited = Quotas(Quota(calls_per_second=1, burst=1), ticking)
    peers = [call(f"ipv4:10.0.0.{number}:1") for number in range(200)]

    assert all([await passes(limited, None, one) for one in peers])
    assert not any([await passes(limited, None, one) for one in peers])


@given(
    st.floats(0.5, 100),
    st.integers(1, 20),
    st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
async def test_never_more_pass_than_rate_and_burst_allow(
    rate: float, burst: int, gaps: list[float]
) -> None:
    ticking = Ticking()
    limited = Quotas(Quota(calls_per_second=rate, burst=burst), ticking)
    passed: list[float] = []
    for gap in gaps:
        ticking.now += gap
        if await passes(limited, ANNE):
            passed.append(ticking.now)

    for index, begin in enumerate(passed):
        for count, end in enumerate(passed[index:], 1):
            assert count <= burst + (end - begin) * rate + 1e-6


def test_an_address_is_no_callers_name() -> None:
    assert address_of("ipv4:10.0.0.7:1") == "address 10.0.0.7"
    assert address_of("ipv6:%5B2001:db8::1%5D:1") == "address 2001:db8::/64"


# Over gRPC


class Policies(policy_service_pb2_grpc.PolicyServiceServicer):
    """Answers at once, or when told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.came = asyncio.Semaphore(0)

    async def ListPolicies(self, _: Any, __: Any) -> Any:  # noqa: N802 - gRPC names it
        self.came.release()
        await self.go_on.wait()
        return policy_service_pb2.ListPoliciesResponse()


PACKAGE = "homeward.api.matching.v1.PolicyService"
Serving = Callable[..., AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def served(policies: Policies, **settings: Any) -> AsyncIterator[grpc.aio.Channel]:
    given = ServiceSettings(listen="localhost:0", drain_seconds=0, grace_seconds=0.1, **settings)
    service = Service(
        PACKAGE, policy_service_pb2_grpc.add_PolicyServiceServicer_to_server, policies
    )
    server = GrpcServer.configured(given, [service], checks={})
    await server.start()
    async with grpc.aio.insecure_channel(f"localhost:{server.port}") as channel:
        yield channel
    await server.stop()


def listing(
    channel: grpc.aio.Channel, token: str = "", *, metadata: tuple[tuple[str, str], ...] = ()
) -> Any:
    if token:
        metadata = (("authorization", f"Bearer {token}"), *metadata)
    stub = policy_service_pb2_grpc.PolicyServiceStub(channel)
    return stub.ListPolicies(
        policy_service_pb2.ListPoliciesRequest(), metadata=metadata, timeout=10
    )


async def refusal(made: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await made
    return refused.value


async def test_a_call_over_the_quota_is_answered_with_the_time_to_wait() -> None:
    settings = {"quota_calls_per_second": 0.01, "quota_burst": 2}
    async with served(Policies(), **settings) as channel:
        await listing(channel)
        await listing(channel)
        error = await refusal(listing(channel))
        health = health_pb2_grpc.HealthStub(channel)
        checks = [await health.Check(health_pb2.HealthCheckRequest()) for _ in range(5)]

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    info = error_info(error)
    assert info is not None
    assert info.reason == "QUOTA_EXCEEDED"
    assert retry_seconds(error) == pytest.approx(100, abs=2)
    kinds = {detail.TypeName() for detail in rpc_status.from_call(error).details}
    assert error_details_pb2.RetryInfo.DESCRIPTOR.full_name in kinds
    assert len(checks) == 5


async def test_each_caller_has_a_quota_by_their_token(tmp_path: Path) -> None:
    issuer = Issuer()
    settings = {
        "quota_calls_per_second": 0.01,
        "quota_burst": 1,
        "auth_file": issuer.write(tmp_path / "auth", require_purpose=False),
    }
    anne, bob = (issuer.token("auditor", sub=name) for name in ("anne", "bob"))
    async with served(Policies(), **settings) as channel:
        await listing(channel, anne)
        again = await refusal(listing(channel, issuer.token("auditor", sub="anne")))
        await listing(channel, bob)
        unknown = await refusal(listing(channel))

    assert again.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert unknown.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("role", "stated", "refused"),
    [
        ("uploader", {}, grpc.StatusCode.PERMISSION_DENIED),
        ("auditor", {"homeward-purpose": "a\x07b"}, grpc.StatusCode.INVALID_ARGUMENT),
        ("auditor", {"homeward-case": "other"}, grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_a_call_that_the_caller_may_not_make_counts_too(
    tmp_path: Path, role: str, stated: dict[str, str], refused: grpc.StatusCode
) -> None:
    # Each leaves an event that nobody can remove.
    issuer = Issuer()
    settings = {
        "quota_calls_per_second": 0.01,
        "quota_burst": 3,
        "auth_file": issuer.write(tmp_path / "auth", restrict_to_cases=True),
    }
    token = issuer.token(role, sub="anne", cases=["hers"])
    metadata = tuple((name, quote(text)) for name, text in stated.items())
    async with served(Policies(), **settings) as channel:
        codes = [
            (await refusal(listing(channel, token, metadata=metadata))).code() for _ in range(5)
        ]

    assert codes == [refused] * 3 + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2


async def test_a_call_that_is_cancelled_gives_its_place_back() -> None:
    policies = Policies()
    policies.go_on.clear()
    async with served(policies, quota_concurrent_calls=1) as channel:
        first = listing(channel)
        await asyncio.wait_for(policies.came.acquire(), 10)
        full = await refusal(listing(channel))
        first.cancel()
        policies.go_on.set()
        async with asyncio.timeout(10):
            while True:
                again = listing(channel)
                if await again.code() is grpc.StatusCode.OK:
                    break
                await asyncio.sleep(0.01)

    assert full.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("limits", [{}, {"quota_burst": 1}])
def test_without_a_limit_nothing_is_counted(limits: dict[str, Any]) -> None:
    assert quotas.quotas(ServiceSettings(**limits).quota) == []
    assert len(chain()) == 5


@pytest.mark.parametrize(
    "limits",
    [
        {"quota_calls_per_second": 0},
        {"quota_calls_per_second": -1},
        {"quota_burst": 0},
        {"quota_concurrent_calls": 0},
    ],
)
def test_a_quota_that_lets_nobody_in_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="quota"):
        ServiceSettings(**limits)
