"""`homeward sighting list`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import (
    caveats,
    completing,
    losses,
    matches,
    policy_figures,
    rejections,
    reviews,
    times,
)
from homeward.cli.filters import of_cameras, of_subjects
from homeward.cli.ids import full_footage_id, full_subject_id, known_cameras
from homeward.cli.options import Command, Session, connected
from homeward.cli.paging import all_pages
from homeward.cli.render import SENTENCE


@click.command(
    "list",
    cls=Command,
    examples=[
        "homeward sighting list",
        "homeward sighting list --subject 3f2a91c0 --state unreviewed",
        "homeward sighting list --rejected",
    ],
)
@connected
@of_subjects
@of_cameras
@click.option(
    "--footage",
    "recordings",
    multiple=True,
    metavar="ID",
    help="Only in this footage.",
    shell_complete=completing.footage,
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(reviews.STATES)),
    help="Only in this state.",
)
@click.option(
    "--from", "begin", type=times.parse_from, metavar="TIME", help="Only what ends later."
)
@click.option("--to", "end", type=times.parse_to, metavar="TIME", help="Only what starts earlier.")
@click.option(
    "--sort",
    "order",
    type=click.Choice(list(matches.ORDERS)),
    default="score",
    show_default=True,
    help="Most alike first, earliest first, or by camera or name.",
)
@click.option(
    "--rejected",
    is_flag=True,
    help="List what is remembered of rejected sightings: where, who rejected it, and when.",
)
def list_sightings(
    session: Session,
    *,
    subjects: tuple[str, ...],
    camera_ids: tuple[str, ...],
    recordings: tuple[str, ...],
    states: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
    order: str,
    rejected: bool,
) -> None:
    """List the sightings, most alike first. Times are true times."""
    if rejected and (states or camera_ids):
        raise click.UsageError(
            "--rejected lists what has no state and no camera any more: leave --state and --camera"
            " out"
        )
    scope = [full_subject_id(session, given) for given in subjects]
    footage_ids = [full_footage_id(session, given) for given in recordings]
    if rejected:
        rejections.tell_rejections(
            session, subject_ids=scope, footage_ids=footage_ids, begin=begin, end=end
        )
        return
    request = sighting_service_pb2.ListSightingsRequest(
        subject_ids=scope,
        footage_ids=footage_ids,
        camera_ids=camera_ids,
        states=[reviews.STATES[state] for state in states],
        interval=times.interval(begin, end),
    )
    lost = sighting_service_pb2.LostSightings()
    found = _list(session, request, lost)
    if not found:  # sightings outlast a camera that was removed
        known_cameras(session, camera_ids)
    _print_list(session, found, lost, order)


def _print_list(
    session: Session,
    sightings: Sequence[sighting_pb2.Sighting],
    lost: sighting_service_pb2.LostSightings,
    order: str,
) -> None:
    known = caveats.subjects_of(session, sightings)
    sightings = matches.in_order(sightings, known, order)
    warned = caveats.beside(sightings, known)
    if session.view.json:
        session.view.document({"sightings": sightings, "lost": lost, "caveats": warned})
        return
    if not sightings:
        session.view.say("No sightings are held." if lost.ByteSize() else "No sightings.")
    else:
        states = [reviews.state(one) + ", still gone" * one.still_gone for one in sightings]
        matches.tell_matches(session, sightings, known, states)
        for line in (*policy_figures.notes(sightings), *warned):
            session.view.say(line)
        session.view.say(SENTENCE)
    losses.tell_lost(session, lost)


def _list(
    session: Session,
    request: sighting_service_pb2.ListSightingsRequest,
    lost: sighting_service_pb2.LostSightings | None = None,
) -> list[sighting_pb2.Sighting]:
    """Return the sightings that fit; put into `lost` what the first page says is lost."""

    def of(page: sighting_service_pb2.ListSightingsResponse) -> Sequence[sighting_pb2.Sighting]:
        if lost is not None:
            lost.MergeFrom(page.lost)
        return page.sightings

    return all_pages(
        SightingServiceStub(session.connections.channel("matching")).ListSightings, request, of
    )
