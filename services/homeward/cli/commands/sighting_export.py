"""`homeward sighting export`: a confirmed sighting, for another body."""

from __future__ import annotations

from pathlib import Path

import click

from homeward.api.matching.v1 import sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import completing, disclosure, packages, rejections, times
from homeward.cli.errors import CallError
from homeward.cli.files import refuse_existing, write_new
from homeward.cli.ids import full_sighting_id
from homeward.cli.options import Command, Session, connected
from homeward.cli.render import document_text
from homeward.cli.shared import OutputFile


@click.command(
    "export",
    cls=Command,
    examples=[
        "homeward sighting export 91b5e0c4 -o MP-26-0412.zip --to 'West Yorkshire Police'",
        "homeward sighting export 91b5e0c4 -o MP-26-0412.zip --to 'Press office' --no-clip",
        "homeward sighting export 91b5e0c4 --save disclosure",
    ],
)
@connected
@click.argument("sighting_id", metavar="ID", shell_complete=completing.sightings)
@click.option(
    "-o",
    "file",
    type=OutputFile(),
    metavar="FILE.zip",
    help="Write a signed package: stills, clip, a summary to read, and a manifest.",
)
@click.option("--to", "recipient", metavar="NAME", help="Who is given the package; on record.")
@click.option("--no-clip", is_flag=True, help="Leave the clip out of the package.")
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the still, and what is known of it as JSON, to a folder, unsigned.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option(
    "--unapproved",
    is_flag=True,
    help="Give out what was found in evaluation mode too, marked: nobody may act on it.",
)
def export(
    session: Session,
    *,
    sighting_id: str,
    file: Path | None,
    recipient: str | None,
    no_clip: bool,
    save: Path | None,
    force: bool,
    unapproved: bool,
) -> None:
    """Give a confirmed sighting out: as a signed package, or as a still and JSON.

    A package can be verified without any server, by `homeward export verify`. It has a clip if the
    recording is still held, with every other face blurred: watch all of it before you give it away.
    To whom it is given stands in the audit trail.
    """
    if (file is None) is (save is None):
        raise click.UsageError("give -o FILE.zip for a package, or --save DIR")
    if file is None and (recipient or no_clip):
        raise click.UsageError("--to and --no-clip go with -o FILE.zip")
    with rejections.explained(session, sighting_id):
        full = full_sighting_id(session, sighting_id)
        if file is not None:
            if not recipient:
                raise click.UsageError("-o needs --to: who is given the package")
            order = packages.Order(full, recipient, with_clip=not no_clip, unapproved=unapproved)
            packages.export(session, order, file, force=force)
            return
        assert save is not None, "one of the two is given"
        _export_to_folder(session, full, save, force=force, unapproved=unapproved)


def _export_to_folder(
    session: Session, full: str, save: Path, *, force: bool, unapproved: bool
) -> None:
    # Before the call, which is on record as a disclosure.
    for marked in {False, unapproved}:
        for path in disclosure.paths(save, full, marked=marked):
            refuse_existing(path, force=force)
    request = sighting_service_pb2.GetSightingRequest(sighting_id=full)
    context = disclosure.context_of(session, _stub(session).GetSighting(request).sighting)
    answer = _exported(session, full, unapproved=unapproved)
    marked = not disclosure.is_approved(answer.sighting)
    still, facts = disclosure.paths(save, full, marked=marked)
    document = disclosure.document(answer, context, still=still.name)
    save.mkdir(parents=True, exist_ok=True)
    write_new(still, answer.still, force=force)
    write_new(facts, f"{document_text(document)}\n".encode(), force=force)
    if session.view.json:
        session.view.document(document)
    session.view.say(f"Exported: {still}, {facts}")
    session.view.say(f"Confirmed by: {', '.join(document['confirmedBy'])}")
    if marked:
        session.view.say(document["notice"])
    if answer.sighting.time_uncertain:
        session.view.say(times.UNCERTAIN)


def _exported(
    session: Session, sighting_id: str, *, unapproved: bool
) -> sighting_service_pb2.ExportSightingResponse:
    request = sighting_service_pb2.ExportSightingRequest(
        sighting_id=sighting_id, unapproved=unapproved
    )
    try:
        return _stub(session).ExportSighting(request)
    except CallError as error:
        raise packages.explained(error) from None


def _stub(session: Session) -> SightingServiceStub:
    return SightingServiceStub(session.connections.channel("matching"))
