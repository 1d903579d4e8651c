"""`homeward footage`: add recordings, list them, and remove them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from homeward.api.ingestion.v1 import footage_pb2, footage_service_pb2
from homeward.api.ingestion.v1.footage_service_pb2_grpc import FootageServiceStub
from homeward.cli import completing, start_checks, times, upload, zones
from homeward.cli.commands import footage_watch
from homeward.cli.errors import CliError, ExitCode, local_problem, tell
from homeward.cli.files import existing_file, recordings_among, written_name
from homeward.cli.filters import of_cameras
from homeward.cli.ids import full_footage_id, known_cameras
from homeward.cli.options import Group, Session, confirm, connected
from homeward.cli.paging import all_pages
from homeward.cli.render import enum_word, size

_START_SOURCES = {True: "--start", False: "the file's name"}
"""Where the start of a recording was read, by whether it was given as an option."""


@click.group(cls=Group)
def footage() -> None:
    """Add recordings, and remove them. Each is gone after 31 days at the latest."""


footage.add_command(footage_watch.watch)


@footage.command(
    "add",
    examples=[
        "homeward footage add gate.mp4 --camera gate --start 2026-11-20T10:00:00Z",
        "homeward footage add a.mp4 b.mp4 --camera gate \\",
        "    --start 2026-11-20T10:00:00Z --start 2026-11-20T11:00:00Z",
        "homeward footage add gate_*.mp4 --camera gate \\",
        "    --start-from-name %Y%m%dT%H%M%S --timezone Europe/London",
        "homeward footage add export/ --camera gate --start-from-name %Y%m%dT%H%M%S",
        'homeward footage add gate.mp4 --camera gate --start "2026-11-20 10:00" \\',
        "    --timezone Europe/London",
    ],
)
@connected
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE|DIR...")
@click.option(
    "--camera",
    "camera_id",
    required=True,
    metavar="CAM",
    help="The camera.",
    shell_complete=completing.cameras,
)
@click.option(
    "--start",
    "starts",
    type=times.parse_instant,
    multiple=True,
    metavar="TIME",
    help="When the recording starts by the camera's clock; once for each file.",
)
@click.option(
    "--start-from-name",
    "pattern",
    metavar="PATTERN",
    help="Read the start from the file's name, such as %Y%m%dT%H%M%S.",
)
@click.option("--via-url", is_flag=True, help="Put the file straight into the object store.")
def add(
    session: Session,
    *,
    files: tuple[str, ...],
    camera_id: str,
    starts: tuple[datetime, ...],
    pattern: str | None,
    via_url: bool,
) -> ExitCode:
    """Add recordings of one camera; of a folder, the files that are named like recordings.

    --start may be written without a zone where --timezone names it. That is the zone of the times
    in names too, which are UTC otherwise.

    The same file again is the same footage. An upload that broke off goes on where it stopped
    when the same command is run again. Of several files, those that are refused, cannot be read or
    have no time in their name do not hold up the others (exit code 10).

    A recording that overlaps another one of its camera, or that starts months before today, is
    added with a warning: its start may be wrong.
    """
    files = recordings_among(files)
    start_of = _starts(files, starts, pattern)
    known_cameras(session, [camera_id])  # reading a large file takes minutes
    stub = _stub(session)
    added: list[upload.UploadResult] = []
    warned: list[dict[str, str]] = []
    refused: list[dict[str, str]] = []
    last = ExitCode.OK
    for number, name in enumerate(files):
        shown = written_name(name)
        try:
            path = existing_file(name)
            uploaded = _send(stub, path, camera_id, start_of(number, path.name), via_url=via_url)
        except KeyboardInterrupt:
            raise _interrupted(shown) from None
        except (CliError, OSError) as error:
            problem = local_problem(error) if isinstance(error, OSError) else error
            if problem.passing:
                raise
            tell(problem, about="" if problem.message.startswith(shown) else shown)
            refused.append({"file": shown, "reason": problem.reason, "message": problem.message})
            last = problem.exit_code
            continue
        added.append(uploaded)
        warned += _told(session, stub, shown, uploaded, _START_SOURCES[pattern is None])
    if session.view.json:
        session.view.document(
            {
                "footage": [each.footage for each in added],
                "alreadyHeld": [one.footage.footage_id for one in added if one.already_held],
                "startSource": "FILE_NAME" if pattern else "OPTION",
                "warnings": warned,
                "refused": refused,
            }
        )
    return ExitCode.PARTIAL if added and refused else last


@footage.command(
    "list",
    examples=[
        "homeward footage list",
        "homeward footage list --camera gate --from 2026-11-20T00:00:00Z",
    ],
)
@connected
@of_cameras
@click.option(
    "--from", "begin", type=times.parse_from, metavar="TIME", help="Only what ends later."
)
@click.option("--to", "end", type=times.parse_to, metavar="TIME", help="Only what starts earlier.")
def list_footage(
    session: Session,
    *,
    camera_ids: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
) -> None:
    """List the recordings that are held, by camera and start. Times are the cameras' clocks'."""
    held = _list(
        session,
        footage_service_pb2.ListFootageRequest(
            camera_ids=known_cameras(session, camera_ids), interval=times.interval(begin, end)
        ),
    )
    if session.view.json:
        session.view.document({"footage": held})
    elif not held and (camera_ids or begin or end):
        session.view.say("No footage is held of these cameras and times.")
    elif not held:
        session.view.say("No footage. Add some with `homeward footage add`.")
    else:
        ids = session.view.ids([each.footage_id for each in held])
        session.view.table(
            ("id", "camera", "start", "length", "file", "size", "removed by", "problems"),
            [
                (
                    ids[each.footage_id],
                    each.camera_id,
                    times.shown(each.start_time),
                    "" if _is_damaged(each) else times.span(each.duration),
                    each.file_name,
                    "" if _is_damaged(each) else size(each.size_bytes),
                    times.shown(each.delete_time),
                    _problems(each),
                )
                for each in held
            ],
            optional=("size", "removed by", "length", "camera"),
        )


@footage.command("show", examples=["homeward footage show 5d0c77aa"])
@connected
@click.argument("footage_id", metavar="ID", shell_complete=completing.footage)
def show(session: Session, *, footage_id: str) -> None:
    """Show a recording."""
    request = footage_service_pb2.GetFootageRequest(footage_id=full_footage_id(session, footage_id))
    footage = _stub(session).GetFootage(request).footage
    if session.view.json:
        session.view.document({"footage": footage})
        return
    video = footage.video
    session.view.details(
        [
            ("id", footage.footage_id),
            ("camera", footage.camera_id),
            ("file", footage.file_name),
            ("start (camera's clock)", times.shown(footage.start_time)),
            ("end (camera's clock)", times.shown(footage.end_time)),
            ("length", times.span(footage.duration)),
            ("size", size(footage.size_bytes)),
            ("sha256", footage.sha256),
            ("video", f"{video.codec}, {video.width} by {video.height}"),
            ("pictures", f"{video.frame_count}, {video.average_frame_rate:.2f} a second"),
            ("received", times.shown(footage.receive_time)),
            ("removed by", times.shown(footage.delete_time)),
            ("pictures for", times.span(footage.pictured_duration)),
            ("problems", _problems(footage)),
        ]
    )
    _tell_findings(session, footage)


@footage.command(
    "rm", examples=["homeward footage rm 5d0c77aa", "homeward footage rm 5d0c77aa --yes"]
)
@connected
@click.argument(
    "footage_ids", nargs=-1, required=True, metavar="ID...", shell_complete=completing.footage
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(session: Session, *, footage_ids: tuple[str, ...], yes: bool) -> None:
    """Remove recordings before their deadline, and the sightings in them that are not confirmed."""
    stub = _stub(session)
    full = [full_footage_id(session, given) for given in footage_ids]
    named = ", ".join([_named(stub, each) for each in full])
    theirs = "what was found there and is not confirmed"
    confirm(f"Remove {named}, and {theirs}?", yes=yes)
    for each in full:
        stub.DeleteFootage(footage_service_pb2.DeleteFootageRequest(footage_id=each))
        session.view.say(f"Footage {each} is removed.")
    session.view.say(
        "Sightings that are not confirmed go with their recording. The object store decides when"
        " it frees the bytes."
    )
    if session.view.json:
        session.view.document({"removed": full})


def _stub(session: Session) -> FootageServiceStub:
    return FootageServiceStub(session.connections.channel("ingestion"))


def _list(
    session: Session, request: footage_service_pb2.ListFootageRequest
) -> list[footage_pb2.Footage]:
    return all_pages(_stub(session).ListFootage, request, lambda page: page.footage)


def _starts(
    files: tuple[str, ...], starts: tuple[datetime, ...], pattern: str | None
) -> Callable[[int, str], datetime]:
    """Return a function from a file's place in the command, and its name, to its start."""
    if bool(starts) is (pattern is not None):
        raise click.UsageError("give either --start or --start-from-name")
    if pattern is None:
        if len(starts) != len(files):
            raise click.UsageError(
                f"{len(files)} files need --start {len(files)} times, in the order of the files; "
                "or --start-from-name"
            )
        return lambda number, _: starts[number]
    zone = zones.stated() or UTC

    def from_name(_: int, name: str) -> datetime:
        try:
            return times.start_from_name(written_name(name), pattern, zone)
        except ValueError as error:
            raise CliError(str(error)) from None

    return from_name


