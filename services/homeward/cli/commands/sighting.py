"""`homeward sighting`: candidates, for people to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from homeward.api.ingestion.v1 import camera_pb2, camera_service_pb2
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2, subject_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import (
    caveats,
    completing,
    disclosure,
    matches,
    people,
    policy_figures,
    rejections,
    reviews,
    sighting_sheet,
    terminal,
    times,
)
from homeward.cli.commands.clip import clip
from homeward.cli.commands.near import near
from homeward.cli.commands.sighting_export import export
from homeward.cli.commands.sighting_list import list_sightings
from homeward.cli.errors import CliError, tell
from homeward.cli.files import refuse_existing, write_new
from homeward.cli.ids import full_sighting_id
from homeward.cli.options import (
    Group,
    Session,
    confirm,
    connected,
    operator_name,
)
from homeward.cli.render import SENTENCE


@click.group(cls=Group)
def sighting() -> None:
    """Review candidates. A candidate is a lead for a human reviewer, not an identification."""


sighting.add_command(list_sightings)
sighting.add_command(clip)
sighting.add_command(near)
sighting.add_command(export)


@sighting.command(
    "show",
    examples=["homeward sighting show 91b5e0c4", "homeward sighting show 91b5e0c4 --save lead.png"],
)
@connected
@click.argument("sighting_id", metavar="ID", shell_complete=completing.sightings)
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Write all stills and all reference photographs into one picture.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE.png.")
def show(session: Session, *, sighting_id: str, save: Path | None, force: bool) -> None:
    """Show a sighting, and write the picture to judge it by."""
    if save is not None:
        if save.suffix.lower() != ".png":
            raise click.UsageError("--save writes PNG: name a FILE.png")
        refuse_existing(save, force=force)
    pictured = sighting_service_pb2.SIGHTING_VIEW_FULL
    view = sighting_service_pb2.SIGHTING_VIEW_BASIC if save is None else pictured
    with rejections.explained(session, sighting_id):
        answer = _stub(session).GetSighting(
            sighting_service_pb2.GetSightingRequest(
                sighting_id=full_sighting_id(session, sighting_id), view=view
            )
        )
    sightings = [answer.sighting]
    known = caveats.subjects_of(session, sightings)
    warned = caveats.beside(sightings, known)
    if save is not None:
        disclosure.require_pictures(answer)
        write_new(save, _picture(session, answer, warned), force=force)
    if session.view.json:
        session.view.document({"sighting": answer.sighting, "caveats": warned})
    else:
        _tell(session, answer.sighting, warned, known)
    if save is not None:
        terminal.tell(f"Picture: {save}", err=session.view.json)


@sighting.command(
    "review",
    examples=[
        "homeward sighting review 91b5e0c4 --confirm --reason 'scar on the left cheek'",
        "homeward sighting review 91b5e0c4 --reject --yes",
    ],
)
@connected
@click.argument("sighting_id", metavar="ID", shell_complete=completing.sightings)
@click.option("--confirm", "decisions", flag_value="confirm", multiple=True, help="It shows them.")
@click.option(
    "--reject",
    "decisions",
    flag_value="reject",
    multiple=True,
    help="It does not; the sighting is erased.",
)
@click.option(
    "--inconclusive",
    "decisions",
    flag_value="inconclusive",
    multiple=True,
    help="It cannot be told.",
)
@click.option("--yes", is_flag=True, help="Do not ask before a rejection.")
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@click.option(
    "--reviewer",
    default="",
    metavar="NAME",
    help="Who decides, where no access token says so. [default: the user of this computer]",
)
def review(
    session: Session,
    *,
    sighting_id: str,
    decisions: tuple[str, ...],
    reason: str,
    reviewer: str,
    yes: bool,
) -> None:
    """Record a reviewer's decision. A rejected sighting is erased at once.

    Where two people must confirm, one that somebody has confirmed awaits another, and two people
    must reject it before it is erased. `sighting show` tells who has decided.

    What is remembered of it, `sighting list --rejected` shows; `search --include-rejected` looks
    there again, if the rejection was wrong.
    """
    if len(set(decisions)) != 1:
        raise click.UsageError("give one of --confirm, --reject and --inconclusive")
    decision = decisions[0]
    if decision == "reject":
        confirm(
            f"Reject sighting {sighting_id}? It is erased, unless somebody has confirmed it, and"
            " not shown again unless asked for.",
            yes=yes,
        )
    with rejections.explained(session, sighting_id):
        request = sighting_service_pb2.ReviewSightingRequest(
            sighting_id=full_sighting_id(session, sighting_id),
            decision=reviews.DECISIONS[decision],
            reason=reason,
            reviewer=reviewer or operator_name(),
        )
        reviewed = _stub(session).ReviewSighting(request).sighting
    if session.view.json:
        session.view.document({"sighting": reviewed})
    else:
        session.view.say(reviews.outcome(reviewed, decision))
    if note := people.record_note(reviews.latest(reviewed), reviewer):
        terminal.tell(note, err=True)


def _stub(session: Session) -> SightingServiceStub:
    return SightingServiceStub(session.connections.channel("matching"))


def _notes(sightings: Sequence[sighting_pb2.Sighting]) -> list[str]:
    uncertain = any(one.time_uncertain for one in sightings)
    return ([times.UNCERTAIN] if uncertain else []) + policy_figures.notes(sightings)


def _tell(
    session: Session,
    sighting: sighting_pb2.Sighting,
    warned: Sequence[str],
    known: Mapping[str, subject_pb2.Subject],
) -> None:
    subject = known.get(sighting.subject_id)
    uncertain = sighting.time_uncertain
    session.view.details(
        [
            ("id", sighting.sighting_id),
            ("state", reviews.state(sighting)),
            *reviews.details(sighting),
            ("who", f"{matches.who(subject)}, case {subject.case_reference}" if subject else ""),
            ("subject", sighting.subject_id),
            ("camera", sighting.camera_id),
            ("footage", sighting.footage_id),
            ("in view from", times.marked(sighting.interval.start_time, uncertain=uncertain)),
            ("in view to", times.marked(sighting.interval.end_time, uncertain=uncertain)),
            ("still of", times.marked(sighting.best_shot_time, uncertain=uncertain)),
            ("still", "gone: the object store does not have it any more" * sighting.still_gone),
            ("times", _unknown_times(sighting)),
            ("camera's clock", _clock(sighting)),
            ("in the recording at", times.position(sighting.best_shot_offset)),
            ("score", policy_figures.score(sighting)),
            ("score of another person", _rival_score(sighting)),
            ("score of this picture", _still_score(sighting)),
            ("threshold", _threshold(sighting)),
            ("face height", f"{sighting.face_height_px:.0f} pixels"),
            ("kept", reviews.kept(sighting)),
        ]
    )
    if corrected := _clock_note(session, sighting):
        session.view.say(corrected)
    for line in (*_notes([sighting]), *warned):
        session.view.say(line)
    session.view.say(SENTENCE)


def _clock(sighting: sighting_pb2.Sighting) -> str:
    if not times.seconds(sighting.clock_offset):
        return ""
    return f"taken to be ahead by {times.span(sighting.clock_offset)}"


def _clock_note(session: Session, sighting: sighting_pb2.Sighting) -> str:
    """Return what to say where the camera's clock offset was corrected since."""
    camera = _camera(session, sighting.camera_id, "whether its clock was corrected is not known")
    if camera is None or not sighting.HasField("clock_offset"):
        return ""
    if times.seconds(camera.clock_offset) == times.seconds(sighting.clock_offset):
        return ""
    return (
        f"WARNING: the times above take the clock of camera {sighting.camera_id} to be"
        f" {times.span(sighting.clock_offset)} ahead. Since then that was corrected to"
        f" {times.span(camera.clock_offset)}: search again for the corrected times."
    )


