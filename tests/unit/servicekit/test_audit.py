"""What the writer of audit events makes of what it is given, at its limits."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from homeward.api.matching.v1 import sighting_service_pb2, subject_service_pb2
from homeward.core.audit.events import AuditEvent
from homeward.servicekit.audit import refusals
from homeward.servicekit.audit import writer as module
from homeward.servicekit.audit.around import audited, operation_of
from homeward.servicekit.audit.reading import AuditTrail
from homeward.servicekit.audit.refusals import (
    REFUSE_UNKNOWN,
    RefusedCalls,
    refusals_audited,
    refused_calls,
)
from homeward.servicekit.audit.resources import MOST_RESOURCES, resources_in
from homeward.servicekit.audit.store import EventQuery, InMemoryAuditStore, Place
from homeward.servicekit.audit.writer import LONGEST_TEXT, MOST_WAITING, AuditEntry, AuditWriter
from homeward.servicekit.clock import Clock
from homeward.servicekit.errors import (
    Reason,
    ResourceExhaustedError,
    UnavailableError,
    unavailable,
)
from homeward.servicekit.identity.caller import Caller, Role, acting_for
from homeward.servicekit.interceptors import Call

ROOT = Path(__file__).resolve().parents[3]
SUBJECT = "11111111-2222-4333-8444-555555555555"
RPC = f"{subject_service_pb2.DESCRIPTOR.services_by_name['SubjectService'].full_name}/GetSubject"

FOOTAGE = "gate-20260304t120000000000z-0123456789abcdef"


SOMEBODY = Caller("a.reviewer", frozenset({Role.REVIEWER}), purpose="review", case_reference="MP-1")


@pytest.fixture
def store() -> InMemoryAuditStore:
    return InMemoryAuditStore()


@pytest.fixture
def writer(store: InMemoryAuditStore, clock: Clock) -> AuditWriter:
    return AuditWriter(store, service="matching", clock=clock)


async def only(store: InMemoryAuditStore) -> AuditEvent:
    (stored,) = await store.read(EventQuery(), limit=9)
    return AuditEvent.read(stored.data)


def entry(**given: Any) -> AuditEntry:
    return AuditEntry(**{"rpc": RPC, "operation": "CONSULTATION", "outcome": "OK"} | given)


def call() -> Call:
    context: Any = None
    return Call(rpc=RPC, request_id="r", streams=False, context=context)


@pytest.mark.parametrize(("count", "omitted"), [(MOST_RESOURCES, 0), (MOST_RESOURCES + 1, 1)])
async def test_an_event_names_so_many_resources_and_counts_the_others(
    writer: AuditWriter, store: InMemoryAuditStore, count: int, omitted: int
) -> None:
    await writer.write(entry(resources=[f"subject/{number:08d}" for number in range(count)]))

    event = await only(store)
    assert (len(event.resources), event.omitted_resource_count) == (MOST_RESOURCES, omitted)


async def test_an_event_of_too_many_resources_names_people_first(
    writer: AuditWriter, store: InMemoryAuditStore
) -> None:
    kinds = ("photo", "scan", "sighting", "subject")
    each = MOST_RESOURCES // 2
    await writer.write(
        entry(resources=[f"{kind}/{number:08d}" for kind in kinds for number in range(each)])
    )

    event = await only(store)
    assert Counter(one.partition("/")[0] for one in event.resources) == {
        "subject": each,
        "sighting": each,
    }
    assert list(event.resources) == sorted(event.resources)
    assert event.omitted_resource_count == 2 * each


@pytest.mark.parametrize(("until", "count"), [(7, 1), (10, 3)])
async def test_a_clock_that_was_set_back_breaks_no_chain(
    writer: AuditWriter, store: InMemoryAuditStore, clock: Any, until: int, count: int
) -> None:
    begin = clock.now()
    for seconds in (0, 10, -5):
        clock.pass_time(timedelta(seconds=seconds))
        await writer.write(entry())

    trail = AuditTrail(store, signer=None, clock=clock)
    check = await trail.verify(until=begin + timedelta(seconds=until))

    assert (check.problems, check.count) == ([], count)


@pytest.mark.parametrize("length", [LONGEST_TEXT, LONGEST_TEXT + 1])
async def test_what_a_caller_states_is_cut_and_stays_in_its_line(
    writer: AuditWriter, store: InMemoryAuditStore, length: int
) -> None:
    await writer.write(entry(purpose="\n\x1b\ud800" + "p" * (length - 3)))

    assert (await only(store)).purpose == "   " + "p" * (LONGEST_TEXT - 3)


def test_ids_are_told_by_their_form_and_other_text_is_not() -> None:
    request = sighting_service_pb2.ListSightingsRequest(
        subject_ids=["Anna Example", SUBJECT.replace("1", "A")],
        footage_ids=[FOOTAGE],
        camera_ids=["gate", "gate\x1b[2J"],
    )

    assert resources_in(request, None) == ["camera/gate", f"footage/{FOOTAGE}"]


def test_who_is_never_named_beside_where() -> None:
    request = sighting_service_pb2.ListSightingsRequest(
        subject_ids=[SUBJECT], footage_ids=[FOOTAGE], camera_ids=["gate"]
    )

    assert resources_in(request, None) == [f"subject/{SUBJECT}"]


async def test_an_event_tells_who_called_why_and_for_what(
    writer: AuditWriter, store: InMemoryAuditStore
) -> None:
    with acting_for(SOMEBODY):
        async with audited(writer)(call()):
            pass

    event = await only(store)
    assert (event.actor, event.purpose, event.case_reference) == ("a.reviewer", "review", "MP-1")


async def test_nothing_is_done_while_the_trail_is_known_to_be_away(
    writer: AuditWriter, store: InMemoryAuditStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise unavailable("NATS", "nats://n:4222", "start it")

    monkeypatch.setattr(store, "require_connected", away)
    done = False

    with pytest.raises(UnavailableError):
        async with audited(writer)(call()):
            done = True

    assert not done


async def test_an_event_is_written_though_its_call_is_cancelled_meanwhile(
    writer: AuditWriter, store: InMemoryAuditStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, append = asyncio.Event(), asyncio.Event(), store.append

    async def slowly(*args: Any, **kwargs: Any) -> int:
        begun.set()
        await go_on.wait()
        return await append(*args, **kwargs)

    monkeypatch.setattr(store, "append", slowly)
    writing = asyncio.create_task(writer.write(entry()))
    await begun.wait()
    writing.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await writer.finish()

    assert (await only(store)).sequence == 1


async def test_after_a_write_whose_end_is_unknown_the_chain_goes_on_from_what_is_stored(
    writer: AuditWriter, store: InMemoryAuditStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = store.append

    async def stores_and_says_nothing(*args: Any, **kwargs: Any) -> int:
        await append(*args, **kwargs)
        raise unavailable("NATS", "nats://n:4222", "start it", waited=True)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(store, "append", stores_and_says_nothing)
        with pytest.raises(UnavailableError):
            await writer.write(entry())
    await writer.write(entry())

    stored = [AuditEvent.read(one.data) for one in await store.read(EventQuery(), limit=9)]
    assert [event.sequence for event in stored] == [1, 2]
    assert stored[1].previous_digest == stored[0].digest


def test_health_and_unknown_calls_are_no_processing() -> None:
    assert operation_of("grpc.health.v1.Health/Check") is None
    assert operation_of("homeward.api.matching.v1.SubjectService/Nothing") is None
    assert operation_of("homeward.api.nothing.v1.Service/GetSubject") is None
    assert operation_of(RPC) == "CONSULTATION"


def test_a_writer_is_of_a_service_that_writes(store: InMemoryAuditStore, clock: Clock) -> None:
    with pytest.raises(ValueError, match="embedding"):
        AuditWriter(store, service="embedding", clock=clock)


async def test_a_fault_has_the_status_that_its_caller_gets(
    writer: AuditWriter, store: InMemoryAuditStore
) -> None:
    with pytest.raises(RuntimeError):
        async with audited(writer)(call()):
            raise RuntimeError("a fault")

    assert (await only(store)).outcome == grpc.StatusCode.INTERNAL.name


class HangingStore(InMemoryAuditStore):
    """A store that answers nobody until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()

    async def append(self, data: bytes, place: Place, *, after: int) -> int:
        await self.goes_on.wait()
        return await super().append(data, place, after=after)


