"""Giving recordings up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from footage_uploading import keys, upload

from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.footage.layout import FootageLayout, footage_folder
from homeward.ingestion.footage.resource import FootageResource
from homeward.servicekit import errors
from homeward.servicekit.objects import Versioning


async def test_deleted_footage_is_gone(
    resource: FootageResource, bucket: InMemoryFootageStore, matcher: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())

    await resource.eraser.delete(footage.footage_id)

    assert await keys(bucket) == []
    assert matcher.erased == [footage.footage_id]
    assert matcher.erased_of == [footage.receive_time]


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


async def test_a_recording_whose_manifest_is_damaged_can_be_removed(
    resource: FootageResource, bucket: InMemoryFootageStore, matcher: Any, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    layout = FootageLayout(footage.footage_id)
    await bucket.put(layout.manifest, b"{", content_type="application/json")
    with pytest.raises(errors.FailedPreconditionError) as refused:
        await upload(resource, make.header(), request_id="again")

    await resource.eraser.delete(footage.footage_id)

    assert refused.value.reason is errors.Reason.FOOTAGE_DAMAGED
    assert await keys(bucket) == []
    assert matcher.erased_of == [footage.receive_time]
    await upload(resource, make.header(), request_id="again")
