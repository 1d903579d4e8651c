"""NATS: the connection, and its key-value store."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import (
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import (
    BadRequestError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NotFoundError,
    ServerError,
)
from nats.js.errors import Error as JetStreamError
from nats.js.kv import KeyValue

from homeward.servicekit import errors
from homeward.servicekit.keyvalue import ConflictError, Entry, StoreMark

CONNECT_TIMEOUT_SECONDS = 2
REQUEST_TIMEOUT_SECONDS = 5
RECONNECT_SECONDS = 0.5
DUPLICATES_SECONDS = 120.0

FORGET_CONSUMER_SECONDS = 30.0
"""Time after which the server removes the consumer of a watch whose process has died."""

SILENCE_SECONDS = 5.0
"""Time without a message after which a watch checks that the server still answers."""

RECOUNT_SECONDS = 0.1
"""Time without a message after which a watch that lacks records asks whether they still come."""

OLDER_VALUES = 8
"""Room for the values that concurrent writers replace, until each is erased by its writer. NATS
overwrites the bytes of a message that is deleted by its number, not of one that is crowded out."""

MOST_KEYS = 100_000
"""Most subjects of a stream that a server lists in one answer."""

_NO_MESSAGE = (10043, 10057)
"""JetStream's error codes for deleting a message that does not exist: one that was between others
that do, and any other. Their status is 400 and 500."""

log = structlog.get_logger()


class BucketSpec(Protocol):
    """A kind of data that has a key-value bucket of its own."""

    @property
    def place(self) -> str:
        """The bucket's name."""

    @property
    def engine_limit(self) -> timedelta | None:
        """Age at which the server itself removes a record; None keeps it."""


