"""The ingestion service as its clients meet it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from homeward.api.common.v1 import types_pb2
from homeward.api.ingestion.v1 import (
    camera_pb2,
    camera_service_pb2,
    camera_service_pb2_grpc,
    footage_pb2,
    footage_service_pb2,
    footage_service_pb2_grpc,
    scan_pb2,
    scan_service_pb2,
    scan_service_pb2_grpc,
)
from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.core.rpc_errors import retry_seconds
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.footage.counts import FootageCounts, RetentionTerms
from homeward.ingestion.footage.erasure import FootageEraser
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.library import FootageLibrary
from homeward.ingestion.footage.manifests import decode_manifest
from homeward.ingestion.footage.media import Finding, FootageProblem, MediaInfo, Stretch, VideoTrack
from homeward.ingestion.footage.receiving import RETRY_SECONDS, LeastProgress
from homeward.ingestion.footage.records import FootageRecords
from homeward.ingestion.footage.report import RetentionReporter
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.timeline import KEY, VERSION, Examination, Timeline
from homeward.ingestion.footage.uploads import FootageUploads, IntakeTerms
from homeward.ingestion.scan.authorising import ScanAuthorising
from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.fold import fold
from homeward.ingestion.scan.incomparable import IncomparablePeople, IncomparablePerson
from homeward.ingestion.scan.model import (
    Candidate,
    Counts,
    GapReason,
    ScanState,
    Segment,
    Thoroughness,
)
from homeward.ingestion.scan.plan import RecordingsInScope, ScanPlanner
from homeward.ingestion.scan.records import StoredScanRecords
from homeward.ingestion.scan.resource import ScanResource
from homeward.ingestion.scan.scans import ScanLimits, Scans
from homeward.ingestion.scan.stretches import IncomparableStretches, StoredIncomparableTimes
from homeward.ingestion.scan.use_records import ScanPart, UseRecord, UseRecords
from homeward.ingestion.servicer import services
from homeward.servicekit import errors, wire
from homeward.servicekit.audit.acts import InMemoryActs
from homeward.servicekit.clients import open_channel, translate
from homeward.servicekit.executor import BoundedExecutor
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.server import GrpcServer
from required_fields import call_with_nothing, calls_with_required_fields

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
RECORDED = datetime(2026, 11, 20, 10, tzinfo=UTC)
CONTENT = b"a recording"
NO_SCAN = "7d4df2ef-6d44-4c02-9bf0-0e2b6d5b7f2e"
NO_FOOTAGE = "cam-1-20261120t100000000000z-0123456789abcdef"
LARGEST_CHUNK = 256 * 1024
TOO_LARGE = b"x" * (LARGEST_CHUNK + 1)


class Outside:
    """Clock, prober, matching service and work queue in one; each can be told to refuse."""

    def __init__(self) -> None:
        self.time = NOW
        self.probing: errors.DomainError | None = None
        self.matching: errors.DomainError | None = None
        self.held: dict[str, Candidate] = {}
        self.found = MediaInfo(
            VideoTrack("h264", 640, 360, 25, 1500, 30), timedelta(seconds=60), version=VERSION
        )

    def now(self) -> datetime:
        return self.time

    async def probe(self, url: str) -> Examination:
        del url
        if self.probing is not None:
            raise self.probing
        times = np.arange(1500, dtype=np.int64) * 40_000
        keys = np.where(np.arange(1500) % 50 == 0, KEY, 0).astype(np.uint8)
        return Examination(self.found, Timeline(times, times, times, times, times + 1, keys))

    async def require_searchable(self, subject_ids: Sequence[str]) -> None:
        del subject_ids
        if self.matching is not None:
            raise self.matching

    async def erase_footage_sightings(self, footage_id: str, *, received: Any) -> None:
        del footage_id, received
        if self.matching is not None:
            raise self.matching

    async def erase_scan_sightings(self, scan_id: str, *, subject_ids: Sequence[str]) -> bool:
        del scan_id, subject_ids
        if self.matching is not None:
            raise self.matching
        return True

    async def seal(self, part: ScanPart) -> UseRecord:
        return UseRecord(json.dumps(part.content).encode(), "a note", "a key")

    async def put(self, scan_id: str, *segments: Any) -> None:
        del scan_id, segments

    async def candidates(self, sighting_ids: Sequence[str]) -> list[Candidate]:
        return [self.held[one] for one in sighting_ids if one in self.held]


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
async def threads() -> AsyncIterator[BoundedExecutor]:
    async with BoundedExecutor("timelines", workers=1, queue=8) as threads:
        yield threads


@pytest.fixture
def terms() -> IntakeTerms:
    return IntakeTerms(timedelta(minutes=15), FOOTAGE_LIMIT)


@pytest.fixture
async def api(
    outside: Any, threads: BoundedExecutor, terms: IntakeTerms
) -> AsyncIterator[SimpleNamespace]:
    """The stubs of a server with one camera."""
    cameras = Cameras(InMemoryKeyValueStore(), outside)
    bucket = InMemoryFootageStore(lifecycle_days=29)
    uploads, erasures = InMemoryKeyValueStore(), InMemoryKeyValueStore()
    records = FootageRecords(erasures)
    library = FootageLibrary(
        store=bucket, prober=outside, executor=threads, known=records, clock=outside
    )
    eraser = FootageEraser(
        store=bucket,
        library=library,
        sightings=outside,
        records=records,
        counts=FootageCounts(erasures),
        clock=outside,
    )
    footage = FootageResource(
        uploads=FootageUploads(
            store=bucket,
            uploads=uploads,
            cameras=cameras,
            library=library,
            eraser=eraser,
            clock=outside,
            terms=terms,
        ),
        library=library,
        eraser=eraser,
        reporter=RetentionReporter(
            store=bucket,
            finder=library.finder,
            uploads=uploads,
            records=erasures,
            cameras=cameras,
            clock=outside,
            terms=RetentionTerms(FOOTAGE_LIMIT),
        ),
    )
    scan_records = InMemoryKeyValueStore()
    kept = StoredScanRecords(scan_records)
    scope = RecordingsInScope(library, cameras)
    planner = ScanPlanner(
        scans=kept,
        plans=outside,
        queue=outside,
        scope=scope,
        footage=library,
        clock=outside,
        segment_length=timedelta(seconds=30),
    )
    scans = Scans(
        records=kept,
        plans=outside,
        scope=scope,
        matcher=outside,
        clock=outside,
        limits=ScanLimits(scans=3, segments=1000),
    )
    times = StoredIncomparableTimes(bucket)
    server = GrpcServer(
        services(
            cameras=cameras,
            footage=footage,
            scans=ScanResource(
                scans,
                ScanAuthorising(
                    scans=scans, records=kept, sightings=outside, clock=outside, acts=InMemoryActs()
                ),
                IncomparableStretches(scans=scans, footage=library, times=times),
                UseRecords(scans=scans, records=kept, footage=library, sealer=outside),
            ),
        ),
        listen="localhost:0",
        checks={},
        grace_seconds=1,
    )
    await server.start()
    async with open_channel(f"localhost:{server.port}") as channel:
        stubs = SimpleNamespace(
            bucket=bucket,
            kept=kept,
            planner=planner,
            times=times,
            cameras=camera_service_pb2_grpc.CameraServiceStub(channel),
            footage=footage_service_pb2_grpc.FootageServiceStub(channel),
            scans=scan_service_pb2_grpc.ScanServiceStub(channel),
        )
        await stubs.cameras.CreateCamera(new_camera("cam-1"))
        yield stubs
    await server.stop()


def new_camera(camera_id: str, **fields: Any) -> camera_service_pb2.CreateCameraRequest:
    return camera_service_pb2.CreateCameraRequest(
        camera=camera_pb2.Camera(camera_id=camera_id, **fields)
    )


def header(content: bytes = CONTENT, **changes: Any) -> footage_service_pb2.UploadHeader:
    fields = {
        "request_id": "up-1",
        "camera_id": "cam-1",
        "file_name": "a.mp4",
        "start_time": wire.to_timestamp(RECORDED),
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return footage_service_pb2.UploadHeader(**{**fields, **changes})


def message(payload: bytes | footage_service_pb2.UploadHeader) -> Any:
    name = "chunk" if isinstance(payload, bytes) else "header"
    return footage_service_pb2.UploadFootageRequest(**{name: payload})  # type: ignore[arg-type]


async def upload(api: Any, *payloads: bytes | footage_service_pb2.UploadHeader) -> Any:
    """Upload what is given: by default, the recording."""
    return await api.footage.UploadFootage(
        iter([message(one) for one in payloads or (header(), CONTENT)])
    )


def another(**changes: Any) -> tuple[footage_service_pb2.UploadHeader, bytes]:
    """Return what another recording is uploaded with."""
    return header(b"other", request_id="up-2", **changes), b"other"


async def refusal(call: Any) -> tuple[grpc.StatusCode, errors.Reason]:
    """Return code and reason of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), translate(refused.value, "ingestion", "").reason


