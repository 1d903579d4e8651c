"""`homeward sighting near`: what to search next around a confirmed sighting."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import click

from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import (
    camera_pb2,
    camera_service_pb2,
    footage_pb2,
    footage_service_pb2,
    scan_pb2,
    scan_service_pb2,
)
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.api.ingestion.v1.scan_service_pb2_grpc import ScanServiceStub
from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2, subject_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import authorisation, completing, nearby, terminal, times
from homeward.cli.errors import CliError, ExitCode, confirm_first
from homeward.cli.follow import create
from homeward.cli.ids import full_sighting_id
from homeward.cli.nearby import Reach, Unsearched
from homeward.cli.options import Command, Session, connected, operator_name
from homeward.cli.paging import all_pages
from homeward.cli.render import some_of

MOST_RECORDINGS = 1000
"""That a search takes."""

_Found = tuple[Sequence[Unsearched], Sequence[str]]
"""Recordings, and cameras whose place is not known."""


@click.command(
    "near",
    cls=Command,
    examples=[
        "homeward sighting near 91b5e0c4",
        "homeward sighting near 91b5e0c4 --within 30m --speed 40",
        "homeward sighting near 91b5e0c4 --create --necessity 'to find where she went'",
    ],
)
@connected
@click.argument("sighting_id", metavar="ID", shell_complete=completing.sightings)
@click.option(
    "--within",
    type=times.parse_span,
    default="1h",
    show_default=True,
    metavar="SPAN",
    help="How long before and after the sighting.",
)
@click.option(
    "--speed",
    "kmh",
    type=click.FloatRange(0.1, 1000),
    default=6.0,
    show_default=True,
    metavar="KMH",
    help="Kilometres an hour, at most: 6 is a brisk walk, 40 a car in a town.",
)
@click.option("--create", is_flag=True, help="Make that search, to be authorised.")
@click.option("--necessity", default="", metavar="TEXT", help="Why the search is necessary.")
@click.option("--tried", default="", metavar="TEXT", help="What less intrusive means were tried.")
def near(
    session: Session,
    *,
    sighting_id: str,
    within: timedelta,
    kmh: float,
    create: bool,
    necessity: str,
    tried: str,
) -> None:
    """Find recordings around a confirmed sighting that were not searched for its subject yet.

    These are recordings of the same camera, and of those that somebody can have come from, or got
    to, in that time at that speed, in a straight line. Cameras without coordinates are left out and
    named. It prints the search to make; --create makes it. What scans have searched without a gap
    is left out.
    """
    if within <= timedelta():
        raise click.UsageError("--within must be longer than nothing")
    stub = SightingServiceStub(session.connections.channel("matching"))
    request = sighting_service_pb2.GetSightingRequest(
        sighting_id=full_sighting_id(session, sighting_id)
    )
    sighting = stub.GetSighting(request).sighting
    if sighting.state != sighting_pb2.Sighting.STATE_CONFIRMED:
        raise CliError(
            f"sighting {sighting.sighting_id} is not confirmed; only around a confirmed sighting"
            " are further recordings looked for",
            exit_code=ExitCode.PRECONDITION,
            advice=confirm_first(sighting.sighting_id),
        )
    reach = Reach(within, kmh)
    found, unplaced = _around(session, sighting, reach)
    scope = _scope(sighting, found)
    scan = _created(session, scope, necessity, tried) if create and found else None
    if session.view.json:
        session.view.document(_document(sighting, reach, (found, unplaced), scope, scan))
    else:
        _tell(session, sighting, reach, (found, unplaced))
        if scan is not None:
            session.view.say(
                f"Scan {scan.scan_id} has begun; to see how far it is:"
                f" `homeward scan watch {scan.scan_id}`"
            )
            if awaited := authorisation.sentence(scan):
                session.view.say(awaited)
        elif found:
            session.view.say("To search them, run this command, or give --create:")
            for line in command(scope, necessity, tried):
                session.view.say(line)


def _around(session: Session, sighting: sighting_pb2.Sighting, reach: Reach) -> _Found:
    ingestion = session.connections.channel("ingestion")
    listed = all_pages(
        CameraServiceStub(ingestion).ListCameras,
        camera_service_pb2.ListCamerasRequest(),
        lambda page: page.cameras,
    )
    cameras = {one.camera_id: one for one in listed}
    if sighting.camera_id not in cameras:
        raise CliError(
            f"there is no camera {sighting.camera_id} any more: nothing says where that was",
            exit_code=ExitCode.NOT_FOUND,
        )
    home = cameras[sighting.camera_id]
    unplaced = [one.camera_id for one in listed if nearby.distance_metres(home, one) is None]
    footage = _footage(session, sighting, reach, listed)
    _warn(footage, cameras)
    scans = _scans(session, sighting.subject_id) if footage else []
    found = nearby.unsearched(sighting, reach, cameras, footage, scans)
    return found[:MOST_RECORDINGS], unplaced


def _warn(footage: Sequence[footage_pb2.Footage], cameras: Mapping[str, camera_pb2.Camera]) -> None:
    """Tell of recordings that nobody knows whether they are in reach."""
    damaged = [
        one.footage_id for one in footage if footage_pb2.FOOTAGE_PROBLEM_DAMAGED in one.problems
    ]
    if damaged:
        terminal.tell(
            "WARNING: left out, as the object store has damaged what it holds of them:"
            f" {some_of(damaged)}.",
            err=True,
        )
    if unknown := sorted({one.camera_id for one in footage} - cameras.keys()):
        terminal.tell(
            "WARNING: left out, as their cameras are not registered: the recordings of"
            f" {some_of(unknown)}.",
            err=True,
        )


def _footage(
    session: Session,
    sighting: sighting_pb2.Sighting,
    reach: Reach,
    cameras: Sequence[camera_pb2.Camera],
) -> list[footage_pb2.Footage]:
    """Return the recordings of about that time, by any camera's clock."""
    offsets = [one.clock_offset.ToTimedelta() for one in cameras]
    seen = nearby.seen(sighting)
    interval = TimeInterval(
        start_time=times.to_timestamp(seen[0] - reach.within + min(offsets)),
        end_time=times.to_timestamp(seen[1] + reach.within + max(offsets)),
    )
    stub = FootageServiceStub(session.connections.channel("ingestion"))
    request = footage_service_pb2.ListFootageRequest(interval=interval)
    return all_pages(stub.ListFootage, request, lambda page: page.footage)