async def test_nobody_waits_for_ever_for_an_event_and_those_after_it_are_written(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = HangingStore()
    writer = AuditWriter(store, service="matching", clock=clock)
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.02)

    waited = await asyncio.gather(
        *(writer.write(entry()) for _ in range(3)), return_exceptions=True
    )
    store.goes_on.set()
    await writer.write(entry())

    assert [type(one) for one in waited] == [UnavailableError] * 3
    assert (await only(store)).sequence == 1


@pytest.mark.parametrize(
    ("waiting", "ends"),
    [(MOST_WAITING - 1, nullcontext()), (MOST_WAITING, pytest.raises(UnavailableError))],
)
async def test_nothing_is_begun_while_so_many_events_wait(
    clock: Clock, waiting: int, ends: AbstractContextManager[Any]
) -> None:
    store = HangingStore()
    writer = AuditWriter(store, service="matching", clock=clock)
    for _ in range(waiting):
        writer.begin(entry())

    with ends:
        writer.require_connected()

    store.goes_on.set()
    await writer.finish()
    assert await store.end() == waiting


async def test_refused_calls_of_unknown_callers_are_told_together(
    writer: AuditWriter, store: InMemoryAuditStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "TOLD_EVERY_SECONDS", 0.01)
    refused = RefusedCalls(writer)

    refused.add()
    telling = refused._telling
    assert telling is not None
    await asyncio.sleep(0)  # the first is written now
    refused.add()
    refused.add()
    await telling
    await writer.finish()

    events = [AuditEvent.read(one.data) for one in await store.read(EventQuery(), limit=9)]
    assert [(one.rpc, one.count) for one in events] == [(REFUSE_UNKNOWN, 1), (REFUSE_UNKNOWN, 2)]


