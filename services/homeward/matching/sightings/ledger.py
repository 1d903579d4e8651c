"""The ledger of sightings: which stretches of a recording have one, or had one rejected."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from homeward.matching.sightings.deciding import Verdict, decided
from homeward.matching.sightings.finders import with_finder
from homeward.matching.sightings.spans import Placement, Rejection, Span, place
from homeward.matching.sightings.taking_back import Withdrawal, with_exported, without_review


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """Names the ledger of one subject in one recording."""

    footage_id: str
    subject_id: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """The place of a finding in its recording."""

    start: timedelta
    end: timedelta
    include_rejected_before: datetime | None = None
    """Record it even where a sighting was rejected before then."""
    requesters: tuple[str, ...] = ()
    """Who asked for the scan that found it."""
    scan_id: str = ""
    """The scan that found it."""


@dataclass(frozen=True, slots=True)
class RejectedSpan:
    """A stretch of a recording in which a sighting of a subject was rejected, and erased."""

    sighting_id: str
    subject_id: str
    footage_id: str
    start: timedelta
    """From the start of the recording."""
    end: timedelta
    rejection: Rejection | None
    """None when an earlier version of Homeward rejected it."""


@dataclass(frozen=True, slots=True)
class RecordedSpan:
    """A stretch of a recording of which a sighting was recorded."""

    sighting_id: str
    subject_id: str
    footage_id: str
    start: timedelta
    """From the start of the recording."""
    end: timedelta
    confirmed: bool


class SightingLedger(Protocol):
    """Decides what a finding is part of (`spans.place`), and remembers what reviewers decided.

    All calls raise `UnavailableError` when the store does not answer.
    """

    async def place(self, key: LedgerKey, stretch: Stretch) -> Placement:
        """Put a finding into the ledger; the same one again changes nothing."""

    async def plan(self, key: LedgerKey, stretch: Stretch) -> Placement:
        """Return where `place` would put a finding, and write nothing."""

    async def settle(self, key: LedgerKey, sighting_id: str, verdict: Verdict) -> Span | None:
        """Count a decision on a sighting, as `deciding.decided` says.

        A confirmation or a rejection stays. If two reviewers decide at the same moment, the second
        is counted as if the first had long been known.

        Returns:
            The span as it is now; None when the ledger does not have it.

        Raises:
            FailedPreconditionError: `REVIEWER_DECIDED_BEFORE`.
            PermissionDeniedError: `REVIEWER_IS_REQUESTER`.
        """

    async def withdraw(
        self, key: LedgerKey, sighting_id: str, withdrawal: Withdrawal
    ) -> Span | None:
        """Take a decision back, as `withdrawing.without_review` says.

        Returns:
            The span as it is now; None when the ledger does not have it.

        Raises:
            FailedPreconditionError: `REVIEW_STANDS`.
        """

    async def note_exported(self, key: LedgerKey, sighting_id: str) -> Span | None:
        """Note that a confirmed sighting is about to be given out, so that its review stays.

        Returns:
            The span as it is now; None when the ledger does not have it.
        """

    async def note_recorded(self, key: LedgerKey, sighting_id: str, *, recorded: bool) -> None:
        """Note that a sighting is written, or that it is about to be removed.

        To be called after the one and before the other, so that a sighting that the ledger has as
        recorded is there, or is lost. A ledger without the span stays as it is.
        """

    async def recorded(
        self, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> list[RecordedSpan]:
        """Return the spans that fit whose sightings are recorded; an empty filter fits all."""

    async def close(self, footage_id: str, *, received: datetime) -> None:
        """Note, for 31 days, that a recording is removed, and that no finding of it is to come.

        Args:
            footage_id: The recording. The same file, uploaded again, has the same id.
            received: When it came.
        """

    async def is_closed(self, footage_id: str, received: datetime | None) -> bool:
        """Tell whether a recording that came at a time, None if unknown, was removed since."""

    async def span(self, key: LedgerKey, sighting_id: str) -> Span | None:
        """Return the span of a sighting as it is now; None when the ledger does not have it."""

    async def rejections(
        self, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> list[RejectedSpan]:
        """Return the rejected spans that fit, newest rejection first; an empty filter fits all."""

    async def sighting_ids(self, subject_id: str) -> frozenset[str]:
        """Return the sightings of a subject that its ledgers name, rejected ones included."""

    async def found_by(self, scan_id: str) -> list[tuple[LedgerKey, Span]]:
        """Return the spans that a scan found, alone or not."""

    async def spans(self) -> list[tuple[LedgerKey, Span]]:
        """Return all spans, rejected ones included."""

    async def forget_scan(self, key: LedgerKey, scan_id: str) -> None:
        """Erase the spans of a ledger that a scan alone found, and that it found the others."""

    async def keys(self) -> frozenset[LedgerKey]:
        """Return the keys of all ledgers."""

    async def forget_erased(self) -> None:
        """Let what was erased, by whichever replica, go from this process's memory."""

    async def erase(self, key: LedgerKey) -> None:
        """Erase the ledger of a subject in a recording."""

    async def erase_footage(self, footage_id: str) -> None:
        """Erase the ledgers of a recording."""

    async def erase_subject(self, subject_id: str) -> None:
        """Erase the ledgers of a subject."""


