"""Taking a decision back: which decisions may be, and what is left then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from homeward.matching.sightings.model import Decision
from homeward.matching.sightings.spans import Span
from homeward.servicekit import errors
from homeward.servicekit.identity.caller import is_same_person


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Names a decision that its reviewer takes back."""

    reviewer: str
    review_time: datetime


def without_review(span: Span, withdrawal: Withdrawal) -> Span:
    """Return a span without a decision; the same span where the decision does not stand any more.

    The last decision alone can be taken back: whoever decided after it did so beside it. What the
    reviewer could not tell before, and then decided, is not put back.

    Raises:
        FailedPreconditionError: `REVIEW_STANDS`.
    """
    given = span.given_reviews
    meant = [one for one in given if _is_meant(one.reviewer, one.review_time, withdrawal)]
    if span.rejected or not meant:
        return span
    if meant[-1] is not given[-1]:
        raise review_stands(span.sighting_id, "somebody else has decided after it")
    if span.exported:
        raise review_stands(span.sighting_id, "the sighting was given out")
    left = given[:-1]
    confirmed = any(one.decision is Decision.CONFIRM for one in left)
    return replace(
        span,
        settled=bool(left),
        review=left[-1] if left and not confirmed else None,
        reviews=left,
        withdrawn=not left,
    )


def with_exported(span: Span) -> Span:
    """Return a span with the note that its sighting is given out, if it is confirmed.

    An earlier version of Homeward wrote no decision to the ledger.
    """
    settled_before = span.settled and not span.given_reviews
    return replace(span, exported=True) if span.is_confirmed or settled_before else span


def review_stands(sighting_id: str, why: str) -> errors.FailedPreconditionError:
    """Return the refusal to take a decision back."""
    return errors.FailedPreconditionError(
        f"the decision on sighting {sighting_id} cannot be taken back: {why}",
        reason=errors.Reason.REVIEW_STANDS,
        metadata={"sighting_id": sighting_id},
    )


def _is_meant(reviewer: str, review_time: datetime, withdrawal: Withdrawal) -> bool:
    return review_time == withdrawal.review_time and is_same_person(reviewer, withdrawal.reviewer)
