"""Which recordings around a sighting were not searched for its subject yet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from homeward.api.ingestion.v1 import camera_pb2, footage_pb2, scan_pb2
from homeward.api.matching.v1 import sighting_pb2, subject_pb2
from homeward.cli import authorisation, looked_for

EARTH_RADIUS_METRES = 6_371_000.0

Part = tuple[datetime, datetime]
"""A span of true time."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far somebody may have come."""

    within: timedelta
    """Before the sighting and after it."""
    kmh: float
    """No faster than this, in a straight line."""

    def travel(self, metres: float) -> timedelta:
        """Return how long a way takes at least."""
        return timedelta(hours=metres / 1000 / self.kmh)

    def parts(self, seen: Part, metres: float) -> list[Part]:
        """Return when somebody may have been at a distance from where they were seen.

        Args:
            seen: When they were seen.
            metres: The distance.
        """
        begin, end = seen[0] - self.within, seen[1] + self.within
        travel = self.travel(metres)
        if not metres:
            return [(begin, end)]
        parts = [(begin, seen[0] - travel), (seen[1] + travel, end)]
        return [(start, stop) for start, stop in parts if start < stop]


@dataclass(frozen=True, slots=True)
class Unsearched:
    """A recording, and when somebody may have been in it."""

    footage: footage_pb2.Footage
    metres: float
    """From where they were seen."""
    start: datetime
    """True time: the first moment of it that counts."""
    end: datetime


def distance_metres(one: camera_pb2.Camera, other: camera_pb2.Camera) -> float | None:
    """Return how far apart two cameras are, in a straight line; None where one has no place."""
    if one.camera_id == other.camera_id:
        return 0.0
    if not (is_placed(one) and is_placed(other)):
        return None
    north, east = (
        math.radians(other.latitude - one.latitude),
        math.radians(other.longitude - one.longitude),
    )
    across = math.cos(math.radians(one.latitude)) * math.cos(math.radians(other.latitude))
    half = math.sin(north / 2) ** 2 + across * math.sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_METRES * math.asin(math.sqrt(half))


def is_placed(camera: camera_pb2.Camera) -> bool:
    """Return whether a camera's coordinates are known."""
    return camera.HasField("latitude") and camera.HasField("longitude")


def seen(sighting: sighting_pb2.Sighting) -> Part:
    """Return when a sighting was, true time."""
    interval = sighting.interval
    return interval.start_time.ToDatetime(UTC), interval.end_time.ToDatetime(UTC)


def true_part(footage: footage_pb2.Footage, camera: camera_pb2.Camera) -> Part:
    """Return the true time of a recording: what the camera's clock showed, less its offset."""
    offset = camera.clock_offset.ToTimedelta()
    start, end = footage.start_time.ToDatetime(UTC), footage.end_time.ToDatetime(UTC)
    return start - offset, end - offset


def unsearched(
    sighting: sighting_pb2.Sighting,
    reach: Reach,
    cameras: Mapping[str, camera_pb2.Camera],
    footage: Iterable[footage_pb2.Footage],
    scans: Sequence[scan_pb2.Scan],
) -> list[Unsearched]:
    """Return the recordings in reach that no scan has searched all of, nearest first.

    The sighting's own recording is among them where somebody may have come back in it.

    Args:
        sighting: Where somebody was seen.
        reach: How far they may have come.
        cameras: All, by their names.
        footage: Recordings of about that time.
        scans: Those that were for the sighting's subject, with their coverage.
    """
    home = cameras[sighting.camera_id]
    found = []
    for one in footage:
        camera = cameras.get(one.camera_id)
        metres = distance_metres(home, camera) if camera is not None else None
        if camera is None or metres is None:
            continue
        held = true_part(one, camera)
        overlaps = [_overlap(held, part) for part in reach.parts(seen(sighting), metres)]
        wanted = [part for part in overlaps if part is not None]
        missing = [
            part for part in wanted if not any(covers(scan, one, part, held[0]) for scan in scans)
        ]
        if missing:
            begin, end = min(part[0] for part in missing), max(part[1] for part in missing)
            found.append(Unsearched(one, metres, begin, end))
    return sorted(found, key=lambda each: (each.metres, each.start, each.footage.footage_id))


def counts_for(scan: scan_pb2.Scan, subject: subject_pb2.Subject) -> bool:
    """Return whether a scan has ended that looked for a subject.

    One that was refused, or not authorised in time, counts for nothing.
    """
    return (
        looked_for.was_for(scan, subject)
        and scan.HasField("end_time")
        and authorisation.counts(scan)
    )


def covers(
    scan: scan_pb2.Scan, footage: footage_pb2.Footage, part: Part, true_start: datetime
) -> bool:
    """Return whether a scan has searched a part of a recording, without a gap in it.

    Args:
        scan: The scan.
        footage: The recording.
        part: What of it, in true time as it is known today.
        true_start: Of its first picture, likewise.
    """
    efforts = {one.footage_id: one for one in scan.coverage.footage_efforts}
    effort = efforts.get(footage.footage_id)
    if effort is None:
        return False
    # The scope and the gaps are times by the clock offset of when the scan was planned.
    since = true_start - searched_from(effort, true_start)
    part = part[0] - since, part[1] - since
    scope = scan.scope.interval
    if scope.HasField("start_time") and scope.start_time.ToDatetime(UTC) > part[0]:
        return False
    if scope.HasField("end_time") and scope.end_time.ToDatetime(UTC) < part[1]:
        return False
    gaps = (one for one in scan.coverage.gaps if one.footage_id == footage.footage_id)
    return not any(
        _overlap(
            (
                gap.interval.start_time.ToDatetime(UTC),
                gap.interval.end_time.ToDatetime(UTC),
            ),
            part,
        )
        for gap in gaps
    )


def searched_from(effort: scan_pb2.FootageEffort, true_start: datetime) -> datetime:
    """Return the true time of a recording's first picture, as the scan took it.

    Args:
        effort: Of the scan; an earlier version of Homeward told no time.
        true_start: As it is known today.
    """
    if not effort.HasField("true_start_time"):
        return true_start
    return effort.true_start_time.ToDatetime(UTC)


def _overlap(one: Part, other: Part) -> Part | None:
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else None