INVALID = (grpc.StatusCode.INVALID_ARGUMENT, errors.Reason.FIELD_INVALID)


@pytest.mark.parametrize(
    "method",
    calls_with_required_fields(
        camera_service_pb2.DESCRIPTOR, footage_service_pb2.DESCRIPTOR, scan_service_pb2.DESCRIPTOR
    ),
    ids=lambda method: method.full_name,
)
async def test_a_call_without_its_required_fields_is_refused(api: Any, method: Any) -> None:
    stubs = {
        "CameraService": api.cameras,
        "FootageService": api.footage,
        "ScanService": api.scans,
    }

    call = call_with_nothing(stubs[method.containing_service.name], method)

    assert await refusal(call) == INVALID


async def test_create_camera_registers_it(api: Any) -> None:
    answer = await api.cameras.CreateCamera(
        new_camera("cam-2", place="Station", latitude=1, longitude=2)
    )

    assert (answer.camera.camera_id, answer.camera.place) == ("cam-2", "Station")
    assert answer.camera.create_time == wire.to_timestamp(NOW)
    assert answer.camera.etag


@pytest.mark.parametrize(
    "request_",
    [
        new_camera(""),
        new_camera("Cam 1"),
        new_camera("-cam"),
        new_camera("x" * 64),
        new_camera("cam-2", latitude=91, longitude=0),
        new_camera("cam-2", latitude=51),
        new_camera("cam-2", place="x" * 201),
        new_camera("cam-2", clock_offset=timedelta(days=2)),
        new_camera("cam-2", pixel_aspect_ratio=0),
        new_camera("cam-2", pixel_aspect_ratio=0.24),
        new_camera("cam-2", pixel_aspect_ratio=4.1),
        new_camera("cam-2", pixel_aspect_ratio=float("nan")),
    ],
)
async def test_create_camera_refuses_fields_that_break_a_rule(api: Any, request_: Any) -> None:
    assert await refusal(api.cameras.CreateCamera(request_)) == INVALID


async def test_a_camera_keeps_the_shape_of_its_pixels(api: Any) -> None:
    made = await api.cameras.CreateCamera(new_camera("cam-2", pixel_aspect_ratio=2))
    changed = await api.cameras.UpdateCamera(
        change("cam-2", "pixel_aspect_ratio", pixel_aspect_ratio=0.25)
    )
    unset = await api.cameras.UpdateCamera(change("cam-2", "pixel_aspect_ratio"))

    assert (made.camera.pixel_aspect_ratio, changed.camera.pixel_aspect_ratio) == (2, 0.25)
    assert not unset.camera.HasField("pixel_aspect_ratio")


async def test_create_camera_refuses_an_id_that_is_taken(api: Any) -> None:
    assert await refusal(api.cameras.CreateCamera(new_camera("cam-1"))) == (
        grpc.StatusCode.ALREADY_EXISTS,
        errors.Reason.CAMERA_EXISTS,
    )


async def test_get_camera_reads_it(api: Any) -> None:
    answer = await api.cameras.GetCamera(camera_service_pb2.GetCameraRequest(camera_id="cam-1"))

    assert answer.camera.camera_id == "cam-1"


async def test_get_camera_knows_no_other(api: Any) -> None:
    call = api.cameras.GetCamera(camera_service_pb2.GetCameraRequest(camera_id="cam-9"))

    assert await refusal(call) == (
        grpc.StatusCode.NOT_FOUND,
        errors.Reason.CAMERA_NOT_FOUND,
    )


async def test_delete_camera_removes_one_without_recordings(api: Any) -> None:
    call = camera_service_pb2.DeleteCameraRequest(camera_id="cam-1")
    await upload(api)
    assert await refusal(api.cameras.DeleteCamera(call)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        errors.Reason.CAMERA_HAS_FOOTAGE,
    )
    held = (await api.footage.ListFootage(footage_service_pb2.ListFootageRequest())).footage
    await api.footage.DeleteFootage(
        footage_service_pb2.DeleteFootageRequest(footage_id=held[0].footage_id)
    )

    await api.cameras.DeleteCamera(call)

    assert await refusal(api.cameras.DeleteCamera(call)) == (
        grpc.StatusCode.NOT_FOUND,
        errors.Reason.CAMERA_NOT_FOUND,
    )


async def test_list_cameras_goes_page_by_page(api: Any) -> None:
    await api.cameras.CreateCamera(new_camera("cam-2"))
    first = await api.cameras.ListCameras(camera_service_pb2.ListCamerasRequest(page_size=1))
    second = await api.cameras.ListCameras(
        camera_service_pb2.ListCamerasRequest(page_size=1, page_token=first.next_page_token)
    )

    assert [one.camera_id for one in [*first.cameras, *second.cameras]] == ["cam-1", "cam-2"]
    assert second.next_page_token == ""


