"""The audit trail in a NATS server: nothing is removed, no chain forks, nothing goes unlogged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from nats.js.api import StreamConfig
from nats.js.errors import APIError

from engines import running
from homeward.api.common.v1 import audit_service_pb2, audit_service_pb2_grpc
from homeward.core.audit.events import AuditEvent
from homeward.embedded.files import make_private_folder
from homeward.embedded.nats import nats_spec
from homeward.embedded.nats import nats_url as url_of_nats
from homeward.embedded.spec import ChildSpec
from homeward.servicekit.audit.archive import InMemoryArchive, TrailArchiver
from homeward.servicekit.audit.around import audited
from homeward.servicekit.audit.nats_store import NatsAuditStore, UnsafeTrailError
from homeward.servicekit.audit.reading import AuditTrail, EventFilter
from homeward.servicekit.audit.servicer import AuditServicer
from homeward.servicekit.audit.store import (
    AuditStore,
    EventQuery,
    ForkRefusedError,
    InMemoryAuditStore,
    Place,
)
from homeward.servicekit.audit.writer import AuditEntry, AuditWriter
from homeward.servicekit.clients import open_channel, translate
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.errors import Reason
from homeward.servicekit.interceptors import chain
from homeward.servicekit.nats import Nats, connection
from homeward.servicekit.server import GrpcServer

KEPT = timedelta(days=6 * 365)
ENTRY = AuditEntry(rpc="a.Service/Call", operation="CONSULTATION", outcome="OK")


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Nats]:
    async with connection(nats_url, "a-test") as held:
        yield held
        # For others of this session: an operator may remove a stream, which no service does.
        await held.jetstream.delete_stream("AUDIT")


@pytest.fixture
async def nats_store(bus: Nats) -> NatsAuditStore:
    return await NatsAuditStore.open(bus, "AUDIT", keep=KEPT, replicas=1)


@pytest.fixture(params=["memory", "nats"])
def store(request: pytest.FixtureRequest) -> AuditStore:
    if request.param == "memory":
        return InMemoryAuditStore()
    store: NatsAuditStore = request.getfixturevalue("nats_store")
    return store


def writer_to(store: AuditStore) -> AuditWriter:
    return AuditWriter(store, service="matching", clock=SystemClock())


async def always() -> bool:
    return True


async def test_a_chain_that_would_fork_is_refused(store: AuditStore) -> None:
    first = await store.append(b"1", Place("matching-1", "a case"), after=0)
    await store.append(b"2", Place("matching-1", actor="somebody"), after=first)

    with pytest.raises(ForkRefusedError):
        await store.append(b"3", Place("matching-1", "another"), after=first)
    with pytest.raises(ForkRefusedError):
        await store.append(b"3", Place("matching-1"), after=0)


async def test_the_trail_is_archived_as_the_same_bytes_by_whoever_does_it(
    store: AuditStore, clock: Any
) -> None:
    writers = [writer_to(store), AuditWriter(store, service="scanner", clock=SystemClock())]
    for number in range(7):
        await writers[number % 2].write(ENTRY)
    clock.instant = datetime.now(UTC) + timedelta(hours=1)

    async def archived() -> dict[str, bytes]:
        archive = InMemoryArchive()
        minutes = timedelta(minutes=30)
        await TrailArchiver(store, archive, signer=None, clock=clock, every=minutes, keep=KEPT).run(
            always
        )
        assert set(archive.locked_until.values()) <= {
            one.stored_time + KEPT for one in await store.read(EventQuery(), limit=9)
        }
        return archive.held

    held = await archived()

    assert await archived() == held
    lines = b"".join(held[name] for name in sorted(held)).splitlines(keepends=True)
    stored = await store.read(EventQuery(), limit=9)
    assert lines == [AuditEvent.read(one.data).line() for one in stored]
    assert [one.position for one in stored] == list(range(1, 8))
    assert all(abs(one.stored_time - datetime.now(UTC)) < timedelta(minutes=1) for one in stored)


async def test_two_writers_do_not_hinder_each_other(store: AuditStore) -> None:
    first = await store.append(b"1", Place("matching-1"), after=0)
    await store.append(b"2", Place("matching-2"), after=0)
    await store.append(b"3", Place("matching-1"), after=first)

    assert [one.data for one in await store.read(EventQuery(writer="matching-1"), limit=9)] == [
        b"1",
        b"3",
    ]
    assert await store.writers() == ["matching-1", "matching-2"]


async def test_events_are_found_by_case_and_caller_in_their_order(store: AuditStore) -> None:
    last = 0
    for number in range(6):
        place = Place("matching-1", f"case {number % 2}", f"caller {number % 3}")
        last = await store.append(str(number).encode(), place, after=last)

    async def found(query: EventQuery, limit: int = 9) -> list[bytes]:
        return [one.data for one in await store.read(query, limit=limit)]

    assert await found(EventQuery(case_reference="case 1")) == [b"1", b"3", b"5"]
    assert await found(EventQuery(actor="caller 2")) == [b"2", b"5"]
    assert await found(EventQuery(case_reference="case 1", actor="caller 0")) == [b"3"]
    assert await found(EventQuery(case_reference="of nobody")) == []
    assert await found(EventQuery(), limit=2) == [b"0", b"1"]
    second = (await store.read(EventQuery(), limit=2))[1].position
    assert await found(EventQuery(after=second), limit=1) == [b"2"]


async def test_a_list_has_what_its_server_did_not_have_yet(
    nats_store: NatsAuditStore, bus: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await nats_store.append(b"1", Place("matching-1"), after=0)
    real = bus.jetstream.add_consumer

    async def lagging(*args: Any) -> Any:
        made = await real(*args)
        await nats_store.append(b"2", Place("matching-1"), after=first)
        return made

    async def newest(_: EventQuery) -> int:
        return first + 1

    monkeypatch.setattr(bus.jetstream, "add_consumer", lagging)
    monkeypatch.setattr(nats_store, "_newest", newest)

    assert [one.data for one in await nats_store.read(EventQuery(), limit=9)] == [b"1", b"2"]


async def test_first_last_and_end_are_of_what_was_written(store: AuditStore) -> None:
    assert (await store.first("matching-1"), await store.last("matching-1")) == (None, None)
    assert await store.end() == 0
    first = await store.append(b"1", Place("matching-1", "x"), after=0)
    last = await store.append(b"2", Place("matching-1", "y"), after=first)

    held = [await store.first("matching-1"), await store.last("matching-1")]
    assert [one and one.data for one in held] == [b"1", b"2"]
    assert await store.end() == last


async def test_processes_of_a_service_make_a_chain_each(store: AuditStore) -> None:
    writers = [writer_to(store) for _ in range(4)]

    await asyncio.gather(*(writer.write(ENTRY) for _ in range(5) for writer in writers))

    check = await AuditTrail(store, signer=None, clock=SystemClock()).verify(until=None)
    assert check.intact
    assert check.count == 20
    assert len({writer.name for writer in writers}) == 4


async def test_a_process_goes_on_with_the_chain_that_is_there(store: AuditStore) -> None:
    await writer_to(store).write(ENTRY)

    await writer_to(store).write(ENTRY)

    (first, second) = [AuditEvent.read(one.data) for one in await store.read(EventQuery(), limit=9)]
    assert (second.writer, second.sequence) == ("matching-1", 2)
    assert second.previous_digest == first.digest


async def test_nothing_in_the_stream_can_be_deleted_or_purged(
    bus: Nats, nats_store: NatsAuditStore
) -> None:
    position = await nats_store.append(b"1", Place("matching-1"), after=0)

    with pytest.raises(APIError, match="delete not permitted"):
        await bus.jetstream.delete_msg("AUDIT", position)
    with pytest.raises(APIError, match="purge not permitted"):
        await bus.jetstream.purge_stream("AUDIT")
    assert (await nats_store.last("matching-1")) is not None


@pytest.mark.usefixtures("nats_store")
async def test_what_may_be_removed_from_the_stream_cannot_be_allowed_later(
    bus: Nats,
) -> None:
    config = (await bus.jetstream.stream_info("AUDIT")).config

    with pytest.raises(APIError):
        await bus.jetstream.update_stream(config.evolve(deny_delete=False))
    with pytest.raises(APIError):
        await bus.jetstream.update_stream(config.evolve(deny_purge=False))


async def test_a_stream_that_lets_events_go_is_refused(bus: Nats) -> None:
    await bus.jetstream.add_stream(StreamConfig(name="AUDIT", subjects=["audit.>"]))

    with pytest.raises(UnsafeTrailError, match="AUDIT"):
        await NatsAuditStore.open(bus, "AUDIT", keep=KEPT, replicas=1)


@pytest.mark.usefixtures("nats_store")
async def test_events_are_kept_for_as_long_as_is_set(bus: Nats) -> None:
    assert (await bus.jetstream.stream_info("AUDIT")).config.max_age == KEPT.total_seconds()

    await NatsAuditStore.open(bus, "AUDIT", keep=2 * KEPT, replicas=1)

    assert (await bus.jetstream.stream_info("AUDIT")).config.max_age == 2 * KEPT.total_seconds()


async def test_events_are_found_by_the_time_of_storing(nats_store: NatsAuditStore) -> None:
    writer = writer_to(nats_store)
    await writer.write(ENTRY)
    trail = AuditTrail(nats_store, signer=None, clock=SystemClock())

    async def found(start: timedelta) -> int:
        wanted = EventFilter(start=datetime.now(UTC) + start)
        page = await trail.page(wanted, after=0, end=await trail.end(), size=9)
        return len(page.events)

    assert await found(-timedelta(minutes=1)) == 1
    assert await found(timedelta(minutes=1)) == 0
    assert (
        await nats_store.read(EventQuery(start=datetime.now(UTC) + timedelta(minutes=1)), limit=9)
        == []
    )


@asynccontextmanager
async def connection_to_own(
    spec: ChildSpec, folder: Path, port: int
) -> AsyncIterator[tuple[Nats, Callable[[], None]]]:
    """Connect to a server of one's own; yields what stops it as well."""
    with ExitStack() as stack:
        stack.enter_context(running(spec, logs=folder / "logs"))
        async with connection(url_of_nats(port=port, token="a-token"), "a-test") as held:
            yield held, stack.close