async def test_refused_calls_are_told_before_the_process_ends(
    writer: AuditWriter, store: InMemoryAuditStore
) -> None:
    async with refused_calls(writer) as refused:
        refused.add()
        await asyncio.sleep(0)
        refused.add()
    await writer.finish()

    events = [AuditEvent.read(one.data) for one in await store.read(EventQuery(), limit=9)]
    assert [one.count for one in events] == [1, 1]


@pytest.mark.parametrize(
    ("reason", "events"), [(Reason.QUOTA_EXCEEDED, 0), (Reason.ROLE_MISSING, 1)]
)
async def test_calls_over_a_quota_leave_no_event(
    writer: AuditWriter, store: InMemoryAuditStore, reason: Reason, events: int
) -> None:
    made = call()
    made.exchange.caller = SOMEBODY
    with pytest.raises(ResourceExhaustedError):
        async with refusals_audited(writer, RefusedCalls(writer))(made):
            raise ResourceExhaustedError("no", reason=reason)
    await writer.finish()

    assert await store.end() == events


async def test_an_act_names_ids_of_our_form_alone(
    writer: AuditWriter, store: InMemoryAuditStore
) -> None:
    await writer.record(
        "EraseUnrecordedPhotos", "ERASURE", [f"photo/{SUBJECT}", "photo/anna.jpg", "Anna Example"]
    )

    assert (await only(store)).resources == (f"photo/{SUBJECT}",)


def test_every_act_is_documented() -> None:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py"))
    called = r'(?:record|_record|_ended)\(\s*"([A-Z]\w+)"'
    acts = {act for text in sources for act in re.findall(called, text)}
    documented = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")

    assert len(acts) > 15
    assert {act for act in acts if f"`{act}`" not in documented} == set()
