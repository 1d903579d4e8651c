"""Uploading recordings, as a client does, for tests of what is done with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.footage.model import Footage, FootageHeader
from homeward.ingestion.footage.receiving import PART_BYTES
from homeward.ingestion.footage.resource import FootageResource
from homeward.servicekit import errors

CONTENT = b"recording"
LARGE = bytes(range(256)) * ((2 * PART_BYTES + 1000) // 256)
"""Two whole parts and a bit."""


async def stream(content: bytes, size: int = 1024 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def away(*_: Any) -> Any:
    raise errors.unavailable("S3", "somewhere", "start it")


async def broken(content: bytes) -> AsyncIterator[bytes]:
    async for chunk in stream(content):
        yield chunk
    raise ConnectionResetError


async def upload(
    resource: FootageResource,
    header: FootageHeader,
    content: bytes = CONTENT,
    *,
    request_id: str = "up-1",
    offset: int = 0,
) -> tuple[Footage, bool]:
    return await resource.uploads.upload(request_id, header, offset, stream(content))


async def put(
    resource: FootageResource, bucket: InMemoryFootageStore, header: FootageHeader, content: bytes
) -> None:
    """Do what a client does with the URL that it got."""
    url, _ = await resource.uploads.upload_url("up-1", header)  # type: ignore[misc]  # it is not held yet
    key = url.removeprefix("memory:///").partition("?")[0]
    await bucket.put(key, content, content_type="application/octet-stream")


async def keys(bucket: InMemoryFootageStore) -> list[str]:
    return [one.key for one in await bucket.objects("")]
