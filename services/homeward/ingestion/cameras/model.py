"""What is known of a camera."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class CameraDetails:
    """What an operator states about a camera."""

    place: str = ""
    latitude: float | None = None
    longitude: float | None = None
    clock_offset: timedelta = timedelta()
    """How far its clock is ahead of true time."""
    clock_offset_source: str = ""
    authority: str = ""
    pixel_aspect_ratio: float | None = None
    """Width of a pixel in parts of its height, for a recorder that does not store it; None to go by
    what its recordings say."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera whose recordings may be searched."""

    camera_id: str
    details: CameraDetails
    create_time: datetime
    update_time: datetime
