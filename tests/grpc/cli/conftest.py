"""Services that answer as a test tells them to, and their addresses for the command line."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc

from cli_services import (
    Cameras,
    Embedding,
    FootageStore,
    Health,
    Homeward,
    Scans,
    Sightings,
    Subjects,
)
from homeward.api.embedding.v1 import embedding_service_pb2_grpc
from homeward.api.ingestion.v1 import (
    camera_service_pb2_grpc,
    clip_service_pb2_grpc,
    footage_service_pb2_grpc,
    scan_service_pb2_grpc,
)
from homeward.api.matching.v1 import (
    export_service_pb2_grpc,
    matching_service_pb2_grpc,
    policy_service_pb2_grpc,
    retention_service_pb2_grpc,
    sighting_service_pb2_grpc,
    subject_service_pb2_grpc,
)
from homeward.cli import patience


@pytest.fixture
def homeward(monkeypatch: pytest.MonkeyPatch) -> Iterator[Homeward]:
    server = grpc.server(ThreadPoolExecutor(4))
    port = server.add_insecure_port("localhost:0")
    fakes = Homeward(
        f"localhost:{port}", Subjects(), Cameras(), FootageStore(), Scans(), Sightings(), Health()
    )
    subject_service_pb2_grpc.add_SubjectServiceServicer_to_server(fakes.subjects, server)
    camera_service_pb2_grpc.add_CameraServiceServicer_to_server(fakes.cameras, server)
    footage_service_pb2_grpc.add_FootageServiceServicer_to_server(fakes.footage, server)
    clip_service_pb2_grpc.add_ClipServiceServicer_to_server(fakes.clips, server)
    scan_service_pb2_grpc.add_ScanServiceServicer_to_server(fakes.scans, server)
    sighting_service_pb2_grpc.add_SightingServiceServicer_to_server(fakes.sightings, server)
    export_service_pb2_grpc.add_ExportServiceServicer_to_server(fakes.exports, server)
    retention_service_pb2_grpc.add_RetentionServiceServicer_to_server(fakes.retention, server)
    embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server(Embedding(), server)
    matching_service_pb2_grpc.add_MatchingServiceServicer_to_server(fakes.matching, server)
    policy_service_pb2_grpc.add_PolicyServiceServicer_to_server(fakes.policies, server)
    health_pb2_grpc.add_HealthServicer_to_server(fakes.health, server)
    server.start()
    monkeypatch.setenv("HOMEWARD_INGESTION_TARGET", fakes.address)
    monkeypatch.setenv("HOMEWARD_MATCHING_TARGET", fakes.address)
    monkeypatch.setenv("HOMEWARD_EMBEDDING_TARGET", fakes.address)
    yield fakes
    server.stop(None).wait()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Waits that were not waited."""
    made: list[int] = []
    monkeypatch.setattr(patience, "pause", lambda failures, _: made.append(failures))
    return made


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have times shown in UTC wherever the tests run."""
    monkeypatch.setenv("HOMEWARD_TIMEZONE", "UTC")
