"""What an account needs: the policy of `docs/operations.md`, on a server that enforces policies.

SeaweedFS's accounts may read, write and list, and Ceph 16.2 has no policies of accounts: this is
for MinIO.
"""

from __future__ import annotations

import copy
import json
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from minio.credentials import StaticProvider
from minio.error import S3Error
from minio.minioadmin import MinioAdmin
from minio.versioningconfig import ENABLED, SUSPENDED, VersioningConfig

from homeward.core.audit.archive import FOLDER, Part
from homeward.ingestion.adapters.s3_footage import S3FootageStore
from homeward.servicekit import s3
from homeward.servicekit.audit.s3_archive import S3Archive
from homeward.servicekit.errors import UnavailableError
from homeward.servicekit.executor import BoundedExecutor

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
POLICY, ARCHIVE_POLICY = (
    json.loads(found)
    for found in re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[:2]
)
ARCHIVE_ACTIONS = [action for one in ARCHIVE_POLICY["Statement"] for action in one["Action"]]
BUCKET, OBJECTS = (statement["Action"] for statement in POLICY["Statement"])
VERSIONS = {"bucket": ["s3:ListBucketVersions"], "objects": ["s3:DeleteObjectVersion"]}

Grant = Callable[..., Any]


def policy_for(bucket: str, *, without: str = "", more: dict[str, list[str]] | None = None) -> Any:
    policy = copy.deepcopy(POLICY)
    for statement, place in zip(policy["Statement"], ("bucket", "objects"), strict=True):
        wanted = [*statement["Action"], *(more or {}).get(place, [])]
        statement["Action"] = [action for action in wanted if action != without]
        statement["Resource"] = [
            resource.replace("homeward-footage", bucket) for resource in statement["Resource"]
        ]
    return policy


@pytest.fixture(scope="module")
def admin(minio_account: Any) -> Iterator[MinioAdmin]:
    client = MinioAdmin(
        endpoint=minio_account.endpoint.removeprefix("http://"),
        credentials=StaticProvider(minio_account.access_key, minio_account.secret_key),
        secure=False,
    )
    yield client
    client._http.clear()


@pytest.fixture
def grant(admin: MinioAdmin, minio_account: Any) -> Grant:
    """Makes an account that a policy is for, or gives it another policy."""

    def made(policy: Any, account: Any = None) -> Any:
        name = account.access_key if account else secrets.token_hex(8)
        secret = account.secret_key if account else secrets.token_hex(16)
        admin.policy_add(name, policy=policy)
        if account is None:
            admin.user_add(name, secret)
            admin.attach_policy([name], user=name)
        return type(minio_account)(minio_account.endpoint, name, secret)

    return made


@asynccontextmanager
async def opened(account: Any, bucket: str, **options: Any) -> AsyncIterator[S3FootageStore]:
    client = s3.connect(
        account.endpoint,
        access_key=account.access_key,
        secret_key=account.secret_key,
        connections=2,
    )
    async with BoundedExecutor("s3", workers=2, queue=8) as threads:
        store = S3FootageStore(client, bucket, threads, account.endpoint, **options)
        with closing(store):
            yield store
    client._http.clear()


async def all_that_homeward_does(store: S3FootageStore) -> None:
    """Make a bucket, and do everything with it that Homeward does with one without versions."""
    await store.ensure(expire_days=28, dated=True)
    await store.ping()
    assert await store.deviations() == []
    await store.lifecycle("footage/")
    await store.encryption()
    await store.put("a", b"1", content_type="text/plain")
    until = datetime.now(UTC) + timedelta(days=3)
    await store.put("b", b"1", content_type="text/plain", until=until)
    assert await store.get("a") == b"1"
    assert await store.get("absent") is None
    assert await store.stat("absent") is None
    assert len(await store.objects("")) == 2
    upload = await store.begin_multipart("c")
    part = await store.put_part("c", upload, 1, b"1")
    assert await store.parts("c", upload) == [part]
    await store.complete_multipart("c", upload, [part])
    assert await store.read("c", 0, 1) == b"1"
    await store.sha256("c")
    upload = await store.begin_multipart("d")
    await store.put_part("d", upload, 1, b"1")
    await store.abort_multipart("d", upload)
    assert await store.parts("d", upload) == []
    await store.delete("a")
    await store.purge("")
    assert await store.left("") == 0
    await store.remove_old_versions()


async def test_the_policy_of_the_docs_is_enough(grant: Grant) -> None:
    bucket = f"test-{uuid.uuid4().hex}"
    account = grant(policy_for(bucket))

    async with opened(account, bucket) as store:
        await all_that_homeward_does(store)


NOT_ASKED_FOR = ["s3:PutObjectTagging"]
"""By MinIO, of whoever may put objects; Amazon asks for it."""
NOT_ASKED_FOR_BY_THE_ARCHIVE = ["s3:ListBucketVersions"]
"""By MinIO, of whoever may list objects; Amazon asks for it."""


@pytest.mark.parametrize("action", [one for one in (*BUCKET, *OBJECTS) if one not in NOT_ASKED_FOR])
async def test_without_any_of_its_actions_it_is_not_and_the_missing_one_is_named(
    grant: Grant, action: str
) -> None:
    bucket = f"test-{uuid.uuid4().hex}"
    account = grant(policy_for(bucket, without=action))

    async with opened(account, bucket) as store:
        with pytest.raises(UnavailableError) as refused:
            await all_that_homeward_does(store)

    assert f"Homeward's account may not {action}" in refused.value.message.replace(
        "s3:PutObject, or s3:PutObjectTagging", action
    ).replace("s3:GetObject, or s3:ListBucket of the bucket", action)
    assert f"on bucket {bucket}" in refused.value.message