class Nats:
    """A connection to NATS that is re-established for as long as it is in use."""

    def __init__(self, client: Client, server: str) -> None:
        self.client = client
        self.jetstream = client.jetstream(timeout=REQUEST_TIMEOUT_SECONDS)
        self.server = server
        self.away_since: datetime | None = None
        """Since when the connection is lost; None while it is there."""

    async def ping(self) -> None:
        """Return when the server and its JetStream answer.

        Raises:
            UnavailableError: One of them does not.
        """
        with self.translated():
            await self.jetstream.account_info()

    async def bucket_of(self, data: BucketSpec, *, replicas: int) -> NatsKeyValueStore:
        """Open the key-value bucket of one kind of data, see `open_bucket`."""
        return await self.open_bucket(data.place, limit=data.engine_limit, replicas=replicas)

    async def open_bucket(
        self, bucket: str, *, limit: timedelta | None, replicas: int
    ) -> NatsKeyValueStore:
        """Open a key-value bucket, and make it if it is not there.

        Args:
            bucket: Name, such as `SCANS`.
            limit: Age at which records are removed. None keeps them.
            replicas: Servers of the cluster that hold each record.

        Raises:
            UnavailableError: The server does not answer.
        """
        seconds = limit.total_seconds() if limit else None
        with self.translated():
            try:
                await self.jetstream.stream_info(f"KV_{bucket}")
            except NotFoundError:
                # The client's own `create_key_value` forbids what `erase` does.
                await self.jetstream.add_stream(
                    StreamConfig(
                        name=f"KV_{bucket}",
                        subjects=[f"$KV.{bucket}.>"],
                        max_msgs_per_subject=OLDER_VALUES,
                        max_age=seconds,
                        storage=StorageType.FILE,
                        num_replicas=replicas,
                        discard=DiscardPolicy.NEW,
                        duplicate_window=min(DUPLICATES_SECONDS, seconds or math.inf),
                        allow_rollup_hdrs=True,
                        deny_delete=False,
                    )
                )
        return NatsKeyValueStore(self, bucket)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise `UnavailableError` for what nats-py raises when the server does not answer."""
        try:
            yield
        except nats.errors.MaxPayloadError:
            raise  # our fault, not the server's
        except (nats.errors.Error, JetStreamError, OSError, TimeoutError) as error:
            raise errors.unavailable(
                "NATS",
                self.server,
                "start it, or correct HOMEWARD_NATS_URL",
                since=self.away_since,
                waited=isinstance(error, TimeoutError),
            ) from error


@asynccontextmanager
async def connection(url: str, name: str) -> AsyncIterator[Nats]:
    """Connect to NATS; waits for a server that is not there yet, and says so in the log.

    Args:
        url: Such as `nats://127.0.0.1:4222`, with a token before `@` where one is needed.
        name: How the connection shows in the server's monitoring.
    """
    parts = urlsplit(url)
    server = f"nats://{parts.hostname}:{parts.port or 4222}"  # without the token

    async def on_error(error: Exception) -> None:
        log.warning("waiting for NATS", server=server, problem=type(error).__name__)

    client = Client()
    held = Nats(client, server)

    async def on_disconnect() -> None:
        held.away_since = held.away_since or datetime.now(UTC)

    async def on_reconnect() -> None:
        held.away_since = None

    await client.connect(
        url,
        name=name,
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        reconnect_time_wait=RECONNECT_SECONDS,
        max_reconnect_attempts=-1,
    )
    try:
        yield held
    finally:
        with suppress(OSError):  # the server has gone first: there is nothing to close
            await client.close()


class NatsKeyValueStore:
    """A `KeyValueStore` in NATS JetStream.

    In a cluster the leader of the stream is asked, which has all that was acknowledged: a follower
    may lack it for a moment (docs/decisions/0025-records-are-read-from-the-leader.md).
    """

    def __init__(self, nats: Nats, bucket: str) -> None:
        self._nats = nats
        self._stream = f"KV_{bucket}"
        self._prefix = f"$KV.{bucket}."
        # Whatever the stream allows: those that earlier versions made allow any server to answer.
        self._store = KeyValue(bucket, self._stream, self._prefix, nats.jetstream, direct=False)

    async def get(self, key: str) -> Entry | None:
        """Return the record, or None."""
        with self._nats.translated():
            try:
                entry = await self._store.get(key)
            except KeyNotFoundError:  # deleted ones too
                return None
        return Entry(key, entry.value or b"", int(entry.revision or 0))

    async def create(self, key: str, value: bytes) -> int:
        """Write a record that must not exist, and return its revision."""
        while True:
            with self._nats.translated():
                try:
                    return int(await self._store.create(key, value))
                except KeyWrongLastSequenceError as error:
                    raise ConflictError(key) from error
                except KeyNotFoundError:
                    pass  # one was in the way, and had gone when the client looked at it

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Replace a record that must still have `revision`, and return the new revision."""
        with self._nats.translated():
            try:
                written = int(await self._store.update(key, value, last=revision))
            except KeyWrongLastSequenceError as error:
                raise ConflictError(key) from error
            await self._overwrite(revision)
        return written

    async def put(self, key: str, value: bytes) -> int:
        """Write a record whatever was there, and return its revision."""
        while True:
            entry = await self.get(key)
            with suppress(ConflictError):  # somebody else wrote in between
                if entry is None:
                    return await self.create(key, value)
                return await self.update(key, value, revision=entry.revision)

    async def erase(self, key: str, *, revision: int | None = None) -> bool:
        """Remove a record and overwrite its bytes; return whether there was one.

        The messages themselves are erased, oldest first, so that no older value comes back to light
        if this breaks off: a delete marker would leave their bytes in the stream's file. A revision
        is the number of a message, so that what was written after it is not touched.
        """
        erased = False
        with self._nats.translated():
            while (number := await self._oldest(key)) is not None:
                if revision is not None and number > revision:
                    raise ConflictError(key)
                erased = await self._overwrite(number) or erased
        return erased

    async def _oldest(self, key: str) -> int | None:
        try:
            message = await self._nats.jetstream.get_msg(
                self._stream, seq=1, subject=f"{self._prefix}{key}", next=True
            )
        except NotFoundError:
            return None
        return int(message.seq)

    async def _overwrite(self, number: int) -> bool:
        try:
            return bool(await self._nats.jetstream.delete_msg(self._stream, number))
        except NotFoundError:
            return False
        except (BadRequestError, ServerError) as error:
            if error.err_code not in _NO_MESSAGE:
                raise
            return False  # another writer came first

    async def entries(self, pattern: str = ">", *, since: int = 0) -> list[Entry]:
        """Return the records whose keys match, in the order of their keys."""
        found: dict[str, Entry] = {}
        async with aclosing(self._watch(pattern, since=since)) as entries:
            async for entry in entries:
                if entry is None:
                    break
                found[entry.key] = entry
        return [found[key] for key in sorted(found)]

    async def keys(self, pattern: str = ">") -> frozenset[str]:
        """Return the keys that match, without reading the records."""
        with self._nats.translated():
            info = await self._nats.jetstream.stream_info(
                self._stream, subjects_filter=f"{self._prefix}{pattern}"
            )
        found = info.state.subjects or {}
        if len(found) >= MOST_KEYS:  # the server names no more
            return frozenset(entry.key for entry in await self.entries(pattern))
        return frozenset(subject.removeprefix(self._prefix) for subject in found)

    async def mark(self) -> StoreMark:
        """Return the state of the store."""
        with self._nats.translated():
            info = await self._nats.jetstream.stream_info(self._stream)
        return StoreMark(info.state.last_seq, info.state.messages)

    async def watch(self, pattern: str = ">") -> AsyncGenerator[Entry | None, None]:
        """Yield the matching records, then None, then each write.

        The SDK's own watcher may say that there are no more records before the first one has come,
        and leaves its consumer behind for five minutes, up to the server's limit.
        """
        async with aclosing(self._watch(pattern)) as entries:
            async for entry in entries:
                yield entry

    async def _newest(self, pattern: str) -> int:
        """Return the leader's number of the newest message that matches; 0 if there is none."""
        with self._nats.translated():
            try:
                message = await self._nats.jetstream.get_last_msg(
                    self._stream, f"{self._prefix}{pattern}"
                )
            except NotFoundError:
                return 0
        return int(message.seq)

    async def _watch(self, pattern: str, *, since: int = 0) -> AsyncGenerator[Entry | None, None]:
        """Yield as `watch` does; after a revision, every write since instead of the newest.

        A consumer may be with a follower that lags behind. There are no more records when the
        newest one that the leader had at first has come.
        """
        newest, reached = await self._newest(pattern), since
        config = ConsumerConfig(opt_start_seq=since + 1) if since else None
        policy = DeliverPolicy.BY_START_SEQUENCE if since else DeliverPolicy.LAST_PER_SUBJECT
        with self._nats.translated():
            subscription = await self._nats.jetstream.subscribe(
                f"{self._prefix}{pattern}",
                stream=self._stream,
                ordered_consumer=True,
                config=config,
                deliver_policy=policy,
                inactive_threshold=FORGET_CONSUMER_SECONDS,
            )
        consumer: str | None = None
        arriving = _Arriving(subscription.messages)
        last: Msg | None = None
        try:
            with self._nats.translated():
                info = await subscription.consumer_info()
            consumer = info.name
            # What the server has sent may still be on its way.
            complete = reached >= newest and _has_all(info, last)
            if complete:
                yield None
            while True:
                message = await arriving.next(SILENCE_SECONDS if complete else RECOUNT_SECONDS)
                if message is not None:
                    last = message
                    reached = int(message.metadata.sequence.stream)
                    if not _is_marker(message):
                        meta = message.metadata
                        key = message.subject.removeprefix(self._prefix)
                        yield Entry(key, message.data, int(meta.sequence.stream))
                    has_all = message.metadata.num_pending == 0
                elif complete:
                    # The SDK waits for ever for a server that is away.
                    await self._nats.ping()
                else:
                    # A record that was erased before it was sent is never sent, so that the one
                    # before it was the last, and did not say so.
                    newest = min(newest, await self._newest(pattern))
                    with self._nats.translated():
                        has_all = _has_all(await subscription.consumer_info(), last)
                if not complete and has_all and reached >= newest:
                    complete = True
                    yield None
        except StopAsyncIteration:  # the connection was closed
            return
        finally:
            arriving.close()
            with suppress(nats.errors.Error, OSError):  # a connection that is gone takes it along
                await subscription.unsubscribe()
            with suppress(nats.errors.Error, JetStreamError, OSError):
                if consumer is not None:
                    await self._nats.jetstream.delete_consumer(self._stream, consumer)


