"""`WorkQueue` on NATS: delivered at least once, counted, and dropped with its scan."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from homeward.ingestion.adapters import work_queue
from homeward.ingestion.adapters.work_queue import (
    PLAN_STREAM,
    STREAM,
    NatsPlanQueue,
    NatsWork,
    NatsWorkQueue,
)
from homeward.ingestion.scan.ports import Backlog
from homeward.servicekit import tracing
from homeward.servicekit.errors import Reason, UnavailableError
from homeward.servicekit.nats import Nats, connection

SHORT = 0.2


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Nats]:
    async with connection(nats_url, "test") as bus:
        yield bus


@pytest.fixture
async def queue(bus: Nats, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NatsWorkQueue]:
    monkeypatch.setattr(work_queue, "ACK_WAIT_SECONDS", 10 * SHORT)
    monkeypatch.setattr(work_queue, "RETRY_SECONDS", SHORT)
    yield await NatsWorkQueue.open(bus, replicas=1)
    await bus.jetstream.delete_stream(STREAM)


@pytest.fixture
def empty_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "TAKE_SECONDS", SHORT)


@pytest.fixture
def scan_id() -> str:
    return str(uuid.uuid4())


async def taken(queue: NatsWorkQueue) -> NatsWork:
    work = await queue.take()
    assert work is not None
    return work


async def test_a_segment_is_taken_as_it_was_put(queue: NatsWorkQueue, scan_id: str) -> None:
    await queue.put(scan_id, 2, [7])

    work = await taken(queue)

    assert (work.scan_id, work.recording, work.segment, work.attempt) == (scan_id, 2, 7, 1)


async def test_a_segment_is_of_the_trace_in_which_it_was_put(
    queue: NatsWorkQueue, scan_id: str, spans: Callable[[], list[ReadableSpan]]
) -> None:
    with tracing.span("scan"):
        await queue.put(scan_id, 0, [0])
    work = await taken(queue)
    with tracing.span("segment", parent=work.trace):
        pass

    scan, segment = spans()
    assert segment.parent is not None
    assert scan.context is not None
    assert segment.parent.span_id == scan.context.span_id


async def test_what_waits_and_what_is_in_flight_is_counted(
    queue: NatsWorkQueue, scan_id: str
) -> None:
    await queue.put(scan_id, 0, range(3))
    work = await taken(queue)

    assert await queue.backlog() == Backlog(waiting=2, in_flight=1)

    await work.done()
    assert await queue.backlog() == Backlog(waiting=2, in_flight=0)


async def test_segments_are_taken_in_their_order(queue: NatsWorkQueue, scan_id: str) -> None:
    await queue.put(scan_id, 0, [1])
    await queue.put(scan_id, 0, [0])

    assert [(await taken(queue)).segment, (await taken(queue)).segment] == [1, 0]


@pytest.mark.usefixtures("empty_at_once")
async def test_an_empty_queue_gives_nothing(queue: NatsWorkQueue) -> None:
    assert await queue.take() is None


@pytest.mark.usefixtures("empty_at_once")
async def test_the_same_segment_again_is_dropped(queue: NatsWorkQueue, scan_id: str) -> None:
    await queue.put(scan_id, 0, [0])
    await queue.put(scan_id, 0, [0])

    first, second = await queue.take(), await queue.take()

    assert first is not None
    assert second is None


@pytest.mark.usefixtures("empty_at_once")
async def test_a_segment_that_was_done_is_dropped_when_it_comes_again(
    queue: NatsWorkQueue, scan_id: str
) -> None:
    await queue.put(scan_id, 0, [0])
    await (await taken(queue)).done()
    await queue.put(scan_id, 0, [0])

    assert await queue.take() is None


async def test_a_segment_that_is_done_leaves_the_queue(
    queue: NatsWorkQueue, bus: Nats, scan_id: str
) -> None:
    await queue.put(scan_id, 0, [0])

    await (await taken(queue)).done()

    assert (await bus.jetstream.stream_info(STREAM)).state.messages == 0


async def test_a_segment_whose_scanner_went_silent_comes_again(
    queue: NatsWorkQueue, scan_id: str
) -> None:
    await queue.put(scan_id, 0, [3])
    await taken(queue)

    again = await taken(queue)

    assert (again.scan_id, again.segment, again.attempt) == (scan_id, 3, 2)


async def test_a_segment_given_back_comes_again(queue: NatsWorkQueue, scan_id: str) -> None:
    await queue.put(scan_id, 0, [3])
    await (await taken(queue)).retry()
    await (await taken(queue)).retry()

    assert (await taken(queue)).attempt == 3


@pytest.mark.usefixtures("empty_at_once")  # before the time that it may be silent has passed
async def test_a_segment_handed_back_comes_again_at_once(
    queue: NatsWorkQueue, monkeypatch: pytest.MonkeyPatch, scan_id: str
) -> None:
    monkeypatch.setattr(work_queue, "RETRY_SECONDS", 60)
    await queue.put(scan_id, 0, [3])
    await (await taken(queue)).retry(at_once=True)

    again = await taken(queue)

    assert (again.segment, again.attempt) == (3, 2)


async def test_a_segment_still_worked_on_does_not_come_again(
    queue: NatsWorkQueue, monkeypatch: pytest.MonkeyPatch, scan_id: str
) -> None:
    monkeypatch.setattr(work_queue, "TAKE_SECONDS", SHORT * 6)
    monkeypatch.setattr(work_queue, "ANSWER_SECONDS", SHORT / 10)
    await queue.put(scan_id, 0, [3])
    work = await taken(queue)
    first = await queue.take()  # most of the time that it may be silent passes here
    await work.extend()
    second = await queue.take()

    assert (first, second) == (None, None)


async def test_a_segment_survives_its_scanner(
    queue: NatsWorkQueue, nats_url: str, scan_id: str
) -> None:
    async with connection(nats_url, "a scanner that ends") as other:
        await (await NatsWorkQueue.open(other, replicas=1)).put(scan_id, 0, [0])

    assert (await taken(queue)).scan_id == scan_id


async def test_two_scanners_take_different_segments(
    queue: NatsWorkQueue, nats_url: str, scan_id: str
) -> None:
    await queue.put(scan_id, 0, [0])
    await queue.put(scan_id, 0, [1])
    async with connection(nats_url, "another scanner") as bus:
        other = await NatsWorkQueue.open(bus, replicas=1)

        assert {(await taken(queue)).segment, (await taken(other)).segment} == {0, 1}


async def test_a_message_holds_no_more_than_ids(
    queue: NatsWorkQueue, bus: Nats, scan_id: str
) -> None:
    await queue.put(scan_id, 0, [0])

    message = await bus.jetstream.get_last_msg(STREAM, f"scan.work.{scan_id}")

    assert message.data == b"0 0"


async def test_scans_take_turns(queue: NatsWorkQueue) -> None:
    long, short = "long", "short"
    await queue.put(long, 0, range(50))
    first = [await taken(queue) for _ in range(3)]
    await queue.put(short, 0, range(2))
    await asyncio.sleep(work_queue.ASK_SECONDS)  # what came newly is asked for as often as this
    then = [await taken(queue) for _ in range(4)]

    assert [one.scan_id for one in first] == [long] * 3
    assert [one.scan_id for one in then].count(short) == 2
    assert {one.scan_id for one in then[:2]} == {long, short}


async def test_who_waits_takes_what_is_queued_at_once(
    queue: NatsWorkQueue, bus: Nats, scan_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_queue, "ASK_SECONDS", 60.0)
    monkeypatch.setattr(work_queue, "TAKE_SECONDS", 60.0)
    looked, look = asyncio.Event(), queue._look_for_scans

    async def looking() -> None:
        await look()
        looked.set()

    monkeypatch.setattr(queue, "_look_for_scans", looking)
    waiting = [asyncio.create_task(queue.take()) for _ in range(2)]
    await looked.wait()  # and nothing was there

    elsewhere = await NatsWorkQueue.open(bus, replicas=1)
    await elsewhere.put(scan_id, 0, [0, 1])

    async with asyncio.timeout(10):
        taken_at_once = await asyncio.gather(*waiting)
    assert {work.segment for work in taken_at_once if work is not None} == {0, 1}


async def test_what_waits_of_a_scan_is_dropped_and_nothing_else(
    queue: NatsWorkQueue, bus: Nats
) -> None:
    await queue.put("cancelled", 0, range(600))
    await queue.put("other", 0, [7])
    work = await queue.take()
    in_hand = work.segment if work is not None and work.scan_id == "cancelled" else None

    dropped = await queue.drop("cancelled")

    assert sorted(dropped) == [number for number in range(600) if number != in_hand]
    held = (await bus.jetstream.stream_info(STREAM, "scan.work.>")).state.subjects or {}
    assert held["scan.work.other"] == 1
    assert held.get("scan.work.cancelled", 0) == (0 if in_hand is None else 1)


async def test_a_consumer_that_went_by_itself_is_made_again(
    queue: NatsWorkQueue, bus: Nats, scan_id: str
) -> None:
    await queue.put(scan_id, 0, [0, 1])
    await (await taken(queue)).done()
    await bus.jetstream.delete_consumer(STREAM, f"scan-{scan_id}")

    assert (await taken(queue)).segment == 1


@pytest.mark.parametrize("broke_off", [False, True], ids=["", "after a start that broke off"])
@pytest.mark.usefixtures("queue", "empty_at_once")
async def test_what_a_version_before_has_queued_is_not_in_the_way(
    bus: Nats, scan_id: str, *, broke_off: bool
) -> None:
    await bus.jetstream.pull_subscribe("scan.work.>", durable="scanners", stream=STREAM)
    await bus.jetstream.publish(f"scan.work.{scan_id}.0", b"")

    if broke_off:
        await bus.jetstream.delete_consumer(STREAM, "scanners")
    again = await NatsWorkQueue.open(bus, replicas=1)
    await again.put(scan_id, 0, [0])

    assert (await taken(again)).segment == 0
    assert (await bus.jetstream.stream_info(STREAM)).state.messages == 1
    assert await again.take() is None


@pytest.fixture
async def plans(bus: Nats, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NatsPlanQueue]:
    monkeypatch.setattr(work_queue, "RETRY_SECONDS", SHORT)
    yield await NatsPlanQueue.open(bus, replicas=1)
    await bus.jetstream.delete_stream(PLAN_STREAM)


async def test_scans_are_planned_in_the_order_in_which_they_came(plans: NatsPlanQueue) -> None:
    await plans.put("first", 0)
    await plans.put("second", 0)
    work = await plans.take()
    assert work is not None
    await plans.put(work.scan_id, 1)  # the rest of it, behind those that wait
    await work.done()

    following = [await plans.take() for _ in range(2)]

    assert [one and one.scan_id for one in following] == ["second", "first"]


async def test_a_scan_is_planned_once_from_the_same_plan(plans: NatsPlanQueue) -> None:
    for revision in (0, 0, 1, 1):
        await plans.put("first", revision)

    for _ in range(2):
        work = await plans.take()
        assert work is not None
        await work.done()
    assert await plans.take() is None


async def test_planning_is_of_the_trace_in_which_it_was_asked_for(
    plans: NatsPlanQueue, spans: Callable[[], list[ReadableSpan]]
) -> None:
    with tracing.span("call"):
        await plans.put("first", 0)
    work = await plans.take()
    assert work is not None
    with tracing.span("plan", parent=work.trace):
        await plans.put("first", 1, trace=work.trace)
    again = await plans.take()
    assert again is not None
    with tracing.span("plan", parent=again.trace):
        pass

    call = next(one for one in spans() if one.name == "call")
    planned = [one for one in spans() if one.name == "plan"]
    assert call.context is not None
    assert [one.parent and one.parent.span_id for one in planned] == [call.context.span_id] * 2


async def test_a_scan_whose_planning_failed_comes_again(plans: NatsPlanQueue) -> None:
    await plans.put("first", 0)
    work = await plans.take()
    assert work is not None
    await work.retry()

    again = await plans.take()

    assert again is not None
    assert (again.scan_id, again.attempt) == ("first", 2)


async def test_the_queue_answers_a_ping(queue: NatsWorkQueue) -> None:
    await queue.ping()


async def test_a_queue_that_does_not_answer_is_unavailable(nats_url: str, scan_id: str) -> None:
    async with connection(nats_url, "test") as bus:
        queue = NatsWorkQueue(bus)

    with pytest.raises(UnavailableError) as refused:
        await queue.put(scan_id, 0, [0])

    assert refused.value.reason is Reason.COMPONENT_UNAVAILABLE
