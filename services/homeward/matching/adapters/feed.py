"""The feed of sightings in a JetStream stream.

The NATS subject of a message is `homeward.feed.SUBJECT.SIGHTING`, so that the server finds the last
change of each without reading the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Self

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RawStreamMsg,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from homeward.matching.sightings.feed import (
    Change,
    Told,
    place_of,
    position_in,
    require_kept,
)
from homeward.servicekit import records
from homeward.servicekit.nats import Nats

PREFIX = "homeward.feed"
"""Of the NATS subjects."""

LOOK_SECONDS = 5.0
"""After which followers look by themselves: they may miss that they are told of a change."""

PLACE_SECONDS = 15.0
"""How often followers are told a place while nothing happens."""

FETCHED_AT_ONCE = 500
FETCH_SECONDS = 5.0
FORGET_CONSUMER_SECONDS = 30.0


class NatsSightingFeed:
    """A `SightingFeed` in a JetStream stream."""

    def __init__(self, nats: Nats, stream: str, prefix: str) -> None:
        self._nats = nats
        self._stream = stream
        self._prefix = prefix
        # Said when a change is stored, so that followers look at once.
        self._stored = f"{prefix}-stored"

    @classmethod
    async def open(
        cls, nats: Nats, stream: str, *, keep: timedelta, replicas: int, prefix: str = PREFIX
    ) -> Self:
        """Open the stream, and make it if it is not there.

        Args:
            nats: The connection.
            stream: Its name.
            keep: How long changes are kept.
            replicas: Servers of the cluster that hold each change.
            prefix: Of the NATS subjects of the stream, which no other stream may have.

        Raises:
            UnavailableError: The server does not answer.
        """
        with nats.translated():
            try:
                await nats.jetstream.stream_info(stream)
            except NotFoundError:
                await nats.jetstream.add_stream(
                    StreamConfig(
                        name=stream,
                        subjects=[f"{prefix}.>"],
                        max_age=keep.total_seconds(),
                        storage=StorageType.FILE,
                        num_replicas=replicas,
                        discard=DiscardPolicy.NEW,
                        allow_direct=True,
                    )
                )
        return cls(nats, stream, prefix)

    async def publish(self, change: Change) -> None:
        """Add a change; when this returns, it is stored."""
        with self._nats.translated():
            await self._nats.jetstream.publish(
                f"{self._prefix}.{change.subject_id}.{change.sighting_id}",
                records.encode(change),
                stream=self._stream,
            )
            await self._nats.client.publish(self._stored, b"")

    async def follow(
        self, after: str = "", *, from_oldest: bool = False
    ) -> AsyncGenerator[Told | str, None]:
        """Yield the changes after a place, and places while nothing happens.

        Raises:
            InvalidArgumentError: `FIELD_INVALID`: it is no place.
            FailedPreconditionError: `RESUME_TOKEN_EXPIRED`, meanwhile too.
        """
        news = asyncio.Event()

        async def stored(_: Msg) -> None:
            news.set()

        with self._nats.translated():
            listening = await self._nats.client.subscribe(self._stored, cb=stored)
        try:
            info = await self._info()
            feed, at = _name(info), _begin(info, after, from_oldest=from_oldest)
            clock, told_place = asyncio.get_running_loop().time, -PLACE_SECONDS
            from_place = not from_oldest  # the oldest ones may go before the first one is read
            while True:
                news.clear()
                if (message := await self._next(at + 1)) is not None:
                    number = int(message.seq or 0)
                    if from_place and number > at + 1:
                        _begin(await self._info(), place_of(feed, at), from_oldest=False)
                    at, from_place = number, True
                    yield _told(message, feed)
                    continue
                if clock() - told_place >= PLACE_SECONDS:
                    told_place = clock()
                    yield place_of(feed, at)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await news.wait()
                # It may have been made anew meanwhile, or have come back with an older state: what
                # it tells from now on would have numbers that were passed long ago.
                _begin(await self._info(), place_of(feed, at), from_oldest=False)
        finally:
            with suppress(nats.errors.Error, OSError):  # a connection that is gone takes it along
                await listening.unsubscribe()

    async def case_digest(self, subject_id: str) -> str:
        """Return the digest of the case that the last change of a subject has."""
        with self._nats.translated():
            try:
                found = await self._nats.jetstream.get_last_msg(
                    self._stream, f"{self._prefix}.{subject_id}.*"
                )
            except NotFoundError:
                return ""
        return records.decode(found.data or b"", Change).case_digest

    async def count(self, subject_id: str) -> int:
        """Return how many sightings of a subject are in the feed."""
        with self._nats.translated():
            info = await self._nats.jetstream.stream_info(
                self._stream, subjects_filter=f"{self._prefix}.{subject_id}.*"
            )
        return len(info.state.subjects or {})

    async def last(self) -> Mapping[str, Change]:
        """Return the last change of each sighting."""
        config = ConsumerConfig(
            filter_subject=f"{self._prefix}.>",
            ack_policy=AckPolicy.NONE,
            inactive_threshold=FORGET_CONSUMER_SECONDS,
            mem_storage=True,
            num_replicas=1,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
        )
        found: dict[str, Change] = {}
        jetstream = self._nats.jetstream
        with self._nats.translated():
            made = await jetstream.add_consumer(self._stream, config)
            pulling = await jetstream.pull_subscribe_bind(consumer=made.name, stream=self._stream)
            try:
                waiting = made.num_pending or 0
                while waiting > 0:
                    count = min(FETCHED_AT_ONCE, waiting)
                    messages = await pulling.fetch(count, timeout=FETCH_SECONDS)
                    for message in messages:
                        change = records.decode(message.data, Change)
                        found[change.sighting_id] = change
                    waiting -= len(messages)
            finally:
                with suppress(nats.errors.Error, OSError):
                    await pulling.unsubscribe()
                with suppress(nats.errors.Error, JetStreamError, OSError):
                    await jetstream.delete_consumer(self._stream, made.name)
        return found

    async def kept_since(self) -> datetime:
        """Return since when the feed is there."""
        return _created(await self._info())

    async def _info(self) -> StreamInfo:
        with self._nats.translated():
            return await self._nats.jetstream.stream_info(self._stream)

    async def _next(self, number: int) -> RawStreamMsg | None:
        with self._nats.translated():
            try:
                # From the leader: a replica that lags behind would have followers wait.
                return await self._nats.jetstream.get_msg(
                    self._stream, seq=number, subject=f"{self._prefix}.>", next=True
                )
            except NotFoundError:
                return None


def _begin(info: StreamInfo, after: str, *, from_oldest: bool) -> int:
    """Return the number of the change after which to begin."""
    first, last = int(info.state.first_seq), int(info.state.last_seq)
    if not info.state.messages:
        first = last + 1
    if from_oldest:
        return first - 1
    if not after:
        return last
    number = position_in(after, _name(info))
    require_kept(number, first=first, last=last)
    return number


def _name(info: StreamInfo) -> str:
    """Return what tells the stream from one that is made in its place."""
    return f"{round(_created(info).timestamp() * 1000):x}"


def _created(info: StreamInfo) -> datetime:
    return info.created or datetime.fromtimestamp(0, UTC)  # the server always tells


def _told(message: RawStreamMsg, feed: str) -> Told:
    return Told(
        place_of(feed, int(message.seq or 0)),
        records.decode(message.data or b"", Change),
        message.time or datetime.fromtimestamp(0, UTC),  # the server always tells
    )
