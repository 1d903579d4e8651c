from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homeward.core.inventory import ABANDONED_AFTER, BACKSTOP_DAYS, FOOTAGE_LIMIT, swept_after
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.footage.counts import RetentionTerms
from homeward.ingestion.footage.layout import footage_folder
from homeward.ingestion.footage.model import Upload
from homeward.ingestion.footage.records import FootageRecords
from homeward.ingestion.footage.resource import FootageResource
from homeward.ingestion.footage.sweep import FootageSweeper, SweepResult
from homeward.servicekit import errors, records
from homeward.servicekit.audit.acts import InMemoryActs
from homeward.servicekit.keyvalue import InMemoryKeyValueStore
from homeward.servicekit.objects import Versioning

DUE = swept_after(FOOTAGE_LIMIT)
MOMENT = timedelta(microseconds=1)


async def stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def yes() -> bool:
    return True


@pytest.fixture
def acts() -> InMemoryActs:
    return InMemoryActs()


@pytest.fixture
def sweeper(
    *,
    resource: FootageResource,
    bucket: InMemoryFootageStore,
    uploads: InMemoryKeyValueStore,
    erasures: InMemoryKeyValueStore,
    clock: Any,
    acts: InMemoryActs,
) -> FootageSweeper:
    return FootageSweeper(
        store=bucket,
        eraser=resource.eraser,
        uploads=uploads,
        records=erasures,
        clock=clock,
        acts=acts,
        terms=RetentionTerms(FOOTAGE_LIMIT, FOOTAGE_LIMIT - DUE),
    )


async def keys(bucket: InMemoryFootageStore) -> list[str]:
    return [one.key for one in await bucket.objects("")]


async def added(resource: FootageResource, make: Any, content: bytes = b"recording") -> str:
    footage, _ = await resource.uploads.upload(
        content.hex()[:20], make.header(content), 0, stream(content)
    )
    return footage.footage_id


async def hidden(resource: FootageResource, bucket: InMemoryFootageStore, make: Any) -> str:
    """Add a recording, and delete it as a lifecycle rule does."""
    bucket.versioning, versioning = Versioning.NEVER, bucket.versioning
    name = await added(resource, make)
    bucket.versioning = versioning
    for key in await keys(bucket):
        await bucket.put(key, b"again", content_type="x/y")
        await bucket.hide(key)
    return name


async def test_a_recording_stays_until_the_sweep_is_due_and_no_longer(
    sweeper: FootageSweeper, resource: FootageResource, bucket: Any, make: Any, clock: Any
) -> None:
    name = await added(resource, make)

    clock.advance(DUE - MOMENT)
    assert await sweeper.sweep(yes) == SweepResult()
    clock.advance(MOMENT)
    assert await sweeper.sweep(yes) == SweepResult(footage_ids=(name,))

    assert await keys(bucket) == []


async def test_a_removal_is_an_audit_event(
    sweeper: FootageSweeper, resource: FootageResource, acts: InMemoryActs, make: Any, clock: Any
) -> None:
    name = await added(resource, make)
    clock.advance(DUE)

    await sweeper.sweep(yes)
    await sweeper.sweep(yes)

    assert acts.recorded == [("EraseFootage", (f"footage/{name}",))]


async def test_sightings_go_with_their_recording(
    sweeper: FootageSweeper, resource: FootageResource, matcher: Any, make: Any, clock: Any
) -> None:
    name = await added(resource, make)
    clock.advance(DUE)

    await sweeper.sweep(yes)

    assert matcher.erased == [name]


async def test_a_clock_that_was_ahead_when_a_recording_came_prolongs_nothing(
    sweeper: FootageSweeper, resource: FootageResource, bucket: Any, make: Any, clock: Any
) -> None:
    # The store's clock was right: it tells when the manifest was written.
    written, bucket._clock = clock.now(), type(clock)()
    clock.advance(timedelta(days=10))
    bucket._clock.advance(written - bucket._clock.now())
    name = await added(resource, make)
    clock.advance(timedelta(days=-10) + DUE)

    assert await sweeper.sweep(yes) == SweepResult(footage_ids=(name,))


