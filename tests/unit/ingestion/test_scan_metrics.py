from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.trace import StatusCode
from prometheus_client import REGISTRY

from homeward.ingestion.footage.media import Stretch
from homeward.ingestion.queue_metrics import measure_queue
from homeward.ingestion.scan.counting import count_segment
from homeward.ingestion.scan.model import Counts, GapReason, ScanState
from homeward.ingestion.scan.ports import Backlog
from homeward.ingestion.scan_metrics import stage


def figures() -> dict[str, float]:
    """Return what was counted of scans, by name and label."""
    return {
        " ".join((one.name.removeprefix("homeward_scan_"), *one.labels.values())): one.value
        for family in REGISTRY.collect()
        if family.name.startswith("homeward_scan_")
        for one in family.samples
        if one.name.endswith(("_total", "_count"))
    }


def added(before: dict[str, float]) -> dict[str, float]:
    """Return what has been counted since."""
    now = figures()
    return {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}


def test_a_searched_segment_is_counted_by_what_was_seen_and_how(make: Any) -> None:
    lost = Stretch(timedelta(0), timedelta(seconds=5))
    gap = make.segment().gap_over(lost, GapReason.UNDECODABLE, "damaged")
    counts = Counts(frames=300, faces=80, appearances=7, discarded=5, incomparable=2, dropped=1)
    segment = make.segment(
        state=ScanState.SUCCEEDED,
        looked_at=35,
        passed_over=20,
        counts=counts,
        gaps=(gap,),
        sighting_ids=("sighting-1",),
    )
    before = figures()

    count_segment(segment)

    assert added(before) == {
        "segments_total searched": 1,
        "footage_seconds_total looked at": 35,
        "footage_seconds_total passed over": 20,
        "footage_seconds_total not searched": 5,
        "pictures_total": 300,
        "faces_total": 80,
        "appearances_total candidate": 2,
        "appearances_total discarded": 5,
        "appearances_total incomparable": 2,
        "candidates_total": 1,
        "dropped_matches_total": 1,
    }


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (GapReason.GIVEN_UP, "given up"),
        (GapReason.CANCELLED, "cancelled"),
        (GapReason.FOOTAGE_GONE, "footage gone"),
    ],
)
def test_a_segment_that_was_not_searched_is_counted_by_why(
    make: Any, reason: GapReason, outcome: str
) -> None:
    before = figures()

    count_segment(make.segment().given_up(reason, "why", make.now))

    assert added(before) == {
        f"segments_total {outcome}": 1,
        "footage_seconds_total not searched": 60,
    }


def test_outcomes_are_there_before_the_first_one() -> None:
    # What begins at 1 has not increased for Prometheus, and the alert would miss it.
    assert "segments_total given up" in figures()


def test_a_stage_is_timed_and_is_a_span(spans: Any) -> None:
    before = figures()

    with stage("embed", {"faces": 3}):
        pass

    (span,) = spans()
    assert (span.name, dict(span.attributes)) == ("embed", {"faces": 3})
    assert added(before) == {"stage_seconds_count embed": 1}


def test_a_stage_that_fails_is_timed_all_the_same(spans: Any) -> None:
    before = figures()

    with pytest.raises(ValueError, match="no"), stage("match", {}):
        raise ValueError("no")

    (span,) = spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert added(before) == {"stage_seconds_count match": 1}


async def test_the_backlog_is_told() -> None:
    async def backlog() -> Backlog:
        return Backlog(waiting=12, in_flight=3)

    await measure_queue(backlog)

    assert REGISTRY.get_sample_value("homeward_scan_queue_waiting_segments") == 12
    assert REGISTRY.get_sample_value("homeward_scan_queue_in_flight_segments") == 3
