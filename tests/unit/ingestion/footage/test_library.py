"""Reading recordings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from footage_uploading import keys, upload

from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.footage import library as module
from homeward.ingestion.footage import timeline
from homeward.ingestion.footage.layout import FootageLayout
from homeward.ingestion.footage.manifests import encode_manifest
from homeward.ingestion.footage.model import Footage
from homeward.ingestion.footage.resource import FootageResource
from homeward.servicekit import errors


async def test_the_timeline_is_kept_beside_the_recording(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())

    held = await resource.library.timeline(footage)

    np.testing.assert_array_equal(held.times, prober.timeline.times)
    np.testing.assert_array_equal(held.positions, prober.timeline.positions)
    np.testing.assert_array_equal(held.flags, prober.timeline.flags)


async def test_a_timeline_is_read_once(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    first = await resource.library.timeline(footage)
    await bucket.delete((await keys(bucket))[3])

    assert await resource.library.timeline(footage) is first


async def test_segments_that_begin_together_read_a_timeline_once(
    resource: FootageResource, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())

    first, second = await asyncio.gather(
        resource.library.timeline(footage), resource.library.timeline(footage)
    )

    assert first is second


@pytest.mark.parametrize(
    ("seconds_each", "kept"),
    [([2, 4], [True, True]), ([2, 4, 1], [False, True, True]), ([2, 7], [False, True])],
    ids=["as many as may be", "too many", "too many of one recording"],
)
async def test_timelines_are_kept_up_to_so_many_pictures(
    *,
    resource: FootageResource,
    prober: Any,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
    seconds_each: list[int],
    kept: list[bool],
) -> None:
    monkeypatch.setattr(module, "PICTURES_HELD", 6 * 25)
    footage = [
        await taken_in(resource, prober, make, number, length)
        for number, length in enumerate(seconds_each)
    ]
    lines = [await resource.library.timeline(one) for one in footage]

    # The one that was needed last is asked for first: reading one again forgets others.
    again = [await resource.library.timeline(one) for one in reversed(footage)]

    assert [one is other for one, other in zip(again[::-1], lines, strict=True)] == kept


async def taken_in(
    resource: FootageResource, prober: Any, make: Any, number: int, length: int
) -> Footage:
    """Take in a recording of so many seconds, of 25 pictures each."""
    prober.timeline = make.timeline(length)
    content = bytes([number])
    footage, _ = await upload(resource, make.header(content), content, request_id=f"up-{number}")
    return footage


async def test_a_timeline_that_was_lost_is_made_again(
    resource: FootageResource, bucket: InMemoryFootageStore, prober: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    await bucket.delete((await keys(bucket))[3])

    held = await resource.library.timeline(footage)

    np.testing.assert_array_equal(held.times, prober.timeline.times)
    assert len(prober.urls) == 2
    assert await bucket.get((await keys(bucket))[3]) is not None


@pytest.mark.parametrize("left", [0, 4, 100, -30])
async def test_a_timeline_that_is_damaged_is_made_again(
    resource: FootageResource,
    bucket: InMemoryFootageStore,
    prober: Any,
    make: Any,
    left: int,
) -> None:
    footage, _ = await upload(resource, make.header())
    key = FootageLayout(footage.footage_id).timeline(timeline.VERSION)
    whole = await bucket.get(key)
    assert whole is not None
    await bucket.put(key, whole[:left], content_type="application/octet-stream")

    held = await resource.library.timeline(footage)

    np.testing.assert_array_equal(held.times, prober.timeline.times)
    assert await bucket.get(key) == whole


@pytest.mark.parametrize("left", [[], [1], [1, 3]], ids=["all", "file and timeline", "the file"])
async def test_the_timeline_of_a_recording_that_is_gone_is_not_made_again(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any, left: list[int]
) -> None:
    footage, _ = await upload(resource, make.header())
    held = await keys(bucket)
    for number in {1, 2, 3} - set(left):
        await bucket.delete(held[number])
    await bucket.delete(held[3])

    with pytest.raises(errors.NotFoundError) as refused:
        await resource.library.timeline(footage)

    assert refused.value.reason is errors.Reason.FOOTAGE_NOT_FOUND


async def test_a_recording_that_is_up_to_date_is_not_examined_again(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())

    assert await resource.library.up_to_date(footage) == footage
    assert len(prober.urls) == 1


async def test_a_recording_that_came_earlier_is_examined_again_and_kept(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    prober.answer = make.media(30, version=0)
    old, _ = await upload(resource, make.header())
    await resource.library.timeline(old)
    prober.answer, prober.timeline = make.media(29), make.timeline(29)

    current = await resource.library.up_to_date(old)

    assert current == replace(old, media=make.media(29))
    assert await resource.library.get(old.footage_id) == current
    assert len(await resource.library.timeline(current)) == 29 * 25


async def test_a_recording_that_turns_out_to_last_longer_is_found_by_its_new_end(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    prober.answer = make.media(30, version=0)
    old, _ = await upload(resource, make.header())
    prober.answer = make.media(90)

    current = await resource.library.up_to_date(old)

    start = old.end_time + timedelta(seconds=30)
    assert await resource.library.find(start=start) == [current]


async def test_two_scans_at_once_examine_a_recording_once(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    prober.answer = make.media(30, version=0)
    old, _ = await upload(resource, make.header())
    prober.answer = make.media(29)

    first, second = await asyncio.gather(
        resource.library.up_to_date(old), resource.library.up_to_date(old)
    )

    assert first == second == replace(old, media=make.media(29))
    assert len(prober.urls) == 2


async def test_a_recording_that_another_replica_has_examined_is_not_examined_again(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    prober.answer = make.media(30, version=0)
    old, _ = await upload(resource, make.header())
    prober.answer = make.media(29)
    current = await resource.library.up_to_date(old)

    assert await resource.library.up_to_date(old) == current
    assert len(prober.urls) == 2


async def test_replicas_of_two_versions_leave_each_manifest_with_its_timeline(
    resource: FootageResource,
    bucket: InMemoryFootageStore,
    prober: Any,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prober.answer, prober.timeline = make.media(30, version=0), make.timeline(30)
    old, _ = await upload(resource, make.header())
    prober.answer, prober.timeline = make.media(29), make.timeline(29)
    current = await resource.library.up_to_date(old)
    manifest = await bucket.get(FootageLayout(old.footage_id).manifest)
    assert manifest is not None

    # The other version's replica, which examined it at the same time, writes its manifest last.
    await bucket.put(
        FootageLayout(old.footage_id).manifest,
        encode_manifest(old),
        content_type="application/json",
    )
    monkeypatch.setattr(timeline, "VERSION", 0)

    held = await resource.library.get(old.footage_id)
    assert len(await resource.library.timeline(held)) == 30 * 25
    assert len(await resource.library.timeline(current)) == 29 * 25


async def test_what_is_examined_ends_with_the_service(
    resource: FootageResource, prober: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prober.answer = make.media(30, version=0)
    old, _ = await upload(resource, make.header())
    monkeypatch.setattr(prober, "probe", lambda _: asyncio.Event().wait())
    waiting = asyncio.create_task(resource.library.up_to_date(old))
    await asyncio.sleep(0)

    await resource.library.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    "bad", ["", "cam-1", "../../etc", "cam-1-20261120t100000000000z-" + "0" * 16]
)
async def test_what_is_not_there_is_not_found(resource: FootageResource, bad: str) -> None:
    with pytest.raises(errors.NotFoundError) as refused:
        await resource.library.get(bad)

    assert refused.value.reason is errors.Reason.FOOTAGE_NOT_FOUND


async def test_footage_can_be_read_until_its_deadline(
    resource: FootageResource, clock: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    clock.advance(FOOTAGE_LIMIT - timedelta(microseconds=1))

    assert await resource.library.get(footage.footage_id) == footage
    assert await resource.library.find() == [footage]


async def test_footage_past_its_deadline_is_refused(
    resource: FootageResource, clock: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    clock.advance(FOOTAGE_LIMIT)

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await resource.library.get(footage.footage_id)

    assert refused.value.reason is errors.Reason.FOOTAGE_EXPIRED
    assert await resource.library.find() == []


async def test_footage_is_listed_by_camera_then_start(resource: FootageResource, make: Any) -> None:
    later = make.recorded + timedelta(hours=1)
    await upload(resource, make.header(b"3", camera_id="cam-2"), b"3", request_id="3")
    await upload(resource, make.header(b"2", start_time=later), b"2", request_id="2")
    await upload(resource, make.header(b"1"), b"1", request_id="1")

    listed = await resource.library.find()

    assert [(one.header.camera_id, one.header.start_time) for one in listed] == [
        ("cam-1", make.recorded),
        ("cam-1", later),
        ("cam-2", make.recorded),
    ]


async def test_a_camera_does_not_list_another_one_that_begins_like_it(
    resource: FootageResource, cameras: Any, make: Any
) -> None:
    await cameras.create("cam-10", replace((await cameras.get("cam-1"))[0].details))
    await upload(resource, make.header(camera_id="cam-10"))

    assert await resource.library.find(camera_ids=["cam-1"]) == []


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (None, None, 1),
        (59, None, 1),
        (60, None, 0),
        (None, 0, 0),
        (None, 1, 1),
        (10, 20, 1),
        (-20, -10, 0),
    ],
)
async def test_footage_is_listed_when_it_overlaps_the_window(
    resource: FootageResource, make: Any, start: float | None, end: float | None, found: int
) -> None:
    await upload(resource, make.header())

    listed = await resource.library.find(
        start=None if start is None else make.recorded + timedelta(seconds=start),
        end=None if end is None else make.recorded + timedelta(seconds=end),
    )

    assert len(listed) == found


async def test_a_reader_gets_a_url_for_a_segments_work(
    resource: FootageResource, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())

    url = await resource.library.url(footage)

    assert url.endswith(f"{footage.footage_id}/original?method=get&expires=21600")


async def test_a_url_to_read_by_ends_with_the_recordings_deadline(
    resource: FootageResource, clock: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    clock.advance(FOOTAGE_LIMIT)

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await resource.library.url(footage)

    assert refused.value.reason is errors.Reason.FOOTAGE_EXPIRED