class _Arriving:
    """The messages of a subscription, as they arrive."""

    def __init__(self, messages: AsyncIterator[Msg]) -> None:
        self._messages = messages
        self._next: asyncio.Future[Msg] | None = None

    async def next(self, seconds: float) -> Msg | None:
        """Return the next message; None if none arrives for so long.

        Raises:
            StopAsyncIteration: There are no more.
        """
        # Never cancelled while it waits: the SDK would lose the message that comes next.
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._messages))
        if not (await asyncio.wait([self._next], timeout=seconds))[0]:
            return None
        arrived, self._next = self._next, None
        return arrived.result()

    def close(self) -> None:
        """Wait no longer."""
        if self._next is not None:
            self._next.cancel()


def _has_all(info: ConsumerInfo, last: Msg | None) -> bool:
    """Tell whether all that a consumer has sent is here, and it has nothing more to send.

    Args:
        info: Its state.
        last: The message that arrived last; None before the first.
    """
    # The SDK makes another consumer in the place of one that it has lost, which counts anew.
    arrived = last.metadata if last is not None else None
    count = arrived.sequence.consumer if arrived and arrived.consumer == info.name else 0
    return bool(info.num_pending == 0 and info.delivered.consumer_seq == count)


def _is_marker(message: Msg) -> bool:
    """Whether a message says that a record is gone."""
    headers = message.headers or {}
    return "KV-Operation" in headers or "Nats-Marker-Reason" in headers
