"""What a reader is told of others' decisions: the second reviewer judges without the first's."""

from __future__ import annotations

from dataclasses import replace

from homeward.matching.sightings.deciding import ReviewRules
from homeward.matching.sightings.model import Sighting, SightingState
from homeward.servicekit.identity.caller import Role, current_caller, is_same_person


def as_told(sighting: Sighting, rules: ReviewRules, *, stated: str = "") -> Sighting:
    """Return a sighting without the decisions that its reader must not know yet.

    Where two people must confirm, whoever may review is told their own decisions alone until the
    sighting is confirmed or rejected: whoever has decided may take that back, and decide again.
    That it awaits a second person, its state tells. The same sighting is returned where nothing is
    held back.

    Args:
        sighting: To be told.
        rules: What is asked of those who review.
        stated: Who reads, where callers are not checked and the request says so.
    """
    if not rules.two_reviewers or not sighting.given_reviews:
        return sighting
    if sighting.state in (SightingState.CONFIRMED, SightingState.REJECTED):
        return sighting
    caller = current_caller()
    if caller is not None and Role.REVIEWER not in caller.roles:
        return sighting
    name = stated if caller is None else caller.name
    given = sighting.given_reviews
    own = tuple(one for one in given if is_same_person(one.reviewer, name))
    if own == given:
        return sighting
    return replace(sighting, review=own[-1] if own else None, reviews=own)
