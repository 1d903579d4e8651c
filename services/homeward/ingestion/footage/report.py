"""What is held, how old it is, and whether any of it is past its deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from homeward.core.inventory import (
    CAMERAS,
    FOOTAGE,
    INCOMPARABLE,
    PRESENCE,
    UPLOADS,
    DataClass,
    HeldData,
)
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.footage.layout import footage_in
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.model import FootageErasure, Upload
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.footage.staging import Unfinished, dated_ahead
from homeward.servicekit import records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import KeyValueStore
from homeward.servicekit.lifecycle import LifecycleSpan
from homeward.servicekit.objects import ObjectInfo

ERASURES_SHOWN_DAYS = 7


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What is held, how old it is, and whether any of it is past its deadline."""

    made: datetime
    held: tuple[HeldData, ...]
    overdue: tuple[str, ...]
    """Recordings."""
    lifecycle: LifecycleSpan
    """After how many days the store itself removes recordings."""
    encryption: str
    """The algorithm of the bucket's encryption at rest; "" for none that is told."""
    deviations: tuple[str, ...]
    """What keeps the store from forgetting."""
    erasures: tuple[FootageErasure, ...]
    """Of the last week, and those under way."""


class RetentionReporter:
    """Tells what is held.

    Args:
        store: Holds the recordings.
        library: Reads their manifests.
        uploads: Holds what is known of uploads under way.
        erasures: Holds what is known of recordings that were given up.
        cameras: That recordings are by.
        clock: Tells the time.
        keep: How long a recording is held.
    """

    def __init__(
        self,
        *,
        store: FootageStore,
        library: FootageLibrary,
        uploads: KeyValueStore,
        erasures: KeyValueStore,
        cameras: Cameras,
        clock: Clock,
        keep: timedelta,
    ) -> None:
        self._store = store
        self._library = library
        self._uploads = uploads
        self._erasures = erasures
        self._cameras = cameras
        self._clock = clock
        self._keep = keep

    async def report(self) -> RetentionReport:
        """Report what is held and whether anything is past its deadline."""
        now = self._clock.now()
        objects = await self._store.objects("")
        footage = await self._library.manifests_among(objects)
        uploads = [records.decode(entry.value, Upload) for entry in await self._uploads.entries()]
        # What says that it is of the future would never be old enough for the store's own rule.
        ahead = {footage_in(item.key) for item in objects if dated_ahead(item, now)}
        overdue = tuple(
            one.footage_id for one in footage if now >= one.delete_time or one.footage_id in ahead
        )
        limit = now - (UPLOADS.limit or timedelta.max)
        held = (
            HeldData(
                FOOTAGE.name,
                count=len(footage),
                size_bytes=sum(one.header.size_bytes for one in footage),
                oldest=min((one.receive_time for one in footage), default=None),
                overdue=len(overdue),
            ),
            self._held_beside(PRESENCE, objects, "presence", now),
            self._held_beside(INCOMPARABLE, objects, "incomparable", now),
            HeldData(
                UPLOADS.name,
                count=len(uploads),
                oldest=min((one.create_time for one in uploads), default=None),
                overdue=sum(one.create_time <= limit for one in uploads),
            ),
            *Unfinished.among(objects, footage, [one for one in uploads if not one.done]).held(now),
            HeldData(CAMERAS.name, count=len(await self._cameras.find())),
        )
        return RetentionReport(
            made=now,
            held=held,
            overdue=overdue,
            lifecycle=await self._store.lifecycle("footage/"),
            encryption=await self._store.encryption(),
            deviations=tuple(await self._store.deviations()),
            erasures=tuple(await self._recent_erasures(now)),
        )

    def _held_beside(
        self, kind: DataClass, objects: Sequence[ObjectInfo], folder: str, now: datetime
    ) -> HeldData:
        """Return how much there is of what scans keep beside recordings, in a folder of each."""
        held = [item for item in objects if f"/{folder}/" in item.key]
        return HeldData(
            kind.name,
            count=len(held),
            size_bytes=sum(item.size for item in held),
            oldest=min((item.modified for item in held), default=None),
            overdue=sum(now - item.modified >= self._keep for item in held),
        )

    async def _recent_erasures(self, now: datetime) -> list[FootageErasure]:
        days = [f"{now - timedelta(days=ago):%Y-%m-%d}" for ago in range(ERASURES_SHOWN_DAYS)]
        patterns = ["begun.*", *(f"footage.{day}.*" for day in days)]
        return [
            records.decode(entry.value, FootageErasure)
            for pattern in patterns
            for entry in await self._erasures.entries(pattern)
        ]
