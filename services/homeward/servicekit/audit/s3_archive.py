"""The archive of the trail in a bucket under object lock, on an S3 server that has such."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, get_args

from minio import Minio
from minio.error import S3Error
from minio.helpers import md5sum_hash

from homeward.core.audit.archive import FOLDER, Part
from homeward.servicekit.audit.archive import (
    MOST_OBJECT_BYTES,
    ArchiveFaultError,
    other_bytes,
)
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.s3_errors import translated

LockMode = Literal["COMPLIANCE", "GOVERNANCE"]
"""Of objects: whom not even the account of an administrator removes before their time, or those
that an account with a right of its own may."""

PAGE = 1000
_PREFIX = f"{FOLDER}/"
_ROUNDED = timedelta(seconds=1)
_ABSENT = frozenset({"NoSuchKey", "NoSuchObject"})
_IS_THERE = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_NOT_LOCKED = frozenset({"ObjectLockConfigurationNotFoundError", "NotImplemented"})


class UnlockedBucketError(Exception):
    """The bucket is there, and has no object lock."""


class S3Archive:
    """An `Archive` in a bucket.

    Args:
        client: What `s3.connect` returned.
        bucket: Name of the bucket.
        executor: Runs the SDK, which blocks.
        endpoint: The server's URL, for messages.
        mode: How its objects are locked.
    """

    def __init__(
        self,
        client: Minio,
        bucket: str,
        executor: BoundedExecutor,
        endpoint: str,
        *,
        mode: LockMode = "COMPLIANCE",
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._executor = executor
        self._endpoint = endpoint
        self._mode = mode
        self._newest: Part | None = None

    @property
    def name(self) -> str:
        """The bucket."""
        return self._bucket

    async def ensure(self) -> None:
        """Make the bucket, with object lock, if it is not there.

        Raises:
            UnavailableError: The server does not answer, or refuses.
            UnlockedBucketError: It is there without object lock.
        """
        with translated(self._endpoint, self._bucket):
            await self._executor.run(self._ensure)

    async def newest(self) -> Part | None:
        """Return the part that reaches farthest."""
        with translated(self._endpoint, self._bucket):
            return await self._executor.run(self._find_newest)

    async def get(self, name: str) -> bytes | None:
        """Return an object, or None."""
        with translated(self._endpoint, self._bucket):
            return await self._executor.run(self._get, name)

    async def put(self, name: str, data: bytes, *, until: datetime) -> None:
        """Write an object and lock it, unless it is there; see `Archive`."""
        with translated(self._endpoint, self._bucket):
            await self._executor.run(self._put, name, data, until)

    def _ensure(self) -> None:
        if not self._client.bucket_exists(self._bucket):
            try:
                self._client.make_bucket(self._bucket, object_lock=True)
            except S3Error as error:  # another replica came first
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise
        try:
            self._client.get_object_lock_config(self._bucket)
        except S3Error as error:
            if error.code not in _NOT_LOCKED:
                raise
            raise UnlockedBucketError(
                f"the bucket {self._bucket} of HOMEWARD_AUDIT_BUCKET has no object lock, so that"
                " whoever may write to it could remove the archive of the audit trail: make one"
                " with object lock, which S3 servers do only as they make it, or name a bucket that"
                " is not there, which is made with it"
            ) from error

    def _find_newest(self) -> Part | None:
        """List what is new since the last time. Versions: what was deleted is kept below."""
        found = self._newest
        listed = self._client._list_objects(  # noqa: SLF001 - pinned, as in `s3_versions`
            self._bucket,
            prefix=_PREFIX,
            start_after=f"{_PREFIX}{found.events_name}" if found else None,
            max_keys=PAGE,
            include_version=True,
        )
        for item in listed:
            part = Part.of_events((item.object_name or "").removeprefix(_PREFIX))
            if part is None or item.is_delete_marker:
                continue
            if found is None or part.last > found.last:
                found = part
        self._newest = found
        return found

    def _get(self, name: str) -> bytes | None:
        try:
            response = self._client.get_object(self._bucket, f"{_PREFIX}{name}")
        except S3Error as error:
            if error.code in _ABSENT:
                return None
            raise
        try:
            return response.read(MOST_OBJECT_BYTES + 1)
        finally:
            response.close()
            response.release_conn()

    def _put(self, name: str, data: bytes, until: datetime) -> None:
        held = self._get(name)
        if held is None:
            held = self._create(name, data, until)
        if held != data:
            raise other_bytes(self._bucket, name)
        if not self._is_locked(name):
            raise ArchiveFaultError(
                f"{name} in the bucket {self._bucket} is not locked: whoever may write there can"
                " remove it. Is the server one that knows object lock?"
            )

    def _is_locked(self, name: str) -> bool:
        try:
            response = self._client._execute(  # noqa: SLF001 - the SDK reads no times of Ceph
                "GET", self._bucket, f"{_PREFIX}{name}", query_params={"retention": ""}
            )
        except S3Error as error:
            if error.code != "NoSuchObjectLockConfiguration":
                raise
            return False
        return any(mode.encode() in response.data for mode in get_args(LockMode))

    def _create(self, name: str, data: bytes, until: datetime) -> bytes | None:
        """Write an object and return what is there then, which another replica may have written."""
        headers: dict[str, str | list[str] | tuple[str]] = {
            "Content-Type": "application/x-ndjson" if name.endswith("l") else "text/plain",
            "Content-MD5": md5sum_hash(data) or "",  # Amazon asks for it of what is locked
            "If-None-Match": "*",
            "x-amz-object-lock-mode": self._mode,
            "x-amz-object-lock-retain-until-date": f"{until + _ROUNDED:%Y-%m-%dT%H:%M:%SZ}",
        }
        try:
            # By the SDK's own way to send: its `put_object` takes no condition.
            self._client._execute(  # noqa: SLF001 - pinned, and held by the contract suite
                "PUT", self._bucket, f"{_PREFIX}{name}", body=data, headers=headers
            )
        except S3Error as error:
            if error.code not in _IS_THERE:
                raise
            return self._get(name)
        return data
