"""The rule for findings that overlap: one sighting is one subject in one stretch of one recording.

A ledger holds, for each pair of recording and subject, the time spans that have a sighting or were
rejected. Every finding goes through `place`, which alone decides whether it is new. The
ledger is small and is changed by compare-and-set, so that scanners, retries and rescans agree
whatever their order.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from homeward.matching.sightings.model import Decision, Review, each_once

JOIN_GAP = timedelta(seconds=2)
"""Spans of one subject this near to each other are one: a face that is lost for a moment behind
somebody else is the same appearance to a reviewer."""

_NAMESPACE = uuid.UUID("6d1f3f0e-6a86-5c8e-9f0b-0d5a0c6a2b11")
"""Namespace of sighting ids. With another one, reviewers would be asked everything again."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Who rejected a sighting, when, and at what time somebody was in view."""

    reviewer: str
    review_time: datetime
    start_time: datetime
    """True time of the span's start."""
    time_uncertain: bool | None = None
    """As of the sighting."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one recording in which one subject has a sighting, or had one rejected."""

    sighting_id: str
    start: timedelta
    end: timedelta
    rejected: bool = False
    settled: bool = False
    """A reviewer has confirmed it, or was not sure: it takes findings in and does not change."""
    rejection: Rejection | None = None
    """Of a rejected one; None when an earlier version of Homeward rejected it."""
    review: Review | None = None
    """The last decision of a settled one; None while a second person must confirm it, and when an
    earlier version of Homeward settled it."""
    absorbed: tuple[str, ...] = ()
    """Sightings that it has taken in, which are removed by whoever records a finding of it."""
    recorded: bool = False
    """Whether its sighting was written, and was not to be removed since: if it is not there, it is
    lost. False of what an earlier version of Homeward recorded."""
    scan_ids: tuple[str, ...] = ()
    """All scans that found it; empty when an earlier version of Homeward recorded it."""
    reviews: tuple[Review, ...] = ()
    """The decisions that count, one of each person, oldest first. An earlier version of Homeward
    wrote `review` alone."""
    requesters: tuple[str, ...] = ()
    """Who asked for the scans that found something in it."""
    withdrawn: bool = False
    """Whether the only decision on it was taken back. Without, a span with no decision does not say
    that a sighting with one has none: the ledger may have been lost."""
    exported: bool = False
    """Whether its sighting was given out, as far as is known: earlier versions did not note it."""

    @property
    def given_reviews(self) -> tuple[Review, ...]:
        """The decisions that count, whichever version wrote them."""
        return self.reviews or ((self.review,) if self.review else ())

    @property
    def is_confirmed(self) -> bool:
        """Whether a reviewer has confirmed it, as far as is known."""
        return self.review is not None and self.review.decision is Decision.CONFIRM


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a finding belongs."""

    span: Span
    """The span that it is part of now."""
    is_new: bool
    absorbed: tuple[str, ...] = ()
    """Other sightings that this finding, or an earlier one, joined to `span`."""


def sighting_id(footage_id: str, subject_id: str, start: timedelta) -> str:
    """Return the id of the sighting of a subject that begins at `start` in a recording.

    UUIDv5 over footage, subject and the start in milliseconds.
    """
    millis = round(start / timedelta(milliseconds=1))
    return str(uuid.uuid5(_NAMESPACE, f"{footage_id}/{subject_id}/{millis}"))


def place(
    spans: tuple[Span, ...],
    *,
    footage_id: str,
    subject_id: str,
    start: timedelta,
    end: timedelta,
    include_rejected_before: datetime | None = None,
    requesters: tuple[str, ...] = (),
) -> tuple[tuple[Span, ...], Placement]:
    """Put a finding into the ledger.

    A finding that overlaps a span, or comes within `JOIN_GAP` of one, becomes part of it, and
    lengthens it unless a reviewer has decided on it. A decided span is preferred, so that nobody is
    asked twice; otherwise the earliest takes the others in.

    Args:
        spans: The ledger for this recording and subject.
        footage_id: The recording.
        subject_id: The subject.
        start: Where the finding begins in the recording.
        end: Where it ends.
        include_rejected_before: A span that was rejected before then counts as if nobody had
            decided on it, and is not rejected any more if the finding becomes part of it.
        requesters: Who asked for the scan that found it.

    Returns:
        The new ledger, and where the finding belongs. Placing the same finding again changes
        nothing.
    """
    around = [one for one in spans if one.start <= end + JOIN_GAP and one.end >= start - JOIN_GAP]
    near = [_taken_back(span, include_rejected_before) for span in around]
    decided = [span for span in near if span.rejected or span.settled]
    if decided:
        known = _asked_for(decided[0], requesters)
        same = tuple(known if one is decided[0] else one for one in spans)
        return same, Placement(known, is_new=False)
    if not near:
        name = sighting_id(footage_id, subject_id, start)
        new = Span(name, start, end, requesters=requesters)
        return tuple(sorted((*spans, new), key=_order)), Placement(new, is_new=True)
    first = min(near, key=_order)
    others = [name for span in near if span is not first for name in _names(span)]
    absorbed = tuple(dict.fromkeys((*first.absorbed, *others)))
    joined = replace(
        first,
        absorbed=absorbed,
        start=min(start, *(span.start for span in near)),
        end=max(end, *(span.end for span in near)),
        requesters=each_once(*(one.requesters for one in (first, *near)), requesters),
    )
    kept = [span for span in spans if span not in around]
    return (
        tuple(sorted((*kept, joined), key=_order)),
        Placement(joined, is_new=False, absorbed=absorbed),
    )


def _asked_for(span: Span, requesters: tuple[str, ...]) -> Span:
    """Return a decided span with who asked for another finding of it, where that still matters."""
    if span.rejected or span.is_confirmed:
        return span
    return replace(span, requesters=each_once(span.requesters, requesters))


def _taken_back(span: Span, before: datetime | None) -> Span:
    """Return a span without its rejection, if that was before a time."""
    if before is None or not span.rejected:
        return span
    if span.rejection is not None and span.rejection.review_time >= before:
        return span
    return replace(span, rejected=False, rejection=None, recorded=False)


def _names(span: Span) -> tuple[str, ...]:
    return (span.sighting_id, *span.absorbed)


def _order(span: Span) -> tuple[timedelta, timedelta, str]:
    return (span.start, span.end, span.sighting_id)
