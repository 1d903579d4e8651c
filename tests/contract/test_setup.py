"""The programs that make what the services store in, on real engines."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import nats as nats_client
import pytest
from minio import Minio
from minio.versioningconfig import ENABLED, SUSPENDED, VersioningConfig
from qdrant_client import QdrantClient

from engines import S3Account
from homeward.core import inventory
from homeward.core.inventory import DataClass, Engine
from homeward.embedded.ports import address
from homeward.servicekit import s3

SECONDS = 60


@pytest.fixture
def environment(nats_url: str, s3_account: S3Account, tmp_path: Path) -> dict[str, str]:
    key = tmp_path / "gallery-key"
    key.write_text("5e" * 32)
    return {
        **os.environ,
        "HOMEWARD_NATS_URL": nats_url,
        "HOMEWARD_S3_ENDPOINT": s3_account.endpoint,
        "HOMEWARD_S3_ACCESS_KEY": s3_account.access_key,
        "HOMEWARD_S3_SECRET_KEY": s3_account.secret_key,
        "HOMEWARD_QDRANT_PATH": str(tmp_path / "qdrant"),
        "HOMEWARD_GALLERY_KEY_FILE": str(key),
        "HOMEWARD_MATCHING_TARGET": "127.0.0.1:9",  # nobody is asked
    }


@pytest.fixture
def embedding(ports: Mapping[str, int]) -> Iterator[str]:
    """Address of an embedding service that is starting."""
    target = address(ports["embedding"])
    process = subprocess.Popen(
        [sys.executable, "-m", "homeward.embedding"],
        env={**os.environ, "HOMEWARD_LISTEN": target},
        stderr=subprocess.DEVNULL,
    )
    yield target
    process.terminate()
    process.wait()


@pytest.fixture
def client(s3_account: S3Account) -> Minio:
    return s3.connect(
        s3_account.endpoint,
        access_key=s3_account.access_key,
        secret_key=s3_account.secret_key,
        connections=1,
    )


def set_up(service: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"homeward.{service}.setup"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def places(owner: str, engine: Engine) -> set[str]:
    def of(data: DataClass) -> bool:
        return data.owner == owner and data.engine == engine

    return {data.place for data in inventory.INVENTORY if of(data)}


async def streams(url: str) -> set[str]:
    connection = await nats_client.connect(url)
    found = {info.config.name for info in await connection.jetstream().streams_info()}
    await connection.close()
    return found


def test_ingestion_finds_all_of_its_places_after_the_setup_twice(
    environment: dict[str, str], nats_url: str, client: Minio
) -> None:
    codes = [set_up("ingestion", environment).returncode for _ in range(2)]

    assert codes == [0, 0]
    made = asyncio.run(streams(nats_url))
    assert {f"KV_{place}" for place in places("ingestion", Engine.KEY_VALUE)} <= made
    assert places("ingestion", Engine.STREAM) <= made
    assert places("ingestion", Engine.S3) <= {bucket.name for bucket in client.list_buckets()}


def test_matching_finds_all_of_its_places_after_the_setup_twice(
    environment: dict[str, str], nats_url: str, client: Minio, embedding: str
) -> None:
    environment["HOMEWARD_EMBEDDING_TARGET"] = embedding

    codes = [set_up("matching", environment).returncode for _ in range(2)]

    assert codes == [0, 0]
    made = asyncio.run(streams(nats_url))
    assert {f"KV_{place}" for place in places("matching", Engine.KEY_VALUE)} <= made
    assert places("matching", Engine.S3) <= {bucket.name for bucket in client.list_buckets()}
    qdrant = QdrantClient(path=environment["HOMEWARD_QDRANT_PATH"])
    collections = {one.name.rpartition("-")[0] for one in qdrant.get_collections().collections}
    qdrant.close()
    assert places("matching", Engine.QDRANT) == collections


def test_the_setup_fails_on_a_bucket_that_keeps_what_is_deleted(
    environment: dict[str, str], client: Minio
) -> None:
    set_up("ingestion", environment)
    client.set_bucket_versioning(inventory.FOOTAGE.place, VersioningConfig(ENABLED))
    done = set_up("ingestion", environment)
    client.set_bucket_versioning(inventory.FOOTAGE.place, VersioningConfig(SUSPENDED))

    assert done.returncode == 1
    assert "versioning is on" in done.stderr
