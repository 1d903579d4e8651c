"""What a scan's segments come to together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter

from homeward.ingestion.scan.face_sizes import FaceSizes
from homeward.ingestion.scan.model import (
    Candidate,
    Counts,
    FootageEffort,
    Gap,
    GapReason,
    Scan,
    ScanState,
    ScanSummary,
    Segment,
)


def summarise(scan: Scan, segments: tuple[Segment, ...]) -> ScanSummary:
    """Fold the segments of a scan into what is told about it.

    Coverage counts what is certain: of a segment that no scanner has ended nothing is searched, and
    once all have ended, what was searched and the gaps are what was asked for.
    """
    ended = [_accounted(segment) for segment in segments if segment.state.ended]
    gaps = merged(gap for segment in ended for gap in segment.gaps)
    looked_at = sum((segment.looked_at for segment in ended), timedelta())
    passed_over = sum((segment.passed_over for segment in ended), timedelta())
    counts = Counts()
    sizes: dict[str, FaceSizes] = {}
    candidates: dict[str, Candidate] = {}
    for segment in segments:
        counts += segment.counts
        if segment.counts.sizes.total:
            held_sizes = sizes.get(segment.camera_id, FaceSizes())
            sizes[segment.camera_id] = held_sizes + segment.counts.sizes
        for candidate in segment.candidates:
            held = candidates.get(candidate.sighting_id)
            candidates[candidate.sighting_id] = held.joined(candidate) if held else candidate
    waiting = [one.waiting for one in segments if one.waiting and not one.state.ended]
    complete = len(ended) == scan.segment_count and len(segments) == scan.segment_count
    if complete and scan.cancelled:
        state = ScanState.CANCELLED
    elif complete:
        state = ScanState.SUCCEEDED if looked_at + passed_over > timedelta() else ScanState.FAILED
    elif any(segment.state is not ScanState.PENDING for segment in segments):
        state = ScanState.RUNNING
    else:
        state = ScanState.PENDING
    times = [segment.update_time for segment in ended if segment.update_time]
    return ScanSummary(
        state=state,
        footage_count=len({segment.footage_id for segment in segments}),
        segment_count=scan.segment_count,
        segments_done=len(ended),
        total=sum((segment.duration for segment in segments), timedelta()),
        done=sum((segment.done for segment in segments), timedelta()),
        searched=looked_at + passed_over,
        passed_over=passed_over,
        counts=counts,
        candidate_count=len(candidates),
        candidates=tuple(sorted(candidates.values(), key=lambda found: found.start_time)),
        gaps=gaps,
        efforts=_efforts(segments) if complete else (),
        end_time=max(times) if complete and times else None,
        camera_sizes=tuple(sorted(sizes.items())),
        waiting=min(waiting, key=attrgetter("since")) if waiting else None,
    )


def _accounted(segment: Segment) -> Segment:
    """Return a segment; as a gap, if it is of an earlier version, which kept no evidence."""
    told = segment.searched + sum((gap.duration for gap in segment.gaps), timedelta())
    if told == segment.duration:
        return segment
    why = (
        "an earlier version of Homeward searched it, and kept no evidence of that; search it again"
    )
    return segment.given_up(GapReason.GIVEN_UP, why, segment.update_time)


def merged(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return gaps by time; those of a recording that follow each other, for one reason, as one."""
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda one: (one.footage_id, one.start_time)):
        last = joined[-1] if joined else None
        if (
            last is not None
            and (last.footage_id, last.reason, last.detail)
            == (gap.footage_id, gap.reason, gap.detail)
            and gap.start_time <= last.end_time
        ):
            joined[-1] = replace(last, end_time=max(last.end_time, gap.end_time))
        else:
            joined.append(gap)
    return tuple(sorted(joined, key=lambda gap: (gap.start_time, gap.footage_id)))


def _efforts(segments: tuple[Segment, ...]) -> tuple[FootageEffort, ...]:
    searched: dict[str, list[Segment]] = {}
    for segment in segments:
        if segment.state is ScanState.SUCCEEDED and segment.thoroughness is not None:
            searched.setdefault(segment.footage_id, []).append(segment)
    return tuple(
        FootageEffort(
            footage_id=name,
            looked_at=sum((one.looked_at for one in pieces), timedelta()),
            passed_over=sum((one.passed_over for one in pieces), timedelta()),
            thoroughness=tuple(
                dict.fromkeys(one.thoroughness for one in pieces if one.thoroughness)
            ),
        )
        for name, pieces in searched.items()
    )
