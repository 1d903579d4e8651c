"""The records of matching in one process, for tests; the contract suite holds them to NATS's."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from homeward.matching.sightings.deciding import Verdict
from homeward.matching.sightings.finders import without_finder
from homeward.matching.sightings.ledger import (
    LedgerKey,
    RecordedSpan,
    RejectedSpan,
    Stretch,
    marked_exported,
    newest_first,
    placed,
    recorded_spans,
    rejected_spans,
    settled,
    span_of,
    taken_back,
    with_recorded,
)
from homeward.matching.sightings.spans import Placement, Span
from homeward.matching.sightings.taking_back import Withdrawal
from homeward.matching.subjects.model import Subject
from homeward.matching.subjects.records import SubjectRoll, shell_after
from homeward.servicekit.keyvalue import ConflictError, Stored


class InMemorySubjectRecords:
    """`SubjectRecords` of one process."""

    def __init__(self) -> None:
        self._opened: dict[str, Stored[Subject]] = {}
        self._closed: dict[str, Stored[Subject]] = {}
        self._writes = 0

    async def get(self, subject_id: str) -> Stored[Subject] | None:
        """Return the record of a subject, or None: of a closed one the shell."""
        return self._closed.get(subject_id) or self._opened.get(subject_id)

    async def is_closed(self, subject_id: str) -> bool:
        """Tell whether there is a shell of a subject."""
        return subject_id in self._closed

    async def has_data(self, subject_id: str) -> bool:
        """Tell whether there is a record of a subject with its data, closed or not."""
        return subject_id in self._opened

    async def roll(self) -> SubjectRoll:
        """Return all records as they are now."""
        return SubjectRoll(dict(self._opened), dict(self._closed))

    async def create(self, subject: Subject) -> Stored[Subject]:
        """Write the record of an open subject."""
        if subject.subject_id in self._opened:
            raise ConflictError(subject.subject_id)
        return self._written(subject, self._opened)

    async def replace(self, subject: Subject, *, etag: str) -> Stored[Subject]:
        """Replace the record of an open subject that must still have an etag."""
        held = self._opened.get(subject.subject_id)
        if held is None or held.etag != etag:
            raise ConflictError(subject.subject_id)
        return self._written(subject, self._opened)

    async def close(self, shell: Subject) -> bool:
        """Write the shell of a closed subject; return whether there was none."""
        held = self._closed.get(shell.subject_id)
        written = shell_after(held.value if held else None, shell)
        if written is not None:
            self._written(written, self._closed)
        return held is None

    async def erase_data(self, subject_id: str) -> bool:
        """Erase the record with the data; return whether there was one."""
        return self._opened.pop(subject_id, None) is not None

    async def erase_shell(self, subject_id: str) -> bool:
        """Erase the shell; return whether there was one."""
        return self._closed.pop(subject_id, None) is not None

    def _written(self, subject: Subject, where: dict[str, Stored[Subject]]) -> Stored[Subject]:
        self._writes += 1
        where[subject.subject_id] = Stored(subject, self._writes)
        return where[subject.subject_id]


class InMemorySightingLedger:
    """A `SightingLedger` of one process."""

    def __init__(self) -> None:
        self._spans: dict[LedgerKey, tuple[Span, ...]] = {}
        self._closed: dict[str, datetime] = {}

    async def forget_erased(self) -> None:
        """Do nothing: there is no other memory."""

    async def place(self, key: LedgerKey, stretch: Stretch) -> Placement:
        """Put a finding into the ledger; the same one again changes nothing."""
        self._spans[key], placement = placed(key, self._spans.get(key, ()), stretch)
        return placement

    async def plan(self, key: LedgerKey, stretch: Stretch) -> Placement:
        """Return where `place` would put a finding, and write nothing."""
        return placed(key, self._spans.get(key, ()), stretch)[1]

    async def settle(self, key: LedgerKey, sighting_id: str, verdict: Verdict) -> Span | None:
        """Count a decision on a sighting, unless somebody else's stands against it."""
        if key in self._spans:
            self._spans[key] = settled(self._spans[key], sighting_id, verdict)
        return await self.span(key, sighting_id)

    async def withdraw(
        self, key: LedgerKey, sighting_id: str, withdrawal: Withdrawal
    ) -> Span | None:
        """Take a decision back."""
        if key in self._spans:
            self._spans[key] = taken_back(self._spans[key], sighting_id, withdrawal)
        return await self.span(key, sighting_id)

    async def note_exported(self, key: LedgerKey, sighting_id: str) -> Span | None:
        """Note that a confirmed sighting is about to be given out."""
        if key in self._spans:
            self._spans[key] = marked_exported(self._spans[key], sighting_id)
        return await self.span(key, sighting_id)

    async def span(self, key: LedgerKey, sighting_id: str) -> Span | None:
        """Return the span of a sighting as it is now."""
        return span_of(self._spans.get(key, ()), sighting_id)

    async def rejections(
        self, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> list[RejectedSpan]:
        """Return the rejected spans that fit, newest rejection first; an empty filter fits all."""
        ledgers = self._ledgers(subject_ids, footage_ids)
        found = [one for key, spans in ledgers for one in rejected_spans(key, spans)]
        return sorted(found, key=newest_first)

    async def note_recorded(self, key: LedgerKey, sighting_id: str, *, recorded: bool) -> None:
        """Note that a sighting is written, or that it is about to be removed."""
        if key in self._spans:
            self._spans[key] = with_recorded(self._spans[key], sighting_id, recorded=recorded)

    async def recorded(
        self, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> list[RecordedSpan]:
        """Return the spans that fit whose sightings are recorded; an empty filter fits all."""
        ledgers = self._ledgers(subject_ids, footage_ids)
        return [one for key, spans in ledgers for one in recorded_spans(key, spans)]

    async def close(self, footage_id: str, *, received: datetime) -> None:
        """Note that a recording is removed."""
        self._closed[footage_id] = max(received, self._closed.get(footage_id, received))

    async def is_closed(self, footage_id: str, received: datetime | None) -> bool:
        """Tell whether a recording that came at a time, None if unknown, was removed since."""
        closed = self._closed.get(footage_id)
        return closed is not None and (received is None or received <= closed)

    def _ledgers(
        self, subject_ids: Collection[str], footage_ids: Collection[str]
    ) -> list[tuple[LedgerKey, tuple[Span, ...]]]:
        return [
            (key, spans)
            for key, spans in self._spans.items()
            if (not subject_ids or key.subject_id in subject_ids)
            and (not footage_ids or key.footage_id in footage_ids)
        ]

    async def sighting_ids(self, subject_id: str) -> frozenset[str]:
        """Return the sightings of a subject that its ledgers name, rejected ones included."""
        ledgers = [spans for key, spans in self._spans.items() if key.subject_id == subject_id]
        return frozenset(span.sighting_id for spans in ledgers for span in spans)

    async def found_by(self, scan_id: str) -> list[tuple[LedgerKey, Span]]:
        """Return the spans that a scan found, alone or not."""
        return [
            (key, span)
            for key, spans in self._spans.items()
            for span in spans
            if scan_id in span.scan_ids
        ]

    async def spans(self) -> list[tuple[LedgerKey, Span]]:
        """Return all spans, rejected ones included."""
        return [(key, span) for key, spans in self._spans.items() for span in spans]

    async def forget_scan(self, key: LedgerKey, scan_id: str) -> None:
        """Erase the spans of a ledger that a scan alone found, and that it found the others."""
        left = without_finder(scan_id, self._spans.pop(key, ()))
        if left:
            self._spans[key] = left

    async def keys(self) -> frozenset[LedgerKey]:
        """Return whose ledgers there are."""
        return frozenset(self._spans)

    async def erase(self, key: LedgerKey) -> None:
        """Erase the ledger of a subject in a recording."""
        self._spans.pop(key, None)

    async def erase_footage(self, footage_id: str) -> None:
        """Erase the ledgers of a recording."""
        self._spans = {key: one for key, one in self._spans.items() if key.footage_id != footage_id}

    async def erase_subject(self, subject_id: str) -> None:
        """Erase the ledgers of a subject."""
        self._spans = {key: one for key, one in self._spans.items() if key.subject_id != subject_id}
