"""The bucket of recordings in S3: an `S3ObjectStore` that also takes parts and gives URLs out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from minio import Minio
from minio.error import S3Error

from homeward.ingestion.adapters.s3_multipart import MultipartUploads
from homeward.ingestion.footage.ports import Part
from homeward.servicekit import errors
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.s3 import S3ObjectStore, http_pool
from homeward.servicekit.settings import Encryption

_HASH_BLOCK = 1024 * 1024
_NOTHING_THERE = frozenset({"NoSuchKey", "InvalidRange"})


class S3FootageStore(S3ObjectStore):
    """A `FootageStore` in a bucket of an S3 server; close it when it is not needed any more.

    Args:
        client: What `s3.connect` returned.
        bucket: Name of the bucket.
        executor: Runs the SDK, which blocks.
        endpoint: The server's URL.
        encryption: As of `S3ObjectStore`.
    """

    def __init__(
        self,
        client: Minio,
        bucket: str,
        executor: BoundedExecutor,
        endpoint: str,
        *,
        encryption: Encryption = "none",
    ) -> None:
        super().__init__(client, bucket, executor, endpoint, encryption=encryption)
        self._http = http_pool(executor.workers)
        self._multipart = MultipartUploads(client, bucket, endpoint, self._http)

    def close(self) -> None:
        """Close the connections that parts went through."""
        self._http.clear()

    async def put_bytes(self, key: str, data: memoryview) -> None:
        """Write an object, whatever was there, without a copy of its bytes in memory."""
        await self.run(self._multipart.put_whole, key, data)

    async def begin_multipart(self, key: str) -> str:
        """Begin an object that comes in parts; return the id of the upload."""
        return await self.run(self._multipart.begin, key)

    async def put_part(
        self, key: str, upload_id: str, number: int, data: bytes | memoryview
    ) -> Part:
        """Store one part; all but the last are at least 5 MiB."""
        return await self.run(self._multipart.put, key, upload_id, number, data)

    async def parts(self, key: str, upload_id: str) -> list[Part]:
        """Return the parts that are stored, in their order; none if the upload is unknown."""
        return await self.run(self._multipart.parts, key, upload_id)

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the parts one object."""
        await self.run(self._multipart.complete, key, upload_id, parts)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts, if it is there."""
        await self.run(self._multipart.abort, key, upload_id)

    async def read(self, key: str, offset: int, length: int) -> bytes:
        """Return bytes of an object; fewer where it ends, and none where there is none."""
        return await self.run(self._read, key, offset, length)

    async def sha256(self, key: str) -> str:
        """Read an object through and return its SHA-256, hexadecimal."""
        return await self.run(self._sha256, key)

    async def url_to_put(self, key: str, expires: timedelta) -> str:
        """Return a URL that takes the object by one HTTP PUT."""
        return await self.run(self.client.presigned_put_object, self.bucket, key, expires)

    async def url_to_get(self, key: str, expires: timedelta) -> str:
        """Return a URL that gives the object by HTTP GET, ranges included."""
        return await self.run(self.client.presigned_get_object, self.bucket, key, expires)

    def _read(self, key: str, offset: int, length: int) -> bytes:
        try:
            response = self.client.get_object(self.bucket, key, offset=offset, length=length)
        except S3Error as error:
            if error.code in _NOTHING_THERE:
                return b""
            raise
        try:
            return bytes(response.data)
        finally:
            response.close()
            response.release_conn()

    def _sha256(self, key: str) -> str:
        try:
            response = self.client.get_object(self.bucket, key)
        except S3Error as error:
            if error.code == "NoSuchKey":
                raise errors.NotFoundError(
                    "the uploaded file is not in the store; upload it again",
                    reason=errors.Reason.UPLOAD_NOT_FOUND,
                ) from error
            raise
        digest = hashlib.sha256()
        try:
            for block in response.stream(_HASH_BLOCK):
                digest.update(block)
        finally:
            response.close()
            response.release_conn()
        return digest.hexdigest()
