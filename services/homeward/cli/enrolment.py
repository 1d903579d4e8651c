"""Offering photographs of a subject, and printing the result for each.

Warnings of the service are printed before the photograph counts. At a terminal, the user is asked;
elsewhere the photograph is enrolled and the warning printed. Nothing here decides whether two
photographs show the same person.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from homeward.api.matching.v1 import subject_pb2, subject_service_pb2
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import caveats, terminal
from homeward.cli.errors import CallError, CliError, ExitCode, tell
from homeward.cli.options import Session

_Warning = subject_service_pb2.EnrolmentWarning


@dataclass(slots=True)
class EnrolmentResult:
    """Result of offering photographs."""

    subject: subject_pb2.Subject | None
    outcomes: list[dict[str, object]] = field(default_factory=list)
    refused: list[CliError] = field(default_factory=list)
    """Why some were not added: refused by the service, or by the user."""
    warnings: list[str] = field(default_factory=list)
    """Warnings that came before any photograph was offered."""

    @property
    def all_refused(self) -> bool:
        """Whether none was added."""
        return len(self.refused) == len(self.outcomes)


def create(
    session: Session, stated: subject_pb2.Subject, request_id: str, *, ask: bool
) -> EnrolmentResult:
    """Enrol a subject without photographs, and warn of others with the same case reference.

    Returns:
        The subject, without photographs, and the warnings.

    Raises:
        CliError: The user declines; nobody is enrolled then.
    """
    stub = _stub(session)
    answer = stub.CreateSubject(
        subject_service_pb2.CreateSubjectRequest(subject=stated, request_id=request_id)
    )
    case = f"case {stated.case_reference}"
    warned = tell_warnings(session, answer.warnings, about=case)
    if answer.warnings and ask and not _agreed("Enrol another subject of this case?"):
        forget_if_empty(stub, answer.subject.subject_id)
        raise CliError(f"{case}: nobody was enrolled", exit_code=ExitCode.INTERRUPTED)
    return EnrolmentResult(answer.subject, warnings=warned)


def offer(
    session: Session,
    offered: EnrolmentResult,
    pictures: Mapping[Path, bytes],
    *,
    ask: bool,
) -> None:
    """Offer photographs one by one; one that is refused does not hold up the others.

    Args:
        session: The command's session.
        offered: The subject; takes the results.
        pictures: Bytes of the photographs, by their paths.
        ask: Ask the user before a photograph with a warning is added.
    """
    assert offered.subject is not None, "somebody is enrolled"
    subject_id = offered.subject.subject_id
    for path, photo in pictures.items():
        request = subject_service_pb2.AddReferencePhotoRequest(
            subject_id=subject_id, photo=photo, only_without_warnings=ask
        )
        try:
            added, warned = _added(session, request, path)
        except CliError as error:
            passing = isinstance(error, CallError) and error.passing
            if passing and error.reason != "PHOTO_LIMIT":
                raise
            tell(error, about=str(path))
            offered.refused.append(error)
            outcome = {"reason": error.reason, "message": error.message, "advice": error.advice}
            offered.outcomes.append({"file": str(path), **outcome})
            continue
        offered.subject = added.subject
        offered.outcomes.append(
            {
                "file": str(path),
                "referencePhoto": added.reference_photo,
                **({"warnings": warned} if warned else {}),
                **({"notCompared": reason} if (reason := added.not_compared_reason) else {}),
            }
        )
        if not session.view.json:
            held = ", was there already" if added.already_held else ""
            quality = f"quality {added.reference_photo.quality:.2f}"
            session.view.say(f"{path}: accepted, {quality}{held}")
    _tell_not_compared(offered.outcomes)


def _added(
    session: Session, request: subject_service_pb2.AddReferencePhotoRequest, path: Path
) -> tuple[subject_service_pb2.AddReferencePhotoResponse, list[str]]:
    """Add a photograph, and return the answer and the warnings.

    Raises:
        CallError: The service refuses it.
        CliError: The user declines.
    """
    answer = _stub(session).AddReferencePhoto(request)
    warned = tell_warnings(session, answer.warnings, about=str(path))
    if answer.HasField("reference_photo"):
        return answer, warned
    if not _agreed(f"Add {path} all the same?"):
        raise CliError("not added", exit_code=ExitCode.INTERRUPTED, reason="NOT_CONFIRMED")
    request.only_without_warnings = False
    return _stub(session).AddReferencePhoto(request), warned


def tell_offered(session: Session, offered: EnrolmentResult) -> ExitCode:
    """Print the subject as it is now, and return the exit code."""
    enrolled = offered.subject
    warned = caveats.of_subjects([enrolled], caveats.in_force(session)) if enrolled else []
    if session.view.json:
        document = {"subject": enrolled, "caveats": warned} if enrolled else {}
        document |= {"warnings": offered.warnings} if offered.warnings else {}
        session.view.document({**document, "photos": offered.outcomes})
    elif enrolled and enrolled.state != subject_pb2.Subject.STATE_CLOSED:
        session.view.say(
            f"Subject {enrolled.subject_id}: {named(enrolled)}, "
            f"photographs: {len(enrolled.reference_photos)}."
        )
        for line in warned:
            session.view.say(line)
    if not enrolled:
        tell(CliError("no photograph was added, so nobody was enrolled"))
    if offered.all_refused:
        return offered.refused[0].exit_code
    return ExitCode.PARTIAL if offered.refused else ExitCode.OK


def forget_if_empty(stub: SubjectServiceStub, subject_id: str) -> bool:
    """Erase a subject without photographs; return whether it was erased."""
    # Nobody can be found without a photograph: such a subject would only be personal data.
    try:
        found = stub.GetSubject(subject_service_pb2.GetSubjectRequest(subject_id=subject_id))
        if found.subject.reference_photos:
            return False
        stub.EraseSubject(subject_service_pb2.EraseSubjectRequest(subject_id=subject_id))
    except CallError as error:
        tell(error, about=f"subject {subject_id} remains without photographs")
        return False
    return True


def take_back(stub: SubjectServiceStub, stated: subject_pb2.Subject, request_id: str) -> None:
    """Erase the subject that an interrupted `create` may have enrolled."""
    # The same request again returns the subject: the first answer may not have arrived.
    answer = stub.CreateSubject(
        subject_service_pb2.CreateSubjectRequest(subject=stated, request_id=request_id)
    )
    tell_broken_off(stub, answer.subject.subject_id)


def tell_broken_off(stub: SubjectServiceStub, subject_id: str) -> None:
    """Say whether an enrolment that broke off leaves a subject with photographs, or nobody."""
    if forget_if_empty(stub, subject_id):
        terminal.tell("Nobody was enrolled.", err=True)
    else:
        terminal.tell(
            f"Subject {subject_id} stays enrolled: `homeward subject show {subject_id}` shows with"
            " which photographs, `homeward subject add-photo` adds others.",
            err=True,
        )


def named(subject: subject_pb2.Subject) -> str:
    """Return case and label of a subject; the id, once it is closed."""
    return " ".join(filter(None, (subject.case_reference, subject.label))) or subject.subject_id


def somebody_is_there() -> bool:
    """Whether the command runs at a terminal, so that the user can be asked."""
    return sys.stdin.isatty()


def tell_warnings(session: Session, warnings: Iterable[_Warning], *, about: str) -> list[str]:
    """Print warnings on stderr, and return their sentences."""
    lines = [f"{about}: {_sentence(session, one)}" for one in warnings]
    for line in lines:
        terminal.tell(f"WARNING: {line}", err=True)
    return lines


def _sentence(session: Session, one: _Warning) -> str:
    alike = f"score {one.score:.3f}; {one.policy_id} makes a candidate from {one.threshold:.3f} on"
    if one.kind == _Warning.KIND_UNLIKE_OTHER_PHOTOS:
        return (
            f"it does not look much like the subject's other photographs ({alike}). Look at them"
            " side by side: it may show somebody else, or the same person years apart, turned away"
            " or in poor light."
        )
    if one.kind == _Warning.KIND_OTHER_FACES:
        return (
            f"it shows {one.other_face_count + 1} faces, and the largest one is looked for. If that"
            " is somebody else, cut the photograph to the person and add that."
        )
    other = _other(session, one.subject_id)
    if one.kind == _Warning.KIND_LIKE_ANOTHER_SUBJECT:
        return (
            f"it looks like {other} ({alike}). They may be one person who is enrolled twice; twins,"
            " other relatives and people who look alike give the same warning. Look at them side by"
            " side."
        )
    if one.kind == _Warning.KIND_SAME_FILE:
        return f"the same file is a photograph of {other}. One of the two may be a mistake."
    if one.kind == _Warning.KIND_SAME_CASE:
        return f"{other} has the same case reference. If they are one person, close one of the two."
    return f"look at it together with {other}: a later version of Homeward warns of it"


def _other(session: Session, subject_id: str) -> str:
    try:
        found = _stub(session).GetSubject(
            subject_service_pb2.GetSubjectRequest(subject_id=subject_id)
        )
    except CallError:  # the warning matters more than what the other one is called
        return f"subject {subject_id}"
    return f"subject {subject_id} ({named(found.subject)})"


def _tell_not_compared(outcomes: Iterable[Mapping[str, object]]) -> None:
    reasons = {str(one["notCompared"]) for one in outcomes if "notCompared" in one}
    for reason in sorted(reasons):
        terminal.tell(
            "NOT COMPARED: it was not checked whether the photographs show one person, and whether"
            f" that person is enrolled already: {reason}",
            err=True,
        )


def _agreed(question: str) -> bool:
    return terminal.ask(question)


def _stub(session: Session) -> SubjectServiceStub:
    return SubjectServiceStub(session.connections.channel("matching"))
