from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from ingestion_calls import INVALID, NOW, new_camera, refusal, upload

from homeward.api.ingestion.v1 import camera_pb2, camera_service_pb2, footage_service_pb2
from homeward.servicekit import errors, wire


async def test_create_camera_registers_it(api: Any) -> None:
    answer = await api.cameras.CreateCamera(
        new_camera("cam-2", place="Station", latitude=1, longitude=2)
    )

    assert (answer.camera.camera_id, answer.camera.place) == ("cam-2", "Station")
    assert answer.camera.create_time == wire.to_timestamp(NOW)
    assert answer.camera.etag


@pytest.mark.parametrize(
    "request_",
    [
        new_camera(""),
        new_camera("Cam 1"),
        new_camera("-cam"),
        new_camera("x" * 64),
        new_camera("cam-2", latitude=91, longitude=0),
        new_camera("cam-2", latitude=51),
        new_camera("cam-2", place="x" * 201),
        new_camera("cam-2", clock_offset=timedelta(days=2)),
        new_camera("cam-2", pixel_aspect_ratio=0),
        new_camera("cam-2", pixel_aspect_ratio=0.24),
        new_camera("cam-2", pixel_aspect_ratio=4.1),
        new_camera("cam-2", pixel_aspect_ratio=float("nan")),
    ],
)
async def test_create_camera_refuses_fields_that_break_a_rule(api: Any, request_: Any) -> None:
    assert await refusal(api.cameras.CreateCamera(request_)) == INVALID


async def test_a_camera_keeps_the_shape_of_its_pixels(api: Any) -> None:
    made = await api.cameras.CreateCamera(new_camera("cam-2", pixel_aspect_ratio=2))
    changed = await api.cameras.UpdateCamera(
        change("cam-2", "pixel_aspect_ratio", pixel_aspect_ratio=0.25)
    )
    unset = await api.cameras.UpdateCamera(change("cam-2", "pixel_aspect_ratio"))

    assert (made.camera.pixel_aspect_ratio, changed.camera.pixel_aspect_ratio) == (2, 0.25)
    assert not unset.camera.HasField("pixel_aspect_ratio")


async def test_create_camera_refuses_an_id_that_is_taken(api: Any) -> None:
    assert await refusal(api.cameras.CreateCamera(new_camera("cam-1"))) == (
        grpc.StatusCode.ALREADY_EXISTS,
        errors.Reason.CAMERA_EXISTS,
    )


async def test_get_camera_reads_it(api: Any) -> None:
    answer = await api.cameras.GetCamera(camera_service_pb2.GetCameraRequest(camera_id="cam-1"))

    assert answer.camera.camera_id == "cam-1"


async def test_get_camera_knows_no_other(api: Any) -> None:
    call = api.cameras.GetCamera(camera_service_pb2.GetCameraRequest(camera_id="cam-9"))

    assert await refusal(call) == (
        grpc.StatusCode.NOT_FOUND,
        errors.Reason.CAMERA_NOT_FOUND,
    )


async def test_delete_camera_removes_one_without_recordings(api: Any) -> None:
    call = camera_service_pb2.DeleteCameraRequest(camera_id="cam-1")
    await upload(api)
    assert await refusal(api.cameras.DeleteCamera(call)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        errors.Reason.CAMERA_HAS_FOOTAGE,
    )
    held = (await api.footage.ListFootage(footage_service_pb2.ListFootageRequest())).footage
    await api.footage.DeleteFootage(
        footage_service_pb2.DeleteFootageRequest(footage_id=held[0].footage_id)
    )

    await api.cameras.DeleteCamera(call)

    assert await refusal(api.cameras.DeleteCamera(call)) == (
        grpc.StatusCode.NOT_FOUND,
        errors.Reason.CAMERA_NOT_FOUND,
    )


async def test_list_cameras_goes_page_by_page(api: Any) -> None:
    await api.cameras.CreateCamera(new_camera("cam-2"))
    first = await api.cameras.ListCameras(camera_service_pb2.ListCamerasRequest(page_size=1))
    second = await api.cameras.ListCameras(
        camera_service_pb2.ListCamerasRequest(page_size=1, page_token=first.next_page_token)
    )

    assert [one.camera_id for one in [*first.cameras, *second.cameras]] == ["cam-1", "cam-2"]
    assert second.next_page_token == ""


def change(camera_id: str, *paths: str, **fields: Any) -> Any:
    return camera_service_pb2.UpdateCameraRequest(
        camera=camera_pb2.Camera(camera_id=camera_id, **fields), update_mask=FieldMask(paths=paths)
    )


async def test_update_camera_changes_what_the_mask_names(api: Any) -> None:
    answer = await api.cameras.UpdateCamera(
        change("cam-1", "place", place="Station", authority="left out")
    )

    assert (answer.camera.place, answer.camera.authority) == ("Station", "")


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (change("cam-1", place="x"), INVALID),
        (change("cam-1", "create_time"), INVALID),
        (change("cam-1", "place", place="x" * 201), INVALID),
        (
            change("cam-9", "place"),
            (grpc.StatusCode.NOT_FOUND, errors.Reason.CAMERA_NOT_FOUND),
        ),
        (
            change("cam-1", "place", etag="0"),
            (grpc.StatusCode.ABORTED, errors.Reason.ETAG_MISMATCH),
        ),
    ],
    ids=["no mask", "fixed field", "bad value", "unknown", "etag"],
)
async def test_update_camera_refuses(api: Any, request_: Any, refused: Any) -> None:
    assert await refusal(api.cameras.UpdateCamera(request_)) == refused