LISTS = {
    "cameras": ("ListCameras", camera_service_pb2.ListCamerasRequest),
    "footage": ("ListFootage", footage_service_pb2.ListFootageRequest),
    "scans": ("ListScans", scan_service_pb2.ListScansRequest),
}


@pytest.mark.parametrize("service", list(LISTS))
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"page_size": -1}, errors.Reason.FIELD_INVALID),
        ({"page_token": "made up"}, errors.Reason.PAGE_TOKEN_INVALID),
    ],
)
async def test_lists_refuse_pages_that_are_none(
    api: Any, service: str, fields: Any, reason: errors.Reason
) -> None:
    rpc, request = LISTS[service]

    call = getattr(getattr(api, service), rpc)(request(**fields))

    assert await refusal(call) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


@pytest.mark.parametrize("service", list(LISTS))
async def test_lists_answer_a_larger_page_than_there_is_with_the_largest(
    api: Any, service: str
) -> None:
    rpc, request = LISTS[service]

    answer = await getattr(getattr(api, service), rpc)(request(page_size=1001))

    assert answer.next_page_token == ""


def change(camera_id: str, *paths: str, **fields: Any) -> Any:
    return camera_service_pb2.UpdateCameraRequest(
        camera=camera_pb2.Camera(camera_id=camera_id, **fields), update_mask=FieldMask(paths=paths)
    )


async def test_update_camera_changes_what_the_mask_names(api: Any) -> None:
    answer = await api.cameras.UpdateCamera(
        change("cam-1", "place", place="Station", authority="left out")
    )

    assert (answer.camera.place, answer.camera.authority) == ("Station", "")


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (change("cam-1", place="x"), INVALID),
        (change("cam-1", "create_time"), INVALID),
        (change("cam-1", "place", place="x" * 201), INVALID),
        (
            change("cam-9", "place"),
            (grpc.StatusCode.NOT_FOUND, errors.Reason.CAMERA_NOT_FOUND),
        ),
        (
            change("cam-1", "place", etag="0"),
            (grpc.StatusCode.ABORTED, errors.Reason.ETAG_MISMATCH),
        ),
    ],
    ids=["no mask", "fixed field", "bad value", "unknown", "etag"],
)
async def test_update_camera_refuses(api: Any, request_: Any, refused: Any) -> None:
    assert await refusal(api.cameras.UpdateCamera(request_)) == refused


async def test_upload_footage_takes_a_recording_in(api: Any) -> None:
    answer = await upload(api, header(), CONTENT[:4], CONTENT[4:])

    footage = answer.footage
    assert not answer.already_held
    assert (footage.camera_id, footage.size_bytes) == ("cam-1", len(CONTENT))
    assert footage.end_time == wire.to_timestamp(RECORDED + timedelta(seconds=60))
    assert footage.delete_time == wire.to_timestamp(NOW + timedelta(days=31))
    assert footage.video.codec == "h264"


async def test_upload_footage_tells_what_is_odd_about_a_recording(
    api: Any, outside: Outside
) -> None:
    outside.found = replace(
        outside.found,
        problems=(FootageProblem.CLOCK_STEPPED, FootageProblem.PICTURES_MISSING),
        findings=(
            Finding(FootageProblem.CLOCK_STEPPED, "its clock is set anew"),
            Finding(FootageProblem.PICTURES_MISSING, "it has no pictures for 15 s"),
        ),
        holes=(Stretch(timedelta(seconds=20), timedelta(seconds=35)),),
        uncertain_from=timedelta(seconds=40),
    )

    footage = (await upload(api)).footage

    assert list(footage.problems) == [
        footage_pb2.FOOTAGE_PROBLEM_CLOCK_STEPPED,
        footage_pb2.FOOTAGE_PROBLEM_PICTURES_MISSING,
    ]
    assert [(one.problem, one.detail) for one in footage.findings] == [
        (footage_pb2.FOOTAGE_PROBLEM_CLOCK_STEPPED, "its clock is set anew"),
        (footage_pb2.FOOTAGE_PROBLEM_PICTURES_MISSING, "it has no pictures for 15 s"),
    ]
    assert footage.pictured_duration.ToTimedelta() == timedelta(seconds=45)
    assert footage.uncertain_from_offset.ToTimedelta() == timedelta(seconds=40)


async def test_of_a_recording_as_it_should_be_nothing_odd_is_told(api: Any) -> None:
    footage = (await upload(api)).footage

    assert (list(footage.problems), list(footage.findings)) == ([], [])
    assert footage.pictured_duration == footage.duration
    assert not footage.HasField("uncertain_from_offset")


@pytest.mark.parametrize("problem", list(FootageProblem))
async def test_every_problem_of_a_recording_has_a_name(
    api: Any, outside: Outside, problem: FootageProblem
) -> None:
    outside.found = replace(outside.found, problems=(problem,))

    (told,) = (await upload(api)).footage.problems

    assert footage_pb2.FootageProblem.Name(told) == f"FOOTAGE_PROBLEM_{problem.name}"


async def test_upload_footage_says_when_the_same_file_is_held(api: Any) -> None:
    first = await upload(api)

    again = await upload(api, header(request_id="up-2"), CONTENT)

    assert again.already_held
    assert again.footage == first.footage


@pytest.mark.parametrize(
    "payloads",
    [
        [CONTENT],
        [header(), header()],
        [header(), b""],
        [header(TOO_LARGE), TOO_LARGE],
        [header(request_id="")],
        [header(request_id="a b")],
        [header(camera_id="Cam 1")],
        [header(file_name="")],
        [header(file_name="folder/a.mp4")],
        [header(start_time=None)],
        [header(start_time=wire.to_timestamp(NOW + timedelta(seconds=1)))],
        [header(size_bytes=0)],
        [header(size_bytes=50 * 1024**3 + 1)],
        [header(sha256="A" * 64)],
    ],
    ids=[
        "header missing",
        "header twice",
        "empty chunk",
        "chunk too large",
        "no request id",
        "bad request id",
        "bad camera id",
        "no file name",
        "folder in file name",
        "no start",
        "future start",
        "empty file",
        "file too large",
        "bad digest",
    ],
)
async def test_upload_footage_refuses_messages_that_break_a_rule(api: Any, payloads: Any) -> None:
    assert await refusal(upload(api, *payloads)) == INVALID


async def test_upload_footage_takes_a_chunk_of_the_largest_size(api: Any) -> None:
    content = b"x" * LARGEST_CHUNK

    assert (await upload(api, header(content), content)).footage.size_bytes == LARGEST_CHUNK