async def test_without_nats_a_consultation_fails_and_health_does_not(
    tmp_path: Path, ports: Mapping[str, int]
) -> None:
    make_private_folder(tmp_path / "secrets")
    spec = nats_spec(tmp_path, port=ports["nats"], token="a-token")
    async with connection_to_own(spec, tmp_path, ports["nats"]) as (nats, stop):
        store = await NatsAuditStore.open(nats, "AUDIT", keep=KEPT, replicas=1)
        trail = AuditTrail(store, signer=None, clock=SystemClock())
        server = GrpcServer(
            [AuditServicer(trail).service()],
            listen="127.0.0.1:0",
            checks={},
            grace_seconds=0.1,
            chain=chain(audited(writer_to(store))),
        )
        async with server.serving(), open_channel(f"127.0.0.1:{server.port}") as channel:
            stub: Any = audit_service_pb2_grpc.AuditServiceStub(channel)
            health: Any = health_pb2_grpc.HealthStub(channel)
            request = audit_service_pb2.ListAuditEventsRequest()
            await stub.ListAuditEvents(request)
            await asyncio.to_thread(stop)

            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.ListAuditEvents(request)
            answer = await health.Check(health_pb2.HealthCheckRequest(service="live"))

    assert translate(refused.value, "s", "a").reason is Reason.COMPONENT_UNAVAILABLE
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