def placed(
    key: LedgerKey, spans: tuple[Span, ...], stretch: Stretch
) -> tuple[tuple[Span, ...], Placement]:
    """Return the spans with a finding, and where it belongs, as `SightingLedger.place` says."""
    with_finding = place(
        spans,
        footage_id=key.footage_id,
        subject_id=key.subject_id,
        start=stretch.start,
        end=stretch.end,
        include_rejected_before=stretch.include_rejected_before,
        requesters=stretch.requesters,
    )
    return with_finder(stretch.scan_id, spans, with_finding)


def settled(spans: tuple[Span, ...], sighting_id: str, verdict: Verdict) -> tuple[Span, ...]:
    """Return the spans with a decision on one of them, as `SightingLedger.settle` says."""
    return tuple(
        decided(span, verdict) if span.sighting_id == sighting_id else span for span in spans
    )


def taken_back(
    spans: tuple[Span, ...], sighting_id: str, withdrawal: Withdrawal
) -> tuple[Span, ...]:
    """Return the spans without a decision on one of them, as `SightingLedger.withdraw` says."""
    return tuple(
        without_review(span, withdrawal) if span.sighting_id == sighting_id else span
        for span in spans
    )


def marked_exported(spans: tuple[Span, ...], sighting_id: str) -> tuple[Span, ...]:
    """Return the spans with a note on one of them, as `SightingLedger.note_exported` says."""
    return tuple(with_exported(span) if span.sighting_id == sighting_id else span for span in spans)


def span_of(spans: tuple[Span, ...], sighting_id: str) -> Span | None:
    """Return the span of a sighting; None when none has it."""
    return next((span for span in spans if span.sighting_id == sighting_id), None)


def with_recorded(spans: tuple[Span, ...], sighting_id: str, *, recorded: bool) -> tuple[Span, ...]:
    """Return the spans with a note on one of them, as `SightingLedger.note_recorded` says."""
    return tuple(
        replace(span, recorded=recorded and not span.rejected)
        if span.sighting_id == sighting_id
        else span
        for span in spans
    )


def recorded_spans(key: LedgerKey, spans: tuple[Span, ...]) -> list[RecordedSpan]:
    """Return those of the spans whose sightings are recorded."""
    return [
        RecordedSpan(
            span.sighting_id,
            key.subject_id,
            key.footage_id,
            span.start,
            span.end,
            span.is_confirmed,
        )
        for span in spans
        if span.recorded
    ]


def rejected_spans(key: LedgerKey, spans: tuple[Span, ...]) -> list[RejectedSpan]:
    """Return those of the spans that were rejected."""
    return [
        RejectedSpan(
            span.sighting_id, key.subject_id, key.footage_id, span.start, span.end, span.rejection
        )
        for span in spans
        if span.rejected
    ]


def newest_first(one: RejectedSpan) -> tuple[float, str, float, str]:
    """Return the sort key of rejected spans, the newest rejection first."""
    rejected = one.rejection.review_time.timestamp() if one.rejection else 0.0
    return (-rejected, one.footage_id, one.start.total_seconds(), one.sighting_id)
