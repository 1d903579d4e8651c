"""The bucket of recordings in S3: an `S3ObjectStore` that also takes parts and gives URLs out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from minio.datatypes import Part as S3Part
from minio.error import S3Error

from homeward.ingestion.footage.ports import Part
from homeward.servicekit import errors
from homeward.servicekit.s3 import S3ObjectStore

_HASH_BLOCK = 1024 * 1024
_NOTHING_THERE = frozenset({"NoSuchKey", "InvalidRange"})
_NO_UPLOAD = frozenset({"NoSuchUpload", "NoSuchKey"})  # Ceph names the key when it lists its parts


class S3FootageStore(S3ObjectStore):
    """A `FootageStore` in a bucket of an S3 server.

    The SDK has multipart uploads that can be resumed only as underscored methods; its version is
    pinned, and the contract suite runs them against a real server.
    """

    async def begin_multipart(self, key: str) -> str:
        """Begin an object that comes in parts; return the id of the upload."""
        return await self.run(
            self.client._create_multipart_upload,  # noqa: SLF001 - see the class
            self.bucket,
            key,
            {"Content-Type": "application/octet-stream"},
        )

    async def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        """Store one part; all but the last are at least 5 MiB."""
        etag = await self.run(
            self.client._upload_part,  # noqa: SLF001 - see the class
            self.bucket,
            key,
            data,
            None,
            upload_id,
            number,
        )
        return Part(number, etag, len(data))

    async def parts(self, key: str, upload_id: str) -> list[Part]:
        """Return the parts that are stored, in their order; none if the upload is unknown."""
        return await self.run(self._parts, key, upload_id)

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the parts one object."""
        await self.run(
            self.client._complete_multipart_upload,  # noqa: SLF001 - see the class
            self.bucket,
            key,
            upload_id,
            [S3Part(part.number, part.etag) for part in parts],
        )

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts, if it is there."""
        await self.run(self._abort, key, upload_id)

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

    def _parts(self, key: str, upload_id: str) -> list[Part]:
        found: list[Part] = []
        marker: str | None = None
        while True:
            try:
                page = self.client._list_parts(  # noqa: SLF001 - see the class
                    self.bucket, key, upload_id, part_number_marker=marker
                )
            except S3Error as error:
                if error.code in _NO_UPLOAD:
                    return []
                raise
            found += [Part(int(part.part_number), part.etag, part.size or 0) for part in page.parts]
            if not page.is_truncated:
                return sorted(found, key=lambda part: part.number)
            marker = str(page.next_part_number_marker)

    def _abort(self, key: str, upload_id: str) -> None:
        try:
            self.client._abort_multipart_upload(self.bucket, key, upload_id)  # noqa: SLF001 - see the class
        except S3Error as error:
            if error.code not in _NO_UPLOAD:
                raise

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
