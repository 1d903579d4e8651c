"""The scan work queue on NATS JetStream."""

from __future__ import annotations

from typing import Self

import nats.errors
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
from nats.js.errors import NotFoundError

from homeward.core.inventory import RECORD_LIMIT, SCAN_WORK
from homeward.ingestion.scan.ports import Backlog
from homeward.servicekit import tracing
from homeward.servicekit.nats import Nats

STREAM = SCAN_WORK.place
CONSUMER = "scanners"
ACK_WAIT_SECONDS = 15.0
DEDUPLICATION_SECONDS = 3600.0
MAX_AGE_SECONDS = RECORD_LIMIT.total_seconds()
TAKE_SECONDS = 5.0
RETRY_SECONDS = 3.0


class NatsWork:
    """A segment taken from the queue."""

    def __init__(self, message: Msg, nats: Nats) -> None:
        self._message = message
        self._nats = nats
        _, _, self.scan_id, number = message.subject.split(".")
        self.segment = int(number)
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

    def __init__(self, nats: Nats, consumer: JetStreamContext.PullSubscription) -> None:
        self._nats = nats
        self._consumer = consumer

    @classmethod
    async def open(cls, nats: Nats, *, replicas: int) -> Self:
        """Make stream and consumer if they are not there, and open them.

        Raises:
            UnavailableError: The server does not answer.
        """
        jetstream = nats.jetstream
        with nats.translated():
            try:
                await jetstream.stream_info(STREAM)
            except NotFoundError:
                await jetstream.add_stream(
                    StreamConfig(
                        name=STREAM,
                        subjects=["scan.work.>"],
                        retention=RetentionPolicy.WORK_QUEUE,
                        storage=StorageType.FILE,
                        discard=DiscardPolicy.NEW,
                        max_age=MAX_AGE_SECONDS,
                        duplicate_window=DEDUPLICATION_SECONDS,
                        num_replicas=replicas,
                    )
                )
            consumer = await jetstream.pull_subscribe(
                "scan.work.>",
                durable=CONSUMER,
                stream=STREAM,
                config=ConsumerConfig(
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=ACK_WAIT_SECONDS,
                    # The scanner counts deliveries itself and reports what it gives up on.
                    max_deliver=-1,
                    max_ack_pending=1000,
                ),
            )
        return cls(nats, consumer)

    async def put(self, scan_id: str, segment: int) -> None:
        """Add a segment; the same one again within the hour is dropped."""
        with self._nats.translated():
            await self._nats.jetstream.publish(
                f"scan.work.{scan_id}.{segment}",
                b"",
                headers={"Nats-Msg-Id": f"{scan_id}.{segment}", **tracing.carried()},
            )

    async def take(self) -> NatsWork | None:
        """Wait a few seconds for a segment; None when there is none."""
        with self._nats.translated():
            try:
                messages = await self._consumer.fetch(1, timeout=TAKE_SECONDS)
            except nats.errors.TimeoutError:
                return None
        return NatsWork(messages[0], self._nats)

    async def backlog(self) -> Backlog:
        """Return how much there is to do."""
        with self._nats.translated():
            told = await self._nats.jetstream.consumer_info(STREAM, CONSUMER)
        return Backlog(waiting=told.num_pending or 0, in_flight=told.num_ack_pending or 0)

    async def ping(self) -> None:
        """Answer when the queue does."""
        with self._nats.translated():
            await self._nats.jetstream.stream_info(STREAM)
