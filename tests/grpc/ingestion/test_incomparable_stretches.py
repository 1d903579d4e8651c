from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from ingestion_calls import (
    INVALID,
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
from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.manifests import decode_manifest
from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.incomparable import IncomparablePeople, IncomparablePerson
from homeward.ingestion.scan.model import Counts, ScanState
from homeward.servicekit import errors, wire


async def searched_with_somebody_too_small(api: Any, *, times: bool = True) -> str:
    """Return a scan of two segments, in each of which two people could not be compared."""
    scan_id: str = (await planned_scan(api)).scan_id
    for segment in await segments_of(api, scan_id):
        counts = Counts(
            incomparable=2, sizes=FaceSizes.of([17.2, 40]) + FaceSizes(unclear=1), appearances=0
        )
        done = replace(
            segment, state=ScanState.SUCCEEDED, looked_at=segment.duration, counts=counts
        )
        await keep(api, scan_id, done)
        if times:
            people = tuple(
                IncomparablePerson(
                    segment.start + timedelta(seconds=start),
                    segment.start + timedelta(seconds=start + 2),
                    too_small=small,
                )
                for start, small in ((10, True), (20, False))
            )
            stored = await api.bucket.get(FootageLayout(segment.footage_id).manifest)
            await api.times.keep(
                decode_manifest(stored),
                IncomparablePeople(scan_id, segment.stretch, people),
            )
    return scan_id


def stretches_of(scan_id: str, **page: Any) -> Any:
    return scan_service_pb2.ListIncomparableStretchesRequest(scan_id=scan_id, **page)


async def test_a_scan_tells_how_wide_faces_were(api: Any) -> None:
    await upload(api)
    scan_id = await searched_with_somebody_too_small(api)

    read = await api.scans.GetScan(scan_service_pb2.GetScanRequest(scan_id=scan_id))

    coverage = read.scan.coverage
    assert coverage.face_sizes == scan_pb2.FaceSizes(
        least_width_px=24,
        appearance_count=4,
        too_small_appearance_count=2,
        unclear_appearance_count=2,
        median_width_px=17,
        width_counts=[
            scan_pb2.FaceWidthCount(width_px=17, appearance_count=2),
            scan_pb2.FaceWidthCount(width_px=40, appearance_count=2),
        ],
    )
    (camera,) = coverage.camera_face_sizes
    assert (camera.camera_id, camera.face_sizes) == ("cam-1", coverage.face_sizes)


async def test_a_scan_that_saw_nobody_has_no_sizes(api: Any) -> None:
    await upload(api)

    coverage = (await planned_scan(api)).coverage

    assert not coverage.HasField("face_sizes")
    assert not coverage.camera_face_sizes


async def test_list_incomparable_stretches_goes_page_by_page(api: Any) -> None:
    footage = (await upload(api)).footage
    scan_id = await searched_with_somebody_too_small(api)

    first = await api.scans.ListIncomparableStretches(stretches_of(scan_id, page_size=3))
    last = await api.scans.ListIncomparableStretches(
        stretches_of(scan_id, page_size=3, page_token=first.next_page_token)
    )

    listed = [*first.incomparable_stretches, *last.incomparable_stretches]
    assert [one.start_offset.seconds for one in listed] == [10, 20, 40, 50]
    assert listed[1] == scan_pb2.IncomparableStretch(
        camera_id="cam-1",
        footage_id=footage.footage_id,
        file_name=footage.file_name,
        interval=wire.to_interval(
            RECORDED + timedelta(seconds=20), RECORDED + timedelta(seconds=22)
        ),
        start_offset=wire.to_duration(timedelta(seconds=20)),
        end_offset=wire.to_duration(timedelta(seconds=22)),
        peak_person_count=1,
        appearance_count=1,
    )
    assert (last.next_page_token, list(first.unlisted_footage)) == ("", [])


async def test_what_is_past_its_deadline_is_not_listed_and_that_is_told_once(
    api: Any, outside: Outside
) -> None:
    footage = (await upload(api)).footage
    scan_id = await searched_with_somebody_too_small(api)
    outside.time = NOW + FOOTAGE_LIMIT

    told = await api.scans.ListIncomparableStretches(stretches_of(scan_id))

    assert not told.incomparable_stretches
    assert list(told.unlisted_footage) == [
        scan_pb2.UnlistedFootage(
            footage_id=footage.footage_id,
            reason=scan_pb2.UNLISTED_REASON_FOOTAGE_GONE,
            appearance_count=4,
        )
    ]


async def test_times_that_are_not_kept_are_told_of(api: Any) -> None:
    await upload(api)
    scan_id = await searched_with_somebody_too_small(api, times=False)

    told = await api.scans.ListIncomparableStretches(stretches_of(scan_id))

    (unlisted,) = told.unlisted_footage
    assert unlisted.reason == scan_pb2.UNLISTED_REASON_TIMES_GONE


@pytest.mark.parametrize(
    ("page", "refused"),
    [
        ({"page_size": -1}, INVALID),
        (
            {"page_token": "another"},
            (grpc.StatusCode.INVALID_ARGUMENT, errors.Reason.PAGE_TOKEN_INVALID),
        ),
    ],
)
async def test_list_incomparable_stretches_refuses_pages_that_are_none(
    api: Any, page: Any, refused: Any
) -> None:
    await upload(api)
    scan_id = (await new_scan(api)).scan_id

    call = api.scans.ListIncomparableStretches(stretches_of(scan_id, **page))

    assert await refusal(call) == refused


async def test_a_page_of_stretches_is_of_one_scan(api: Any) -> None:
    await upload(api)
    scan_id, other = [await searched_with_somebody_too_small(api) for _ in range(2)]
    first = await api.scans.ListIncomparableStretches(stretches_of(scan_id, page_size=1))

    call = api.scans.ListIncomparableStretches(
        stretches_of(other, page_size=1, page_token=first.next_page_token)
    )

    assert await refusal(call) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        errors.Reason.PAGE_TOKEN_INVALID,
    )
