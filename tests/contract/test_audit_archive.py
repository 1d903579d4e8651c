"""The archive of the audit trail: the fake and locked buckets, held to the same rules."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from minio.error import S3Error

from homeward.core.audit.archive import FOLDER, Part
from homeward.matching.audit_archive import open_archive
from homeward.matching.settings import MatchingSettings
from homeward.servicekit import s3
from homeward.servicekit.audit.archive import Archive, ArchiveFaultError, InMemoryArchive
from homeward.servicekit.audit.s3_archive import LockMode, S3Archive, UnlockedBucketError
from homeward.servicekit.executor import BoundedExecutor

ACCOUNTS = {"weed": "weed_account", "minio": "minio_account", "ceph": "ceph_account"}
FIRST, SECOND = Part(1, 3), Part(4, 4)


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


@asynccontextmanager
async def an_archive(account: Any, mode: LockMode = "COMPLIANCE") -> AsyncIterator[S3Archive]:
    client = s3.connect(
        account.endpoint,
        access_key=account.access_key,
        secret_key=account.secret_key,
        connections=1,
    )
    async with BoundedExecutor("s3", workers=1, queue=8) as thread:
        yield S3Archive(client, f"test-{uuid.uuid4().hex}", thread, account.endpoint, mode=mode)
    client._http.clear()


@pytest.fixture
async def archive(
    request: pytest.FixtureRequest, memory_or_s3_server: str
) -> AsyncIterator[Archive]:
    if memory_or_s3_server == "memory":
        yield InMemoryArchive()
        return
    async with an_archive(request.getfixturevalue(ACCOUNTS[memory_or_s3_server])) as made:
        await made.ensure()
        yield made


@pytest.fixture
async def bucket(request: pytest.FixtureRequest, s3_server: str) -> AsyncIterator[S3Archive]:
    async with an_archive(request.getfixturevalue(ACCOUNTS[s3_server])) as made:
        yield made


async def test_what_is_written_is_read_again_and_tells_how_far_it_reaches(archive: Archive) -> None:
    assert await archive.newest() is None
    await archive.put(FIRST.events_name, b"1\n2\n3\n", until=tomorrow())
    await archive.put(FIRST.checkpoint_name, b"a note", until=tomorrow())
    assert await archive.newest() == FIRST
    await archive.put(SECOND.events_name, b"4\n", until=tomorrow())

    assert await archive.newest() == SECOND
    assert await archive.newest() == SECOND
    assert await archive.get(FIRST.events_name) == b"1\n2\n3\n"
    assert await archive.get("another") is None


async def test_the_same_again_changes_nothing_and_something_else_is_refused(
    archive: Archive,
) -> None:
    await archive.put(FIRST.events_name, b"1", until=tomorrow())
    await archive.put(FIRST.events_name, b"1", until=tomorrow() + timedelta(days=1))

    with pytest.raises(ArchiveFaultError, match="with other bytes"):
        await archive.put(FIRST.events_name, b"2", until=tomorrow())
    assert await archive.get(FIRST.events_name) == b"1"


def versions(bucket: S3Archive) -> list[Any]:
    return list(bucket._client.list_objects(bucket.name, recursive=True, include_version=True))


@pytest.mark.parametrize("bypass", [False, True])
async def test_what_is_archived_is_removed_by_nobody(bucket: S3Archive, *, bypass: bool) -> None:
    await bucket.ensure()
    await bucket.put(FIRST.events_name, b"1", until=tomorrow())
    (version,) = versions(bucket)

    with pytest.raises(S3Error) as refused:
        bucket._client._execute(
            "DELETE",
            bucket.name,
            f"{FOLDER}/{FIRST.events_name}",
            query_params={"versionId": version.version_id},
            headers={"x-amz-bypass-governance-retention": "true"} if bypass else {},
        )

    assert refused.value.code in ("AccessDenied", "InvalidRequest", "ObjectLocked")
    assert await bucket.get(FIRST.events_name) == b"1"


async def test_what_was_hidden_by_a_deletion_counts_and_is_written_again(bucket: S3Archive) -> None:
    await bucket.ensure()
    await bucket.put(FIRST.events_name, b"1", until=tomorrow())
    bucket._client.remove_object(bucket.name, f"{FOLDER}/{FIRST.events_name}")
    assert await bucket.get(FIRST.events_name) is None

    assert await bucket.newest() == FIRST
    await bucket.put(FIRST.events_name, b"1", until=tomorrow())

    assert await bucket.get(FIRST.events_name) == b"1"


async def test_of_two_replicas_at_once_the_first_one_stays(
    bucket: S3Archive, s3_server: str
) -> None:
    await bucket.ensure()
    await bucket.put(FIRST.events_name, b"1", until=tomorrow())

    # The other one has looked before the first had written.
    answered = bucket._create(FIRST.events_name, b"2", tomorrow())

    written = [item.size for item in versions(bucket)]
    if s3_server == "ceph":  # 16.2 knows no conditions: it keeps both, under lock
        assert len(written) == 2
    else:
        assert (answered, len(written)) == (b"1", 1)


async def test_it_is_locked_as_it_was_asked_for(bucket: S3Archive) -> None:
    until = tomorrow()
    await bucket.ensure()
    await bucket.ensure()
    await bucket.put(FIRST.events_name, b"1", until=until)

    answer = bucket._client._execute(
        "GET",
        bucket.name,
        f"{FOLDER}/{FIRST.events_name}",
        query_params={"retention": ""},
    )
    text = answer.data.decode()
    assert "<Mode>COMPLIANCE</Mode>" in text
    (told,) = re.findall(r"<RetainUntilDate>(.*?)[.Z]", text)
    held = datetime.fromisoformat(f"{told}+00:00")
    assert until <= held <= until + timedelta(seconds=1)


async def test_a_bucket_without_object_lock_is_refused(bucket: S3Archive) -> None:
    bucket._client.make_bucket(bucket.name)

    with pytest.raises(UnlockedBucketError, match="has no object lock"):
        await bucket.ensure()


def settings_of(account: Any, **given: Any) -> MatchingSettings:
    return MatchingSettings(
        nats_url="nats://n",
        embedding_target="e:1",
        gallery_key_file=Path("/key"),
        qdrant_path=Path("/q"),
        s3_access_key="of the other buckets",
        s3_secret_key="another",
        s3_endpoint="http://s",
        audit_s3_endpoint=account.endpoint,
        audit_s3_access_key=account.access_key,
        audit_s3_secret_key=account.secret_key,
        **given,
    )


async def test_matching_opens_the_bucket_with_the_account_that_is_named_for_it(
    s3_account: Any,
) -> None:
    async with AsyncExitStack() as stack:
        assert await open_archive(settings_of(s3_account), stack) is None
        name = f"test-{uuid.uuid4().hex}"
        archive = await open_archive(settings_of(s3_account, audit_bucket=name), stack)

        assert archive is not None
        assert await archive.newest() is None


async def test_matching_does_not_start_on_a_bucket_without_object_lock(s3_account: Any) -> None:
    async with an_archive(s3_account) as unlocked, AsyncExitStack() as stack:
        unlocked._client.make_bucket(unlocked.name)

        with pytest.raises(SystemExit, match="has no object lock"):
            await open_archive(settings_of(s3_account, audit_bucket=unlocked.name), stack)
