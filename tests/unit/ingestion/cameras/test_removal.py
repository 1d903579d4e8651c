from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from footage_uploading import CONTENT, broken, put, upload

from homeward.core.inventory import FOOTAGE_LIMIT
from homeward.ingestion.adapters.memory import InMemoryFootageStore
from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.footage.resource import FootageResource
from homeward.servicekit import errors


async def refused(cameras: Cameras, resource: FootageResource) -> errors.FailedPreconditionError:
    with pytest.raises(errors.FailedPreconditionError) as caught:
        await cameras.delete("cam-1", resource.uploads)
    assert caught.value.reason is errors.Reason.CAMERA_HAS_FOOTAGE
    assert caught.value.metadata == {"camera_id": "cam-1"}
    return caught.value


async def test_a_camera_without_recordings_is_removed(
    cameras: Cameras, resource: FootageResource, make: Any
) -> None:
    await upload(resource, make.header(camera_id="cam-2"))

    await cameras.delete("cam-1", resource.uploads)

    assert [camera.camera_id for camera, _ in await cameras.find()] == ["cam-2"]


async def test_a_camera_that_is_not_there_is_not_removed(
    cameras: Cameras, resource: FootageResource
) -> None:
    with pytest.raises(errors.NotFoundError) as caught:
        await cameras.delete("cam-9", resource.uploads)
    assert caught.value.reason is errors.Reason.CAMERA_NOT_FOUND


async def test_a_camera_with_a_recording_stays(
    cameras: Cameras, resource: FootageResource, make: Any
) -> None:
    await upload(resource, make.header())

    await refused(cameras, resource)

    assert (await cameras.get("cam-1"))[0].camera_id == "cam-1"


async def test_a_camera_whose_recording_is_removed_goes(
    cameras: Cameras, resource: FootageResource, make: Any
) -> None:
    footage, _ = await upload(resource, make.header())
    await resource.eraser.delete(footage.footage_id)

    await cameras.delete("cam-1", resource.uploads)

    assert len(await cameras.find()) == 1


async def test_a_camera_stays_while_a_recording_past_its_deadline_is_not_swept(
    cameras: Cameras, resource: FootageResource, clock: Any, make: Any
) -> None:
    await upload(resource, make.header())
    clock.advance(FOOTAGE_LIMIT + timedelta(seconds=1))

    await refused(cameras, resource)


async def test_a_camera_with_a_recording_that_nothing_but_the_store_knows_stays(
    cameras: Cameras, resource: FootageResource, erasures: Any, make: Any
) -> None:
    await upload(resource, make.header())
    for key in await erasures.keys("held.>"):
        await erasures.erase(key)

    await refused(cameras, resource)


async def test_a_camera_stays_while_an_upload_of_it_is_under_way(
    cameras: Cameras, resource: FootageResource, make: Any
) -> None:
    with pytest.raises(ConnectionResetError):
        await resource.uploads.upload("up-1", make.header(), 0, broken(CONTENT[:4]))

    await refused(cameras, resource)


async def test_an_upload_by_url_that_is_done_holds_no_camera(
    cameras: Cameras, resource: FootageResource, bucket: InMemoryFootageStore, make: Any
) -> None:
    await put(resource, bucket, make.header(), CONTENT)
    footage = await resource.uploads.complete_upload("up-1")
    await resource.eraser.delete(footage.footage_id)

    await cameras.delete("cam-1", resource.uploads)

    assert len(await cameras.find()) == 1


async def test_an_upload_that_ends_after_its_camera_has_gone_is_no_footage(
    cameras: Cameras, resource: FootageResource, uploads: Any, make: Any
) -> None:
    class Nothing:
        async def holds_any_of(self, camera_id: str) -> bool:
            """Answer as before the upload began."""
            del camera_id
            return False

    async def chunks() -> Any:
        yield CONTENT[:4]
        await cameras.delete("cam-1", Nothing())
        yield CONTENT[4:]

    with pytest.raises(errors.NotFoundError) as caught:
        await resource.uploads.upload("up-1", make.header(), 0, chunks())

    assert caught.value.reason is errors.Reason.CAMERA_NOT_FOUND
    assert await resource.library.manifest(make.header().footage_id) is None
    assert len(await uploads.entries()) == 1, "the sweep removes what came of it"
