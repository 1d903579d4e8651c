"""`homeward sheet`: all candidates of a subject on one page."""

from __future__ import annotations

from pathlib import Path

import click

from homeward.cli import completing, zones
from homeward.cli.files import refuse_existing, write_new
from homeward.cli.ids import full_subject_id
from homeward.cli.options import Command, Session, connected
from homeward.cli.render import SENTENCE
from homeward.cli.shared import OutputFile

_SUFFIXES = (".html", ".png")


@click.command(
    cls=Command,
    examples=[
        "homeward sheet --subject 3f2a91c0 -o sheet.html",
        "homeward sheet --subject 3f2a91c0 -o sheet.png --timezone Europe/London",
    ],
)
@connected
@click.option(
    "--subject",
    required=True,
    metavar="WHO",
    help="Whose candidates: id, label or case.",
    shell_complete=completing.subjects,
)
@click.option(
    "-o",
    "file",
    type=OutputFile(),
    required=True,
    metavar="FILE",
    help="Write FILE.html, to read and print, or FILE.png.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def sheet(session: Session, *, subject: str, file: Path, force: bool) -> None:
    """Write a contact sheet: all candidates of a subject on one page.

    Reference photographs, every candidate with its still, a timeline and a map of the cameras, what
    was not searched, what to watch by eye, and how far to trust the list. The file loads nothing
    from elsewhere. Homeward cannot erase it: destroy it when the subject is closed.
    """
    if file.suffix.lower() not in _SUFFIXES:
        raise click.UsageError("-o names what to write: a FILE.html, or a FILE.png")
    refuse_existing(file, force=force)
    zone = zones.stated()
    # Jinja2 and Pillow are slow to import.
    from homeward.cli.sheet import gather  # noqa: PLC0415 - as above

    read = gather.read_sheet(session, full_subject_id(session, subject), zone)
    if file.suffix.lower() == ".png":
        from homeward.cli.sheet import drawing  # noqa: PLC0415 - as above

        content = drawing.draw(read, zone)
    else:
        from homeward.cli.sheet import page  # noqa: PLC0415 - as above

        content = page.render(read, zone)
    write_new(file, content, force=force)
    if session.view.json:
        session.view.document(
            {
                "file": str(file),
                "candidateCount": len(read.candidates),
                "gapCount": len(read.searched.gaps),
                "stretchCount": len(read.searched.stretches),
                "unknown": read.unknown,
                "warnings": read.warnings,
            }
        )
    count = len(read.candidates)
    session.view.say(f"Written: {file}, with {count} candidate{'' if count == 1 else 's'}.")
    for line in (*read.warnings, *read.unknown):
        session.view.say(line)
    session.view.say(SENTENCE)
