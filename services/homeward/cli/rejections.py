"""Rejections: a list of them, and the one of a sighting that does not exist any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from homeward.api.matching.v1 import sighting_pb2, sighting_service_pb2
from homeward.api.matching.v1.sighting_service_pb2_grpc import SightingServiceStub
from homeward.cli import caveats, losses, matches, times
from homeward.cli.errors import CliError
from homeward.cli.options import Session
from homeward.cli.paging import all_pages

ADVICE = (
    "To look there again: `homeward search --include-rejected --subject ID --footage ID`; what it"
    " finds is a new candidate, to be judged again."
)
_NOT_KEPT = "not kept"
"""What an earlier version of Homeward did not remember."""


@contextmanager
def explained(session: Session, given: str) -> Iterator[None]:
    """Explain a missing sighting: if the block does not find it, was it rejected, or lost?

    Args:
        session: The command's session.
        given: Id of the sighting, or its beginning.

    Raises:
        CliError: There is no such sighting.
    """
    try:
        yield
    except CliError as error:
        if error.reason != "SIGHTING_NOT_FOUND":
            raise
        rejected = _rejected(session, given)
        if rejected is None:
            losses.explain(session, given, error)
            raise
        by = f" by {rejected.reviewer}" if rejected.reviewer else ""
        when = (
            f" at {times.shown(rejected.review_time)}" if rejected.HasField("review_time") else ""
        )
        raise CliError(
            f"sighting {rejected.sighting_id} was rejected{by}{when}, and erased",
            exit_code=error.exit_code,
            reason=error.reason,
            advice="`homeward sighting list --rejected` shows where it was, and how to look again",
        ) from None


def _rejected(session: Session, given: str) -> sighting_pb2.Rejection | None:
    stub = SightingServiceStub(session.connections.channel("matching"))
    request = sighting_service_pb2.ListRejectionsRequest()
    try:
        listed = all_pages(stub.ListRejections, request, lambda page: page.rejections)
    except CliError:  # the first error is reported instead
        return None
    found = [one for one in listed if one.sighting_id.startswith(given)]
    return found[0] if len(found) == 1 else None


def tell_rejections(
    session: Session,
    *,
    subject_ids: Sequence[str],
    footage_ids: Sequence[str],
    begin: datetime | None,
    end: datetime | None,
) -> None:
    """Print the rejections of some subjects in some recordings, newest first; empty means all.

    Args:
        session: The command's session.
        subject_ids: Only of these.
        footage_ids: Only in these.
        begin: Only those that end later, by true time; one whose time is not known is listed.
        end: Only those that start earlier.
    """
    stub = SightingServiceStub(session.connections.channel("matching"))
    request = sighting_service_pb2.ListRejectionsRequest(
        subject_ids=subject_ids, footage_ids=footage_ids
    )
    listed = all_pages(stub.ListRejections, request, lambda page: page.rejections)
    found = [one for one in listed if _overlaps(one, begin, end)]
    if session.view.json:
        session.view.document({"rejections": found})
        return
    if not found:
        session.view.say("No rejections are remembered.")
        return
    shown = session.view.ids([one.subject_id for one in found])
    recordings = session.view.ids([one.footage_id for one in found])
    known = caveats.subjects(session)
    session.view.table(
        ("who", "subject", "footage", "in the recording", "from", "to", "rejected by", "rejected"),
        [
            (
                matches.who(known.get(one.subject_id)),
                shown[one.subject_id],
                recordings[one.footage_id],
                f"{times.position(one.start_offset)} to {times.position(one.end_offset)}",
                _true_time(one),
                times.shown(one.interval.end_time) if one.HasField("interval") else _NOT_KEPT,
                one.reviewer or _NOT_KEPT,
                times.shown(one.review_time) if one.HasField("review_time") else _NOT_KEPT,
            )
            for one in found
        ],
        optional=("in the recording", "to", "subject"),
    )
    if any(one.time_uncertain for one in found):
        session.view.say(times.UNCERTAIN)
    session.view.say(
        "The sightings themselves are erased. This is kept for 31 days at most, and goes with the"
        " recording or the subject."
    )
    session.view.say(ADVICE)


def _true_time(one: sighting_pb2.Rejection) -> str:
    if not one.HasField("interval"):
        return _NOT_KEPT
    return times.marked(one.interval.start_time, uncertain=one.time_uncertain)


def _overlaps(one: sighting_pb2.Rejection, begin: datetime | None, end: datetime | None) -> bool:
    if not one.HasField("interval"):
        return True
    ends_later = begin is None or one.interval.end_time.ToDatetime(UTC) > begin
    return ends_later and (end is None or one.interval.start_time.ToDatetime(UTC) < end)
