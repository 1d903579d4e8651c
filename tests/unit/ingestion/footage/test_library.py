from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from homeward.core.inventory import ABANDONED_AFTER, FOOTAGE_LIMIT
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.cameras.model import CameraDetails
from homeward.ingestion.footage import library as module
from homeward.ingestion.footage import timeline
from homeward.ingestion.footage.layout import FootageLayout, footage_folder
from homeward.ingestion.footage.model import Footage, FootageHeader, Upload
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.staging import CLOCKS_APART
from homeward.ingestion.footage.uploads import PART_BYTES, UPLOAD_URL_LIFETIME
from homeward.servicekit import errors, records
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.objects import Versioning
from homeward.servicekit.store_rules import RULES_TRUSTED

CONTENT = b"recording"
LARGE = bytes(range(256)) * ((2 * PART_BYTES + 1000) // 256)
"""Two whole parts and a bit."""


async def stream(content: bytes, size: int = 1024 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def away(*_: Any) -> Any:
    raise errors.unavailable("S3", "somewhere", "start it")


async def broken(content: bytes) -> AsyncIterator[bytes]:
    async for chunk in stream(content):
        yield chunk
    raise ConnectionResetError


async def upload(
    resource: FootageResource,
    header: FootageHeader,
    content: bytes = CONTENT,
    *,
    request_id: str = "up-1",
    offset: int = 0,
) -> tuple[Footage, bool]:
    return await resource.uploads.upload(request_id, header, offset, stream(content))


async def put(
    resource: FootageResource, bucket: InMemoryFootageStore, header: FootageHeader, content: bytes
) -> None:
    """Do what a client does with the URL that it got."""
    url, _ = await resource.uploads.upload_url("up-1", header)  # type: ignore[misc]  # it is not held yet
    key = url.removeprefix("memory:///").partition("?")[0]
    await bucket.put(key, content, content_type="application/octet-stream")


async def keys(bucket: InMemoryFootageStore) -> list[str]:
    return [one.key for one in await bucket.objects("")]


async def test_an_uploaded_recording_is_footage(
    resource: FootageResource, prober: Any, clock: Any, make: Any
) -> None:
    footage, held = await upload(resource, make.header())

    assert not held
    assert await resource.library.get(footage.footage_id) == footage
    assert footage.probe == prober.answer
    assert (footage.receive_time, footage.delete_time) == (clock.now(), clock.now() + FOOTAGE_LIMIT)


async def test_a_recording_is_kept_as_it_came(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    footage, _ = await upload(resource, make.header(LARGE), LARGE)

    folder = f"footage/cam-1/2026/11/20/{footage.footage_id}"
    assert await bucket.get(f"{folder}/original") == LARGE
    assert await keys(bucket) == [
        f"by-sha256/{footage.header.sha256}",
        f"{folder}/manifest.json",
        f"{folder}/original",
        f"{folder}/timeline-{timeline.VERSION}.npz",
    ]


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
    prober.answer = make.probe(30, version=0)
    old, _ = await upload(resource, make.header())
    await resource.library.timeline(old)
    prober.answer, prober.timeline = make.probe(29), make.timeline(29)

    current = await resource.library.up_to_date(old)

    assert current == replace(old, probe=make.probe(29))
    assert await resource.library.get(old.footage_id) == current
    assert len(await resource.library.timeline(current)) == 29 * 25


async def test_two_scans_at_once_examine_a_recording_once(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    prober.answer = make.probe(30, version=0)
    old, _ = await upload(resource, make.header())
    prober.answer = make.probe(29)

    first, second = await asyncio.gather(
        resource.library.up_to_date(old), resource.library.up_to_date(old)
    )

    assert first == second == replace(old, probe=make.probe(29))
    assert len(prober.urls) == 2


async def test_a_recording_that_another_replica_has_examined_is_not_examined_again(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    prober.answer = make.probe(30, version=0)
    old, _ = await upload(resource, make.header())
    prober.answer = make.probe(29)
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
    prober.answer, prober.timeline = make.probe(30, version=0), make.timeline(30)
    old, _ = await upload(resource, make.header())
    prober.answer, prober.timeline = make.probe(29), make.timeline(29)
    current = await resource.library.up_to_date(old)
    manifest = await bucket.get(FootageLayout(old.footage_id).manifest)
    assert manifest is not None

    # The other version's replica, which examined it at the same time, writes its manifest last.
    await bucket.put(
        FootageLayout(old.footage_id).manifest,
        records.encode(old),
        content_type="application/json",
    )
    monkeypatch.setattr(timeline, "VERSION", 0)

    held = await resource.library.get(old.footage_id)
    assert len(await resource.library.timeline(held)) == 30 * 25
    assert len(await resource.library.timeline(current)) == 29 * 25


async def test_what_is_examined_ends_with_the_service(
    resource: FootageResource, prober: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prober.answer = make.probe(30, version=0)
    old, _ = await upload(resource, make.header())
    monkeypatch.setattr(prober, "probe", lambda _: asyncio.Event().wait())
    waiting = asyncio.create_task(resource.library.up_to_date(old))
    await asyncio.sleep(0)

    await resource.library.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_prober_is_shown_the_stored_file(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())

    (url,) = prober.urls
    assert f"{footage.footage_id}/original?method=get&expires=3600" in url


async def test_nothing_of_a_finished_upload_is_left(
    resource: FootageResource, uploads: InMemoryKeyValueStore, make: Any
) -> None:
    await upload(resource, make.header())

    assert await uploads.entries() == []


@pytest.mark.parametrize("count", [1, PART_BYTES - 1, PART_BYTES, len(LARGE) - 10])
async def test_an_upload_that_broke_off_keeps_all_that_came(
    resource: FootageResource, make: Any, count: int
) -> None:
    with pytest.raises(ConnectionResetError):
        await resource.uploads.upload("up-1", make.header(LARGE), 0, broken(LARGE[:count]))

    assert await resource.uploads.committed("up-1") == count


async def test_an_upload_whose_call_was_cancelled_keeps_all_that_came(
    resource: FootageResource, make: Any
) -> None:
    came = asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        yield LARGE[:1000]
        came.set()
        await asyncio.Future()

    call = asyncio.create_task(resource.uploads.upload("up-1", make.header(LARGE), 0, silent()))
    await came.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert await resource.uploads.committed("up-1") == 1000


@pytest.mark.parametrize(
    "breaks", [(10,), (10, 20), (PART_BYTES + 5, 2 * PART_BYTES + 7), (len(LARGE) - 1,)]
)
async def test_an_upload_resumes_where_it_broke_off(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any, breaks: tuple[int, ...]
) -> None:
    header = make.header(LARGE)
    for start, end in pairwise((0, *breaks)):
        with pytest.raises(ConnectionResetError):
            await resource.uploads.upload("up-1", header, start, broken(LARGE[start:end]))
    committed = await resource.uploads.committed("up-1")

    footage, held = await upload(resource, header, LARGE[committed:], offset=committed)

    assert committed == breaks[-1]
    assert not held
    assert [key.rpartition("/")[2] for key in await keys(bucket)] == [
        footage.header.sha256,
        "manifest.json",
        "original",
        f"timeline-{timeline.VERSION}.npz",
    ]
    assert await bucket.sha256((await keys(bucket))[2]) == footage.header.sha256


async def test_an_upload_may_go_on_from_its_last_whole_part(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    header = make.header(LARGE)
    with pytest.raises(ConnectionResetError):
        await resource.uploads.upload("up-1", header, 0, broken(LARGE[:-10]))

    # As whoever asked before the rest of the broken call was kept.
    footage, _ = await upload(resource, header, LARGE[2 * PART_BYTES :], offset=2 * PART_BYTES)

    assert await bucket.sha256((await keys(bucket))[2]) == footage.header.sha256


async def test_what_is_kept_of_one_upload_is_no_part_of_another(
    resource: FootageResource, make: Any
) -> None:
    header = make.header()
    with pytest.raises(errors.InvalidArgumentError):
        await upload(resource, header, CONTENT[:4])

    with pytest.raises(errors.AbortedError) as refused:
        await upload(resource, header, CONTENT[4:], offset=4, request_id="up-2")

    assert refused.value.metadata == {"committed_size_bytes": "0"}


async def test_a_resumed_upload_is_retained_from_its_first_byte(
    resource: FootageResource, clock: Any, make: Any
) -> None:
    begun = clock.now()
    with pytest.raises(ConnectionResetError):
        await resource.uploads.upload("up-1", make.header(LARGE), 0, broken(LARGE[:-10]))
    clock.advance(timedelta(hours=20))

    footage, _ = await upload(
        resource, make.header(LARGE), LARGE[2 * PART_BYTES :], offset=2 * PART_BYTES
    )

    assert (footage.receive_time, footage.delete_time) == (begun, begun + FOOTAGE_LIMIT)


async def test_a_resumed_upload_with_other_bytes_is_refused_and_removed(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    with pytest.raises(ConnectionResetError):
        await resource.uploads.upload("up-1", make.header(LARGE), 0, broken(LARGE[:-10]))
    rest = LARGE[2 * PART_BYTES :]

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await upload(resource, make.header(LARGE), rest[::-1], offset=2 * PART_BYTES)

    assert refused.value.reason is errors.Reason.UPLOAD_DIGEST_MISMATCH
    assert await keys(bucket) == []


@pytest.mark.parametrize("offset", [1, PART_BYTES])
async def test_an_upload_from_a_wrong_offset_is_told_the_right_one(
    resource: FootageResource, make: Any, offset: int
) -> None:
    with pytest.raises(errors.AbortedError) as refused:
        await upload(resource, make.header(LARGE), LARGE[offset:], offset=offset)

    assert refused.value.reason is errors.Reason.UPLOAD_OFFSET_MISMATCH
    assert refused.value.metadata == {"committed_size_bytes": "0"}


async def test_an_upload_that_begins_again_where_parts_are_kept_is_told_so(
    resource: FootageResource, make: Any
) -> None:
    with pytest.raises(ConnectionResetError):
        await resource.uploads.upload("up-1", make.header(LARGE), 0, broken(LARGE[:-10]))

    with pytest.raises(errors.AbortedError) as refused:
        await upload(resource, make.header(LARGE), LARGE)

    assert refused.value.metadata == {"committed_size_bytes": str(len(LARGE) - 10)}


async def test_too_few_bytes_are_refused_and_kept_for_the_rest(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    with pytest.raises(errors.InvalidArgumentError) as refused:
        await upload(resource, make.header(LARGE), LARGE[:-1])

    assert refused.value.reason is errors.Reason.UPLOAD_SIZE_MISMATCH
    assert refused.value.metadata == {
        "expected": str(len(LARGE)),
        "received": str(len(LARGE) - 1),
    }
    assert await resource.uploads.committed("up-1") == len(LARGE) - 1
    (kept,) = await keys(bucket)
    assert kept.endswith("-2")


async def test_too_many_bytes_are_refused_as_soon_as_they_come(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    with pytest.raises(errors.InvalidArgumentError) as refused:
        await upload(resource, make.header(size_bytes=8), CONTENT)

    assert refused.value.reason is errors.Reason.UPLOAD_SIZE_MISMATCH
    assert await keys(bucket) == []


async def test_other_bytes_than_announced_are_refused_and_removed(
    resource: FootageResource,
    bucket: InMemoryFootageStore,
    uploads: InMemoryKeyValueStore,
    make: Any,
) -> None:
    with pytest.raises(errors.InvalidArgumentError) as refused:
        await upload(resource, make.header(), CONTENT[::-1])

    assert refused.value.reason is errors.Reason.UPLOAD_DIGEST_MISMATCH
    assert refused.value.metadata == {
        "expected": hashlib.sha256(CONTENT).hexdigest(),
        "received": hashlib.sha256(CONTENT[::-1]).hexdigest(),
    }
    assert (await keys(bucket), await uploads.entries()) == ([], [])


async def test_a_file_that_cannot_be_searched_is_refused_and_removed(
    resource: FootageResource, bucket: InMemoryFootageStore, prober: Any, make: Any
) -> None:
    prober.problem = errors.InvalidArgumentError("no", reason=errors.Reason.FOOTAGE_UNREADABLE)

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await upload(resource, make.header())

    assert refused.value.reason is errors.Reason.FOOTAGE_UNREADABLE
    assert await keys(bucket) == []


async def test_an_upload_whose_check_could_not_be_made_is_finished_by_resuming_it(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    header = make.header()
    prober.problem = errors.unavailable("S3", "somewhere", "start it")
    with pytest.raises(errors.UnavailableError):
        await upload(resource, header)
    prober.problem = None

    committed = await resource.uploads.committed("up-1")
    footage, _ = await upload(resource, header, b"", offset=committed)

    assert committed == header.size_bytes
    assert await resource.library.get(footage.footage_id) == footage


async def test_an_upload_that_broke_off_twice_is_finished_when_only_its_check_is_left(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    header = make.header()
    with pytest.raises(errors.InvalidArgumentError):
        await upload(resource, header, CONTENT[:4])
    monkey, bucket.objects = bucket.objects, away  # type: ignore[method-assign]
    with pytest.raises(errors.UnavailableError):  # all has come, and the rest of before stays
        await upload(resource, header, CONTENT[4:], offset=4)
    bucket.objects = monkey  # type: ignore[method-assign]

    committed = await resource.uploads.committed("up-1")
    footage, _ = await upload(resource, header, b"", offset=committed)

    assert committed == header.size_bytes
    assert await resource.library.get(footage.footage_id) == footage
    assert not any("tail" in key for key in await keys(bucket))


async def test_the_same_file_again_is_the_same_footage(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    first, _ = await upload(resource, make.header())

    again, held = await upload(resource, make.header(file_name="copy.mp4"), request_id="up-2")

    assert (again, held) == (first, True)
    assert len(prober.urls) == 1


@pytest.mark.parametrize("change", ["camera", "start"])
async def test_the_same_file_of_elsewhere_is_refused(
    resource: FootageResource, make: Any, change: str
) -> None:
    first, _ = await upload(resource, make.header())
    elsewhere = {
        "camera": make.header(camera_id="cam-2"),
        "start": make.header(start_time=make.recorded + timedelta(seconds=1)),
    }[change]

    with pytest.raises(errors.AlreadyExistsError) as refused:
        await upload(resource, elsewhere, request_id="up-2")

    assert refused.value.reason is errors.Reason.FOOTAGE_EXISTS_ELSEWHERE
    assert refused.value.metadata == {
        "footage_id": first.footage_id,
        "camera_id": "cam-1",
        "start_time": "2026-11-20T10:00:00+00:00",
    }


async def test_the_same_file_may_come_again_after_it_was_deleted(
    resource: FootageResource, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    await resource.eraser.delete(footage.footage_id)

    again, held = await upload(resource, make.header(camera_id="cam-2"), request_id="up-2")

    assert not held
    assert again.header.camera_id == "cam-2"


async def test_footage_of_an_unknown_camera_is_refused(
    resource: FootageResource, make: Any
) -> None:
    with pytest.raises(errors.NotFoundError) as refused:
        await upload(resource, make.header(camera_id="cam-9"))

    assert refused.value.reason is errors.Reason.CAMERA_NOT_FOUND


async def test_a_recording_that_starts_too_recently_is_refused_before_its_bytes(
    resource: FootageResource, prober: Any, make: Any
) -> None:
    with pytest.raises(errors.FailedPreconditionError) as refused:
        await upload(resource, make.header(start_time=make.now - timedelta(minutes=14)))

    assert refused.value.reason is errors.Reason.FOOTAGE_TOO_RECENT
    assert refused.value.metadata["min_footage_age"] == "900s"
    assert prober.urls == []


async def test_a_recording_that_ends_too_recently_is_refused_and_removed(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    header = make.header(start_time=make.now - timedelta(minutes=15, seconds=59))

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await upload(resource, header)

    assert refused.value.reason is errors.Reason.FOOTAGE_TOO_RECENT
    assert await keys(bucket) == []


async def test_a_recording_that_has_just_become_old_enough_is_taken(
    resource: FootageResource, make: Any
) -> None:
    _, held = await upload(resource, make.header(start_time=make.now - timedelta(minutes=16)))

    assert not held


async def test_a_request_id_belongs_to_one_upload(resource: FootageResource, make: Any) -> None:
    with pytest.raises(ConnectionResetError):
        await resource.uploads.upload("up-1", make.header(LARGE), 0, broken(LARGE[:-10]))

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await upload(resource, make.header())

    assert refused.value.reason is errors.Reason.REQUEST_ID_REUSED


async def test_a_request_id_belongs_to_one_way_of_uploading(
    resource: FootageResource, make: Any
) -> None:
    await resource.uploads.upload_url("up-1", make.header())

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await upload(resource, make.header())

    assert refused.value.reason is errors.Reason.REQUEST_ID_REUSED


async def test_an_upload_by_url_has_committed_nothing(resource: FootageResource, make: Any) -> None:
    await resource.uploads.upload_url("up-1", make.header())

    assert await resource.uploads.committed("up-1") == 0


async def test_an_unknown_upload_has_no_progress(resource: FootageResource) -> None:
    with pytest.raises(errors.NotFoundError) as refused:
        await resource.uploads.committed("up-1")

    assert refused.value.reason is errors.Reason.UPLOAD_NOT_FOUND


async def test_a_file_put_to_its_url_becomes_footage(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    await put(resource, bucket, make.header(), CONTENT)

    footage = await resource.uploads.complete_upload("up-1")

    assert await resource.library.get(footage.footage_id) == footage


async def test_an_upload_by_url_that_an_earlier_version_began_is_begun_again(
    resource: FootageResource, bucket: InMemoryFootageStore, uploads: Any, clock: Any, make: Any
) -> None:
    header = make.header()
    written = records.encode(Upload(header, clock.now(), None))
    before = written.replace(b',"staging":"","admissions":[]', b"")
    await uploads.create("up-1", before)
    await bucket.put(f"{footage_folder(header.footage_id)}original", CONTENT, content_type="x/y")

    with pytest.raises(errors.NotFoundError, match="begin it again"):
        await resource.uploads.complete_upload("up-1")
    await put(resource, bucket, header, CONTENT)

    assert before != written
    assert (await resource.uploads.complete_upload("up-1")).header == header


async def test_an_upload_by_url_whose_check_could_not_be_made_is_finished_by_completing_it(
    resource: FootageResource, bucket: InMemoryFootageStore, prober: Any, make: Any
) -> None:
    await put(resource, bucket, make.header(), CONTENT)
    prober.problem = errors.unavailable("S3", "somewhere", "start it")
    with pytest.raises(errors.UnavailableError):
        await resource.uploads.complete_upload("up-1")
    prober.problem = None

    footage = await resource.uploads.complete_upload("up-1")

    assert await resource.library.get(footage.footage_id) == footage
    assert await bucket.objects("staging/") == []


async def test_a_recording_whose_file_was_written_over_by_another_upload_is_removed(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any, monkeypatch: Any
) -> None:
    header = make.header(LARGE)
    changed = LARGE[:-1] + b"!"
    with pytest.raises(ConnectionResetError):
        await resource.uploads.upload("up-1", header, 0, broken(changed[:-100]))
    offset = await resource.uploads.committed("up-1")
    complete = bucket.complete_multipart

    async def after_another(*args: Any) -> None:
        monkeypatch.setattr(bucket, "complete_multipart", complete)
        await upload(resource, header, LARGE, request_id="up-2")
        await complete(*args)

    monkeypatch.setattr(bucket, "complete_multipart", after_another)
    with pytest.raises(errors.InvalidArgumentError) as refused:
        await resource.uploads.upload("up-1", header, offset, stream(changed[offset:]))

    assert refused.value.reason is errors.Reason.UPLOAD_DIGEST_MISMATCH
    assert await resource.library.find() == []
    assert await keys(bucket) == []


async def test_an_upload_url_says_when_it_expires(
    resource: FootageResource, clock: Any, make: Any
) -> None:
    answer = await resource.uploads.upload_url("up-1", make.header())

    assert isinstance(answer, tuple)
    assert answer[1] == clock.now() + UPLOAD_URL_LIFETIME


async def test_a_file_that_is_held_needs_no_url(resource: FootageResource, make: Any) -> None:
    footage, _ = await upload(resource, make.header())

    assert await resource.uploads.upload_url("up-2", make.header()) == footage


async def test_completing_an_upload_twice_gives_the_same_footage(
    resource: FootageResource, bucket: InMemoryFootageStore, prober: Any, make: Any
) -> None:
    await put(resource, bucket, make.header(), CONTENT)
    first = await resource.uploads.complete_upload("up-1")

    again = await resource.uploads.complete_upload("up-1")  # the answer was lost

    assert again == first
    assert len(prober.urls) == 1
    assert await resource.uploads.committed("up-1") == len(CONTENT)


async def test_completing_an_upload_that_broke_off_after_its_manifest_is_finished(
    resource: FootageResource,
    bucket: InMemoryFootageStore,
    uploads: InMemoryKeyValueStore,
    make: Any,
) -> None:
    await put(resource, bucket, make.header(), CONTENT)
    ticket = await uploads.get("up-1")
    assert ticket is not None
    first = await resource.uploads.complete_upload("up-1")
    await uploads.put("up-1", ticket.value)

    again = await resource.uploads.complete_upload("up-1")

    (entry,) = await uploads.entries()
    assert again == first
    assert records.decode(entry.value, Upload).done


async def test_an_upload_whose_footage_was_removed_is_not_complete_any_more(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    await put(resource, bucket, make.header(), CONTENT)
    footage = await resource.uploads.complete_upload("up-1")
    await resource.eraser.delete(footage.footage_id)

    with pytest.raises(errors.NotFoundError) as refused:
        await resource.uploads.complete_upload("up-1")

    assert refused.value.reason is errors.Reason.UPLOAD_NOT_FOUND


@pytest.mark.parametrize("content", [CONTENT, CONTENT[::-1]], ids=["the same", "another"])
async def test_the_request_id_of_an_upload_that_is_done_may_be_used_again(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any, content: bytes
) -> None:
    await put(resource, bucket, make.header(), CONTENT)
    await resource.eraser.delete((await resource.uploads.complete_upload("up-1")).footage_id)

    await put(resource, bucket, make.header(content), content)
    again = await resource.uploads.complete_upload("up-1")

    assert await resource.library.find() == [again]


async def test_an_upload_that_was_recorded_by_an_earlier_version_is_under_way(
    resource: FootageResource,
    bucket: InMemoryFootageStore,
    uploads: InMemoryKeyValueStore,
    make: Any,
) -> None:
    await put(resource, bucket, make.header(), CONTENT)
    entry = await uploads.get("up-1")
    assert entry is not None
    await uploads.put("up-1", entry.value.replace(b',"done":false', b""))

    footage = await resource.uploads.complete_upload("up-1")

    assert await resource.library.get(footage.footage_id) == footage


@pytest.mark.parametrize(("content", "received"), [(CONTENT[:-1], "8"), (CONTENT + b"!", "10")])
async def test_a_file_of_another_size_is_not_completed(
    resource: FootageResource,
    bucket: InMemoryFootageStore,
    make: Any,
    content: bytes,
    received: str,
) -> None:
    await put(resource, bucket, make.header(), content)

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await resource.uploads.complete_upload("up-1")

    assert refused.value.reason is errors.Reason.UPLOAD_SIZE_MISMATCH
    assert refused.value.metadata == {"expected": "9", "received": received}


async def test_an_upload_is_not_complete_before_its_file_came(
    resource: FootageResource, make: Any
) -> None:
    await resource.uploads.upload_url("up-1", make.header())

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await resource.uploads.complete_upload("up-1")

    assert refused.value.reason is errors.Reason.UPLOAD_SIZE_MISMATCH


async def test_a_file_with_other_bytes_is_not_completed_and_is_removed(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    await put(resource, bucket, make.header(), CONTENT[::-1])

    with pytest.raises(errors.InvalidArgumentError) as refused:
        await resource.uploads.complete_upload("up-1")

    assert refused.value.reason is errors.Reason.UPLOAD_DIGEST_MISMATCH
    assert await keys(bucket) == []


async def test_a_file_that_came_elsewhere_meanwhile_is_not_completed_and_is_removed(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    await put(resource, bucket, make.header(), CONTENT)
    other, _ = await upload(resource, make.header(camera_id="cam-2"), request_id="up-2")

    with pytest.raises(errors.AlreadyExistsError) as refused:
        await resource.uploads.complete_upload("up-1")

    assert refused.value.reason is errors.Reason.FOOTAGE_EXISTS_ELSEWHERE
    assert await resource.library.find() == [other]
    assert len(await keys(bucket)) == 4


async def test_an_unknown_upload_is_not_completed(resource: FootageResource) -> None:
    with pytest.raises(errors.NotFoundError) as refused:
        await resource.uploads.complete_upload("up-1")

    assert refused.value.reason is errors.Reason.UPLOAD_NOT_FOUND


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


async def test_deleted_footage_is_gone(
    resource: FootageResource, bucket: InMemoryFootageStore, matcher: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())

    await resource.eraser.delete(footage.footage_id)

    assert await keys(bucket) == []
    assert matcher.erased == [footage.footage_id]


async def test_a_deletion_whose_sightings_could_not_be_erased_can_be_repeated(
    resource: FootageResource, bucket: InMemoryFootageStore, matcher: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    matcher.problem = errors.unavailable("matching", "somewhere", "start it")
    with pytest.raises(errors.UnavailableError):
        await resource.eraser.delete(footage.footage_id)
    left = await keys(bucket)
    matcher.problem = None

    await resource.eraser.delete(footage.footage_id)

    assert not [key for key in left if key.endswith("/original")]
    assert await keys(bucket) == []


class Stubborn(InMemoryFootageStore):
    """Does not let go of files."""

    stubborn = True

    async def delete(self, key: str) -> None:
        if not (self.stubborn and key.endswith("/original")):
            await super().delete(key)


async def test_a_deletion_that_did_not_work_is_said_and_can_be_repeated(
    resource: FootageResource, matcher: Any, make: Any
) -> None:
    bucket = Stubborn()
    for part in (
        resource.uploads,
        resource.library,
        resource.library.finder,
        resource.eraser,
    ):
        part._store = bucket  # type: ignore[attr-defined]
    footage, _ = await upload(resource, make.header())
    with pytest.raises(errors.UnavailableError):
        await resource.eraser.delete(footage.footage_id)
    bucket.stubborn = False

    await resource.eraser.delete(footage.footage_id)

    assert await keys(bucket) == []
    assert matcher.erased == [footage.footage_id]


async def test_a_deletion_in_a_bucket_with_versions_leaves_none(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    bucket.versioning = Versioning.ENABLED
    await bucket.put(f"{footage_folder(footage.footage_id)}presence/a", b"1", content_type="a/b")
    await bucket.hide(f"{footage_folder(footage.footage_id)}presence/a")

    await resource.eraser.delete(footage.footage_id)

    assert await bucket.left("") == 0
    (erasure,) = (await resource.reporter.report()).erasures
    assert erasure.erase_time is not None


async def test_a_recording_that_a_lock_keeps_is_not_said_to_be_deleted(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    bucket.locked = True

    with pytest.raises(errors.FailedPreconditionError, match="object lock is on") as refused:
        await resource.eraser.delete(footage.footage_id)
    under_way = (await resource.reporter.report()).erasures
    bucket.locked = False
    await resource.eraser.delete(footage.footage_id)

    assert refused.value.reason is errors.Reason.RETENTION_UNSAFE
    assert [one.erase_time for one in under_way] == [None]
    assert await keys(bucket) == []


async def test_a_recording_that_was_copied_elsewhere_is_not_said_to_be_gone(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    bucket.copied = True

    with pytest.raises(errors.FailedPreconditionError, match="copies are not deleted") as refused:
        await resource.eraser.delete(footage.footage_id)
    await resource.eraser.finish_erasures()

    assert refused.value.reason is errors.Reason.RETENTION_UNSAFE
    assert await keys(bucket) == []
    assert [one.erase_time for one in (await resource.reporter.report()).erasures] == [None]


async def test_a_deletion_is_not_at_its_end_while_an_old_version_is_there(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    bucket.versioning, left = Versioning.ENABLED, bucket.left

    async def one_is_left(prefix: str) -> int:
        return await left(prefix) + 1

    bucket.left = one_is_left  # type: ignore[method-assign]
    with pytest.raises(errors.FailedPreconditionError, match="versioning is on"):
        await resource.eraser.delete(footage.footage_id)
    await resource.eraser.finish_erasures()
    under_way = (await resource.reporter.report()).erasures
    bucket.left = left  # type: ignore[method-assign]
    await resource.eraser.finish_erasures()

    assert [one.erase_time for one in under_way] == [None]
    assert None not in [one.erase_time for one in (await resource.reporter.report()).erasures]


async def test_footage_is_deleted_once(resource: FootageResource, make: Any) -> None:
    footage, _ = await upload(resource, make.header())
    await resource.eraser.delete(footage.footage_id)

    with pytest.raises(errors.NotFoundError) as refused:
        await resource.eraser.delete(footage.footage_id)

    assert refused.value.reason is errors.Reason.FOOTAGE_NOT_FOUND


async def test_expired_footage_can_still_be_deleted(
    resource: FootageResource, bucket: InMemoryFootageStore, clock: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    clock.advance(FOOTAGE_LIMIT)

    await resource.eraser.delete(footage.footage_id)

    assert await keys(bucket) == []


async def test_the_report_of_nothing_says_so(resource: FootageResource, clock: Any) -> None:
    report = await resource.reporter.report()

    footage, *_ = report.held
    assert (footage.count, footage.size_bytes, footage.oldest, report.overdue) == (0, 0, None, ())
    assert (report.lifecycle.longest_days, report.made) == (29, clock.now())


async def test_the_report_counts_what_is_held_and_names_what_is_overdue(
    resource: FootageResource, clock: Any, make: Any
) -> None:
    old, _ = await upload(resource, make.header(b"old"), b"old", request_id="1")
    clock.advance(timedelta(days=1))
    await upload(resource, make.header(b"newer"), b"newer", request_id="2")
    clock.advance(FOOTAGE_LIMIT - timedelta(days=1))

    report = await resource.reporter.report()

    footage, *_ = report.held
    assert (footage.name, footage.count, footage.size_bytes, footage.overdue) == (
        "footage",
        2,
        8,
        1,
    )
    assert (footage.oldest, report.overdue) == (old.receive_time, (old.footage_id,))


async def test_the_report_counts_what_belongs_to_nothing(
    *, resource: FootageResource, bucket: InMemoryFootageStore, clock: Any, make: Any
) -> None:
    await upload(resource, make.header(), request_id="up-0")
    other = make.header(b"another")
    await put(resource, bucket, other, b"another")
    known = {one.name: one for one in (await resource.reporter.report()).held}
    for key in ("staging/x", "by-sha256/0", "elsewhere", "footage/cam-1/2026/11/20/x/original"):
        await bucket.put(key, b"12", content_type="x/y")
    clock.advance(2 * ABANDONED_AFTER)

    told = {one.name: one for one in (await resource.reporter.report()).held}

    staged, unclaimed = known["staged files"], known["unclaimed objects"]
    assert (staged.count, staged.size_bytes, staged.overdue, unclaimed.count) == (1, 7, 0, 0)
    assert told["staged files"].overdue == 1
    unclaimed = told["unclaimed objects"]
    assert (unclaimed.count, unclaimed.size_bytes, unclaimed.overdue) == (4, 8, 4)
    assert told["footage"].overdue == 0


@pytest.mark.parametrize(("ahead", "overdue"), [(CLOCKS_APART, 0), (2 * CLOCKS_APART, 1)])
async def test_what_is_dated_ahead_is_told_as_a_breach(
    *,
    resource: FootageResource,
    bucket: InMemoryFootageStore,
    clock: Any,
    make: Any,
    ahead: timedelta,
    overdue: int,
) -> None:
    footage, _ = await upload(resource, make.header())
    clock.advance(ahead)
    await bucket.put("elsewhere", b"12", content_type="x/y")
    file = f"{footage_folder(footage.footage_id)}original"
    await bucket.put(file, CONTENT, content_type="x/y")
    clock.advance(-ahead)

    report = await resource.reporter.report()

    told = {one.name: one.overdue for one in report.held}
    assert (told["footage"], told["unclaimed objects"]) == (overdue, overdue)
    assert report.overdue == (footage.footage_id,) * overdue


async def test_the_report_counts_what_scans_keep_beside_recordings(
    resource: FootageResource, bucket: InMemoryFootageStore, clock: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    folder = footage_folder(footage.footage_id)
    await bucket.put(f"{folder}presence/v-0-1.json", b"12", content_type="")
    await bucket.put(f"{folder}incomparable/scan-0-1.json", b"123", content_type="")
    clock.advance(FOOTAGE_LIMIT)

    report = await resource.reporter.report()

    beside = report.held[1:3]
    assert [(one.name, one.count, one.size_bytes, one.overdue) for one in beside] == [
        ("presence index", 1, 2, 1),
        ("times without comparison", 1, 3, 1),
    ]


async def test_a_deletion_is_written_down_from_its_beginning(
    resource: FootageResource, bucket: InMemoryFootageStore, clock: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())

    class BrokenOffError(Exception):
        pass

    async def breaks(key: str) -> None:
        del key
        raise BrokenOffError

    whole, bucket.delete = bucket.delete, breaks  # type: ignore[method-assign]
    with pytest.raises(BrokenOffError):
        await resource.eraser.delete(footage.footage_id)
    (begun,) = (await resource.reporter.report()).erasures
    bucket.delete = whole  # type: ignore[method-assign]
    clock.advance(timedelta(hours=1))
    await resource.eraser.delete(footage.footage_id)
    (done,) = (await resource.reporter.report()).erasures

    assert (begun.footage_id, begun.erase_time) == (footage.footage_id, None)
    assert (done.footage_id, done.erase_time) == (footage.footage_id, clock.now())


async def test_nothing_is_taken_in_that_the_store_would_not_forget(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    bucket.problems = ["bucket footage: versioning is on; suspend it"]

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await upload(resource, make.header())
    bucket.problems = []
    await upload(resource, make.header())

    assert refused.value.reason is errors.Reason.RETENTION_UNSAFE
    assert "suspend it" in refused.value.message


async def test_a_store_that_was_changed_is_noticed_within_a_minute(
    resource: FootageResource, bucket: InMemoryFootageStore, clock: Any, make: Any
) -> None:
    await upload(resource, make.header())
    bucket.problems = ["bucket footage: object lock is on"]
    clock.advance(RULES_TRUSTED)

    with pytest.raises(errors.FailedPreconditionError):
        await upload(resource, make.header(b"other"), b"other", request_id="up-2")


async def test_a_reader_gets_a_url_for_a_segments_work(
    resource: FootageResource, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())

    url = await resource.library.url(footage)

    assert url.endswith(f"{footage.footage_id}/original?method=get&expires=21600")


async def test_an_expired_recording_does_not_come_in_again_while_it_is_still_held(
    resource: FootageResource, clock: Any, make: Any
) -> None:
    await upload(resource, make.header())
    clock.advance(FOOTAGE_LIMIT)

    with pytest.raises(errors.FailedPreconditionError) as refusal:
        await upload(resource, make.header(), request_id="up-2")

    assert refusal.value.reason is errors.Reason.FOOTAGE_EXPIRED


async def test_a_camera_whose_clock_is_slow_does_not_make_a_recording_older(
    resource: FootageResource, cameras: Cameras, clock: Any, make: Any
) -> None:
    await cameras.create("slow", CameraDetails(clock_offset=timedelta(hours=-1)))
    begun = clock.now() - timedelta(hours=1, minutes=2)

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await upload(resource, make.header(camera_id="slow", start_time=begun))

    assert refused.value.reason is errors.Reason.FOOTAGE_TOO_RECENT


async def test_a_camera_whose_clock_is_fast_may_seem_to_record_in_the_future(
    resource: FootageResource, cameras: Cameras, clock: Any, make: Any
) -> None:
    await cameras.create("fast", CameraDetails(clock_offset=timedelta(hours=3)))
    begun = clock.now() + timedelta(hours=1)

    footage, _ = await upload(resource, make.header(camera_id="fast", start_time=begun))

    assert footage.header.start_time == begun


async def test_a_url_to_read_by_ends_with_the_recordings_deadline(
    resource: FootageResource, clock: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    clock.advance(FOOTAGE_LIMIT)

    with pytest.raises(errors.FailedPreconditionError) as refused:
        await resource.library.url(footage)

    assert refused.value.reason is errors.Reason.FOOTAGE_EXPIRED


async def test_another_upload_that_is_damaged_leaves_the_recording_alone(
    resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    first_bytes_came = asyncio.Event()
    first_is_done = asyncio.Event()

    async def damaged_and_slow() -> AsyncIterator[bytes]:
        first_bytes_came.set()
        await first_is_done.wait()
        yield b"x" * len(CONTENT)

    late = asyncio.create_task(
        resource.uploads.upload("up-2", make.header(), 0, damaged_and_slow())
    )
    await first_bytes_came.wait()
    footage, _ = await upload(resource, make.header())
    first_is_done.set()
    with pytest.raises(errors.InvalidArgumentError) as refused:
        await late

    assert refused.value.reason is errors.Reason.UPLOAD_DIGEST_MISMATCH
    assert await resource.library.get(footage.footage_id) == footage
    assert await bucket.get(f"{footage_folder(footage.footage_id)}original") == CONTENT
