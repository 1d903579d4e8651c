"""How the decisions of several reviewers add up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given as taking
from hypothesis import strategies as st

from homeward.matching.sightings.deciding import (
    ReviewRules,
    Verdict,
    decided,
)
from homeward.matching.sightings.model import Decision, Review
from homeward.matching.sightings.spans import Rejection, Span
from homeward.servicekit import records
from homeward.servicekit.errors import DomainError, FailedPreconditionError, Reason
from homeward.servicekit.identity.caller import is_same_person

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
CONFIRM, REJECT, UNSURE = Decision.CONFIRM, Decision.REJECT, Decision.INCONCLUSIVE
ANNE, BOB, CAT, DAN = "anne@force", "bob@force", "cat@force", "dan@force"
ONE = ReviewRules()
TWO = ReviewRules(two_reviewers=True)
APART = ReviewRules(two_reviewers=True, separate_reviewers=True)
SPAN = Span("a", timedelta(), timedelta(seconds=4), requesters=(DAN,))

AWAITED, CONFIRMED, REJECTED, OPEN = "awaited", "confirmed", "rejected", "open"


def verdict(decision: Decision, reviewer: str, rules: ReviewRules, reason: str = "") -> Verdict:
    rejection = Rejection(reviewer, NOON, NOON)
    return Verdict(Review(decision, reason, reviewer, NOON), rules, rejection)


def after(*given: tuple[Decision, str], rules: ReviewRules = APART, span: Span = SPAN) -> Span:
    for decision, reviewer in given:
        span = decided(span, verdict(decision, reviewer, rules))
    return span


def state(span: Span) -> str:
    if span.rejected:
        return REJECTED
    if span.is_confirmed:
        return CONFIRMED
    return AWAITED if CONFIRM in {one.decision for one in span.given_reviews} else OPEN


@pytest.mark.parametrize(
    ("given", "rules", "expected"),
    [
        ([(CONFIRM, ANNE)], ONE, CONFIRMED),
        ([(CONFIRM, ANNE)], TWO, AWAITED),
        ([(CONFIRM, ANNE), (CONFIRM, BOB)], TWO, CONFIRMED),
        ([(CONFIRM, DAN), (CONFIRM, BOB)], TWO, CONFIRMED),
        ([(REJECT, ANNE)], TWO, REJECTED),
        ([(REJECT, DAN)], APART, REJECTED),
        ([(UNSURE, ANNE), (CONFIRM, ANNE)], TWO, AWAITED),
        ([(UNSURE, ANNE), (CONFIRM, BOB)], TWO, AWAITED),
        ([(UNSURE, ANNE), (REJECT, BOB)], TWO, REJECTED),
        ([(CONFIRM, ANNE), (UNSURE, BOB)], TWO, AWAITED),
        ([(CONFIRM, ANNE), (UNSURE, BOB), (CONFIRM, BOB)], TWO, CONFIRMED),
        # Somebody else's rejection does not undo a confirmation; a third person decides.
        ([(CONFIRM, ANNE), (REJECT, BOB)], TWO, AWAITED),
        ([(CONFIRM, ANNE), (REJECT, BOB), (CONFIRM, CAT)], TWO, CONFIRMED),
        ([(CONFIRM, ANNE), (REJECT, BOB), (REJECT, CAT)], TWO, REJECTED),
        # What stands stays.
        ([(REJECT, ANNE), (CONFIRM, BOB)], TWO, REJECTED),
        ([(CONFIRM, ANNE), (CONFIRM, BOB), (REJECT, CAT)], TWO, CONFIRMED),
        ([(CONFIRM, ANNE), (REJECT, BOB)], ONE, CONFIRMED),
    ],
)
def test_decisions_add_up(
    given: list[tuple[Decision, str]], rules: ReviewRules, expected: str
) -> None:
    assert state(after(*given, rules=rules)) == expected


@pytest.mark.parametrize("first", [CONFIRM, REJECT])
@pytest.mark.parametrize("second", list(Decision))
def test_nobody_decides_twice(first: Decision, second: Decision) -> None:
    others = () if first is CONFIRM else ((CONFIRM, BOB),)
    span = after(*others, (first, ANNE))

    with pytest.raises(FailedPreconditionError) as refused:
        decided(span, verdict(second, "ANNE@force ", TWO, reason="another"))

    assert refused.value.reason is Reason.REVIEWER_DECIDED_BEFORE


def test_the_same_decision_again_changes_nothing() -> None:
    for given in ([(CONFIRM, ANNE)], [(CONFIRM, ANNE), (REJECT, BOB)], [(UNSURE, BOB)]):
        span = after(*given)
        for decision, reviewer in given:
            assert decided(span, verdict(decision, reviewer, APART)) == span


def test_who_asked_for_the_search_does_not_confirm_what_it_found() -> None:
    for rules in (APART, replace(ONE, separate_reviewers=True)):
        with pytest.raises(DomainError) as refused:
            after((CONFIRM, "Dan@force"), rules=rules)
        assert refused.value.reason is Reason.REVIEWER_IS_REQUESTER
    with pytest.raises(DomainError):
        after((CONFIRM, ANNE), (CONFIRM, DAN))


def test_a_confirmation_counts_that_was_given_before_the_reviewer_asked_for_a_search() -> None:
    span = replace(after((CONFIRM, ANNE)), requesters=(DAN, ANNE))

    assert decided(span, verdict(CONFIRM, ANNE, APART)) == span
    assert state(after((CONFIRM, BOB), span=span)) == CONFIRMED


def test_a_confirmation_counts_once_the_installation_asks_for_one_only() -> None:
    half = after((CONFIRM, ANNE), rules=TWO)

    assert state(after((CONFIRM, ANNE), span=half, rules=ONE)) == CONFIRMED
    assert state(after((REJECT, BOB), span=half, rules=ONE)) == REJECTED


def test_an_earlier_version_reads_a_half_confirmed_span_as_one_that_is_not_confirmed() -> None:
    assert after((CONFIRM, ANNE)).review is None
    assert after((CONFIRM, ANNE), (REJECT, BOB)).review is None
    assert after((CONFIRM, ANNE)).settled


def test_spans_of_an_earlier_version_are_read() -> None:
    review = Review(UNSURE, "", ANNE, NOON)
    written = records.to_plain(replace(SPAN, settled=True, review=review))
    del written["reviews"], written["requesters"]

    span = records.from_plain(written, Span)

    assert span.given_reviews == (review,)
    assert [one.reviewer for one in after((CONFIRM, BOB), span=span).reviews] == [ANNE, BOB]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Anne", "anne", True),
        ("A. Example", " A.  Example", True),
        ("\uff21nne", "Anne", True),
        ("Straße", "STRASSE", True),
        ("Anne", "Anna", False),
        ("", "Anne", False),
    ],
)
def test_names_are_compared_as_people_read_them(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - pytest gives it
    assert is_same_person(one, other) is same


@taking(
    st.lists(
        st.tuples(st.sampled_from(list(Decision)), st.sampled_from([ANNE, BOB, CAT, DAN])),
        max_size=8,
    )
)
def test_a_sighting_is_confirmed_by_two_who_did_not_ask_for_it(
    given: list[tuple[Decision, str]],
) -> None:
    span, said = SPAN, set[str]()
    for decision, reviewer in given:
        before = span
        try:
            span = after((decision, reviewer), span=span)
        except DomainError:
            continue
        said |= {reviewer} if decision is CONFIRM else set()
        if span.rejected and state(before) is AWAITED:
            assert decision is REJECT
            assert [one.decision for one in before.reviews].count(REJECT) == 1

    if span.is_confirmed:
        counted = {one.reviewer for one in span.reviews if one.decision is CONFIRM}
        assert len(counted) == 2
        assert counted <= said - {DAN}