def _unknown_times(sighting: sighting_pb2.Sighting) -> str:
    if sighting.HasField("time_uncertain"):
        return ""
    return "an earlier version of Homeward found it and did not tell whether they are certain"


def _threshold(sighting: sighting_pb2.Sighting) -> str:
    # A printed picture is passed on without the sentences below it.
    unapproved = sighting.HasField("figures") and not sighting.figures.approved
    return (
        f"{sighting.threshold:.3f} ({sighting.policy_id}{', NOT approved' if unapproved else ''})"
    )


def _still_score(sighting: sighting_pb2.Sighting) -> str:
    if not sighting.HasField("best_shot_score"):
        return "below the threshold"
    return f"{sighting.best_shot_score:.3f}"


def _rival_score(sighting: sighting_pb2.Sighting) -> str:
    if not sighting.HasField("rival_score"):
        return "no other enrolled person comes close"
    return f"{sighting.rival_score:.3f} at most"


def _picture(
    session: Session, answer: sighting_service_pb2.GetSightingResponse, warned: Sequence[str]
) -> bytes:
    from homeward.cli import picture  # noqa: PLC0415 - Pillow, which only this needs

    camera = _camera(session, answer.sighting.camera_id, "the camera's place is left out")
    sheet = sighting_sheet.sheet_of(session, answer, camera, warned)
    return picture.png(picture.drawn(sheet))


def _camera(session: Session, camera_id: str, without: str) -> camera_pb2.Camera | None:
    """Return a camera; if it cannot be read, print what is left out and return None."""
    stub = CameraServiceStub(session.connections.channel("ingestion"))
    try:
        return stub.GetCamera(camera_service_pb2.GetCameraRequest(camera_id=camera_id)).camera
    except CliError as error:  # the sighting is worth more than what is known of its camera
        tell(error, about=without)
        return None