async def test_the_policy_reaches_no_other_bucket(grant: Grant) -> None:
    account = grant(policy_for(f"test-{uuid.uuid4().hex}"))

    async with opened(account, f"test-{uuid.uuid4().hex}") as store:
        with pytest.raises(UnavailableError, match="may not s3:GetBucketLocation on bucket"):
            await store.ensure()


async def test_with_what_the_docs_add_for_it_a_bucket_that_had_versions_is_cleared(
    grant: Grant, minio_account: Any
) -> None:
    # MinIO does without: it takes the right to list and to delete for that of their versions.
    bucket = f"test-{uuid.uuid4().hex}"
    account = grant(policy_for(bucket, more=VERSIONS))
    async with opened(minio_account, bucket) as owner:
        await owner.ensure()
        owner.client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
        await owner.put("a", b"1", content_type="text/plain")
        await owner.put("a", b"2", content_type="text/plain")
        owner.client.set_bucket_versioning(bucket, VersioningConfig(SUSPENDED))

    async with opened(account, bucket) as store:
        await store.delete("a")
        assert await store.left("a") == 0
        assert await store.deviations() == []


@pytest.mark.parametrize("allowed", [True, False])
async def test_asking_for_encryption_takes_one_more(grant: Grant, *, allowed: bool) -> None:
    bucket = f"test-{uuid.uuid4().hex}"
    more = {"bucket": ["s3:PutEncryptionConfiguration"] * allowed}
    account = grant(policy_for(bucket, more=more))

    async with opened(account, bucket, encryption="sse-s3") as store:
        if allowed:
            await all_that_homeward_does(store)
        else:
            with pytest.raises(UnavailableError, match="s3:PutEncryptionConfiguration"):
                await store.ensure()


async def test_a_bucket_that_has_its_encryption_is_asked_for_none(
    grant: Grant, minio_account: Any
) -> None:
    bucket = f"test-{uuid.uuid4().hex}"
    async with opened(minio_account, bucket, encryption="sse-s3") as owner:
        await owner.ensure()

    async with opened(grant(policy_for(bucket)), bucket, encryption="sse-s3") as store:
        await all_that_homeward_does(store)


async def test_a_bucket_whose_quota_is_reached_is_told_as_full(
    admin: MinioAdmin, minio_account: Any
) -> None:
    async with opened(minio_account, f"test-{uuid.uuid4().hex}") as store:
        await store.ensure()
        admin.bucket_quota_set(store.bucket, 10)

        with pytest.raises(UnavailableError, match="it is full"):
            await store.put("a", bytes(100), content_type="text/plain")


def archive_policy(bucket: str, *, without: str = "", bucket_too: Sequence[str] = ()) -> Any:
    policy = json.loads(json.dumps(ARCHIVE_POLICY).replace("AUDIT-BUCKET", bucket))
    policy["Statement"][0]["Action"] += bucket_too
    for statement in policy["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action != without]
    return policy


async def archive_once(account: Any, bucket: str) -> None:
    """Do everything with a bucket that the archive of the audit trail does."""
    client = s3.connect(
        account.endpoint,
        access_key=account.access_key,
        secret_key=account.secret_key,
        connections=1,
    )
    name = Part(1, 1).events_name
    async with BoundedExecutor("s3", workers=1, queue=8) as thread:
        archive = S3Archive(client, bucket, thread, account.endpoint)
        await archive.ensure()
        assert await archive.newest() is None
        for _ in range(2):
            await archive.put(name, b"1\n", until=datetime.now(UTC) + timedelta(days=1))
        assert await archive.newest() == Part(1, 1)
        assert await archive.get(name) == b"1\n"
        with pytest.raises(S3Error, match="AccessDenied"):
            client.remove_object(bucket, f"{FOLDER}/{name}")
    client._http.clear()


async def test_the_account_of_the_audit_archive_writes_and_removes_nothing(
    grant: Grant, minio_account: Any
) -> None:
    bucket = f"test-{uuid.uuid4().hex}"
    async with opened(minio_account, bucket) as owner:
        owner.client.make_bucket(bucket, object_lock=True)

    await archive_once(grant(archive_policy(bucket)), bucket)


async def test_with_three_more_rights_it_makes_its_bucket(grant: Grant) -> None:
    bucket = f"test-{uuid.uuid4().hex}"
    more = ["s3:CreateBucket", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"]

    await archive_once(grant(archive_policy(bucket, bucket_too=more)), bucket)


@pytest.mark.parametrize(
    "action", [one for one in ARCHIVE_ACTIONS if one not in NOT_ASKED_FOR_BY_THE_ARCHIVE]
)
async def test_without_any_of_its_rights_nothing_is_archived(
    grant: Grant, minio_account: Any, action: str
) -> None:
    bucket = f"test-{uuid.uuid4().hex}"
    async with opened(minio_account, bucket) as owner:
        owner.client.make_bucket(bucket, object_lock=True)

    with pytest.raises(UnavailableError, match="account may not s3:"):
        await archive_once(grant(archive_policy(bucket, without=action)), bucket)
