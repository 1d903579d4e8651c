"""What survives when a process dies in the middle of its work."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from homeward.api.ingestion.v1 import (
    footage_service_pb2,
    footage_service_pb2_grpc,
    scan_service_pb2,
    scan_service_pb2_grpc,
)

if TYPE_CHECKING:
    from .conftest import LiveStack, Street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

START = "2026-03-04T10:00:00Z"
CHUNK = 64 * 1024
PART = 8 * 1024 * 1024
PARTS = (
    "nats-server",
    "weed",
    "homeward.embedding",
    "homeward.matching",
    "homeward.ingestion",
    "homeward.ingestion.scanner",
)


@pytest.fixture(scope="module")
def shaken(new_module_stack: Callable[..., LiveStack], street: Street) -> LiveStack:
    """A stack with a person and a recording, that was searched in peace once."""
    stack = new_module_stack("shaken", embedded=True)
    stack.run("subject", "add", "--case", "FAULT", str(street.portraits[4]))
    stack.run("camera", "add", "street")
    stack.run("footage", "add", str(street.footage), "--camera", "street", "--start", START)
    stack.run("search")
    return stack


def sightings(stack: LiveStack) -> Any:
    return stack.run("sighting", "list", "--output", "json").json["sightings"]


@pytest.mark.parametrize("part", PARTS)
def test_a_scan_finishes_with_the_same_result_after_a_process_was_killed(
    shaken: LiveStack, part: str
) -> None:
    expected = sightings(shaken)
    with shaken.channel("ingestion") as channel:
        scan_id = create_scan(channel)
    shaken.wait_until_it_scans(scan_id)
    shaken.kill(part)
    code = shaken.wait_for_its_end()
    shaken.start()
    finished = shaken.run("scan", "watch", scan_id, "--output", "json").json
    assert code == 1
    assert finished["scan"]["state"] == "STATE_SUCCEEDED"
    assert finished["scan"]["coverage"]["searchedDuration"] == "37s"
    assert sightings(shaken) == expected


def create_scan(channel: grpc.Channel) -> str:
    stub = scan_service_pb2_grpc.ScanServiceStub(channel)
    scan_id: str = stub.CreateScan(scan_service_pb2.CreateScanRequest(), timeout=30).scan.scan_id
    return scan_id


def test_an_upload_resumes_after_the_service_was_killed(
    new_stack: Callable[[str], LiveStack], street: Street
) -> None:
    stack = new_stack("uploading")
    stack.run("camera", "add", "street")
    # Longer than one stored part, so that there is something to resume.
    data = street.footage.read_bytes() + bytes(20 * 1024 * 1024)
    header = footage_service_pb2.UploadHeader(
        request_id="resume-1",
        camera_id="street",
        file_name="long.mp4",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    header.start_time.FromJsonString(START)

    def half() -> Iterator[footage_service_pb2.UploadFootageRequest]:
        yield footage_service_pb2.UploadFootageRequest(header=header)
        for start in range(0, 12 * 1024 * 1024, CHUNK):
            yield footage_service_pb2.UploadFootageRequest(chunk=data[start : start + CHUNK])
        wait_until_stored(stack)
        stack.kill("homeward.ingestion")
        yield footage_service_pb2.UploadFootageRequest(chunk=data[:CHUNK])

    with stack.channel("ingestion") as channel:
        stub = footage_service_pb2_grpc.FootageServiceStub(channel)
        with pytest.raises(grpc.RpcError) as broken:
            stub.UploadFootage(half(), timeout=60)
    stack.wait_for_its_end()
    stack.start()
    with stack.channel("ingestion") as channel:
        stub = footage_service_pb2_grpc.FootageServiceStub(channel)
        committed = stub.GetUpload(
            footage_service_pb2.GetUploadRequest(request_id="resume-1"), timeout=30
        ).committed_size_bytes
        header.offset_bytes = committed
        answer = stub.UploadFootage(rest(header, data, committed), timeout=60)
    stack.stop()
    assert broken.value.code() is grpc.StatusCode.UNAVAILABLE
    assert committed == PART
    assert answer.footage.size_bytes == len(data)


def wait_until_stored(stack: LiveStack) -> None:
    """Return when the service has stored the first part; the client is ahead of it."""
    with stack.channel("ingestion") as channel:
        stub = footage_service_pb2_grpc.FootageServiceStub(channel)
        until = time.monotonic() + 30
        while stored(stub) < PART:
            assert time.monotonic() < until, "the first part was never stored"


def stored(stub: footage_service_pb2_grpc.FootageServiceStub) -> int:
    request = footage_service_pb2.GetUploadRequest(request_id="resume-1")
    try:
        return stub.GetUpload(request, timeout=5).committed_size_bytes
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return 0  # not begun yet


def rest(
    header: footage_service_pb2.UploadHeader, data: bytes, start: int
) -> Iterator[footage_service_pb2.UploadFootageRequest]:
    yield footage_service_pb2.UploadFootageRequest(header=header)
    for at in range(start, len(data), CHUNK):
        yield footage_service_pb2.UploadFootageRequest(chunk=data[at : at + CHUNK])
