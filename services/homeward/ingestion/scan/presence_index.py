"""The presence index: beside each recording, where earlier scans found faces."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import msgspec
import structlog

from homeward.core.inventory import backstop_time
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.scan.presence import Presence
from homeward.ingestion.scan_metrics import PRESENCE_FAILURES
from homeward.servicekit import errors, records

log = structlog.get_logger()

_TICK = timedelta(microseconds=1)


def presence_version(*made_with: object) -> str:
    """Return the version of an index: its detector and settings, as one word."""
    return hashlib.sha256("\n".join(map(str, made_with)).encode()).hexdigest()[:16]


class StoredPresenceIndex:
    """A `PresenceIndex` in the bucket of recordings, which goes when the recording goes.

    An object is one segment of a scan, named by version, start and end in microseconds.
    """

    def __init__(self, store: FootageStore) -> None:
        self._store = store

    async def find(self, footage_id: str, version: str, piece: Stretch) -> Presence | None:
        """Return the presence of a piece of a recording, if a scan has stored it.

        One that the store has damaged is logged and counts as none: faces are found anew, and it is
        written over.
        """
        data = await self._store.get(_key(footage_id, version, piece))
        if data is None:
            return None
        try:
            return records.decode(data, Presence)
        except msgspec.DecodeError as error:
            log.warning(
                "presence index is damaged; faces are found anew here",
                footage_id=footage_id,
                problem=str(error),
            )
            return None

    async def keep(self, footage: Footage, presence: Presence) -> None:
        """Store a presence, unless the recording has been deleted meanwhile.

        A store that is full, or does not answer, is logged and counted, and fails no search: the
        search has its result, and would have no more if it was repeated.
        """
        try:
            await self._put(footage, presence)
        except errors.UnavailableError as error:
            PRESENCE_FAILURES.inc()
            log.warning(
                "presence index not written; the next search finds faces anew here",
                footage_id=footage.footage_id,
                problem=str(error),
            )

    async def _put(self, footage: Footage, presence: Presence) -> None:
        key = _key(footage.footage_id, presence.version, presence.stretch)
        await self._store.put(
            key,
            records.encode(presence),
            content_type="application/json",
            until=backstop_time(footage.receive_time, footage.delete_time),
        )
        if await self._store.stat(FootageLayout(footage.footage_id).manifest) is None:
            await self._store.delete(key)


def _key(footage_id: str, version: str, piece: Stretch) -> str:
    start, end = piece.start // _TICK, piece.end // _TICK
    return FootageLayout(footage_id).presence(f"{version}-{start}-{end}")
