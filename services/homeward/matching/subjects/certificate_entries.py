"""The entries of erasure certificates, of subjects and of refused scans."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import datetime

from homeward.core.inventory import RECORD_LIMIT, DataClass
from homeward.matching.gallery.ports import NOT_REBUILT, Removed
from homeward.matching.subjects.model import ErasureEntry, ErasureOutcome
from homeward.matching.subjects.object_erasures import NOTHING_THERE
from homeward.servicekit import errors


async def attempted(
    data: Sequence[DataClass], erasure: Awaitable[list[ErasureEntry]]
) -> list[ErasureEntry]:
    """Carry out one erasure; a store that does not answer gives an entry, and no error."""
    try:
        return await erasure
    except (errors.UnavailableError, errors.FailedPreconditionError) as error:
        again = f"{error.message}; the next sweep tries again"
        return [certificate_entry(one, 0, ErasureOutcome.FAILED, again) for one in data]


def certificate_entry(
    data: DataClass, count: int, outcome: ErasureOutcome, verification: str, *places: str
) -> ErasureEntry:
    """Return an entry; `places` are files of an engine that may hold bytes of the data."""
    return ErasureEntry(
        data.name, f"{data.engine} {data.place}", count, outcome, verification, places
    )


def in_files(data: DataClass, removed: Removed) -> ErasureEntry:
    """Return the entry about data that an engine has only marked as removed."""
    if not (removed.count or removed.places):
        return certificate_entry(data, 0, ErasureOutcome.ERASED, NOTHING_THERE)
    return certificate_entry(
        data,
        removed.count,
        ErasureOutcome.PENDING,
        NOT_REBUILT,
        *removed.places,
    )


def in_ids(data: DataClass, count: int, *, now: datetime, repeated: bool) -> ErasureEntry:
    """Return the entry about data of which ids of sightings stay for a while: scans, and the feed.

    Args:
        data: Scans, or the feed.
        count: Sightings that are named there.
        now: The present time.
        repeated: Whether an erasure of the same had begun before.
    """
    if not (count or repeated):
        return certificate_entry(data, 0, ErasureOutcome.ERASED, NOTHING_THERE)
    until = now + RECORD_LIMIT
    pending = certificate_entry(
        data,
        count,
        ErasureOutcome.PENDING,
        "only ids that lead to nothing any more, and nothing of where or when anybody was seen;"
        f" they are removed with the records that have them, by {until:%Y-%m-%d %H:%M} UTC",
    )
    return replace(pending, until=until)
