"""Uploads by URL: what a holder of the URL can do to a recording, on each object store."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
import urllib3

from homeward.core.inventory import FOOTAGE_LIMIT, swept_after
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.adapters.s3_footage import S3FootageStore
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.cameras.model import CameraDetails
from homeward.ingestion.footage import staging
from homeward.ingestion.footage.counts import FootageCounts, RetentionTerms
from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.layout import footage_folder
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.media import MediaInfo, VideoTrack
from homeward.ingestion.footage.model import Footage, FootageHeader
from homeward.ingestion.footage.ports import FootageStore
from homeward.ingestion.footage.records import FootageRecords
from homeward.ingestion.footage.report import RetentionReporter
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.sweep import FootageSweeper
from homeward.ingestion.footage.timeline import VERSION, Examination, Timeline
from homeward.ingestion.footage.uploads import FootageUploads, IntakeTerms
from homeward.servicekit import s3
from homeward.servicekit.audit.acts import InMemoryActs
from homeward.servicekit.clock import SystemClock
from homeward.servicekit.errors import InvalidArgumentError, Reason
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore

ACCOUNTS = {"weed": "weed_account", "minio": "minio_account", "ceph": "ceph_account"}
PART = 5 * 1024 * 1024
CONTENT = bytes(range(256)) * (2 * PART // 256) + b"the end"
"""Two whole parts and a bit."""
OTHER = CONTENT[::-1]
# MinIO dates an object as this header says, which anybody may add to a signed request.
FAR_AHEAD = {"x-minio-source-mtime": "2099-01-01T00:00:00Z"}

Put = Callable[..., Awaitable[None]]


class AnyFile:
    """A `MediaProber` to which each file is a minute of video."""

    async def probe(self, url: str) -> Examination:
        del url
        track = VideoTrack("h264", 1920, 1080, 1.0, 1, 1)
        none = np.zeros(0, np.int64)
        return Examination(
            MediaInfo(track, timedelta(minutes=1), version=VERSION),
            Timeline(none, none, none, none, none, none),
        )


class NoSightings:
    """A `Matcher` of which only this is asked."""

    async def erase_footage_sightings(self, footage_id: str, *, received: datetime | None) -> None:
        del footage_id, received


@pytest.fixture
async def store(
    request: pytest.FixtureRequest, memory_or_s3_server: str
) -> AsyncIterator[FootageStore]:
    if memory_or_s3_server == "memory":
        yield InMemoryFootageStore()
        return
    account = request.getfixturevalue(ACCOUNTS[memory_or_s3_server])
    client = s3.connect(
        account.endpoint,
        access_key=account.access_key,
        secret_key=account.secret_key,
        connections=2,
    )
    async with BoundedExecutor("s3", workers=2, queue=8) as threads:
        name = f"test-{uuid.uuid4().hex}"
        with closing(S3FootageStore(client, name, threads, account.endpoint)) as bucket:
            await bucket.ensure(expire_days=29)
            yield bucket
    client._http.clear()


@pytest.fixture
def put(store: Any) -> Put:
    """Puts bytes to a URL, with headers of one's own, as anybody can who has it."""

    async def to_memory(url: str, data: bytes, **_: str) -> None:
        key = url.removeprefix("memory:///").partition("?")[0]
        await store.put(key, data, content_type="application/octet-stream")

    async def by_http(url: str, data: bytes, **headers: str) -> None:
        with urllib3.PoolManager(retries=False) as http:
            answer = http.request("PUT", url, body=data, headers=headers)
        assert answer.status == 200

    return to_memory if isinstance(store, InMemoryFootageStore) else by_http


@pytest.fixture
def uploads() -> InMemoryKeyValueStore:
    return InMemoryKeyValueStore()


@pytest.fixture
async def resource(
    store: FootageStore, uploads: InMemoryKeyValueStore
) -> AsyncIterator[FootageResource]:
    clock = SystemClock()
    cameras = Cameras(InMemoryKeyValueStore(), clock)
    await cameras.create("cam-1", CameraDetails())
    async with BoundedExecutor("timelines", workers=1, queue=8) as threads:
        erasures = InMemoryKeyValueStore()
        records = FootageRecords(erasures)
        library = FootageLibrary(
            store=store, prober=AnyFile(), executor=threads, known=records, clock=clock
        )
        eraser = FootageEraser(
            store=store,
            library=library,
            sightings=NoSightings(),
            records=records,
            counts=FootageCounts(erasures),
            clock=clock,
        )
        yield FootageResource(
            uploads=FootageUploads(
                store=store,
                uploads=uploads,
                cameras=cameras,
                library=library,
                eraser=eraser,
                clock=clock,
                terms=IntakeTerms(timedelta(minutes=15), FOOTAGE_LIMIT),
            ),
            library=library,
            eraser=eraser,
            reporter=RetentionReporter(
                store=store,
                finder=library.finder,
                uploads=uploads,
                records=erasures,
                cameras=cameras,
                clock=clock,
                terms=RetentionTerms(FOOTAGE_LIMIT),
            ),
        )


