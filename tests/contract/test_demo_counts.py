"""What the demo counts where its engines run elsewhere: what it used, and nothing of others."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import S3Account
from local_qdrant import Handler
from qdrant_client import QdrantClient, models

from homeward.core import inventory
from homeward.embedded.demo_counts import count_engines, count_vectors
from homeward.matching.adapters.qdrant import APPEARANCE, PHOTO, SUBJECT
from homeward.matching.gallery.register import CollectionRecord
from homeward.servicekit import nats, records, s3

OURS, OTHERS = "subjects-0a", "subjects-0b"
"""Collections: that of the stack, and that of another one on the same server."""


def point(kind: str, number: int) -> models.PointStruct:
    return models.PointStruct(id=number, vector={kind: [1.0, 0.0]})


@pytest.fixture
def qdrant_server() -> Iterator[str]:
    """URL of a server that holds a photograph and its subject, and two photographs of others."""
    store = QdrantClient(":memory:", force_disable_check_same_thread=True)
    params = models.VectorParams(size=2, distance=models.Distance.COSINE)
    for name in (OURS, OTHERS):
        store.create_collection(name, vectors_config={PHOTO: params, SUBJECT: params})
    store.upsert(OURS, points=[point(PHOTO, 1), point(SUBJECT, 2)])
    store.upsert(OTHERS, points=[point(PHOTO, 1), point(PHOTO, 2)])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, store, threading.Lock()))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()
    store.close()


def test_vectors_are_counted_on_the_server_that_the_stack_was_given(
    qdrant_server: str, tmp_path: Path
) -> None:
    environment = {"HOMEWARD_QDRANT_URL": qdrant_server}

    counted = count_vectors(tmp_path, environment, collections=[OURS])

    assert counted == {PHOTO: 1, SUBJECT: 1, APPEARANCE: 0}
    assert list(tmp_path.iterdir()) == []


async def record_collections(url: str) -> None:
    async with nats.connection(url, "test") as bus:
        register = await bus.bucket_of(inventory.GALLERIES, replicas=1)
        for name, collection, retired in (
            (inventory.REFERENCES.place, OURS, ("subjects-09",)),
            (inventory.SIGHTINGS.place, "sightings-0a", ()),
        ):
            record = CollectionRecord(collection, "5a", "pack", "d" * 64, 2, retired=retired)
            await register.put(name, records.encode(record))


def test_objects_are_counted_in_the_store_that_the_stack_was_given(
    nats_url: str, s3_account: S3Account, tmp_path: Path
) -> None:
    asyncio.run(record_collections(nats_url))
    client = s3.connect(
        s3_account.endpoint,
        access_key=s3_account.access_key,
        secret_key=s3_account.secret_key,
        connections=1,
    )
    for bucket in (inventory.STILLS.place, "somebody-elses"):
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
    environment = {
        "HOMEWARD_S3_ENDPOINT": s3_account.endpoint,
        "HOMEWARD_S3_ACCESS_KEY": s3_account.access_key,
        "HOMEWARD_S3_SECRET_KEY": s3_account.secret_key,
        "HOMEWARD_NATS_URL": nats_url,
    }
    before = count_engines(tmp_path, environment)
    client.put_object(inventory.STILLS.place, "pending/counted.jpg", io.BytesIO(b"x"), 1)
    client.put_object("somebody-elses", "thing", io.BytesIO(b"x"), 1)

    counted = count_engines(tmp_path, environment)

    assert counted.stills == before.stills + 1
    assert counted.unexpected == before.unexpected
    assert counted.collections == (OURS, "subjects-09", "sightings-0a")
