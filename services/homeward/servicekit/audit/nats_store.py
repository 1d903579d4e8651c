"""The trail in NATS JetStream: a stream of which nothing can be deleted or purged.

An event's NATS subject is `audit.WRITER.CASE.ACTOR`, the last two as digests, so that the server
finds the events of a case, or of a caller, without reading the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Self

import nats.errors
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
from nats.js.errors import APIError, NotFoundError
from nats.js.errors import Error as JetStreamError

from homeward.servicekit import errors
from homeward.servicekit.audit.store import (
    SERVICES,
    EventQuery,
    ForkRefusedError,
    Place,
    StoredEvent,
    writer_name,
)
from homeward.servicekit.nats import Nats

SUBJECTS = "audit"
NOBODY = "_"
"""Stands for no case, and for an unknown caller."""

FETCHED_AT_ONCE = 500
FETCH_SECONDS = 5.0
FORGET_CONSUMER_SECONDS = 30.0

_WRONG_SEQUENCE = frozenset({10071, 10164})
"""JetStream's codes for a chain that does not end where the writer thinks."""

_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_EXPECTED_ON = "Nats-Expected-Last-Subject-Sequence-Subject"


class UnsafeTrailError(Exception):
    """The stream is there, and is set up so that events could be removed from it."""


class NatsAuditStore:
    """An `AuditStore` on a JetStream stream."""

    def __init__(self, nats: Nats, stream: str) -> None:
        self._nats = nats
        self._stream = stream

    @classmethod
    async def open(cls, nats: Nats, stream: str, *, keep: timedelta, replicas: int) -> Self:
        """Open the stream, and make it if it is not there.

        Args:
            nats: The connection.
            stream: Its name.
            keep: How long events are kept; a stream that is there takes it over.
            replicas: Servers of the cluster that hold each event.

        Raises:
            UnavailableError: The server does not answer.
            UnsafeTrailError: Events can be removed from the stream that is there.
        """
        with nats.translated():
            try:
                info = await nats.jetstream.stream_info(stream)
            except NotFoundError:
                info = await nats.jetstream.add_stream(
                    StreamConfig(
                        name=stream,
                        subjects=[f"{SUBJECTS}.>"],
                        max_age=keep.total_seconds(),
                        storage=StorageType.FILE,
                        num_replicas=replicas,
                        discard=DiscardPolicy.NEW,
                        deny_delete=True,
                        deny_purge=True,
                    )
                )
            _require_kept(info)
            if info.config.max_age != keep.total_seconds():
                await nats.jetstream.update_stream(info.config.evolve(max_age=keep.total_seconds()))
        return cls(nats, stream)

    def require_connected(self) -> None:
        """Raise `UnavailableError` if the connection is lost."""
        if not self._nats.client.is_connected:
            raise errors.unavailable(
                "NATS",
                self._nats.server,
                "nothing is consulted without an audit event; start it, or correct"
                " HOMEWARD_NATS_URL",
                since=self._nats.away_since,
            )

    async def append(self, data: bytes, place: Place, *, after: int) -> int:
        """Write an event and return its position."""
        self.require_connected()  # or the client keeps it, and sends it when nobody waits any more
        headers = {_EXPECTED: str(after), _EXPECTED_ON: _of_writer(place.writer)}
        with self._nats.translated():
            try:
                written = await self._nats.jetstream.publish(
                    _subject(place), data, stream=self._stream, headers=headers
                )
            except APIError as error:
                if error.err_code in _WRONG_SEQUENCE:
                    raise ForkRefusedError(place.writer) from error
                raise
        return int(written.seq)

    async def last(self, writer: str) -> StoredEvent | None:
        """Return the newest event of a writer."""
        with self._nats.translated():
            try:
                # From the leader: what a replica that lags behind has would fork the chain.
                found = await self._nats.jetstream.get_last_msg(self._stream, _of_writer(writer))
            except NotFoundError:
                return None
        return _stored(found)

    async def first(self, writer: str) -> StoredEvent | None:
        """Return the oldest event that is held of a writer."""
        with self._nats.translated():
            try:
                found = await self._nats.jetstream.get_msg(
                    self._stream, seq=1, subject=_of_writer(writer), next=True
                )
            except NotFoundError:
                return None
        return _stored(found)

    async def read(self, query: EventQuery, *, limit: int) -> Sequence[StoredEvent]:
        """Return the first `limit` events that fit, in the order of their positions.

        A consumer may be with a follower that lags behind, and an event that is missing at the end
        would look like a trail that was cut: so it is waited for, up to the newest that the leader
        has.
        """
        newest, reached = await self._newest(query), query.after
        config = ConsumerConfig(
            filter_subject=_matching(query),
            ack_policy=AckPolicy.NONE,
            inactive_threshold=FORGET_CONSUMER_SECONDS,
            mem_storage=True,
            num_replicas=1,
            deliver_policy=DeliverPolicy.ALL,
        )
        if query.after:
            config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = query.after + 1
        elif query.start is not None:
            config.deliver_policy = DeliverPolicy.BY_START_TIME
            config.opt_start_time = query.start
        found: list[StoredEvent] = []
        jetstream = self._nats.jetstream
        with self._nats.translated():
            made = await jetstream.add_consumer(self._stream, config)
            subscription = await jetstream.pull_subscribe_bind(
                consumer=made.name, stream=self._stream
            )
            try:
                waiting = min(made.num_pending or 0, limit)
                while len(found) < waiting or (len(found) < limit and reached < newest):
                    count = min(FETCHED_AT_ONCE, max(waiting - len(found), 1))
                    for message in await subscription.fetch(count, timeout=FETCH_SECONDS):
                        about = message.metadata
                        reached = int(about.sequence.stream)
                        found.append(StoredEvent(message.data, reached, about.timestamp))
            finally:
                with suppress(nats.errors.Error, OSError):
                    await subscription.unsubscribe()
                with suppress(nats.errors.Error, JetStreamError, OSError):
                    await jetstream.delete_consumer(self._stream, made.name)
        return found

    async def _newest(self, query: EventQuery) -> int:
        """Return the position of the newest event that fits, as the leader has it; 0 for none."""
        with self._nats.translated():
            try:
                found = await self._nats.jetstream.get_last_msg(self._stream, _matching(query))
            except NotFoundError:
                return 0
        event = _stored(found)
        return event.position if query.start is None or event.stored_time >= query.start else 0

    async def end(self) -> int:
        """Return the position of the newest event; 0 without any."""
        with self._nats.translated():
            info = await self._nats.jetstream.stream_info(self._stream)
        return int(info.state.last_seq)

    async def writers(self) -> Sequence[str]:
        """Return the writers of whom an event is held, in the order of their names.

        Not from the subjects that the stream has, of which there is one for each case and caller.
        """
        found: list[str] = []
        for service in SERVICES:
            number = 1
            while await self.last(writer := writer_name(service, number)) is not None:
                found.append(writer)
                number += 1
        return sorted(found)


def _require_kept(info: StreamInfo) -> None:
    if not (info.config.deny_delete and info.config.deny_purge):
        raise UnsafeTrailError(
            f"the NATS stream {info.config.name} lets events be deleted or purged, so it was not"
            " made by Homeward: keep what it has elsewhere, remove it, and start again"
        )


def _subject(place: Place) -> str:
    return f"{SUBJECTS}.{place.writer}.{_token(place.case_reference)}.{_token(place.actor)}"


def _of_writer(writer: str) -> str:
    return f"{SUBJECTS}.{writer}.>"


def _matching(query: EventQuery) -> str:
    case = _token(query.case_reference) if query.case_reference else "*"
    actor = _token(query.actor) if query.actor else "*"
    return f"{SUBJECTS}.{query.writer or '*'}.{case}.{actor}"


def _token(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else NOBODY


def _stored(message: RawStreamMsg) -> StoredEvent:
    stored_time = message.time or datetime.fromtimestamp(0, UTC)  # the server always tells
    return StoredEvent(message.data or b"", int(message.seq or 0), stored_time)