async def test_upload_footage_refuses_a_call_without_messages(api: Any) -> None:
    assert await refusal(api.footage.UploadFootage(iter([]))) == INVALID


@pytest.mark.parametrize(
    ("payloads", "code", "reason"),
    [
        (
            [header(camera_id="cam-9")],
            grpc.StatusCode.NOT_FOUND,
            errors.Reason.CAMERA_NOT_FOUND,
        ),
        (
            [header(size_bytes=len(CONTENT) + 1), CONTENT],
            grpc.StatusCode.INVALID_ARGUMENT,
            errors.Reason.UPLOAD_SIZE_MISMATCH,
        ),
        (
            [header(size_bytes=len(CONTENT) - 1), CONTENT],
            grpc.StatusCode.INVALID_ARGUMENT,
            errors.Reason.UPLOAD_SIZE_MISMATCH,
        ),
        (
            [header(), CONTENT[::-1]],
            grpc.StatusCode.INVALID_ARGUMENT,
            errors.Reason.UPLOAD_DIGEST_MISMATCH,
        ),
        (
            [header(offset_bytes=5), CONTENT[5:]],
            grpc.StatusCode.ABORTED,
            errors.Reason.UPLOAD_OFFSET_MISMATCH,
        ),
        (
            [header(start_time=wire.to_timestamp(NOW - timedelta(minutes=1)))],
            grpc.StatusCode.FAILED_PRECONDITION,
            errors.Reason.FOOTAGE_TOO_RECENT,
        ),
    ],
    ids=["unknown camera", "too few bytes", "too many", "other bytes", "offset", "too recent"],
)
async def test_upload_footage_refuses(
    api: Any, payloads: Any, code: grpc.StatusCode, reason: errors.Reason
) -> None:
    assert await refusal(upload(api, *payloads)) == (code, reason)


async def test_upload_footage_refuses_the_same_file_of_elsewhere(api: Any) -> None:
    await upload(api)
    await api.cameras.CreateCamera(new_camera("cam-2"))

    call = upload(api, header(camera_id="cam-2", request_id="up-2"), CONTENT)

    assert await refusal(call) == (
        grpc.StatusCode.ALREADY_EXISTS,
        errors.Reason.FOOTAGE_EXISTS_ELSEWHERE,
    )


async def test_upload_footage_refuses_a_request_id_of_another_upload(api: Any) -> None:
    await refusal(upload(api, header(), CONTENT[:5]))

    assert await refusal(upload(api, header(b"other"), b"other")) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        errors.Reason.REQUEST_ID_REUSED,
    )


async def test_upload_footage_refuses_what_cannot_be_searched(api: Any, outside: Outside) -> None:
    outside.probing = errors.InvalidArgumentError("no", reason=errors.Reason.FOOTAGE_UNREADABLE)

    assert await refusal(upload(api)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        errors.Reason.FOOTAGE_UNREADABLE,
    )


async def test_upload_footage_says_which_component_does_not_answer(
    api: Any, outside: Outside
) -> None:
    outside.probing = errors.unavailable("S3", "somewhere", "start it")

    assert await refusal(upload(api)) == (
        grpc.StatusCode.UNAVAILABLE,
        errors.Reason.COMPONENT_UNAVAILABLE,
    )


