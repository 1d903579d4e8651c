"""Who has decided on a sighting, and who is awaited, in words."""

from __future__ import annotations

from collections.abc import Sequence

from homeward.api.matching.v1 import sighting_pb2
from homeward.cli import times
from homeward.cli.render import enum_word

STATES = {
    "unreviewed": sighting_pb2.Sighting.STATE_UNREVIEWED,
    "awaiting-second": sighting_pb2.Sighting.STATE_AWAITING_SECOND,
    "confirmed": sighting_pb2.Sighting.STATE_CONFIRMED,
    "inconclusive": sighting_pb2.Sighting.STATE_INCONCLUSIVE,
}
DECISIONS = {
    "confirm": sighting_pb2.REVIEW_DECISION_CONFIRM,
    "reject": sighting_pb2.REVIEW_DECISION_REJECT,
    "inconclusive": sighting_pb2.REVIEW_DECISION_INCONCLUSIVE,
}
_DECIDED = {
    sighting_pb2.REVIEW_DECISION_CONFIRM: "confirmed by",
    sighting_pb2.REVIEW_DECISION_REJECT: "rejected by",
    sighting_pb2.REVIEW_DECISION_INCONCLUSIVE: "not sure was",
}
WITHHELD = "by somebody else; who, and what they said, is told once it is confirmed"
_PEOPLE = {1: "one person", 2: "two people"}


def state(sighting: sighting_pb2.Sighting) -> str:
    """Return the state of a sighting in words."""
    if sighting.state not in sighting_pb2.Sighting.State.values():
        return f"of a state that a newer Homeward knows ({sighting.state})"
    return enum_word(sighting_pb2.Sighting.State.Name(sighting.state), "STATE_")


def given(sighting: sighting_pb2.Sighting) -> Sequence[sighting_pb2.Review]:
    """Return the judgements that count; an earlier version of Homeward tells the last alone."""
    return sighting.reviews or ([sighting.review] if sighting.HasField("review") else [])


def confirmers(sighting: sighting_pb2.Sighting) -> list[str]:
    """Return who has confirmed a sighting."""
    confirm = sighting_pb2.REVIEW_DECISION_CONFIRM
    return [one.reviewer for one in given(sighting) if one.decision == confirm]


def details(sighting: sighting_pb2.Sighting) -> list[tuple[str, str]]:
    """Return who asked for a sighting, who has judged it, and who is awaited, a pair a line."""
    reviews = given(sighting)
    withheld = [("judged before", WITHHELD)] if sighting.reviews_withheld else []
    if len(reviews) > 1 or sighting.state == sighting_pb2.Sighting.STATE_AWAITING_SECOND:
        told = [
            (
                _DECIDED.get(one.decision, "decided by"),
                ": ".join(filter(None, (_by(one), one.reason))),
            )
            for one in reviews
        ]
    else:
        told = [("reviewed", summary(sighting)), ("reason", sighting.review.reason)]
    requesters = ", ".join(sighting.requesters)
    return [*withheld, *told, ("awaited", _awaited(sighting)), ("asked for by", requesters)]


def summary(sighting: sighting_pb2.Sighting) -> str:
    """Return who has judged a sighting and when, on one line; empty if nobody has."""
    each = " and ".join(map(_by, given(sighting)))
    return f"by {each}" if each else ""


def latest(sighting: sighting_pb2.Sighting) -> str:
    """Return who has judged a sighting last; empty where that is not told."""
    return given(sighting)[-1].reviewer if given(sighting) else "unknown"


def outcome(sighting: sighting_pb2.Sighting, decision: str) -> str:
    """Return what came of a decision.

    Args:
        sighting: As it was answered.
        decision: A name in `DECISIONS`.
    """
    name = f"Sighting {sighting.sighting_id}"
    if sighting.state != sighting_pb2.Sighting.STATE_AWAITING_SECOND:
        confirmed = sighting.state == sighting_pb2.Sighting.STATE_CONFIRMED
        by = " and ".join(
            confirmers(sighting) if confirmed else [one.reviewer for one in given(sighting)]
        )
        return f"{name} is {state(sighting)}{f', by {by}' if by else ''}."
    by = " and ".join(confirmers(sighting))
    awaited = f"It awaits the decision of {_awaited(sighting)}."
    if decision == "confirm":
        return f"{name} is confirmed by {by}, and not yet confirmed for good. {awaited}"
    return f"Noted. {name} is confirmed by {by}, so that nothing is erased. {awaited}"


def kept(sighting: sighting_pb2.Sighting) -> str:
    """Return how long a sighting is kept."""
    if sighting.state == sighting_pb2.Sighting.STATE_CONFIRMED:
        return "with the subject"
    return f"until {times.shown(sighting.delete_time)}, unless it is confirmed before"


def _by(review: sighting_pb2.Review) -> str:
    return f"{review.reviewer}, {times.shown(review.review_time)}"


def _awaited(sighting: sighting_pb2.Sighting) -> str:
    """Return whose confirmation is awaited; empty where anybody's does."""
    awaited = sighting.awaited_review
    count, excluded = awaited.confirmation_count, awaited.excluded_reviewers
    if not sighting.HasField("awaited_review") or (count == 1 and not excluded):
        return ""
    people = _PEOPLE.get(count, f"{count} people")
    return f"{people} other than {', '.join(excluded)}" if excluded else people
