"""One bucket of any S3 server, through the `minio` SDK."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, Tags
from minio.datatypes import Object
from minio.error import S3Error
from minio.helpers import md5sum_hash

from homeward.servicekit import errors
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.lifecycle import UNTIL, Lifecycle, LifecycleSpan, removal_day
from homeward.servicekit.objects import (
    LOCKED,
    REPLICATED,
    Level,
    ObjectInfo,
    Purge,
    Versioning,
    kept_version,
)
from homeward.servicekit.s3_encryption import BucketEncryption
from homeward.servicekit.s3_errors import translated
from homeward.servicekit.s3_versions import BucketVersions, Removal
from homeward.servicekit.settings import Encryption

CONNECT_TIMEOUT_SECONDS = 2.0
READ_TIMEOUT_SECONDS = 30.0

P = ParamSpec("P")
T = TypeVar("T")


def connect(endpoint: str, *, access_key: str, secret_key: str, connections: int) -> Minio:
    """Return a client; nothing is sent yet.

    Args:
        endpoint: URL, such as `http://127.0.0.1:9000`.
        access_key: Name of the account.
        secret_key: Its secret.
        connections: Most connections kept open: as many as threads use the client.
    """
    parts = urlsplit(endpoint)
    return Minio(
        parts.netloc,
        access_key=access_key,
        secret_key=secret_key,
        secure=parts.scheme == "https",
        http_client=http_pool(connections),
    )


def http_pool(connections: int) -> urllib3.PoolManager:
    """Return what sends requests; nothing is sent yet.

    The SDK's own waits five minutes and retries five times.

    Args:
        connections: Most connections kept open.
    """
    return urllib3.PoolManager(
        maxsize=connections,
        timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
        retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=[502, 503, 504]),
    )


@dataclass(frozen=True, slots=True)
class Backstop:
    """What the server is to remove by itself."""

    prefix: str = ""
    days: int | None = None
    """None for nothing."""
    dated: bool = False
    """Whether objects have days of their own, on which they go."""


class S3ObjectStore:
    """An `ObjectStore` in a bucket of an S3 server.

    Args:
        client: What `connect` returned.
        bucket: Name of the bucket.
        executor: Runs the SDK, which blocks.
        endpoint: The server's URL, for messages.
        encryption: What is asked of the bucket; the server is to encrypt what is written into it.
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
        self.client = client
        self.bucket = bucket
        self._executor = executor
        self._endpoint = endpoint
        self._backstop = Backstop()
        self._versions = BucketVersions(client, bucket)
        self._encryption = BucketEncryption(client, bucket, encryption)

    async def ensure(
        self, *, expire_prefix: str = "", expire_days: int | None = None, dated: bool = False
    ) -> None:
        """Make the bucket if it is not there, and set its lifecycle rules.

        Args:
            expire_prefix: Keys that the rule is for; "" for all.
            expire_days: The server itself removes objects this many days after their write, rounded
                up to the next midnight UTC. None sets no rule.
            dated: Whether objects are put with a time `until`, which takes a rule for each day.
        """
        self._backstop = Backstop(expire_prefix, expire_days, dated)
        await self.run(self._ensure)

    async def keep_rules(self) -> None:
        """Set the lifecycle rules again where they are not as they are to be; days pass."""
        await self.run(self._set_rules)

    async def ping(self) -> None:
        """Answer when the server does and the bucket is there."""
        if not await self.run(self.client.bucket_exists, self.bucket):
            raise errors.unavailable(
                "S3", self._endpoint, f"it has no bucket {self.bucket}; restart Homeward to make it"
            )

    async def deviations(self) -> list[str]:
        """Return what keeps the server from forgetting as it was told to: each with its remedy.

        Read back from the server: versions and locks keep what is deleted, copies are kept
        elsewhere, and a lifecycle rule that somebody edited removes too late.
        """
        return await self.run(self._deviations)

    async def encryption(self) -> str:
        """Return the algorithm of the bucket's encryption at rest, read back; "" for none."""
        return await self.run(self._encryption.algorithm)

    async def lifecycle(self, prefix: str) -> LifecycleSpan:
        """Return after how many days the server itself removes what is under a prefix."""
        return (await self.run(self._lifecycle)).span(prefix)

    async def put(
        self, key: str, data: bytes, *, content_type: str, until: datetime | None = None
    ) -> None:
        """Write an object, whatever was there; see `ObjectStore`."""
        await self.run(
            self.client.put_object,
            self.bucket,
            key,
            io.BytesIO(data),
            len(data),
            content_type=content_type,
            tags=_tags(until),
        )

    async def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None."""
        return await self.run(self._get, key)

    async def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object, or None."""
        return await self.run(self._stat, key)

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there, and every version of it.

        Raises:
            FailedPreconditionError: `RETENTION_UNSAFE`: the store refuses to remove a version.
        """
        if (await self.run(self._delete, key)).refused:
            raise kept_version(self.bucket, "; ".join(await self.keeping()) or _REFUSED)

    async def objects(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects whose keys begin with `prefix`, in the order of their keys."""
        return await self.run(self._list, prefix)

    async def level(self, prefix: str) -> Level:
        """Return what is right below a folder; see `ObjectStore`."""
        return await self.run(self._level, prefix)

    async def objects_after(self, prefix: str, after: str, limit: int) -> list[ObjectInfo]:
        """Return some of the objects whose keys begin with `prefix`; see `ObjectStore`."""
        return await self.run(self._list_after, prefix, after, limit)

    async def purge(self, prefix: str) -> Purge:
        """Remove all objects whose keys begin with `prefix`, every version, and look again.

        What the store refuses to remove does not keep the others.
        """
        return await self.run(self._purge, prefix)

    async def left(self, prefix: str) -> int:
        """Return how many objects and versions there are whose keys begin with `prefix`."""
        return await self.run(self._left, prefix)

    async def keeping(self) -> list[str]:
        """Return why the store keeps what is deleted, as it is set up now, each with its remedy."""
        return await self.run(self._keeping)

    async def replicated(self) -> bool:
        """Tell whether what is written is copied elsewhere, where it is not deleted with it."""
        return await self.run(self._replication) is not None

    async def remove_old_versions(self) -> int:
        """Remove what is left of deleted and overwritten objects; return how many versions."""
        return (await self.run(self._versions.remove_old)).removed

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run an SDK call in a thread.

        Raises:
            UnavailableError: The server does not answer, or refuses Homeward's account.
        """
        with translated(self._endpoint, self.bucket):
            return await self._executor.run(call, *args, **kwargs)

    def _ensure(self) -> None:
        made = not self.client.bucket_exists(self.bucket)
        if made:
            try:
                self.client.make_bucket(self.bucket)
            except S3Error as error:  # another replica came first
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise
        self._encryption.request()
        self._set_rules()
        if made:
            # SeaweedFS finds room for a bucket when it is first written to, which takes up to a
            # second: now, and not while the first sighting is recorded.
            self.client.put_object(self.bucket, _FIRST_KEY, io.BytesIO(b"?"), 1)
            self.client.remove_object(self.bucket, _FIRST_KEY)

    def _set_rules(self) -> None:
        backstop = self._backstop
        if backstop.days is None:
            return
        body = self._lifecycle().with_ours(
            backstop.prefix, backstop.days, datetime.now(UTC), dated=backstop.dated
        )
        if body is not None:
            # By the SDK's own way to send, as it could not write rules back that it cannot read.
            self.client._execute(  # noqa: SLF001
                "PUT",
                self.bucket,
                body=body,
                headers={"Content-MD5": md5sum_hash(body) or ""},
                query_params={"lifecycle": ""},
            )

    def _deviations(self) -> list[str]:
        encryption = self._encryption.problem()
        problems = [
            *self._keeping(),
            *self._rules_amiss(),
            *([encryption] if encryption else []),
        ]
        return [f"bucket {self.bucket}: {problem}" for problem in problems]

    def _keeping(self) -> list[str]:
        found = (self._versions.problem(), self._lock(), self._replication())
        return [problem for problem in found if problem]

    def _delete(self, key: str) -> Removal:
        if self._versions.status() is Versioning.NEVER:
            self.client.remove_object(self.bucket, key)
            return Removal()
        found = self._versions.of(key)
        return self._versions.remove(item for item in found if item.object_name == key)

    def _purge(self, prefix: str) -> Purge:
        if self._versions.status() is Versioning.NEVER:
            keys = [info.key for info in self._list(prefix)]
            for key in keys:
                self.client.remove_object(self.bucket, key)
            # Somebody may have turned versioning on meanwhile.
            return Purge(len(keys), left=self._left(prefix))
        found = self._versions.of(prefix)
        held = {item.object_name for item in found if not item.is_delete_marker}
        removal = self._versions.remove(found)
        return Purge(len(held), removal.removed, self._left(prefix))

    def _left(self, prefix: str) -> int:
        if self._versions.status() is Versioning.NEVER:
            return len(self._list(prefix))
        return sum(not item.is_delete_marker for item in self._versions.of(prefix))

    def _lock(self) -> str | None:
        if self._configured(self.client.get_object_lock_config) is None:
            return None
        return LOCKED

    def _replication(self) -> str | None:
        try:
            config = self._configured(self.client.get_bucket_replication)
        except ValueError as error:  # Ceph tells so of a bucket without replication
            if str(error) != _WITHOUT_RULES:
                raise
            return None
        if config is None or not any(rule.status == ENABLED for rule in config.rules):
            return None
        return REPLICATED

    def _rules_amiss(self) -> Iterator[str]:
        backstop = self._backstop
        if backstop.days is None:
            return
        lifecycle = self._lifecycle()
        yield from lifecycle.problems(backstop.prefix, backstop.days)
        missing = lifecycle.missing_days(datetime.now(UTC)) if backstop.dated else []
        if missing:
            yield (
                f"lifecycle rules {UNTIL}-{missing[0]} and others are missing; restart Homeward,"
                " which sets them"
            )

    def _lifecycle(self) -> Lifecycle:
        try:
            response = self.client._execute(  # noqa: SLF001 - the SDK's own reading knows no sizes
                "GET", self.bucket, query_params={"lifecycle": ""}
            )
        except S3Error as error:
            if error.code == "NoSuchLifecycleConfiguration":
                return Lifecycle(None)
            raise
        return Lifecycle(bytes(response.data))

    def _configured(self, read: Callable[[str], T]) -> T | None:
        """Return a bucket's configuration; None where there is none."""
        try:
            return read(self.bucket)
        except S3Error as error:
            if error.code in _NOT_CONFIGURED:
                return None
            raise

    def _get(self, key: str) -> bytes | None:
        try:
            response = self.client.get_object(self.bucket, key)
        except S3Error as error:
            if error.code in _ABSENT:
                return None
            raise
        try:
            return bytes(response.data)
        finally:
            response.close()
            response.release_conn()

    def _stat(self, key: str) -> ObjectInfo | None:
        try:
            found = self.client.stat_object(self.bucket, key)
        except S3Error as error:
            if error.code in _ABSENT:
                return None
            raise
        return ObjectInfo(key, found.size or 0, found.last_modified or datetime.now(UTC))

    def _list(self, prefix: str) -> list[ObjectInfo]:
        found = self.client.list_objects(self.bucket, prefix=prefix, recursive=True)
        return sorted(map(_info, found), key=lambda info: info.key)

    def _list_after(self, prefix: str, after: str, limit: int) -> list[ObjectInfo]:
        found = self.client.list_objects(
            self.bucket, prefix=prefix, start_after=after or None, recursive=True
        )
        return [_info(item) for item in islice(found, limit)]

    def _level(self, prefix: str) -> Level:
        found = list(self.client.list_objects(self.bucket, prefix=prefix))
        objects = sorted(
            (_info(item) for item in found if not item.is_dir), key=lambda info: info.key
        )
        return Level(
            tuple(sorted(item.object_name or "" for item in found if item.is_dir)),
            tuple(item for item in objects if item.key != prefix),
        )


def _info(item: Object) -> ObjectInfo:
    return ObjectInfo(
        item.object_name or "", item.size or 0, item.last_modified or datetime.now(UTC)
    )


_REFUSED = "its account may not remove versions by their ids (s3:DeleteObjectVersion)"


def _tags(until: datetime | None) -> Tags | None:
    """Return the tag by which an object goes at a time; the rules for it are `Lifecycle`'s."""
    if until is None:
        return None
    tags = Tags.new_object_tags()
    tags[UNTIL] = str(removal_day(until))
    return tags


_NOT_CONFIGURED = frozenset(
    {
        "ObjectLockConfigurationNotFoundError",
        "ReplicationConfigurationNotFoundError",
        "NotImplemented",  # what a server does not know, it does not do
    }
)
_WITHOUT_RULES = "rules must be provided"  # how the SDK refuses to read a replication that has none
_ABSENT = frozenset({"NoSuchKey", "NoSuchObject"})
_FIRST_KEY = "first"  # of an object that is there for a moment after its bucket was made
