"""Warnings about the start of a recording that was added: with a wrong one, sightings are misdated.

Nothing here refuses a recording: two of one camera may overlap, and old footage may be searched.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import footage_pb2, footage_service_pb2
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.cli import terminal, times
from homeward.cli.errors import CliError, tell
from homeward.cli.paging import all_pages

OVERLAP_TOLERANCE = timedelta(seconds=10)
"""An overlap up to this gives no warning: recorders begin a file seconds before the last ends."""

OLD = timedelta(days=60)
"""A start that is longer than this before the upload gives a warning: few recorders keep footage
for so long, and a wrong month or year is found so."""

_LISTED = 3
"""Recordings that a warning names, at most."""


def warnings(stub: FootageServiceStub, added: footage_pb2.Footage) -> list[str]:
    """Return warnings about the start of a recording; usually none.

    Args:
        stub: Lists the other recordings of its camera.
        added: The recording, as the service holds it.
    """
    lines = [_old(added), _overlapping(added, _others(stub, added))]
    return [line for line in lines if line]


def tell_warnings(lines: Iterable[str], *, about: str) -> None:
    """Print warnings on stderr."""
    for line in lines:
        terminal.tell(f"WARNING: {about}: {line}", err=True)


def _old(added: footage_pb2.Footage) -> str:
    age = _instant(added.receive_time) - _instant(added.start_time)
    if age <= OLD:
        return ""
    return (
        f"it starts {age.days} days before today, on {times.shown(added.start_time)}."
        f" Is that right? {_correction(added)}"
    )


def _overlapping(added: footage_pb2.Footage, others: Iterable[footage_pb2.Footage]) -> str:
    found = [
        (overlap, one)
        for one in others
        if one.footage_id != added.footage_id
        and (overlap := _overlap(added, one)) > OVERLAP_TOLERANCE
    ]
    if not found:
        return ""
    named = [
        f"{one.footage_id} ({one.file_name}) by {times.span(overlap.total_seconds())}"
        for overlap, one in found[:_LISTED]
    ]
    if len(found) > _LISTED:
        named.append(f"{len(found) - _LISTED} more")
    return (
        f"it overlaps other footage of camera {added.camera_id}: {', '.join(named)}. Is its start"
        f" right, and its camera? {_correction(added)}"
    )


def _overlap(one: footage_pb2.Footage, other: footage_pb2.Footage) -> timedelta:
    """Return for how long two recordings show the same time; negative where they do not."""
    start = max(_instant(one.start_time), _instant(other.start_time))
    return min(_instant(one.end_time), _instant(other.end_time)) - start


def _others(stub: FootageServiceStub, added: footage_pb2.Footage) -> list[footage_pb2.Footage]:
    request = footage_service_pb2.ListFootageRequest(
        camera_ids=[added.camera_id],
        interval=TimeInterval(start_time=added.start_time, end_time=added.end_time),
    )
    try:
        return all_pages(stub.ListFootage, request, lambda page: page.footage)
    except CliError as error:  # the recording is added, which matters more
        tell(error, about="whether it overlaps other footage is not known")
        return []


def _correction(added: footage_pb2.Footage) -> str:
    return (
        f"If not, remove it with `homeward footage rm {added.footage_id}` and add it again with the"
        " right --start."
    )


def _instant(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