@pytest.fixture
def sweep(
    resource: FootageResource, store: FootageStore, uploads: InMemoryKeyValueStore
) -> Callable[[], Awaitable[object]]:
    sweeper = FootageSweeper(
        store=store,
        eraser=resource.eraser,
        uploads=uploads,
        records=InMemoryKeyValueStore(),
        clock=SystemClock(),
        acts=InMemoryActs(),
        terms=RetentionTerms(FOOTAGE_LIMIT, FOOTAGE_LIMIT - swept_after(FOOTAGE_LIMIT)),
    )

    async def proceed() -> bool:
        return True

    return lambda: sweeper.sweep(proceed)


@pytest.fixture
def header() -> FootageHeader:
    begin = SystemClock().now() - timedelta(hours=2)
    return FootageHeader("cam-1", "a.mp4", begin, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


async def url_of(resource: FootageResource, header: FootageHeader) -> str:
    answer = await resource.uploads.upload_url("up-1", header)
    assert not isinstance(answer, Footage)
    return answer[0]


async def keys(store: FootageStore) -> list[str]:
    return [item.key for item in await store.objects("")]


def file_of(header: FootageHeader) -> str:
    return f"{footage_folder(header.footage_id)}original"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "COPIED_BYTES", PART)


async def test_a_file_that_came_by_url_is_admitted_whole_and_its_staging_key_is_empty(
    resource: FootageResource, store: FootageStore, put: Put, header: FootageHeader
) -> None:
    await put(await url_of(resource, header), CONTENT)
    assert await store.stat(file_of(header)) is None

    footage = await resource.uploads.complete_upload("up-1")

    assert await store.get(file_of(header)) == CONTENT
    assert await resource.library.get(footage.footage_id) == footage
    assert await store.objects("staging/") == []


async def test_who_has_the_url_cannot_write_over_the_recording(
    *,
    resource: FootageResource,
    store: FootageStore,
    put: Put,
    header: FootageHeader,
    sweep: Any,
) -> None:
    url = await url_of(resource, header)
    await put(url, CONTENT)
    footage = await resource.uploads.complete_upload("up-1")

    await put(url, OTHER)

    assert await store.get(file_of(header)) == CONTENT
    told = {one.name: one for one in (await resource.reporter.report()).held}
    assert told["unclaimed objects"].count == 1
    await sweep()
    assert await store.objects("staging/") == []
    assert await resource.library.get(footage.footage_id) == footage


async def test_who_has_the_url_cannot_put_a_recording_back_that_was_removed(
    *,
    resource: FootageResource,
    store: FootageStore,
    put: Put,
    header: FootageHeader,
    sweep: Any,
) -> None:
    url = await url_of(resource, header)
    await put(url, CONTENT)
    footage = await resource.uploads.complete_upload("up-1")
    await resource.eraser.delete(footage.footage_id)

    await put(url, CONTENT, **FAR_AHEAD)
    put_back = await keys(store)
    await sweep()

    assert [key.partition("/")[0] for key in put_back] == ["staging"]
    assert await keys(store) == []


async def test_a_file_that_is_written_over_while_it_is_admitted_is_refused(
    *,
    resource: FootageResource,
    store: Any,
    put: Put,
    header: FootageHeader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = await url_of(resource, header)
    await put(url, CONTENT)
    read = store.read

    async def meanwhile(key: str, offset: int, length: int) -> bytes:
        if offset:
            await put(url, OTHER)
        block: bytes = await read(key, offset, length)
        return block

    monkeypatch.setattr(store, "read", meanwhile)
    with pytest.raises(InvalidArgumentError) as refused:
        await resource.uploads.complete_upload("up-1")

    assert refused.value.reason is Reason.UPLOAD_DIGEST_MISMATCH
    assert await keys(store) == []


async def test_a_second_completion_writes_nothing_over_the_first(
    *,
    resource: FootageResource,
    store: Any,
    put: Put,
    header: FootageHeader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = await url_of(resource, header)
    await put(url, CONTENT)
    stat = store.stat
    first: list[Footage] = []

    async def meanwhile(key: str) -> Any:
        info = await stat(key)
        if key.startswith("staging/") and not first:
            monkeypatch.setattr(store, "stat", stat)
            first.append(await resource.uploads.complete_upload("up-1"))
            await put(url, OTHER)
        return info

    monkeypatch.setattr(store, "stat", meanwhile)
    with pytest.raises(Exception, match="no upload up-1 is under way"):
        await resource.uploads.complete_upload("up-1")

    assert await store.get(file_of(header)) == CONTENT
    assert await resource.library.get(first[0].footage_id) == first[0]


async def test_what_is_read_ends_with_the_object(store: FootageStore) -> None:
    await store.put("a", b"12345", content_type="text/plain")

    assert await store.read("a", 0, 3) == b"123"
    assert await store.read("a", 3, 10) == b"45"
    assert await store.read("a", 5, 10) == b""
    assert await store.read("b", 0, 10) == b""