def _interrupted(shown: str) -> CliError:
    return CliError(
        f"{shown}: interrupted",
        exit_code=ExitCode.INTERRUPTED,
        advice="run the same command again: it goes on where it stopped",
    )


def _named(stub: FootageServiceStub, footage_id: str) -> str:
    """Return what to call a recording; its id where the store has damaged what it holds of it."""
    try:
        request = footage_service_pb2.GetFootageRequest(footage_id=footage_id)
        held = stub.GetFootage(request).footage
    except CliError as error:
        if error.reason != "FOOTAGE_DAMAGED":
            raise
        return footage_id
    return f"{held.file_name} ({held.camera_id}, {times.shown(held.start_time)})"


def _is_damaged(footage: footage_pb2.Footage) -> bool:
    return footage_pb2.FOOTAGE_PROBLEM_DAMAGED in footage.problems


def _problems(footage: footage_pb2.Footage) -> str:
    return ", ".join(
        enum_word(footage_pb2.FootageProblem.Name(problem), "FOOTAGE_PROBLEM_")
        for problem in footage.problems
    )


def _send(
    stub: FootageServiceStub, path: Path, camera_id: str, start: datetime, *, via_url: bool
) -> upload.UploadResult:
    header = upload.describe(path, camera_id, start, transport="url" if via_url else "stream")
    return (upload.by_url if via_url else upload.stream)(stub, path, header)


