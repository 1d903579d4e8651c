"""How much was done on each day, in numbers that tell of nobody and outlive what they count.

A thing that counts, such as a search, states its figures under a token; stated again, the figures
replace the former ones. So whatever is repeated, and whichever replica repeats it, counts once.
The tokens go when nothing can be stated under them any more, and the sums stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from homeward.servicekit import records
from homeward.servicekit.clock import Clock
from homeward.servicekit.keyvalue import ConflictError, KeyValueStore, edit

Figures = Mapping[str, float]

TOKENS_KEPT = timedelta(days=60)
"""Nothing is stated of what is older: scans are forgotten, and unconfirmed sightings erased, after
31 days. What becomes of a confirmed one after that is not counted."""

MOST_TOKENS = 2000
"""In one record, of which a day has `PARTS`: it stays far below what NATS takes in one message.
What comes after them is not counted, and the day is marked."""

PARTS = 16
_SINCE = "since"


@dataclass(frozen=True, slots=True)
class DayRecord:
    """Part of a day, as it is stored."""

    stated: dict[str, dict[str, float]] = field(default_factory=dict)
    """Figures by token."""
    sums: dict[str, float] = field(default_factory=dict)
    """Of figures whose tokens are gone."""
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class DayTotals:
    """The figures of a day, added up."""

    day: date
    figures: dict[str, float]
    incomplete: bool


class ActivityCounts:
    """The figures of an installation, by day. All calls raise `UnavailableError`.

    Args:
        store: Keeps them, for as long as they are kept.
        clock: Tells the time.
    """

    def __init__(self, store: KeyValueStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def begin(self) -> None:
        """Note since when it is counted, if that is not noted yet."""
        try:
            await self._store.create(_SINCE, records.encode(self._clock.now()))
        except ConflictError:
            return

    async def since(self) -> datetime | None:
        """Return since when it is counted; None if it is not."""
        entry = await self._store.get(_SINCE)
        return records.decode(entry.value, datetime) if entry else None

    async def state(self, kind: str, name: str, when: datetime, figures: Figures) -> None:
        """State the figures of one thing, in place of those stated of it before.

        Args:
            kind: What it is, such as `searches`.
            name: Its id, of which a shortened digest is kept.
            when: When it came to be: the same each time.
            figures: What to add to the sums of that day.
        """
        if self._clock.now() - when > TOKENS_KEPT:
            return
        token = hashlib.sha256(name.encode()).hexdigest()[:16]

        async def changed(value: bytes | None) -> bytes:
            held = records.decode(value, DayRecord) if value else DayRecord()
            if token not in held.stated and len(held.stated) >= MOST_TOKENS:
                return records.encode(replace(held, incomplete=True))
            return records.encode(replace(held, stated=held.stated | {token: dict(figures)}))

        day = when.astimezone(UTC).date()
        await edit(self._store, _key(kind, day, int(token[0], 16)), changed)

    async def totals(self, kind: str, first: date, last: date) -> list[DayTotals]:
        """Return the figures of a span of days, those alone that have any, in order."""
        found: dict[date, DayTotals] = {}
        month = first.replace(day=1)
        while month <= last:
            for entry in await self._store.entries(f"{kind}.{month:%Y-%m}.>"):
                day = month.replace(day=int(entry.key.split(".")[2]))
                if first <= day <= last:
                    held = found.get(day, DayTotals(day, {}, incomplete=False))
                    found[day] = _with(held, records.decode(entry.value, DayRecord))
            month = (month + timedelta(days=32)).replace(day=1)
        return [found[day] for day in sorted(found)]

    async def forget_tokens(self) -> None:
        """Add up what nothing is stated of any more, and let go of the tokens.

        Goes back to where that is done: an installation may have been off for months.
        """
        newest = (self._clock.now() - TOKENS_KEPT).date() - timedelta(days=1)
        since = await self.since()
        month = this_month = newest.replace(day=1)
        oldest = min(since.date() if since else newest, _month_before(this_month))
        stated: list[str] = []
        while month >= oldest.replace(day=1):
            entries = [
                one
                for one in await self._store.entries(f"*.{month:%Y-%m}.>")
                if month.replace(day=int(one.key.split(".")[2])) <= newest
            ]
            left = [one.key for one in entries if records.decode(one.value, DayRecord).stated]
            if entries and not left and month < this_month:
                break
            stated += left
            month = _month_before(month)
        for key in reversed(stated):
            await edit(self._store, key, _added_up)


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


async def _added_up(value: bytes | None) -> bytes | None:
    held = records.decode(value, DayRecord) if value else DayRecord()
    if not held.stated:
        return None
    return records.encode(replace(held, stated={}, sums=_sums(held)))


def _with(held: DayTotals, record: DayRecord) -> DayTotals:
    figures = dict(held.figures)
    for name, value in _sums(record).items():
        figures[name] = figures.get(name, 0) + value
    return DayTotals(held.day, figures, held.incomplete or record.incomplete)


def _sums(record: DayRecord) -> dict[str, float]:
    sums = dict(record.sums)
    for figures in record.stated.values():
        for name, value in figures.items():
            sums[name] = sums.get(name, 0) + value
    return sums


def _key(kind: str, day: date, part: int) -> str:
    return f"{kind}.{day:%Y-%m}.{day:%d}.{part:x}"
