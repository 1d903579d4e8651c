"""`homeward subject`: enrol missing people, and give their data up again."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from google.protobuf.field_mask_pb2 import FieldMask

from homeward.api.matching.v1 import (
    retention_service_pb2,
    sighting_pb2,
    sighting_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from homeward.api.matching.v1.retention_service_pb2_grpc import RetentionServiceStub
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import caveats, completing, enrolment, people, reenrolment, terminal, times
from homeward.cli.certificate import certificate_page, tell_certificate
from homeward.cli.enrolment import named
from homeward.cli.errors import CliError, ExitCode, tell
from homeward.cli.files import read_photos
from homeward.cli.ids import full_subject_id
from homeward.cli.options import (
    Group,
    Session,
    confirm,
    connected,
)
from homeward.cli.paging import all_pages
from homeward.cli.render import enum_word, short_ids

_REVIEW_AFTER = timedelta(days=28)


@click.group(cls=Group)
def subject() -> None:
    """Enrol the people who are looked for, and end the search for them."""


@subject.command(
    "add",
    examples=[
        "homeward subject add --case MP-26-0412 --label Anna anna-1.jpg anna-2.jpg",
        "homeward subject add --case MP-26-0413 --child --review-by 2026-12-18 boy.jpg",
    ],
)
@connected
@click.argument("photos", nargs=-1, required=True, type=click.Path(), metavar="PHOTO...")
@click.option("--case", required=True, metavar="REF", help="The force's case reference.")
@click.option("--label", default="", help="What to call the person in lists.")
@click.option("--child", is_flag=True, help="The person is younger than 18.")
@click.option(
    "--basis",
    default="missing person enquiry",
    show_default=True,
    metavar="TEXT",
    help="Legal basis of the search.",
)
@click.option(
    "--authorised-by",
    metavar="NAME",
    help=(
        "Who authorised the search. [default: you, by your access token; at a terminal you are"
        " asked where that names an account, such as root]"
    ),
)
@click.option(
    "--review-by",
    type=times.parse_day,
    metavar="DATE",
    help="When the search must be looked at again. [default: in 28 days]",
)
@click.option("--yes", is_flag=True, help="Do not ask about what is warned of.")
def add(
    session: Session,
    *,
    photos: tuple[str, ...],
    case: str,
    label: str,
    child: bool,
    basis: str,
    authorised_by: str | None,
    review_by: datetime | None,
    yes: bool,
) -> ExitCode:
    """Enrol a person with photographs.

    A photograph shows one face, large, sharp and turned to the camera. One that cannot serve is
    refused with the reason, and the others are kept (exit code 10). When none can serve, nobody
    is enrolled.

    Each is compared with the person's other photographs and with everybody who is enrolled, and
    what may be a mistake is told before it counts: a photograph of somebody else or with other
    faces beside the largest one, a person who is enrolled already, the same file or case twice. At
    a terminal you are asked whether to go on.
    """
    pictures = read_photos(photos)
    stub = _stub(session)
    ask = not yes and enrolment.somebody_is_there()
    stated = subject_pb2.Subject(
        case_reference=case,
        label=label,
        age_group=_age_group(child=child),
        legal_basis=basis,
        authorised_by=people.authoriser(session, authorised_by),
        review_time=times.to_timestamp(review_by or datetime.now(UTC) + _REVIEW_AFTER),
    )
    request_id = str(uuid.uuid4())
    try:
        offered = enrolment.create(session, stated, request_id, ask=ask)
    except (click.Abort, KeyboardInterrupt):
        enrolment.take_back(stub, stated, request_id)
        raise
    assert offered.subject is not None, "it was created"
    subject_id = offered.subject.subject_id
    people.tell_authoriser(stated.authorised_by, offered.subject.authorised_by)
    try:
        enrolment.offer(session, offered, pictures, ask=ask)
    except (CliError, click.Abort, KeyboardInterrupt):
        enrolment.tell_broken_off(stub, subject_id)
        raise
    if offered.all_refused and enrolment.forget_if_empty(stub, subject_id):
        offered.subject = None
    return enrolment.tell_offered(session, offered)


@subject.command("add-photo", examples=["homeward subject add-photo 3f2a91c0 anna-in-profile.jpg"])
@connected
@click.argument("subject_id", metavar="ID", shell_complete=completing.subjects)
@click.argument("photos", nargs=-1, required=True, type=click.Path(), metavar="PHOTO...")
@click.option("--yes", is_flag=True, help="Do not ask about what is warned of.")
def add_photo(session: Session, *, subject_id: str, photos: tuple[str, ...], yes: bool) -> ExitCode:
    """Add photographs to a subject; what may be a mistake is told as `add` does."""
    pictures = read_photos(photos)
    ask = not yes and enrolment.somebody_is_there()
    offered = enrolment.EnrolmentResult(_get(session, subject_id))
    enrolment.offer(session, offered, pictures, ask=ask)
    return enrolment.tell_offered(session, offered)


@subject.command(
    "list", examples=["homeward subject list", "homeward subject list --all --output json"]
)
@connected
@click.option("--all", "show_closed", is_flag=True, help="List closed subjects too.")
def list_subjects(session: Session, *, show_closed: bool) -> None:
    """List the subjects, newest first."""
    subjects = _list(session, show_closed=show_closed)
    if session.view.json:
        session.view.document({"subjects": subjects})
    elif not subjects:
        session.view.say("No subjects. Enrol one with `homeward subject add`.")
    else:
        ids = session.view.ids([each.subject_id for each in subjects])
        session.view.table(
            ("id", "case", "label", "age", "state", "photos", "review by", "created"),
            [
                (
                    ids[each.subject_id],
                    each.case_reference,
                    each.label,
                    _age(each),
                    _state(each),
                    _photo_count(each),
                    times.shown(each.review_time),
                    times.shown(each.create_time),
                )
                for each in subjects
            ],
            optional=("created", "age", "photos", "review by"),
        )


@subject.command("show", examples=["homeward subject show 3f2a91c0"])
@connected
@click.argument("subject_id", metavar="ID", shell_complete=completing.subjects)
def show(session: Session, *, subject_id: str) -> None:
    """Show a subject."""
    _tell_subject(session, _get(session, subject_id))


@subject.command("update", examples=["homeward subject update 3f2a91c0 --review-by 2027-01-15"])
@connected
@click.argument("subject_id", metavar="ID", shell_complete=completing.subjects)
@click.option("--case", metavar="REF", help="The force's case reference.")
@click.option("--label", help="What to call the person in lists.")
@click.option("--child/--adult", default=None, help="Whether the person is younger than 18.")
@click.option("--basis", metavar="TEXT", help="Legal basis of the search.")
@click.option("--authorised-by", metavar="NAME", help="Who authorised it.")
@click.option(
    "--review-by",
    type=times.parse_day,
    metavar="DATE",
    help="When the search must be looked at again.",
)
def update(
    session: Session,
    *,
    subject_id: str,
    case: str | None,
    label: str | None,
    child: bool | None,
    basis: str | None,
    authorised_by: str | None,
    review_by: datetime | None,
) -> None:
    """Change what is known of a subject."""
    changes: dict[str, Any] = {
        "case_reference": case,
        "label": label,
        "age_group": None if child is None else _age_group(child=child),
        "legal_basis": basis,
        "authorised_by": authorised_by,
        "review_time": None if review_by is None else times.to_timestamp(review_by),
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        raise click.UsageError("nothing to change: give at least one option")
    changed = subject_pb2.Subject(subject_id=full_subject_id(session, subject_id), **changes)
    request = subject_service_pb2.UpdateSubjectRequest(
        subject=changed, update_mask=FieldMask(paths=list(changes))
    )
    _tell_subject(session, _stub(session).UpdateSubject(request).subject)


@subject.command("close", examples=["homeward subject close 3f2a91c0"])
@connected
@click.argument("subject_id", metavar="ID", shell_complete=completing.subjects)
@click.option("--yes", is_flag=True, help="Do not ask.")
def close(session: Session, *, subject_id: str, yes: bool) -> ExitCode:
    """End the search for a person who was found, or is no longer looked for.

    Photographs, templates, sightings and personal data are erased; only the id and the
    dates remain. What became of the data is printed, store by store.
    """
    closing = _get(session, subject_id)
    _tell_confirmed(session, closing.subject_id)
    confirm(f"Close {named(closing)} and erase photographs and sightings?", yes=yes)
    response = _stub(session).CloseSubject(
        subject_service_pb2.CloseSubjectRequest(subject_id=closing.subject_id)
    )
    if session.view.json:
        session.view.document({"subject": response.subject, "certificate": response.certificate})
    else:
        session.view.say(f"Subject {closing.subject_id} is {_state(response.subject)}.")
    return _tell_certificate(session, response.certificate)


@subject.command("erase", examples=["homeward subject erase 3f2a91c0"])
@connected
@click.argument("subject_id", metavar="ID", shell_complete=completing.subjects)
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(session: Session, *, subject_id: str, yes: bool) -> ExitCode:
    """Close a subject and forget its shell too, as if it had never been enrolled."""
    erasing = _get(session, subject_id)
    _tell_confirmed(session, erasing.subject_id)
    confirm(f"Erase {named(erasing)} and everything about them?", yes=yes)
    response = _stub(session).EraseSubject(
        subject_service_pb2.EraseSubjectRequest(subject_id=erasing.subject_id)
    )
    if session.view.json:
        session.view.document({"certificate": response.certificate})
    return _tell_certificate(session, response.certificate)


@subject.command(
    "certificate",
    examples=[
        "homeward subject certificate 3f2a91c0",
        "homeward subject certificate 3f2a91c0-5c1e-4a6b-9d0e-2f4c8a7b1e33 --page erased.html",
    ],
)
@connected
@click.argument("subject_id", metavar="ID", shell_complete=completing.subjects)
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file too, as a page to read, print or hand on.",
)
def certificate(session: Session, *, subject_id: str, page: Path | None) -> ExitCode:
    """Show what became of the data of a subject that was closed or erased, as things are now.

    An erased subject is on no list any more: give its id in full.
    """
    try:
        known = full_subject_id(session, subject_id)
    except CliError as error:
        if error.exit_code is ExitCode.NOT_FOUND:
            error.advice = "an erased subject is on no list: give its id in full"
        raise
    stub = RetentionServiceStub(session.connections.channel("matching"))
    response = stub.GetErasureCertificate(
        retention_service_pb2.GetErasureCertificateRequest(subject_id=known)
    )
    if session.view.json:
        session.view.document({"certificate": response.certificate})
    if page:
        page.write_text(certificate_page(response.certificate), encoding="utf-8")
    return _tell_certificate(session, response.certificate)


@subject.command("reenrol", examples=["homeward subject reenrol --model insightface:buffalo_l"])
@connected
@click.option(
    "--model", "pack", required=True, metavar="NAME", help="Model pack to move to, or its digest."
)
@click.option(
    "--accept-lost",
    is_flag=True,
    help="Search without subjects of whose photographs it can use none; nobody would find them.",
)
def reenrol(session: Session, *, pack: str, accept_lost: bool) -> ExitCode:
    """Move everybody who is enrolled to another model pack.

    Start the embedding service with the other pack first. This empties the gallery and embeds
    every kept photograph with that pack; searches are refused until everybody has a template again.
    Stopped or broken off, the same command goes on where it was.

    Photographs that the pack cannot use are listed (exit code 10). If it can use none of some
    subject, searches that they are part of stay refused (exit code 7) without --accept-lost.
    """
    return reenrolment.follow(
        session, pack, accept_lost=accept_lost, subjects=lambda: _list(session, show_closed=False)
    )


@subject.command("rebuild", examples=["homeward subject rebuild"])
@connected
@click.option(
    "--accept-lost",
    is_flag=True,
    help="Search without subjects of whose photographs none can be used; nobody would find them.",
)
def rebuild(session: Session, *, accept_lost: bool) -> ExitCode:
    """Make the templates that the gallery lacks from the kept photographs.

    After Qdrant has lost its data, searches are refused until everybody who is looked for has a
    template again. The next sweep of matching does the same by itself. Stopped or broken off, the
    same command goes on where it was.

    Photographs that cannot be used are listed (exit code 10).
    """
    return reenrolment.follow_rebuild(
        session, accept_lost=accept_lost, subjects=lambda: _list(session, show_closed=False)
    )


def _stub(session: Session) -> SubjectServiceStub:
    return SubjectServiceStub(session.connections.channel("matching"))


def _list(session: Session, *, show_closed: bool) -> list[subject_pb2.Subject]:
    return all_pages(
        _stub(session).ListSubjects,
        subject_service_pb2.ListSubjectsRequest(show_closed=show_closed),
        lambda page: page.subjects,
    )


def _get(session: Session, given: str) -> subject_pb2.Subject:
    request = subject_service_pb2.GetSubjectRequest(subject_id=full_subject_id(session, given))
    return _stub(session).GetSubject(request).subject


def _tell_confirmed(session: Session, subject_id: str) -> None:
    """Say which confirmed sightings go with a subject, and how to keep what they show."""
    request = sighting_service_pb2.ListSightingsRequest(
        subject_ids=[subject_id], states=[sighting_pb2.Sighting.STATE_CONFIRMED]
    )
    stub = SightingServiceStub(session.connections.channel("matching"))
    try:
        held = all_pages(stub.ListSightings, request, lambda page: page.sightings)
    except CliError as error:
        tell(error, about="whether confirmed sightings will be erased is not known")
        return
    if held:
        ids = ", ".join(short_ids([one.sighting_id for one in held]).values())
        terminal.tell(
            f"Confirmed sightings that will be erased: {ids}. What they show is kept only if it was"
            " exported: `homeward sighting export ID` does that, before this.",
            err=True,
        )


def _caveats(session: Session, subject: subject_pb2.Subject) -> list[str]:
    return caveats.of_subjects([subject], caveats.in_force(session))


def _tell_subject(session: Session, subject: subject_pb2.Subject) -> None:
    warned = _caveats(session, subject)
    if session.view.json:
        session.view.document({"subject": subject, "caveats": warned})
        return
    session.view.details(
        [
            ("id", subject.subject_id),
            ("case", subject.case_reference),
            ("label", subject.label),
            ("age", _age(subject)),
            ("state", _state(subject)),
            ("legal basis", subject.legal_basis),
            ("authorised by", subject.authorised_by),
            ("review by", times.shown(subject.review_time)),
            ("created", times.shown(subject.create_time)),
            ("changed", times.shown(subject.update_time)),
            ("photographs", _photo_count(subject)),
        ]
    )
    for line in warned:
        session.view.say(line)
    if subject.reference_photos:
        session.view.table(
            ("photograph", "quality", "added", "used"),
            [
                (
                    photo.photo_id,
                    f"{photo.quality:.2f}",
                    times.shown(photo.create_time),
                    "no: the model pack in use cannot" if photo.unusable else "yes",
                )
                for photo in subject.reference_photos
            ],
        )


def _tell_certificate(session: Session, certificate: subject_pb2.ErasureCertificate) -> ExitCode:
    return tell_certificate(
        session, certificate, now=f"homeward subject close {certificate.subject_id}"
    )


def _age_group(*, child: bool) -> subject_pb2.AgeGroup.ValueType:
    return subject_pb2.AGE_GROUP_CHILD if child else subject_pb2.AGE_GROUP_ADULT


def _age(subject: subject_pb2.Subject) -> str:
    if subject.age_group == subject_pb2.AGE_GROUP_UNSPECIFIED:  # once closed
        return ""
    return enum_word(subject_pb2.AgeGroup.Name(subject.age_group), "AGE_GROUP_")


def _state(subject: subject_pb2.Subject) -> str:
    return enum_word(subject_pb2.Subject.State.Name(subject.state), "STATE_")


def _photo_count(subject: subject_pb2.Subject) -> str:
    unusable = sum(photo.unusable for photo in subject.reference_photos)
    return f"{len(subject.reference_photos)}{f' ({unusable} not used)' if unusable else ''}"
