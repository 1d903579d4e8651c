"""`homeward review`: one candidate after the other, with its pictures."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from homeward.api.matching.v1 import sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import terminal
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.filters import of_cameras, of_subjects
from homeward.cli.ids import full_subject_id, known_cameras
from homeward.cli.options import Command, Session, connected, operator_name
from homeward.cli.review import batch as batches
from homeward.cli.review import keyboard
from homeward.cli.review.deciding import Desk
from homeward.cli.review.evidence import Reader
from homeward.cli.review.supply import Scope, Supply
from homeward.cli.review.viewing import Elsewhere, remove_left_behind, usual
from homeward.cli.stopping import interrupted_by_signals

REASONS = "HOMEWARD_REVIEW_REASONS"
"""Reasons to choose from, with `;` between them; `review_reasons` in a profile."""
PICTURES = "HOMEWARD_REVIEW_PICTURES"
"""How pictures are shown; `review_pictures` in a profile."""
_USUAL_REASONS = (
    "same face;same scar or mark;same clothes as last seen;another face;another age;too blurred"
)
_HOWS = ("auto", "kitty", "iterm2", "sixel", "viewer", "file", "none")


@click.command(
    "review",
    cls=Command,
    examples=[
        "homeward review",
        "homeward review --case MP-26-0412 --camera gate",
        "homeward review --batch decisions.csv",
    ],
)
@connected
@of_subjects
@click.option("--case", "cases", multiple=True, metavar="REF", help="Only of this case.")
@of_cameras
@click.option(
    "--inconclusive",
    is_flag=True,
    help="Also what others could not tell, and what you could not tell before.",
)
@click.option(
    "--pictures",
    type=click.Choice(_HOWS),
    help="How to show pictures; a file is written where nothing else can. [default: auto]",
)
@click.option(
    "--batch",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Take decisions from a file with the columns sighting, decision and reason.",
)
@click.option(
    "--reviewer",
    default=operator_name,
    metavar="NAME",
    help="Who decides, where no access token says so. [default: the user of this computer]",
)
def review(
    session: Session,
    *,
    subjects: tuple[str, ...],
    cases: tuple[str, ...],
    camera_ids: tuple[str, ...],
    inconclusive: bool,
    pictures: str | None,
    batch: Path | None,
    reviewer: str,
) -> ExitCode:
    """Go through candidates one after the other, and decide on each by a key.

    Candidates come in groups of one camera and time, the group with the best score first. Nobody
    else is handed a candidate while you have it. Each decision is recorded before the next picture
    is shown: when you leave, or the connection is lost, the same command goes on there.

    A candidate is a lead for a human reviewer, not an identification.
    """
    desk = Desk(session, reviewer)
    if batch is not None:
        if subjects or cases or camera_ids or inconclusive:
            raise click.UsageError("--batch names the sightings itself: leave the filters out")
        return batches.send(session, desk, batches.read(batch))
    if session.view.json:
        raise click.UsageError("--output json needs --batch: what is shown is for people")
    if not keyboard.somebody_is_there():
        raise CliError(
            "a review needs a terminal with somebody at it",
            exit_code=ExitCode.USAGE,
            advice="--batch FILE.csv takes decisions from a file",
        )
    request = sighting_service_pb2.LeaseSightingsRequest(
        subject_ids=[full_subject_id(session, given) for given in subjects],
        case_references=cases,
        camera_ids=known_cameras(session, camera_ids),
        include_inconclusive=inconclusive,
        reviewer=reviewer,
    )
    how = pictures or session.connections.places.setting(PICTURES) or "auto"
    if how not in _HOWS:
        raise CliError(f"{PICTURES} is {how}: it must be one of {', '.join(_HOWS)}")
    return _walk(session, desk, request, how)


def _walk(
    session: Session,
    desk: Desk,
    request: sighting_service_pb2.LeaseSightingsRequest,
    how: str,
) -> ExitCode:
    from homeward.cli.review import preparing, walk  # noqa: PLC0415 - Pillow, which only this needs

    matching = SightingServiceStub(session.connections.channel("matching"))
    with suppress(CliError):  # opened here, as the other thread uses it too
        session.connections.channel("ingestion")
    remove_left_behind()
    with keyboard.quiet(), interrupted_by_signals():
        drawing = preparing.drawing(how)
        draws = drawing.protocol is not None
        elsewhere = Elsewhere(how) if how in list(Elsewhere) else usual()
        screen = walk.Screen(elsewhere, draws, _reasons(session))
        prepare = preparing.Preparing(Reader(session), drawing, desk.answered).prepare
        supply = Supply(matching, Scope(request, prepare))
        walking = walk.Walk(supply, desk, screen)
        supply.start()
        try:
            walking.go()
        except (KeyboardInterrupt, EOFError, click.Abort):
            walking.interrupted = True
        finally:
            screen.folder.remove()  # first: the terminal, or the service, may be gone
            supply.end()
    terminal.tell()
    terminal.tell(walk.summary(walking.counts))
    return ExitCode.INTERRUPTED if walking.interrupted else ExitCode.OK


def _reasons(session: Session) -> list[str]:
    """Return the reasons to choose from."""
    stated = session.connections.places.setting(REASONS) or _USUAL_REASONS
    return [one.strip() for one in stated.split(";") if one.strip()]
