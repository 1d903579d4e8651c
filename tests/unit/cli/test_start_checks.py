from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homeward.api.ingestion.v1 import footage_pb2, footage_service_pb2
from homeward.cli import start_checks
from homeward.cli.start_checks import OLD, OVERLAP_TOLERANCE
from homeward.cli.times import to_timestamp

BEGIN = datetime(2026, 11, 20, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def recording(
    name: str, start: datetime, *, received: datetime = BEGIN + timedelta(hours=1)
) -> footage_pb2.Footage:
    return footage_pb2.Footage(
        footage_id=name,
        camera_id="gate",
        file_name=f"{name}.mp4",
        start_time=to_timestamp(start),
        end_time=to_timestamp(start + MINUTE),
        receive_time=to_timestamp(received),
    )


ADDED = recording("added", BEGIN)


class Store:
    """Lists recordings, and keeps what was asked for."""

    def __init__(self, *held: footage_pb2.Footage) -> None:
        self.held = held
        self.asked: list[Any] = []

    def ListFootage(self, request: Any) -> Any:  # noqa: N802 - as gRPC names it
        self.asked.append(request)
        return footage_service_pb2.ListFootageResponse(footage=self.held)


def warned(store: Any, added: footage_pb2.Footage = ADDED) -> list[str]:
    return start_checks.warnings(store, added)


def test_only_the_time_of_the_recording_and_its_camera_are_listed() -> None:
    store = Store(ADDED)

    assert warned(store) == []

    (request,) = store.asked
    assert (list(request.camera_ids), request.interval.start_time, request.interval.end_time) == (
        ["gate"],
        ADDED.start_time,
        ADDED.end_time,
    )


@pytest.mark.parametrize("step", [1, -1], ids=["later", "earlier"])
def test_recordings_that_follow_each_other_may_overlap_a_little(step: int) -> None:
    next_to_it = recording("other", BEGIN + step * (MINUTE - OVERLAP_TOLERANCE))

    assert warned(Store(next_to_it)) == []


@pytest.mark.parametrize("step", [1, -1], ids=["later", "earlier"])
def test_a_longer_overlap_is_warned_of(step: int) -> None:
    overlap = OVERLAP_TOLERANCE + timedelta(seconds=1)
    other = recording("other", BEGIN + step * (MINUTE - overlap))

    (line,) = warned(Store(ADDED, other))

    assert "overlaps other footage of camera gate: other (other.mp4) by 11.0s." in line
    assert "`homeward footage rm added`" in line


def test_of_many_overlaps_three_are_named() -> None:
    (line,) = warned(Store(*[recording(f"other-{number}", BEGIN) for number in range(5)]))

    assert "other-2 (other-2.mp4) by 1m00s, 2 more." in line
    assert "other-3" not in line


def test_a_start_months_ago_is_warned_of() -> None:
    longest = recording("added", BEGIN, received=BEGIN + OLD)
    longer = recording("added", BEGIN, received=BEGIN + OLD + timedelta(seconds=1))

    assert warned(Store(), longest) == []
    (line,) = warned(Store(), longer)
    assert "it starts 60 days before today, on 2026-11-20 10:00:00 UTC" in line
