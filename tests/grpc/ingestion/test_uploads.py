from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from ingestion_calls import (
    CONTENT,
    INVALID,
    NOW,
    RECORDED,
    Outside,
    header,
    new_camera,
    refusal,
    upload,
)

from homeward.api.ingestion.v1 import footage_pb2
from homeward.ingestion.footage.media import Finding, FootageProblem, Stretch
from homeward.servicekit import errors, wire

LARGEST_CHUNK = 256 * 1024
TOO_LARGE = b"x" * (LARGEST_CHUNK + 1)


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
