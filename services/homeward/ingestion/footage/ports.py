"""The ports of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from homeward.ingestion.footage.timeline import Examination
from homeward.servicekit.lifecycle import LifecycleSpan
from homeward.servicekit.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Part:
    """A stored piece of a multipart upload."""

    number: int
    """From 1."""
    etag: str
    size: int


class FootageStore(ObjectStore, Protocol):
    """The bucket of recordings, with what large files need."""

    async def put_bytes(self, key: str, data: memoryview) -> None:
        """Write an object, whatever was there, without a copy of its bytes in memory."""

    async def begin_multipart(self, key: str) -> str:
        """Begin an object that comes in parts; return the id of the upload."""

    async def put_part(
        self, key: str, upload_id: str, number: int, data: bytes | memoryview
    ) -> Part:
        """Store one part; all but the last are at least 5 MiB."""

    async def parts(self, key: str, upload_id: str) -> list[Part]:
        """Return the parts that are stored, in their order; none if the upload is unknown."""

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the parts one object."""

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts, if it is there."""

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Return bytes of an object; fewer where it ends, and none where there is none."""

    async def sha256(self, key: str) -> str:
        """Read an object through and return its SHA-256, hexadecimal."""

    async def url_to_put(self, key: str, expires: timedelta) -> str:
        """Return a URL that takes the object by one HTTP PUT."""

    async def url_to_get(self, key: str, expires: timedelta) -> str:
        """Return a URL that gives the object by HTTP GET, ranges included."""

    async def lifecycle(self, prefix: str) -> LifecycleSpan:
        """Return after how many days the store itself removes what is under a prefix."""

    async def encryption(self) -> str:
        """Return the algorithm of the bucket's encryption at rest; "" if the store states none."""

    async def keep_rules(self) -> None:
        """Set the store's lifecycle rules again: those for single days move on."""


class SightingEraser(Protocol):
    """Erases the sightings in a recording: the matching service."""

    async def erase_footage_sightings(self, footage_id: str, *, received: datetime | None) -> None:
        """Erase the unconfirmed sightings of a recording, and take none of it any more.

        Args:
            footage_id: The recording.
            received: When it came; None if that is not known: findings are not kept out then.
        """


class MediaProber(Protocol):
    """Examines files."""

    async def probe(self, url: str) -> Examination:
        """Read the structure of the file at `url`, and decode its first picture.

        Raises:
            InvalidArgumentError: `FOOTAGE_UNREADABLE`, with what is wrong.
        """
