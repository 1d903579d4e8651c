"""What survives when a process dies in the middle of its work."""

from __future__ import annotations

import hashlib
import re
import shutil
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

COMMAND_SECONDS = 90.0
START = "2026-03-04T10:00:00Z"
CHUNK = 64 * 1024
HANG_TOLD_SECONDS = 20.0
"""Of which it waits for 8, and the rest is for a machine that has other work."""
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


def test_everybody_is_found_again_after_the_vector_store_has_lost_everything(
    shaken: LiveStack,
) -> None:
    expected = sightings(shaken)
    shaken.stop()
    shutil.rmtree(shaken.data / "qdrant")
    shaken.start()

    told = shaken.run("subject", "rebuild", "--output", "json").json["rebuild"]
    shaken.run("search")

    # Perhaps the first sweep was faster.
    assert (told["stage"], told.get("totalPhotoCount", "0")) in {
        ("STAGE_DONE", "0"),
        ("STAGE_DONE", "1"),
    }
    found = [(one["sightingId"], one["score"]) for one in sightings(shaken)]
    assert found == [(one["sightingId"], one["score"]) for one in expected]
    assert found
    assert shaken.run("retention").code == 0


@pytest.mark.parametrize(
    ("program", "engine"),
    [("nats-server", "nats"), ("weed", "s3"), ("homeward.matching", "matching")],
)
def test_whoever_comes_after_a_part_has_died_is_told_which_and_when(
    shaken: LiveStack, program: str, engine: str
) -> None:
    shaken.kill(program)
    shaken.wait_for_its_end()

    told = shaken.run("subject", "list", code=8).err

    shaken.start()
    assert "no Homeward stack runs on" in told
    assert re.search(
        rf"it ended at 20\S+, because {engine} was ended by SIGKILL; its log is ", told
    )


def test_enrolment_says_within_seconds_that_the_embedding_service_hangs(
    shaken: LiveStack, street: Street
) -> None:
    with shaken.stopped("homeward.embedding"):
        began = time.monotonic()
        photo = str(street.portraits[0])
        told = shaken.run("subject", "add", "--case", "HUNG", photo, code=8).err
        took = time.monotonic() - began

    assert re.search(r"embedding does not answer at \S+ since 20.*: it hangs", told)
    assert took < HANG_TOLD_SECONDS
    assert "HUNG" not in shaken.run("subject", "list").out


def test_a_search_says_what_it_waits_for_and_goes_on_when_that_is_back(shaken: LiveStack) -> None:
    with shaken.channel("ingestion") as channel:
        scan_id = create_scan(channel)
    with shaken.stopped("homeward.embedding"):
        searching = shaken.begin("scan", "watch", scan_id)
        assert searching.stderr is not None
        said = next(line for line in searching.stderr if line.startswith("Waiting since 20"))
    out, rest = searching.communicate(timeout=COMMAND_SECONDS)

    assert "embedding does not answer at 127.0.0.1:" in said
    assert "The search goes on." in rest
    assert "37.0s searched of 37.0s" in out
    assert searching.returncode == 0


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
