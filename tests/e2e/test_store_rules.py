"""An object store that somebody set up to keep what is deleted, and a URL that lives too long."""

from __future__ import annotations

import hashlib
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from minio import Minio
from minio.versioningconfig import ENABLED, VersioningConfig

from homeward.api.ingestion.v1 import footage_service_pb2, footage_service_pb2_grpc

if TYPE_CHECKING:
    from .conftest import LiveStack, Street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

BUCKETS = ("homeward-footage", "homeward-subjects", "homeward-evidence")
PRECONDITION = 7
OVERDUE = 3


def held(store: Minio) -> list[str | None]:
    """Return the keys of all that the buckets hold, old versions and markers included."""
    return [
        item.object_name
        for bucket in BUCKETS
        for item in store.list_objects(bucket, recursive=True, include_version=True)
    ]


def put(url: str, data: bytes) -> None:
    request = urllib.request.Request(url, data=data, method="PUT")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).close()


def eventually(check: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Ask again and again until something is so."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)  # between two questions


def retention(stack: LiveStack) -> dict[str, Any]:
    """What `homeward retention` says of each kind of data."""
    told = stack.run("retention", "--output", "json").json
    return {one["name"]: one for one in told["footage"]["held"]}


def test_versions_keep_nobody_and_a_url_brings_nothing_back(
    new_stack: Callable[..., LiveStack], street: Street
) -> None:
    stack = new_stack("store-rules", HOMEWARD_SWEEP_INTERVAL_SECONDS="3600")
    stack.run("camera", "add", "street")
    stack.run("subject", "add", "--case", "ONE", str(street.portraits[4]))
    content = street.footage.read_bytes()
    header = footage_service_pb2.UploadHeader(
        request_id="by-url",
        camera_id="street",
        file_name="street.mp4",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    header.start_time.FromDatetime(datetime.now(UTC) - timedelta(hours=2))
    with stack.channel("ingestion") as channel:
        stub = footage_service_pb2_grpc.FootageServiceStub(channel)
        request = footage_service_pb2.CreateUploadUrlRequest(header=header)
        url = stub.CreateUploadUrl(request, timeout=30).url
        put(url, content)
        done = footage_service_pb2.CompleteUploadRequest(request_id="by-url")
        footage = stub.CompleteUpload(done, timeout=60).footage
    store = stack.object_store()

    # Whoever has the URL writes to it again, and the recording is as it was.
    put(url, b"something else")
    file = next(
        item.object_name
        for item in store.list_objects(BUCKETS[0], recursive=True)
        if str(item.object_name).endswith(f"{footage.footage_id}/original")
    )
    answer = store.get_object(BUCKETS[0], str(file))
    assert answer.data == content
    answer.release_conn()
    told = retention(stack)
    assert (told["unclaimed objects"]["count"], told["staged files"].get("count", "0")) == (
        "1",
        "0",
    )

    # Somebody turns versioning on, and who is closed and what is removed is in no version.
    for bucket in BUCKETS:
        store.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    (subject,) = stack.run("subject", "list", "--output", "json").json["subjects"]
    closed = stack.run("subject", "close", subject["subjectId"], "--yes", "--output", "json").json
    (photographs,) = [
        one for one in closed["certificate"]["entries"] if one["data"] == "reference photographs"
    ]
    assert photographs["outcome"] == "OUTCOME_PENDING"
    assert "1 versions were removed by their ids" in photographs["verification"]
    stack.run("footage", "rm", footage.footage_id, "--yes")
    assert [key for key in held(store) if not str(key).startswith("staging/")] == []

    # The next sweep clears what was put to the URL. Nobody is enrolled.
    stack.stop()
    stack.environment["HOMEWARD_SWEEP_INTERVAL_SECONDS"] = "2"
    stack.start()
    store = stack.object_store()
    eventually(lambda: held(store) == [], "nothing is left")
    portrait = str(street.portraits[0])
    refused = stack.run("subject", "add", "--case", "TWO", portrait, code=PRECONDITION)
    assert "versioning is on" in refused.err
    assert "versioning is on" in stack.run("retention", code=OVERDUE).err
    stack.stop()
