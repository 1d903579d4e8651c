from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from ingestion_calls import CONTENT, by_url, header, message, refusal, upload

from homeward.api.ingestion.v1 import footage_service_pb2
from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.core.rpc_errors import retry_seconds
from homeward.ingestion.footage.receiving import RETRY_SECONDS, LeastProgress
from homeward.ingestion.footage.uploads import IntakeTerms
from homeward.servicekit import errors
from homeward.servicekit.clients import translate


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
