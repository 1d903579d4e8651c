"""The calls whose cost `growth.py` measures, through the API alone."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
from growth_stack import FIRST_DAY, MODEL_DAY, Cost, CountedStack, camera_id, code_of

from homeward.api.common.v1 import types_pb2
from homeward.api.embedding.v1 import embedding_service_pb2
from homeward.api.embedding.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from homeward.api.ingestion.v1 import (
    camera_pb2,
    camera_service_pb2,
    footage_service_pb2,
    scan_pb2,
    scan_service_pb2,
)
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub
from homeward.api.matching.v1 import matching_service_pb2, subject_pb2, subject_service_pb2
from homeward.api.matching.v1.matching_service_pb2_grpc import MatchingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.embedded import demo
from homeward.embedded.demo_footage import pixels, reference_photo

DEADLINE_SECONDS = 300.0
"""Of a call: more than twice the longest that the command line has, so that a call that is too slow
shows how slow it is."""

PLAN_SECONDS = 3600.0
"""Until a scan is planned: 720,000 segments took 23 minutes."""
PAGE_SIZE = 50
PROBES = 8
CHUNK_BYTES = 256 * 1024
POLL_SECONDS = 0.5

Hour = tuple[datetime, datetime]
Figures = dict[str, Any]


def tried(stack: CountedStack, call: Callable[[], object]) -> Figures:
    """Return what a call costs that is made once."""
    before = stack.counters()
    try:
        call()
    except grpc.RpcError as error:
        return spent_since(stack, before) | {"failed": code_of(error)}
    return spent_since(stack, before)


def spent_since(stack: CountedStack, before: Cost) -> Figures:
    """Return what was spent since the counters stood so."""
    return asdict(stack.counters() - before)


def register_cameras(stack: CountedStack, count: int) -> None:
    """Create cameras, those that are there already but for."""
    with stack.channel("ingestion") as channel:
        stub = CameraServiceStub(channel)
        for number in range(count):
            camera = camera_pb2.Camera(
                camera_id=camera_id(number), place="a street", authority="bench"
            )
            stub.CreateCamera(
                camera_service_pb2.CreateCameraRequest(camera=camera), timeout=DEADLINE_SECONDS
            )


def upload_model(stack: CountedStack, folder: Path) -> str:
    """Upload a recording of half a minute; return its id."""
    with stack.channel("embedding", as_service=True) as embedding:
        street = demo.street(folder, embedding).footage
    data = street.read_bytes()
    return upload(stack, data, MODEL_DAY)


def upload(stack: CountedStack, data: bytes, start: datetime, *, name: str = "model.mp4") -> str:
    """Upload a file; return the recording's id."""
    header = header_of(data, start, name=name)
    with stack.channel("ingestion") as channel:
        stub = FootageServiceStub(channel)
        answer = stub.UploadFootage(_messages(header, data), timeout=DEADLINE_SECONDS)
    return str(answer.footage.footage_id)


