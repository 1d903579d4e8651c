"""Metrics of a scanner; see `homeward.servicekit.metrics`.

None has a camera or a recording as a label: the searched ones would say where somebody is looked
for, and a label with thousands of values is a load on Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from prometheus_client import Counter, Histogram

from homeward.servicekit import tracing

Stage = Literal[
    "decode", "detect", "select", "refine", "embed", "match", "join", "stills", "record"
]

STAGE_SECONDS = Histogram(
    "homeward_scan_stage_seconds",
    "How long pieces of a scan's work took. `decode`: a decoder on a piece of some seconds, without"
    " waiting for room. `detect`: waiting for the faces of a few pictures. `select`: following and"
    " aligning those. `embed`, `match`, `join`, `record`: a call each. `stills`: the pictures of a"
    " candidate. Stages run side by side.",
    ["stage"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
SEGMENT_SECONDS = Histogram(
    "homeward_scan_segment_seconds",
    "How long a scanner had a segment, whatever came of it.",
    buckets=(0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800),
)
SEGMENTS = Counter(
    "homeward_scan_segments_total",
    "Segments that ended: `searched`, or why not. `given up` after five failures: its footage was"
    " not searched.",
    ["outcome"],
)
SEGMENT_FAILURES = Counter(
    "homeward_scan_segment_failures_total", "Segments that broke the scanner; tried again."
)
SEGMENT_REDELIVERIES = Counter(
    "homeward_scan_segment_redeliveries_total",
    "Segments taken that a scanner had before, and gave back or died over.",
)
FOOTAGE_SECONDS = Counter(
    "homeward_scan_footage_seconds_total",
    "Footage dealt with: `looked at`, `passed over` as nothing happened in it, or `not searched`.",
    ["how"],
)
PICTURES = Counter("homeward_scan_pictures_total", "Pictures in which faces were looked for.")
FACES = Counter("homeward_scan_faces_total", "Faces seen, each picture's counted anew.")
APPEARANCES = Counter(
    "homeward_scan_appearances_total",
    "Appearances of somebody: `candidate`, `discarded` as like nobody, or `incomparable` as too"
    " small or too poor. The first two were compared.",
    ["outcome"],
)
CANDIDATES = Counter("homeward_scan_candidates_total", "Candidates for a reviewer.")
DROPPED = Counter(
    "homeward_scan_dropped_matches_total",
    "Matches not recorded: a reviewer had rejected them, or the subject was closed meanwhile.",
)
PRESENCE_FAILURES = Counter(
    "homeward_scan_presence_failures_total",
    "Segments of whose faces nothing could be written down for later searches; they were searched.",
)


@contextmanager
def stage(name: Stage, attributes: Mapping[str, int]) -> Iterator[None]:
    """Measure a call of a stage, and make a span of it."""
    with tracing.span(name, attributes), STAGE_SECONDS.labels(name).time():
        yield
