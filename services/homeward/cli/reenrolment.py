"""Following a re-enrolment, or a rebuild of the gallery, to its end, over broken connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from homeward.api.matching.v1 import subject_pb2, subject_service_pb2
from homeward.api.matching.v1.subject_service_pb2_grpc import SubjectServiceStub
from homeward.cli import patience, progress
from homeward.cli.errors import PHOTO_ADVICE, CallError, CliError, ExitCode
from homeward.cli.options import Session
from homeward.core.photo_problems import PHOTO_PROBLEMS

Response = subject_service_pb2.ReenrolSubjectsResponse
Rebuilt = subject_service_pb2.RebuildGalleryResponse
Subjects = Callable[[], Sequence[subject_pb2.Subject]]

_ATTEMPTS = 10
"""In a row and without an answer; the waits between them add up to a minute."""

_NOTES = {
    Response.STAGE_WAITING: "waiting for another run",
    Response.STAGE_MOVING_SIGHTINGS: "moving sightings",
}
_PROBLEMS = {
    **{name: f"{problem}: {PHOTO_ADVICE[name]}" for name, problem in PHOTO_PROBLEMS.items()},
    "IMAGE_UNREADABLE": "it does not decode",
    "PHOTO_GONE": "it is not in the object store",
}


@dataclass(slots=True)
class _Outcome:
    """The state of a re-enrolment or a rebuild."""

    last: Response | Rebuilt = field(default_factory=Response)
    total: int = 0
    unusable: dict[tuple[str, str], subject_service_pb2.UnusablePhoto] = field(default_factory=dict)


def follow(
    session: Session,
    pack: str,
    *,
    accept_lost: bool,
    subjects: Subjects,
) -> ExitCode:
    """Re-enrol everybody, show the progress, and print which photographs the pack cannot use.

    Args:
        session: The command's session.
        pack: Name or digest of the model pack.
        accept_lost: Go on even if subjects are lost.
        subjects: Lists them, for their names.

    Raises:
        CallError: The service refuses, or does not come back.
    """
    request = subject_service_pb2.ReenrolSubjectsRequest(model=pack, accept_lost=accept_lost)
    stub = SubjectServiceStub(session.connections.channel("matching"))
    outcome = _Outcome()
    try:
        _show(partial(stub.ReenrolSubjects, request), outcome)
    except CallError as error:
        if error.reason == "SUBJECTS_LOST":
            _tell(session, outcome, subjects)
        raise
    _tell(session, outcome, subjects)
    return ExitCode.PARTIAL if outcome.unusable or outcome.last.lost_subject_ids else ExitCode.OK


def follow_rebuild(session: Session, *, accept_lost: bool, subjects: Subjects) -> ExitCode:
    """Make the missing templates of the gallery, and show the progress.

    Args:
        session: The command's session.
        accept_lost: Let searches go on without subjects that have no usable photograph.
        subjects: Lists them, for their names.

    Raises:
        CallError: The service refuses, or does not come back.
    """
    request = subject_service_pb2.RebuildGalleryRequest(accept_lost=accept_lost)
    stub = SubjectServiceStub(session.connections.channel("matching"))
    outcome = _Outcome(last=Rebuilt())
    _show(partial(stub.RebuildGallery, request), outcome)
    unusable = list(outcome.unusable.values())
    lost = outcome.last.lost_subject_ids
    if session.view.json:
        session.view.document({"rebuild": outcome.last, "unusablePhotos": unusable})
        return ExitCode.PARTIAL if unusable or lost else ExitCode.OK
    _tell_unusable(session, outcome)
    if lost:
        _tell_lost(session, outcome, subjects)
    if lost and not accept_lost:
        session.view.say(
            "Searches that they are part of stay refused: add photographs of them (`homeward"
            " subject add-photo`), close them, or accept that (--accept-lost)."
        )
    elif outcome.total:
        whom = "all others" if lost else "all"
        session.view.say(f"Searches go on: {whom} who are looked for have templates again.")
    else:
        session.view.say("Every photograph has its template: there was nothing to do.")
    return ExitCode.PARTIAL if unusable or lost else ExitCode.OK


def _show(call: Callable[[], Iterable[Response | Rebuilt]], outcome: _Outcome) -> None:
    """Follow a call to its end, and show the progress.

    Raises:
        CliError: Interrupted.
    """
    pace = progress.Pace()
    try:
        with progress.shown("Embedding photographs") as show:
            for _ in _updates(call, outcome):
                done, stage = outcome.last.done_photo_count, outcome.last.stage
                if stage == Response.STAGE_EMBEDDING:
                    show(done, outcome.total, pace.left(done, outcome.total))
                else:
                    show(outcome.total, outcome.total, _note(outcome.last))
    except KeyboardInterrupt:
        raise CliError(
            "interrupted",
            exit_code=ExitCode.INTERRUPTED,
            advice="run the same command again: it goes on where it stopped",
        ) from None


def _note(last: Response | Rebuilt) -> str:
    if isinstance(last, Rebuilt):
        return "waiting for another run" if last.stage == Rebuilt.STAGE_WAITING else ""
    return _NOTES.get(last.stage, "")


def _updates(call: Callable[[], Iterable[Response | Rebuilt]], outcome: _Outcome) -> Iterator[None]:
    """Bring `told` up to date until all is done; call again when the call breaks off."""
    failures = 0
    while True:
        try:
            for outcome.last in call():
                failures = 0
                outcome.total = outcome.last.total_photo_count or outcome.total
                outcome.unusable |= {
                    (one.subject_id, one.photo_id): one for one in outcome.last.unusable_photos
                }
                yield
        except CallError as error:
            failures += 1
            if error.exit_code is not ExitCode.UNAVAILABLE or failures >= _ATTEMPTS:
                raise
            patience.pause(failures, error.message)
        else:
            return


def _tell(session: Session, outcome: _Outcome, subjects: Subjects) -> None:
    lost = outcome.last.lost_subject_ids
    unusable = list(outcome.unusable.values())
    if session.view.json:
        session.view.document({"reenrolment": outcome.last, "unusablePhotos": unusable})
        return
    _tell_unusable(session, outcome)
    if lost:
        _tell_lost(session, outcome, subjects)
    if outcome.last.stage == Response.STAGE_DONE:
        session.view.say(
            f"The gallery is of {outcome.last.model_name} ({outcome.last.model_digest[:12]}) now."
            " Activate a threshold policy that was measured with it: searches are refused until"
            " then."
        )


def _tell_unusable(session: Session, outcome: _Outcome) -> None:
    if not outcome.unusable:
        return
    session.view.say(f"Photographs that {outcome.last.model_name} cannot use:")
    session.view.table(
        ("subject", "photograph", "why"),
        [
            (
                one.subject_id,
                one.photo_id,
                "; ".join(_PROBLEMS.get(name, name) for name in one.problems),
            )
            for one in outcome.unusable.values()
        ],
    )


def _tell_lost(session: Session, outcome: _Outcome, subjects: Subjects) -> None:
    session.view.say(
        f"These subjects cannot be found: {outcome.last.model_name} can use none of their"
        " photographs."
    )
    named = {each.subject_id: each for each in subjects()}
    session.view.table(
        ("subject", "case", "label"),
        [
            (name, named[name].case_reference, named[name].label)
            if name in named
            else (name, "", "")
            for name in outcome.last.lost_subject_ids
        ],
    )
