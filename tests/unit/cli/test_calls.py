from __future__ import annotations

import importlib
import pkgutil

import pytest

import homeward.api
from homeward.cli.calls import FILES, LONGER_SECONDS, deadline_seconds, repeatable_calls
from homeward.cli.shared import SERVICES


def test_the_protos_of_each_service_are_those_there_are() -> None:
    found = {
        tuple(module.name.removeprefix("homeward.api.").split(".v1."))
        for module in pkgutil.walk_packages(homeward.api.__path__, "homeward.api.")
        if module.name.endswith("_service_pb2") and ".common." not in module.name
    }

    assert found == {(service, f"{name}_pb2") for service, names in FILES.items() for name in names}
    assert set(FILES) == set(SERVICES)


@pytest.mark.parametrize("call", LONGER_SECONDS)
def test_every_call_with_a_deadline_of_its_own_exists(call: str) -> None:
    service, method = call.split("/")
    package, _, name = service.rpartition(".")
    stem = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    module = importlib.import_module(f"{package}.{stem.lstrip('_')}_pb2")

    assert method in module.DESCRIPTOR.services_by_name[name].methods_by_name


def test_a_call_has_a_deadline_by_its_path() -> None:
    assert deadline_seconds("/homeward.api.ingestion.v1.ScanService/CreateScan") == 120.0
    assert deadline_seconds("/homeward.api.ingestion.v1.ScanService/GetScan") == 30.0


def test_reads_are_repeated_and_reviews_are_not() -> None:
    found = repeatable_calls("matching")

    assert "homeward.api.matching.v1.SubjectService/GetSubject" in found
    assert "homeward.api.matching.v1.SightingService/ReviewSighting" not in found


def test_a_watch_is_not_repeated_by_grpc_but_by_its_command() -> None:
    assert "homeward.api.ingestion.v1.ScanService/WatchScan" not in repeatable_calls("ingestion")
