"""A client that knows nothing of Homeward but what its servers' reflection tells."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

if TYPE_CHECKING:
    from .conftest import LiveStack, Street

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


class Reflected:
    """Calls a server's methods with dictionaries, by reflection alone."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))

    def method(self, name: str) -> MethodDescriptor:
        service, _, method = name.rpartition("/")
        return self._pool.FindServiceByName(service).methods_by_name[method]

    def request(self, name: str, **fields: Any) -> Any:
        return message_factory.GetMessageClass(self.method(name).input_type)(**fields)

    def _kinds(self, name: str) -> dict[str, Any]:
        method = self.method(name)
        return {
            "request_serializer": message_factory.GetMessageClass(
                method.input_type
            ).SerializeToString,
            "response_deserializer": message_factory.GetMessageClass(method.output_type).FromString,
        }

    def unary(self, name: str, **fields: Any) -> Any:
        call = self._channel.unary_unary(f"/{name}", **self._kinds(name))
        return call(self.request(name, **fields), timeout=30)

    def upload(self, name: str, requests: Iterator[Any]) -> Any:
        return self._channel.stream_unary(f"/{name}", **self._kinds(name))(requests, timeout=60)

    def watch(self, name: str, **fields: Any) -> Iterator[Any]:
        call = self._channel.unary_stream(f"/{name}", **self._kinds(name))
        stream: Iterator[Any] = call(self.request(name, **fields), timeout=120)
        return stream


def test_an_outside_client_enrols_uploads_scans_and_reads_sightings(
    stack: LiveStack, street: Street
) -> None:
    with stack.channel("ingestion") as one, stack.channel("matching") as two:
        ingestion, matching = Reflected(one), Reflected(two)
        subjects = "homeward.api.matching.v1.SubjectService"
        review = datetime.now(UTC) + timedelta(days=28)
        created = matching.unary(
            f"{subjects}/CreateSubject",
            subject={
                "case_reference": "OUT-1",
                "age_group": 1,
                "legal_basis": "missing person enquiry",
                "authorised_by": "an outside client",
                "review_time": {"seconds": int(review.timestamp())},
            },
        )
        subject_id = created.subject.subject_id
        matching.unary(
            f"{subjects}/AddReferencePhoto",
            subject_id=subject_id,
            photo=street.portraits[0].read_bytes(),
        )
        camera_id = f"outside-{uuid.uuid4().hex[:8]}"
        ingestion.unary(
            "homeward.api.ingestion.v1.CameraService/CreateCamera",
            camera={"camera_id": camera_id},
        )
        footage_id = upload(ingestion, camera_id, street.footage.read_bytes() + b"\0")
        scan = ingestion.unary(
            "homeward.api.ingestion.v1.ScanService/CreateScan",
            scope={"subject_ids": [subject_id], "footage_ids": [footage_id]},
        ).scan
        updates = list(
            ingestion.watch("homeward.api.ingestion.v1.ScanService/WatchScan", scan_id=scan.scan_id)
        )
        found = matching.unary(
            "homeward.api.matching.v1.SightingService/ListSightings", subject_ids=[subject_id]
        ).sightings
    assert updates[-1].scan.state == 3  # STATE_SUCCEEDED
    assert [sighting.footage_id for sighting in found] == [footage_id]


def upload(ingestion: Reflected, camera_id: str, data: bytes) -> str:
    name = "homeward.api.ingestion.v1.FootageService/UploadFootage"
    header = {
        "request_id": uuid.uuid4().hex,
        "camera_id": camera_id,
        "file_name": "street.mp4",
        "start_time": {"seconds": 1_772_618_400},
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    requests = [ingestion.request(name, header=header)] + [
        ingestion.request(name, chunk=data[start : start + 65536])
        for start in range(0, len(data), 65536)
    ]
    footage_id: str = ingestion.upload(name, iter(requests)).footage.footage_id
    return footage_id
