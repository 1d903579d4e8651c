"""Candidates and sightings as a table: who, where, when, how alike, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from homeward.api.common.v1.types_pb2 import TimeInterval
from homeward.api.ingestion.v1 import camera_service_pb2
from homeward.api.ingestion.v1.camera_service_pb2_grpc import CameraServiceStub
from homeward.api.matching.v1 import subject_pb2
from homeward.cli import caveats, policy_figures, times
from homeward.cli.errors import CliError, tell
from homeward.cli.options import Session
from homeward.cli.paging import all_pages


class Match(policy_figures.ScoredMatch, Protocol):
    """A sighting, or a candidate of a scan."""

    @property
    def camera_id(self) -> str: ...  # noqa: D102
    @property
    def interval(self) -> TimeInterval: ...  # noqa: D102
    @property
    def time_uncertain(self) -> bool: ...  # noqa: D102
    @property
    def threshold(self) -> float: ...  # noqa: D102


Subjects = Mapping[str, subject_pb2.Subject]
MatchT = TypeVar("MatchT", bound=Match)

ORDERS: Mapping[str, Callable[[Match, Subjects], tuple[object, ...]]] = {
    "score": lambda one, _: (-one.score,),
    "time": lambda one, _: (one.interval.start_time.ToNanoseconds(),),
    "camera": lambda one, _: (one.camera_id, one.interval.start_time.ToNanoseconds()),
    "who": lambda one, known: (who(known.get(one.subject_id)), -one.score),
}
"""By the words of `--sort`."""


def in_order(matches: Sequence[MatchT], known: Subjects, order: str) -> list[MatchT]:
    """Return matches in an order of `ORDERS`; those that are equal in it keep theirs."""
    by = ORDERS[order]
    return sorted(matches, key=lambda one: by(one, known))


def who(subject: subject_pb2.Subject | None) -> str:
    """Return what to call a subject in a list: the label, else the case, else nothing."""
    return (subject.label or subject.case_reference) if subject else ""


def tell_matches(
    session: Session, matches: Sequence[Match], known: Subjects, states: Sequence[str]
) -> None:
    """Print matches, and what their marks mean.

    Args:
        session: The command's session.
        matches: What to print, in its order.
        known: Subjects by id; of others the id is shown alone.
        states: What became of each.
    """
    cameras = places(session)
    ids = session.view.ids([each.sighting_id for each in matches])
    subject_ids = session.view.ids([each.subject_id for each in matches])
    subjects = [known.get(each.subject_id) for each in matches]
    session.view.table(
        (
            *("sighting", "who", "case", "camera", "place", "from", "to", "for"),
            *("score", "threshold", "state", "note", "subject"),
        ),
        [
            (
                ids[each.sighting_id],
                who(subject) or subject_ids[each.subject_id],
                subject.case_reference if subject else "",
                each.camera_id,
                cameras.get(each.camera_id, ""),
                times.marked(each.interval.start_time, uncertain=each.time_uncertain),
                times.shown(each.interval.end_time),
                times.length(each.interval),
                policy_figures.score(each),
                f"{each.threshold:.3f}",
                state,
                caveats.mark(subject, each),
                subject_ids[each.subject_id],
            )
            for each, subject, state in zip(matches, subjects, states, strict=True)
        ],
        optional=("subject", "to", "threshold", "case", "place", "for"),
    )
    if any(each.time_uncertain for each in matches):
        session.view.say(times.UNCERTAIN)


def places(session: Session) -> dict[str, str]:
    """Return the cameras' places by their ids; none if they cannot be read."""
    # The ids are enough to go on with, so a failure here is no error.
    try:
        cameras = all_pages(
            CameraServiceStub(session.connections.channel("ingestion")).ListCameras,
            camera_service_pb2.ListCamerasRequest(),
            lambda page: page.cameras,
        )
    except CliError as error:
        tell(error, about="the cameras' places are left out")
        return {}
    return {camera.camera_id: camera.place for camera in cameras}
