"""`homeward sighting clip`: a piece of the recording, with everybody else blurred."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from homeward.api.ingestion.v1 import clip_service_pb2
from homeward.cli import clips, completing, rejections, times
from homeward.cli.errors import CallError
from homeward.cli.files import refuse_existing, write_new
from homeward.cli.ids import full_sighting_id
from homeward.cli.options import Command, Session, connected
from homeward.cli.shared import OutputFile

MOST_SECONDS = 30.0
"""Before and after; as the service allows."""


@click.command(
    "clip",
    cls=Command,
    examples=[
        "homeward sighting clip 91b5e0c4 -o 91b5e0c4.mp4",
        "homeward sighting clip 91b5e0c4 -o 91b5e0c4.mp4 --seconds 10 --burn-time",
    ],
)
@connected
@click.argument("sighting_id", metavar="ID", shell_complete=completing.sightings)
@click.option(
    "-o",
    "file",
    required=True,
    type=OutputFile(),
    metavar="FILE.mp4",
    help="The file to write.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.0, MOST_SECONDS),
    default=5.0,
    show_default=True,
    metavar="N",
    help="How much to show before the appearance and after it, at most 30.",
)
@click.option(
    "--around-still",
    is_flag=True,
    help="Show these seconds before and after the still alone, of a long appearance.",
)
@click.option(
    "--burn-time", is_flag=True, help="Write the true time and the sighting below each picture."
)
@click.option("--force", is_flag=True, help="Overwrite FILE.mp4.")
def clip(
    session: Session,
    *,
    sighting_id: str,
    file: Path,
    seconds: float,
    around_still: bool,
    burn_time: bool,
    force: bool,
) -> None:
    """Cut a clip out of the recording of a sighting, with every other face blurred.

    A face is shown only where it is the subject's for certain. Where that is nobody's, all faces
    are blurred, and the command says so. A picture in which faces cannot be found for certain is
    blurred as a whole. The clip is an MP4 file (H.264) of at most 90 seconds, without sound.

    Making it takes several times as long as it plays. Once the recording is gone, after
    31 days at the latest, no clip can be made any more.
    """
    if file.suffix.lower() != ".mp4":
        raise click.UsageError("-o names the clip: a FILE.mp4")
    refuse_existing(file, force=force)
    with rejections.explained(session, sighting_id):
        request = clip_service_pb2.RenderClipRequest(
            sighting_id=full_sighting_id(session, sighting_id),
            margin=times.to_duration(timedelta(seconds=seconds)),
            around_still=around_still,
            burn_time=burn_time,
        )
        made = _made(session, request)
    write_new(file, made.file, force=force)
    if session.view.json:
        session.view.document({"clip": made.clip, "file": str(file)})
    session.view.say(f"Clip: {file}")
    for line in clips.sentences(made.clip):
        session.view.say(line)


def _made(session: Session, request: clip_service_pb2.RenderClipRequest) -> clips.MadeClip:
    try:
        return clips.made_clip(session, request)
    except CallError as error:
        if error.reason in ("FOOTAGE_NOT_FOUND", "FOOTAGE_EXPIRED"):
            error.advice = (
                "what is left of the sighting is its still: `homeward sighting show"
                f" {request.sighting_id} --save FILE.png`; ask the owner of the camera for the"
                " recording, and add it again"
            )
        raise
