"""The summary of a scan: its plan, its tally and the running segments, folded together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from operator import attrgetter

from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.model import (
    FootageEffort,
    Gap,
    Scan,
    ScanPlan,
    ScanState,
    ScanSummary,
    ScanTally,
    Segment,
)
from homeward.ingestion.scan.recordings import ScannedRecording, accounted
from homeward.servicekit.keyvalue import Stored

MOST_PROBLEMS = 10
"""Different reasons why something was not searched that a tally holds."""


@dataclass(slots=True)
class LiveScan:
    """The changing part of a running scan.

    It holds the segments that scanners work on, and a few that were not added up yet.
    """

    plan: ScanPlan = field(default_factory=ScanPlan)
    tally: ScanTally = field(default_factory=ScanTally)
    segments: dict[int, Stored[Segment]] = field(default_factory=dict)
    """By their numbers in the scan."""
    sighting_ids: dict[str, None] = field(default_factory=dict)
    """Sightings that the scan has recorded, in no order; some may be erased meanwhile."""

    def forget_added(self) -> None:
        """Drop the segments that are in the tally."""
        self.segments = {
            number: one
            for number, one in self.segments.items()
            if not (one.value.state.ended and one.revision <= self.tally.revision)
        }

    @property
    def in_hand(self) -> list[Segment]:
        """The segments that a scanner works on, without those that were given back."""
        return [one.value for one in self.segments.values() if one.value.state is ScanState.RUNNING]


def added(tally: ScanTally, segment: Segment, revision: int) -> ScanTally:
    """Return a tally with one more segment that has ended.

    Args:
        tally: Totals of the other segments.
        segment: The segment that has ended.
        revision: Revision of its record.
    """
    problems = dict.fromkeys((*tally.problems, *(gap.detail for gap in segment.gaps)))
    times = [one for one in (tally.update_time, segment.update_time) if one is not None]
    return ScanTally(
        revision=max(tally.revision, revision),
        segments=tally.segments + 1,
        done=tally.done + segment.duration,
        looked_at=tally.looked_at + segment.looked_at,
        passed_over=tally.passed_over + segment.passed_over,
        counts=tally.counts + segment.counts,
        problems=tuple(problems)[:MOST_PROBLEMS],
        update_time=max(times, default=None),
    )


def summarise(scan: Scan, live: LiveScan) -> ScanSummary:
    """Return the summary of a scan, without gaps, efforts, and face sizes by camera.

    Coverage counts ended segments alone: a segment that no scanner has ended counts as not
    searched. A scan succeeds when its plan is complete and all its segments have ended.
    """
    tally, plan = live.tally, live.plan
    # By what was added up alone: a segment that two scanners had may end once more after that.
    all_ended = plan.complete and tally.segments == plan.segments
    for one in () if all_ended else live.segments.values():
        if one.value.state.ended and one.revision > tally.revision:
            # The revision is the tally's own: it is not written.
            tally = replace(added(tally, accounted(one.value), 0), revision=live.tally.revision)
    in_hand = [] if all_ended else live.in_hand
    counts = sum((one.counts for one in in_hand), tally.counts)
    cancelled = scan.cancelled and not in_hand
    searched = tally.looked_at + tally.passed_over
    if cancelled:
        state = ScanState.CANCELLED
    elif all_ended:
        state = ScanState.SUCCEEDED if searched > timedelta() else ScanState.FAILED
    elif in_hand or tally.segments:
        state = ScanState.RUNNING
    else:
        state = ScanState.PENDING
    waiting = [one.waiting for one in in_hand if one.waiting]
    times = [one for one in (tally.update_time, scan.cancel_time) if one is not None]
    return ScanSummary(
        state=state,
        footage_count=plan.recordings,
        segment_count=plan.segments,
        segments_done=plan.segments if cancelled else tally.segments,
        total=plan.total,
        done=plan.total if cancelled else sum((one.done for one in in_hand), tally.done),
        searched=searched,
        passed_over=tally.passed_over,
        counts=counts,
        candidate_count=len(live.sighting_ids),
        end_time=max(times, default=scan.create_time) if state.ended else None,
        waiting=min(waiting, key=attrgetter("since")) if waiting else None,
        planning=not plan.complete,
        problems=tally.problems,
        came_later=plan.came_later,
    )


def detailed(
    summary: ScanSummary, recordings: Iterable[ScannedRecording], not_added: Sequence[Segment]
) -> ScanSummary:
    """Return a summary with gaps, efforts once the scan has ended, and face sizes by camera.

    Args:
        summary: Of the scan.
        recordings: Of the scan, those that its plan counts.
        not_added: Segments that are not in the recordings yet.
    """
    by_number = {one.number: one for one in recordings}
    for segment in not_added:
        held = by_number.get(segment.recording)
        if held is None or not segment.state.ended:
            continue
        if not held.has_ended(segment.number - held.first_segment):
            by_number[segment.recording] = held.with_ended(accounted(segment), 0)
    cancelled = summary.state is ScanState.CANCELLED
    gaps: list[Gap] = []
    sizes: dict[str, FaceSizes] = {}
    efforts: list[FootageEffort] = []
    for one in by_number.values():
        gaps += one.gaps_if_cancelled() if cancelled else one.gaps
        if one.sizes.total:
            sizes[one.camera_id] = sizes.get(one.camera_id, FaceSizes()) + one.sizes
        if one.thoroughness:
            efforts.append(one.effort)
    for segment in not_added:
        if not segment.state.ended and segment.counts.sizes.total:
            held_sizes = sizes.get(segment.camera_id, FaceSizes())
            sizes[segment.camera_id] = held_sizes + segment.counts.sizes
    return replace(
        summary,
        gaps=tuple(sorted(gaps, key=lambda gap: (gap.start_time, gap.footage_id))),
        efforts=tuple(efforts) if summary.state.ended else (),
        camera_sizes=tuple(sorted(sizes.items())),
    )
