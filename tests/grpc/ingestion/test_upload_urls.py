from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import grpc
import pytest
from ingestion_calls import CONTENT, INVALID, NOW, by_url, header, refusal, upload

from homeward.api.ingestion.v1 import footage_service_pb2
from homeward.servicekit import errors, wire


async def test_get_upload_tells_how_far_it_has_come(api: Any) -> None:
    await refusal(upload(api, header(), CONTENT[:5]))

    answer = await api.footage.GetUpload(footage_service_pb2.GetUploadRequest(request_id="up-1"))

    assert answer.committed_size_bytes == 5
    resumed = await upload(api, header(offset_bytes=5), CONTENT[5:])
    assert resumed.footage.sha256 == hashlib.sha256(CONTENT).hexdigest()


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
