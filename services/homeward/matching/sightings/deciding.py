"""How reviewers' decisions add up: who may confirm a sighting, and how many must."""

from __future__ import annotations

from dataclasses import dataclass, replace

from homeward.matching.sightings.model import (
    Decision,
    Review,
    Sighting,
    SightingState,
    each_once,
    state_after,
)
from homeward.matching.sightings.spans import Rejection, Span
from homeward.servicekit import errors
from homeward.servicekit.identity.caller import is_same_person


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """What an installation asks of those who review."""

    two_reviewers: bool = False
    """Whether a sighting is confirmed by two people."""
    separate_reviewers: bool = False
    """Whether those who asked for a search may not confirm what it found."""

    @property
    def confirmations(self) -> int:
        """How many people must confirm a sighting."""
        return 2 if self.two_reviewers else 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision that a reviewer has made, to be counted with earlier ones."""

    review: Review
    rules: ReviewRules = ReviewRules()
    rejection: Rejection | None = None
    """What to remember if the sighting is rejected by it."""


def decided(span: Span, verdict: Verdict) -> Span:
    """Return a span with one more decision.

    A confirmation or a rejection stays. A person decides once; only somebody who could not tell may
    decide later. One confirmation that does not suffice stands until somebody else decides:

    - Another confirmation confirms the sighting.
    - Another's rejection alone does not undo it, as it would erase what may show the subject. As
      many people must reject the sighting as must confirm it.

    Raises:
        FailedPreconditionError: `REVIEWER_DECIDED_BEFORE`.
        PermissionDeniedError: `REVIEWER_IS_REQUESTER`.
    """
    review = verdict.review
    rejects = review.decision is Decision.REJECT
    if span.is_confirmed:
        return span
    if span.rejected:
        return replace(span, rejection=verdict.rejection) if rejects else span
    given = span.given_reviews
    earlier = next((one for one in given if is_same_person(one.reviewer, review.reviewer)), None)
    if earlier is not None and earlier.judgement == review.judgement:
        review = earlier  # repeated
    elif earlier is not None and earlier.decision is not Decision.INCONCLUSIVE:
        raise _decided_before(span.sighting_id)
    new = review is not earlier
    if new and review.decision is Decision.CONFIRM and verdict.rules.separate_reviewers:
        _require_no_requester(span, review.reviewer)
    reviews = (*(one for one in given if one != earlier), review) if new else given
    confirming, rejecting = (
        sum(one.decision is which for one in reviews)
        for which in (Decision.CONFIRM, Decision.REJECT)
    )
    needed = verdict.rules.confirmations
    if rejects and (not confirming or rejecting >= needed):
        return replace(
            span,
            rejected=True,
            settled=False,
            rejection=verdict.rejection,
            review=None,
            reviews=(),
            recorded=False,
        )
    # An earlier version of Homeward takes a confirmation in `review` for the last word.
    final = not confirming or (review.decision is Decision.CONFIRM and confirming >= needed)
    return replace(
        span,
        rejected=False,
        settled=True,
        rejection=None,
        review=review if final else None,
        reviews=reviews,
        withdrawn=False,
    )


def with_decisions(sighting: Sighting, span: Span) -> Sighting:
    """Return a sighting with what the ledger knows of those who decided, and who asked for it."""
    reviews, state = span.given_reviews, state_of(span)
    if not reviews or state is None:
        asked = replace(sighting, requesters=each_once(sighting.requesters, span.requesters))
        if not span.withdrawn:
            return asked
        return replace(asked, state=SightingState.UNREVIEWED, review=None, reviews=())
    return replace(
        sighting,
        state=state,
        review=span.review or reviews[-1],
        reviews=reviews,
        requesters=each_once(sighting.requesters, span.requesters),
    )


def state_of(span: Span) -> SightingState | None:
    """Return the state of a sighting whose span has decisions; None of one without."""
    reviews = span.given_reviews
    if span.is_confirmed:
        return SightingState.CONFIRMED
    if any(one.decision is Decision.CONFIRM for one in reviews):
        return SightingState.AWAITING_SECOND
    return state_after(reviews[-1].decision) if reviews else None


def span_of_sighting(sighting: Sighting) -> Span:
    """Return the span of a sighting whose ledger is lost, as the sighting itself tells it."""
    confirmed = sighting.state is SightingState.CONFIRMED
    unsure = sighting.state is SightingState.INCONCLUSIVE
    return Span(
        sighting.sighting_id,
        sighting.start_offset,
        sighting.end_offset,
        settled=sighting.review is not None,
        review=sighting.review if confirmed or unsure else None,
        reviews=sighting.given_reviews,
        requesters=sighting.requesters,
    )


def awaited(sighting: Sighting, rules: ReviewRules) -> int:
    """Return how many more people must confirm a sighting; 0 when it needs no more."""
    if sighting.state in (SightingState.CONFIRMED, SightingState.REJECTED):
        return 0
    confirmed = sum(one.decision is Decision.CONFIRM for one in sighting.given_reviews)
    return max(rules.confirmations - confirmed, 1)


def excluded(sighting: Sighting, rules: ReviewRules) -> tuple[str, ...]:
    """Return who cannot be among those whose confirmation a sighting lacks."""
    given = sighting.given_reviews
    decided_by = [one.reviewer for one in given if one.decision is not Decision.INCONCLUSIVE]
    return each_once(decided_by, sighting.requesters if rules.separate_reviewers else ())


def _require_no_requester(span: Span, reviewer: str) -> None:
    if any(is_same_person(reviewer, one) for one in span.requesters):
        raise errors.PermissionDeniedError(
            f"sighting {span.sighting_id} was found by a search that the reviewer asked for:"
            " somebody else must confirm it",
            reason=errors.Reason.REVIEWER_IS_REQUESTER,
            metadata={"sighting_id": span.sighting_id},
        )


def _decided_before(sighting_id: str) -> errors.FailedPreconditionError:
    return errors.FailedPreconditionError(
        f"the reviewer has decided on sighting {sighting_id} before, and it awaits somebody else's"
        " decision",
        reason=errors.Reason.REVIEWER_DECIDED_BEFORE,
        metadata={"sighting_id": sighting_id},
    )
