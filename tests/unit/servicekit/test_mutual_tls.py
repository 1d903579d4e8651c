"""Who is let in by a certificate, and that a new one is taken in use without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from pydantic import ValidationError

from authority import CLIENT, Authority
from homeward.core.tls import TlsFiles, channel_credentials
from homeward.servicekit import errors, tracing
from homeward.servicekit.clients import check_health, open_channel
from homeward.servicekit.health import LIVE
from homeward.servicekit.settings import ServiceSettings, server_name_field

Serving = Callable[..., AbstractAsyncContextManager[Any]]


async def echo(request: bytes) -> bytes:
    return request


async def ask(channel: grpc.aio.Channel, request: bytes = b"hello") -> bytes:
    call = channel.unary_unary("/homeward.test.Probe/UnaryUnary")
    answer: bytes = await call(request, timeout=10)
    return answer


async def health(channel: grpc.aio.Channel, service: str) -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    return answer.status


async def code_of(channel: grpc.aio.Channel) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(channel)
    return refused.value.code()


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> TlsFiles:
    return authority.write(tmp_path / "server")


@pytest.fixture
def client(authority: Authority, tmp_path: Path) -> TlsFiles:
    return authority.write(tmp_path / "client")


async def test_who_has_a_certificate_of_the_authority_is_let_in(
    serving: Serving, server: TlsFiles, client: TlsFiles
) -> None:
    async with serving(echo, tls=server) as call:
        target = f"localhost:{call.server.port}"
        async with open_channel(target, tls=client) as channel:
            await check_health(channel, "probe", target)

            assert await ask(channel) == b"hello"


async def test_a_call_with_a_certificate_takes_the_current_span_along(
    serving: Serving,
    server: TlsFiles,
    client: TlsFiles,
    spans: Callable[[], list[ReadableSpan]],
) -> None:
    async with serving(echo, tls=server) as call:
        target = f"localhost:{call.server.port}"
        async with open_channel(target, tls=client) as channel:
            with tracing.span("asking") as asking:
                await ask(channel)

    (served,) = [one for one in spans() if one.kind is SpanKind.SERVER]
    assert served.parent is not None
    assert (
        served.parent.span_id == asking.get_span_context().span_id
    )  # the rest says that it is remote


async def test_a_client_for_whom_it_was_signed_is_let_in(
    serving: Serving, server: TlsFiles, authority: Authority, tmp_path: Path
) -> None:
    person = authority.write(tmp_path / "person", usage=(CLIENT,)).read(serving=False)
    async with (
        serving(echo, tls=server) as call,
        grpc.aio.secure_channel(
            f"localhost:{call.server.port}", channel_credentials(person)
        ) as channel,
    ):
        assert await ask(channel) == b"hello"


@pytest.mark.parametrize(
    "credentials",
    [
        lambda server, _: grpc.ssl_channel_credentials(server.authorities),
        lambda server, other: grpc.ssl_channel_credentials(
            server.authorities, other.key, other.certificates
        ),
        lambda _, other: channel_credentials(other),
    ],
    ids=["without a certificate", "of another authority", "that trusts another authority"],
)
async def test_a_client_is_refused(
    serving: Serving,
    server: TlsFiles,
    tmp_path: Path,
    credentials: Callable[..., grpc.ChannelCredentials],
) -> None:
    other = Authority("another").write(tmp_path / "other")
    async with (
        serving(echo, tls=server) as call,
        grpc.aio.secure_channel(
            f"localhost:{call.server.port}", credentials(server.read(), other.read())
        ) as channel,
    ):
        assert await code_of(channel) is grpc.StatusCode.UNAVAILABLE


async def test_a_client_in_plain_text_is_refused(serving: Serving, server: TlsFiles) -> None:
    async with (
        serving(echo, tls=server) as call,
        open_channel(f"localhost:{call.server.port}") as channel,
    ):
        assert await code_of(channel) is grpc.StatusCode.UNAVAILABLE


async def test_a_server_takes_a_new_certificate_and_authority_in_use(
    serving: Serving, server: TlsFiles, client: TlsFiles, tmp_path: Path
) -> None:
    later = Authority("a later one")
    async with serving(echo, tls=server) as call:
        target = f"localhost:{call.server.port}"
        later.write(server.certificate.parent)
        async with (
            open_channel(target, tls=later.write(tmp_path / "later")) as new,
            open_channel(target, tls=client) as old,
        ):
            assert await ask(new) == b"hello"
            assert await code_of(old) is grpc.StatusCode.UNAVAILABLE


async def test_a_channel_takes_a_new_certificate_and_authority_in_use(
    serving: Serving, server: TlsFiles, client: TlsFiles
) -> None:
    later = Authority("a later one")
    async with (
        serving(echo, tls=server) as call,
        open_channel(f"localhost:{call.server.port}", tls=client) as channel,
    ):
        stub = channel.unary_unary("/homeward.test.Probe/UnaryUnary")
        before = await stub(b"before", timeout=10)
        later.write(server.certificate.parent)
        later.write(client.certificate.parent)
        after = await stub(b"after", timeout=10)
        used = channel._channel

    assert (before, after) == (b"before", b"after")
    assert used is channel._channel


async def test_a_call_under_way_outlives_its_certificate(
    serving: Serving, server: TlsFiles, client: TlsFiles
) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def long(request: bytes) -> bytes:
        begun.set()
        await (end.wait() if request == b"long" else asyncio.sleep(0))
        return request

    later = Authority("a later one")
    async with (
        serving(long, tls=server) as call,
        open_channel(f"localhost:{call.server.port}", tls=client) as channel,
    ):
        under_way = asyncio.create_task(ask(channel, b"long"))
        await begun.wait()
        later.write(server.certificate.parent)
        later.write(client.certificate.parent)
        short = await ask(channel, b"short")
        end.set()

        assert (short, await under_way) == (b"short", b"long")


@pytest.mark.parametrize("service", ["", LIVE])
async def test_health_has_a_port_of_its_own_in_plain_text(
    serving: Serving, server: TlsFiles, service: str
) -> None:
    async with serving(echo, tls=server, health_listen="localhost:0") as call:
        port = call.server.health_port
        async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
            status = await health(channel, service)
            refused = await code_of(channel)

    assert status == health_pb2.HealthCheckResponse.SERVING
    assert refused is grpc.StatusCode.UNIMPLEMENTED


async def test_a_new_certificate_that_does_not_serve_is_not_used(
    serving: Serving, server: TlsFiles, client: TlsFiles
) -> None:
    async with serving(echo, tls=server) as call:
        server.key.write_text("half of it")
        async with open_channel(f"localhost:{call.server.port}", tls=client) as channel:
            assert await ask(channel) == b"hello"


def test_settings_name_all_three_files_or_none(server: TlsFiles) -> None:
    with pytest.raises(ValidationError, match="set HOMEWARD_TLS_CA_FILE too, or none of them"):
        ServiceSettings(tls_cert_file=server.certificate, tls_key_file=server.key)


def test_settings_refuse_files_that_do_not_serve(server: TlsFiles) -> None:
    server.authority.unlink()
    with pytest.raises(ValidationError, match=r"ca\.crt cannot be read: No such file"):
        ServiceSettings(
            tls_cert_file=server.certificate,
            tls_key_file=server.key,
            tls_ca_file=server.authority,
        )


async def test_replicas_are_known_by_the_name_that_they_have_in_common(
    serving: Serving, authority: Authority, client: TlsFiles, tmp_path: Path
) -> None:
    named = authority.write(tmp_path / "named", names=("homeward-probe",))
    async with serving(echo, tls=named) as a, serving(echo, tls=named) as b:
        target = f"ipv4:127.0.0.1:{a.server.port},127.0.0.1:{b.server.port}"
        async with open_channel(target, tls=client, server_name="homeward-probe") as channel:
            assert await ask(channel) == b"hello"


async def test_a_service_without_that_name_is_refused(
    serving: Serving, server: TlsFiles, client: TlsFiles
) -> None:
    async with serving(echo, tls=server) as call:
        target = f"localhost:{call.server.port}"
        async with open_channel(target, tls=client, server_name="homeward-probe") as channel:
            with pytest.raises(errors.UnavailableError, match="TLS"):
                await check_health(channel, "probe", target)


def test_settings_refuse_a_name_that_nothing_would_check() -> None:
    class Calling(ServiceSettings):
        probe_tls_server_name: str | None = server_name_field("probe")

    with pytest.raises(ValidationError, match="HOMEWARD_PROBE_TLS_SERVER_NAME is a name in a"):
        Calling(probe_tls_server_name="homeward-probe")


async def test_a_certificate_that_is_refused_is_not_said_to_be_an_absent_service(
    serving: Serving, server: TlsFiles, tmp_path: Path
) -> None:
    other = Authority("another").write(tmp_path / "other")
    async with serving(echo, tls=server) as call:
        target = f"localhost:{call.server.port}"
        async with open_channel(target, tls=other) as channel:
            with pytest.raises(errors.UnavailableError) as received:
                await check_health(channel, "probe", target)

    assert "TLS" in str(received.value)
