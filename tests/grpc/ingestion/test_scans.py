from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from ingestion_calls import (
    INVALID,
    NO_FOOTAGE,
    NOW,
    RECORDED,
    Outside,
    keep,
    new_scan,
    planned_scan,
    refusal,
    segments_of,
    upload,
)

from homeward.api.ingestion.v1 import scan_pb2, scan_service_pb2
from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.scan.model import Candidate, GapReason, ScanState, Thoroughness
from homeward.servicekit import errors, wire

NO_SCAN = "7d4df2ef-6d44-4c02-9bf0-0e2b6d5b7f2e"


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
