"""What is remembered of sightings that reviewers rejected."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from homeward.matching.sightings.spans import Rejection, Span
from homeward.servicekit import records
from homeward.servicekit.keyvalue import KeyValueStore

_Spans = tuple[Span, ...]
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


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


async def find_rejected(
    ledger: KeyValueStore, *, subject_ids: Collection[str] = (), footage_ids: Collection[str] = ()
) -> list[RejectedSpan]:
    """Return the rejected spans that fit, newest rejection first; an empty filter fits all.

    Args:
        ledger: The spans of each recording and subject, see `spans`.
        subject_ids: Only of these.
        footage_ids: Only in these.
    """
    if footage_ids:
        patterns = [f"{name}.*" for name in sorted(footage_ids)]
    else:
        patterns = [f"*.{name}" for name in sorted(subject_ids)] or [">"]
    found = []
    for pattern in patterns:
        for entry in await ledger.entries(pattern):
            footage_id, _, subject_id = entry.key.rpartition(".")
            if subject_ids and subject_id not in subject_ids:
                continue
            found += [
                RejectedSpan(
                    span.sighting_id, subject_id, footage_id, span.start, span.end, span.rejection
                )
                for span in records.decode(entry.value, _Spans)
                if span.rejected
            ]
    return sorted(found, key=_newest_first)


def _newest_first(one: RejectedSpan) -> tuple[timedelta, str, timedelta]:
    rejected = one.rejection.review_time if one.rejection else _LONG_AGO
    return (_LONG_AGO - rejected, one.footage_id, one.start)
