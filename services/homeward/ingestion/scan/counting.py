"""Counting ended segments in the metrics of a scanner."""

from __future__ import annotations

from datetime import timedelta

from homeward.ingestion import scan_metrics as metrics
from homeward.ingestion.scan.model import GapReason, ScanState, Segment

# A series that begins at 1 has not increased, as Prometheus sees it: the first one would be missed.
for _outcome in ("searched", *(reason.value for reason in GapReason)):
    metrics.SEGMENTS.labels(_outcome)


def count_segment(segment: Segment) -> None:
    """Count a segment that has ended."""
    counts = segment.counts
    searched = segment.state is ScanState.SUCCEEDED
    metrics.SEGMENTS.labels("searched" if searched else segment.gaps[-1].reason.value).inc()
    missed = sum((gap.duration for gap in segment.gaps), timedelta())
    for how, span in (
        ("looked at", segment.looked_at),
        ("passed over", segment.passed_over),
        ("not searched", missed),
    ):
        metrics.FOOTAGE_SECONDS.labels(how).inc(span.total_seconds())
    metrics.PICTURES.inc(counts.frames)
    metrics.FACES.inc(counts.faces)
    metrics.APPEARANCES.labels("candidate").inc(counts.appearances - counts.discarded)
    metrics.APPEARANCES.labels("discarded").inc(counts.discarded)
    metrics.APPEARANCES.labels("incomparable").inc(counts.incomparable)
    metrics.CANDIDATES.inc(len(segment.sighting_ids))
    metrics.DROPPED.inc(counts.dropped)
