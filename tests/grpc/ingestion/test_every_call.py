from __future__ import annotations

from typing import Any

import grpc
import pytest
from ingestion_calls import INVALID, refusal

from homeward.api.ingestion.v1 import camera_service_pb2, footage_service_pb2, scan_service_pb2
from homeward.servicekit import errors
from required_fields import call_with_nothing, calls_with_required_fields


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
