"""Sightings that were recorded and that the store has lost."""

from __future__ import annotations

from homeward.api.matching.v1 import sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import times
from homeward.cli.errors import CliError
from homeward.cli.options import Session

_AGAIN = "`homeward search --subject ID --footage ID`"


def tell_lost(session: Session, lost: sighting_service_pb2.LostSightings) -> None:
    """Say what is lost, where it was, and how it is found again; nothing where nothing is."""
    say = session.view.say
    if lost.sighting_count:
        say(
            "WARNING: this list is not complete. Sightings that were recorded, that nobody removed,"
            f" and that the store has lost: {lost.sighting_count}."
        )
        session.view.table(
            ("lost sighting", "subject", "footage", "in the recording", "confirmed"),
            [
                (
                    one.sighting_id,
                    one.subject_id,
                    one.footage_id,
                    f"{times.position(one.start_offset)} to {times.position(one.end_offset)}",
                    "yes" if one.confirmed else "",
                )
                for one in lost.sightings
            ],
            optional=("confirmed", "in the recording"),
        )
        if lost.sighting_count > len(lost.sightings):
            say(f"Of these, {len(lost.sightings)} are named.")
        say(
            f"They are found again by searching these recordings again: {_AGAIN}. Tell whoever runs"
            " Qdrant that it has lost data."
        )
    if lost.confirmed_still_count:
        say(
            "WARNING: stills of confirmed sightings whose sightings are not in the store any more:"
            f" {lost.confirmed_still_count}. Where a recording is still held and its subject still"
            " looked for, searching it again finds the sighting; of the others the stills are all"
            " that is left. Tell whoever runs Qdrant and NATS that one of them has lost data."
        )


def explain(session: Session, given: str, error: CliError) -> None:
    """Raise a better error than one about a sighting that is not there, if it is lost.

    Args:
        session: The command's session.
        given: Its id, or how that begins.
        error: What says that it is not there.
    """
    stub = SightingServiceStub(session.connections.channel("matching"))
    try:
        page = stub.ListSightings(sighting_service_pb2.ListSightingsRequest(page_size=1))
    except CliError:  # the first error is reported instead
        return
    found = [one for one in page.lost.sightings if one.sighting_id.startswith(given)]
    if len(found) == 1:
        raise CliError(
            f"sighting {found[0].sighting_id} was recorded, and the store has lost it",
            exit_code=error.exit_code,
            reason=error.reason,
            advice=f"search its recording again: {_AGAIN}, with {found[0].subject_id} and"
            f" {found[0].footage_id}",
        ) from None
