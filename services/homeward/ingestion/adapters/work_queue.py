"""The queues of scans on NATS JetStream: segments to search, and scans to plan.

The segments of each scan have a subject and a consumer of their own, so that scans take turns: a
scanner takes segments from the subjects of the stream in turn. JetStream removes a consumer that
was not used for an hour; it is made again when it is needed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from homeward.core.inventory import RECORD_LIMIT, SCAN_PLANS, SCAN_WORK, DataClass
from homeward.ingestion.scan.ports import Backlog
from homeward.servicekit import tracing
from homeward.servicekit.nats import Nats

STREAM = SCAN_WORK.place
SUBJECT = "scan.work"
PLAN_STREAM = SCAN_PLANS.place
PLAN_SUBJECT = "scan.plan"
PLANNERS = "planners"
FORMER_CONSUMER = "scanners"
"""Consumer of an earlier version, one for all scans; JetStream allows no other beside it."""

ACK_WAIT_SECONDS = 15.0
DEDUPLICATION_SECONDS = 3600.0
MAX_AGE_SECONDS = RECORD_LIMIT.total_seconds()
TAKE_SECONDS = 5.0
ASK_SECONDS = 0.5
"""How often whoever waits asks whether a scan has come, should its announcement be lost."""

ANNOUNCED = "scan.announced"
"""Subject on which it is said, without any content, that segments were queued."""

ANSWER_SECONDS = 0.1
"""How long a consumer that may have nothing is asked for; it answers at once if it has."""

RETRY_SECONDS = 3.0
FORGET_CONSUMER_SECONDS = 3600.0
PUBLISHED_AT_ONCE = 64
"""Messages that are on their way to the server at a time."""

DROPPED_AT_ONCE = 256
DROP_ANSWER_SECONDS = 2.0
DROP_SECONDS = 10.0
"""A store that writes each change to its disk takes a second for some hundred."""

MOST_DROPPED = 2048
"""Segments of a cancelled scan that are dropped before other scans have their turns."""

MAX_ACK_PENDING = 1000

_CONSUMERS_A_PAGE = 256
_MESSAGE_ID = "Nats-Msg-Id"

log = structlog.get_logger()


class NatsWork:
    """A segment taken from the queue."""

    def __init__(self, message: Msg, nats: Nats) -> None:
        self._message = message
        self._nats = nats
        self.scan_id, self.recording, self.segment = _named(message)
        self.attempt = message.metadata.num_delivered
        self.trace = dict(message.headers or {})

    async def done(self) -> None:
        """Remove it from the queue."""
        with self._nats.translated():
            await self._message.ack_sync()

    async def retry(self, *, at_once: bool = False) -> None:
        """Give it back, to be taken again in a moment, or at once."""
        with self._nats.translated():
            await self._message.nak(None if at_once else RETRY_SECONDS)

    async def extend(self) -> None:
        """Say that it is still being worked on."""
        with self._nats.translated():
            await self._message.in_progress()


class NatsWorkQueue:
    """A `WorkQueue` on a JetStream stream with work-queue retention. Messages are ids only."""

    def __init__(self, nats: Nats) -> None:
        self._nats = nats
        self._consumers: dict[str, JetStreamContext.PullSubscription] = {}
        self._turns: deque[str] = deque()
        """The scans that have something, in the order of their turns."""
        self._looking = asyncio.Lock()
        self._asked = float("-inf")
        self._announced = 0
        """How often it was said that segments were queued."""
        self._known = 0
        """Of these, after which the stream was looked at."""
        self._announcement = asyncio.Condition()

    @classmethod
    async def open(cls, nats: Nats, *, replicas: int) -> Self:
        """Make the stream if it is not there, and open it.

        Raises:
            UnavailableError: The server does not answer.
        """
        with nats.translated():
            await _ensure_stream(nats, SCAN_WORK, f"{SUBJECT}.>", replicas)
            with suppress(NotFoundError):
                await nats.jetstream.delete_consumer(STREAM, FORMER_CONSUMER)
            # Its messages name no recording; `FormerScans` has the planner queue them again. Also
            # where the last start broke off before this.
            await nats.jetstream.purge_stream(STREAM, subject=f"{SUBJECT}.*.*")
            queue = cls(nats)
            await nats.client.subscribe(ANNOUNCED, cb=queue._hear)
        return queue

    async def put(self, scan_id: str, recording: int, segments: Sequence[int]) -> None:
        """Add segments of a recording; the same ones again within the hour are dropped."""
        with self._nats.translated():
            for start in range(0, len(segments), PUBLISHED_AT_ONCE):
                await asyncio.gather(
                    *(
                        self._nats.jetstream.publish(
                            f"{SUBJECT}.{scan_id}",
                            f"{recording} {number}".encode(),
                            headers={_MESSAGE_ID: f"{scan_id}/{number}", **tracing.carried()},
                        )
                        for number in segments[start : start + PUBLISHED_AT_ONCE]
                    )
                )
            await self._nats.client.publish(ANNOUNCED)

    async def take(self) -> NatsWork | None:
        """Wait a few seconds for a segment; None when there is none."""
        loop = asyncio.get_running_loop()
        until = loop.time() + TAKE_SECONDS
        while True:
            announced = self._announced
            with self._nats.translated():
                await self._look_for_scans()
                for _ in range(len(self._turns)):
                    self._turns.rotate(-1)
                    messages = await self._fetch(self._turns[-1], 1) if self._turns else []
                    if messages:
                        return NatsWork(messages[0], self._nats)
            left = until - loop.time()
            if left <= 0:
                return None
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, ASK_SECONDS)):
                    await self._announced_after(announced)

    async def drop(self, scan_id: str) -> list[int]:
        """Remove about `MOST_DROPPED` queued segments of a scan; return their numbers."""
        dropped: list[int] = []
        with self._nats.translated():
            while messages := await self._fetch(
                scan_id, DROPPED_AT_ONCE, seconds=DROP_ANSWER_SECONDS
            ):
                for one in messages[:-1]:
                    await one.ack()
                # Those before it were taken in then, too.
                await messages[-1].ack_sync(timeout=DROP_SECONDS)
                dropped += [_named(one)[2] for one in messages]
                if len(dropped) >= MOST_DROPPED:
                    break
        return dropped

    async def backlog(self) -> Backlog:
        """Return the amount of queued work."""
        in_flight = offset = 0
        with self._nats.translated():
            messages = (await self._nats.jetstream.stream_info(STREAM)).state.messages
            while True:
                page = await self._nats.jetstream.consumers_info(STREAM, offset)
                in_flight += sum(one.num_ack_pending or 0 for one in page)
                offset += len(page)
                if len(page) < _CONSUMERS_A_PAGE:
                    break
        return Backlog(waiting=max(messages - in_flight, 0), in_flight=in_flight)

    async def ping(self) -> None:
        """Return when the queue answers."""
        with self._nats.translated():
            await self._nats.jetstream.stream_info(STREAM)

    async def _hear(self, _: Msg) -> None:
        async with self._announcement:
            self._announced += 1
            self._announcement.notify_all()

    async def _announced_after(self, count: int) -> None:
        async with self._announcement:
            await self._announcement.wait_for(lambda: self._announced > count)

    async def _look_for_scans(self) -> None:
        """Bring up to date which scans have something; what comes newly has its turn first."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now - self._asked < ASK_SECONDS and self._known == self._announced:
                return
            self._known = self._announced
            info = await self._nats.jetstream.stream_info(STREAM, f"{SUBJECT}.>")
            self._asked = now
            found = {subject.split(".")[2] for subject in info.state.subjects or {}}
            for scan_id in [one for one in self._turns if one not in found]:
                self._turns.remove(scan_id)
            self._turns.extendleft(sorted(found.difference(self._turns)))
            for scan_id in [one for one in self._consumers if one not in found]:
                await self._consumers.pop(scan_id).unsubscribe()

    async def _fetch(self, scan_id: str, most: int, *, seconds: float | None = None) -> list[Msg]:
        """Return what a scan has, up to some messages; nothing when it has nothing just now."""
        consumer = self._consumers.get(scan_id)
        if consumer is None:
            consumer = self._consumers[scan_id] = await self._consumer_of(scan_id)
        try:
            return list(await consumer.fetch(most, timeout=seconds or ANSWER_SECONDS))
        except nats.errors.TimeoutError:
            return []
        except (APIError, nats.errors.BadSubscriptionError) as error:
            # Nobody had asked for it for long, so that it went, or its scan has nothing left. If it
            # is something else, whoever makes the consumer again learns it.
            log.info("a consumer does not answer", scan_id=scan_id, problem=str(error))
            if self._consumers.pop(scan_id, None) is consumer:
                with suppress(nats.errors.BadSubscriptionError):
                    await consumer.unsubscribe()
            return []

    async def _consumer_of(self, scan_id: str) -> JetStreamContext.PullSubscription:
        return await self._nats.jetstream.pull_subscribe(
            f"{SUBJECT}.{scan_id}",
            durable=f"scan-{scan_id}",
            stream=STREAM,
            config=ConsumerConfig(
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_SECONDS,
                # The scanner counts deliveries itself and reports what it gives up on.
                max_deliver=-1,
                max_ack_pending=MAX_ACK_PENDING,
                inactive_threshold=FORGET_CONSUMER_SECONDS,
            ),
        )


