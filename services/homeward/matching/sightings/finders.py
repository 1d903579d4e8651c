"""Which scans found what: so that what a refused scan alone found can be erased."""

from __future__ import annotations

from dataclasses import replace

from homeward.matching.sightings.spans import Placement, Span

Spans = tuple[Span, ...]


def with_finder(
    scan_id: str, before: Spans, placed: tuple[Spans, Placement]
) -> tuple[Spans, Placement]:
    """Return what `spans.place` returned, with the scan among those that found the span.

    A span of an earlier version, which did not keep who found it, stays without: it may be of scans
    that nobody refused. Of one whose rejection is taken back, what others had found is erased: it
    is of this scan alone.

    Args:
        scan_id: Of the finding; empty when it does not say.
        before: The ledger before the finding was placed.
        placed: What `spans.place` returned.
    """
    after, placement = placed
    span = placement.span
    names = {span.sighting_id, *placement.absorbed}
    parts = [
        one for one in before if one.sighting_id in names and (span.rejected or not one.rejected)
    ]
    if scan_id and all(one.scan_ids for one in parts):
        scan_ids = (*(name for one in parts for name in one.scan_ids), scan_id)
        found = replace(span, scan_ids=tuple(dict.fromkeys(scan_ids)))
    else:
        found = replace(span, scan_ids=())
    spans = tuple(found if one.sighting_id == span.sighting_id else one for one in after)
    return spans, replace(placement, span=found)


def without_finder(scan_id: str, spans: Spans) -> Spans:
    """Return the spans without those that a scan alone found, the others without the scan."""
    return tuple(
        replace(one, scan_ids=tuple(name for name in one.scan_ids if name != scan_id))
        for one in spans
        if one.scan_ids != (scan_id,)
    )
