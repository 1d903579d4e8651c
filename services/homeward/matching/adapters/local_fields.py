"""The index of a field that Qdrant's local mode has none of."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from qdrant_client import QdrantClient, models

FIELD = "subject_id"

_PAGE = 1000


class LocalFields:
    """Which points have a value of `FIELD`, by the value, for each collection of a local client.

    The local mode compares every payload with a filter, one after the other, which takes 0.1 s with
    10,000 points. Every write of `FIELD` goes through here, so that this always agrees with the
    points; it is read from them once. Not for several threads: the local mode has one.

    Args:
        client: Of Qdrant's local mode.
    """

    def __init__(self, client: QdrantClient) -> None:
        self._client = client
        self._values: dict[str, dict[str, str]] = {}
        """By collection and point."""
        self._ids: dict[str, dict[str, set[str]]] = {}
        """By collection and value."""

    def ids_of(self, collection: str, values: Collection[str]) -> list[str]:
        """Return the ids of the points that have one of the values, in their order.

        Raises:
            ValueError: The collection is not found.
        """
        self._load(collection)
        ids = self._ids[collection]
        return sorted({name for value in values for name in ids.get(value, ())})

    def note(self, collection: str, points: Iterable[models.PointStruct]) -> None:
        """Take note of points that were written."""
        if collection not in self._values:
            return
        for point in points:
            self._take_out(collection, str(point.id))
            value = (point.payload or {}).get(FIELD)
            if isinstance(value, str):
                self._values[collection][str(point.id)] = value
                self._ids[collection].setdefault(value, set()).add(str(point.id))

    def note_removal(self, collection: str, point_ids: Iterable[str]) -> None:
        """Take note of points that were removed."""
        if collection in self._values:
            for name in point_ids:
                self._take_out(collection, name)

    def forget(self, collection: str) -> None:
        """Let go of a collection that was removed, or of which anything may have been removed."""
        self._values.pop(collection, None)
        self._ids.pop(collection, None)

    def _take_out(self, collection: str, point_id: str) -> None:
        value = self._values[collection].pop(point_id, None)
        if value is not None:
            self._ids[collection][value].discard(point_id)

    def _load(self, collection: str) -> None:
        if not self._client.collection_exists(collection):
            self.forget(collection)
            raise ValueError(f"Collection {collection} not found")
        if collection in self._values:
            return
        self._values[collection], self._ids[collection] = {}, {}
        try:
            self._read(collection)
        except BaseException:
            self.forget(collection)  # what was read so far is not all
            raise

    def _read(self, collection: str) -> None:
        offset = None
        while True:
            points, offset = self._client.scroll(
                collection, limit=_PAGE, offset=offset, with_payload=[FIELD], with_vectors=False
            )
            self.note(
                collection,
                [models.PointStruct(id=p.id, vector={}, payload=p.payload) for p in points],
            )
            if offset is None:
                return