def _told(
    session: Session,
    stub: FootageServiceStub,
    file: str,
    uploaded: upload.UploadResult,
    source: str,
) -> list[dict[str, str]]:
    """Say what became of a file; return the warnings about its start, for the document."""
    if not session.view.json:
        session.view.say(_uploaded_line(file, uploaded, source))
        _tell_findings(session, uploaded.footage)
    lines = start_checks.warnings(stub, uploaded.footage)
    start_checks.tell_warnings(lines, about=file)
    return [{"footageId": uploaded.footage.footage_id, "message": each} for each in lines]


def _uploaded_line(file: str, uploaded: upload.UploadResult, source: str) -> str:
    footage = uploaded.footage
    start = f"start {times.shown(footage.start_time)} by the camera's clock (from {source})"
    if uploaded.already_held:
        return (
            f"{file}: held already as footage {footage.footage_id}, {start}; nothing was stored"
            " again"
        )
    return (
        f"{file}: footage {footage.footage_id}, {start}, length {times.span(footage.duration)}, "
        f"removed by {times.shown(footage.delete_time)}"
    )


def _tell_findings(session: Session, footage: footage_pb2.Footage) -> None:
    """Print the findings about a recording, which is searched nevertheless."""
    for finding in footage.findings:
        session.view.say(f"  note: {finding.detail}")
