"""Buckets that keep versions, or are locked: the fake and S3, held to the same rules."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from itertools import pairwise
from typing import Any

import pytest
from minio.objectlockconfig import COMPLIANCE, DAYS, ObjectLockConfig
from minio.versioningconfig import VersioningConfig

from homeward.ingestion.adapters.s3_footage import S3FootageStore
from homeward.servicekit import s3, s3_versions
from homeward.servicekit.errors import FailedPreconditionError, Reason
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.objects import InMemoryObjectStore, ObjectStore, Purge, Versioning

ACCOUNTS = {"weed": "weed_account", "minio": "minio_account", "ceph": "ceph_account"}
PAGE = 5

Set = Callable[[Versioning], None]


@asynccontextmanager
async def a_bucket(account: Any, *, locked: bool = False) -> AsyncIterator[S3FootageStore]:
    client = s3.connect(
        account.endpoint,
        access_key=account.access_key,
        secret_key=account.secret_key,
        connections=2,
    )
    async with BoundedExecutor("s3", workers=2, queue=8) as threads:
        store = S3FootageStore(client, f"test-{uuid.uuid4().hex}", threads, account.endpoint)
        if locked:
            client.make_bucket(store.bucket, object_lock=True)
            client.set_object_lock_config(store.bucket, ObjectLockConfig(COMPLIANCE, 1, DAYS))
        with closing(store):
            await store.ensure()
            yield store
    client._http.clear()


@pytest.fixture
async def store(
    request: pytest.FixtureRequest, memory_or_s3_server: str
) -> AsyncIterator[ObjectStore]:
    if memory_or_s3_server == "memory":
        yield InMemoryObjectStore()
        return
    account = request.getfixturevalue(ACCOUNTS[memory_or_s3_server])
    async with a_bucket(account) as store:
        yield store


@pytest.fixture
async def locked(
    request: pytest.FixtureRequest, memory_or_s3_server: str
) -> AsyncIterator[ObjectStore]:
    if memory_or_s3_server == "memory":
        memory = InMemoryObjectStore()
        memory.locked, memory.versioning = True, Versioning.ENABLED
        yield memory
        return
    account = request.getfixturevalue(ACCOUNTS[memory_or_s3_server])
    async with a_bucket(account, locked=True) as store:
        yield store


@pytest.fixture
async def bucket(request: pytest.FixtureRequest, s3_server: str) -> AsyncIterator[S3FootageStore]:
    async with a_bucket(request.getfixturevalue(ACCOUNTS[s3_server])) as store:
        yield store


@pytest.fixture
def versioning(store: Any) -> Set:
    """Sets whether the bucket of `store` keeps versions, as somebody beside Homeward does."""
    if isinstance(store, InMemoryObjectStore):
        return lambda to: setattr(store, "versioning", to)
    return lambda to: set_versioning(store, to)


@pytest.fixture
def hide(store: Any) -> Callable[[str], Awaitable[None]]:
    """Deletes an object without naming a version, as a lifecycle rule does."""
    if isinstance(store, InMemoryObjectStore):
        return store.hide
    return lambda key: store.run(store.client.remove_object, store.bucket, key)


def set_versioning(store: S3FootageStore, to: Versioning) -> None:
    store.client.set_bucket_versioning(store.bucket, VersioningConfig(to.value))


def listed(store: S3FootageStore) -> list[tuple[str | None, bool]]:
    """Return all that the bucket holds: keys, and whether each is a delete marker."""
    found = store.client.list_objects(store.bucket, recursive=True, include_version=True)
    return [(item.object_name, item.is_delete_marker) for item in found]


async def put(store: ObjectStore, *keys: str) -> None:
    for key in keys:
        await store.put(key, b"a picture", content_type="image/jpeg")


async def test_a_bucket_that_never_had_versions_keeps_nothing(store: ObjectStore) -> None:
    await put(store, "a")

    assert await store.keeping() == []
    assert await store.left("") == 1
    assert await store.purge("a") == Purge(keys=1)
    assert await store.left("") == 0


async def test_versioning_that_is_on_is_told(store: ObjectStore, versioning: Set) -> None:
    versioning(Versioning.ENABLED)

    (told,) = await store.keeping()

    assert "versioning is on" in told


async def test_a_current_object_that_was_written_while_versioning_was_on_is_told(
    store: ObjectStore, versioning: Set
) -> None:
    versioning(Versioning.ENABLED)
    await put(store, "a")
    versioning(Versioning.SUSPENDED)

    (told,) = await store.keeping()

    assert "versioning is suspended" in told


async def test_an_old_version_is_told_until_it_is_gone(
    store: ObjectStore, versioning: Set, hide: Any
) -> None:
    versioning(Versioning.ENABLED)
    await put(store, "a", "b")
    versioning(Versioning.SUSPENDED)
    await hide("a")
    await put(store, "b", "c")

    assert len(await store.keeping()) == 1
    assert await store.objects("a") == []
    assert await store.left("a") == 1
    assert await store.remove_old_versions() >= 2
    assert await store.left("a") == 0
    assert await store.keeping() == []
    assert [item.key for item in await store.objects("")] == ["b", "c"]


@pytest.mark.parametrize("state", [Versioning.ENABLED, Versioning.SUSPENDED])
async def test_a_deleted_object_leaves_no_version(
    store: ObjectStore, versioning: Set, state: Versioning
) -> None:
    await put(store, "a", "ab")
    versioning(Versioning.ENABLED)
    await put(store, "a", "a")
    versioning(state)

    await store.delete("a")

    assert await store.get("a") is None
    assert await store.left("a") == 1  # the other one
    assert await store.get("ab") == b"a picture"


@pytest.mark.parametrize("state", [Versioning.ENABLED, Versioning.SUSPENDED])
async def test_a_purge_leaves_no_version_of_what_was_deleted_before_either(
    store: ObjectStore, versioning: Set, hide: Any, state: Versioning
) -> None:
    versioning(Versioning.ENABLED)
    await put(store, "s/a", "s/a", "s/b", "other")
    await hide("s/b")
    versioning(state)

    assert await store.purge("s/") == Purge(keys=2, versions=3)

    assert await store.left("s/") == 0
    assert await store.left("") == 1


async def test_a_locked_bucket_is_told(locked: ObjectStore) -> None:
    assert "object lock is on" in " ".join(await locked.keeping())


async def test_what_a_lock_keeps_is_not_said_to_be_deleted(locked: ObjectStore) -> None:
    await put(locked, "a", "b")

    with pytest.raises(FailedPreconditionError, match="object lock is on") as refused:
        await locked.delete("a")

    assert refused.value.reason is Reason.RETENTION_UNSAFE
    assert await locked.purge("") == Purge(keys=2, left=2)


async def test_s3_deletes_without_leaving_a_marker(bucket: S3FootageStore) -> None:
    set_versioning(bucket, Versioning.ENABLED)
    await put(bucket, "a", "b")
    await bucket.delete("a")
    set_versioning(bucket, Versioning.SUSPENDED)
    await bucket.delete("b")
    await put(bucket, "c")
    await bucket.delete("c")

    assert listed(bucket) == []


async def test_s3_clears_the_markers_of_earlier_deletions(bucket: S3FootageStore) -> None:
    set_versioning(bucket, Versioning.ENABLED)
    await put(bucket, "a", "b")
    await bucket.run(bucket.client.remove_object, bucket.bucket, "a")

    assert await bucket.remove_old_versions() == 1

    assert listed(bucket) == [("b", False)]


async def test_s3_asks_of_a_bucket_without_old_versions_for_one_page_alone(
    bucket: S3FootageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_versions, "PAGE", PAGE)
    set_versioning(bucket, Versioning.ENABLED)
    set_versioning(bucket, Versioning.SUSPENDED)
    await put(bucket, *(f"{number:02}" for number in range(3 * PAGE)))
    pages = []
    execute = bucket.client._execute

    def counting(*args: Any, **kwargs: Any) -> Any:
        pages.extend(1 for key in kwargs.get("query_params") or {} if key == "versions")
        return execute(*args, **kwargs)

    monkeypatch.setattr(bucket.client, "_execute", counting)
    counts = []
    for _ in range(4):
        assert await bucket.keeping() == []
        counts.append(len(pages))

    assert counts[0] >= 3  # all, once
    assert [after - before for before, after in pairwise(counts)] == [1, 1, 1]


@pytest.mark.parametrize("where", [0, 7, 14])
async def test_s3_finds_a_version_on_any_page(
    bucket: S3FootageStore, monkeypatch: pytest.MonkeyPatch, where: int
) -> None:
    monkeypatch.setattr(s3_versions, "PAGE", PAGE)
    names = [f"{number:02}" for number in range(3 * PAGE)]
    await put(bucket, *names[:where], *names[where + 1 :])
    set_versioning(bucket, Versioning.ENABLED)
    await put(bucket, names[where])
    set_versioning(bucket, Versioning.SUSPENDED)

    assert len(await bucket.keeping()) == 1
    await bucket.delete(names[where])
    assert await bucket.keeping() == []


async def test_s3_finds_a_version_of_a_moment_that_nobody_saw(
    bucket: S3FootageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_versions, "PAGE", PAGE)
    set_versioning(bucket, Versioning.ENABLED)
    set_versioning(bucket, Versioning.SUSPENDED)
    await put(bucket, *(f"{number:02}" for number in range(3 * PAGE)))
    assert await bucket.keeping() == []
    set_versioning(bucket, Versioning.ENABLED)
    await put(bucket, "07")
    set_versioning(bucket, Versioning.SUSPENDED)

    told = [await bucket.keeping() for _ in range(6)]

    assert [] not in told[4:]
