"""The ports of ingestion in one process, for tests; the contract suite holds them to S3's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from homeward.core.vision.regions import Region
from homeward.ingestion.footage.ports import Part
from homeward.servicekit import errors
from homeward.servicekit.clock import Clock
from homeward.servicekit.objects import InMemoryObjectStore

MIN_PART_BYTES = 5 * 1024 * 1024
"""S3 takes no smaller part but the last."""


@dataclass(slots=True)
class _Multipart:
    key: str
    parts: dict[int, tuple[Part, bytes]] = field(default_factory=dict)


class InMemoryFootageStore(InMemoryObjectStore):
    """A `FootageStore` of one process.

    Its URLs name the object and serve nothing: there is no HTTP server behind them.

    Args:
        lifecycle_days: As of `InMemoryObjectStore`.
        clock: Tells when objects are written.
    """

    def __init__(self, *, lifecycle_days: int = 0, clock: Clock | None = None) -> None:
        super().__init__(clock, lifecycle_days=lifecycle_days)
        self._uploads: dict[str, _Multipart] = {}
        self._begun = 0

    async def put_bytes(self, key: str, data: memoryview) -> None:
        """Write an object, whatever was there."""
        await self.put(key, bytes(data), content_type="application/octet-stream")

    async def begin_multipart(self, key: str) -> str:
        """Begin an object that comes in parts; return the id of the upload."""
        self._begun += 1
        upload_id = f"upload-{self._begun}"
        self._uploads[upload_id] = _Multipart(key)
        return upload_id

    async def put_part(
        self, key: str, upload_id: str, number: int, data: bytes | memoryview
    ) -> Part:
        """Store one part; all but the last are at least 5 MiB."""
        upload = self._upload(key, upload_id)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        part = Part(number, etag, len(data))
        upload.parts[number] = (part, bytes(data))
        return part

    async def parts(self, key: str, upload_id: str) -> list[Part]:
        """Return the parts that are stored, in their order; none if the upload is unknown."""
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            return []
        return [part for _, (part, _) in sorted(upload.parts.items())]

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the parts one object."""
        upload = self._upload(key, upload_id)
        numbers = [part.number for part in parts]
        if not parts:
            raise _refused("MalformedXML")
        if numbers != sorted(set(numbers)):
            raise _refused("InvalidPartOrder")
        blocks = []
        for part in parts:
            held = upload.parts.get(part.number)
            if held is None or held[0].etag != part.etag:
                raise _refused("InvalidPart")
            blocks.append(held[1])
        if any(len(block) < MIN_PART_BYTES for block in blocks[:-1]):
            raise _refused("EntityTooSmall")
        await self.put(key, b"".join(blocks), content_type="application/octet-stream")
        del self._uploads[upload_id]

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts, if it is there."""
        upload = self._uploads.get(upload_id)
        if upload is not None and upload.key == key:
            del self._uploads[upload_id]

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Return bytes of an object; fewer where it ends, and none where there is none."""
        return (await self.get(key) or b"")[offset : offset + length]

    async def sha256(self, key: str) -> str:
        """Read an object through and return its SHA-256, hexadecimal."""
        data = await self.get(key)
        if data is None:
            raise errors.NotFoundError(
                "the uploaded file is not in the store; upload it again",
                reason=errors.Reason.UPLOAD_NOT_FOUND,
            )
        return hashlib.sha256(data).hexdigest()

    async def url_to_put(self, key: str, expires: timedelta) -> str:
        """Return a URL that takes the object by one HTTP PUT."""
        return f"memory:///{quote(key)}?method=put&expires={expires.total_seconds():.0f}"

    async def url_to_get(self, key: str, expires: timedelta) -> str:
        """Return a URL that gives the object by HTTP GET, ranges included."""
        return f"memory:///{quote(key)}?method=get&expires={expires.total_seconds():.0f}"

    def _upload(self, key: str, upload_id: str) -> _Multipart:
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise _refused("NoSuchUpload")
        return upload


def _refused(code: str) -> errors.UnavailableError:
    return errors.unavailable("S3", "memory", f"it refused with {code}; see its log")


class InMemoryPicture:
    """A `Picture` that is there in BGR.

    Args:
        image: Shape (height, width, 3), both even.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._image = image
        self.height, self.width = image.shape[:2]

    def cut(self, region: Region) -> NDArray[np.uint8]:
        """Return a part of it, BGR, shape (height, width, 3)."""
        return self._image[region.top : region.bottom, region.left : region.right].copy()

    def part(self, region: Region) -> InMemoryPicture:
        """Return a part of it, of even borders, which does not hold on to the rest."""
        return InMemoryPicture(self.cut(region))
