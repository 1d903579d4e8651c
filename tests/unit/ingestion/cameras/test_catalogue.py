from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homeward.ingestion.cameras.catalogue import Cameras
from homeward.ingestion.cameras.model import CameraDetails
from homeward.servicekit import errors
from homeward.servicekit.keyvalue import Entry, InMemoryKeyValueStore


class RacedStore(InMemoryKeyValueStore):
    """Somebody else writes just after a record is read, once."""

    def __init__(self) -> None:
        super().__init__()
        self.race: bytes | None = None

    async def get(self, key: str) -> Entry | None:
        entry = await super().get(key)
        if self.race is not None:
            value, self.race = self.race, None
            await self.put(key, value)
        return entry


def renamed(place: str) -> Any:
    return lambda details: replace(details, place=place)


async def test_a_registered_camera_is_found_by_its_id(clock: Any) -> None:
    cameras = Cameras(InMemoryKeyValueStore(), clock)
    details = CameraDetails("Station", 51.5, -0.1, timedelta(seconds=2.5), "by phone", "police")

    created = await cameras.create("cam-1", details)

    assert await cameras.get("cam-1") == created
    assert (created[0].details, created[0].create_time) == (details, clock.now())


async def test_a_camera_is_registered_once(cameras: Cameras) -> None:
    with pytest.raises(errors.AlreadyExistsError) as refused:
        await cameras.create("cam-1", CameraDetails("elsewhere"))

    assert refused.value.reason is errors.Reason.CAMERA_EXISTS
    assert (await cameras.get("cam-1"))[0].details == CameraDetails()


async def test_an_unknown_camera_is_not_found(cameras: Cameras) -> None:
    with pytest.raises(errors.NotFoundError) as refused:
        await cameras.get("cam-9")

    assert refused.value.reason is errors.Reason.CAMERA_NOT_FOUND
    assert refused.value.metadata == {"camera_id": "cam-9"}


async def test_cameras_are_listed_in_the_order_of_their_ids(cameras: Cameras) -> None:
    await cameras.create("a-cam", CameraDetails())

    assert [camera.camera_id for camera, _ in await cameras.find()] == ["a-cam", "cam-1", "cam-2"]


async def test_an_update_changes_the_camera_and_its_etag(cameras: Cameras, clock: Any) -> None:
    before, etag = await cameras.get("cam-1")
    clock.advance(timedelta(hours=1))

    after, new_etag = await cameras.update("cam-1", renamed("Station"), etag=etag)

    assert (after.details.place, after.update_time) == ("Station", clock.now())
    assert after.create_time == before.create_time
    assert new_etag != etag
    assert await cameras.get("cam-1") == (after, new_etag)


async def test_an_update_of_an_older_version_is_refused(cameras: Cameras) -> None:
    _, etag = await cameras.get("cam-1")
    await cameras.update("cam-1", renamed("first"), etag=etag)

    with pytest.raises(errors.AbortedError) as refused:
        await cameras.update("cam-1", renamed("second"), etag=etag)

    assert refused.value.reason is errors.Reason.ETAG_MISMATCH
    assert (await cameras.get("cam-1"))[0].details.place == "first"


async def test_an_update_without_an_etag_takes_in_what_somebody_else_has_just_changed(
    clock: Any,
) -> None:
    store = RacedStore()
    cameras = Cameras(store, clock)
    await cameras.create("cam-1", CameraDetails())
    await cameras.update("cam-1", lambda one: replace(one, authority="police"), etag="")
    newer = (await store.get("cam-1")).value  # type: ignore[union-attr]  # it is there
    await cameras.update("cam-1", lambda _: CameraDetails(), etag="")
    store.race = newer

    after, _ = await cameras.update("cam-1", renamed("Station"), etag="")

    assert (after.details.place, after.details.authority) == ("Station", "police")


async def test_an_update_with_an_etag_is_refused_when_somebody_is_faster(clock: Any) -> None:
    store = RacedStore()
    cameras = Cameras(store, clock)
    _, etag = await cameras.create("cam-1", CameraDetails())
    store.race = (await store.get("cam-1")).value  # type: ignore[union-attr]  # it is there

    with pytest.raises(errors.AbortedError):
        await cameras.update("cam-1", renamed("Station"), etag=etag)


async def test_an_unknown_camera_is_not_updated(cameras: Cameras) -> None:
    with pytest.raises(errors.NotFoundError):
        await cameras.update("cam-9", renamed("Station"), etag="")