async def test_a_recording_that_cannot_be_removed_keeps_no_other(
    sweeper: FootageSweeper, resource: FootageResource, bucket: Any, make: Any, clock: Any
) -> None:
    stuck, other = await added(resource, make), await added(resource, make, b"other")
    remove = bucket.delete

    async def refuses(key: str) -> None:
        if stuck in key:
            raise errors.unavailable("S3", "http://s3:1", "it answers 503")
        await remove(key)

    bucket.delete = refuses
    clock.advance(DUE)
    assert await sweeper.sweep(yes) == SweepResult(footage_ids=(other,), failed=(stuck,))
    bucket.delete = remove

    assert await sweeper.sweep(yes) == SweepResult(footage_ids=(stuck,))


@pytest.mark.parametrize("last", range(10))
async def test_a_removal_that_broke_off_anywhere_is_finished_by_the_next_sweep(
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    make: Any,
    clock: Any,
    *,
    last: int,
) -> None:
    name = await added(resource, make)
    await bucket.put(
        f"{footage_folder(name)}presence/v-0-1.json", b"{}", content_type="application/json"
    )
    await bucket.put(
        f"{footage_folder(name)}incomparable/scan-0-1.json", b"{}", content_type="application/json"
    )
    clock.advance(DUE)
    left = last

    class Killed(BaseException):
        pass

    def dying(call: Any) -> Any:
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return await call(*args, **kwargs)

        return wrapped

    whole = bucket.delete, bucket.stat
    bucket.delete, bucket.stat = dying(bucket.delete), dying(bucket.stat)
    with pytest.raises(Killed):
        await sweeper.sweep(yes)
    bucket.delete, bucket.stat = whole
    clock.advance(ABANDONED_AFTER)

    await sweeper.sweep(yes)

    assert await keys(bucket) == []
    (erasure,) = (await resource.reporter.report()).erasures
    assert erasure.erase_time is not None


async def test_an_upload_that_is_not_done_in_a_day_goes_with_its_bytes(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    uploads: Any,
    acts: InMemoryActs,
    make: Any,
    clock: Any,
) -> None:
    header = make.header(b"recording")
    with pytest.raises(errors.InvalidArgumentError):
        await resource.uploads.upload("up-1", header, 0, stream(b"reco"))
    await resource.uploads.upload_url("up-2", make.header(b"another"))
    (awaited,) = [one for one in await uploads.entries() if one.key == "up-2"]
    staging = records.decode(awaited.value, Upload).staging
    await bucket.put(staging, b"anot", content_type="x/y")
    (multipart,) = bucket._uploads
    assert len(await keys(bucket)) == 2  # what came of each

    clock.advance(ABANDONED_AFTER - MOMENT)
    assert await sweeper.sweep(yes) == SweepResult()
    clock.advance(MOMENT)
    assert await sweeper.sweep(yes) == SweepResult(uploads=2)
    assert acts.recorded == [("EraseUploads", ())]

    assert await uploads.entries() == []
    assert await keys(bucket) == []
    assert multipart not in bucket._uploads


async def test_parts_that_an_upload_left_go_with_its_record_though_it_was_done(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    uploads: Any,
    make: Any,
    clock: Any,
) -> None:
    header = make.header(b"recording")
    await resource.uploads.upload_url("up-1", header)
    key = f"{footage_folder(header.footage_id)}original"
    broken_off = await bucket.begin_multipart(key)
    await bucket.put_part(key, broken_off, 1, b"reco")
    (entry,) = await uploads.entries()
    upload = records.decode(entry.value, Upload)
    await uploads.put("up-1", records.encode(replace(upload, admissions=(broken_off,))))
    await bucket.put(key, b"recording", content_type="x/y")
    await resource.uploads.complete_upload("up-1")

    clock.advance(ABANDONED_AFTER)
    await sweeper.sweep(yes)

    assert await uploads.entries() == []
    assert broken_off not in bucket._uploads


