"""Taking recordings in."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from footage_uploading import CONTENT, LARGE, away, broken, keys, put, stream, upload

from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.cameras.model import CameraDetails
from homeward.ingestion.footage import timeline
from homeward.ingestion.footage.layout import footage_folder
from homeward.ingestion.footage.model import Upload
from homeward.ingestion.footage.receiving import PART_BYTES
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.uploads import UPLOAD_URL_LIFETIME
from homeward.servicekit import errors, records
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.store_rules import RULES_TRUSTED


async def test_an_uploaded_recording_is_footage(
    resource: FootageResource, prober: Any, clock: Any, make: Any
) -> None:
    footage, held = await upload(resource, make.header())

    assert not held
    assert await resource.library.get(footage.footage_id) == footage
    assert footage.media == prober.answer
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
