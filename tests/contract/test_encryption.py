"""Encryption at rest: asked of each bucket, and read back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from homeward.ingestion.adapters.s3_footage import S3FootageStore
from homeward.servicekit import s3
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.settings import Encryption

WITHOUT_ITS_OWN = ["ceph"]
"""Ceph 16.2 knows no encryption of buckets, and says so in its own ways."""


@pytest.fixture(scope="session")
def account(request: pytest.FixtureRequest, s3_server: str) -> Any:
    return request.getfixturevalue(f"{s3_server}_account")


@asynccontextmanager
async def bucket(account: Any, encryption: Encryption, name: str = "") -> AsyncIterator[Any]:
    client = s3.connect(
        account.endpoint,
        access_key=account.access_key,
        secret_key=account.secret_key,
        connections=2,
    )
    async with BoundedExecutor("s3", workers=2, queue=8) as threads:
        name = name or f"test-{uuid.uuid4().hex}"
        store = S3FootageStore(client, name, threads, account.endpoint, encryption=encryption)
        with closing(store):
            yield store
    client._http.clear()


async def test_a_bucket_has_the_encryption_that_is_asked_for_and_says_so(
    account: Any, s3_server: str
) -> None:
    async with bucket(account, "sse-s3") as store:
        await store.ensure(expire_days=28)
        await store.ensure(expire_days=28)  # as at the next start
        told, problems = await store.encryption(), await store.deviations()
        await store.put("a", b"a secret", content_type="text/plain")

        assert await store.get("a") == b"a secret"
        if s3_server in WITHOUT_ITS_OWN:
            (problem,) = problems
            assert told == ""
            assert "not encrypted at rest as HOMEWARD_S3_ENCRYPTION=sse-s3 asks" in problem
        else:
            assert (told, problems) == ("AES256", [])


async def test_a_recording_of_a_bucket_with_encryption_is_read_as_it_came(
    minio_account: Any,
) -> None:
    # SeaweedFS 4.48 then takes no object in parts, and Ceph 16.2 has no such buckets.
    async with bucket(minio_account, "sse-s3") as store:
        await store.ensure(expire_days=28)
        upload = await store.begin_multipart("a")
        part = await store.put_part("a", upload, 1, b"a recording")
        await store.complete_multipart("a", upload, [part])

        assert await store.read("a", 2, 9) == b"recording"


async def test_no_encryption_is_asked_of_a_bucket_by_default(account: Any) -> None:
    async with bucket(account, "none") as store:
        await store.ensure(expire_days=28)

        assert await store.encryption() == ""
        assert await store.deviations() == []


async def test_an_encryption_that_somebody_removed_is_told(account: Any, s3_server: str) -> None:
    async with bucket(account, "sse-s3") as store:
        await store.ensure(expire_days=28)
        if s3_server not in WITHOUT_ITS_OWN:
            store.client.delete_bucket_encryption(store.bucket)

        (problem,) = await store.deviations()

        assert "not encrypted at rest" in problem


async def test_a_key_service_is_more_than_the_servers_own_keys(
    account: Any, s3_server: str
) -> None:
    async with bucket(account, "sse-s3") as store:
        await store.ensure(expire_days=28)
        async with bucket(account, "sse-kms", store.bucket) as other:
            other._backstop = store._backstop  # not its own start: nothing is asked for

            (problem,) = await other.deviations()

    tells = "no encryption" if s3_server in WITHOUT_ITS_OWN else "AES256"
    assert f"HOMEWARD_S3_ENCRYPTION=sse-kms asks: the server has {tells};" in problem