class NatsPlanWork:
    """A scan taken from the queue of those to be planned."""

    def __init__(self, message: Msg, nats: Nats) -> None:
        self._message = message
        self._nats = nats
        self.scan_id = message.subject.rpartition(".")[2]
        self.attempt = message.metadata.num_delivered
        self.trace = dict(message.headers or {})

    async def done(self) -> None:
        """Remove it from the queue."""
        with self._nats.translated():
            await self._message.ack_sync()

    async def retry(self) -> None:
        """Give it back, to be taken again in a moment."""
        with self._nats.translated():
            await self._message.nak(RETRY_SECONDS)

    async def extend(self) -> None:
        """Say that it is still being worked on."""
        with self._nats.translated():
            await self._message.in_progress()


class NatsPlanQueue:
    """A `PlanQueue` on a JetStream stream with work-queue retention."""

    def __init__(self, nats: Nats, consumer: JetStreamContext.PullSubscription) -> None:
        self._nats = nats
        self._consumer = consumer

    @classmethod
    async def open(cls, nats: Nats, *, replicas: int) -> Self:
        """Make stream and consumer if they are not there, and open them.

        Raises:
            UnavailableError: The server does not answer.
        """
        with nats.translated():
            await _ensure_stream(nats, SCAN_PLANS, f"{PLAN_SUBJECT}.*", replicas)
            consumer = await nats.jetstream.pull_subscribe(
                f"{PLAN_SUBJECT}.*",
                durable=PLANNERS,
                stream=PLAN_STREAM,
                config=ConsumerConfig(
                    ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT_SECONDS, max_deliver=-1
                ),
            )
        return cls(nats, consumer)

    async def put(
        self, scan_id: str, revision: int, *, trace: Mapping[str, str] | None = None
    ) -> None:
        """Add a scan, behind those that wait; the same once more within the hour is dropped."""
        headers = dict(tracing.carried() if trace is None else trace)
        headers[_MESSAGE_ID] = f"{scan_id}/{revision}"
        with self._nats.translated():
            await self._nats.jetstream.publish(f"{PLAN_SUBJECT}.{scan_id}", b"", headers=headers)

    async def take(self) -> NatsPlanWork | None:
        """Wait a few seconds for a scan; None when there is none."""
        with self._nats.translated():
            try:
                messages = await self._consumer.fetch(1, timeout=TAKE_SECONDS)
            except nats.errors.TimeoutError:
                return None
        return NatsPlanWork(messages[0], self._nats)


async def _ensure_stream(nats: Nats, data: DataClass, subjects: str, replicas: int) -> None:
    try:
        await nats.jetstream.stream_info(data.place)
    except NotFoundError:
        await nats.jetstream.add_stream(
            StreamConfig(
                name=data.place,
                subjects=[subjects],
                retention=RetentionPolicy.WORK_QUEUE,
                storage=StorageType.FILE,
                discard=DiscardPolicy.NEW,
                max_age=MAX_AGE_SECONDS,
                duplicate_window=DEDUPLICATION_SECONDS,
                num_replicas=replicas,
            )
        )


def _named(message: Msg) -> tuple[str, int, int]:
    """Return what a message is about: scan, recording, segment."""
    scan_id = message.subject.split(".")[2]
    recording, segment = message.data.split()
    return scan_id, int(recording), int(segment)
