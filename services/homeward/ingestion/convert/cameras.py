"""Cameras on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta

from homeward.api.ingestion.v1 import (
    camera_pb2,
)
from homeward.ingestion.cameras.model import Camera, CameraDetails
from homeward.ingestion.footage.limits import MAX_PIXEL_ASPECT
from homeward.servicekit import wire
from homeward.servicekit.errors import invalid_field

MAX_CLOCK_OFFSET = timedelta(days=1)
_CAMERA_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def camera_id_from(value: str, field: str) -> str:
    """Return a camera's id."""
    if not _CAMERA_ID.fullmatch(value):
        raise invalid_field(
            field,
            "must be 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
        )
    return value


def camera_from(camera: camera_pb2.Camera) -> CameraDetails:
    """Return what an operator states about a new camera."""
    return _changed(CameraDetails(), camera, tuple(_CAMERA_FIELDS))


def camera_change(
    camera: camera_pb2.Camera, paths: Collection[str]
) -> Callable[[CameraDetails], CameraDetails]:
    """Return the change that an update makes; its values are checked at once."""
    _changed(CameraDetails(), camera, paths)
    return lambda details: _changed(details, camera, paths)


def _changed(
    details: CameraDetails, camera: camera_pb2.Camera, paths: Collection[str]
) -> CameraDetails:
    values = {path: _CAMERA_FIELDS[path](camera) for path in paths}
    changed = replace(details, **values)  # type: ignore[arg-type]  # each value is its field's
    if (changed.latitude is None) != (changed.longitude is None):
        raise invalid_field("camera.longitude", "must be set together with latitude")
    return changed


def _degrees(camera: camera_pb2.Camera, field: str, most: float) -> float | None:
    if not camera.HasField(field):  # type: ignore[arg-type]  # one of two names
        return None
    value: float = getattr(camera, field)
    return wire.number_between(value, f"camera.{field}", least=-most, most=most)


def _pixel_aspect(camera: camera_pb2.Camera) -> float | None:
    if not camera.HasField("pixel_aspect_ratio"):
        return None
    return wire.number_between(
        camera.pixel_aspect_ratio,
        "camera.pixel_aspect_ratio",
        least=1 / MAX_PIXEL_ASPECT,
        most=MAX_PIXEL_ASPECT,
    )


def _clock_offset(camera: camera_pb2.Camera) -> timedelta:
    offset = wire.from_duration(camera.clock_offset, "camera.clock_offset")
    if abs(offset) > MAX_CLOCK_OFFSET:
        raise invalid_field("camera.clock_offset", "must be at most a day either way")
    return offset


_CAMERA_FIELDS: Mapping[str, Callable[[camera_pb2.Camera], object]] = {
    "place": lambda camera: wire.text(camera.place, "camera.place", most=200),
    "latitude": lambda camera: _degrees(camera, "latitude", 90),
    "longitude": lambda camera: _degrees(camera, "longitude", 180),
    "clock_offset": _clock_offset,
    "clock_offset_source": lambda camera: wire.text(
        camera.clock_offset_source, "camera.clock_offset_source", most=500
    ),
    "authority": lambda camera: wire.text(camera.authority, "camera.authority", most=500),
    "pixel_aspect_ratio": _pixel_aspect,
}
UPDATABLE_CAMERA = frozenset(_CAMERA_FIELDS)


def to_camera(camera: Camera, etag: str) -> camera_pb2.Camera:
    """Return a camera as protobuf has it."""
    details = camera.details
    return camera_pb2.Camera(
        camera_id=camera.camera_id,
        place=details.place,
        latitude=details.latitude,
        longitude=details.longitude,
        clock_offset=wire.to_duration(details.clock_offset),
        clock_offset_source=details.clock_offset_source,
        authority=details.authority,
        create_time=wire.to_timestamp(camera.create_time),
        update_time=wire.to_timestamp(camera.update_time),
        etag=etag,
        pixel_aspect_ratio=details.pixel_aspect_ratio,
    )
