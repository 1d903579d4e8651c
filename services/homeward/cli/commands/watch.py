"""`homeward watch`: follow new candidates and reviews, or send them to a receiver on the web."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from homeward.api.matching.v1 import sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import terminal, watching
from homeward.cli.errors import CallError
from homeward.cli.filters import of_subjects
from homeward.cli.ids import full_subject_id
from homeward.cli.options import Command, Session, connected
from homeward.cli.render import line_text, on_terminal
from homeward.cli.stopping import until_stopped

if TYPE_CHECKING:
    from homeward.cli.webhook import PlaceFile, Receiver

_SHOWN_CHARACTERS = 8
_SOURCE = "urn:homeward:sightings"
_TO_BEGIN_AGAIN = (
    "`homeward sighting list` shows what there is now: give up what it does not list; then {begin}"
)

_ENDED = "Ended."
_TO_GO_ON = "Ended. `homeward watch {words}` goes on from here; nothing is missed."
_NO_MORE = "No more changes now. `homeward watch {words}` goes on from here."
_DELIVERS_ON = (
    "Ended. Start it again with the same --state within 31 days: it goes on where it was, and no"
    " event is left out."
)


@click.command(
    "watch",
    cls=Command,
    examples=[
        "homeward watch --subject 3f2a91c0",
        "homeward watch --output json --after 19e2f0a1b2c-118",
        "homeward watch --webhook https://cases.example.police.uk/homeward \\",
        "    --secret-file webhook.secret --state watch.json",
    ],
)
@connected
@of_subjects
@click.option(
    "--after",
    default="",
    metavar="TOKEN",
    help="Go on after this place: `resumeToken` of the last line in JSON that you have.",
)
@click.option(
    "--from-oldest", is_flag=True, help="Begin with the oldest change that is kept: 31 days ago."
)
@click.option("--once", is_flag=True, help="Print what has happened up to now, and end.")
@click.option("--webhook", metavar="URL", help="Send events there instead of printing them.")
@click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with the secrets that sign events: `whsec_` and base64, one to a line.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File that keeps which event was delivered last, so that a restart goes on there.",
)
@click.option(
    "--source",
    default=_SOURCE,
    show_default=True,
    metavar="URI",
    help="`source` of the events: tells this installation from others.",
)
@click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.pem",
    help="Authority of the receiver's host, where it is your force's own.",
)
def watch(
    session: Session,
    *,
    subjects: tuple[str, ...],
    after: str,
    from_oldest: bool,
    once: bool,
    webhook: str | None,
    secret_file: Path | None,
    state: Path | None,
    source: str,
    ca_file: Path | None,
) -> None:
    """Follow new candidates and what reviewers decide, until Ctrl-C.

    Each change comes at least once and in order, over restarts of the services. In JSON it is one
    line, with `resumeToken`: --after goes on behind it. A change that comes again has the same
    `resumeToken`. Changes are kept for 31 days.

    In JSON, the last line is a `resumeToken` alone, also after Ctrl-C.

    With --webhook, each change is sent as a CloudEvent with ids alone, signed as Standard Webhooks
    says, and again until the receiver answers with 2xx; docs/api.md shows how to verify one.
    """
    if after and from_oldest:
        raise click.UsageError("--after and --from-oldest exclude each other")
    if bool(webhook) != bool(secret_file) or bool(webhook) != bool(state):
        raise click.UsageError("--webhook, --secret-file and --state belong together")
    if webhook and after:
        raise click.UsageError("--state says where to go on: leave --after out")
    request = sighting_service_pb2.WatchSightingsRequest(
        subject_ids=[full_subject_id(session, given) for given in subjects],
        resume_token=after,
        from_oldest=from_oldest,
    )
    try:
        if webhook and secret_file and state:
            from homeward.cli.webhook import PlaceFile, Receiver, read_secrets  # noqa: PLC0415 - slow

            receiver = Receiver(webhook, read_secrets(secret_file), source, ca_file)
            _deliver(session, request, receiver, PlaceFile(state), once=once)
        else:
            _print(session, request, once=once)
    except CallError as error:
        if error.reason == "RESUME_TOKEN_EXPIRED":
            begin = f"remove {state} and start this again" if state else "watch without --after"
            error.advice = _TO_BEGIN_AGAIN.format(begin=begin)
        raise


def _print(
    session: Session, request: sighting_service_pb2.WatchSightingsRequest, *, once: bool
) -> None:
    stub = SightingServiceStub(session.connections.channel("matching"))
    request.send_places = True
    place = request.resume_token
    if not (session.view.json or once):
        terminal.tell("Watching; Ctrl-C ends it. A candidate is a lead for a reviewer.", err=True)

    def words() -> str:
        same = [word for one in request.subject_ids for word in ("--subject", one)]
        return " ".join([*same, "--after", place])

    def how_to_go_on() -> str:
        if session.view.json and place:
            terminal.tell_own(line_text(watching.Response(resume_token=place)))
        return _TO_GO_ON.format(words=words()) if place else _ENDED

    with until_stopped(how_to_go_on), closing(watching.changes(stub, request)) as changes:
        for response in changes:
            if response.change or (once and session.view.json):
                _tell(session, response)
            place = response.resume_token  # once it is told: a change may come twice, but not never
            if once and not response.change:
                if not session.view.json:
                    terminal.tell(_NO_MORE.format(words=words()), err=True)
                return


def _tell(session: Session, response: watching.Response) -> None:
    if session.view.json:
        terminal.tell_own(line_text(response))
        return
    length = _SHOWN_CHARACTERS if on_terminal() else None
    sighting = response.sighting
    ids = sighting.sighting_id[:length], sighting.subject_id[:length]
    terminal.tell(watching.line(response, *ids))


def _deliver(
    session: Session,
    request: sighting_service_pb2.WatchSightingsRequest,
    receiver: Receiver,
    places: PlaceFile,
    *,
    once: bool,
) -> None:
    stub = SightingServiceStub(session.connections.channel("matching"))
    with until_stopped(lambda: _DELIVERS_ON), places.locked():
        place = places.read()
        request.resume_token, request.send_places = place, True
        request.from_oldest = request.from_oldest and not place
        with closing(watching.changes(stub, request, patient=True)) as changes:
            for response in changes:
                if response.change:
                    receiver.deliver(response)
                if response.resume_token != place:
                    place = response.resume_token
                    places.write(place)
                if once and not response.change:
                    return
