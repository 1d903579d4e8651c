"""The bytes of an upload after its last whole part, kept so that they need not be sent again.

S3 takes no part under 5 MiB but the last, and gives the bytes of a part back only once the object
is complete. So the rest of an upload that breaks off is an object of its own beside the recording's
file, until the upload goes on or is given up.
"""

from __future__ import annotations

import hashlib

from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.model import Upload
from homeward.ingestion.footage.ports import FootageStore


class Tail:
    """The rest of one upload by gRPC.

    Args:
        store: The bucket of recordings.
        upload: Begun as multipart.
    """

    def __init__(self, store: FootageStore, upload: Upload) -> None:
        assert upload.multipart_id is not None, "begun as multipart"
        # An upload that is begun anew has another id at the store, and takes up nobody's rest.
        name = hashlib.sha256(upload.multipart_id.encode()).hexdigest()[:16]
        self._prefix = FootageLayout(upload.header.footage_id).tails(name)
        self._store = store

    async def size(self, parts: int) -> int:
        """Return how many bytes there are after so many whole parts."""
        held = await self._store.stat(self._key(parts))
        return held.size if held else 0

    async def read(self, parts: int) -> bytes:
        """Return the bytes after so many whole parts; none if there are none."""
        return await self._store.get(self._key(parts)) or b""

    async def keep(self, parts: int, data: memoryview) -> None:
        """Keep the bytes after so many whole parts."""
        await self._store.put_bytes(self._key(parts), data)

    async def drop(self) -> None:
        """Remove all that was kept."""
        for item in await self._store.objects(self._prefix):
            await self._store.delete(item.key)

    def _key(self, parts: int) -> str:
        return f"{self._prefix}{parts}"