def header_of(data: bytes, start: datetime, *, name: str) -> footage_service_pb2.UploadHeader:
    """Return what is announced of a file."""
    header = footage_service_pb2.UploadHeader(
        request_id=str(uuid.uuid4()),
        camera_id=camera_id(0),
        file_name=name,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    header.start_time.FromDatetime(start)
    return header


def _messages(
    header: footage_service_pb2.UploadHeader, data: bytes
) -> Iterator[footage_service_pb2.UploadFootageRequest]:
    yield footage_service_pb2.UploadFootageRequest(header=header)
    for at in range(0, len(data), CHUNK_BYTES):
        yield footage_service_pb2.UploadFootageRequest(chunk=data[at : at + CHUNK_BYTES])


def list_footage(stack: CountedStack, camera: str | None = None, span: Hour | None = None) -> int:
    """Read one page; return how many recordings it has."""
    request = footage_service_pb2.ListFootageRequest(
        camera_ids=[camera] if camera else [], interval=_interval(span), page_size=PAGE_SIZE
    )
    with stack.channel("ingestion") as channel:
        answer = FootageServiceStub(channel).ListFootage(request, timeout=DEADLINE_SECONDS)
    assert answer.footage, "there are some"
    return len(answer.footage)


def get_footage(stack: CountedStack, footage_id: str) -> None:
    """Read one recording."""
    request = footage_service_pb2.GetFootageRequest(footage_id=footage_id)
    with stack.channel("ingestion") as channel:
        FootageServiceStub(channel).GetFootage(request, timeout=DEADLINE_SECONDS)


def report(stack: CountedStack) -> None:
    """Ask ingestion for its retention report."""
    request = footage_service_pb2.GetRetentionReportRequest()
    with stack.channel("ingestion") as channel:
        FootageServiceStub(channel).GetRetentionReport(request, timeout=DEADLINE_SECONDS)


def create_scan(stack: CountedStack, camera: str | None, span: Hour | None) -> str:
    """Create a scan; return its id."""
    scope = scan_pb2.ScanScope(
        camera_ids=[camera] if camera else [],
        interval=_interval(span or (FIRST_DAY, FIRST_DAY + timedelta(days=31))),
    )
    with stack.channel("ingestion") as channel:
        answer = ScanServiceStub(channel).CreateScan(
            scan_service_pb2.CreateScanRequest(scope=scope), timeout=DEADLINE_SECONDS
        )
    return str(answer.scan.scan_id)


def get_scan(stack: CountedStack, scan_id: str) -> scan_pb2.Scan:
    """Read one scan."""
    with stack.channel("ingestion") as channel:
        return (
            ScanServiceStub(channel)
            .GetScan(scan_service_pb2.GetScanRequest(scan_id=scan_id), timeout=DEADLINE_SECONDS)
            .scan
        )


def list_scans(stack: CountedStack) -> None:
    """Read the first page of scans."""
    with stack.channel("ingestion") as channel:
        ScanServiceStub(channel).ListScans(
            scan_service_pb2.ListScansRequest(page_size=PAGE_SIZE), timeout=DEADLINE_SECONDS
        )


def cancel_scan(stack: CountedStack, scan_id: str) -> None:
    """Cancel a scan."""
    with stack.channel("ingestion") as channel:
        ScanServiceStub(channel).CancelScan(
            scan_service_pb2.CancelScanRequest(scan_id=scan_id), timeout=DEADLINE_SECONDS
        )


def await_plan(stack: CountedStack, scan_id: str) -> tuple[bool, int]:
    """Return whether a scan is planned in time, and how many segments it has.

    A version that plans while it creates the scan has no word for planning.
    """
    until = time.monotonic() + PLAN_SECONDS
    while True:
        progress = get_scan(stack, scan_id).progress
        if progress.segment_count and not getattr(progress, "planning", False):
            return True, progress.segment_count
        if time.monotonic() > until:
            return False, progress.segment_count
        time.sleep(POLL_SECONDS)


def cancel_watched(stack: CountedStack, scan_id: str) -> tuple[Figures, Figures]:
    """Cancel a scan while somebody watches it; return what watching and cancelling cost."""
    first = threading.Event()
    told: Figures = {"updates": 0, "MB": 0.0}
    before = stack.counters()

    def watch() -> None:
        request = scan_service_pb2.WatchScanRequest(scan_id=scan_id)
        with stack.channel("ingestion") as channel:
            try:
                for update in ScanServiceStub(channel).WatchScan(request, timeout=DEADLINE_SECONDS):
                    told["updates"] += 1
                    told["MB"] += update.ByteSize() / 1e6
                    first.set()
            except grpc.RpcError as error:
                told["failed"] = code_of(error)
                print(f"WatchScan: {error}", file=sys.stderr)
                first.set()

    watching = threading.Thread(target=watch)
    watching.start()
    first.wait()
    with stack.channel("ingestion") as channel:
        stub = ScanServiceStub(channel)
        request = scan_service_pb2.CancelScanRequest(scan_id=scan_id)
        cancelled = tried(stack, lambda: stub.CancelScan(request, timeout=DEADLINE_SECONDS))
    watching.join()
    return spent_since(stack, before) | told, cancelled


def enrol_somebody(stack: CountedStack) -> None:
    """Enrol a subject, so that there is somebody to search for."""
    People(stack).enrol()


def model_in_use(stack: CountedStack) -> tuple[str, int]:
    """Return the digest of the model pack and the length of its templates."""
    with stack.channel("embedding") as channel:
        answer = EmbeddingServiceStub(channel).GetModel(
            embedding_service_pb2.GetModelRequest(), timeout=DEADLINE_SECONDS
        )
    return answer.model.digest, answer.model.template_size


class People:
    """Subjects with a photograph each: six people, each time under another light and angle.

    Args:
        stack: Enrols them.
    """

    def __init__(self, stack: CountedStack) -> None:
        self._stack = stack
        photo = demo.group_photo()
        picture = pixels(photo)
        with stack.channel("embedding", as_service=True) as embedding:
            found = demo.faces(photo, embedding)
        self._portraits = [reference_photo(picture, box) for box in found]
        self._random = np.random.default_rng(16)
        self.subjects: list[str] = []
        self._digest, self._length = model_in_use(stack)

    def fill(self, count: int) -> None:
        """Enrol people until there are so many."""
        while len(self.subjects) < count:
            self.enrol()

    def enrol(self) -> None:
        """Enrol one more: a record and a photograph."""
        number = len(self.subjects)
        review = datetime.now(UTC) + timedelta(days=30)
        subject = subject_pb2.Subject(
            case_reference=f"GROWTH-{number}",
            label=f"person {number}",
            age_group=subject_pb2.AGE_GROUP_ADULT,
            legal_basis="vital interests",
            authorised_by="bench",
        )
        subject.review_time.FromDatetime(review)
        with self._stack.channel("matching") as channel:
            stub = SubjectServiceStub(channel)
            made = stub.CreateSubject(
                subject_service_pb2.CreateSubjectRequest(subject=subject), timeout=DEADLINE_SECONDS
            )
            self._add_photo(stub, made.subject.subject_id)
        self.subjects.append(made.subject.subject_id)

    def _add_photo(self, stub: SubjectServiceStub, subject_id: str) -> None:
        """Add a photograph; those that cannot serve are passed over, as an investigator does."""
        while True:
            photo = self._photo()
            request = subject_service_pb2.AddReferencePhotoRequest(
                subject_id=subject_id, photo=photo
            )
            try:
                stub.AddReferencePhoto(request, timeout=DEADLINE_SECONDS)
            except grpc.RpcError as error:
                if code_of(error) != grpc.StatusCode.INVALID_ARGUMENT.name:
                    raise
            else:
                return

    def match(self, subjects: list[str]) -> None:
        """Compare strangers with some subjects; none for all."""
        faces = self._random.standard_normal((PROBES, self._length)).astype(np.float32)
        probes = [
            types_pb2.Template(values=face / np.linalg.norm(face), model_digest=self._digest)
            for face in faces
        ]
        with self._stack.channel("matching", as_service=True) as channel:
            MatchingServiceStub(channel).Match(
                matching_service_pb2.MatchRequest(probes=probes, subject_ids=subjects),
                timeout=DEADLINE_SECONDS,
            )

    def listed(self) -> None:
        """Read the first page of subjects."""
        with self._stack.channel("matching") as channel:
            SubjectServiceStub(channel).ListSubjects(
                subject_service_pb2.ListSubjectsRequest(page_size=PAGE_SIZE),
                timeout=DEADLINE_SECONDS,
            )

    def get(self, subject_id: str) -> None:
        """Read one subject."""
        with self._stack.channel("matching") as channel:
            SubjectServiceStub(channel).GetSubject(
                subject_service_pb2.GetSubjectRequest(subject_id=subject_id),
                timeout=DEADLINE_SECONDS,
            )

    def _photo(self) -> bytes:
        portrait = self._portraits[int(self._random.integers(len(self._portraits)))]
        turn = cv2.getRotationMatrix2D((200, 200), float(self._random.uniform(-4, 4)), 1.0)
        turned = cv2.warpAffine(portrait, turn, (400, 400), borderMode=cv2.BORDER_REPLICATE)
        light = self._random.uniform(0.8, 1.1)
        grain = self._random.normal(0, 6, turned.shape)
        shown = np.clip(turned * light + grain, 0, 255).astype(np.uint8)
        return bytes(cv2.imencode(".jpg", shown)[1])


def _interval(span: Hour | None) -> types_pb2.TimeInterval | None:
    if span is None:
        return None
    interval = types_pb2.TimeInterval()
    interval.start_time.FromDatetime(span[0])
    interval.end_time.FromDatetime(span[1])
    return interval
