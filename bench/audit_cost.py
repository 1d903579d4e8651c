"""What an audit event costs a call, and what reading the trail takes.

    python bench/audit_cost.py [--events 100000] [--calls 500]

Calls of a service that does nothing, with and without an event, on a NATS server of its own that
writes each event to its disk. Then as many events as asked for: to write them, to list those of one
case (one in a thousand), and to verify all.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import structlog

from homeward.api.matching.v1 import subject_service_pb2, subject_service_pb2_grpc
from homeward.core.audit.events import AuditEvent, read_line
from homeward.core.audit.trail import TrailCheck
from homeward.embedded.files import make_private_folder
from homeward.embedded.nats import nats_spec, nats_url
from homeward.embedded.ports import held_ports
from homeward.embedded.stack import Stack, StopRequest
from homeward.servicekit.audit.around import audited
from homeward.servicekit.audit.nats_store import NatsAuditStore
from homeward.servicekit.audit.reading import AuditTrail, EventFilter
from homeward.servicekit.audit.store import EventQuery
from homeward.servicekit.audit.writer import AuditEntry, AuditWriter
from homeward.servicekit.clients import open_channel
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.interceptors import Around, chain
from homeward.servicekit.nats import connection
from homeward.servicekit.server import GrpcServer, Service

SUBJECT = "11111111-2222-4333-8444-555555555555"
SERVICE = "homeward.api.matching.v1.SubjectService"
AT_ONCE = 50
CASES = 1000
OFFLINE = 20_000


class Subjects(subject_service_pb2_grpc.SubjectServiceServicer):
    """Answers at once."""

    async def GetSubject(  # noqa: N802 - as its proto names it
        self, _: object, __: object
    ) -> subject_service_pb2.GetSubjectResponse:
        """Answer."""
        return subject_service_pb2.GetSubjectResponse()


async def calls(count: int, *around: Around) -> tuple[float, float]:
    """Return the milliseconds of a call, one after the other and of `AT_ONCE` at once."""
    add = subject_service_pb2_grpc.add_SubjectServiceServicer_to_server
    server = GrpcServer(
        [Service(SERVICE, add, Subjects())],
        listen="127.0.0.1:0",
        checks={},
        grace_seconds=1,
        chain=chain(*around),
    )
    request = subject_service_pb2.GetSubjectRequest(subject_id=SUBJECT)
    async with server.serving(), open_channel(f"127.0.0.1:{server.port}") as channel:
        stub = subject_service_pb2_grpc.SubjectServiceStub(channel)
        await stub.GetSubject(request)
        begun = time.perf_counter()
        for _ in range(count):
            await stub.GetSubject(request)
        alone = time.perf_counter() - begun
        begun = time.perf_counter()
        for _ in range(count // AT_ONCE):
            await asyncio.gather(*(stub.GetSubject(request) for _ in range(AT_ONCE)))
        together = time.perf_counter() - begun
    return alone / count * 1000, together / (count // AT_ONCE * AT_ONCE) * 1000


async def measure_calls(writer: AuditWriter, count: int) -> None:
    """Print what calls take, twice each way in turn."""
    for name, around in [("without", []), ("with", [audited(writer)])] * 2:
        alone, together = await calls(count, *around)
        print(f"{name:7} an event: {alone:.2f} ms a call, {together:.2f} ms of {AT_ONCE} at once")


async def measure_trail(store: NatsAuditStore, writer: AuditWriter, count: int) -> None:
    """Print what writing, listing and verifying takes."""
    begun = time.perf_counter()
    for number in range(count):
        await writer.write(
            AuditEntry(
                rpc=f"{SERVICE}/GetSubject",
                operation="CONSULTATION",
                outcome="OK",
                actor=f"user{number % 50}",
                case_reference=f"MP-{number % CASES}",
                resources=[f"subject/{number:08d}-0000-4000-8000-000000000000"],
            )
        )
    print(f"write: {(time.perf_counter() - begun) / count * 1000:.2f} ms an event")
    trail = AuditTrail(store, signer=None, clock=SystemClock())
    begun = time.perf_counter()
    wanted = EventFilter(case_reference="MP-7")
    page = await trail.page(wanted, after=0, end=await store.end(), size=1000)
    print(f"list {len(page.events)} of one case: {time.perf_counter() - begun:.2f} s")
    begun = time.perf_counter()
    check = await trail.verify(until=None)
    print(f"verify {check.count}, by the server: {time.perf_counter() - begun:.1f} s")
    stored = await store.read(EventQuery(), limit=OFFLINE)
    lines = [AuditEvent.read(one.data).line() for one in stored]
    begun, offline = time.perf_counter(), TrailCheck()
    for line in lines:
        offline.add(read_line(line))
    print(f"verify {len(lines)} lines of a file: {time.perf_counter() - begun:.1f} s")


async def main(url: str, *, events: int, count: int) -> None:
    """Measure."""
    async with connection(url, "bench") as bus:
        keep = timedelta(days=2190)
        store = await NatsAuditStore.open(bus, "AUDIT", keep=keep, replicas=1)
        writer = AuditWriter(store, service="matching", clock=SystemClock())
        await measure_calls(writer, count)
        await measure_trail(store, writer, events)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=500)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with (
        tempfile.TemporaryDirectory() as folder,
        held_ports(Path(folder), base=None, given={}) as ports,
    ):
        data = Path(folder)
        make_private_folder(data / "secrets")
        port = ports["nats"]
        spec = nats_spec(data, port=port, token="a-token")
        engine = Stack([spec], logs=data / "logs", stop=StopRequest(), say=lambda _: None)
        try:
            engine.start(timeout_seconds=30)
            asyncio.run(
                main(nats_url(port=port, token="a-token"), events=given.events, count=given.calls)
            )
        finally:
            engine.close()