def _scans(session: Session, subject_id: str) -> list[scan_pb2.Scan]:
    """Return the scans that have looked for a subject, with their coverage."""
    subjects = SubjectServiceStub(session.connections.channel("matching"))
    wanted = subject_service_pb2.GetSubjectRequest(subject_id=subject_id)
    subject = subjects.GetSubject(wanted).subject
    stub = ScanServiceStub(session.connections.channel("ingestion"))
    listed = all_pages(stub.ListScans, scan_service_pb2.ListScansRequest(), lambda page: page.scans)
    return [
        stub.GetScan(scan_service_pb2.GetScanRequest(scan_id=one.scan_id)).scan
        for one in listed
        if nearby.counts_for(one, subject)
    ]


def _scope(sighting: sighting_pb2.Sighting, found: Sequence[Unsearched]) -> scan_pb2.ScanScope:
    scope = scan_pb2.ScanScope(
        subject_ids=[sighting.subject_id],
        footage_ids=[one.footage.footage_id for one in found],
    )
    if found:
        scope.interval.start_time.CopyFrom(times.to_timestamp(min(one.start for one in found)))
        scope.interval.end_time.CopyFrom(times.to_timestamp(max(one.end for one in found)))
    return scope


def _created(
    session: Session, scope: scan_pb2.ScanScope, necessity: str, tried: str
) -> scan_pb2.Scan:
    return create(
        session,
        scan_service_pb2.CreateScanRequest(
            scope=scope,
            request_id=str(uuid.uuid4()),
            justification=scan_pb2.ScanJustification(
                necessity=necessity, less_intrusive_means=tried
            ),
            requester=operator_name(),
        ),
    )


def command(scope: scan_pb2.ScanScope, necessity: str, tried: str) -> list[str]:
    """Return the command that makes a search, as lines of a shell."""
    words = [
        *(("--subject", one) for one in scope.subject_ids),
        *(("--footage", one) for one in scope.footage_ids),
        ("--from", scope.interval.start_time.ToJsonString()),
        ("--to", scope.interval.end_time.ToJsonString()),
        *([("--necessity", necessity)] if necessity else []),
        *([("--tried", tried)] if tried else []),
    ]
    options = [f"    {name} {shlex.quote(value)}" for name, value in words]
    return ["homeward search \\", *(f"{one} \\" for one in options[:-1]), options[-1]]


def _tell(session: Session, sighting: sighting_pb2.Sighting, reach: Reach, around: _Found) -> None:
    found, unplaced = around
    say = session.view.say
    within = times.span(reach.within.total_seconds())
    say(
        f"Recordings from {within} before the sighting to {within} after it, of camera"
        f" {sighting.camera_id} and of"
        f" cameras that a person can reach in that time at {reach.kmh:g} km/h in a straight line."
    )
    if found:
        say("These have not been searched for this person yet:")
        session.view.table(
            ("camera", "distance", "from", "to", "footage"),
            [
                (
                    one.footage.camera_id,
                    _distance(one.metres),
                    _utc(one.start),
                    _utc(one.end),
                    one.footage.footage_id,
                )
                for one in found
            ],
        )
    else:
        say(
            "None of them is left to search: each that Homeward holds was searched for this person."
        )
    if len(found) == MOST_RECORDINGS:
        say(f"There are more; these are the {MOST_RECORDINGS} nearest.")
    if unplaced:
        say(
            f"Cameras left out, because their position is not known: {', '.join(unplaced)}. Set it"
            " with `homeward camera update CAM --lat DEGREES --lon DEGREES`."
        )


def _document(
    sighting: sighting_pb2.Sighting,
    reach: Reach,
    around: _Found,
    scope: scan_pb2.ScanScope,
    scan: scan_pb2.Scan | None,
) -> dict[str, object]:
    found, unplaced = around
    return {
        "sightingId": sighting.sighting_id,
        "withinSeconds": reach.within.total_seconds(),
        "speedKmh": reach.kmh,
        "recordings": [
            {
                "footageId": one.footage.footage_id,
                "cameraId": one.footage.camera_id,
                "distanceMetres": round(one.metres),
                "startTime": one.start.isoformat(),
                "endTime": one.end.isoformat(),
            }
            for one in found
        ],
        "unplacedCameras": list(unplaced),
        "scope": scope,
        **({"scan": scan} if scan is not None else {}),
    }


def _distance(metres: float) -> str:
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"  # noqa: PLR2004 - a km


def _utc(instant: datetime) -> str:
    return times.shown_instant(instant)