async def test_an_upload_that_is_given_up_leaves_the_file_of_another_one_that_is_under_way(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    uploads: Any,
    make: Any,
    clock: Any,
) -> None:
    header = make.header(b"recording")
    await resource.uploads.upload_url("up-1", header)
    clock.advance(ABANDONED_AFTER)
    await resource.uploads.upload_url("up-2", header)
    key = f"{footage_folder(header.footage_id)}original"
    await bucket.put(key, b"recording", content_type="x/y")  # as admitted, and not examined yet

    await sweeper.sweep(yes)

    assert [one.key for one in await uploads.entries()] == ["up-2"]
    assert key in await keys(bucket)


async def test_a_recording_that_has_come_again_is_not_what_the_store_left_of_it(
    *, resource: FootageResource, erasures: InMemoryKeyValueStore, make: Any
) -> None:
    name = await added(resource, make)
    (record,) = (await FootageRecords(erasures).held()).values()

    assert not await resource.eraser.delete_rest(record, by_store=True)
    assert (await resource.library.get(name)).footage_id == name


async def test_a_rule_that_cannot_be_set_keeps_nothing(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    make: Any,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuses() -> None:
        raise errors.unavailable("S3", "its bucket", "the account may not")

    await added(resource, make)
    clock.advance(DUE)
    monkeypatch.setattr(bucket, "keep_rules", refuses)

    with pytest.raises(errors.UnavailableError):
        await sweeper.sweep(yes)

    assert await keys(bucket) == []


async def test_the_record_of_an_upload_that_is_done_goes_after_a_day_and_its_footage_stays(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    uploads: Any,
    make: Any,
    clock: Any,
) -> None:
    header = make.header(b"recording")
    await resource.uploads.upload_url("up-1", header)
    key = f"{footage_folder(header.footage_id)}original"
    await bucket.put(key, b"recording", content_type="x/y")
    footage = await resource.uploads.complete_upload("up-1")

    clock.advance(ABANDONED_AFTER - MOMENT)
    await sweeper.sweep(yes)
    kept = len(await uploads.entries())
    clock.advance(MOMENT)
    swept = await sweeper.sweep(yes)

    assert (kept, len(await uploads.entries())) == (1, 0)
    assert swept == SweepResult()
    assert await resource.library.find() == [footage]


async def test_what_somebody_else_put_into_the_bucket_goes_and_stops_nothing(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    matcher: Any,
    make: Any,
    clock: Any,
) -> None:
    await bucket.put("footage/a/junk.bin", b"?", content_type="x/y")
    name = await added(resource, make)
    clock.advance(DUE)

    assert await sweeper.sweep(yes) == SweepResult(footage_ids=(name,), leftovers=1)

    assert await keys(bucket) == []
    assert matcher.erased == [name]


async def test_an_upload_that_cannot_be_removed_keeps_no_recording(
    sweeper: FootageSweeper, resource: FootageResource, bucket: Any, make: Any, clock: Any
) -> None:
    name = await added(resource, make)
    with pytest.raises(errors.InvalidArgumentError):
        await resource.uploads.upload("up-1", make.header(b"another"), 0, stream(b"anot"))

    async def refuses(*_: str) -> None:
        raise errors.unavailable("S3", "http://s3:1", "it answers 503")

    bucket.abort_multipart = refuses
    clock.advance(DUE)

    assert await sweeper.sweep(yes) == SweepResult(footage_ids=(name,))


async def put_ahead(bucket: Any, key: str, data: bytes) -> None:
    """Write an object whose writer told the store a time far ahead, as MinIO believes."""
    clock, bucket._clock = bucket._clock, type(bucket._clock)()
    bucket._clock.advance(timedelta(days=365 * 70))
    await bucket.put(key, data, content_type="x/y")
    bucket._clock = clock


async def test_what_is_dated_ahead_and_belongs_to_nothing_goes_at_once(
    sweeper: FootageSweeper, bucket: Any, make: Any
) -> None:
    folder = footage_folder(make.footage().footage_id)
    await put_ahead(bucket, f"{folder}original", b"put back")
    await put_ahead(bucket, "by-sha256/0", make.footage().footage_id.encode())

    assert await sweeper.sweep(yes) == SweepResult(leftovers=2)

    assert await keys(bucket) == []


async def test_what_is_dated_ahead_stays_while_its_upload_is_under_way(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    make: Any,
    clock: Any,
) -> None:
    header = make.header(b"recording")
    with pytest.raises(errors.InvalidArgumentError):
        await resource.uploads.upload("up-1", header, 0, stream(b"reco"))
    key = f"{footage_folder(header.footage_id)}original"
    await put_ahead(bucket, key, b"recording")
    assert await sweeper.sweep(yes) == SweepResult()
    assert key in await keys(bucket)

    clock.advance(ABANDONED_AFTER)

    assert await sweeper.sweep(yes) == SweepResult(uploads=1)
    assert await keys(bucket) == []


async def test_a_damaged_manifest_that_is_dated_ahead_keeps_nothing(
    sweeper: FootageSweeper, resource: FootageResource, bucket: Any, make: Any
) -> None:
    name = await added(resource, make)
    await put_ahead(bucket, f"{footage_folder(name)}manifest.json", b"{")

    await sweeper.sweep(yes)

    assert [key for key in await keys(bucket) if name in key] == []


async def test_a_staged_file_goes_as_soon_as_its_upload_does(
    sweeper: FootageSweeper, resource: FootageResource, bucket: Any, make: Any
) -> None:
    url, _ = await resource.uploads.upload_url("up-1", make.header(b"recording"))
    key = url.removeprefix("memory:///").partition("?")[0]
    await put_ahead(bucket, key, b"recording")
    assert await sweeper.sweep(yes) == SweepResult()
    await resource.uploads.complete_upload("up-1")
    await put_ahead(bucket, key, b"recording")

    assert await sweeper.sweep(yes) == SweepResult(leftovers=1)

    assert await bucket.objects("staging/") == []


async def test_an_upload_by_url_that_is_not_done_in_a_day_goes_with_its_copy(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    make: Any,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, _ = await resource.uploads.upload_url("up-1", make.header(b"recording"))
    await put_ahead(bucket, url.removeprefix("memory:///").partition("?")[0], b"recording")

    async def does_not_answer(*_: Any) -> None:
        raise errors.unavailable("S3", "http://s3:1", "start it")

    with monkeypatch.context() as broken:
        broken.setattr(bucket, "read", does_not_answer)
        broken.setattr(bucket, "abort_multipart", does_not_answer)
        with pytest.raises(errors.UnavailableError):
            await resource.uploads.complete_upload("up-1")
    assert len(bucket._uploads) == 1

    clock.advance(ABANDONED_AFTER)

    assert await sweeper.sweep(yes) == SweepResult(uploads=1)
    assert (await keys(bucket), bucket._uploads) == ([], {})


async def test_old_versions_go_with_the_next_sweep(
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    acts: InMemoryActs,
    make: Any,
) -> None:
    bucket.versioning = Versioning.ENABLED
    name = await hidden(resource, bucket, make)
    bucket.versioning = Versioning.SUSPENDED

    assert (await sweeper.sweep(yes)).versions > 0
    assert ("EraseOldVersions", ()) in acts.recorded

    assert await bucket.left(footage_folder(name)) == 0
    assert await bucket.keeping() == []


async def test_a_manifest_is_read_once(
    sweeper: FootageSweeper, resource: FootageResource, bucket: Any, make: Any, clock: Any
) -> None:
    await added(resource, make)
    clock.advance(ABANDONED_AFTER)
    read: list[str] = []
    get = bucket.get

    async def counting(key: str) -> Any:
        read.append(key)
        return await get(key)

    bucket.get = counting
    await sweeper.sweep(yes)
    await sweeper.sweep(yes)

    assert len(read) == 1


async def test_a_recording_whose_manifest_is_damaged_goes_by_its_age(
    sweeper: FootageSweeper, resource: FootageResource, bucket: Any, make: Any, clock: Any
) -> None:
    name = await added(resource, make)
    await bucket.put(f"{footage_folder(name)}manifest.json", b"{", content_type="x/y")

    clock.advance(DUE - MOMENT)
    assert await sweeper.sweep(yes) == SweepResult()
    clock.advance(MOMENT)
    assert await sweeper.sweep(yes) == SweepResult(leftovers=4)  # the pointer to it too

    assert await keys(bucket) == []


async def test_a_replica_that_lost_its_lease_stops(
    sweeper: FootageSweeper, resource: FootageResource, make: Any, clock: Any
) -> None:
    await added(resource, make)
    clock.advance(DUE)

    async def no() -> bool:
        return False

    assert await sweeper.sweep(no) == SweepResult()


async def test_what_comes_in_the_last_moment_of_a_day_has_its_own_deadline(
    sweeper: FootageSweeper, resource: FootageResource, bucket: Any, make: Any, clock: Any
) -> None:
    clock.advance(datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - clock.now())
    recorded = clock.now() - timedelta(hours=2)
    header = make.header(b"recording", start_time=recorded)
    footage, _ = await resource.uploads.upload("a", header, 0, stream(b"recording"))
    await resource.uploads.upload(
        "b", make.header(b"next", start_time=recorded), 0, stream(b"next")
    )
    # The store's own rule counts days from here and rounds up to midnight.
    backstop = datetime(2027, 1, 29, tzinfo=UTC)

    assert footage.delete_time == datetime(2027, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert footage.receive_time + DUE < backstop
    assert timedelta(days=2) < footage.delete_time - backstop <= timedelta(days=3)
    clock.advance(DUE - MOMENT)
    assert await sweeper.sweep(yes) == SweepResult()
    clock.advance(MOMENT)
    assert len((await sweeper.sweep(yes)).footage_ids) == 2
    assert await keys(bucket) == []
    report = await resource.reporter.report()
    assert {one.footage_id for one in report.erasures} >= {footage.footage_id}


@pytest.mark.parametrize("call", ["objects", "stat", "delete", "get"])
async def test_a_store_that_answers_503_loses_nothing_and_is_swept_when_it_is_back(
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    make: Any,
    clock: Any,
    *,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    due, _ = await added(resource, make), clock.advance(DUE - timedelta(days=2))
    kept = await added(resource, make, b"newer")
    clock.advance(timedelta(days=2))

    async def answers_503(*_: object) -> None:
        raise errors.unavailable("S3", "http://s3:1", "it answers 503")

    with monkeypatch.context() as broken:
        broken.setattr(bucket, call, answers_503)
        with contextlib.suppress(errors.UnavailableError):
            assert due not in (await sweeper.sweep(yes)).footage_ids

    await sweeper.sweep(yes)
    (erasure,) = (await resource.reporter.report()).erasures
    assert (erasure.footage_id, erasure.erase_time is not None) == (due, True)
    with pytest.raises(errors.NotFoundError):
        await resource.library.get(due)
    assert (await resource.library.get(kept)).footage_id == kept


async def test_a_clock_that_jumps_ahead_removes_early_and_one_that_jumps_back_removes_nothing(
    sweeper: FootageSweeper, resource: FootageResource, make: Any, clock: Any
) -> None:
    first = await added(resource, make)
    clock.advance(timedelta(days=-3))
    assert await sweeper.sweep(yes) == SweepResult()
    assert (await resource.library.get(first)).footage_id == first

    clock.advance(timedelta(days=400))
    assert await sweeper.sweep(yes) == SweepResult(footage_ids=(first,))

    clock.advance(timedelta(days=-397))
    with pytest.raises(errors.NotFoundError):  # it does not come back with the time
        await resource.library.get(first)
    assert await added(resource, make) == first  # but may be added again


async def test_what_the_store_removed_by_itself_is_finished_and_written_down(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    matcher: Any,
    make: Any,
    clock: Any,
) -> None:
    name = await added(resource, make)
    footage = await resource.library.get(name)
    clock.advance(DUE)
    # Nobody sweeps, and the rule counts what a scan wrote only now from now on.
    await bucket.put(f"{footage_folder(name)}presence/v-0-1.json", b"{}", content_type="x/y")
    clock.advance(timedelta(days=2))
    bucket.expire(BACKSTOP_DAYS)
    left = await keys(bucket)

    assert await sweeper.sweep(yes) == SweepResult(by_store=(name,))

    assert left == [f"{footage_folder(name)}presence/v-0-1.json"]
    assert await keys(bucket) == []
    assert matcher.erased == [name]
    (erasure,) = (await resource.reporter.report()).erasures
    assert (erasure.footage_id, erasure.by_store) == (name, True)
    assert (erasure.receive_time, erasure.delete_time) == (
        footage.receive_time,
        footage.delete_time,
    )
    assert erasure.erase_time == clock.now()
    assert await sweeper.sweep(yes) == SweepResult()


async def test_a_recording_whose_bytes_went_at_midnight_is_not_listed_and_is_finished(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    matcher: Any,
    make: Any,
) -> None:
    name = await added(resource, make)
    await bucket.delete(f"{footage_folder(name)}original")

    assert await resource.library.find() == []
    with pytest.raises(errors.NotFoundError):
        await resource.library.get(name)
    assert await sweeper.sweep(yes) == SweepResult(by_store=(name,))

    assert await keys(bucket) == []
    assert matcher.erased == [name]
    (erasure,) = (await resource.reporter.report()).erasures
    assert erasure.by_store


async def test_a_recording_that_is_being_taken_in_is_not_taken_for_one_that_went(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, swept = bucket.put, []

    async def meanwhile(key: str, data: bytes, **options: Any) -> None:
        swept.append(await sweeper.sweep(yes))
        await put(key, data, **options)

    monkeypatch.setattr(bucket, "put", meanwhile)
    name = await added(resource, make)

    assert set(swept) == {SweepResult()}
    assert (await resource.library.get(name)).footage_id == name


async def test_a_recording_from_before_there_were_records_of_them_is_written_down_too(
    *,
    sweeper: FootageSweeper,
    resource: FootageResource,
    bucket: Any,
    erasures: InMemoryKeyValueStore,
    make: Any,
    clock: Any,
) -> None:
    name = await added(resource, make)
    await erasures.erase(f"held.cam-1.20261120.{name}")
    await sweeper.sweep(yes)
    clock.advance(timedelta(days=BACKSTOP_DAYS + 1))
    bucket.expire(BACKSTOP_DAYS)

    assert await sweeper.sweep(yes) == SweepResult(by_store=(name,))


async def test_what_the_sweep_removed_is_not_said_to_have_gone_by_itself(
    sweeper: FootageSweeper,
    resource: FootageResource,
    erasures: InMemoryKeyValueStore,
    make: Any,
    clock: Any,
) -> None:
    await added(resource, make)
    clock.advance(DUE)

    await sweeper.sweep(yes)

    (erasure,) = (await resource.reporter.report()).erasures
    assert not erasure.by_store
    assert await FootageRecords(erasures).held() == {}


async def test_an_upload_is_completed_within_a_day_or_not_at_all(
    resource: FootageResource, bucket: Any, make: Any, clock: Any
) -> None:
    # The store counts its days from the end of an upload, where it comes in parts.
    header = make.header(b"recording")
    await resource.uploads.upload_url("in time", header)
    await resource.uploads.upload_url("late", make.header(b"late"))
    for content in (b"recording", b"late"):
        key = f"{footage_folder(make.header(content).footage_id)}original"
        await bucket.put(key, content, content_type="x/y")

    clock.advance(ABANDONED_AFTER - MOMENT)
    assert (await resource.uploads.complete_upload("in time")).footage_id == header.footage_id
    clock.advance(MOMENT)
    with pytest.raises(errors.NotFoundError, match="more than 24 hours ago"):
        await resource.uploads.complete_upload("late")
