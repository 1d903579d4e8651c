"""Qdrant's client: a server by URL, or its local mode in one folder."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException

from homeward.matching.adapters import collections, refusals
from homeward.matching.adapters.local_fields import LocalFields
from homeward.matching.adapters.selection import PointsOfSubjects
from homeward.matching.adapters.urls import with_port
from homeward.servicekit.executor import BoundedExecutor

TIMEOUT_SECONDS = 5

RATE_WAIT_SECONDS = 3
"""How long a call waits, all in all, when a server says that it is asked too often: shorter than
the readiness check, which would take a service that waits for one that is not ready."""

LOCAL_BATCH = 16
"""Points that are written at a time in the local mode. It writes some 170 a second, and nobody can
search meanwhile: a search waits a tenth of a second at most."""

SERVER_BATCH = 500
"""Points that are written to a server, or read with their vectors, at a time: 512 numbers each and
their payload are 5 MB of JSON, and a server takes 32 MiB by default."""

MOST_VALUES = 1000
"""Different values of a field, such as names of reviewers, that a server is asked for at most; it
tells those that most points have. Its strict mode limits this by `max_query_limit`."""

P = ParamSpec("P")
T = TypeVar("T")


def connect(*, url: str | None, path: Path | None, api_key: str | None = None) -> QdrantClient:
    """Return a client of the server at `url`, or of the local mode in the folder `path`."""
    if url:
        return QdrantClient(
            url=with_port(url),
            api_key=api_key,
            timeout=TIMEOUT_SECONDS,
            check_compatibility=False,
        )
    return QdrantClient(path=str(path))


class QdrantEngine:
    """Runs the client, which blocks, in threads.

    Args:
        client: What `connect` returned.
        executor: One worker for the local mode, which is not thread-safe.
        address: URL or "its local folder", for messages.
        server: Whether it is a server, and not the local mode.

    Attributes:
        batch: How many points are written at a time.
    """

    def __init__(
        self,
        client: QdrantClient,
        executor: BoundedExecutor,
        address: str,
        *,
        server: bool = False,
    ) -> None:
        self.client = client
        self.server = server
        self.batch = SERVER_BATCH if server else LOCAL_BATCH
        self._executor = executor
        self._address = address
        self._fields = None if server else LocalFields(client)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a client call; wait, if not for long, where a server says that it is too soon.

        Raises:
            UnavailableError: The server does not answer, or refuses; what to do is in its advice.
        """
        waited = 0
        while True:
            try:
                return await self._executor.run(call, *args, **kwargs)
            except ResourceExhaustedResponse as error:  # nothing was done
                pause = max(error.retry_after_s, 1)
                waited += pause
                if waited > RATE_WAIT_SECONDS:
                    raise self._translated(error) from error
                await asyncio.sleep(pause)
            except (ApiException, QdrantException, JSONDecodeError) as error:
                raise self._translated(error) from error
            except sqlite3.Error as error:  # of the local mode's files
                raise refusals.local_files(self._address, error) from error
            except ValueError as error:  # of the local mode, where a server answers 404
                if not str(error).endswith("not found"):
                    raise
                raise refusals.lost_collection(self._address) from error

    async def upsert(self, collection: str, points: Sequence[models.PointStruct]) -> None:
        """Write points, whatever was there."""

        def write() -> None:
            with self._noted(collection):
                self.client.upsert(collection, points=list(points), wait=True)
                if self._fields is not None:
                    self._fields.note(collection, points)

        await self.run(write)

    async def delete(self, collection: str, which: Sequence[str] | PointsOfSubjects) -> None:
        """Remove points by id, or those of subjects."""

        def remove() -> None:
            selector: models.PointsSelector
            if not isinstance(which, PointsOfSubjects):
                selector = models.PointIdsList(points=list(which))
            elif self._fields is None:
                selector = models.FilterSelector(filter=which.filter())
            else:
                ids = self._fields.page(collection, which.of_any_kind(), size=None)
                if not ids:
                    return
                selector = models.PointIdsList(points=list(ids))
            with self._noted(collection):
                self.client.delete(collection, points_selector=selector, wait=True)
                if self._fields is not None and isinstance(selector, models.PointIdsList):
                    self._fields.note_removal(collection, map(str, selector.points))

        await self.run(remove)

    async def set_payload(
        self, collection: str, point_id: str, payload: dict[str, Any], *, merge: bool
    ) -> None:
        """Replace the payload of a point, or some of its fields; nothing if it is not there."""
        change = self.client.set_payload if merge else self.client.overwrite_payload

        def write() -> None:
            if self._fields is None:
                # Not by its id: a successor may not have it yet, which a server would refuse.
                same = models.Filter(must=[models.HasIdCondition(has_id=[point_id])])
                change(collection, payload=payload, points=same, wait=True)
            elif self._fields.existing(collection, [point_id]):
                with self._noted(collection):
                    change(collection, payload=payload, points=[point_id])
                    self._fields.note(collection, self.client.retrieve(collection, [point_id]))

        await self.run(write)

    async def index(self, collection: str, fields: Mapping[str, models.PayloadSchemaType]) -> None:
        """Make the indexes of fields that points are filtered or ordered by."""
        if self._fields is None:
            await self.run(collections.index, self.client, collection, fields)
        else:
            await self.run(self._fields.index, collection, fields)

    async def ids_of(self, collection: str, where: models.Filter | None) -> list[str] | None:
        """Return the ids of all points that fit; None of a server, which filters by itself."""
        if self._fields is None:
            return None
        return await self.run(self._fields.page, collection, where, size=None)

    async def page(
        self,
        collection: str,
        where: models.Filter | None,
        *,
        size: int,
        order: models.OrderBy | None,
        start: str | None,
    ) -> list[models.Record]:
        """Return the first points that fit, as `KeyedCollection.page` says."""
        if (fields := self._fields) is not None:

            def read() -> list[models.Record]:
                ids = fields.page(collection, where, size=size, order=order, start=start)
                return self.client.retrieve(collection, ids)

            return await self.run(read)  # at once: of points that go meanwhile, it would lack some
        points, _ = await self.run(
            self.client.scroll,
            collection,
            scroll_filter=where,
            limit=size,
            order_by=order,
            offset=start,
            with_payload=True,
        )
        return points

    async def count(self, collection: str, where: models.Filter | None) -> int:
        """Return how many points fit."""
        if self._fields is not None:
            return await self.run(self._fields.count, collection, where)
        answer = await self.run(self.client.count, collection, count_filter=where, exact=True)
        return answer.count

    async def existing(self, collection: str, point_ids: Sequence[str]) -> frozenset[str]:
        """Return which of the points are there."""
        if self._fields is not None:
            return await self.run(self._fields.existing, collection, point_ids)
        found: set[str] = set()
        for first in range(0, len(point_ids), SERVER_BATCH):
            points = await self.run(
                self.client.retrieve,
                collection,
                ids=point_ids[first : first + SERVER_BATCH],
                with_payload=False,
            )
            found.update(str(point.id) for point in points)
        return frozenset(found)

    async def values(self, collection: str, path: str) -> frozenset[str]:
        """Return the values of an indexed field of words; of a server, `MOST_VALUES` at most."""
        if self._fields is not None:
            return await self.run(self._fields.values, collection, path)
        answer = await self.run(
            self.client.facet, collection, key=path, limit=MOST_VALUES, exact=True
        )
        return frozenset(str(hit.value) for hit in answer.hits)

    async def drop(self, collection: str) -> None:
        """Remove a collection with its files and snapshots, if it is there."""

        def remove() -> None:
            if self.client.collection_exists(collection):
                for snapshot in self.client.list_snapshots(collection):
                    self.client.delete_snapshot(collection, snapshot.name, wait=True)
                self.client.delete_collection(collection)
            if self._fields is not None:
                self._fields.forget(collection)

        await self.run(remove)

    async def ping(self) -> None:
        """Answer when the engine does."""
        await self.run(self.client.get_collections)

    @contextmanager
    def _noted(self, collection: str) -> Iterator[None]:
        """Have the fields of a collection read again if a write to it breaks off anywhere."""
        try:
            yield
        except BaseException:
            if self._fields is not None:
                self._fields.forget(collection)
            raise

    def _translated(self, error: Exception) -> Exception:
        return refusals.translated(error, self._address, timeout_seconds=TIMEOUT_SECONDS)
