"""What a shell offers where a command takes an id: those that there are.

Nothing is printed and nobody waits: without a service that answers at once, nothing is offered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem
from platformdirs import user_config_path, user_data_path

from homeward.cli.shared import SERVICES

if TYPE_CHECKING:
    from homeward.cli.connect import Connections

_SECONDS = 1.5
"""A call may take; somebody has pressed a key and waits."""
_MOST = 200

Offer = tuple[str, str]
"""What may be typed, and what a shell shows beside it, if it shows that."""
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _offering(listed: Callable[[Connections], Iterable[Offer]]) -> Complete:
    """Return what completes a word from a list of a service."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from homeward.cli.connect import Connections, Places  # noqa: PLC0415 - slow to import
        from homeward.cli.identification import TOKEN_COMMAND  # noqa: PLC0415 - as above

        given = ctx.params
        places = Places(
            options={one: given[one] for one in SERVICES if given.get(one)},
            environment=os.environ,
            profile=given.get("profile"),
            settings_file=user_config_path("homeward") / "config.toml",
            data=Path(given.get("data") or user_data_path("homeward")),
        )
        try:
            if places.setting(TOKEN_COMMAND):  # it may ask something, or take a minute
                return []
            with Connections(places) as connections:
                found = [one for one in listed(connections) if one[0].startswith(incomplete)]
        except Exception:  # noqa: BLE001 - a shell would show an error between what is typed
            return []
        return [CompletionItem(name, help=told or None) for name, told in found[:_MOST]]

    return complete


def _subjects(connections: Connections) -> Iterator[Offer]:
    from homeward.api.matching.v1 import subject_service_pb2 as service  # noqa: PLC0415 - slow
    from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub  # noqa: PLC0415 - as above

    stub = SubjectServiceStub(connections.channel("matching"))
    held = stub.ListSubjects(service.ListSubjectsRequest(page_size=_MOST), timeout=_SECONDS)
    ids = _short(one.subject_id for one in held.subjects)
    for one in held.subjects:
        yield ids[one.subject_id], " ".join(filter(None, (one.case_reference, one.label)))
        for name in (one.label, one.case_reference):
            if name and not set(name) & set(" \t\"'\\$`"):  # a shell would take it apart
                yield name, one.case_reference if name == one.label else one.label


def _sightings(connections: Connections) -> Iterator[Offer]:
    from homeward.api.matching.v1 import sighting_service_pb2 as service  # noqa: PLC0415 - slow
    from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub  # noqa: PLC0415 - as above
    from homeward.cli import reviews  # noqa: PLC0415 - as above

    stub = SightingServiceStub(connections.channel("matching"))
    request = service.ListSightingsRequest(page_size=_MOST, leave_out_lost=True)
    held = stub.ListSightings(request, timeout=_SECONDS)
    ids = _short(one.sighting_id for one in held.sightings)
    for one in held.sightings:
        yield ids[one.sighting_id], f"{one.camera_id}, {one.score:.3f}, {reviews.state(one)}"


def _cameras(connections: Connections) -> Iterator[Offer]:
    from homeward.api.ingestion.v1 import camera_service_pb2 as service  # noqa: PLC0415 - slow
    from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub  # noqa: PLC0415 - as above

    stub = CameraServiceStub(connections.channel("ingestion"))
    held = stub.ListCameras(service.ListCamerasRequest(page_size=1000), timeout=_SECONDS)
    for one in held.cameras:
        yield one.camera_id, one.place


def _footage(connections: Connections) -> Iterator[Offer]:
    from homeward.api.ingestion.v1 import footage_service_pb2 as service  # noqa: PLC0415 - slow
    from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub  # noqa: PLC0415 - as above

    stub = FootageServiceStub(connections.channel("ingestion"))
    held = stub.ListFootage(service.ListFootageRequest(page_size=_MOST), timeout=_SECONDS)
    for one in held.footage:
        yield one.footage_id, one.file_name


def _scans(connections: Connections) -> Iterator[Offer]:
    from homeward.api.ingestion.v1 import scan_pb2  # noqa: PLC0415 - slow
    from homeward.api.ingestion.v1 import scan_service_pb2 as service  # noqa: PLC0415 - as above
    from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub  # noqa: PLC0415 - as above
    from homeward.cli.render import enum_word  # noqa: PLC0415 - as above

    stub = ScanServiceStub(connections.channel("ingestion"))
    held = stub.ListScans(service.ListScansRequest(page_size=_MOST), timeout=_SECONDS)
    ids = _short(one.scan_id for one in held.scans)
    for one in held.scans:
        state = enum_word(scan_pb2.Scan.State.Name(one.state), "STATE_")
        yield ids[one.scan_id], f"{state}, {one.create_time.ToDatetime(UTC):%Y-%m-%d %H:%MZ}"


def _policies(connections: Connections) -> Iterator[Offer]:
    from homeward.api.matching.v1 import policy_service_pb2 as service  # noqa: PLC0415 - slow
    from homeward.api.matching.v1.policy_service_pb2_grpc import PolicyServiceStub  # noqa: PLC0415 - as above

    stub = PolicyServiceStub(connections.channel("matching"))
    held = stub.ListPolicies(service.ListPoliciesRequest(page_size=_MOST), timeout=_SECONDS)
    for one in held.policies:
        yield one.policy_id, "active" if one.active else ""


def _short(ids: Iterable[str]) -> Any:  # noqa: ANN401 - as `short_ids`, which is slow to import
    from homeward.cli.render import short_ids  # noqa: PLC0415 - as above

    return short_ids(list(ids))


subjects = _offering(_subjects)
sightings = _offering(_sightings)
cameras = _offering(_cameras)
footage = _offering(_footage)
scans = _offering(_scans)
policies = _offering(_policies)