@pytest.fixture
async def under_way(api: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SimpleNamespace]:
    """An upload that has begun, and goes on when the test says so."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    begin = api.bucket.begin_multipart

    async def tell(key: str) -> str:
        begun.set()
        return str(await begin(key))

    async def slowly() -> AsyncIterator[footage_service_pb2.UploadFootageRequest]:
        yield message(header())
        await go_on.wait()
        yield message(CONTENT)

    monkeypatch.setattr(api.bucket, "begin_multipart", tell)
    call = api.footage.UploadFootage(slowly())
    await begun.wait()
    yield SimpleNamespace(call=call, go_on=go_on)
    call.cancel()


async def of_another(content: bytes) -> AsyncIterator[footage_service_pb2.UploadFootageRequest]:
    """The header of another upload, and no more."""
    yield message(header(content, request_id="up-2"))
    await asyncio.Event().wait()


TWO_AT_ONCE = IntakeTerms(timedelta(minutes=15), FOOTAGE_LIMIT, concurrent_uploads=2)
ONE_AT_ONCE = IntakeTerms(timedelta(minutes=15), FOOTAGE_LIMIT, concurrent_uploads=1)
FULL = (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.Reason.QUEUE_FULL)


@pytest.mark.parametrize("terms", [ONE_AT_ONCE])
async def test_an_upload_over_the_limit_is_refused_and_told_when_to_try_again(
    api: Any, under_way: SimpleNamespace
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await api.footage.UploadFootage(of_another(b"other"))

    assert translate(refused.value, "ingestion", "").reason == errors.Reason.QUEUE_FULL
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry_seconds(refused.value) == RETRY_SECONDS
    under_way.go_on.set()
    assert (await under_way.call).footage.size_bytes == len(CONTENT)


@pytest.mark.parametrize("terms", [TWO_AT_ONCE])
async def test_as_many_uploads_as_the_limit_are_taken_at_once(
    api: Any, under_way: SimpleNamespace
) -> None:
    other = await upload(api, header(b"other", request_id="up-2"), b"other")

    under_way.go_on.set()
    assert other.footage.size_bytes == len(b"other")
    assert (await under_way.call).footage.size_bytes == len(CONTENT)


@pytest.mark.parametrize("terms", [ONE_AT_ONCE])
async def test_an_upload_that_has_ended_makes_room_for_the_next(api: Any) -> None:
    await refusal(upload(api, header(), CONTENT[:5]))

    other = await upload(api, header(b"other", request_id="up-2"), b"other")

    assert other.footage.size_bytes == len(b"other")


@pytest.mark.parametrize("terms", [ONE_AT_ONCE])
async def test_a_file_that_was_put_to_its_url_is_not_checked_over_the_limit(
    api: Any, under_way: SimpleNamespace
) -> None:
    await api.footage.CreateUploadUrl(by_url(request_id="up-2"))

    request = footage_service_pb2.CompleteUploadRequest(request_id="up-2")

    assert await refusal(api.footage.CompleteUpload(request)) == FULL
    assert not under_way.call.done()


@pytest.mark.parametrize(
    "terms",
    [
        IntakeTerms(
            timedelta(minutes=15),
            FOOTAGE_LIMIT,
            least_progress=LeastProgress(timedelta(milliseconds=50)),
        )
    ],
)
async def test_an_upload_of_which_nothing_comes_is_ended(
    under_way: SimpleNamespace,
) -> None:
    assert await refusal(under_way.call) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        errors.Reason.DEADLINE_EXCEEDED,
    )


@pytest.mark.parametrize(
    "terms",
    [
        IntakeTerms(
            timedelta(minutes=15),
            FOOTAGE_LIMIT,
            least_progress=LeastProgress(timedelta(milliseconds=50)),
        )
    ],
)
async def test_an_upload_that_never_begins_is_ended(api: Any) -> None:
    async def nothing() -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    assert await refusal(api.footage.UploadFootage(nothing())) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        errors.Reason.DEADLINE_EXCEEDED,
    )


async def test_get_upload_tells_how_far_it_has_come(api: Any) -> None:
    await refusal(upload(api, header(), CONTENT[:5]))

    answer = await api.footage.GetUpload(footage_service_pb2.GetUploadRequest(request_id="up-1"))

    assert answer.committed_size_bytes == 5
    resumed = await upload(api, header(offset_bytes=5), CONTENT[5:])
    assert resumed.footage.sha256 == hashlib.sha256(CONTENT).hexdigest()


def by_url(**changes: Any) -> Any:
    return footage_service_pb2.CreateUploadUrlRequest(header=header(**changes))


async def test_create_upload_url_gives_one_that_expires(api: Any) -> None:
    answer = await api.footage.CreateUploadUrl(by_url())

    assert answer.url
    assert answer.expire_time == wire.to_timestamp(NOW + timedelta(hours=6))
    assert not answer.HasField("existing_footage")


async def test_create_upload_url_gives_the_footage_that_is_held(api: Any) -> None:
    held = await upload(api)

    answer = await api.footage.CreateUploadUrl(by_url())

    assert (answer.url, answer.existing_footage) == ("", held.footage)


@pytest.mark.parametrize(
    "request_",
    [
        footage_service_pb2.CreateUploadUrlRequest(),
        by_url(offset_bytes=1),
        by_url(size_bytes=5 * 1024**3 + 1),
    ],
)
async def test_create_upload_url_refuses_headers_that_break_a_rule(api: Any, request_: Any) -> None:
    assert await refusal(api.footage.CreateUploadUrl(request_)) == INVALID


@pytest.mark.parametrize(
    ("request_id", "refused"),
    [
        ("", INVALID),
        ("up-9", (grpc.StatusCode.NOT_FOUND, errors.Reason.UPLOAD_NOT_FOUND)),
    ],
)
@pytest.mark.parametrize("rpc", ["GetUpload", "CompleteUpload"])
async def test_an_upload_that_is_not_under_way_is_not_found(
    api: Any, rpc: str, request_id: str, refused: Any
) -> None:
    request = getattr(footage_service_pb2, f"{rpc}Request")(request_id=request_id)

    assert await refusal(getattr(api.footage, rpc)(request)) == refused


async def test_complete_upload_makes_footage_of_what_was_put(api: Any) -> None:
    url = (await api.footage.CreateUploadUrl(by_url())).url
    key = url.removeprefix("memory:///").partition("?")[0]
    await api.bucket.put(key, CONTENT, content_type="application/octet-stream")

    answer = await api.footage.CompleteUpload(
        footage_service_pb2.CompleteUploadRequest(request_id="up-1")
    )

    assert answer.footage.sha256 == hashlib.sha256(CONTENT).hexdigest()
    again = await api.footage.CompleteUpload(
        footage_service_pb2.CompleteUploadRequest(request_id="up-1")
    )
    assert again == answer


async def test_complete_upload_refuses_a_file_that_did_not_come(api: Any) -> None:
    await api.footage.CreateUploadUrl(by_url())

    call = api.footage.CompleteUpload(footage_service_pb2.CompleteUploadRequest(request_id="up-1"))

    assert await refusal(call) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        errors.Reason.UPLOAD_SIZE_MISMATCH,
    )


async def test_get_footage_reads_it_until_its_deadline(api: Any, outside: Outside) -> None:
    footage = (await upload(api)).footage
    request = footage_service_pb2.GetFootageRequest(footage_id=footage.footage_id)

    assert (await api.footage.GetFootage(request)).footage == footage
    outside.time += timedelta(days=31)
    assert await refusal(api.footage.GetFootage(request)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        errors.Reason.FOOTAGE_EXPIRED,
    )


@pytest.mark.parametrize(
    ("footage_id", "refused"),
    [
        ("", INVALID),
        ("../etc", INVALID),
        (NO_FOOTAGE, (grpc.StatusCode.NOT_FOUND, errors.Reason.FOOTAGE_NOT_FOUND)),
    ],
)
@pytest.mark.parametrize("rpc", ["GetFootage", "DeleteFootage"])
async def test_footage_that_is_not_there_is_not_found(
    api: Any, rpc: str, footage_id: str, refused: Any
) -> None:
    request = getattr(footage_service_pb2, f"{rpc}Request")(footage_id=footage_id)

    assert await refusal(getattr(api.footage, rpc)(request)) == refused


async def test_list_footage_lists_what_overlaps(api: Any) -> None:
    footage = (await upload(api)).footage
    interval = wire.to_interval(RECORDED + timedelta(seconds=59), None)

    answer = await api.footage.ListFootage(
        footage_service_pb2.ListFootageRequest(camera_ids=["cam-1"], interval=interval)
    )

    assert list(answer.footage) == [footage]


async def test_list_footage_goes_on_where_the_page_before_ended(api: Any) -> None:
    await api.cameras.CreateCamera(new_camera("cam-2"))
    first = (await upload(api)).footage
    second = (await upload(api, *another(camera_id="cam-2"))).footage

    page = await api.footage.ListFootage(footage_service_pb2.ListFootageRequest(page_size=1))
    rest = await api.footage.ListFootage(
        footage_service_pb2.ListFootageRequest(page_size=1, page_token=page.next_page_token)
    )

    assert [list(page.footage), list(rest.footage)] == [[first], [second]]
    assert rest.next_page_token == ""


async def test_list_footage_takes_a_token_for_the_same_request_alone(api: Any) -> None:
    await upload(api)
    await upload(api, *another(start_time=wire.to_timestamp(RECORDED + timedelta(hours=1))))
    page = await api.footage.ListFootage(footage_service_pb2.ListFootageRequest(page_size=1))

    call = api.footage.ListFootage(
        footage_service_pb2.ListFootageRequest(
            camera_ids=["cam-1"], page_token=page.next_page_token
        )
    )

    assert await refusal(call) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        errors.Reason.PAGE_TOKEN_INVALID,
    )


async def test_list_footage_refuses_an_interval_that_ends_before_it_starts(api: Any) -> None:
    stamp = wire.to_timestamp(RECORDED)
    interval = types_pb2.TimeInterval(start_time=stamp, end_time=stamp)

    call = api.footage.ListFootage(footage_service_pb2.ListFootageRequest(interval=interval))

    assert await refusal(call) == INVALID


async def test_delete_footage_removes_it(api: Any) -> None:
    footage_id = (await upload(api)).footage.footage_id

    await api.footage.DeleteFootage(footage_service_pb2.DeleteFootageRequest(footage_id=footage_id))

    listed = await api.footage.ListFootage(footage_service_pb2.ListFootageRequest())
    assert list(listed.footage) == []


async def test_delete_footage_waits_for_matching(api: Any, outside: Outside) -> None:
    footage_id = (await upload(api)).footage.footage_id
    outside.matching = errors.unavailable("matching", "somewhere", "start it")
    request = footage_service_pb2.DeleteFootageRequest(footage_id=footage_id)

    assert await refusal(api.footage.DeleteFootage(request)) == (
        grpc.StatusCode.UNAVAILABLE,
        errors.Reason.COMPONENT_UNAVAILABLE,
    )


async def test_get_retention_report_counts_what_is_held(api: Any) -> None:
    await upload(api)

    report = await api.footage.GetRetentionReport(footage_service_pb2.GetRetentionReportRequest())

    assert (report.footage_count, report.footage_size_bytes) == (1, len(CONTENT))
    assert report.oldest_receive_time == report.report_time == wire.to_timestamp(NOW)
    assert report.lifecycle_days == 29
    assert not report.HasField("count_time")  # no sweep has come yet: it counted all of it itself


async def test_get_retention_report_counts_what_was_removed(api: Any) -> None:
    footage_id = (await upload(api)).footage.footage_id
    await api.footage.DeleteFootage(footage_service_pb2.DeleteFootageRequest(footage_id=footage_id))

    report = await api.footage.GetRetentionReport(footage_service_pb2.GetRetentionReportRequest())

    assert (report.footage_count, report.erased_count, report.erased_by_store_count) == (0, 1, 0)
    assert [one.footage_id for one in report.erasures] == [footage_id]


async def new_scan(api: Any, request_id: str = "", **scope: Any) -> Any:
    request = scan_service_pb2.CreateScanRequest(
        request_id=request_id, scope=scan_pb2.ScanScope(**scope)
    )
    return (await api.scans.CreateScan(request)).scan


async def planned_scan(api: Any, **scope: Any) -> Any:
    """Create a scan, and return it as it is once it is planned."""
    scan_id = (await new_scan(api, **scope)).scan_id
    while await api.planner.step(scan_id) is not None:
        pass
    return (await api.scans.GetScan(scan_service_pb2.GetScanRequest(scan_id=scan_id))).scan


async def segments_of(api: Any, scan_id: str) -> list[Segment]:
    (recording,) = await api.kept.recordings(scan_id, most=1)
    return [recording.segment(number) for number in range(len(recording.pieces))]


async def keep(api: Any, scan_id: str, *segments: Segment) -> None:
    """Keep segments that have ended."""
    await asyncio.gather(*(api.kept.save_segment(scan_id, one) for one in segments))
    await fold(api.kept, scan_id)


async def test_create_scan_answers_before_it_is_planned(api: Any) -> None:
    await upload(api)

    scan = await new_scan(api, camera_ids=["cam-1"])

    assert scan.state == scan_pb2.Scan.STATE_PENDING
    assert (scan.progress.planning, scan.progress.segment_count) == (True, 0)
    assert list(scan.scope.camera_ids) == ["cam-1"]


async def test_a_planned_scan_tells_what_is_asked_for(api: Any) -> None:
    await upload(api)

    scan = await planned_scan(api, camera_ids=["cam-1"])

    assert scan.state == scan_pb2.Scan.STATE_PENDING
    assert (scan.progress.planning, scan.progress.segment_count) == (False, 2)
    assert scan.coverage.requested_duration.ToTimedelta() == timedelta(seconds=60)


async def test_create_scan_refuses_more_than_may_be_under_way(api: Any) -> None:
    await upload(api)
    for _ in range(3):
        await new_scan(api)

    assert await refusal(new_scan(api)) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.Reason.SCAN_LIMIT,
    )


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        ({"subject_ids": ["nobody"]}, INVALID),
        ({"camera_ids": ["Cam 1"]}, INVALID),
        ({"camera_ids": ["cam-1"] * 1001}, INVALID),
        ({"include_rejected": True}, INVALID),
        ({"footage_ids": ["a"]}, INVALID),
        ({"interval": wire.to_interval(NOW, RECORDED)}, INVALID),
        ({"camera_ids": ["cam-9"]}, (grpc.StatusCode.NOT_FOUND, errors.Reason.CAMERA_NOT_FOUND)),
        (
            {"footage_ids": [NO_FOOTAGE]},
            (grpc.StatusCode.NOT_FOUND, errors.Reason.FOOTAGE_NOT_FOUND),
        ),
        (
            {"interval": wire.to_interval(NOW, None)},
            (grpc.StatusCode.FAILED_PRECONDITION, errors.Reason.SCAN_SCOPE_EMPTY),
        ),
    ],
)
async def test_create_scan_refuses(api: Any, scope: Any, refused: Any) -> None:
    await upload(api)

    assert await refusal(new_scan(api, **scope)) == refused


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (errors.NotFoundError, errors.Reason.SUBJECT_NOT_FOUND, grpc.StatusCode.NOT_FOUND),
        (
            errors.FailedPreconditionError,
            errors.Reason.SUBJECT_CLOSED,
            grpc.StatusCode.FAILED_PRECONDITION,
        ),
        (
            errors.FailedPreconditionError,
            errors.Reason.NO_OPEN_SUBJECTS,
            grpc.StatusCode.FAILED_PRECONDITION,
        ),
        (
            errors.FailedPreconditionError,
            errors.Reason.POLICY_NOT_APPROVED,
            grpc.StatusCode.FAILED_PRECONDITION,
        ),
    ],
)
async def test_create_scan_passes_on_what_matching_refuses(
    api: Any,
    outside: Outside,
    error: type[errors.DomainError],
    reason: errors.Reason,
    code: grpc.StatusCode,
) -> None:
    await upload(api)
    outside.matching = error("no", reason=reason)

    assert await refusal(new_scan(api)) == (code, reason)


async def test_create_scan_keeps_that_it_looks_again_where_sightings_were_rejected(
    api: Any,
) -> None:
    await upload(api)
    scope = {"subject_ids": [str(uuid.uuid4())], "include_rejected": True}

    scan = await new_scan(api, **scope)

    request = scan_service_pb2.GetScanRequest(scan_id=scan.scan_id)
    held = (await api.scans.GetScan(request)).scan
    assert held.scope == scan_pb2.ScanScope(**scope)


async def test_create_scan_refuses_a_request_id_of_another_scope(api: Any) -> None:
    await upload(api)
    await new_scan(api, "scan-1")

    assert await refusal(new_scan(api, "scan-1", camera_ids=["cam-1"])) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        errors.Reason.REQUEST_ID_REUSED,
    )


async def test_get_scan_and_list_scans_tell_the_same(api: Any) -> None:
    await upload(api)
    scan = await new_scan(api)

    read = await api.scans.GetScan(scan_service_pb2.GetScanRequest(scan_id=scan.scan_id))
    listed = await api.scans.ListScans(scan_service_pb2.ListScansRequest())

    assert read.scan == scan
    assert list(listed.scans) == [scan]


async def test_scans_are_listed_by_state_over_pages(api: Any) -> None:
    await upload(api)
    scans = []
    for number in range(3):
        scans.append(await new_scan(api, f"scan-{number}"))
        await api.scans.CancelScan(scan_service_pb2.CancelScanRequest(scan_id=scans[-1].scan_id))
    scans.append(await new_scan(api, "scan-3"))
    request = scan_service_pb2.ListScansRequest(states=[scan_pb2.Scan.STATE_CANCELLED], page_size=2)

    first = await api.scans.ListScans(request)
    request.page_token = first.next_page_token
    second = await api.scans.ListScans(request)
    request.page_token, request.states[:] = "", [scan_pb2.Scan.STATE_PENDING]
    pending = await api.scans.ListScans(request)

    assert (len(first.scans), len(second.scans), second.next_page_token) == (2, 1, "")
    listed = {one.scan_id for one in (*first.scans, *second.scans)}
    assert listed == {one.scan_id for one in scans[:3]}
    assert [one.scan_id for one in pending.scans] == [scans[3].scan_id]


@pytest.mark.parametrize("state", [0, 99])
async def test_list_scans_refuses_what_is_no_state(api: Any, state: int) -> None:
    request = scan_service_pb2.ListScansRequest(states=[scan_pb2.Scan.STATE_PENDING, state])

    assert await refusal(api.scans.ListScans(request)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        errors.Reason.FIELD_INVALID,
    )


async def test_cancel_scan_ends_it_once(api: Any) -> None:
    await upload(api)
    scan_id = (await planned_scan(api)).scan_id
    request = scan_service_pb2.CancelScanRequest(scan_id=scan_id)

    cancelled = (await api.scans.CancelScan(request)).scan
    read = await api.scans.GetScan(scan_service_pb2.GetScanRequest(scan_id=scan_id))

    assert cancelled.state == scan_pb2.Scan.STATE_CANCELLED
    # Its two segments follow each other: they are one gap.
    assert [(gap.reason, gap.interval) for gap in read.scan.coverage.gaps] == [
        (
            scan_pb2.COVERAGE_GAP_REASON_CANCELLED,
            wire.to_interval(RECORDED, RECORDED + timedelta(seconds=60)),
        )
    ]
    assert await refusal(api.scans.CancelScan(request)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        errors.Reason.SCAN_ENDED,
    )


async def test_a_scan_of_an_interval_asks_for_that_much(api: Any) -> None:
    await upload(api)
    interval = wire.to_interval(RECORDED + timedelta(seconds=20), RECORDED + timedelta(seconds=35))

    scan = await planned_scan(api, interval=interval)

    assert scan.progress.segment_count == 2
    assert scan.coverage.requested_duration.ToTimedelta() == timedelta(seconds=15)


async def test_a_scan_tells_what_was_looked_at_passed_over_and_neither(api: Any) -> None:
    await upload(api)
    scan = await planned_scan(api)
    first, second = await segments_of(api, scan.scan_id)
    lost = Stretch(timedelta(seconds=50), timedelta(seconds=60))
    done = [
        replace(first, looked_at=timedelta(seconds=10), passed_over=timedelta(seconds=20)),
        replace(
            second,
            looked_at=timedelta(seconds=20),
            gaps=(second.gap_over(lost, GapReason.NO_PICTURES, "none there"),),
        ),
    ]
    how = {"state": ScanState.SUCCEEDED, "thoroughness": Thoroughness.GATED}
    await keep(api, scan.scan_id, *(replace(one, **how) for one in done))

    request = scan_service_pb2.GetScanRequest(scan_id=scan.scan_id)
    coverage = (await api.scans.GetScan(request)).scan.coverage

    assert coverage.searched_duration.ToTimedelta() == timedelta(seconds=50)
    assert coverage.looked_at_duration.ToTimedelta() == timedelta(seconds=30)
    assert coverage.passed_over_duration.ToTimedelta() == timedelta(seconds=20)
    (gap,) = coverage.gaps
    assert gap.reason == scan_pb2.COVERAGE_GAP_REASON_NO_PICTURES
    (effort,) = coverage.footage_efforts
    assert effort.decoded_duration.ToTimedelta() == timedelta(seconds=30)
    assert effort.passed_over_duration.ToTimedelta() == timedelta(seconds=20)
    assert list(effort.thoroughness) == [scan_pb2.THOROUGHNESS_GATED]


async def test_watch_scan_tells_candidates_as_matching_has_them(api: Any, outside: Outside) -> None:
    await upload(api)
    scan_id = (await planned_scan(api)).scan_id
    first, second = await segments_of(api, scan_id)
    names = [str(uuid.uuid4()) for _ in range(2)]
    subject_id = str(uuid.uuid4())
    outside.held[names[0]] = Candidate(
        sighting_id=names[0],
        subject_id=subject_id,
        camera_id="cam-1",
        footage_id=first.footage_id,
        start_time=RECORDED,
        end_time=RECORDED + timedelta(seconds=3),
        score=0.75,
        threshold=0.5,
    )
    ended = {"state": ScanState.SUCCEEDED, "looked_at": first.duration}
    await keep(
        api, scan_id, replace(first, **ended, sighting_ids=tuple(names)), replace(second, **ended)
    )

    watch = api.scans.WatchScan(scan_service_pb2.WatchScanRequest(scan_id=scan_id))
    updates = [update async for update in watch]

    assert [update.WhichOneof("update") for update in updates] == ["candidate", "scan"]
    candidate, scan = updates[0].candidate, updates[1].scan
    assert (candidate.sighting_id, candidate.subject_id, candidate.score) == (
        names[0],
        subject_id,
        0.75,
    )
    # The other one was erased meanwhile: the scan tells that there was one, and no more.
    assert scan.progress.candidate_count == 2
    assert scan.state == scan_pb2.Scan.STATE_SUCCEEDED


async def test_watch_scan_ends_with_the_scan(api: Any) -> None:
    await upload(api)
    scan_id = (await new_scan(api)).scan_id
    watch = api.scans.WatchScan(scan_service_pb2.WatchScanRequest(scan_id=scan_id))
    updates = aiter(watch)
    first = await anext(updates)

    await api.scans.CancelScan(scan_service_pb2.CancelScanRequest(scan_id=scan_id))
    rest = [update.scan.state async for update in updates]

    assert first.scan.state == scan_pb2.Scan.STATE_PENDING
    assert rest[-1] == scan_pb2.Scan.STATE_CANCELLED


UNKNOWN_SCAN = (grpc.StatusCode.NOT_FOUND, errors.Reason.SCAN_NOT_FOUND)


@pytest.mark.parametrize(
    ("scan_id", "refused"), [("", INVALID), ("a scan", INVALID), (NO_SCAN, UNKNOWN_SCAN)]
)
@pytest.mark.parametrize("rpc", ["GetScan", "CancelScan", "ListIncomparableStretches"])
async def test_a_scan_that_is_not_there_is_not_found(
    api: Any, rpc: str, scan_id: str, refused: Any
) -> None:
    request = getattr(scan_service_pb2, f"{rpc}Request")(scan_id=scan_id)

    assert await refusal(getattr(api.scans, rpc)(request)) == refused


@pytest.mark.parametrize(
    ("scan_id", "refused"), [("", INVALID), ("a scan", INVALID), (NO_SCAN, UNKNOWN_SCAN)]
)
async def test_a_scan_that_is_not_there_is_not_watched(
    api: Any, scan_id: str, refused: Any
) -> None:
    watch = api.scans.WatchScan(scan_service_pb2.WatchScanRequest(scan_id=scan_id))

    assert await refusal(watch.read()) == refused


async def searched_with_somebody_too_small(api: Any, *, times: bool = True) -> str:
    """Return a scan of two segments, in each of which two people could not be compared."""
    scan_id: str = (await planned_scan(api)).scan_id
    for segment in await segments_of(api, scan_id):
        counts = Counts(
            incomparable=2, sizes=FaceSizes.of([17.2, 40]) + FaceSizes(unclear=1), appearances=0
        )
        done = replace(
            segment, state=ScanState.SUCCEEDED, looked_at=segment.duration, counts=counts
        )
        await keep(api, scan_id, done)
        if times:
            people = tuple(
                IncomparablePerson(
                    segment.start + timedelta(seconds=start),
                    segment.start + timedelta(seconds=start + 2),
                    too_small=small,
                )
                for start, small in ((10, True), (20, False))
            )
            stored = await api.bucket.get(FootageLayout(segment.footage_id).manifest)
            await api.times.keep(
                decode_manifest(stored),
                IncomparablePeople(scan_id, segment.stretch, people),
            )
    return scan_id


def stretches_of(scan_id: str, **page: Any) -> Any:
    return scan_service_pb2.ListIncomparableStretchesRequest(scan_id=scan_id, **page)


async def test_a_scan_tells_how_wide_faces_were(api: Any) -> None:
    await upload(api)
    scan_id = await searched_with_somebody_too_small(api)

    read = await api.scans.GetScan(scan_service_pb2.GetScanRequest(scan_id=scan_id))

    coverage = read.scan.coverage
    assert coverage.face_sizes == scan_pb2.FaceSizes(
        least_width_px=24,
        appearance_count=4,
        too_small_appearance_count=2,
        unclear_appearance_count=2,
        median_width_px=17,
        width_counts=[
            scan_pb2.FaceWidthCount(width_px=17, appearance_count=2),
            scan_pb2.FaceWidthCount(width_px=40, appearance_count=2),
        ],
    )
    (camera,) = coverage.camera_face_sizes
    assert (camera.camera_id, camera.face_sizes) == ("cam-1", coverage.face_sizes)


async def test_a_scan_that_saw_nobody_has_no_sizes(api: Any) -> None:
    await upload(api)

    coverage = (await planned_scan(api)).coverage

    assert not coverage.HasField("face_sizes")
    assert not coverage.camera_face_sizes


async def test_list_incomparable_stretches_goes_page_by_page(api: Any) -> None:
    footage = (await upload(api)).footage
    scan_id = await searched_with_somebody_too_small(api)

    first = await api.scans.ListIncomparableStretches(stretches_of(scan_id, page_size=3))
    last = await api.scans.ListIncomparableStretches(
        stretches_of(scan_id, page_size=3, page_token=first.next_page_token)
    )

    listed = [*first.incomparable_stretches, *last.incomparable_stretches]
    assert [one.start_offset.seconds for one in listed] == [10, 20, 40, 50]
    assert listed[1] == scan_pb2.IncomparableStretch(
        camera_id="cam-1",
        footage_id=footage.footage_id,
        file_name=footage.file_name,
        interval=wire.to_interval(
            RECORDED + timedelta(seconds=20), RECORDED + timedelta(seconds=22)
        ),
        start_offset=wire.to_duration(timedelta(seconds=20)),
        end_offset=wire.to_duration(timedelta(seconds=22)),
        peak_person_count=1,
        appearance_count=1,
    )
    assert (last.next_page_token, list(first.unlisted_footage)) == ("", [])


async def test_what_is_past_its_deadline_is_not_listed_and_that_is_told_once(
    api: Any, outside: Outside
) -> None:
    footage = (await upload(api)).footage
    scan_id = await searched_with_somebody_too_small(api)
    outside.time = NOW + FOOTAGE_LIMIT

    told = await api.scans.ListIncomparableStretches(stretches_of(scan_id))

    assert not told.incomparable_stretches
    assert list(told.unlisted_footage) == [
        scan_pb2.UnlistedFootage(
            footage_id=footage.footage_id,
            reason=scan_pb2.UNLISTED_REASON_FOOTAGE_GONE,
            appearance_count=4,
        )
    ]


async def test_times_that_are_not_kept_are_told_of(api: Any) -> None:
    await upload(api)
    scan_id = await searched_with_somebody_too_small(api, times=False)

    told = await api.scans.ListIncomparableStretches(stretches_of(scan_id))

    (unlisted,) = told.unlisted_footage
    assert unlisted.reason == scan_pb2.UNLISTED_REASON_TIMES_GONE


@pytest.mark.parametrize(
    ("page", "refused"),
    [
        ({"page_size": -1}, INVALID),
        (
            {"page_token": "another"},
            (grpc.StatusCode.INVALID_ARGUMENT, errors.Reason.PAGE_TOKEN_INVALID),
        ),
    ],
)
async def test_list_incomparable_stretches_refuses_pages_that_are_none(
    api: Any, page: Any, refused: Any
) -> None:
    await upload(api)
    scan_id = (await new_scan(api)).scan_id

    call = api.scans.ListIncomparableStretches(stretches_of(scan_id, **page))

    assert await refusal(call) == refused


async def test_a_page_of_stretches_is_of_one_scan(api: Any) -> None:
    await upload(api)
    scan_id, other = [await searched_with_somebody_too_small(api) for _ in range(2)]
    first = await api.scans.ListIncomparableStretches(stretches_of(scan_id, page_size=1))

    call = api.scans.ListIncomparableStretches(
        stretches_of(other, page_size=1, page_token=first.next_page_token)
    )

    assert await refusal(call) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        errors.Reason.PAGE_TOKEN_INVALID,
    )
