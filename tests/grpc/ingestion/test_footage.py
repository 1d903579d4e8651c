from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from ingestion_calls import (
    CONTENT,
    INVALID,
    NO_FOOTAGE,
    NOW,
    RECORDED,
    Outside,
    header,
    new_camera,
    refusal,
    upload,
)

from homeward.api.common.v1 import types_pb2
from homeward.api.ingestion.v1 import footage_pb2, footage_service_pb2
from homeward.ingestion.footage.layout import FootageLayout
from homeward.servicekit import errors, wire


def another(**changes: Any) -> tuple[footage_service_pb2.UploadHeader, bytes]:
    """Return what another recording is uploaded with."""
    return header(b"other", request_id="up-2", **changes), b"other"


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


async def test_list_footage_tells_of_what_the_store_has_damaged(api: Any) -> None:
    one = (await upload(api)).footage
    later = wire.to_timestamp(RECORDED + timedelta(hours=1))
    other = (await upload(api, *another(start_time=later))).footage
    manifest = FootageLayout(one.footage_id).manifest
    await api.bucket.put(manifest, b"{", content_type="application/json")

    listed = (await api.footage.ListFootage(footage_service_pb2.ListFootageRequest())).footage

    assert list(listed) == [
        footage_pb2.Footage(
            footage_id=one.footage_id,
            camera_id="cam-1",
            start_time=wire.to_timestamp(RECORDED),
            problems=[footage_pb2.FOOTAGE_PROBLEM_DAMAGED],
        ),
        other,
    ]
    request = footage_service_pb2.GetFootageRequest(footage_id=one.footage_id)
    assert await refusal(api.footage.GetFootage(request)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        errors.Reason.FOOTAGE_DAMAGED,
    )
