"""`homeward sighting`: candidates, for people to judge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from homeward.api.ingestion.v1 import camera_pb2, camera_service_pb2
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import (
    caveats,
    disclosure,
    losses,
    policy_figures,
    rejections,
    reviews,
    sighting_sheet,
    terminal,
    times,
)
from homeward.cli.commands.footage import full_footage_id, interval
from homeward.cli.commands.subject import full_subject_id
from homeward.cli.errors import CallError, CliError, tell
from homeward.cli.files import refuse_existing, write_new
from homeward.cli.options import (
    Group,
    Session,
    begins_uuid,
    confirm,
    connected,
    full_id,
    operator_name,
)
from homeward.cli.paging import all_pages
from homeward.cli.render import SENTENCE, document_text


@click.group(cls=Group)
def sighting() -> None:
    """Review candidates. A candidate is a lead for a human reviewer, not an identification."""


@sighting.command(
    "list",
    examples=[
        "homeward sighting list",
        "homeward sighting list --subject 3f2a91c0 --state unreviewed",
        "homeward sighting list --rejected",
    ],
)
@connected
@click.option("--subject", "subjects", multiple=True, metavar="ID", help="Only of this subject.")
@click.option("--footage", "recordings", multiple=True, metavar="ID", help="Only in this footage.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(reviews.STATES)),
    help="Only in this state.",
)
@click.option(
    "--from", "begin", type=times.parse_instant, metavar="TIME", help="Only what ends later."
)
@click.option(
    "--to", "end", type=times.parse_instant, metavar="TIME", help="Only what starts earlier."
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
    recordings: tuple[str, ...],
    states: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
    rejected: bool,
) -> None:
    """List the sightings, most alike first. Times are true times."""
    if rejected and states:
        raise click.UsageError("--rejected lists what has no state any more: leave --state out")
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
        states=[reviews.STATES[state] for state in states],
        interval=interval(begin, end),
    )
    lost = sighting_service_pb2.LostSightings()
    _print_list(session, _list(session, request, lost), lost)


def _print_list(
    session: Session,
    sightings: Sequence[sighting_pb2.Sighting],
    lost: sighting_service_pb2.LostSightings,
) -> None:
    known = caveats.subjects_of(session, sightings)
    warned = caveats.beside(sightings, known)
    if session.view.json:
        session.view.document({"sightings": sightings, "lost": lost, "caveats": warned})
        return
    if not sightings:
        session.view.say("No sightings are held." if lost.ByteSize() else "No sightings.")
    else:
        ids = session.view.ids([each.sighting_id for each in sightings])
        subject_ids = session.view.ids([each.subject_id for each in sightings])
        marks = [caveats.mark(known.get(each.subject_id), each) for each in sightings]
        session.view.table(
            (
                *("id", "subject", "camera", "from", "to", "score", "threshold", "state"),
                *(["not measured on"] if any(marks) else []),
            ),
            [
                (
                    ids[each.sighting_id],
                    subject_ids[each.subject_id],
                    each.camera_id,
                    times.marked(each.interval.start_time, uncertain=each.time_uncertain),
                    times.utc(each.interval.end_time),
                    policy_figures.score(each),
                    f"{each.threshold:.3f}",
                    reviews.state(each) + ", still gone" * each.still_gone,
                    *([note] if any(marks) else []),
                )
                for each, note in zip(sightings, marks, strict=True)
            ],
            optional=("threshold", "to"),
        )
        for line in (*_notes(sightings), *warned):
            session.view.say(line)
        session.view.say(SENTENCE)
    losses.tell_lost(session, lost)


@sighting.command(
    "show",
    examples=["homeward sighting show 91b5e0c4", "homeward sighting show 91b5e0c4 --save lead.png"],
)
@connected
@click.argument("sighting_id", metavar="ID")
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
                sighting_id=_full(session, sighting_id), view=view
            )
        )
    sightings = [answer.sighting]
    warned = caveats.beside(sightings, caveats.subjects_of(session, sightings))
    if save is not None:
        disclosure.require_pictures(answer)
        write_new(save, _picture(session, answer, warned), force=force)
    if session.view.json:
        session.view.document({"sighting": answer.sighting, "caveats": warned})
    else:
        _tell(session, answer.sighting, warned)
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
@click.argument("sighting_id", metavar="ID")
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
    default=operator_name,
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
            sighting_id=_full(session, sighting_id),
            decision=reviews.DECISIONS[decision],
            reason=reason,
            reviewer=reviewer,
        )
        reviewed = _stub(session).ReviewSighting(request).sighting
    if session.view.json:
        session.view.document({"sighting": reviewed})
    else:
        session.view.say(reviews.outcome(reviewed, decision))


@sighting.command("export", examples=["homeward sighting export 91b5e0c4 --save disclosure"])
@connected
@click.argument("sighting_id", metavar="ID")
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder to write to; made if it is not there.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option(
    "--unapproved",
    is_flag=True,
    help="Give out what was found in evaluation mode too, marked: nobody may act on it.",
)
def export(
    session: Session, *, sighting_id: str, save: Path, force: bool, unapproved: bool
) -> None:
    """Give a confirmed sighting out: its still, and what is known of it as JSON."""
    with rejections.explained(session, sighting_id):
        full = _full(session, sighting_id)
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
        if error.reason == "POLICY_NOT_APPROVED":
            error.advice = (
                "search the recording again with a policy that somebody answers for; or give it out"
                " marked, with --unapproved"
            )
        raise


def _stub(session: Session) -> SightingServiceStub:
    return SightingServiceStub(session.connections.channel("matching"))


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

    return all_pages(_stub(session).ListSightings, request, of)


def _full(session: Session, given: str) -> str:
    request = sighting_service_pb2.ListSightingsRequest(id_prefix=given)
    return full_id(
        "sighting",
        given,
        lambda: (
            [each.sighting_id for each in _list(session, request)] if begins_uuid(given) else []
        ),
    )


def _notes(sightings: Sequence[sighting_pb2.Sighting]) -> list[str]:
    uncertain = any(one.time_uncertain for one in sightings)
    return ([times.UNCERTAIN] if uncertain else []) + policy_figures.notes(sightings)


def _tell(session: Session, sighting: sighting_pb2.Sighting, warned: Sequence[str]) -> None:
    uncertain = sighting.time_uncertain
    session.view.details(
        [
            ("id", sighting.sighting_id),
            ("state", reviews.state(sighting)),
            *reviews.details(sighting),
            ("subject", sighting.subject_id),
            ("camera", sighting.camera_id),
            ("footage", sighting.footage_id),
            ("in view from", times.marked(sighting.interval.start_time, uncertain=uncertain)),
            ("in view to", times.marked(sighting.interval.end_time, uncertain=uncertain)),
            ("still of", times.marked(sighting.best_shot_time, uncertain=uncertain)),
            ("still", "gone: the object store removed it by its own rule" * sighting.still_gone),
            ("still of (here)", times.local(sighting.best_shot_time)),
            ("times", _unknown_times(sighting)),
            ("camera's clock", _clock(sighting)),
            ("in the recording at", times.span(sighting.best_shot_offset)),
            ("score", policy_figures.score(sighting)),
            ("score of somebody else", _rival_score(sighting)),
            ("score of the still alone", _still_score(sighting)),
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
        f"WARNING: camera {sighting.camera_id}'s clock is now taken to be ahead by"
        f" {times.span(camera.clock_offset)}, and was by {times.span(sighting.clock_offset)} when"
        " this was found: these times are by the latter; a search anew tells the corrected ones."
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
        return "nobody else who is enrolled is nearly as alike"
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
