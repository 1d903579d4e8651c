"""`homeward camera`: the cameras that recordings come from."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click
from google.protobuf.field_mask_pb2 import FieldMask

from homeward.api.ingestion.v1 import camera_pb2, camera_service_pb2
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.cli import completing, times
from homeward.cli.options import Group, Session, confirm, connected
from homeward.cli.paging import all_pages


@click.group(cls=Group)
def camera() -> None:
    """Register cameras: where they are, and how wrong their clocks are."""


def _described(function: Any) -> Any:  # noqa: ANN401 - a command under construction
    for option in (
        click.option("--authority", help="By what authority its recordings may be searched."),
        click.option("--clock-offset-source", metavar="TEXT", help="How the offset was found out."),
        click.option(
            "--clock-offset",
            type=times.parse_span,
            metavar="SPAN",
            help="How far its clock is ahead of true time, such as 2.5s, or -1m30s when behind.",
        ),
        click.option(
            "--pixel-aspect",
            "pixel_aspect_ratio",
            type=float,
            metavar="RATIO",
            help="Width of a pixel over its height, 0.25 to 4, of a recorder that squeezes its"
            ' pictures and does not say so, such as 2 for "1080N" (960 x 1080).',
        ),
        click.option("--lon", "longitude", type=float, help="Longitude, degrees east."),
        click.option("--lat", "latitude", type=float, help="Latitude, degrees north."),
        click.option("--place", metavar="NAME", help="Where it is, in words."),
    ):
        function = option(function)
    return function


@camera.command(
    "add",
    examples=[
        'homeward camera add gate --place "Station, north entrance"',
        "homeward camera add quay --lat 51.5079 --lon -0.0877 --clock-offset -1m30s",
    ],
)
@connected
@click.argument("camera_id", metavar="CAM")
@_described
def add(session: Session, *, camera_id: str, **described: Any) -> None:  # noqa: ANN401 - of `_described`
    """Register a camera under a name of a-z, 0-9 and hyphens."""
    request = camera_service_pb2.CreateCameraRequest(
        camera=camera_pb2.Camera(camera_id=camera_id, **_fields(described))
    )
    _tell(session, _stub(session).CreateCamera(request).camera)


@camera.command("update", examples=["homeward camera update gate --clock-offset 2.5s"])
@connected
@click.argument("camera_id", metavar="CAM", shell_complete=completing.cameras)
@_described
def update(session: Session, *, camera_id: str, **described: Any) -> None:  # noqa: ANN401 - of `_described`
    """Change a camera. A new clock offset counts for searches from now on."""
    fields = _fields(described)
    if not fields:
        raise click.UsageError("nothing to change: give at least one option")
    request = camera_service_pb2.UpdateCameraRequest(
        camera=camera_pb2.Camera(camera_id=camera_id, **fields),
        update_mask=FieldMask(paths=list(fields)),
    )
    _tell(session, _stub(session).UpdateCamera(request).camera)
    if "clock_offset" in fields:
        session.view.say(
            "The clock offset counts for searches from now on: sightings that are recorded already"
            " keep their times, and `homeward sighting show` says so."
        )


@camera.command("show", examples=["homeward camera show gate"])
@connected
@click.argument("camera_id", metavar="CAM", shell_complete=completing.cameras)
def show(session: Session, *, camera_id: str) -> None:
    """Show a camera: where it is, and how wrong its clock is taken to be."""
    request = camera_service_pb2.GetCameraRequest(camera_id=camera_id)
    _tell(session, _stub(session).GetCamera(request).camera)


@camera.command("rm", examples=["homeward camera rm gaet", "homeward camera rm gaet quay-2 --yes"])
@connected
@click.argument(
    "camera_ids", nargs=-1, required=True, metavar="CAM...", shell_complete=completing.cameras
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(session: Session, *, camera_ids: tuple[str, ...], yes: bool) -> None:
    """Remove cameras that have no recordings, such as one registered under a wrong name.

    Confirmed sightings keep the camera's name, but not its place.
    """
    confirm(f"Remove camera {', '.join(camera_ids)}?", yes=yes)
    stub = _stub(session)
    for each in camera_ids:
        stub.DeleteCamera(camera_service_pb2.DeleteCameraRequest(camera_id=each))
        session.view.say(f"Camera {each} is removed.")
    if session.view.json:
        session.view.document({"removed": camera_ids})


@camera.command("list", examples=["homeward camera list"])
@connected
def list_cameras(session: Session) -> None:
    """List the cameras."""
    cameras = all_pages(
        _stub(session).ListCameras,
        camera_service_pb2.ListCamerasRequest(),
        lambda page: page.cameras,
    )
    if session.view.json:
        session.view.document({"cameras": cameras})
    elif not cameras:
        session.view.say("No cameras. Register one with `homeward camera add`.")
    else:
        session.view.table(
            ("camera", "place", "position", "clock ahead by", "authority"),
            [
                (
                    each.camera_id,
                    each.place,
                    _position(each),
                    times.span(each.clock_offset),
                    each.authority,
                )
                for each in cameras
            ],
        )


def _stub(session: Session) -> CameraServiceStub:
    return CameraServiceStub(session.connections.channel("ingestion"))


def _fields(described: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in described.items() if value is not None}
    if ("latitude" in fields) != ("longitude" in fields):
        raise click.UsageError("--lat and --lon go together")
    offset: timedelta | None = fields.get("clock_offset")
    if offset is not None:
        fields["clock_offset"] = times.to_duration(offset)
    return fields


def _position(camera: camera_pb2.Camera) -> str:
    if not camera.HasField("latitude"):
        return ""
    return f"{camera.latitude:.5f}, {camera.longitude:.5f}"


def _tell(session: Session, camera: camera_pb2.Camera) -> None:
    if session.view.json:
        session.view.document({"camera": camera})
        return
    session.view.details(
        [
            ("camera", camera.camera_id),
            ("place", camera.place),
            ("position", _position(camera)),
            ("clock ahead by", times.span(camera.clock_offset)),
            ("found out by", camera.clock_offset_source),
            ("authority", camera.authority),
            (
                "pixel aspect",
                f"{camera.pixel_aspect_ratio:g}" if camera.HasField("pixel_aspect_ratio") else "",
            ),
        ]
    )
