"""Resources for searching footage in a given time: arithmetic on measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

# From `make bench`, median of three seeds each: 1080p25 H.264, two cores (AVX2),
# everything on that machine; docs/performance.md has the run. With B pictures; without
# them, decoding takes up to twice as long.
CORE_SECONDS_QUIET = 0.029
"""Core seconds of all services per second of footage in which nobody is in view."""

CORE_SECONDS_BUSY = 0.13
"""Core seconds per second of footage with people in view, several at a time."""

RESCAN_SHARE = 0.52
"""Share of a first scan's work for a later scan of the same footage for another subject."""

CORES_PER_SCANNER = 2
"""A scanner with its share of the embedding service."""

HEADROOM = 1.25
"""Factor for what a plan cannot know: retries, other cameras, uneven segments."""

RETENTION_DAYS = 31
TEMPLATE_BYTES = 128 * 4 * 1.5
"""Of `yunet-sface`: 128 float32, and half as much again for Qdrant's index (Qdrant's own rule)."""

PAYLOAD_BYTES = 1024
QDRANT_BASE_BYTES = 100 * 1024**2


@dataclass(frozen=True, slots=True)
class Workload:
    """Footage to search, and the time for it."""

    cameras: int
    hours_a_day: float
    """Recorded by each camera."""
    days: int
    """How far back a search goes, at most 31."""
    busy: float
    """Part of the time in which somebody is in view, in [0, 1]."""
    deadline: timedelta
    """In which one search has to be done."""
    megabits: float
    """Per second, of each recording."""
    subjects: int
    photos: int
    """Of each subject."""
    sightings: int
    """Kept at a time."""
    searched_before: bool
    """Whether earlier searches have left where faces are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Resources that a workload needs."""

    footage: timedelta
    core_seconds: float
    cores: int
    scanners: int
    storage_bytes: float
    qdrant_bytes: float


def plan(workload: Workload) -> Plan:
    """Return the resources that a workload needs."""
    hours = workload.cameras * workload.hours_a_day * workload.days
    footage = timedelta(hours=hours)
    each = CORE_SECONDS_QUIET * (1 - workload.busy) + CORE_SECONDS_BUSY * workload.busy
    share = RESCAN_SHARE if workload.searched_before else 1.0
    core_seconds = footage.total_seconds() * each * share
    cores = max(1, math.ceil(HEADROOM * core_seconds / workload.deadline.total_seconds()))
    kept_seconds = workload.cameras * workload.hours_a_day * RETENTION_DAYS * 3600
    references = workload.subjects * (workload.photos + 1)  # and the mean of each subject's
    # One collection at a time is copied, after something was removed from it.
    points = references + workload.sightings + max(references, workload.sightings)
    return Plan(
        footage=footage,
        core_seconds=core_seconds,
        cores=cores,
        scanners=math.ceil(cores / CORES_PER_SCANNER),
        storage_bytes=kept_seconds * workload.megabits * 1e6 / 8,
        qdrant_bytes=QDRANT_BASE_BYTES + points * (TEMPLATE_BYTES + PAYLOAD_BYTES),
    )


def assumptions() -> list[str]:
    """Return the assumptions of a plan."""
    quiet, busy = CORE_SECONDS_QUIET, CORE_SECONDS_BUSY
    bytes_each = TEMPLATE_BYTES + PAYLOAD_BYTES
    return [
        "1080p25 H.264 whose packet sizes tell where something happens",
        "where they do not (constant bit rate, moving camera): up to four times the work",
        f"core seconds per second of footage: {quiet:g} with nobody in view, {busy:g} with people",
        f"a search for somebody new in footage searched before: {RESCAN_SHARE:.0%} of that",
        f"{CORES_PER_SCANNER} cores a scanner, embedding included; {HEADROOM - 1:.0%} headroom",
        f"footage kept for {RETENTION_DAYS} days, without the store's own redundancy",
        f"{bytes_each:.0f} bytes for each template in Qdrant, one replica, beside 100 MiB",
        "a template of each photograph, subject and sighting",
        "those of the larger collection twice: it is copied after something was removed from it",
    ]
