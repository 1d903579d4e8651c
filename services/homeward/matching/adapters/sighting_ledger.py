"""The ledger of sightings in a key-value store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from homeward.servicekit import records
from homeward.servicekit.keyvalue import ConflictError, Entry, KeyValueStore, edit
from homeward.servicekit.roll import Roll

_Spans = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class _Closed:
    """Notes that a recording was removed."""

    received: datetime
    """When it came, or the newest of those that had this id."""


@dataclass(frozen=True, slots=True)
class _Ledger:
    """The ledger of a subject in a recording, as it was read."""

    key: LedgerKey
    spans: _Spans
    recorded: Sequence[RecordedSpan]


class KeyValueSightingLedger:
    """A `SightingLedger` under `<footage>.<subject>`; removed recordings under `<footage>`.

    What was read of all is kept in memory (`Roll`): what was erased goes from there with each
    erasure in this process, with each sweep, and after a while that nobody asks.

    Args:
        store: Holds the spans and nothing else.
    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._roll = Roll(store, _read)

    async def place(self, key: LedgerKey, stretch: Stretch) -> Placement:
        """Put a finding into the ledger; the same one again changes nothing."""
        placements = list[Placement]()

        async def change(value: bytes | None) -> bytes:
            before = records.decode(value, _Spans) if value else ()
            spans, placement = placed(key, before, stretch)
            placements.append(placement)
            return records.encode(spans)

        await edit(self._store, _name(key), change)
        return placements[-1]

    async def plan(self, key: LedgerKey, stretch: Stretch) -> Placement:
        """Return where `place` would put a finding, and write nothing."""
        entry = await self._store.get(_name(key))
        _, placement = placed(key, records.decode(entry.value, _Spans) if entry else (), stretch)
        return placement

    async def settle(self, key: LedgerKey, sighting_id: str, verdict: Verdict) -> Span | None:
        """Count a decision on a sighting, unless somebody else's stands against it."""
        return await self._changed(
            key, sighting_id, lambda spans: settled(spans, sighting_id, verdict)
        )

    async def withdraw(
        self, key: LedgerKey, sighting_id: str, withdrawal: Withdrawal
    ) -> Span | None:
        """Take a decision back."""
        return await self._changed(
            key, sighting_id, lambda spans: taken_back(spans, sighting_id, withdrawal)
        )

    async def note_exported(self, key: LedgerKey, sighting_id: str) -> Span | None:
        """Note that a confirmed sighting is about to be given out."""
        return await self._changed(
            key, sighting_id, lambda spans: marked_exported(spans, sighting_id)
        )

    async def _changed(
        self, key: LedgerKey, sighting_id: str, changed: Callable[[_Spans], _Spans]
    ) -> Span | None:
        """Change the spans of a ledger, if it is there; return that of a sighting as it is then."""
        now: Span | None = None

        async def change(value: bytes | None) -> bytes | None:
            nonlocal now
            if value is None:
                now = None
                return None
            spans = changed(records.decode(value, _Spans))
            now = span_of(spans, sighting_id)
            return records.encode(spans)

        await edit(self._store, _name(key), change)
        return now

    async def span(self, key: LedgerKey, sighting_id: str) -> Span | None:
        """Return the span of a sighting as it is now."""
        entry = await self._store.get(_name(key))
        return span_of(records.decode(entry.value, _Spans), sighting_id) if entry else None

    async def rejections(
        self, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> list[RejectedSpan]:
        """Return the rejected spans that fit, newest rejection first; an empty filter fits all."""
        ledgers = await self._ledgers(subject_ids, footage_ids)
        found = [one for each in ledgers for one in rejected_spans(each.key, each.spans)]
        return sorted(found, key=newest_first)

    async def note_recorded(self, key: LedgerKey, sighting_id: str, *, recorded: bool) -> None:
        """Note that a sighting is written, or that it is about to be removed."""

        async def change(value: bytes | None) -> bytes | None:
            if value is None:
                return None
            spans = records.decode(value, _Spans)
            return records.encode(with_recorded(spans, sighting_id, recorded=recorded))

        await edit(self._store, _name(key), change)

    async def recorded(
        self, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> list[RecordedSpan]:
        """Return the spans that fit whose sightings are recorded; an empty filter fits all."""
        ledgers = await self._ledgers(subject_ids, footage_ids)
        return [one for ledger in ledgers for one in ledger.recorded]

    async def close(self, footage_id: str, *, received: datetime) -> None:
        """Note that a recording is removed; the store forgets that after 31 days."""

        async def change(value: bytes | None) -> bytes:
            before = [records.decode(value, _Closed).received] if value else []
            return records.encode(_Closed(max([received, *before])))

        await edit(self._store, footage_id, change)

    async def is_closed(self, footage_id: str, received: datetime | None) -> bool:
        """Tell whether a recording that came at a time, None if unknown, was removed since."""
        entry = await self._store.get(footage_id)
        return entry is not None and (
            received is None or received <= records.decode(entry.value, _Closed).received
        )

    async def _ledgers(
        self, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
    ) -> list[_Ledger]:
        held = await self._roll.held()
        return [
            ledger
            for ledger in held.values()
            if ledger is not None
            and (not subject_ids or ledger.key.subject_id in subject_ids)
            and (not footage_ids or ledger.key.footage_id in footage_ids)
        ]

    async def sighting_ids(self, subject_id: str) -> frozenset[str]:
        """Return the sightings of a subject that its ledgers name, rejected ones included."""
        entries = await self._store.entries(f"*.{subject_id}")
        ledgers = [records.decode(entry.value, _Spans) for entry in entries]
        return frozenset(span.sighting_id for spans in ledgers for span in spans)

    async def found_by(self, scan_id: str) -> list[tuple[LedgerKey, Span]]:
        """Return the spans that a scan found, alone or not."""
        return [(key, span) for key, span in await self.spans() if scan_id in span.scan_ids]

    async def spans(self) -> list[tuple[LedgerKey, Span]]:
        """Return all spans, rejected ones included."""
        return [(ledger.key, span) for ledger in await self._ledgers() for span in ledger.spans]

    async def forget_scan(self, key: LedgerKey, scan_id: str) -> None:
        """Erase the spans of a ledger that a scan alone found, and that it found the others."""
        name = _name(key)
        while (entry := await self._store.get(name)) is not None:
            left = without_finder(scan_id, records.decode(entry.value, _Spans))
            with suppress(ConflictError):  # another scan's write came first, and stays
                if not left:
                    await self._store.erase(name, revision=entry.revision)
                elif (value := records.encode(left)) != entry.value:
                    await self._store.update(name, value, revision=entry.revision)
                return

    async def keys(self) -> frozenset[LedgerKey]:
        """Return whose ledgers there are."""
        return frozenset(map(_key, await self._store.keys("*.*")))

    async def forget_erased(self) -> None:
        """Let what was erased, by whichever replica, go from this process's memory."""
        await self._roll.forget_erased()

    async def erase(self, key: LedgerKey) -> None:
        """Erase the ledger of a subject in a recording."""
        await self._store.erase(_name(key))
        await self._roll.forget_erased()

    async def erase_footage(self, footage_id: str) -> None:
        """Erase the ledgers of a recording."""
        await self._erase(f"{footage_id}.*")

    async def erase_subject(self, subject_id: str) -> None:
        """Erase the ledgers of a subject."""
        await self._erase(f"*.{subject_id}")

    async def _erase(self, pattern: str) -> None:
        for name in sorted(await self._store.keys(pattern)):
            await self._store.erase(name)
        await self._roll.forget_erased()


def _read(entry: Entry) -> _Ledger | None:
    """Return a ledger; None of what notes that a recording was removed."""
    if "." not in entry.key:
        return None
    key, spans = _key(entry.key), records.decode(entry.value, _Spans)
    return _Ledger(key, spans, recorded_spans(key, spans))


def _name(key: LedgerKey) -> str:
    return f"{key.footage_id}.{key.subject_id}"


def _key(name: str) -> LedgerKey:
    footage_id, _, subject_id = name.rpartition(".")
    return LedgerKey(footage_id, subject_id)
